//! Copies to ECR: moto answers as AWS does, and the registry is a mock that wants the password of its token.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use hypermirror::registry::auth::ecr::Ecr;
use hypermirror::registry::credentials::ecr::{AwsEndpoints, AwsIdentity, EcrHost};
use hypermirror::registry::policy::PolicyOptions;
use hypermirror::registry::proxy::Proxies;
use hypermirror::registry::transfer::{RegistrySide, Side};
use hypermirror::registry::transport::tls::TlsOptions;
use hypermirror::registry::transport::{Transport, TransportOptions};
use hypermirror::registry::{Client, RegistryAddress, Repository};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::aws::{Aws, PASSWORD};
use hypermirror_e2e::mock::User;
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::proxy::Proxy;

use super::super::reading::client;
use super::{REPOSITORY, copied, filled, job, side, whole};

const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const COPIES: usize = 100;

/// Reaches the mock under the name of ECR.
fn through(proxy: &Proxy, authority: &Authority, registry: &MockRegistry) -> Result<Client> {
    proxy.route(&format!("{HOST}:443"), registry.host().parse()?);
    let mut tls = TlsOptions::default();
    tls.add_authorities(authority.certificate().as_bytes())?;
    let proxies = Proxies::one(&proxy.url(), "")?;
    let transport = Transport::new(TransportOptions { tls, proxies, ..TransportOptions::default() })?;
    Ok(Client::new(transport, PolicyOptions::default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn b22_a_hundred_copies_fetch_one_token_and_create_their_repositories() -> Result<()> {
    let (source, _) = filled().await?;
    let authority = Authority::new("ecr")?;
    let builder = MockRegistry::builder().tls(&authority).name(HOST).basic([User::new("AWS", PASSWORD)]);
    let registry = Arc::new(builder.start().await?);
    registry.behave(|behavior| behavior.needs_repository = true);
    let directory = tempfile::tempdir()?;
    let created = registry.clone();
    let aws = Aws::start(directory.path(), move |name| _ = created.store().repository(name)).await?;
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, "jwt")?;
    let role = "arn:aws:iam::123456789012:role/mirror".to_owned();
    let identity = AwsIdentity::WebIdentity { token_file, role, session: "copies".to_owned() };
    let endpoints = AwsEndpoints { ecr: Some(aws.url()), sts: Some(aws.url()) };
    let ecr = Arc::new(Ecr::new(identity, endpoints, Proxies::default())?);
    let proxy = Proxy::start().await?;
    let to = through(&proxy, &authority, &registry)?;
    let from = side(&client(None)?, &source.url(), REPOSITORY)?;
    let host = EcrHost::parse(HOST).context("no host of ECR")?;

    let copies = (0..COPIES).map(|number| {
        let (ecr, to, from, host) = (ecr.clone(), to.clone(), from.clone(), host.clone());
        async move {
            let repository = Repository::new(RegistryAddress::parse(&format!("https://{HOST}"))?, &path(number))?;
            let credential = ecr.credential(&host).await?;
            let side = Side::Registry(RegistrySide::new(to, repository, credential).creating(ecr));
            copied(vec![job(&from, "amd64", &[side])]).await
        }
    });
    for copy in futures::future::join_all(copies).await {
        copy?;
    }
    ensure!(aws.calls("AssumeRoleWithWebIdentity") == 1, "{}", aws.calls("AssumeRoleWithWebIdentity"));
    ensure!(aws.calls("GetAuthorizationToken") == 1, "{}", aws.calls("GetAuthorizationToken"));
    ensure!(aws.calls("CreateRepository") >= COPIES);
    for number in 0..COPIES {
        ensure!(whole(&registry.store(), &path(number))? == 1, "{}", path(number));
    }
    Ok(())
}

fn path(number: usize) -> String {
    format!("team/app-{number}")
}
