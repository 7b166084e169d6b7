use std::collections::HashMap;

use http::Method;
use serde_json::{Value, json};

use super::super::super::credentials::Credential;
use super::super::super::name::{RegistryAddress, Repository};
use super::super::super::policy::PolicyOptions;
use super::super::super::testing::{Server, answer};
use super::super::super::transport::{Transport, TransportOptions};
use super::super::super::wire::digest::Algorithm;
use super::super::super::wire::media_type::ManifestType;
use super::super::matrix::{Endpoint, TrustId, Verdict, judge};
use super::*;

/// Contents by digest, and statuses that are answered instead.
#[derive(Clone, Default)]
struct Content {
    by_digest: HashMap<String, Vec<u8>>,
    instead: HashMap<String, u16>,
}

impl Content {
    fn add(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, &bytes);
        self.by_digest.insert(digest.to_string(), bytes);
        digest
    }

    fn add_json(&mut self, value: &Value) -> Digest {
        self.add(serde_json::to_vec(value).unwrap())
    }

    /// An image of one layer with this text and of one that all share.
    fn image(&mut self, text: &str) -> (Digest, Digest) {
        let blob =
            |digest: &Digest, text: &str| json!({"mediaType": "application/x", "digest": digest, "size": text.len()});
        let (config, shared, own) = (self.add(b"{}".to_vec()), self.add(b"shared".to_vec()), self.add(text.into()));
        let foreign = json!({"mediaType": "a.foreign.b", "digest": Digest::of(Algorithm::Sha256, b"foreign"), "size": 7, "urls": ["http://169.254.169.254/"]});
        let layers = json!([blob(&shared, "shared"), blob(&own, text), foreign]);
        let manifest =
            json!({"mediaType": ManifestType::OciImage.name(), "config": blob(&config, "{}"), "layers": layers});
        (self.add_json(&manifest), own)
    }

    fn index(&mut self, children: &[(&Digest, &str)]) -> Digest {
        let child = |(digest, architecture): &(&Digest, &str)| {
            let os = if *architecture == "unknown" { "unknown" } else { "linux" };
            let platform = json!({"os": os, "architecture": architecture});
            json!({"mediaType": ManifestType::OciImage.name(), "digest": digest, "size": 1, "platform": platform})
        };
        let children: Vec<Value> = children.iter().map(child).collect();
        self.add_json(&json!({"mediaType": ManifestType::OciIndex.name(), "manifests": children}))
    }

    async fn serve(self) -> Server {
        Server::start(move |seen| {
            let name = seen.uri.path().rsplit('/').next().unwrap();
            if let Some(status) = self.instead.get(name) {
                return answer(*status, &[], "");
            }
            let Some(bytes) = self.by_digest.get(name) else { return answer(404, &[], "") };
            answer(200, &[], if seen.method == Method::HEAD { Vec::new() } else { bytes.clone() })
        })
        .await
    }
}

fn client() -> Client {
    let options = PolicyOptions { attempts: 1, ..PolicyOptions::default() };
    Client::new(Transport::new(TransportOptions::default()).unwrap(), options)
}

fn repository(server: &Server, path: &str) -> Repository {
    Repository::new(RegistryAddress::parse(&server.url("")).unwrap(), path).unwrap()
}

fn shown(lacks: &[Lack]) -> Vec<String> {
    lacks.iter().map(ToString::to_string).collect()
}

async fn check(checker: &Checker, repository: &Repository, digest: &Digest, level: Level) -> Finding {
    let target = Target { repository, credential: &Credential::Anonymous };
    checker.check(target, &Reference::Digest(digest.clone()), level).await
}

/// Two images in an index with an attestation that nobody has; the blob that only the second has.
fn release(content: &mut Content) -> (Digest, Digest) {
    let (amd, _) = content.image("amd");
    let (arm, arm_blob) = content.image("arm");
    let attestation = Digest::of(Algorithm::Sha256, b"attestation");
    (content.index(&[(&amd, "amd64"), (&arm, "arm64"), (&attestation, "unknown")]), arm_blob)
}

#[tokio::test]
async fn l1_asks_for_each_manifest_and_each_blob_once() {
    let mut content = Content::default();
    let (index, _) = release(&mut content);
    let server = content.serve().await;
    let (checker, repository) = (Checker::new(&client()), repository(&server, "a"));
    for _ in 0..3 {
        assert_eq!(check(&checker, &repository, &index, Level::L1).await, Finding::Held);
    }
    let heads = server.lines().iter().filter(|line| line.starts_with("HEAD /v2/a/blobs/")).count();
    assert_eq!((server.seen().len(), heads), (3 + 4, 4), "{:?}", server.lines());
    let elsewhere = self::repository(&server, "b");
    check(&checker, &elsewhere, &index, Level::L1).await;
    assert_eq!(server.seen().len(), 14, "what one repository holds another one may lack");
}

#[tokio::test]
async fn a_blob_that_is_gone_is_named_with_its_platform() {
    let mut content = Content::default();
    let (index, blob) = release(&mut content);
    content.by_digest.remove(&blob.to_string());
    let server = content.serve().await;
    let (checker, repository) = (Checker::new(&client()), repository(&server, "a"));
    let found = check(&checker, &repository, &index, Level::L1).await;
    let Finding::Incomplete(lacks) = found else { panic!("{found:?}") };
    assert_eq!(shown(&lacks), [format!("blob {blob} (linux/arm64) is missing")]);
    assert_eq!(check(&checker, &repository, &index, Level::L0).await, Finding::Held, "L0 does not see it");
}

#[tokio::test]
async fn l2_finds_a_byte_that_changed() {
    let mut content = Content::default();
    let (index, blob) = release(&mut content);
    content.by_digest.insert(blob.to_string(), b"arn".to_vec());
    let server = content.serve().await;
    let (checker, repository) = (Checker::new(&client()), repository(&server, "a"));
    assert_eq!(check(&checker, &repository, &index, Level::L1).await, Finding::Held, "L1 does not see it");
    let Finding::Incomplete(parts) = check(&checker, &repository, &index, Level::L2).await else { panic!() };
    assert!(shown(&parts)[0].starts_with(&format!("blob {blob} (linux/arm64) is damaged")), "{parts:?}");
}

#[tokio::test]
async fn b03_refusals_are_unknown_and_asked_once() {
    for status in [401, 403, 429, 500, 503, 400, 405] {
        let mut content = Content::default();
        let (index, blob) = release(&mut content);
        content.instead.insert(blob.to_string(), status);
        let server = content.clone().serve().await;
        let (checker, repository) = (Checker::new(&client()), repository(&server, "a"));
        let found = check(&checker, &repository, &index, Level::L1).await;
        assert!(matches!(found, Finding::Unknown(..)), "{status}: {found:?}");
        if status == 429 {
            let asked = server.lines().iter().filter(|line| line.contains(blob.hex())).count();
            assert_eq!(asked, 1);
        }
        content.instead.insert(index.to_string(), status);
        let server = content.serve().await;
        let repository = self::repository(&server, "a");
        for level in [Level::L0, Level::L1] {
            let found = check(&Checker::new(&client()), &repository, &index, level).await;
            assert!(matches!(found, Finding::Unknown(..)), "{status}: {found:?}");
        }
    }
}

#[tokio::test]
async fn b12_only_a_manifest_that_is_not_there_sends_a_consumer_on() {
    let mut content = Content::default();
    let (index, _) = release(&mut content);
    let absent = Digest::of(Algorithm::Sha256, b"absent");
    let damaged = Digest::of(Algorithm::Sha256, b"damaged");
    content.by_digest.insert(damaged.to_string(), b"{\"layers\": []}".to_vec());
    let lacking = content.index(&[(&absent, "arm64")]);
    let server = content.serve().await;
    let (checker, repository) = (Checker::new(&client()), repository(&server, "a"));
    for level in [Level::L0, Level::L1, Level::L2] {
        assert_eq!(check(&checker, &repository, &absent, level).await, Finding::Absent);
        assert_eq!(check(&checker, &repository, &index, level).await, Finding::Held);
    }
    let Finding::Incomplete(parts) = check(&checker, &repository, &lacking, Level::L1).await else { panic!() };
    assert_eq!(shown(&parts), [format!("manifest {absent} (linux/arm64) is missing")]);
    let Finding::Incomplete(parts) = check(&checker, &repository, &damaged, Level::L1).await else { panic!() };
    assert!(shown(&parts)[0].contains("is damaged"), "{parts:?}");
}

struct TwoPlaces {
    checker: Checker,
    mirror: Repository,
    empty: Repository,
}

impl Ask for TwoPlaces {
    fn ask<'a>(&'a self, question: &'a Question) -> LocalBoxFuture<'a, Finding> {
        let (path, digest) = question.reference.split_once('@').unwrap();
        let repository = if path == "mirror" { &self.mirror } else { &self.empty };
        let digest = Digest::parse(digest).unwrap();
        Box::pin(async move { check(&self.checker, repository, &digest, question.level).await })
    }
}

#[tokio::test]
async fn a_fleet_asks_once_for_what_its_clusters_share() {
    let mut content = Content::default();
    let (index, _) = release(&mut content);
    let server = content.serve().await;
    let (mirror, empty) = (repository(&server, "mirror"), repository(&server, "empty"));
    let absent = Digest::of(Algorithm::Sha256, b"absent");
    let question = |path: &str, digest: &Digest| Question {
        reference: format!("{path}@{digest}"),
        credential: Credential::Anonymous.id(),
        trust: TrustId::default(),
        level: Level::L1,
        is_insecure: false,
    };
    let endpoint = |question| Endpoint { question, is_blocked: false, origin: "IDMS a".to_owned() };
    let demand = |endpoints| Demand {
        image: "i".into(),
        group: "g".into(),
        name: "n".into(),
        cluster: String::new(),
        consumer: "c".into(),
        endpoints,
        error: None,
        is_unordered: false,
        is_signed: false,
    };
    let held = demand(vec![endpoint(question("empty", &absent)), endpoint(question("mirror", &index))]);
    let demands = [held.clone(), held.clone(), held, demand(vec![endpoint(question("empty", &absent))])];
    let asker = TwoPlaces { checker: Checker::new(&client()), mirror, empty };
    let findings = prove(&demands, &asker, |_| {}).await;
    let verdicts: Vec<Verdict> = demands.iter().map(|demand| judge(demand, &findings)).collect();
    assert!(
        verdicts[..3]
            .iter()
            .all(|verdict| matches!(verdict, Verdict::Held { reference, .. } if reference.starts_with("mirror@")))
    );
    assert!(matches!(verdicts[3], Verdict::Missing { .. }));
    assert_eq!(server.seen().len(), 1 + 7, "{:?}", server.lines());
}

/// A signature as cosign pushes it: below a tag of the signed manifest.
fn sign(content: &mut Content, image: &Digest) -> Digest {
    let payload = content.add(format!("signature of {image}").into_bytes());
    let layer = json!({"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": payload, "size": 0});
    let manifest = json!({"mediaType": ManifestType::OciImage.name(), "layers": [layer]});
    let tag = format!("{}.sig", image.referrers_tag());
    content.by_digest.insert(tag, serde_json::to_vec(&manifest).unwrap());
    payload
}

#[tokio::test]
async fn ls_finds_signatures_of_single_images_by_tag() {
    let mut content = Content::default();
    let (amd, _) = content.image("amd");
    let (arm, _) = content.image("arm");
    let index = content.index(&[(&amd, "amd64"), (&arm, "arm64")]);
    let payload = sign(&mut content, &amd);
    let asked = async |content: &Content| {
        let server = content.clone().serve().await;
        check(&Checker::new(&client()), &repository(&server, "a"), &index, Level::LS).await
    };
    let Finding::Incomplete(lacks) = asked(&content).await else { panic!() };
    assert_eq!(shown(&lacks), [format!("signature of {arm} (linux/arm64) is missing")]);
    sign(&mut content, &arm);
    assert_eq!(asked(&content).await, Finding::Held, "the index itself needs none");
    content.by_digest.remove(&payload.to_string());
    let Finding::Incomplete(lacks) = asked(&content).await else { panic!() };
    assert!(shown(&lacks)[0].starts_with(&format!("signature of {amd} (linux/amd64) is incomplete: tag")), "{lacks:?}");
    content.by_digest.insert(format!("{}.sig", amd.referrers_tag()), content.by_digest[&index.to_string()].clone());
    let Finding::Incomplete(lacks) = asked(&content).await else { panic!() };
    assert!(shown(&lacks)[0].contains("has none"), "{lacks:?}");
    content.instead.insert(format!("{}.sig", amd.referrers_tag()), 503);
    assert!(matches!(asked(&content).await, Finding::Unknown(..)), "only what is not there is missing");
}

#[tokio::test]
async fn ls_finds_signatures_among_referrers() {
    let mut content = Content::default();
    let (image, _) = content.image("amd");
    let bundle = content.add(b"bundle".to_vec());
    let layer = json!({"mediaType": "application/x", "digest": bundle, "size": 6});
    let manifest = json!({"mediaType": ManifestType::OciImage.name(), "layers": [layer]});
    let signature = content.add_json(&manifest);
    let list = |of: &str| {
        let entry =
            json!({"mediaType": ManifestType::OciImage.name(), "digest": signature, "size": 1, "artifactType": of});
        serde_json::to_vec(&json!({"mediaType": ManifestType::OciIndex.name(), "manifests": [entry]})).unwrap()
    };
    let asked = async |content: &Content| {
        let server = content.clone().serve().await;
        check(&Checker::new(&client()), &repository(&server, "a"), &image, Level::LS).await
    };
    content.by_digest.insert(image.referrers_tag(), list("application/spdx+json"));
    assert!(matches!(asked(&content).await, Finding::Incomplete(_)), "an SBOM is no signature");
    content.by_digest.insert(image.referrers_tag(), list("application/vnd.dev.sigstore.bundle.v0.3+json"));
    assert_eq!(asked(&content).await, Finding::Held);
    content.by_digest.remove(&bundle.to_string());
    assert!(matches!(asked(&content).await, Finding::Incomplete(_)));
}

#[tokio::test]
async fn a_registry_that_answers_200_to_everything_proves_nothing() {
    let server = Server::start(|seen| {
        let page = "<html>welcome, please log in</html>";
        let headers = [("content-type", "text/html")];
        answer(200, &headers, if seen.method == Method::HEAD { "" } else { page })
    })
    .await;
    let digest = Digest::of(Algorithm::Sha256, b"x");
    for level in [Level::L0, Level::L1, Level::L2, Level::LS] {
        let found = check(&Checker::new(&client()), &repository(&server, "a"), &digest, level).await;
        assert!(
            matches!(&found, Finding::Incomplete(lacks) if shown(lacks)[0].contains("is damaged")),
            "{level:?}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_blob_of_another_size_is_damaged() {
    let mut content = Content::default();
    let (index, blob) = release(&mut content);
    let hex = blob.hex().to_owned();
    for (range, is_held) in [("bytes 0-0/3", true), ("bytes 0-0/999", false)] {
        let (contents, hex) = (content.by_digest.clone(), hex.clone());
        let server = Server::start(move |seen| {
            let name = seen.uri.path().rsplit('/').next().unwrap();
            let Some(bytes) = contents.get(name) else { return answer(404, &[], "") };
            match seen.method {
                Method::HEAD if name.ends_with(&hex) => answer(200, &[("content-length", "999")], ""),
                Method::GET if name.ends_with(&hex) => answer(206, &[("content-range", range)], "x"),
                Method::HEAD => answer(200, &[], ""),
                _ => answer(200, &[], bytes.clone()),
            }
        })
        .await;
        let found = check(&Checker::new(&client()), &repository(&server, "a"), &index, Level::L1).await;
        assert_eq!(found == Finding::Held, is_held, "{found:?}");
    }
}

#[tokio::test]
async fn a_sample_reads_configs_and_asks_for_the_other_blobs() {
    let mut content = Content::default();
    let (index, _) = release(&mut content);
    let server = content.serve().await;
    let checker = Checker::sampling(&client(), Sample::Percent { percent: 0, seed: 1 });
    assert_eq!(check(&checker, &repository(&server, "a"), &index, Level::L2).await, Finding::Held);
    let read = server.lines().iter().filter(|line| line.starts_with("GET /v2/a/blobs/")).count();
    assert_eq!((read, checker.hashed()), (1, 1), "both images have one config: {:?}", server.lines());
}

#[tokio::test]
async fn hostile_manifests_cost_a_bounded_number_of_requests() {
    let mut content = Content::default();
    let blob = |number: usize| json!({"mediaType": "application/x", "digest": Digest::of(Algorithm::Sha256, &number.to_be_bytes()), "size": 1});
    let layers: Vec<Value> = (0..=MAX_BLOBS).map(blob).collect();
    let wide = content.add_json(&json!({"mediaType": ManifestType::OciImage.name(), "layers": layers}));
    let children: Vec<Value> = (0..=MAX_MANIFESTS).map(blob).collect();
    let broad = content.add_json(&json!({"mediaType": ManifestType::OciIndex.name(), "manifests": children}));
    let mut deep = content.image("amd").0;
    for _ in 0..MAX_DEPTH {
        deep = content.index(&[(&deep, "amd64")]);
    }
    let server = content.serve().await;
    for (digest, expected, most) in
        [(wide, "more than 2000 blobs", 1), (broad, "more than 1000 manifests", 1), (deep, "nested deeper", MAX_DEPTH)]
    {
        let before = server.seen().len();
        let found = check(&Checker::new(&client()), &repository(&server, "a"), &digest, Level::L1).await;
        assert!(matches!(&found, Finding::Unknown(Reason::Invalid, why) if why.contains(expected)), "{found:?}");
        assert!(server.seen().len() - before <= most, "{:?}", server.lines().len());
    }
}
