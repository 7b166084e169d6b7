//! What a check of coverage found, as it is printed and kept. Pure.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::matrix::{Counts, Demand, Findings, Level, Verdict, judge};

/// A demand and what follows for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageVerdict {
    /// The image as it is declared.
    pub image: String,
    /// What it is a part of: `release 4.19.1`.
    pub group: String,
    /// Its name in that.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The hosted cluster of whoever pulls it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Who pulls it.
    pub consumer: String,
    /// What follows.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// The counts of one group of images for one consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// The hosted cluster of whoever pulls them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// What they are a part of.
    pub group: String,
    /// Who pulls them.
    pub consumer: String,
    /// How many there are of each kind.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Why it is not known what a release needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnreadRelease {
    /// The release image.
    pub image: String,
    /// Why its payload could not be read, for each place.
    pub errors: Vec<String>,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "hypermirror coverage")]
pub struct Report {
    /// How closely registries were asked.
    pub level: Level,
    /// From where: what is reached from there may not be reached from nodes, and the other way round.
    pub vantage: String,
    /// Of all demands: an image that two consumers pull counts twice.
    pub counts: Counts,
    /// Releases whose images are not known. As long as there is one, not everything is proven.
    pub unread_releases: Vec<UnreadRelease>,
    /// Groups of images by consumer, in the order of the demands.
    pub cells: Vec<Cell>,
    /// Each image for each consumer.
    pub images: Vec<ImageVerdict>,
}

impl Report {
    /// Judges all demands.
    pub fn new(level: Level, vantage: &str, demands: &[Demand], findings: &Findings) -> Self {
        let mut report = Self {
            level,
            vantage: vantage.to_owned(),
            counts: Counts::default(),
            unread_releases: Vec::new(),
            cells: Vec::new(),
            images: Vec::with_capacity(demands.len()),
        };
        let mut places = BTreeMap::new();
        for demand in demands {
            let verdict = judge(demand, findings);
            report.counts.add(&verdict);
            let key = (&demand.cluster, &demand.group, &demand.consumer);
            let place = *places.entry(key).or_insert_with(|| {
                let (cluster, group, consumer) =
                    (demand.cluster.clone(), demand.group.clone(), demand.consumer.clone());
                report.cells.push(Cell { cluster, group, consumer, counts: Counts::default() });
                report.cells.len() - 1
            });
            if let Some(cell) = report.cells.get_mut(place) {
                cell.counts.add(&verdict);
            }
            report.images.push(ImageVerdict {
                image: demand.image.clone(),
                group: demand.group.clone(),
                name: demand.name.clone(),
                cluster: demand.cluster.clone(),
                consumer: demand.consumer.clone(),
                verdict,
            });
        }
        report
    }

    /// Exit codes: 0 all held, 1 something missing, 3 something unknown and nothing missing.
    pub const fn exit_code(&self) -> u8 {
        match self.counts.exit_code() {
            0 if !self.unread_releases.is_empty() => 3,
            code => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::credentials::Credential;
    use super::super::matrix::{Endpoint, Finding, Question, TrustId};
    use super::*;

    fn demand(group: &str, consumer: &str, reference: &str) -> Demand {
        let question = Question {
            reference: reference.to_owned(),
            credential: Credential::Anonymous.id(),
            trust: TrustId::default(),
            level: Level::L1,
            is_insecure: false,
        };
        Demand {
            image: reference.to_owned(),
            group: group.to_owned(),
            name: String::new(),
            cluster: String::new(),
            consumer: consumer.to_owned(),
            endpoints: vec![Endpoint { question, is_blocked: false, origin: String::new() }],
            error: None,
            is_unordered: false,
            is_signed: false,
        }
    }

    #[test]
    fn groups_are_counted_for_each_consumer_and_a_release_that_is_not_known_is_not_proven() {
        let demands = [demand("r", "nodes", "a"), demand("r", "pods", "a"), demand("r", "nodes", "b")];
        let question = |place: usize| demands[place].endpoints[0].question.clone();
        let findings = Findings::from([(question(0), Finding::Held), (question(2), Finding::Absent)]);
        let mut report = Report::new(Level::L1, "here", &demands, &findings);
        let cells: Vec<_> =
            report.cells.iter().map(|it| (it.consumer.as_str(), it.counts.held, it.counts.missing)).collect();
        assert_eq!(cells, [("nodes", 1, 1), ("pods", 1, 0)]);
        assert_eq!((report.counts.total(), report.exit_code()), (3, 1));
        report = Report::new(Level::L1, "here", &demands[..2], &findings);
        assert_eq!(report.exit_code(), 0);
        report.unread_releases.push(UnreadRelease { image: "r".into(), errors: vec![] });
        assert_eq!(report.exit_code(), 3);
    }

    #[test]
    fn data_has_the_verdict_beside_the_image() {
        let demands = [demand("r", "nodes", "a")];
        let report = Report::new(Level::L1, "here", &demands, &Findings::new());
        let value = serde_json::to_value(&report).unwrap();
        assert_eq!((&value["images"][0]["verdict"], &value["cells"][0]["unknown"]), (&"Unknown".into(), &1.into()));
    }
}
