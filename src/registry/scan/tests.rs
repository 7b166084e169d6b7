use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::super::credentials::Credential;
use super::super::name::{RegistryAddress, Repository};
use super::super::policy::PolicyOptions;
use super::super::testing::{Server, answer};
use super::super::transport::{Transport, TransportOptions};
use super::super::wire::digest::Algorithm;
use super::super::wire::media_type::ManifestType;
use super::*;

/// What a registry holds: tags, and contents by their digests.
#[derive(Clone, Default)]
struct Content {
    tags: Vec<(String, Digest)>,
    by_digest: HashMap<String, Vec<u8>>,
}

impl Content {
    fn add(&mut self, value: &Value) -> Digest {
        let bytes = serde_json::to_vec(value).unwrap();
        let digest = Digest::of(Algorithm::Sha256, &bytes);
        self.by_digest.insert(digest.to_string(), bytes);
        digest
    }

    /// An image with a config that names it and with layers of these sizes, each its own blob.
    fn image(&mut self, name: &str, layers: &[u64]) -> Digest {
        let config = json!({"architecture": name, "os": "linux", "created": format!("20{name:0>2}-01-02T03:04:05Z")});
        let config = self.add(&config);
        let layer = |size: &u64| {
            let digest = Digest::of(Algorithm::Sha256, &size.to_be_bytes());
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size})
        };
        let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 10});
        let layers: Vec<Value> = layers.iter().map(layer).collect();
        self.add(&json!({"mediaType": ManifestType::OciImage.name(), "config": config, "layers": layers}))
    }

    fn index(&mut self, children: &[(&Digest, &str, &str)]) -> Digest {
        let child = |(digest, os, architecture): &(&Digest, &str, &str)| {
            let platform = json!({"os": os, "architecture": architecture});
            json!({"mediaType": ManifestType::OciImage.name(), "digest": digest, "size": 1, "platform": platform})
        };
        let children: Vec<Value> = children.iter().map(child).collect();
        self.add(&json!({"mediaType": ManifestType::OciIndex.name(), "manifests": children}))
    }

    fn tag(&mut self, tag: &str, digest: &Digest) {
        self.tags.push((tag.to_owned(), digest.clone()));
    }
}

/// A registry that answers what `content` holds at that time.
async fn serve(content: Arc<Mutex<Content>>) -> Server {
    Server::start(move |seen| {
        let content = content.lock().unwrap();
        let path = seen.uri.path();
        if path.ends_with("/tags/list") {
            let tags: Vec<&String> = content.tags.iter().map(|(tag, _)| tag).collect();
            return answer(200, &[], json!({"tags": tags}).to_string());
        }
        let reference = path.rsplit('/').next().unwrap();
        let by_tag = content.tags.iter().find(|(tag, _)| tag == reference).map(|(_, digest)| digest.to_string());
        let digest = by_tag.unwrap_or_else(|| reference.to_owned());
        let Some(bytes) = content.by_digest.get(&digest) else { return answer(404, &[], "") };
        let body = if seen.method == http::Method::HEAD { Vec::new() } else { bytes.clone() };
        answer(200, &[("docker-content-digest", &digest)], body)
    })
    .await
}

fn client() -> Client {
    let options = PolicyOptions { attempts: 1, ..PolicyOptions::default() };
    Client::new(Transport::new(TransportOptions::default()).unwrap(), options)
}

async fn scan_with(server: &Server, cache: &ContentCache, credential: &Credential, options: &ScanOptions) -> Inventory {
    let repository = Repository::new(RegistryAddress::parse(&server.url("")).unwrap(), "a").unwrap();
    scan(&client(), Target { repository: &repository, credential }, cache, options, |_| {}).await.unwrap()
}

async fn scan_all(server: &Server, options: &ScanOptions) -> Inventory {
    scan_with(server, &ContentCache::default(), &Credential::Anonymous, options).await
}

fn names(inventory: &Inventory) -> Vec<&str> {
    inventory.tags.iter().map(|tag| tag.tag.as_str()).collect()
}

#[tokio::test]
async fn sizes_count_each_blob_once() {
    let mut content = Content::default();
    let (amd, arm) = (content.image("24", &[100, 5]), content.image("25", &[100, 7]));
    let index = content.index(&[(&amd, "linux", "amd64"), (&arm, "linux", "arm64"), (&amd, "unknown", "unknown")]);
    content.tag("v1", &index);
    content.tag("v2", &amd);
    let server = serve(Arc::new(Mutex::new(content))).await;
    let inventory = scan_all(&server, &ScanOptions::default()).await;
    assert_eq!(names(&inventory), ["v2", "v1"]);
    let [single, multi] = &inventory.tags[..] else { panic!("{inventory:?}") };
    assert_eq!((single.content.size, multi.content.size, inventory.unique_bytes), (Some(115), Some(132), 132));
    let platforms: Vec<_> = multi.content.platforms.iter().map(|it| (it.platform.as_deref(), it.size)).collect();
    assert_eq!(platforms, [(Some("linux/amd64"), Some(115)), (Some("linux/arm64"), Some(117))]);
    assert_eq!((multi.content.attestations, single.content.platforms[0].platform.as_deref()), (1, None));
    let with_platforms = scan_all(&server, &ScanOptions { has_platforms: true, ..ScanOptions::default() }).await;
    assert_eq!(with_platforms.tags[0].content.platforms[0].platform.as_deref(), Some("linux/24"));
}

#[tokio::test]
async fn tags_come_in_the_order_that_was_asked_for() {
    let mut content = Content::default();
    for (tag, year) in [("v1.9", "25"), ("v1.10", "23"), ("latest", "24"), ("v1.10-rc1", "22")] {
        let image = content.image(year, &[1]);
        content.tag(tag, &image);
    }
    let server = serve(Arc::new(Mutex::new(content))).await;
    let orders = [
        (Sort::Version, vec!["v1.10", "v1.10-rc1", "v1.9", "latest"]),
        (Sort::Oldest, vec!["v1.9", "v1.10-rc1", "v1.10", "latest"]),
        (Sort::Name, vec!["latest", "v1.10", "v1.10-rc1", "v1.9"]),
        (Sort::Created, vec!["v1.9", "latest", "v1.10", "v1.10-rc1"]),
    ];
    let mut revisions = BTreeSet::new();
    for (sort, expected) in orders {
        let inventory = scan_all(&server, &ScanOptions { sort, ..ScanOptions::default() }).await;
        assert_eq!(names(&inventory), expected, "{sort:?}");
        revisions.insert(inventory.revision);
        let two = scan_all(&server, &ScanOptions { sort, limit: Some(2), ..ScanOptions::default() }).await;
        assert_eq!(names(&two), expected[..2], "{sort:?}");
    }
    assert_eq!(revisions.len(), 1, "the order does not change the revision");
}

#[tokio::test]
async fn what_was_seen_is_not_read_again() {
    let content = Arc::new(Mutex::new(Content::default()));
    {
        let mut content = content.lock().unwrap();
        let image = content.image("24", &[1]);
        let index = content.index(&[(&image, "linux", "amd64")]);
        for number in 0..50 {
            content.tag(&format!("v{number}.0"), &index);
        }
    }
    let server = serve(content.clone()).await;
    let cache = ContentCache::default();
    let first = scan_with(&server, &cache, &Credential::Anonymous, &ScanOptions::default()).await;
    let gets = |server: &Server| {
        server.lines().into_iter().filter(|it| it.starts_with("GET") && it.contains("manifests")).count()
    };
    assert_eq!(
        (server.seen().len(), gets(&server)),
        (1 + 50 + 2, 2),
        "a page, a HEAD for each tag, the index and its image"
    );
    let second = scan_with(&server, &cache, &Credential::Anonymous, &ScanOptions::default()).await;
    assert_eq!((second, gets(&server)), (first.clone(), 2));
    let added = content.lock().unwrap().image("25", &[2]);
    content.lock().unwrap().tag("v50.0", &added);
    let third = scan_with(&server, &cache, &Credential::Anonymous, &ScanOptions::default()).await;
    assert_eq!((third.tags.len(), gets(&server)), (51, 3));
    assert_ne!(third.revision, first.revision);
}

#[tokio::test]
async fn tags_of_one_digest_share_what_is_known_of_it() {
    let mut content = Content::default();
    let image = content.image("24", &[1]);
    content.tag("v1", &image);
    content.tag("v2", &image);
    let server = serve(Arc::new(Mutex::new(content))).await;
    let inventory = scan_all(&server, &ScanOptions::default()).await;
    let [one, other] = &inventory.tags[..] else { panic!("{inventory:?}") };
    let hex = |tag: &ScannedTag| tag.digest.as_ref().unwrap().hex().as_ptr();
    assert!(Arc::ptr_eq(&one.content, &other.content) && hex(one) == hex(other));
    assert!(size_of::<ScannedTag>() <= 56, "a repository may have a hundred thousand of them");
}

#[tokio::test]
async fn what_one_credential_read_is_not_shown_to_another() {
    let mut content = Content::default();
    let image = content.image("24", &[1]);
    content.tag("v1", &image);
    let content = Arc::new(Mutex::new(content));
    let server = serve(content.clone()).await;
    let cache = ContentCache::default();
    let options = ScanOptions::default();
    let own = scan_with(&server, &cache, &Credential::basic("u", "p"), &options).await;
    assert_eq!(own.tags[0].content.size, Some(11));
    // The registry still answers the HEAD, but no longer the manifest: a digest alone opens nothing.
    content.lock().unwrap().by_digest.insert(image.to_string(), Vec::new());
    let other = scan_with(&server, &cache, &Credential::Anonymous, &options).await;
    assert!(other.tags[0].content.size.is_none() && other.tags[0].content.error.is_some(), "{other:?}");
    assert_eq!(scan_with(&server, &cache, &Credential::basic("u", "p"), &options).await.tags[0].content.size, Some(11));
}

#[tokio::test]
async fn b12_one_tag_that_cannot_be_read_does_not_fail_the_others() {
    let mut content = Content::default();
    let (good, gone) = (content.image("24", &[1]), content.image("25", &[1]));
    let index = content.index(&[(&good, "linux", "amd64"), (&gone, "linux", "arm64")]);
    let nowhere = Digest::of(Algorithm::Sha256, b"nowhere");
    content.by_digest.remove(&gone.to_string());
    for (tag, digest) in [("v1", &good), ("v2", &index), ("v3", &nowhere)] {
        content.tag(tag, digest);
    }
    let server = serve(Arc::new(Mutex::new(content))).await;
    let inventory = scan_all(&server, &ScanOptions::default()).await;
    let [v3, v2, v1] = &inventory.tags[..] else { panic!("{inventory:?}") };
    assert_eq!(v1.content.size, Some(11));
    let error = v3.content.error.as_ref().unwrap();
    assert!(error.reason == "NotFound" && error.message.contains("/a:v3: 404"), "{error:?}");
    assert!(v2.content.error.is_none() && v2.content.size.is_none(), "{v2:?}");
    let arm = v2.content.platforms[1].error.as_ref().unwrap();
    assert!(arm.reason == "NotFound" && arm.message.contains(gone.hex()), "{arm:?}");
}

#[tokio::test]
async fn b15_images_of_schema_1_are_listed_without_platforms() {
    let mut content = Content::default();
    let old = content.add(&json!({"schemaVersion": 1, "name": "a", "fsLayers": []}));
    content.tag("v1", &old);
    let server = serve(Arc::new(Mutex::new(content))).await;
    let tag = &scan_all(&server, &ScanOptions::default()).await.tags[0];
    assert!(tag.content.media_type.unwrap().contains("v1+prettyjws") && tag.content.error.is_none(), "{tag:?}");
    assert!(tag.content.platforms.is_empty() && tag.content.size.is_none());
}

#[tokio::test]
async fn b17_nested_indexes_are_followed_to_the_depth_that_is_allowed() {
    let mut content = Content::default();
    let image = content.image("24", &[1]);
    let mut index = image;
    for depth in 1..=9 {
        index = content.index(&[(&index, "", "")]);
        content.tag(&format!("v{depth}.0"), &index);
    }
    let server = serve(Arc::new(Mutex::new(content))).await;
    let inventory = scan_all(&server, &ScanOptions::default()).await;
    let read: Vec<bool> = inventory.tags.iter().rev().map(|tag| tag.content.error.is_none()).collect();
    assert_eq!(read, [true, true, true, true, true, true, true, false, false], "{:?}", inventory.tags[0].content.error);
    assert_eq!(inventory.tags.last().unwrap().content.size, Some(11));
}

#[tokio::test]
async fn b18_attestations_that_the_registry_lacks_are_not_asked_for() {
    let mut content = Content::default();
    let image = content.image("24", &[1]);
    let absent = Digest::of(Algorithm::Sha256, b"absent");
    let index = content.index(&[(&image, "linux", "amd64"), (&absent, "unknown", "unknown")]);
    content.tag("v1", &index);
    let server = serve(Arc::new(Mutex::new(content))).await;
    let tag = &scan_all(&server, &ScanOptions::default()).await.tags[0];
    assert_eq!((tag.content.attestations, tag.content.platforms.len(), tag.content.size), (1, 1, Some(11)));
    assert!(!server.lines().iter().any(|line| line.contains(absent.hex())));
}

#[tokio::test]
async fn attachments_are_counted_as_left_out() {
    let mut content = Content::default();
    let image = content.image("24", &[1]);
    content.tag("v1", &image);
    content.tag(&format!("sha256-{}.sig", image.hex()), &image);
    let server = serve(Arc::new(Mutex::new(content))).await;
    let inventory = scan_all(&server, &ScanOptions::default()).await;
    assert_eq!((names(&inventory), inventory.tag_count, inventory.excluded), (vec!["v1"], 2, 1));
    let filter = TagFilter { has_attachments: true, ..TagFilter::default() };
    assert_eq!(scan_all(&server, &ScanOptions { filter, ..ScanOptions::default() }).await.tags.len(), 2);
}
