//! `explain --prove`: asks each endpoint, with the credentials and authorities of whoever pulls.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;

use super::super::console;
use super::super::coverage::{Extras, Holders, policies_of};
use super::super::hops::{Explained, prove, text};
use super::super::input::Wanted;
use super::{ExplainArgs, Puller};
use crate::mirrors::signature_policy::{SignaturePolicy, demand_signature};
use crate::registry::coverage::asker::Asker;
use crate::registry::coverage::demand::{Closeness, Pull};
use crate::registry::coverage::matrix::{Counts, Level};
use crate::registry::coverage::payloads::Payloads;
use crate::registry::coverage::sample::Sample;
use hypermirror_api::ClusterKey;

/// Asks and prints. Exit codes are those of `coverage`.
pub async fn run(args: &ExplainArgs, explained: Vec<Explained>) -> Result<ExitCode> {
    let context = Context::read(args).await?;
    args.reach.warn();
    let asker = Asker::new(args.reach.scheme(), Sample::All, Arc::new(Payloads::default()));
    let mut holders = Holders::new(&args.reach, &context.extras, &asker)?;
    let pulls: Vec<Pull> = explained.iter().map(|explained| context.pull(explained)).collect();
    let closeness = Closeness { level: Level::L1, ..Closeness::default() };
    let demands = holders.demands(&asker, &pulls, &closeness).await;
    let mut proven = Vec::new();
    for (demand, explained) in demands.iter().zip(explained) {
        proven.push(prove(&asker, demand, explained).await);
    }
    match args.output.data() {
        Some(format) => console::print_data(&proven, format)?,
        None => console::print(&proven.iter().map(text).collect::<Vec<_>>().join("\n"))?,
    }
    Ok(ExitCode::from(Counts::of(proven.iter().map(|image| &image.verdict)).exit_code()))
}

/// Who pulls, and which policies are in force there.
#[derive(Default)]
struct Context {
    extras: Extras,
    cluster: String,
    policies: Vec<SignaturePolicy>,
}

impl Context {
    async fn read(args: &ExplainArgs) -> Result<Self> {
        // Files alone name no cluster.
        if args.node_files.are_set() && !args.has_objects() {
            return Ok(Self::default());
        }
        let input = args.input.load(Wanted { pools: true, ..Wanted::default() }).await?;
        let cluster = input.select(args.scope.hosted_cluster.as_ref())?;
        let extras = Extras::read(&args.input, &input, cluster.as_slice()).await?;
        let Some(cluster) = cluster else {
            return Ok(Self { policies: extras.policies.clone(), extras, cluster: String::new() });
        };
        let key = ClusterKey::of(cluster);
        let wanted = args.scope.node_pool.as_deref();
        let pools = input.pools_of(&key);
        let pool = pools.iter().find(|pool| pool.metadata.name.as_deref() == wanted).filter(|_| wanted.is_some());
        // HyperShift's operators verify no signatures.
        let is_node = args.consumer == Puller::Node;
        let policies = pool.filter(|_| is_node).map(|pool| policies_of(&input, pool)).transpose()?.unwrap_or_default();
        Ok(Self { extras, cluster: key.to_string(), policies })
    }

    fn pull(&self, explained: &Explained) -> Pull {
        let image = explained.image.trim();
        let image = image.strip_prefix("docker://").unwrap_or(image);
        Pull {
            image: image.to_owned(),
            group: String::new(),
            name: String::new(),
            cluster: self.cluster.clone(),
            consumer: String::new(),
            endpoints: explained.endpoints.clone(),
            error: explained.error.clone(),
            is_unordered: explained.is_unordered,
            is_signed: demand_signature(&self.policies, image),
        }
    }
}
