//! Lists the targets of the whole fleet at the start of a term. Later changes are read singly, by a reconcile.

use std::sync::Arc;

use futures::future::join_all;

use super::store::Store;
use crate::hosted::facts::Flags;
use crate::hosted::target::TargetSpec;
use crate::management::apply::{WriteError, Writer};
use crate::management::index::targets::lists::TargetList;

/// The task that reads the lists.
pub(super) struct TargetLists {
    pub(super) store: Store,
    pub(super) writer: Writer,
    pub(super) flags: Arc<Flags>,
}

impl TargetLists {
    /// Reads the lists of each term until the process ends.
    pub(super) async fn run(self) {
        // The watches have only metadata, so that a replica that begins to lead knows no content, and a request for each Deployment
        // of a large fleet takes minutes. All lists are read at the same time: their order is that of the namespaces, so that the
        // first hosted clusters are complete, and reconciled, after the first pages.
        loop {
            let lists = self.store.target_lists_begun().await;
            join_all(lists.into_iter().map(|list| self.read(list))).await;
        }
    }

    async fn read(&self, list: TargetList) {
        let Some(spec) = self.flags.targets.get(list.place) else { return };
        let result = self.read_pages(list, spec).await;
        // Whatever happened, nobody waits any longer.
        let left = self.store.end_target_list(list);
        let deployment = &spec.deployment;
        match result {
            Ok(listed) => tracing::info!(deployment, listed, "listed the Deployments of all hosted clusters"),
            Err(error) => tracing::warn!(
                deployment,
                hosted_clusters = left,
                %error,
                "failed to list the Deployments of all hosted clusters; reading them one by one"
            ),
        }
    }

    /// Reads all pages, or those until the end of the term. Returns the number of Deployments.
    async fn read_pages(&self, list: TargetList, spec: &TargetSpec) -> Result<usize, WriteError> {
        let (mut pages, mut listed) = (Writer::target_pages(spec), 0);
        while let Some(page) = self.writer.read_target_page(spec, &mut pages).await? {
            listed += page.len();
            if !self.store.record_listed_targets(list, page) {
                break;
            }
        }
        Ok(listed)
    }
}

#[cfg(test)]
mod tests;
