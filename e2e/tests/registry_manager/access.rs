//! What the shipped ServiceAccount may not do.

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::SYSTEM;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use super::stage::{SERVICE_ACCOUNT, Stage};

const WRITES: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];

#[tokio::test]
async fn the_registry_manager_writes_coverage_and_statuses_of_registries_and_reads_single_secrets_and_may_do_nothing_else()
-> Result<()> {
    let stage = Stage::new("access").await?;
    let client = stage.cluster.client_for_service_account(SYSTEM, SERVICE_ACCOUNT).await?;
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client);
    let may = async |group: &str, resource: &str, subresource: &str, verb: &str| -> Result<bool> {
        let text = |text: &str| Some(text.to_owned());
        let attributes = ResourceAttributes {
            group: text(group),
            resource: text(resource),
            subresource: text(subresource),
            verb: text(verb),
            namespace: text("access"),
            name: text("x"),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = reviews.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    };
    for (group, resource) in [
        ("hypershift.openshift.io", "hostedclusters"),
        ("hypershift.openshift.io", "nodepools"),
        ("apps", "deployments"),
        ("hypermirror.dev", "hostedclustermirrors"),
        ("config.openshift.io", "imagedigestmirrorsets"),
        ("registry.kubecontroller.io", "registries"),
        ("skopeo.io", "images"),
        ("batch", "jobs"),
        ("", "pods"),
        ("", "secrets"),
        ("", "configmaps"),
        ("", "serviceaccounts"),
        ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ] {
        for verb in WRITES {
            ensure!(!may(group, resource, "", verb).await?, "it may {verb} {resource}");
        }
    }
    for verb in ["list", "watch"] {
        ensure!(!may("", "secrets", "", verb).await?, "it may {verb} Secrets");
        ensure!(!may("", "serviceaccounts", "", verb).await?, "it may {verb} ServiceAccounts");
    }
    ensure!(!may("", "serviceaccounts", "token", "create").await?, "it may create tokens");
    ensure!(!may("hypermirror.dev", "mirrorcoverages", "", "delete").await?, "it may delete MirrorCoverages");
    // The questions are asked as they should be.
    ensure!(may("hypermirror.dev", "mirrorcoverages", "status", "patch").await?);
    ensure!(
        may("", "secrets", "", "get").await?
            && may("registry.kubecontroller.io", "registries", "status", "patch").await?
            && may("skopeo.io", "images", "status", "patch").await?
    );
    Ok(())
}
