use super::*;

fn environment(variables: &'static [(&str, &str)]) -> Result<Option<(AwsIdentity, AwsEndpoints)>, &'static str> {
    of_environment(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn b22_hosts_of_ecr_are_recognised_in_every_partition() {
    let parsed = |host: &str| EcrHost::parse(host).map(|host| (host.region.clone(), host.api()));
    let cases = [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "https://api.ecr.eu-west-1.amazonaws.com/"),
        (
            "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
            "us-gov-west-1",
            "https://api.ecr.us-gov-west-1.amazonaws.com/",
        ),
        (
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "cn-north-1",
            "https://api.ecr.cn-north-1.amazonaws.com.cn/",
        ),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1", "https://api.ecr.eu-west-1.amazonaws.com/"),
    ];
    for (host, region, api) in cases {
        assert_eq!(parsed(host), Some((region.to_owned(), api.to_owned())), "{host}");
    }
    for other in [
        "public.ecr.aws",
        "1.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.evil.com",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil",
        "123456789012.dkr.ecr.a/b.amazonaws.com",
        "",
    ] {
        assert_eq!(parsed(other), None, "{other}");
    }
    assert_eq!(EcrHost::parse(cases[2].0).unwrap().sts(), "https://sts.cn-north-1.amazonaws.com.cn/");
}

#[test]
fn identities_are_found_in_the_order_of_the_sdks() {
    assert_eq!(environment(&[]), Ok(None));
    assert_eq!(environment(&[("AWS_ACCESS_KEY_ID", "a")]), Ok(None));
    let all: &[_] = &[
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "t"),
        ("AWS_ROLE_ARN", "r"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:2"),
    ];
    let (identity, endpoints) = environment(all).unwrap().unwrap();
    assert!(matches!(identity, AwsIdentity::Keys(_)) && !format!("{identity:?}").contains("canary"), "{identity:?}");
    assert_eq!(
        (endpoints.ecr.unwrap(), endpoints.sts.unwrap()),
        ("http://127.0.0.1:1".into(), "http://127.0.0.1:2".into())
    );
    let (identity, _) = environment(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "t"), ("AWS_ROLE_ARN", "r")]).unwrap().unwrap();
    assert_eq!(
        identity,
        AwsIdentity::WebIdentity { token_file: "t".into(), role: "r".into(), session: "hypermirror".into() }
    );
    for agent in [
        "http://169.254.170.23/v1/credentials",
        "https://agent.example/c",
        "http://127.0.0.1:1/c",
        "http://[fd00:ec2::23]/c",
    ] {
        let found = of_environment(|name| (name == "AWS_CONTAINER_CREDENTIALS_FULL_URI").then(|| agent.to_owned()));
        assert!(matches!(found, Ok(Some((AwsIdentity::Agent { .. }, _)))), "{agent}");
    }
    for other in ["http://169.254.169.254/c", "http://evil.example/c", "file:///c", "x"] {
        let found = of_environment(|name| (name == "AWS_CONTAINER_CREDENTIALS_FULL_URI").then(|| other.to_owned()));
        assert!(found.is_err(), "{other}");
    }
}

#[test]
fn answers_of_aws_are_read() {
    let xml = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Credentials>\
               <AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s/+=</SecretAccessKey><SessionToken>t</SessionToken>\
               <Expiration>2026-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResponse>";
    let keys = keys_of_sts(xml).unwrap();
    assert_eq!((keys.access_key_id.as_str(), keys.secret_access_key.reveal()), ("ASIA1", "s/+="));
    assert_eq!(keys.expires, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(keys_of_sts("<AccessKeyId>A</AccessKeyId>"), None);
    let json = br#"{"AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t", "Expiration": "2026-01-01T00:00:00Z", "AccountId": "1"}"#;
    assert_eq!(keys_of_agent(json).unwrap().session_token, Some(Secret::new("t")));
    assert_eq!(keys_of_agent(b"{}"), None);
}

#[test]
fn b28_a_token_that_ended_long_ago_is_used_and_not_renewed_at_once() {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let answer = |expires_at: &str| {
        let token = BASE64_STANDARD.encode("AWS:canary");
        let json = format!(r#"{{"authorizationData": [{{"authorizationToken": "{token}"{expires_at}}}]}}"#);
        password_of(json.as_bytes(), now).unwrap()
    };
    for past in ["", r#", "expiresAt": 1420070400"#, r#", "expiresAt": 1.8e9"#] {
        let password = answer(past);
        assert_eq!(
            (password.credential, password.renew_after),
            (Credential::basic("AWS", "canary"), MIN_RENEWAL),
            "{past}"
        );
    }
    assert_eq!(answer(r#", "expiresAt": 1800043200.5"#).renew_after, Duration::from_hours(9));
    assert_eq!(answer(r#", "expiresAt": 9e12"#).renew_after, Duration::from_hours(9));
    assert_eq!(password_of(b"{\"authorizationData\": []}", now), None);
}
