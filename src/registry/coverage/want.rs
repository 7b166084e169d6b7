//! What is missing, as a list to copy: `SOURCE=DESTINATION`, as oc-mirror and `list` have it. Pure.

use std::collections::BTreeSet;

use super::matrix::{Demand, Verdict};

/// The lines, sorted, each once. The destination is the place that answers and lacks a part, or else the first that may be
/// asked. What is missing at its source alone cannot be copied from there: it has no line.
pub fn lines<'a>(judged: impl IntoIterator<Item = (&'a Demand, &'a Verdict)>) -> BTreeSet<String> {
    judged.into_iter().filter_map(|(demand, verdict)| line(demand, verdict)).collect()
}

fn line(demand: &Demand, verdict: &Verdict) -> Option<String> {
    // A source that cannot be reached does not make the mirrors before it hold the image.
    let (Verdict::Missing { lacking } | Verdict::Unknown { lacking, .. }) = verdict else { return None };
    let source = demand.endpoints.last()?;
    let may_be_asked = |reference: &str| {
        let mut places = demand.endpoints.iter().filter(|endpoint| !endpoint.is_blocked);
        places.any(|endpoint| endpoint.question.reference == reference)
    };
    let is_answer = |parts: &[super::lack::Lack]| !parts.contains(&super::lack::Lack::manifest());
    let asked: Vec<_> = lacking.iter().filter(|place| may_be_asked(&place.reference)).collect();
    let place = asked.iter().find(|place| is_answer(&place.parts)).or_else(|| asked.first())?;
    (place.reference != source.question.reference).then(|| format!("{}={}", demand.image, place.reference))
}

#[cfg(test)]
mod tests {
    use super::super::super::credentials::Credential;
    use super::super::lack::Lack;
    use super::super::list;
    use super::super::matrix::{Endpoint, Finding, Findings, Level, Question, TrustId, judge};
    use super::*;

    fn endpoint(reference: &str, is_blocked: bool) -> Endpoint {
        let question = Question {
            reference: reference.to_owned(),
            credential: Credential::Anonymous.id(),
            trust: TrustId::default(),
            level: Level::L1,
            is_insecure: false,
        };
        Endpoint { question, is_blocked, origin: String::new() }
    }

    fn demand(endpoints: Vec<Endpoint>) -> Demand {
        Demand {
            image: "quay.io/a:1".into(),
            group: "g".into(),
            name: "n".into(),
            cluster: String::new(),
            consumer: "c".into(),
            endpoints,
            error: None,
            is_unordered: false,
            is_signed: false,
        }
    }

    fn wanted(demand: &Demand, found: &[(&str, Finding)]) -> Vec<String> {
        let finding = |endpoint: &Endpoint| {
            let found = found.iter().find(|(reference, _)| *reference == endpoint.question.reference)?;
            Some((endpoint.question.clone(), found.1.clone()))
        };
        let findings: Findings = demand.endpoints.iter().filter_map(finding).collect();
        lines([(demand, &judge(demand, &findings))]).into_iter().collect()
    }

    #[test]
    fn the_destination_is_the_place_that_has_to_hold_it() {
        let two = demand(vec![
            endpoint("m.example/a:1", false),
            endpoint("n.example/a:1", false),
            endpoint("quay.io/a:1", false),
        ]);
        let absent = |place| (place, Finding::Absent);
        let all = [absent("m.example/a:1"), absent("n.example/a:1"), absent("quay.io/a:1")];
        assert_eq!(wanted(&two, &all), ["quay.io/a:1=m.example/a:1"]);
        let half = [absent("m.example/a:1"), ("n.example/a:1", Finding::Incomplete(vec![Lack::pull("x")]))];
        assert_eq!(wanted(&two, &half), ["quay.io/a:1=n.example/a:1"]);
        assert!(wanted(&two, &[("m.example/a:1", Finding::Held)]).is_empty());
        let unknown = ("quay.io/a:1", Finding::Unknown(super::super::super::error::Reason::Timeout, "x".into()));
        let unreachable = [absent("m.example/a:1"), absent("n.example/a:1"), unknown];
        assert_eq!(wanted(&two, &unreachable), ["quay.io/a:1=m.example/a:1"]);
        let source = demand(vec![endpoint("quay.io/a:1", false)]);
        assert!(wanted(&source, &[absent("quay.io/a:1")]).is_empty(), "there is nowhere to copy it from");
        let blocked = demand(vec![endpoint("m.example/a:1", true), endpoint("quay.io/a:1", true)]);
        assert!(wanted(&blocked, &[]).is_empty());
    }

    #[test]
    fn a_list_of_what_is_missing_is_a_list_of_images() {
        let images = list::parse("quay.io/a:1=m.example/a:1\n").unwrap();
        assert_eq!(images[0].to_string(), "quay.io/a:1");
    }
}
