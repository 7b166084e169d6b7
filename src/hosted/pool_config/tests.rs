use hypermirror_api::hypershift::{LocalObjectReference, NodePoolCondition, NodePoolSpec, NodePoolStatus};

use super::*;
use crate::mirrors::finding::FindingReason;

const IDMS: &str = "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata: {name: a}\nspec:\n  imageDigestMirrors:\n  - {source: registry.example, mirrors: [mirror.example/r]}\n";

fn documents(text: &str) -> ConfigDocuments {
    read("clusters", "tuning", &BTreeMap::from([(KEY.to_owned(), text.to_owned())]))
}

fn problems(text: &str) -> Vec<String> {
    documents(text).problems.into_iter().map(|trouble| trouble.message).collect()
}

fn machine(kind: &str, spec: &str) -> String {
    format!("apiVersion: machineconfiguration.openshift.io/v1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n")
}

#[test]
fn all_seven_kinds_in_one_config_map_are_accepted() {
    let policy = "apiVersion: config.openshift.io/v1alpha1\nkind: ClusterImagePolicy\nspec: {scopes: [a.example], policy: {rootOfTrust: {policyType: PublicKey, publicKey: {keyData: eA==}}}}\n";
    let icsp = "apiVersion: operator.openshift.io/v1alpha1\nkind: ImageContentSourcePolicy\nspec: {repositoryDigestMirrors: [{source: old.example, mirrors: [m.example]}]}\n";
    let parts = [
        machine("MachineConfig", "{config: {ignition: {version: 3.2.0}}, kernelArguments: [a=b]}"),
        machine("KubeletConfig", "{kubeletConfig: {maxPods: 100}}"),
        machine("ContainerRuntimeConfig", "{containerRuntimeConfig: {pidsLimit: 4096}}"),
        icsp.to_owned(),
        IDMS.to_owned(),
        IDMS.replace("Digest", "Tag"),
        policy.to_owned(),
    ];
    let found = documents(&parts.join("---\n"));
    assert_eq!((found.problems, found.findings), (vec![], vec![]));
    let scopes: Vec<&String> = found.policies.iter().flat_map(|policy| &policy.scopes).collect();
    assert_eq!(scopes, ["a.example"], "one of v1alpha1 is in force as one of v1");
    let pools: Vec<(PullBy, Option<usize>)> =
        found.entries.iter().map(|entry| (entry.pull_by, entry.origin.document)).collect();
    assert_eq!(pools, [(PullBy::Digest, Some(3)), (PullBy::Digest, Some(4)), (PullBy::Tag, Some(5))]);
    assert!(found.has_tag_mirrors);
}

#[test]
fn a_document_that_no_node_can_use_is_named() {
    let place = "ConfigMap clusters/tuning, key config, document 1 (line 1): ";
    for (text, expected) in [
        (
            machine("KubeletConfg", "{}"),
            "kind KubeletConfg of \"machineconfiguration.openshift.io/v1\" is not a supported node configuration",
        ),
        ("spec: {}\n".to_owned(), "has no kind; HyperShift rejects it"),
        (
            machine("ContainerRuntimeConfig", "{containerRuntimeConfig: {pidsLimit: many}}"),
            "spec.containerRuntimeConfig.pidsLimit: \"many\" is not an integer",
        ),
        (
            machine("MachineConfig", "{config: {ignition: {version: 4.0.0}}}"),
            "spec.config.ignition.version: \"4.0.0\" is not a supported version",
        ),
        (
            machine(
                "MachineConfig",
                "{config: {ignition: {version: 3.2.0}, storage: {files: [{path: /etc/containers/registries.conf.d/50-hypermirror.conf}]}}}",
            ),
            "spec.config.storage.files[0].path: \"/etc/containers/registries.conf.d/50-hypermirror.conf\" is reserved",
        ),
        (IDMS.replace("v1\n", "v2\n"), "apiVersion: \"config.openshift.io/v2\" is not config.openshift.io/v1"),
    ] {
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(&format!("{place}{expected}")), "{}", found[0]);
    }
}

#[test]
fn problems_that_hypershift_ignores_are_reported() {
    let misspelt = documents(&IDMS.replace("imageDigestMirrors", "imageDigestMirors"));
    assert_eq!(misspelt.findings[0].field, "spec.imageDigestMirors");
    let twice = problems(&format!("{IDMS}kind: ImageTagMirrorSet\n"));
    assert!(twice[0].contains("duplicate"), "{twice:?}");
    let selected = documents(&machine(
        "KubeletConfig",
        "{kubeletConfig: {}, machineConfigPoolSelector: {matchLabels: {custom: a}}, logLevl: 4}",
    ));
    let found: Vec<(FindingReason, &str)> =
        selected.findings.iter().map(|finding| (finding.reason, finding.field.as_str())).collect();
    let expected = [
        (FindingReason::UnknownField, "spec.logLevl"),
        (FindingReason::FieldReplaced, "spec.machineConfigPoolSelector"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_config_map_without_its_key_and_a_separator_that_upstream_refuses_are_errors() {
    let reasons = |data: &[(&str, &str)]| {
        let data = data.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        read("clusters", "tuning", &data).problems.into_iter().map(|trouble| trouble.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&[]), [Reason::ConfigMapKeyMissing]);
    assert_eq!(reasons(&[("Config", IDMS)]), [Reason::ConfigMapKeyMissing]);
    assert_eq!(reasons(&[("config", "# nothing\n")]), [Reason::ConfigMapKeyMissing]);
    let found = problems(&format!("{IDMS}--- next\n{IDMS}"));
    assert!(
        found[0].starts_with("ConfigMap clusters/tuning, key config, line 7: only a comment may follow ---"),
        "{found:?}"
    );
    assert!(problems(&format!("{IDMS}--- # next\n{IDMS}")).is_empty());
}

fn pool(config: &[&str], annotation: &str) -> PoolConfig {
    let config = config.iter().map(|name| LocalObjectReference { name: (*name).to_owned() }).collect();
    let mut pool =
        NodePool::new("workers", NodePoolSpec { cluster_name: "west".into(), config, ..NodePoolSpec::default() });
    pool.annotations_mut().insert(annotations::CONFIG.to_owned(), annotation.to_owned());
    let message = format!("configmap \"tags\" yaml document failed validation: {REFUSED_TAGS}");
    let condition = NodePoolCondition { type_: "ValidMachineConfig".into(), status: "False".into(), message };
    pool.status = Some(NodePoolStatus { conditions: vec![condition], ..NodePoolStatus::default() });
    PoolConfig::of(&pool)
}

#[test]
fn a_config_map_in_both_places_counts_once_and_an_error_has_the_fix() {
    let config = pool(&["a", "b"], " c, b,,c ");
    assert_eq!(config.config_maps().collect::<Vec<_>>(), ["a", "b", "c"]);
    let nothing = |_: &str| ReferredConfig::Read(Arc::new(documents(IDMS)), "1".to_owned());
    let (sources, _) = PoolSources::new("clusters", &config, nothing, &LastDocuments::default());
    assert_eq!(sources.replacing, ["a", "b"]);
    let reported = condition(&BTreeMap::from([("workers".to_owned(), sources)])).unwrap();
    assert_eq!((reported.status, reported.reason), ("False", Reason::RefusedByHyperShift));
    assert!(reported.message.contains("that annotation hypermirror.dev/config references"), "{}", reported.message);
}

#[test]
fn the_last_valid_content_stays_in_use_and_without_one_entries_are_kept() {
    let config = PoolConfig { own: vec!["a".into()], ..PoolConfig::default() };
    let good = |_: &str| ReferredConfig::Read(Arc::new(documents(IDMS)), "1".to_owned());
    let bad = |_: &str| ReferredConfig::Read(Arc::new(documents("kind: [")), "2".to_owned());
    let (_, in_force) = PoolSources::new("clusters", &config, good, &LastDocuments::default());
    let (sources, still) = PoolSources::new("clusters", &config, bad, &in_force);
    assert_eq!((sources.entries.len(), sources.lost.is_empty(), still == in_force), (1, true, true));
    assert_eq!(sources.problems[0].reason, Reason::ConfigMapInvalid);
    let (lost, _) = PoolSources::new("clusters", &config, |_| ReferredConfig::Missing, &LastDocuments::default());
    let names: Vec<&str> = lost.lost.iter().map(String::as_str).collect();
    assert_eq!((lost.entries.len(), names), (0, vec!["a"]));
}
