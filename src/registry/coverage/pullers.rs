//! Who pulls images for a hosted cluster, and by which rules. Pure.

use hypermirror_api::ClusterKey;

use super::demand::{NodeRules, Puller, Rules};
use super::needs::Consumer;
use crate::hosted::pool_config::NodeFile;
use crate::mirrors::merge::merge_layer;
use crate::mirrors::registries::{ConfigError, Note, RegistriesConfig, RenderError, render, with_ours};
use crate::mirrors::signature_policy::SignaturePolicy;
use crate::mirrors::validate::{Consumer as ValidFor, validate};
use crate::mirrors::{MirrorEntry, Resolved};

/// Nodes on which no mirrors can be in effect, because they would reject their files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// A file that is not ours.
    #[error("nodes reject their files: {0}")]
    Files(#[from] ConfigError),
    /// The file with the mirrors.
    #[error(transparent)]
    Mirrors(#[from] RenderError),
}

/// The nodes of one NodePool.
#[derive(Clone, Debug)]
pub struct NodesOf {
    /// The NodePool. None for a cluster without NodePools.
    pub pool: Option<String>,
    /// Where they pull images from.
    pub rules: NodeRules,
    /// The signature policies in force on them.
    pub policies: Vec<SignaturePolicy>,
}

impl NodesOf {
    /// Who pulls images on these nodes.
    pub fn puller(self, cluster: &ClusterKey) -> Puller {
        let Self { pool, rules, policies } = self;
        let (consumer, rules) = (Consumer::Nodes(pool), Rules::Node(Box::new(rules)));
        Puller { cluster: cluster.to_string(), consumer, rules, policies }
    }
}

impl NodeRules {
    /// The rules of nodes with these mirrors, and notes about them. `foreign` are their other files; `is_whole` is whether
    /// registries.conf is one of them.
    ///
    /// # Errors
    /// [`RulesError::Mirrors`].
    pub fn of(set: &Resolved, foreign: RegistriesConfig, is_whole: bool) -> Result<(Self, Vec<Note>), RulesError> {
        let rendered = render(set, &foreign)?;
        let config = with_ours(&foreign, &rendered)?;
        Ok((Self { config, is_whole, own: Some((set.clone(), foreign)) }, rendered.notes))
    }

    /// The rules of nodes of which no files are known but those that `MachineConfig`s write.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn of_files(set: &Resolved, files: &[NodeFile]) -> Result<Self, RulesError> {
        let main = files.iter().find(|file| file.is_main()).map(|file| (file.path.as_str(), &*file.content));
        let drop_ins = files.iter().filter(|file| !file.is_main()).map(|file| (file.path.as_str(), &*file.content));
        let foreign = RegistriesConfig::load(main, drop_ins)?;
        Ok(Self::of(set, foreign, main.is_some())?.0)
    }

    /// The rules of the management cluster's own nodes, from its mirror objects.
    ///
    /// # Errors
    /// [`RulesError`].
    pub fn of_management<'e>(entries: impl IntoIterator<Item = &'e MirrorEntry>) -> Result<Self, RulesError> {
        Self::of_files(&merge_layer(&validate(entries, ValidFor::Node).entries), &[])
    }
}

/// Who pulls images for the control plane: HyperShift's operators by the override map, pods by the mirrors of the management
/// cluster and by the policies in force there.
pub fn of_control_plane(
    key: &ClusterKey,
    map: Resolved,
    management: &NodeRules,
    policies: &[SignaturePolicy],
) -> [Puller; 2] {
    let namespace = key.control_plane_namespace();
    let in_force = policies.iter().filter(|policy| policy.applies_in(&namespace)).cloned().collect();
    let puller = |consumer, rules, policies| Puller { cluster: key.to_string(), consumer, rules, policies };
    [
        puller(Consumer::LookUps, Rules::LookUps(map), Vec::new()),
        puller(Consumer::Pods, Rules::Node(Box::new(management.clone())), in_force),
    ]
}
