//! Tokens, challenges, redirects: who is shown what.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use hypermirror::registry::wire::digest::Digest;
use hypermirror::registry::{Cause, Credential, Reference, Target};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::behavior::{Challenge, Redirect};
use hypermirror_e2e::mock::{Area, Change, Expiry, Fixed, On, Presented, Rule, TokenForm, TokenServer, Tokens, User};
use hypermirror_e2e::pki::Authority;

use super::{add_image, client, repository};

const PASSWORD: &str = "canary-5tr0ng";

fn alice() -> Credential {
    Credential::basic("alice", PASSWORD)
}

/// A token server over TLS for alice, with tokens of this form.
async fn token_server(authority: &Authority, form: TokenForm) -> Result<TokenServer> {
    let server = TokenServer::start_tls(Arc::new(Tokens::new([User::new("alice", PASSWORD)])?), authority).await?;
    server.tokens().set_form(form);
    Ok(server)
}

#[tokio::test]
async fn b04_tokens_of_every_form_are_used_and_replaced() -> Result<()> {
    let authority = Authority::new("reading")?;
    let forms = [
        TokenForm::default(),
        TokenForm { has_token: false, ..TokenForm::default() },
        TokenForm { has_access_token: false, expiry: Expiry::Absent, ..TokenForm::default() },
        TokenForm { expiry: Expiry::Zero, ..TokenForm::default() },
        TokenForm { lifetime: Duration::from_secs(2), ..TokenForm::default() },
    ];
    for form in forms {
        let server = token_server(&authority, form).await?;
        let registry = MockRegistry::builder().tls(&authority).tokens(&server).start().await?;
        let digest = Digest::parse(&add_image(&registry, "q/app", "layer"))?;
        let (client, repository, credential) = (client(Some(&authority))?, repository(&registry, "q/app")?, alice());
        let target = Target { repository: &repository, credential: &credential };
        for _ in 0..3 {
            client.manifest(target, &Reference::Digest(digest.clone())).await?;
        }
        ensure!(server.tokens().grants().len() == 1, "{form:?}: {:?}", server.tokens().grants());
        // What the registry no longer takes is replaced once, and the request is sent again.
        server.tokens().revoke();
        client.manifest(target, &Reference::Digest(digest)).await?;
        ensure!(server.tokens().grants().len() == 2, "{form:?}: {:?}", server.tokens().grants());
        // The password went to the token server alone.
        let is_token = |presented: &Presented| !matches!(presented, Presented::Basic { .. } | Presented::Other(_));
        ensure!(registry.requests().iter().all(|request| request.is_tls && is_token(&request.presented)));
    }
    Ok(())
}

#[tokio::test]
async fn b08_challenges_in_every_spelling_are_met() -> Result<()> {
    let authority = Authority::new("reading")?;
    for challenge in [
        Challenge::Standard,
        Challenge::LowerCase,
        Challenge::BasicAndBearer,
        Challenge::TwoHeaders,
        Challenge::NoService,
        Challenge::NoScope,
    ] {
        let server = token_server(&authority, TokenForm::default()).await?;
        let registry = MockRegistry::builder().tls(&authority).tokens(&server).start().await?;
        registry.behave(|behavior| behavior.challenge = challenge);
        let digest = Digest::parse(&add_image(&registry, "q/app", "layer"))?;
        let (client, repository, credential) = (client(Some(&authority))?, repository(&registry, "q/app")?, alice());
        let target = Target { repository: &repository, credential: &credential };
        let head = client.head_manifest(target, &Reference::Digest(digest)).await;
        ensure!(head.is_ok(), "{challenge:?}: {head:?}");
    }
    Ok(())
}

#[tokio::test]
async fn b07_a_private_token_server_of_a_private_registry_works_and_metadata_services_are_never_asked() -> Result<()> {
    let authority = Authority::new("reading")?;
    let server = token_server(&authority, TokenForm::default()).await?;
    let registry = MockRegistry::builder().tls(&authority).tokens(&server).start().await?;
    let digest = Digest::parse(&add_image(&registry, "q/app", "layer"))?;
    let (repository, credential) = (repository(&registry, "q/app")?, alice());
    let target = Target { repository: &repository, credential: &credential };
    client(Some(&authority))?.manifest(target, &Reference::Digest(digest.clone())).await?;
    for realm in
        ["http://127.0.0.1:1/token", "https://169.254.169.254/token", "http://169.254.169.254/latest/meta-data"]
    {
        registry.behave(|behavior| behavior.realm = Some(realm.to_owned()));
        let refused = client(Some(&authority))?.manifest(target, &Reference::Digest(digest.clone())).await.unwrap_err();
        ensure!(matches!(refused.cause, Cause::Address { .. } | Cause::Location(_)), "{realm}: {refused}");
        ensure!(!refused.to_string().contains(PASSWORD));
    }
    Ok(())
}

#[tokio::test]
async fn b05_a_blob_elsewhere_is_read_without_our_credentials() -> Result<()> {
    let authority = Authority::new("reading")?;
    let registry = MockRegistry::builder().tls(&authority).basic([User::new("alice", PASSWORD)]).start().await?;
    let storage = MockRegistry::builder().tls(&authority).sharing(&registry).start().await?;
    storage.behave(|behavior| behavior.refuses_authorization = true);
    let blob = Digest::parse(&registry.store().add_blob("q/app", "content"))?;
    let (client, repository, credential) = (client(Some(&authority))?, repository(&registry, "q/app")?, alice());
    let target = Target { repository: &repository, credential: &credential };
    for hops in [0, 9] {
        let redirect = Redirect { status: StatusCode::TEMPORARY_REDIRECT, to: storage.url(), hops };
        registry.behave(|behavior| behavior.redirect = Some(redirect));
        ensure!(client.small_blob(target, &blob, 100).await? == "content", "after {hops} hops");
    }
    ensure!(storage.requests().len() == 2 && storage.requests().iter().all(|it| it.presented == Presented::Nothing));
    // Over HTTP, in circles, and to a metadata service: refused, and nobody is asked.
    let plain = MockRegistry::builder().sharing(&registry).start().await?;
    let elsewhere = |to: &str, hops| Redirect { status: StatusCode::TEMPORARY_REDIRECT, to: to.to_owned(), hops };
    for (to, hops) in [(plain.url(), 0), (storage.url(), 11), ("https://169.254.169.254".to_owned(), 0)] {
        registry.behave(|behavior| behavior.redirect = Some(elsewhere(&to, hops)));
        let refused = client.small_blob(target, &blob, 100).await.unwrap_err();
        let is_rule = matches!(refused.cause, Cause::Location(_) | Cause::Redirects(_) | Cause::Address { .. });
        ensure!(is_rule, "{to}: {refused}");
    }
    ensure!(plain.connections() == 0);
    Ok(())
}

#[tokio::test]
async fn b01_a_request_that_is_throttled_is_sent_again_also_by_the_token_server() -> Result<()> {
    let authority = Authority::new("reading")?;
    let throttled = [
        Fixed::error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "slow down"),
        Fixed::status(StatusCode::TOO_MANY_REQUESTS),
        Fixed::status(StatusCode::TOO_MANY_REQUESTS).body("text/html", "<html>slow down"),
    ];
    for answer in throttled {
        let server = token_server(&authority, TokenForm::default()).await?;
        server.add(Rule::new(On::any(), answer.clone()).times(1));
        let registry = MockRegistry::builder().tls(&authority).tokens(&server).start().await?;
        for method in [Method::HEAD, Method::GET] {
            registry.add(
                Rule::new(On::area(Area::Manifest).method(method).with_credentials(true), answer.clone()).times(1),
            );
        }
        let digest = Digest::parse(&add_image(&registry, "q/app", "layer"))?;
        let (client, repository, credential) = (client(Some(&authority))?, repository(&registry, "q/app")?, alice());
        let target = Target { repository: &repository, credential: &credential };
        client.head_manifest(target, &Reference::Digest(digest.clone())).await?;
        client.manifest(target, &Reference::Digest(digest)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn b27_a_registry_below_a_path_and_one_at_an_ipv6_address_answer() -> Result<()> {
    let authority = Authority::new("reading")?;
    let below = MockRegistry::builder().tls(&authority).basic([User::new("alice", PASSWORD)]).start().await?;
    below.behave(|behavior| behavior.base_path = "/harbor".to_owned());
    let six = MockRegistry::builder().tls(&authority).address("::1".parse()?).start().await?;
    for (registry, address) in [(&below, format!("{}/harbor", below.url())), (&six, six.url())] {
        let digest = Digest::parse(&add_image(registry, "a", "layer"))?;
        let address = hypermirror::registry::RegistryAddress::parse(&address)?;
        let repository = hypermirror::registry::Repository::new(address, "a")?;
        let credential = alice();
        let target = Target { repository: &repository, credential: &credential };
        client(Some(&authority))?.manifest(target, &Reference::Digest(digest)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn wrong_bytes_are_refused_with_host_repository_and_digest() -> Result<()> {
    let registry = MockRegistry::start().await?;
    let digest = Digest::parse(&add_image(&registry, "q/app", "layer"))?;
    registry.add(Rule::new(On::area(Area::Manifest).method(Method::GET), Change::Flip(3)));
    let (client, repository) = (client(None)?, repository(&registry, "q/app")?);
    let refused = client.manifest(super::anonymous(&repository), &Reference::Digest(digest.clone())).await.unwrap_err();
    ensure!(matches!(refused.cause, Cause::Digest { .. }), "{refused}");
    let text = refused.to_string();
    ensure!(text.contains(&registry.host()) && text.contains("/q/app@") && text.contains(digest.hex()), "{text}");
    Ok(())
}
