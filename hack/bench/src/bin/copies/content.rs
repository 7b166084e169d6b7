//! Images of known sizes in a registry.

use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::Synthetic;
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

const MIB: usize = 1 << 20;

/// Images that share layers, each in a repository of its own: three of four bases, two layers of their own, a configuration.
/// 40 images have 66 MiB without what comes twice. Returns the repositories; the tag of each is `v1`.
pub fn shared_layers(registry: &MockRegistry, images: usize) -> Vec<String> {
    let bases: Vec<_> = (0..4).map(|base| layer(4 * MIB, base)).collect();
    (0..images)
        .map(|image| {
            let repository = format!("team/app-{image}");
            let shared =
                bases.iter().enumerate().filter(|(base, _)| *base != image % 4).map(|(_, layer)| layer.clone());
            let own = (0..2).map(|number| layer(5 * MIB / 8, 100 + 2 * image + number));
            let layers: Vec<_> = shared.chain(own).collect();
            add(registry, &repository, "v1", &layers, image);
            repository
        })
        .collect()
}

/// One repository whose tags are images of one small layer each. Returns the tags.
pub fn many_tags(registry: &MockRegistry, repository: &str, tags: usize) -> Vec<String> {
    (0..tags)
        .map(|number| {
            let tag = format!("v1.{number}.0");
            add(registry, repository, &tag, &[layer(4_096, 10_000 + number)], number);
            tag
        })
        .collect()
}

/// Images of one layer of so many bytes, which is made while it is read and known to the destination.
pub fn streams(source: &MockRegistry, destination: &MockRegistry, images: u64, size: u64) -> Vec<String> {
    (0..images)
        .map(|image| {
            let (repository, content) = (format!("team/large-{image}"), Synthetic::new(size, image + 1));
            destination.store().recognise(content);
            let digest = source.store().add_synthetic(&repository, content);
            let layer = json!({"mediaType": LAYER, "digest": &*digest, "size": size});
            add_manifest(source, &repository, "v1", &[layer], &format!("{{\"image\": {image}}}"));
            repository
        })
        .collect()
}

/// Bytes that nothing makes smaller, with the first bytes of gzip: skopeo compresses what is not compressed.
fn layer(size: usize, seed: usize) -> Vec<u8> {
    let mut state = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let mut bytes = vec![0x1f, 0x8b, 8, 0];
    bytes.extend(words.take(size / 8).flatten());
    bytes
}

fn add(registry: &MockRegistry, repository: &str, tag: &str, layers: &[Vec<u8>], image: usize) {
    let describe = |bytes: &Vec<u8>| {
        let digest = registry.store().add_blob(repository, bytes.clone());
        json!({"mediaType": LAYER, "digest": &*digest, "size": bytes.len()})
    };
    let layers: Vec<_> = layers.iter().map(describe).collect();
    let config =
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "image": image});
    add_manifest(registry, repository, tag, &layers, &config.to_string());
}

fn add_manifest(registry: &MockRegistry, repository: &str, tag: &str, layers: &[Value], config: &str) {
    let mut store = registry.store();
    let digest = store.add_blob(repository, config.to_owned());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": &*digest, "size": config.len()},
        "layers": layers,
    });
    let digest = store.add_manifest(repository, MANIFEST, manifest.to_string());
    store.tag(repository, tag, &digest);
}
