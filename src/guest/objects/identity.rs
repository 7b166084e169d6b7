//! Who the agent is and what it may do: namespace, ServiceAccount, RBAC, security context constraints, admission policy.

use serde_json::{Value, json};

use super::{AGENT, AgentSpec, GuestKinds, NAMESPACE, labels};
use crate::process::flags::ReloadMethod;

/// The agent's user name.
const USER: &str = "system:serviceaccount:hypermirror-system:hypermirror-agent";

/// Everything that has to be there before the agent runs.
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

/// The namespace: hostPath volumes and the host's network need the privileged level of pod security.
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
            // A cluster's default node selector must not keep the agent off a node.
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
            // The kind of the sets may come after the agent.
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
            "annotations": {"kubernetes.io/description": "The agent of hypermirror: hostPath, the host's network, no capability."},
        },
        "users": [USER],
        "groups": [],
        "priority": null,
        "allowHostDirVolumePlugin": true,
        "allowHostIPC": false,
        "allowHostNetwork": true,
        "allowHostPID": agent.reload == ReloadMethod::Signal,
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

/// What somebody else has set does not stop the agent from reporting; of its own it sets its Node as the owner.
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

/// An agent writes the status of its own node only: the token of a pod says on which node it runs
/// (`ServiceAccountTokenPodNodeInfo`, on by default wherever v1 of these policies is served). And it keeps nobody from
/// deleting that status: one with a finalizer would hold up `hypermirror uninstall`.
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
                    "message": "an agent writes the NodeMirrorStatus of its own node only",
                    "reason": "Forbidden",
                },
                {
                    "expression": format!("request.operation == 'DELETE' || ({unchanged})"),
                    "message": "an agent may not change finalizers or ownerReferences, but for its own Node as the owner",
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
