//! Who owns a control-plane namespace: the names of two HostedClusters can lead to the same one, `clusters-a/b` and
//! `clusters/a-b` for example. The other HostedClusters' names are for administrators only, never for a report.

use std::collections::BTreeSet;

use hypermirror_api::Reason;
use jiff::Timestamp;

use super::report::Verdict;

/// Why nothing is written for a HostedCluster; each name is a `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The HostedControlPlane in the namespace belongs to this HostedCluster.
    OwnedBy(String),
    /// No HostedControlPlane decides between it and these HostedClusters.
    SharedWith(Vec<String>),
}

/// The HostedClusters that own a namespace by its HostedControlPlanes, each with its time of creation: the oldest decides,
/// so that nobody takes a namespace over by a second one.
pub fn owners<'a>(control_planes: impl IntoIterator<Item = (Option<Timestamp>, &'a str)>) -> BTreeSet<&'a str> {
    let control_planes: Vec<_> = control_planes.into_iter().collect();
    let oldest = control_planes.iter().map(|(created, _)| *created).min();
    control_planes.into_iter().filter(|(created, _)| Some(*created) == oldest).map(|(_, owner)| owner).collect()
}

/// Judges one claimant of a namespace. `owners` come from [`owners`], `others` are the other claimants.
pub fn refusal(claimant: &str, owners: &BTreeSet<&str>, others: impl IntoIterator<Item = String>) -> Option<Refusal> {
    let rivals: Vec<String> = owners.iter().filter(|owner| **owner != claimant).map(ToString::to_string).collect();
    if owners.contains(claimant) {
        return (!rivals.is_empty()).then_some(Refusal::SharedWith(rivals));
    }
    if !rivals.is_empty() {
        return Some(Refusal::OwnedBy(rivals.join(" and ")));
    }
    let others: Vec<String> = others.into_iter().collect();
    (!others.is_empty()).then_some(Refusal::SharedWith(others))
}

impl Refusal {
    /// What the report says: not who the other one is.
    pub fn verdict(&self, namespace: &str) -> Verdict {
        let why = match self {
            Self::OwnedBy(_) => {
                "its HostedControlPlane belongs to another HostedCluster; delete this HostedCluster, or create it again with \
                 another name"
            }
            Self::SharedWith(_) => {
                "no HostedControlPlane names one owner; an administrator sees the other HostedCluster with `hypermirror check`"
            }
        };
        let message = format!("nothing is written: control-plane namespace {namespace} is claimed twice, and {why}");
        Verdict::new("False", Reason::NamespaceClaimedTwice, message)
    }

    /// What the administrator of the management cluster reads.
    pub fn for_administrators(&self, namespace: &str) -> String {
        match self {
            Self::OwnedBy(owner) => format!(
                "nothing is written: control-plane namespace {namespace} belongs to HostedCluster {owner} (annotation {} of \
                 its HostedControlPlane)",
                hypermirror_api::annotations::HOSTED_CLUSTER
            ),
            Self::SharedWith(others) => format!(
                "nothing is written: control-plane namespace {namespace} is also claimed by HostedCluster {}, and no \
                 HostedControlPlane names one owner; delete or rename one of them",
                others.join(", ")
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

    fn judge(owners: &[&str], others: &[&str]) -> Option<Refusal> {
        let others = others.iter().map(ToString::to_string);
        refusal("clusters/a-b", &owners.iter().copied().collect(), others)
    }

    #[test]
    fn the_hosted_control_plane_decides_and_without_one_nobody_owns_what_two_claim() {
        let (own, other) = ("clusters/a-b", "clusters-a/b");
        let shared = |name: &str| Some(Refusal::SharedWith(vec![name.to_owned()]));
        assert_eq!(judge(&[], &[]), None);
        assert_eq!(judge(&[], &[other]), shared(other));
        assert_eq!(judge(&[own], &[]), None);
        assert_eq!(judge(&[own], &[other]), None, "the owner is left in peace");
        assert_eq!(judge(&[other], &[other]), Some(Refusal::OwnedBy(other.to_owned())));
        assert_eq!(judge(&[other], &[]), Some(Refusal::OwnedBy(other.to_owned())), "also when nobody else is seen");
        assert_eq!(judge(&[own, other], &[other]), shared(other));
    }

    #[test]
    fn a_second_hosted_control_plane_takes_nothing_over() {
        let owned = |control_planes: &[(Option<Timestamp>, &'static str)]| -> Vec<&str> {
            owners(control_planes.iter().copied()).into_iter().collect()
        };
        assert!(owned(&[]).is_empty());
        assert_eq!(owned(&[(at(9), "new/b"), (at(5), "old/a")]), ["old/a"]);
        assert_eq!(owned(&[(at(5), "x/a"), (at(5), "y/b")]), ["x/a", "y/b"], "nobody can tell which was first");
    }

    #[test]
    fn a_report_never_names_the_other_one() {
        for refusal in [Refusal::OwnedBy("secret/x".to_owned()), Refusal::SharedWith(vec!["secret/x".to_owned()])] {
            let verdict = refusal.verdict("secret-x");
            assert_eq!((verdict.status, verdict.reason), ("False", Reason::NamespaceClaimedTwice));
            assert!(!verdict.message.contains("secret/x"), "{}", verdict.message);
            assert!(verdict.message.contains("claimed twice"), "{}", verdict.message);
            assert!(refusal.for_administrators("secret-x").contains("secret/x"));
        }
    }
}
