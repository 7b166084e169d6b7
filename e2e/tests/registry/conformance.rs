//! The official conformance program judges the mock: what the client is tested with is a registry.

use anyhow::Result;
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::conformance::Report;

/// The APIs of each category of the specification. All of them must have been tested.
const CATEGORIES: [(&str, &[&str]); 4] = [
    ("pull", &["Ping", "Blob get", "Blob get range", "Blob head", "Manifest get by digest", "Manifest get by tag"]),
    (
        "push",
        &[
            "Blob post only",
            "Blob post put",
            "Blob chunked",
            "Blob streaming",
            "Blob mount",
            "Blob anonymous mount",
            "Blob upload cancel",
            "Manifest put by digest",
            "Manifest put by tag",
            "Manifest put with tag params",
            "Manifest put with subject",
        ],
    ),
    ("content discovery", &["Tag listing", "Referrers"]),
    ("content management", &["Tag delete", "Manifest delete", "Blob delete", "Blob delete atomic"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_mock_passes_the_official_conformance_in_all_categories() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let registry = MockRegistry::start().await?;
    let report = Report::of(&registry.host(), directory.path(), false).await?;
    for (category, apis) in CATEGORIES {
        for api in apis {
            assert_eq!(report.apis.get(*api).map(String::as_str), Some("Pass"), "{category}: {api}\n{}", report.log);
        }
    }
    assert_eq!(report.others(), [("Sparse Manifests", "Disabled")], "{}", report.log);
    registry.behave(|behavior| behavior.demands_content = false);
    let report = Report::of(&registry.host(), directory.path(), true).await?;
    assert_eq!(report.others(), [], "{}", report.log);
    assert!(report.data.len() > 20, "kinds of content: {:?}", report.data);
    Ok(())
}
