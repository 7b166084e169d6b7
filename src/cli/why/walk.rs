//! Asks each place of each container's image, as its node would.

use std::sync::Arc;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;

use super::super::console;
use super::super::hops::{Explained, ProvenImage, prove};
use super::super::registry::ReachArgs;
use super::cause::{self, Shown};
use super::pod::{self, PodContainer};
use super::report::{ContainerReport, Hop, WhyReport};
use super::site::{NamedFile, NodeView};
use crate::mirrors::ImageReference;
use crate::mirrors::signature_policy::demand_signature;
use crate::registry::Repository;
use crate::registry::auth::keychain::Keychain;
use crate::registry::coverage::asker::Asker;
use crate::registry::coverage::demand::{Closeness, Pull};
use crate::registry::coverage::holder::Holder;
use crate::registry::coverage::matrix::{Demand, Level, TrustId};
use crate::registry::coverage::payloads::Payloads;
use crate::registry::coverage::sample::Sample;
use crate::registry::credentials::auth_file::AuthFile;

/// Who shows what.
struct Walker {
    view: NodeView,
    asker: Asker,
    /// For mirrors: nodes show them nothing of a pod.
    node: Holder,
    /// For the registry of the image itself.
    pod: Holder,
}

/// Asks and explains.
pub async fn walk(reach: &ReachArgs, view: NodeView, name: &str, pod: &Pod) -> Result<WhyReport> {
    let asker = Asker::new(reach.scheme(), Sample::All, Arc::new(Payloads::default()));
    let trust = TrustId::of(&view.authorities);
    asker.trust(trust.clone(), &reach.clients(&view.authorities)?);
    let holder = |files: Vec<AuthFile>| Holder::new(Ok(Keychain { files, ..Keychain::default() }), trust.clone());
    let of_node = files(&view.of_node);
    let node = holder(of_node.clone());
    let pod_holder = holder([files(&view.of_pod), of_node].concat());
    let mut walker = Walker { view, asker, node, pod: pod_holder };
    let mut containers = Vec::new();
    for container in pod::containers(pod) {
        containers.push(walker.container(container).await);
    }
    for notice in walker.asker.take_notices() {
        console::warning(notice);
    }
    let around = walker.view.around;
    Ok(WhyReport {
        pod: name.to_owned(),
        namespace: around.namespace,
        hosted_cluster: around.hosted_cluster,
        node: Some(around.node).filter(|node| !node.is_empty()),
        containers,
    })
}

fn files(named: &[NamedFile]) -> Vec<AuthFile> {
    named.iter().map(|named| named.file.clone()).collect()
}

impl Walker {
    async fn container(&mut self, container: PodContainer) -> ContainerReport {
        let explanation = self.view.rules.explain(&container.image);
        let explained = Explained {
            image: container.image.clone(),
            endpoints: explanation.endpoints,
            error: explanation.error,
            is_unordered: false,
        };
        let demand = self.demand(&explained).await;
        let proven = prove(&self.asker, &demand, explained).await;
        let shown: Vec<Shown> = self.shown(&proven);
        // A pod without a node has no pull that could have failed.
        let causes = if self.view.around.node.is_empty() {
            Vec::new()
        } else {
            cause::causes(&container.pull, &proven, &shown, &self.view.around)
        };
        let hops = proven.endpoints.iter().zip(&shown).map(|(hop, shown)| Hop::new(hop, shown)).collect();
        let PodContainer { name, kind, image, pull } = container;
        ContainerReport { name, kind, image, pull, hops, error: proven.error, verdict: proven.verdict, causes }
    }

    /// What has to be asked: mirrors with the credentials of the node alone (`docker/docker_client.go` of containers/image sends
    /// those of a pod to the registry of the image only).
    async fn demand(&mut self, explained: &Explained) -> Demand {
        let pull = Pull {
            image: explained.image.clone(),
            group: String::new(),
            name: String::new(),
            cluster: String::new(),
            consumer: String::new(),
            endpoints: explained.endpoints.clone(),
            error: explained.error.clone(),
            is_unordered: explained.is_unordered,
            is_signed: demand_signature(&self.view.policies, &explained.image),
        };
        let closeness = Closeness { level: Level::L1, ..Closeness::default() };
        let mut demand = self.node.demand(&self.asker, &pull, &closeness).await;
        let of_pod = self.pod.demand(&self.asker, &pull, &closeness).await;
        for (endpoint, with_pod) in demand.endpoints.iter_mut().zip(of_pod.endpoints) {
            if is_own_registry(&explained.image, &endpoint.question.reference) {
                *endpoint = with_pod;
            }
        }
        demand
    }

    fn shown(&self, image: &ProvenImage) -> Vec<Shown> {
        let shown = |reference: &str| {
            let parsed = ImageReference::parse(reference).ok().and_then(|image| Repository::of(&image).ok());
            let Some(repository) = parsed else { return Shown::default() };
            let find = |files: &[NamedFile]| {
                let found = files.iter().find(|named| named.file.find(&repository).is_some());
                found.map(|named| named.name.clone())
            };
            let (of_pod, of_node) = (find(&self.view.of_pod), find(&self.view.of_node));
            if is_own_registry(&image.image, reference) {
                return Shown { secret: of_pod.or(of_node), withheld: None };
            }
            let withheld = if of_node.is_none() { of_pod } else { None };
            Shown { secret: of_node, withheld }
        };
        image.endpoints.iter().map(|hop| shown(&hop.endpoint.reference)).collect()
    }
}

fn is_own_registry(image: &str, reference: &str) -> bool {
    let registry = |text: &str| ImageReference::parse(text).map(|image| image.registry).ok();
    registry(image).is_some_and(|own| registry(reference) == Some(own))
}
