//! Sources that are held because their mirrors are not proven, and the message about them.

use hypermirror_api::{ClusterKey, Reason, annotations};

use crate::hosted::condition_state::{ConditionState, cut_at};

/// Sources that a message lists.
const LISTED: usize = 3;
/// Length of the reason for one source, so that the list leaves room for the way out.
const WHY_BYTES: usize = 360;

/// The gate of one hosted cluster that needs proofs and has sources without a fallback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// What a proof has to be made for.
    pub subject: String,
    /// The value that lets the current sources through.
    pub token: String,
}

/// A source that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSource {
    /// The source.
    pub source: String,
    /// Its declared mirrors, which are not live.
    pub mirrors: Vec<String>,
    /// The mirrors that stay in use instead. Empty if the source is not live at all.
    pub live: Vec<String>,
    /// The NodePool whose set it is in, if it is in one.
    pub pool: Option<String>,
    /// Why its mirrors are not proven, if that is not [`HeldSources::cause`].
    pub why: Option<String>,
}

/// The held sources of a control plane, or of the nodes of a guest cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldSources {
    /// The sources.
    pub sources: Vec<HeldSource>,
    /// Why nothing is proven, if that concerns all of them.
    pub cause: Option<String>,
}

impl HeldSources {
    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The condition: what is held, why, and the commands that end it.
    pub fn condition(&self, key: &ClusterKey, token: &str) -> ConditionState {
        ConditionState::new("False", Reason::ProofMissing, self.message(key, token))
    }

    fn message(&self, key: &ClusterKey, token: &str) -> String {
        let count = self.sources.len();
        let noun = if count == 1 { "1 source" } else { &format!("{count} sources") };
        let cause = self.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        let listed: Vec<String> = self.sources.iter().take(LISTED).map(ToString::to_string).collect();
        let more = count.saturating_sub(LISTED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let ClusterKey { namespace, name } = key;
        let allow = annotations::ALLOW_UNPROVEN;
        format!(
            "waiting for proof that the mirrors of {noun} without a fallback hold the images{cause}; held: {}{more}; to fill the \
             mirrors: hypermirror coverage --hosted-cluster {key} --fill; to go live without proof: kubectl annotate hostedcluster \
             -n {namespace} {name} {allow}={token} --overwrite",
            listed.join("; ")
        )
    }
}

impl std::fmt::Display for HeldSource {
    /// `quay.io/a -> m.example/a (m.example/b stays in use): nodes: 3 images are missing`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {}", self.source, self.mirrors.join(", "))?;
        if let Some(pool) = &self.pool {
            write!(f, " of NodePool {pool}")?;
        }
        if !self.live.is_empty() {
            write!(f, " ({} stays in use)", self.live.join(", "))?;
        }
        match &self.why {
            Some(why) => {
                let mut why = why.clone();
                cut_at(&mut why, WHY_BYTES);
                write!(f, ": {why}")
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosted::condition_state::MESSAGE_BYTES;

    fn source(name: &str, why: Option<String>) -> HeldSource {
        let mirrors = vec![format!("m.example/{name}")];
        HeldSource { source: format!("quay.io/{name}"), mirrors, live: Vec::new(), pool: None, why }
    }

    #[test]
    fn the_message_names_the_cause_once_what_is_held_and_both_ways_out() {
        let key: ClusterKey = "clusters/west".parse().unwrap();
        let mut held =
            HeldSources { sources: vec![source("a", None)], cause: Some("CredentialsNotReadable: no secret".into()) };
        held.sources.push(HeldSource { live: vec!["old.example/b".into()], ..source("b", None) });
        let condition = held.condition(&key, "t0");
        assert_eq!((condition.status, condition.reason), ("False", Reason::ProofMissing));
        let text = condition.message;
        assert_eq!(text.matches("CredentialsNotReadable").count(), 1, "{text}");
        for part in [
            "2 sources without a fallback",
            "held: quay.io/a -> m.example/a; quay.io/b -> m.example/b (old.example/b stays in use); to fill",
            "hypermirror coverage --hosted-cluster clusters/west --fill",
            "kubectl annotate hostedcluster -n clusters west hypermirror.dev/allow-unproven=t0 --overwrite",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_long_list_leaves_room_for_the_way_out() {
        let key: ClusterKey = "clusters/west".parse().unwrap();
        let sources = (0..1_000).map(|n| source(&n.to_string(), Some("x".repeat(1_000)))).collect();
        let text = HeldSources { sources, cause: None }.condition(&key, "t0").message;
        assert!(text.len() < MESSAGE_BYTES && text.ends_with("t0 --overwrite"), "{text}");
        assert!(text.contains("; and 997 more; "), "{text}");
    }
}
