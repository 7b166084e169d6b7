//! Which images have to be imported for pods that cannot pull. Pure.

use std::collections::BTreeMap;

use super::super::agenda::ObjectKey;
use super::pods::{NamespacePods, PodName};
use super::rule::{Covered, Rule};
use crate::mirrors::ImageReference;
use crate::registry::coverage::demand::NodeRules;
use crate::registry::{Reference, Repository};

/// An image to import. However many pods wait for it, it is imported once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The rule that covers it.
    pub rule: ObjectKey,
    /// The image as the pods name it.
    pub image: String,
    /// Where it comes from.
    pub source: Repository,
    /// Where it goes to.
    pub destination: Repository,
    /// Which image.
    pub reference: Reference,
    /// One of the pods.
    pub pod: PodName,
}

/// What follows from pods and rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// By the name from which pods pull.
    pub wanted: BTreeMap<String, Wanted>,
    /// Rules that cover a name which another rule covers, too: for people.
    pub overlaps: BTreeMap<ObjectKey, String>,
}

/// What has to be imported. `mirrors` are those in force on the nodes of the cluster.
pub fn plan(pods: &BTreeMap<String, NamespacePods>, rules: &BTreeMap<ObjectKey, Rule>, mirrors: &NodeRules) -> Plan {
    let mut plan = Plan::default();
    for (image, pods) in by_image(pods) {
        let explanation = mirrors.explain(image);
        if explanation.error.is_some() {
            continue;
        }
        // The places from which a node pulls, in its order: the first one under a destination is where the image belongs.
        let places = explanation.endpoints.iter().filter(|endpoint| !endpoint.blocked);
        let mut names = places.filter_map(|endpoint| ImageReference::parse(&endpoint.reference).ok());
        let covered = names.find_map(|name| {
            let covering = covering(rules, &name);
            (!covering.is_empty()).then_some((name, covering))
        });
        match covered {
            Some((_, covering)) if covering.len() == 1 => {
                for (key, rule, covered) in covering {
                    // Only pods that the rule counts; the others get nothing by it.
                    let pod = pods.iter().find(|pod| rule.namespaces.contains(&pod.namespace));
                    plan.add(key, image, covered, pod);
                }
            }
            // Neither is right more than the other: whoever is wrong would decide what runs.
            Some((name, covering)) => plan.overlap(&name, &covering),
            None => {}
        }
    }
    plan
}

type Covering<'a> = Vec<(&'a ObjectKey, &'a Rule, Covered)>;

fn covering<'a>(rules: &'a BTreeMap<ObjectKey, Rule>, name: &ImageReference) -> Covering<'a> {
    rules.iter().filter_map(|(key, rule)| Some((key, rule, rule.covers(name)?))).collect()
}

fn by_image(pods: &BTreeMap<String, NamespacePods>) -> BTreeMap<&str, Vec<PodName>> {
    let mut images: BTreeMap<&str, Vec<PodName>> = BTreeMap::new();
    for (namespace, pods) in pods {
        for (name, pod) in pods {
            for image in &pod.images {
                let waiting = images.entry(image).or_default();
                // One of each namespace is enough.
                if waiting.last().is_none_or(|last| last.namespace != *namespace) {
                    waiting.push(PodName { namespace: namespace.clone(), name: name.clone(), uid: pod.uid.clone() });
                }
            }
        }
    }
    images
}

impl Plan {
    fn add(&mut self, rule: &ObjectKey, image: &str, covered: Covered, pod: Option<&PodName>) {
        let Some(pod) = pod else { return };
        let Covered { source, destination, reference } = covered;
        let name = match &reference {
            Reference::Digest(digest) => format!("{destination}@{digest}"),
            Reference::Tag(tag) => format!("{destination}:{tag}"),
        };
        let (rule, image, pod) = (rule.clone(), image.to_owned(), pod.clone());
        self.wanted.entry(name).or_insert(Wanted { rule, image, source, destination, reference, pod });
    }

    fn overlap(&mut self, name: &ImageReference, covering: &Covering<'_>) {
        for (key, ..) in covering {
            let others: Vec<String> =
                covering.iter().filter(|(other, ..)| other != key).map(|(other, ..)| other.to_string()).collect();
            let message = format!("{name} is not imported: ImportRule {} covers it, too", others.join(", "));
            self.overlaps.entry((*key).clone()).or_insert(message);
        }
    }
}

#[cfg(test)]
mod tests;
