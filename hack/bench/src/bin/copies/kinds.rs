//! Where the requests of a copy go.

use std::collections::BTreeMap;

use hypermirror_e2e::MockRegistry;

/// Requests to a registry by what they are for.
pub type Kinds = BTreeMap<String, usize>;

/// Counts what a registry was asked.
pub fn of(registry: &MockRegistry) -> Kinds {
    let mut kinds = Kinds::new();
    for request in registry.requests() {
        let areas = ["uploads", "blobs", "manifests", "referrers", "tags"];
        let area = areas.into_iter().find(|area| request.path.contains(&format!("/{area}/"))).unwrap_or("other");
        let area = match (area, request.query.split('=').next()) {
            ("uploads", Some("mount")) => "mount",
            ("uploads", Some("digest")) if request.method.as_str() == "POST" => "whole blob",
            (area, _) => area,
        };
        *kinds.entry(format!("{} {area}", request.method)).or_default() += 1;
    }
    kinds
}

/// Prints them as rows of a table.
pub fn print(source: &Kinds, destination: &Kinds) {
    println!("\n| requests of one run | source | destination |\n|---|---|---|");
    let all: std::collections::BTreeSet<&String> = source.keys().chain(destination.keys()).collect();
    let count = |kinds: &Kinds, kind: &str| kinds.get(kind).map(ToString::to_string).unwrap_or_default();
    for kind in all {
        println!("| {kind} | {} | {} |", count(source, kind), count(destination, kind));
    }
}
