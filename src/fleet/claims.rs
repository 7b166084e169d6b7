//! Determines the owner of a control-plane namespace. Two HostedClusters can have the same one, for example `clusters-a/b` and
//! `clusters/a-b`. The name of the other HostedCluster is only for administrators and must not be in a report.

use std::collections::BTreeSet;

use hypermirror_api::annotations;
use jiff::Timestamp;

use super::rollout::messages::named;

/// Why nothing is written for a HostedCluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The HostedControlPlane in the namespace belongs to this HostedCluster, `namespace/name`.
    OwnedBy(String),
    /// Several HostedClusters claim the namespace, and no HostedControlPlane identifies the owner.
    Shared,
}

/// The owners of a namespace according to its HostedControlPlanes, with their creation times. The oldest HostedControlPlane
/// takes precedence, so that a second one cannot take over the namespace.
pub fn owners<'a>(control_planes: impl IntoIterator<Item = (Option<Timestamp>, &'a str)>) -> BTreeSet<&'a str> {
    let control_planes: Vec<_> = control_planes.into_iter().collect();
    let oldest = control_planes.iter().map(|(created, _)| *created).min();
    control_planes.into_iter().filter(|(created, _)| Some(*created) == oldest).map(|(_, owner)| owner).collect()
}

/// Why nothing may be written for one claimant of a namespace. `owners` is the result of [`owners`]; `is_alone` is whether
/// there is no other claimant.
pub fn refusal(claimant: &str, owners: &BTreeSet<&str>, is_alone: bool) -> Option<Refusal> {
    match (owners.len(), owners.contains(claimant)) {
        (0, _) => (!is_alone).then_some(Refusal::Shared),
        (1, true) => None,
        (_, true) => Some(Refusal::Shared),
        (_, false) => Some(Refusal::OwnedBy(owners.iter().copied().collect::<Vec<_>>().join(" and "))),
    }
}

impl Refusal {
    /// The verdict for the report, without the name of the other HostedCluster.
    pub fn message(&self, namespace: &str) -> String {
        let why = match self {
            Self::OwnedBy(_) => {
                "its HostedControlPlane belongs to another HostedCluster; delete this HostedCluster, or recreate it \
                 with another name"
            }
            Self::Shared => {
                "no HostedControlPlane identifies the owner; `hypermirror check`, run by an administrator, shows the \
                 other HostedCluster"
            }
        };
        format!("nothing is written: control-plane namespace {namespace} is claimed by two HostedClusters; {why}")
    }

    /// The message for administrators of the management cluster, with the names of the other claimants.
    pub fn for_administrators(&self, namespace: &str, others: &[String]) -> String {
        match self {
            Self::OwnedBy(owner) => format!(
                "nothing is written: control-plane namespace {namespace} belongs to HostedCluster {owner} \
                 (annotation {} of \
                 its HostedControlPlane)",
                annotations::HOSTED_CLUSTER
            ),
            Self::Shared => format!(
                "nothing is written: control-plane namespace {namespace} is also claimed by HostedCluster {}, and no \
                 HostedControlPlane identifies the owner; delete one of them, or recreate it with another name",
                named(others)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[test]
    fn the_hosted_control_plane_decides_which_claim_holds_and_without_one_neither_does() {
        let (own, other) = ("clusters/a-b", "clusters-a/b");
        let judge = |owners: &[&str], is_alone| refusal(own, &owners.iter().copied().collect(), is_alone);
        assert_eq!(judge(&[], true), None);
        assert_eq!(judge(&[], false), Some(Refusal::Shared));
        assert_eq!(judge(&[own], true), None);
        assert_eq!(judge(&[own], false), None, "the owner is left in peace");
        assert_eq!(judge(&[other], false), Some(Refusal::OwnedBy(other.to_owned())));
        assert_eq!(judge(&[other], true), Some(Refusal::OwnedBy(other.to_owned())), "also when nobody else is seen");
        assert_eq!(judge(&[own, other], false), Some(Refusal::Shared));
    }

    #[test]
    fn a_second_hosted_control_plane_does_not_get_the_namespace() {
        let owned = |control_planes: &[(Option<Timestamp>, &'static str)]| -> Vec<&str> {
            owners(control_planes.iter().copied()).into_iter().collect()
        };
        assert!(owned(&[]).is_empty());
        assert_eq!(owned(&[(at(9), "new/b"), (at(5), "old/a")]), ["old/a"]);
        assert_eq!(owned(&[(at(5), "x/a"), (at(5), "y/b")]), ["x/a", "y/b"], "nobody can tell which was first");
    }

    #[test]
    fn a_report_never_names_the_other_one() {
        let others = ["secret/x".to_owned()];
        for refusal in [Refusal::OwnedBy("secret/x".to_owned()), Refusal::Shared] {
            let message = refusal.message("secret-x");
            assert!(!message.contains("secret/x") && message.contains("claimed by two HostedClusters"), "{message}");
            assert!(refusal.for_administrators("secret-x", &others).contains("secret/x"));
        }
    }
}
