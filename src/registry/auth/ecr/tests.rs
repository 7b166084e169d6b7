use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::super::super::testing::{Server, advance, answer};
use super::*;

const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

fn host() -> EcrHost {
    EcrHost::parse(HOST).unwrap()
}

fn password(expires_at: &str) -> String {
    let token = BASE64_STANDARD.encode("AWS:canary");
    format!(r#"{{"authorizationData": [{{"authorizationToken": "{token}", "expiresAt": {expires_at}}}]}}"#)
}

fn endpoints(server: &Server) -> AwsEndpoints {
    AwsEndpoints { ecr: Some(server.url("/")), sts: Some(server.url("/")) }
}

#[tokio::test]
async fn b28_a_web_identity_becomes_a_password_that_is_fetched_once() {
    // As moto answers: it ended in 2015.
    let server = Server::start(|seen| match seen.header("x-amz-target") {
        None => answer(
            200,
            &[],
            "<Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
             <SessionToken>session</SessionToken></Credentials>",
        ),
        Some(_) => answer(200, &[], password("1420070400")),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, "jwt+1\n").unwrap();
    let identity = AwsIdentity::WebIdentity { token_file, role: "arn:aws:iam::1:role/r".into(), session: "s".into() };
    let ecr = Ecr::new(identity, endpoints(&server), Proxies::default()).unwrap();
    let (own_host, all) =
        (host(), futures::future::join_all((0..10).map(|_| async { ecr.credential(&host()).await })).await);
    assert!(all.into_iter().all(|credential| credential == Ok(Credential::basic("AWS", "canary"))));
    assert_eq!(ecr.credential(&own_host).await, Ok(Credential::basic("AWS", "canary")));
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "one call to STS and one to ECR");
    let form = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&\
                RoleSessionName=s&WebIdentityToken=jwt%2B1";
    assert_eq!(seen[0].body, form);
    assert_eq!(seen[0].header("authorization"), None, "not signed");
    assert_eq!(seen[1].header("x-amz-target"), Some(GET_TOKEN));
    assert_eq!(seen[1].header("x-amz-security-token"), Some("session"));
    let signature = seen[1].header("authorization").unwrap();
    let names = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
    assert!(signature.contains("/eu-west-1/ecr/aws4_request") && signature.contains(names), "{signature}");
}

#[tokio::test]
async fn a_password_is_renewed_before_it_ends() {
    let server =
        Server::start(|_| answer(200, &[], password(&(Timestamp::now().as_second() + 43_200).to_string()))).await;
    let keys =
        AwsKeys { access_key_id: "A".into(), secret_access_key: Secret::new("s"), session_token: None, expires: None };
    let ecr = Ecr::new(AwsIdentity::Keys(keys), endpoints(&server), Proxies::default()).unwrap();
    for (hours, calls) in [(0, 1), (8, 1), (2, 2)] {
        advance(Duration::from_secs(hours * 3_600)).await;
        ecr.credential(&host()).await.unwrap();
        assert_eq!(server.seen().len(), calls, "after {hours} hours");
    }
}

#[tokio::test]
async fn an_agent_is_shown_its_token_and_what_aws_refuses_is_told() {
    let server = Server::start(|seen| match (seen.uri.path(), seen.header("authorization")) {
        ("/agent", Some("agent-token")) => {
            answer(200, &[], r#"{"AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t"}"#)
        }
        ("/agent", _) => answer(401, &[], ""),
        _ => answer(400, &[], r#"{"__type": "AccessDeniedException", "message": "not authorized"}"#),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let token_file = Some(directory.path().join("token"));
    std::fs::write(directory.path().join("token"), "agent-token").unwrap();
    let url = Url::parse(&server.url("/agent")).unwrap();
    let ecr =
        Ecr::new(AwsIdentity::Agent { url: url.clone(), token_file }, endpoints(&server), Proxies::default()).unwrap();
    let refused = ecr.credential(&host()).await.unwrap_err().to_string();
    assert!(refused.contains("400") && refused.contains("not authorized"), "{refused}");
    let without = AwsIdentity::Agent { url, token_file: Some(directory.path().join("none")) };
    let ecr = Ecr::new(without, endpoints(&server), Proxies::default()).unwrap();
    assert!(matches!(ecr.credential(&host()).await, Err(Cause::Credentials(_))));
}

#[tokio::test]
async fn b22_a_repository_is_created_in_the_account_of_the_registry_unless_somebody_else_was_faster() {
    let server = Server::start(|seen| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        match seen.header("x-amz-target") {
            Some(CREATE) if body.contains("team/new") => answer(200, &[], "{}"),
            Some(CREATE) if body.contains("team/old") => {
                answer(400, &[], r#"{"__type": "RepositoryAlreadyExistsException", "message": "it exists"}"#)
            }
            _ => answer(400, &[], r#"{"__type": "AccessDeniedException", "message": "not authorized"}"#),
        }
    })
    .await;
    let keys =
        AwsKeys { access_key_id: "A".into(), secret_access_key: Secret::new("s"), session_token: None, expires: None };
    let ecr = Ecr::new(AwsIdentity::Keys(keys), endpoints(&server), Proxies::default()).unwrap();
    for path in ["team/new", "team/old"] {
        assert_eq!(ecr.create_repository(&host(), "123456789012", path).await, Ok(()), "{path}");
    }
    assert_eq!(server.seen()[0].body, r#"{"registryId":"123456789012","repositoryName":"team/new"}"#);
    let refused = ecr.create_repository(&host(), "123456789012", "team/none").await.unwrap_err().to_string();
    assert!(refused.contains("not authorized") && refused.contains("ecr:CreateRepository"), "{refused}");
}
