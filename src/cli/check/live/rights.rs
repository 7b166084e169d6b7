//! Asks the API server for the rights of the processes, or before they are installed, of the user.

use hypermirror_api::ClusterKey;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::super::super::input::Input;
use super::{Process, in_order, is_forbidden};
use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::diagnosis::Diagnosis;
use crate::diagnosis::rights::{ACCOUNTS_NAMESPACE, Access, Installation, ShippedRole, shipped_roles};
use crate::hosted::delivery::Delivery;

/// The ServiceAccount of the manager, and its roles, which have to be created first.
const MANAGER: &str = "hypermirror-manager";
const REGISTRY_MANAGER: &str = "hypermirror-registry-manager";

/// Diagnoses the roles that this installation needs. Access reviews are requests that nothing stores.
pub async fn diagnose(
    client: &Client,
    input: &Input,
    (manager, registry_manager): (&Process, &Process),
    has_policy: bool,
) -> Vec<Diagnosis> {
    let mut found: Vec<Diagnosis> = [manager, registry_manager]
        .into_iter()
        .filter_map(|process| match process {
            Process::Unknown(why) => {
                let cure = format!("run check as a user that may get Deployments in namespace {ACCOUNTS_NAMESPACE}");
                Some(Diagnosis::not_checked("ServiceAccounts/all", format!("rights were not checked: {why}"), cure))
            }
            Process::Absent | Process::Installed(_) => None,
        })
        .collect();
    let own_name = own_name(client).await;
    let roles = shipped_roles();
    // A process that asks for itself is installed, also if it may not read its own Deployment.
    let is_self = |account: &str| {
        roles.iter().any(|role| role.account == account && own_name.as_deref() == Some(role.user().as_str()))
    };
    let words = |process: &Process, account: &str| {
        process.words().map(<[String]>::to_vec).or_else(|| is_self(account).then(Vec::new))
    };
    let installation = Installation {
        manager: words(manager, MANAGER),
        registry_manager: words(registry_manager, REGISTRY_MANAGER),
        has_policy,
        has_rollout_delivery: has_rollout_delivery(input),
    };
    for role in &roles {
        if installation.needs(role) {
            found.extend(of_account(client, role, own_name.as_deref()).await);
        } else if matches!(manager, Process::Absent) && role.name == MANAGER {
            found.extend(of_installer(client, role).await);
        }
    }
    // The same cause for each role is one row.
    found.dedup_by(|a, b| a.code == b.code && a.message == b.message);
    found
}

fn has_rollout_delivery(input: &Input) -> bool {
    input.clusters.iter().any(|cluster| {
        let key = ClusterKey::of(cluster);
        let of_cluster = Delivery::of(cluster);
        let pools = input.pools_of(&key);
        pools.iter().any(|pool| Delivery::of_pool(of_cluster, Delivery::requested(*pool).0).is_by_rollout())
    })
}

/// The name of the user. API servers before 1.28 do not tell it.
async fn own_name(client: &Client) -> Option<String> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = answered(api.create(&PostParams::default(), &SelfSubjectReview::default())).await.ok()?;
    review.status?.user_info?.username
}

async fn of_account(client: &Client, role: &ShippedRole, own_name: Option<&str>) -> Vec<Diagnosis> {
    let user = role.user();
    let is_self = own_name == Some(user.as_str());
    let denied = match denied(client, role, (!is_self).then_some(user.as_str())).await {
        Ok(denied) => denied,
        Err(error) if is_forbidden(&error) => {
            let message = "you may not create SubjectAccessReviews, so that the rights of hypermirror's ServiceAccounts were not checked";
            let cure =
                "run check as a user that may, or as the ServiceAccount itself, which is asked for its own rights";
            return vec![Diagnosis::not_checked("ServiceAccounts/all", message, cure)];
        }
        Err(error) => {
            let message = format!("the rights of {user} could not be checked: {}", Cause(&error));
            return vec![Diagnosis::not_checked(
                "ServiceAccounts/all",
                message,
                "check the connection to the API server",
            )];
        }
    };
    role.diagnose_account(&denied)
}

/// A user that is about to install needs every right that the role grants, unless RBAC lets it escalate.
async fn of_installer(client: &Client, role: &ShippedRole) -> Option<Diagnosis> {
    let escalate = Access {
        namespace: role.namespace.clone(),
        group: "rbac.authorization.k8s.io".to_owned(),
        resource: format!("{}s", role.kind.to_lowercase()),
        subresource: String::new(),
        name: role.name.clone(),
        verb: "escalate".to_owned(),
    };
    if review(client, None, &escalate).await.is_ok_and(|allowed| allowed) {
        return None;
    }
    match denied(client, role, None).await {
        Ok(denied) => role.diagnose_installer(&denied),
        Err(error) => {
            let message = format!("your own rights could not be checked: {}", Cause(&error));
            Some(Diagnosis::not_checked("SelfSubjectAccessReview", message, "check the connection to the API server"))
        }
    }
}

/// The requests of a role that are denied to a user; to oneself if none is given.
async fn denied(client: &Client, role: &ShippedRole, user: Option<&str>) -> kube::Result<Vec<Access>> {
    let asked = role.accesses().into_iter().map(|access| async move {
        let allowed = review(client, user, &access).await?;
        Ok((!allowed).then_some(access))
    });
    let answers: Vec<kube::Result<Option<Access>>> = in_order(asked).await;
    let answers: kube::Result<Vec<Option<Access>>> = answers.into_iter().collect();
    Ok(answers?.into_iter().flatten().collect())
}

async fn review(client: &Client, user: Option<&str>, access: &Access) -> kube::Result<bool> {
    let part = |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
    let attributes = ResourceAttributes {
        namespace: access.namespace.clone(),
        group: part(&access.group),
        resource: part(&access.resource),
        subresource: part(&access.subresource),
        name: part(&access.name),
        verb: part(&access.verb),
        ..ResourceAttributes::default()
    };
    let params = PostParams::default();
    let status = match user {
        None => {
            let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
            let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
            answered(Api::all(client.clone()).create(&params, &review)).await?.status
        }
        Some(user) => {
            let groups = ["system:serviceaccounts", "system:authenticated"].map(str::to_owned);
            let of_namespace = format!("system:serviceaccounts:{ACCOUNTS_NAMESPACE}");
            let spec = SubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                user: Some(user.to_owned()),
                groups: Some(groups.into_iter().chain([of_namespace]).collect()),
                ..SubjectAccessReviewSpec::default()
            };
            let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
            answered(Api::all(client.clone()).create(&params, &review)).await?.status
        }
    };
    Ok(status.is_some_and(|status| status.allowed))
}
