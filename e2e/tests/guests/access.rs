//! How a guest is reached: each thing that is wrong with a kubeconfig has its name.

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::NAMESPACE;
use hypermirror_e2e::pki::Validity;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::stage::{Stage, foreign_credentials, name};

#[tokio::test]
async fn each_trouble_with_a_kubeconfig_is_named_and_a_rotated_one_is_used_at_once() -> Result<()> {
    let stage = Stage::start(2).await?;
    stage.hosted_cluster(0, &[]).await?;
    let _manager = stage.manager().await?;
    stage.condition(0, "GuestSynced", "Unknown", "KubeconfigMissing").await?;
    stage.fleet().condition(&name(0), "Ready", "True", "AsExpected").await?;
    stage.secret(0, "admin-kubeconfig", &stage.usual_kubeconfig(0)?).await?;
    stage.condition(0, "GuestSynced", "True", "AsExpected").await?;
    let expired = stage.kubeconfig_of(0, super::stage::HCCO, Validity::Expired)?;
    stage.kubeconfig(0, &expired).await?;
    let message = stage.condition(0, "GuestSynced", "False", "CredentialsExpired").await?;
    ensure!(message.contains("hcco-kubeconfig"), "{message}");
    let token = stage.cluster(0).kubeconfig(&hypermirror_e2e::Credentials::Token("nobody".into()))?;
    stage.kubeconfig(0, &token).await?;
    stage.condition(0, "GuestSynced", "False", "CredentialsRejected").await?;
    let foreign = stage.cluster(0).kubeconfig(&foreign_credentials(stage.cluster(1))?)?;
    stage.kubeconfig(0, &foreign).await?;
    stage.condition(0, "GuestSynced", "False", "CredentialsRejected").await?;
    let mut wrong_authority = parsed(&stage.usual_kubeconfig(0)?)?;
    let other = parsed(&stage.usual_kubeconfig(1)?)?;
    wrong_authority["clusters"][0]["cluster"]["certificate-authority-data"] =
        other["clusters"][0]["cluster"]["certificate-authority-data"].clone();
    stage.kubeconfig(0, &wrong_authority.to_string()).await?;
    stage.condition(0, "GuestSynced", "False", "AuthorityUnknown").await?;
    stage.kubeconfig(0, &stage.usual_kubeconfig(0)?).await?;
    stage.condition(0, "GuestSynced", "True", "AsExpected").await?;
    Ok(())
}

#[tokio::test]
async fn a_kubeconfig_never_runs_a_program_and_never_reads_a_file() -> Result<()> {
    let stage = Stage::start(1).await?;
    stage.hosted_cluster(0, &[]).await?;
    let _manager = stage.manager().await?;
    let canary = stage.scene.bed.directory().join("canary");
    let mut kubeconfig = parsed(&stage.usual_kubeconfig(0)?)?;
    kubeconfig["users"][0]["user"] = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": "touch", "args": [canary]
    }});
    stage.kubeconfig(0, &kubeconfig.to_string()).await?;
    let message = stage.condition(0, "GuestSynced", "False", "KubeconfigRefused").await?;
    ensure!(message.contains("users[].user.exec"), "{message}");
    let mut kubeconfig = parsed(&stage.usual_kubeconfig(0)?)?;
    kubeconfig["users"][0]["user"]["tokenFile"] = "/proc/self/environ".into();
    stage.kubeconfig(0, &kubeconfig.to_string()).await?;
    stage
        .fleet()
        .wait_for_report(&name(0), "the file", |report| report.to_string().contains("users[].user.tokenFile"))
        .await?;
    for (token, why) in [("a\r\nX: 1", "not allowed in an HTTP header"), ("t0ken\n", "white space")] {
        kubeconfig["users"][0]["user"] = json!({"token": token});
        stage.kubeconfig(0, &kubeconfig.to_string()).await?;
        let reported =
            |report: &Value| report.to_string().contains("users[].user.token") && report.to_string().contains(why);
        stage.fleet().wait_for_report(&name(0), "the token", reported).await?;
    }
    stage.kubeconfig(0, "{").await?;
    stage
        .fleet()
        .wait_for_report(&name(0), "nonsense", |report| report.to_string().contains("not a kubeconfig"))
        .await?;
    ensure!(!canary.exists(), "the program ran");
    let api: Api<Event> = Api::namespaced(stage.fleet().client.clone(), NAMESPACE);
    let events = api.list(&ListParams::default()).await?.items;
    let reasons: Vec<_> = events.iter().filter_map(|event| event.reason.as_deref()).collect();
    ensure!(reasons == ["KubeconfigRefused"], "one transition, one event: {events:?}");
    Ok(())
}

fn parsed(kubeconfig: &str) -> Result<Value> {
    Ok(serde_yaml::from_str(kubeconfig)?)
}
