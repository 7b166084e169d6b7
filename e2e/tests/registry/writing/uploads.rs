//! Uploads of one blob.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, ensure};
use futures::future::BoxFuture;
use http::{Method, StatusCode, header};
use hypermirror::registry::client::{BlobSource, Written};
use hypermirror::registry::transfer::side::SmallBlob;
use hypermirror::registry::transport::Pieces;
use hypermirror::registry::wire::digest::Digest;
use hypermirror::registry::wire::location::LocationError;
use hypermirror::registry::{Cause, Credential, RegistryError, Repository, Target};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::behavior::{Location, Mounts, Uploads};
use hypermirror_e2e::mock::{Answer, Area, Fixed, On, Presented, Rule, TokenForm, TokenServer, Tokens, User};
use hypermirror_e2e::pki::Authority;

use super::super::reading::client;
use super::{REPOSITORY, received};

const TEXT: &str = "forty bytes of content that fill a blob.";
const PASSWORD: &str = "canary-5tr0ng";

pub fn repository(registry: &MockRegistry) -> Result<Repository> {
    Ok(Repository::new(hypermirror::registry::RegistryAddress::parse(&registry.url())?, REPOSITORY)?)
}

/// Writes [`TEXT`], and looks whether the registry has it.
async fn written(registry: &MockRegistry, from: &[String]) -> Result<Written, RegistryError> {
    let repository = repository(registry).unwrap();
    let target = Target { repository: &repository, credential: &Credential::Anonymous };
    let blob = SmallBlob::new(TEXT.into());
    let how = client(None).unwrap().write_blob(target, &blob, from).await?;
    assert!(registry.store().blob(REPOSITORY, &blob.digest().to_string()).is_some(), "it is not there");
    Ok(how)
}

#[tokio::test]
async fn b01_a_request_that_is_throttled_is_sent_again_with_its_whole_body() -> Result<()> {
    for method in [Method::POST, Method::PUT] {
        let registry = MockRegistry::start().await?;
        let slow = Fixed::error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "slow down").after(10);
        registry.add(Rule::new(On::area(Area::Upload).method(method), slow).times(1));
        ensure!(written(&registry, &[]).await? == Written::Uploaded);
    }
    Ok(())
}

/// Ends all tokens when it is read for the first time: after the upload has begun.
struct Late(SmallBlob, Arc<Tokens>, AtomicBool);

impl BlobSource for Late {
    fn digest(&self) -> &Digest {
        self.0.digest()
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn open(&self, offset: u64) -> BoxFuture<'_, Result<Pieces, RegistryError>> {
        if !self.2.swap(true, Ordering::Relaxed) {
            self.1.revoke();
        }
        self.0.open(offset)
    }
}

#[tokio::test]
async fn b04_a_token_that_ends_in_the_middle_of_an_upload_is_replaced_and_the_body_is_sent_again() -> Result<()> {
    let authority = Authority::new("writing")?;
    let tokens = Arc::new(Tokens::new([User::new("alice", PASSWORD)])?);
    let server = TokenServer::start_tls(tokens.clone(), &authority).await?;
    let registry = MockRegistry::builder().tls(&authority).tokens(&server).start().await?;
    let (repository, credential) = (repository(&registry)?, Credential::basic("alice", PASSWORD));
    let target = Target { repository: &repository, credential: &credential };
    let blob = Late(SmallBlob::new(TEXT.into()), tokens, AtomicBool::new(false));
    client(Some(&authority))?.write_blob(target, &blob, &[]).await?;
    ensure!(registry.store().blob(REPOSITORY, &blob.digest().to_string()).is_some());
    let puts = registry.requests().into_iter().filter(|it| it.method == Method::PUT);
    let statuses: Vec<Option<u16>> = puts.map(|it| it.status).collect();
    ensure!(statuses == [Some(401), Some(201)], "{statuses:?}");
    ensure!(received(&registry) <= 2 * blob.size());
    // Once for the POST, once instead of the one that ended.
    ensure!(server.tokens().grants().len() == 2, "{:?}", server.tokens().grants());
    Ok(())
}

#[tokio::test]
async fn b04_an_upload_that_is_cut_goes_on_at_the_offset_of_the_session() -> Result<()> {
    let registry = MockRegistry::start().await?;
    registry.behave(|behavior| behavior.uploads = Uploads { most: Some(16), ..Uploads::default() });
    // The second chunk is cut.
    let cut = On::area(Area::Upload).method(Method::PATCH);
    registry.add(Rule::new(cut, Answer::Hangup { after: 4 }).skip(2).times(1));
    written(&registry, &[]).await?;
    let lines = registry.lines();
    let asked = lines.iter().filter(|line| line.starts_with("GET ") && line.contains("/blobs/uploads/")).count();
    ensure!(asked == 1, "{lines:#?}");
    Ok(())
}

#[tokio::test]
async fn b05_an_upload_follows_307_with_its_whole_body() -> Result<()> {
    for status in [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT, StatusCode::FOUND] {
        let registry = MockRegistry::start().await?;
        let session = format!("/v2/{REPOSITORY}/blobs/uploads/session-0");
        let elsewhere = Fixed::status(status).header(header::LOCATION, &session).after(10);
        registry.add(Rule::new(On::area(Area::Upload).method(Method::PUT), elsewhere).times(1));
        // Any other redirect would turn it into a GET.
        ensure!(written(&registry, &[]).await.is_ok() == (status != StatusCode::FOUND), "{status}");
    }
    Ok(())
}

#[tokio::test]
async fn b06_an_upload_on_another_host_gets_no_credentials() -> Result<()> {
    let authority = Authority::new("writing")?;
    let registry = MockRegistry::builder().tls(&authority).basic([User::new("alice", PASSWORD)]).start().await?;
    let storage = MockRegistry::builder().tls(&authority).sharing(&registry).start().await?;
    let (repository, credential) = (repository(&registry)?, Credential::basic("alice", PASSWORD));
    let target = Target { repository: &repository, credential: &credential };
    registry.behave(|behavior| behavior.location = Location::Elsewhere(storage.url()));
    let begun = client(Some(&authority))?.write_blob(target, &SmallBlob::new(TEXT.into()), &[]).await;
    // The other host does not know the session: what counts is who is shown what.
    ensure!(begun.is_err());
    ensure!(!storage.requests().is_empty());
    ensure!(storage.requests().iter().all(|it| it.presented == Presented::Nothing));
    Ok(())
}

#[tokio::test]
async fn b06_the_location_of_an_upload_is_followed_in_every_form_or_refused() -> Result<()> {
    let authority = Authority::new("writing")?;
    let forms = [
        (Location::Path, true),
        (Location::Absolute, true),
        (Location::Query, true),
        (Location::PlainHttp, true),
        (Location::Missing, false),
        (Location::Elsewhere("http://169.254.169.254".to_owned()), false),
        (Location::Elsewhere("https://169.254.169.254".to_owned()), false),
    ];
    for (location, is_good) in forms {
        let registry = MockRegistry::builder().tls(&authority).start().await?;
        registry.behave(|behavior| behavior.location = location.clone());
        let repository = repository(&registry)?;
        let target = Target { repository: &repository, credential: &Credential::Anonymous };
        let written = client(Some(&authority))?.write_blob(target, &SmallBlob::new(TEXT.into()), &[]).await;
        match written {
            Ok(_) => ensure!(is_good, "{location:?}"),
            Err(error) => {
                let is_rule = matches!(
                    error.cause,
                    Cause::Location(LocationError::Missing | LocationError::Downgrade) | Cause::Address { .. }
                );
                ensure!(!is_good && is_rule, "{location:?}: {error}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn b09_a_mount_costs_no_bytes_and_one_that_fails_is_an_upload() -> Result<()> {
    let answers = [
        (Mounts::Done, Written::Mounted, 1),
        // The session of the mount is used.
        (Mounts::Ignored, Written::Uploaded, 1),
        (Mounts::Refused(StatusCode::FORBIDDEN), Written::Uploaded, 2),
        (Mounts::Refused(StatusCode::UNAUTHORIZED), Written::Uploaded, 2),
    ];
    for (mounts, expected, posts) in answers {
        let registry = MockRegistry::start().await?;
        registry.store().add_blob("team/other", TEXT);
        registry.behave(|behavior| behavior.mounts = mounts);
        let how = written(&registry, &["team/other".to_owned()]).await?;
        ensure!(how == expected, "{mounts:?}: {how:?}");
        let asked: Vec<String> = registry.lines().into_iter().filter(|line| line.starts_with("POST")).collect();
        ensure!(asked.len() == posts && asked[0].contains("from=team%2Fother"), "{mounts:?}: {asked:?}");
        ensure!(received(&registry) == if expected == Written::Mounted { 0 } else { TEXT.len() as u64 });
    }
    Ok(())
}

#[tokio::test]
async fn b09_a_mount_asks_for_both_repositories_in_one_token() -> Result<()> {
    let authority = Authority::new("writing")?;
    for first_scope_only in [false, true] {
        let tokens = Arc::new(Tokens::new([User::new("alice", PASSWORD)])?);
        let server = TokenServer::start_tls(tokens, &authority).await?;
        server.tokens().set_form(TokenForm { first_scope_only, ..TokenForm::default() });
        let registry = MockRegistry::builder().tls(&authority).tokens(&server).start().await?;
        registry.store().add_blob("team/other", TEXT);
        let (repository, credential) = (repository(&registry)?, Credential::basic("alice", PASSWORD));
        let target = Target { repository: &repository, credential: &credential };
        let blob = SmallBlob::new(TEXT.into());
        let how = client(Some(&authority))?.write_blob(target, &blob, &["team/other".to_owned()]).await?;
        // A server that takes one scope only gets both in it, as the registry's challenge has them.
        ensure!(how == Written::Mounted, "{how:?}");
        let first = server.requests().into_iter().find(|it| it.query.contains("push")).map(|it| it.query);
        let first = first.unwrap_or_default();
        ensure!(first.contains("team%2Fapp%3Apull%2Cpush") && first.contains("team%2Fother%3Apull"), "{first}");
    }
    Ok(())
}

#[tokio::test]
async fn b25_limits_of_uploads_are_met_and_remembered() -> Result<()> {
    let limits = [
        Uploads { most: Some(16), ..Uploads::default() },
        Uploads { reset: Some(16), ..Uploads::default() },
        Uploads { overwrites: true, most: None, ..Uploads::default() },
        Uploads { least: Some(16), ..Uploads::default() },
    ];
    for uploads in limits {
        let registry = MockRegistry::start().await?;
        registry.behave(|behavior| behavior.uploads = uploads);
        ensure!(written(&registry, &[]).await? == Written::Uploaded, "{uploads:?}");
        let puts = registry.requests().into_iter().filter(|it| matches!(it.method, Method::PUT | Method::PATCH));
        for request in puts {
            ensure!(request.headers.contains_key(header::CONTENT_LENGTH), "{uploads:?}: {}", request.line());
        }
    }
    let registry = MockRegistry::start().await?;
    registry.behave(|behavior| behavior.uploads = Uploads { most: Some(16), ..Uploads::default() });
    let (client, repository) = (client(None)?, repository(&registry)?);
    let target = Target { repository: &repository, credential: &Credential::Anonymous };
    for text in [TEXT, "another forty bytes that fill one blob.."] {
        registry.clear_requests();
        client.write_blob(target, &SmallBlob::new(text.into()), &[]).await?;
    }
    let refused = registry.requests().iter().filter(|it| it.status == Some(413)).count();
    ensure!(refused == 0, "the second blob meets the limit again: {:#?}", registry.lines());
    Ok(())
}

#[tokio::test]
async fn b25_a_registry_that_keeps_only_the_last_chunk_gets_one() -> Result<()> {
    let registry = MockRegistry::start().await?;
    registry.behave(|behavior| behavior.uploads = Uploads { overwrites: true, ..Uploads::default() });
    // One PUT is too much, so that chunks are tried.
    let too_large = Fixed::status(StatusCode::PAYLOAD_TOO_LARGE);
    registry.add(Rule::new(On::area(Area::Upload).method(Method::PUT), too_large).times(1));
    ensure!(written(&registry, &[]).await? == Written::Uploaded);
    Ok(())
}

/// Sends other bytes than its digest says.
struct Wrong(SmallBlob, SmallBlob, AtomicU64);

impl BlobSource for Wrong {
    fn digest(&self) -> &Digest {
        self.0.digest()
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn open(&self, offset: u64) -> BoxFuture<'_, Result<Pieces, RegistryError>> {
        self.2.fetch_add(1, Ordering::Relaxed);
        self.1.open(offset)
    }
}

#[tokio::test]
async fn wrong_bytes_are_not_taken_and_not_sent_for_ever() -> Result<()> {
    let registry = MockRegistry::start().await?;
    let repository = repository(&registry)?;
    let target = Target { repository: &repository, credential: &Credential::Anonymous };
    let other = TEXT.replace("forty", "FORTY");
    let blob = Wrong(SmallBlob::new(TEXT.into()), SmallBlob::new(other.into()), AtomicU64::new(0));
    let error = client(None)?.write_blob(target, &blob, &[]).await.unwrap_err();
    ensure!(matches!(&error.cause, Cause::Refused(it) if it.status == 400), "{error}");
    ensure!(blob.2.load(Ordering::Relaxed) == 1);
    Ok(())
}
