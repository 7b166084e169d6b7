//! Each case changes what a client sees: a script that does nothing would test nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::content::Content;
use hypermirror_e2e::mock::cases::{self, Case, Stage};
use hypermirror_e2e::mock::{TokenServer, Tokens, User};

use super::mock::ask_at;

/// Longer than any answer of the mock takes; what lasts longer is silence.
const SILENCE: Duration = Duration::from_secs(1);

/// What is asked of a registry in each case: the target, a header, and a body. `{}` is the digest of the nested index, `[]` that
/// of a blob.
const REQUESTS: [(&str, &str, &str); 16] = [
    ("GET /v2/", "", ""),
    ("GET /v2/a/tags/list", "", ""),
    ("GET /v2/a/tags/list?n=2", "", ""),
    ("HEAD /v2/a/manifests/multi", "", ""),
    ("GET /v2/a/manifests/multi", "", ""),
    ("GET /v2/a/manifests/{}", "", ""),
    ("GET /v2/a/manifests/[attestation]", "", ""),
    ("GET /v2/a/blobs/[]", "", ""),
    ("GET /v2/a/referrers/[multi]", "", ""),
    ("GET /v2/a/referrers/[amd64]", "", ""),
    ("POST /v2/new/blobs/uploads/", "", ""),
    ("POST /v2/a/blobs/uploads/?digest=[]", "", "BLOB"),
    ("POST /v2/a/blobs/uploads/?mount=[]&from=a", "", ""),
    ("PUT /v2/a/manifests/multi", "Content-Type: application/vnd.oci.image.index.v1+json\r\n", r#"{"manifests":[]}"#),
    ("PUT /v2/a/manifests/multi", "Content-Type: application/vnd.oci.image.index.v1+json\r\n", "NESTED"),
    ("GET /v2/secret/tags/list", "", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_case_changes_what_a_client_sees() -> Result<()> {
    let usual = played(None).await?;
    let again = played(None).await?;
    assert_eq!(usual, again, "without a case nothing changes");
    let mut silent = Vec::new();
    for case in cases::all() {
        if played(Some(case)).await? == usual {
            silent.push(case);
        }
    }
    assert!(silent.is_empty(), "these change nothing: {silent:?}");
    Ok(())
}

#[test]
fn every_number_has_its_cases() {
    let elsewhere = [16, 17, 24, 28];
    for number in (1..=28).filter(|number| !elsewhere.contains(number)) {
        assert!(!cases::of(&format!("B{number}")).is_empty(), "B{number}");
    }
    let mut names: Vec<String> = cases::all().iter().map(|case| format!("{case:?}")).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "a name stands for one case");
}

/// What a client sees, in a case or without one.
async fn played(case: Option<Case>) -> Result<Vec<String>> {
    let tokens = TokenServer::start(Arc::new(Tokens::new([User::new("alice", "s3cret")])?)).await?;
    let elsewhere = MockRegistry::start().await?;
    let registry = MockRegistry::start().await?;
    // The same, where a token is wanted.
    let private = MockRegistry::builder().tokens(&tokens).start().await?;
    let content = Content::everything();
    fill(&registry, &content);
    for registry in [&registry, &private] {
        let stage = Stage { registry, tokens: &tokens, elsewhere: &elsewhere };
        if let Some(case) = case {
            (case.play)(&stage);
        }
    }
    let mut seen = Vec::new();
    for (line, headers, body) in REQUESTS {
        let asked = filled(&content, line)?;
        let body = match body {
            "NESTED" => String::from_utf8(content.manifest("nested").context("no index")?.bytes.to_vec())?,
            "BLOB" => String::from_utf8(content.blobs[0].1.to_vec())?,
            other => other.to_owned(),
        };
        seen.push(answered(&registry.host(), &asked, headers, &body).await?);
    }
    let begun = answered(&registry.host(), "POST /v2/a/blobs/uploads/", "", "").await?;
    if let Some(place) = begun.lines().find_map(|line| line.strip_prefix("location: ")) {
        _ = answered(&registry.host(), &format!("PATCH {place}"), "", "half").await?;
        seen.push(answered(&registry.host(), &format!("PATCH {place}"), "", "other half").await?);
    }
    seen.push(answered(&private.host(), "POST /v2/a/blobs/uploads/?mount=x&from=b", "", "").await?);
    let (realm, scopes) = (tokens.realm(), "scope=repository:a:pull&scope=repository:b:pull");
    let host = realm.trim_start_matches("http://").trim_end_matches("/token");
    let token =
        answered(host, &format!("GET /token?{scopes}"), "Authorization: Basic YWxpY2U6czNjcmV0\r\n", "").await?;
    seen.push(shape(&token));
    // Only the latest request for tokens is seen: what it was granted.
    seen.push(format!("{:?}", tokens.tokens().grants().last()));
    let own = [registry.host(), private.host(), elsewhere.host(), host.to_owned()];
    // Ports differ each time.
    let named = |text: String| {
        let hosts = own.iter().zip(["REGISTRY", "PRIVATE", "ELSEWHERE", "TOKENS"]);
        hosts.fold(text, |text, (host, name)| text.replace(host, name))
    };
    Ok(seen.into_iter().map(named).collect())
}

fn fill(registry: &MockRegistry, content: &Content) {
    let mut store = registry.store();
    for (_, bytes) in &content.blobs {
        store.add_blob("a", bytes.clone());
    }
    for manifest in &content.manifests {
        let digest = store.add_manifest("a", manifest.media_type, manifest.bytes.clone());
        if let Some(tag) = &manifest.tag {
            store.tag("a", tag, &digest);
        }
    }
    // Another one that refers to the same subject.
    let multi = content.manifests.iter().find(|manifest| manifest.name == "multi");
    let subject = multi.map(|manifest| manifest.digest.to_string()).unwrap_or_default();
    let second = serde_json::json!({ "artifactType": "second", "subject": { "digest": subject } });
    store.add_manifest("a", "application/vnd.oci.image.manifest.v1+json", second.to_string());
}

/// A request line with the digests of the content.
fn filled(content: &Content, line: &str) -> Result<String> {
    let mut line = line.replace("[]", &content.blobs[0].0);
    line = line.replace("{}", &content.manifest("nested").context("no index")?.digest);
    for manifest in &content.manifests {
        line = line.replace(&format!("[{}]", manifest.name), &manifest.digest);
    }
    Ok(line)
}

/// An answer without what differs from one to the next.
async fn answered(host: &str, line: &str, headers: &str, body: &str) -> Result<String> {
    let Ok(answer) = tokio::time::timeout(SILENCE, ask_at(host, line, headers, body.as_bytes())).await else {
        return Ok("silence".to_owned());
    };
    let answer = answer?;
    let lines = answer.lines().filter(|line| !line.to_ascii_lowercase().starts_with("date: "));
    let text = lines.collect::<Vec<_>>().join("\n");
    // What is endless for a client is long enough here.
    Ok(text.chars().take(4096).collect())
}

/// The fields of a token, and what does not differ of their values.
fn shape(answer: &str) -> String {
    let (head, body) = answer.split_once("\n\n").unwrap_or((answer, ""));
    let value: serde_json::Value = serde_json::from_str(body.trim()).unwrap_or_default();
    let fields: Vec<&String> = value.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    let status = head.lines().next().unwrap_or_default();
    format!("{status} {fields:?} {}", value["expires_in"])
}
