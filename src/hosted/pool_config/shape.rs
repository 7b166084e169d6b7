//! The fields of the kinds that the machine-config-operator reads, as their stock CRDs have them.

use serde_json::Value;

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Any value, which the CRD preserves.
    Any,
    /// A string.
    Text,
    /// An integer.
    Number,
    /// `true` or `false`.
    Flag,
    /// A number or a string, such as `8Gi`.
    Quantity,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A list.
    List(&'static Shape),
    /// A map of strings.
    Texts,
    /// An object with these fields.
    Object(&'static [(&'static str, Shape)]),
}

use Shape::{Any, Flag, List, Number, Object, OneOf, Quantity, Text, Texts};

/// A value of the wrong type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The path of the field.
    pub field: String,
    /// The error.
    pub message: String,
    /// Whether the kind does not have this field. Stock HyperShift drops it silently.
    pub is_unknown: bool,
}

const REQUIREMENT: Shape = Object(&[("key", Text), ("operator", Text), ("values", List(&Text))]);
const SELECTOR: Shape = Object(&[("matchExpressions", List(&REQUIREMENT)), ("matchLabels", Texts)]);
const TLS_VERSION: Shape = OneOf(&["VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"]);
const STORES: Shape = List(&Object(&[("path", Text)]));

/// `MachineConfig.spec`. Ignition defines `config`.
pub const MACHINE_CONFIG: Shape = Object(&[
    ("baseOSExtensionsContainerImage", Text),
    ("config", Any),
    ("extensions", List(&Text)),
    ("fips", Flag),
    ("kernelArguments", List(&Text)),
    ("kernelType", Text),
    ("osImageURL", Text),
]);

/// `KubeletConfig.spec`. The kubelet defines `kubeletConfig`.
pub const KUBELET_CONFIG: Shape = Object(&[
    ("autoSizingReserved", Flag),
    ("kubeletConfig", Any),
    ("logLevel", Number),
    ("machineConfigPoolSelector", SELECTOR),
    (
        "tlsSecurityProfile",
        Object(&[
            ("custom", Object(&[("ciphers", List(&Text)), ("minTLSVersion", TLS_VERSION)])),
            ("intermediate", Object(&[])),
            ("modern", Object(&[])),
            ("old", Object(&[])),
            ("type", OneOf(&["Old", "Intermediate", "Modern", "Custom"])),
        ]),
    ),
]);

/// `ContainerRuntimeConfig.spec`.
pub const CONTAINER_RUNTIME_CONFIG: Shape = Object(&[
    (
        "containerRuntimeConfig",
        Object(&[
            ("additionalArtifactStores", STORES),
            ("additionalImageStores", STORES),
            ("additionalLayerStores", STORES),
            ("defaultRuntime", OneOf(&["crun", "runc"])),
            ("logLevel", Text),
            ("logSizeMax", Quantity),
            ("overlaySize", Quantity),
            ("pidsLimit", Number),
        ]),
    ),
    ("machineConfigPoolSelector", SELECTOR),
]);

/// `ClusterImagePolicy.spec`.
pub const CLUSTER_IMAGE_POLICY: Shape = Object(&[
    (
        "policy",
        Object(&[
            (
                "rootOfTrust",
                Object(&[
                    (
                        "fulcioCAWithRekor",
                        Object(&[
                            ("fulcioCAData", Text),
                            ("fulcioSubject", Object(&[("oidcIssuer", Text), ("signedEmail", Text)])),
                            ("rekorKeyData", Text),
                        ]),
                    ),
                    (
                        "pki",
                        Object(&[
                            ("caIntermediatesData", Text),
                            ("caRootsData", Text),
                            ("pkiCertificateSubject", Object(&[("email", Text), ("hostname", Text)])),
                        ]),
                    ),
                    ("policyType", OneOf(&["PublicKey", "FulcioCAWithRekor", "PKI"])),
                    ("publicKey", Object(&[("keyData", Text), ("rekorKeyData", Text)])),
                ]),
            ),
            (
                "signedIdentity",
                Object(&[
                    ("exactRepository", Object(&[("repository", Text)])),
                    (
                        "matchPolicy",
                        OneOf(&["MatchRepoDigestOrExact", "MatchRepository", "ExactRepository", "RemapIdentity"]),
                    ),
                    ("remapIdentity", Object(&[("prefix", Text), ("signedPrefix", Text)])),
                ]),
            ),
        ]),
    ),
    ("scopes", List(&Text)),
]);

/// All values of the wrong type. Null counts as absent.
pub fn misfits(shape: Shape, value: &Value, path: &str) -> Vec<Misfit> {
    let misfit = |message: String| vec![Misfit { field: path.to_owned(), message, is_unknown: false }];
    let fits = |fits: bool, wanted: &str| if fits { Vec::new() } else { misfit(format!("{value} is not {wanted}")) };
    match shape {
        _ if value.is_null() => Vec::new(),
        Any => Vec::new(),
        Text => fits(value.is_string(), "a string"),
        Number => fits(value.is_i64() || value.is_u64(), "an integer"),
        Flag => fits(value.is_boolean(), "true or false"),
        Quantity => fits(value.is_string() || value.is_number(), "a quantity"),
        OneOf(texts) => {
            fits(value.as_str().is_some_and(|text| texts.contains(&text)), &format!("one of {}", texts.join(", ")))
        }
        List(element) => match value.as_array() {
            Some(list) => list
                .iter()
                .enumerate()
                .flat_map(|(index, value)| misfits(*element, value, &format!("{path}[{index}]")))
                .collect(),
            None => misfit(format!("{} is not a list", short(value))),
        },
        Texts => match value.as_object() {
            Some(map) => map.iter().flat_map(|(key, value)| misfits(Text, value, &format!("{path}[{key}]"))).collect(),
            None => misfit(format!("{} is not a map", short(value))),
        },
        Object(fields) => match value.as_object() {
            Some(object) => object.iter().flat_map(|(key, value)| field_misfits(fields, key, value, path)).collect(),
            None => misfit(format!("{} is not an object", short(value))),
        },
    }
}

fn field_misfits(fields: &[(&str, Shape)], key: &str, value: &Value, path: &str) -> Vec<Misfit> {
    let field = format!("{path}.{key}");
    if let Some((_, shape)) = fields.iter().find(|(name, _)| *name == key) {
        return misfits(*shape, value, &field);
    }
    let like = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
    let hint = like.map(|(name, _)| format!("; did you mean {name}?")).unwrap_or_default();
    let message = format!("is not a field of its kind and is silently dropped{hint}");
    vec![Misfit { field, message, is_unknown: true }]
}

fn short(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > 60 {
        let end = (0..=57).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn misspelt_and_mistyped_fields_are_found_at_every_depth() {
        let spec = json!({"containerRuntimeConfig": {"pidLimit": 5, "pidsLimit": "5", "logSizeMax": "8Gi", "LogLevel": "debug",
            "defaultRuntime": "kata"}, "machineConfigPoolSelector": {"matchLabels": {"a": 1}}});
        let found: Vec<String> = misfits(CONTAINER_RUNTIME_CONFIG, &spec, "spec")
            .into_iter()
            .map(|misfit| format!("{} {}", misfit.field, misfit.message))
            .collect();
        let expected = [
            "spec.containerRuntimeConfig.LogLevel is not a field of its kind and is silently dropped; did you mean logLevel?",
            "spec.containerRuntimeConfig.defaultRuntime \"kata\" is not one of crun, runc",
            "spec.containerRuntimeConfig.pidLimit is not a field of its kind and is silently dropped",
            "spec.containerRuntimeConfig.pidsLimit \"5\" is not an integer",
            "spec.machineConfigPoolSelector.matchLabels[a] 1 is not a string",
        ];
        assert_eq!(found, expected);
        assert!(
            misfits(KUBELET_CONFIG, &json!({"kubeletConfig": {"anything": [1]}, "logLevel": 4}), "spec").is_empty()
        );
    }
}
