//! What usually fails on the first day with hypermirror. Pure: facts of a live cluster in, diagnoses out.
//!
//! `check` collects the facts; problems that the manager reports or that declared objects have by themselves are not repeated here.

pub mod admission;
pub mod guests;
pub mod pull_secret;
pub mod rights;
pub mod signatures;
pub mod sources;
pub mod versions;
pub mod writers;

use hypermirror_api::{ClusterKey, closed_set};

use crate::mirrors::finding::Severity;

closed_set! {
    /// The codes of diagnoses, a fixed set.
    pub enum DiagnosisCode {
        /// The pull secret of a hosted cluster has no credentials for a mirror.
        PullSecretLacksMirror,
        /// The pull secret of a hosted cluster does not exist or is not usable.
        PullSecretUnusable,
        /// The certificate of a mirror is signed by an authority that the hosted cluster does not trust.
        AuthorityMissing,
        /// A release is pulled by digest and its source has only tag mirrors.
        TagMirrorsOnly,
        /// A source with NeverContactSource whose mirrors are not proven to hold what is needed.
        SourceUnproven,
        /// A mirror lacks a signature that a policy demands, so that nodes refuse the image.
        SignatureMissing,
        /// An admission is installed and has no effect.
        AdmissionIneffective,
        /// A control-plane namespace lacks HyperShift's label, so that admission and policies leave it out.
        NamespaceUnlabelled,
        /// A ServiceAccount lacks a right of its role.
        RightMissing,
        /// The user lacks a right of a role that is not installed yet, and cannot create that role.
        InstallRightMissing,
        /// The Kubernetes version of the management cluster is too old.
        KubernetesTooOld,
        /// The API of HyperShift has another version than the one that hypermirror reads.
        HyperShiftUnsupported,
        /// The CRD of a kind of hypermirror lacks a field of this version.
        CrdOutdated,
        /// An agent has another version than this program.
        AgentVersionDiffers,
        /// The control-plane namespace has no kubeconfig for the guest cluster.
        GuestKubeconfigMissing,
        /// The kubeconfig that the manager would use is not usable.
        GuestKubeconfigUnusable,
        /// The container runtime of a node is neither CRI-O nor containerd.
        NodeRuntimeUnsupported,
        /// The container runtime of a node does not read the agent's files, or may ignore them.
        NodeRuntimeMisconfigured,
        /// Another tool writes the environment variable of a target Deployment.
        OverridesWrittenByOther,
        /// Something was not looked at, so that nothing is known about it.
        NotChecked,
    }
}

/// One problem, or one thing that was not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Its code.
    pub code: DiagnosisCode,
    /// Its severity.
    pub severity: Severity,
    /// The affected hosted cluster, if there is only one.
    pub hosted_cluster: Option<ClusterKey>,
    /// `Kind/[namespace/]name`.
    pub object: String,
    /// The path of the field in the object.
    pub field: String,
    /// The value of the field. Never a value of a Secret.
    pub value: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub cure: String,
}

impl Diagnosis {
    /// A diagnosis about an object as a whole.
    pub fn new(
        code: DiagnosisCode,
        severity: Severity,
        object: impl Into<String>,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            hosted_cluster: None,
            object: object.into(),
            field: String::new(),
            value: String::new(),
            message: message.into(),
            cure: cure.into(),
        }
    }

    /// What is not known about an object, and what would let it be known.
    pub fn not_checked(object: impl Into<String>, message: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::new(DiagnosisCode::NotChecked, Severity::Info, object, message, cure)
    }

    /// With the field and its value.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>, value: impl Into<String>) -> Self {
        self.field = field.into();
        self.value = value.into();
        self
    }

    /// With the affected hosted cluster.
    #[must_use]
    pub fn of(mut self, cluster: &ClusterKey) -> Self {
        self.hosted_cluster = Some(cluster.clone());
        self
    }
}

/// Names in a message. Large fleets have hundreds, and a few show what is affected.
const SHOWN: usize = 5;

/// The first names, and how many more there are.
fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_is_short() {
        assert_eq!(listed(&["a", "b"]), "a, b");
        assert_eq!(listed(&["a"; 8]), "a, a, a, a, a and 3 more");
    }
}
