//! Demands from what `crate::mirrors` says about a pull. Pure.

use super::super::credentials::CredentialId;
use super::matrix::{Demand, Endpoint, Level, Question};
use crate::mirrors::registries::{EndpointOrigin, Explanation};

/// Who pulls an image and why, and how closely its places are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Pull<'a> {
    /// For people: `release 4.19.1: etcd`.
    pub need: &'a str,
    /// For people: `NodePool clusters/west`.
    pub consumer: &'a str,
    /// How closely.
    pub level: Level,
}

/// What a node that pulls an image demands. `credential` finds what the node shows the registry of a reference.
///
/// A pull that fails before any place is asked, such as one whose rewritten name is no reference, demands nothing that could be
/// held: it is missing, with the reason.
pub fn of_node(pull: Pull<'_>, explanation: &Explanation, credential: impl Fn(&str) -> CredentialId) -> Demand {
    let endpoint = |endpoint: &crate::mirrors::registries::Endpoint| Endpoint {
        question: Question {
            reference: endpoint.reference.clone(),
            credential: credential(&endpoint.reference),
            level: pull.level,
            is_insecure: endpoint.insecure,
        },
        is_blocked: endpoint.blocked,
        origin: endpoint.origin.as_ref().map(origin).unwrap_or_default(),
    };
    Demand {
        image: explanation.image.clone(),
        need: pull.need.to_owned(),
        consumer: pull.consumer.to_owned(),
        endpoints: explanation.endpoints.iter().map(endpoint).collect(),
        error: explanation.error.clone(),
    }
}

fn origin(origin: &EndpointOrigin) -> String {
    match origin {
        EndpointOrigin::File { file } => file.clone(),
        EndpointOrigin::Object(origin) => origin.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::credentials::Credential;
    use super::super::matrix::{Finding, Findings, Verdict, judge, open};
    use super::*;
    use crate::mirrors::registries::{RegistriesConfig, explain};

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn config(text: &str) -> RegistriesConfig {
        RegistriesConfig::load(Some(("registries.conf", text.as_bytes())), []).unwrap()
    }

    fn demand(config: &RegistriesConfig, image: &str) -> Demand {
        let pull = Pull { need: "n", consumer: "c", level: Level::L1 };
        of_node(pull, &explain(config, image), |_| Credential::Anonymous.id())
    }

    #[test]
    fn a_demand_has_the_places_of_explain_in_its_order() {
        let text = "[[registry]]\nprefix = \"quay.io/ocp\"\nlocation = \"quay.io/ocp\"\nblocked = true\n\
                    [[registry.mirror]]\nlocation = \"mirror.corp/ocp\"\ninsecure = true\n";
        let config = config(text);
        let image = format!("quay.io/ocp/etcd@{DIGEST}");
        let demand = demand(&config, &image);
        let explained = explain(&config, &image);
        let places: Vec<_> = demand
            .endpoints
            .iter()
            .map(|it| (it.question.reference.as_str(), it.question.is_insecure, it.is_blocked))
            .collect();
        assert_eq!(
            places,
            explained.endpoints.iter().map(|it| (it.reference.as_str(), it.insecure, it.blocked)).collect::<Vec<_>>()
        );
        assert_eq!(places.len(), 2);
        let first = demand.endpoints[0].question.clone();
        let absent = Findings::from([(first.clone(), Finding::Absent)]);
        let Verdict::Missing { lacking } = judge(&demand, &absent) else { panic!() };
        assert_eq!(lacking.len(), 2, "the source is blocked: {lacking:?}");
        let held = Findings::from([(first, Finding::Held)]);
        assert_eq!(judge(&demand, &held), Verdict::Held { reference: format!("mirror.corp/ocp/etcd@{DIGEST}") });
    }

    #[test]
    fn a_pull_that_fails_before_it_begins_is_missing_and_nobody_is_asked() {
        let demand = demand(&config(""), "quay.io/A");
        assert!(open(std::slice::from_ref(&demand), &Findings::new()).is_empty());
        let Verdict::Missing { lacking } = judge(&demand, &Findings::new()) else { panic!() };
        assert!(lacking["quay.io/A"][0].contains("lowercase"), "{lacking:?}");
    }
}
