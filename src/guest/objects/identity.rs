//! The agent's namespace, ServiceAccount, RBAC, security context constraints and admission policy.

use serde_json::{Value, json};

use super::{AGENT, AgentSpec, GuestKinds, NAMESPACE, labels};

/// The agent's user name.
const USER: &str = "system:serviceaccount:hypermirror-system:hypermirror-agent";

/// The objects that must exist before the agent starts.
pub(super) fn objects(agent: &AgentSpec, kinds: GuestKinds) -> Vec<Value> {
    let mut objects = vec![namespace(), service_account(), cluster_role(), cluster_role_binding()];
    if kinds.security_context_constraints {
        objects.push(security_context_constraints(agent));
    }
    if kinds.admission_policies {
        objects.extend(admission());
    }
    objects
}

/// The namespace, with the pod security level `privileged` for hostPath volumes and the host network.
fn namespace() -> Value {
    let mut labels = labels();
    for mode in ["enforce", "audit", "warn"] {
        labels[format!("pod-security.kubernetes.io/{mode}")] = "privileged".into();
    }
    labels["security.openshift.io/scc.podSecurityLabelSync"] = "false".into();
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": NAMESPACE,
            "labels": labels,
            // Overrides the cluster's default node selector, which could exclude nodes.
            "annotations": {"openshift.io/node-selector": ""},
        },
    })
}

fn service_account() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": AGENT, "namespace": NAMESPACE, "labels": labels()},
    })
}

fn cluster_role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": AGENT, "labels": labels()},
        "rules": [
            // The agent watches the CRD, because it may be installed after the agent.
            {
                "apiGroups": ["apiextensions.k8s.io"],
                "resources": ["customresourcedefinitions"],
                "resourceNames": ["nodemirrorsets.hypermirror.dev"],
                "verbs": ["get", "list", "watch"],
            },
            {"apiGroups": ["hypermirror.dev"], "resources": ["nodemirrorsets"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": ["hypermirror.dev"], "resources": ["nodemirrorstatuses"], "verbs": ["create", "get", "patch"]},
            {"apiGroups": ["hypermirror.dev"], "resources": ["nodemirrorstatuses/status"], "verbs": ["get", "patch"]},
            {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
        ],
    })
}

fn cluster_role_binding() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": AGENT, "labels": labels()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": AGENT},
        "subjects": [{"kind": "ServiceAccount", "name": AGENT, "namespace": NAMESPACE}],
    })
}

fn security_context_constraints(agent: &AgentSpec) -> Value {
    json!({
        "apiVersion": "security.openshift.io/v1",
        "kind": "SecurityContextConstraints",
        "metadata": {
            "name": AGENT,
            "labels": labels(),
            "annotations": {"kubernetes.io/description": "For the agent of hypermirror: allows hostPath volumes and the host network, without capabilities."},
        },
        "users": [USER],
        "groups": [],
        "priority": null,
        "allowHostDirVolumePlugin": true,
        "allowHostIPC": false,
        "allowHostNetwork": true,
        "allowHostPID": agent.signals_crio(),
        "allowHostPorts": true,
        "allowPrivilegeEscalation": false,
        "allowPrivilegedContainer": false,
        "allowedCapabilities": [],
        "defaultAddCapabilities": [],
        "requiredDropCapabilities": ["ALL"],
        "readOnlyRootFilesystem": true,
        "fsGroup": {"type": "RunAsAny"},
        "runAsUser": {"type": "RunAsAny"},
        "seLinuxContext": {"type": "RunAsAny"},
        "supplementalGroups": {"type": "RunAsAny"},
        "seccompProfiles": ["runtime/default"],
        "volumes": ["hostPath", "projected"],
    })
}

/// The agent may not change finalizers and owner references, except that it may add its Node as the owner. Values that other
/// clients set are allowed, so that they cannot prevent the agent from reporting.
fn unchanged_metadata() -> String {
    let list = |field: &str| {
        let now = format!("(has(object.metadata.{field}) ? object.metadata.{field} : [])");
        let before = format!(
            "(request.operation == 'UPDATE' && has(oldObject.metadata.{field}) ? oldObject.metadata.{field} : [])"
        );
        (now, before)
    };
    let ((finalizers, finalizers_before), (owners, owners_before)) = (list("finalizers"), list("ownerReferences"));
    let own_node = "r.apiVersion == 'v1' && r.kind == 'Node' && r.name == object.metadata.name && \
                    (!has(r.blockOwnerDeletion) || !r.blockOwnerDeletion)";
    format!(
        "{finalizers} == {finalizers_before} && {owners}.all(r, r in {owners_before} || ({own_node})) && \
         {owners_before}.all(r, r in {owners})"
    )
}

/// Restricts each agent to the status of its own node. The pod's token has the name of the node
/// (`ServiceAccountTokenPodNodeInfo`, enabled by default in all versions that serve v1 of these policies). It also prevents
/// an agent from blocking the deletion of the status with a finalizer, which would delay `hypermirror uninstall`.
pub(super) fn admission() -> Vec<Value> {
    let name = "request.operation == 'DELETE' ? oldObject.metadata.name : object.metadata.name";
    let node = "request.userInfo.extra['authentication.kubernetes.io/node-name']";
    let says_node = "has(request.userInfo.extra) && 'authentication.kubernetes.io/node-name' in request.userInfo.extra";
    let unchanged = unchanged_metadata();
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": AGENT, "labels": labels()},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["hypermirror.dev"],
                "apiVersions": ["*"],
                "operations": ["CREATE", "UPDATE", "DELETE"],
                "resources": ["nodemirrorstatuses", "nodemirrorstatuses/status"],
            }]},
            "matchConditions": [{"name": "an-agent", "expression": format!("request.userInfo.username == '{USER}'")}],
            "validations": [
                {
                    "expression": format!("{says_node} && {node}.size() == 1 && {node}[0] == ({name})"),
                    "message": "an agent may write only the NodeMirrorStatus of its own node",
                    "reason": "Forbidden",
                },
                {
                    "expression": format!("request.operation == 'DELETE' || ({unchanged})"),
                    "message": "an agent may not change finalizers or ownerReferences, except to add its own Node as the owner",
                    "reason": "Forbidden",
                },
            ],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": AGENT, "labels": labels()},
        "spec": {"policyName": AGENT, "validationActions": ["Deny"]},
    });
    vec![policy, binding]
}
