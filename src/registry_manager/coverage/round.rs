//! What hosted clusters that are checked together share: answers of registries, and what the management cluster says.

use std::sync::Arc;

use kube::Client;

use super::context::Context;
use crate::client::cause::Cause;
use crate::management::pulled;
use crate::mirrors::signature_policy::SignaturePolicy;
use crate::registry::coverage::asker::{Asker, Scheme};
use crate::registry::coverage::demand::NodeRules;
use crate::registry::coverage::sample::Sample;

/// One round.
pub struct Round {
    /// Asks each place once.
    pub asker: Asker,
    /// Where nodes of the management cluster pull images from.
    pub management: Result<NodeRules, String>,
    /// The signature policies in force there.
    pub policies: Result<Vec<SignaturePolicy>, String>,
    /// The image of HyperShift's operator.
    pub operator_image: Option<String>,
    /// The image of the agent.
    pub agent_image: Option<String>,
}

impl Round {
    /// Reads what is shared.
    pub async fn begin(ctx: &Context) -> Self {
        let client = &ctx.client;
        let entries = ctx.store.mirror_entries();
        let management = NodeRules::of_management(entries.iter());
        Self {
            asker: Asker::new(Scheme::Https, Sample::All, Arc::clone(&ctx.payloads)),
            management: management.map_err(|error| format!("nodes of the management cluster: {error}")),
            policies: policies(client).await,
            operator_image: or_nothing("HyperShift's operator", pulled::operator_image(client).await),
            agent_image: or_nothing("the manager", pulled::agent_image(client, &ctx.namespace).await),
        }
    }
}

async fn policies(client: &Client) -> Result<Vec<SignaturePolicy>, String> {
    pulled::signature_policies(client).await.map_err(|error| error.to_string())
}

/// An image of a Deployment, if that is there and may be read.
fn or_nothing(what: &str, read: kube::Result<Option<String>>) -> Option<String> {
    read.unwrap_or_else(|error| {
        tracing::warn!(error = %Cause(&error), "failed to read the Deployment of {what}; its image is not checked");
        None
    })
}
