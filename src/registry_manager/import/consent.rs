//! Which namespaces an ImportRule may name: a list from a flag. Pure.

use std::str::FromStr;

/// A namespace whose pods rules of other namespaces may count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The namespace of the rules; none: any.
    rules: Option<String>,
    /// The namespace of the pods; none: any that a rule names.
    pods: Option<String>,
}

fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

impl FromStr for Consent {
    type Err = String;

    /// Reads `images=team-a` (rules of the namespace `images` may count pods of `team-a`), `images=*`, or `team-a` (rules of any
    /// namespace).
    fn from_str(text: &str) -> Result<Self, String> {
        let (rules, pods) = match text.split_once('=') {
            Some((rules, pods)) => (Some(rules), pods),
            None => (None, text),
        };
        // Rules of any namespace for the pods of all: then whoever may create a rule anywhere learns about all pods.
        let is_valid = rules.is_none_or(is_label) && (is_label(pods) || pods == "*" && rules.is_some());
        if !is_valid {
            return Err(format!(
                "{text:?} is not [NAMESPACE-OF-RULES=]NAMESPACE-OF-PODS, for example images=team-a or images=*"
            ));
        }
        Ok(Self { rules: rules.map(str::to_owned), pods: (pods != "*").then(|| pods.to_owned()) })
    }
}

/// Whether a rule of one namespace may count the pods of another one.
pub fn consents(list: &[Consent], rules: &str, pods: &str) -> bool {
    let is = |wanted: &Option<String>, namespace: &str| wanted.as_ref().is_none_or(|wanted| wanted == namespace);
    rules == pods || list.iter().any(|consent| is(&consent.rules, rules) && is(&consent.pods, pods))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_counts_the_pods_of_its_own_namespace_and_of_those_that_are_allowed() {
        let list: Vec<Consent> = ["images=team-a", "central=*", "shared"].map(|text| text.parse().unwrap()).into();
        for (rules, pods) in [
            ("team-b", "team-b"),
            ("images", "team-a"),
            ("central", "team-c"),
            ("team-b", "shared"),
            ("images", "shared"),
        ] {
            assert!(consents(&list, rules, pods), "{rules} {pods}");
        }
        for (rules, pods) in [("images", "team-b"), ("team-b", "team-a"), ("team-a", "images"), ("shared", "team-a")] {
            assert!(!consents(&list, rules, pods), "{rules} {pods}");
        }
    }

    #[test]
    fn all_pods_are_never_open_to_all_rules() {
        for text in ["", "*", "*=a", "=a", "a=", "a=b=c", "A", "-a", "a=b*"] {
            assert!(text.parse::<Consent>().is_err(), "{text}");
        }
    }
}
