//! `coverage --unneeded`: what mirrors hold that nobody needs. Reads only.

mod look;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;

use super::super::console::{self, DataFormat};
use super::super::input::{Absent, Input, Wanted};
use super::super::progress::Bar;
use super::super::{Usage, findings};
use super::lists::Listed;
use super::pullers::{self, Target};
use super::{CoverageArgs, Extras, Holders, Output, needs_of};
use crate::hosted::catalogs::requested::{self, requested};
use crate::mirrors::{ImageReference, Resolved};
use crate::registry::coverage::asker::Asker;
use crate::registry::coverage::demand::{Puller, Rules};
use crate::registry::coverage::needs::Need;
use crate::registry::coverage::payloads::Payloads;
use crate::registry::coverage::unneeded::{LookedAt, UnneededReport};
use crate::registry::{Reference, Repository};
use look::Look;

/// What may need images and is in none of the objects that are read.
const NEVER: [&str; 3] = [
    "images that workloads and operators in guest clusters pull",
    "releases that clusters can be updated to (add them with --release)",
    "manifests without a tag, which registries do not list",
];

/// Needed images: repositories with references in them.
pub type Needed = BTreeMap<Repository, BTreeSet<Reference>>;

/// Prints what nobody needs.
pub async fn run(args: &CoverageArgs) -> Result<ExitCode> {
    if args.output == Output::Want {
        return Err(Usage::error("--unneeded has no list of what is missing: use -o table, json or yaml"));
    }
    let report = look(args).await?;
    match args.output {
        Output::Json => console::print_data(&report, DataFormat::Json)?,
        Output::Yaml => console::print_data(&report, DataFormat::Yaml)?,
        Output::Table | Output::Want => console::print(&text::print(&report))?,
    }
    Ok(ExitCode::from(report.exit_code()))
}

async fn look(args: &CoverageArgs) -> Result<UnneededReport> {
    let listed = args.lists.read()?;
    let input = args.input.load(Wanted { pools: true, ..Wanted::default() }).await?;
    findings::report_input(&input);
    let selected = pullers::selected(&input, None)?;
    if selected.is_empty() && listed.is_empty() {
        return Err(Usage::error("the input has no HostedCluster, so everything would be unneeded"));
    }
    let extras = Extras::read(&args.input, &input, &selected).await?;
    let targets = pullers::targets(&input, &selected, None, &extras.policies)?;
    let mut gathered = gather(args, &targets, &listed, &extras).await?;
    gathered.gaps.splice(0..0, gaps(&input));
    let locations = if args.mirror.is_empty() { locations(&targets) } else { args.mirror.iter().cloned().collect() };
    let looked_at = LookedAt {
        input: if input.is_live { "live cluster" } else { "manifests" }.to_owned(),
        hosted_clusters: targets.iter().filter_map(|target| target.key.as_ref()).map(ToString::to_string).collect(),
        node_pools: targets.iter().flat_map(|target| &target.pools).map(|pool| pullers::name_of(pool)).collect(),
        releases: gathered.releases.into_iter().collect(),
        images: gathered.images.len(),
    };
    let never_looked_at = NEVER.iter().map(|text| (*text).to_owned()).collect();
    let mut report = UnneededReport { looked_at, never_looked_at, gaps: gathered.gaps, registries: Vec::new() };
    if report.gaps.is_empty() {
        report.registries = Look::new(&args.reach, gathered.needed)?.at(&locations).await?;
    }
    Ok(report)
}

/// What is needed, and what could not be found out.
#[derive(Default)]
struct Gathered {
    needed: Needed,
    images: BTreeSet<String>,
    releases: BTreeSet<String>,
    gaps: Vec<String>,
}

/// What the clusters and the lists need, wherever it may be pulled from.
async fn gather(args: &CoverageArgs, targets: &[Target<'_>], listed: &Listed, extras: &Extras) -> Result<Gathered> {
    let asker = Asker::new(args.reach.scheme(), args.sampled(), Arc::new(Payloads::default()));
    let mut holders = Holders::new(&args.reach, extras, &asker)?;
    let bar = Bar::new();
    bar.say("reading releases");
    let (mut gathered, mut unread) = (Gathered::default(), Vec::new());
    for target in targets {
        let mut needs = needs_of(args, target, &Listed::default(), extras, (&asker, &mut holders), &mut unread).await;
        if !listed.is_empty() {
            needs.extend(needs_of(args, target, listed, extras, (&asker, &mut holders), &mut unread).await);
        }
        for puller in &target.pullers {
            gathered.add(puller, &needs);
        }
    }
    bar.end();
    asker.take_notices().iter().for_each(console::warning);
    gathered.gaps.extend(unread.into_iter().map(|release| {
        format!("it is not known which images release {} needs: {}", release.image, release.errors.join("; "))
    }));
    Ok(gathered)
}

impl Gathered {
    fn add(&mut self, puller: &Puller, needs: &[Need]) {
        self.releases.extend(needs.iter().filter(|need| need.is_release).map(|need| need.image.clone()));
        for pull in puller.pulls(needs) {
            self.images.insert(pull.image.clone());
            if let Some(error) = &pull.error {
                self.gaps.push(format!("it is not known from where {} pull {}: {error}", pull.consumer, pull.image));
            }
            for endpoint in &pull.endpoints {
                let parsed = ImageReference::parse(&endpoint.reference)
                    .ok()
                    .and_then(|image| Some((Repository::of(&image).ok()?, Reference::of(&image).ok()?)));
                match parsed {
                    Some((repository, reference)) => {
                        self.needed.entry(repository).or_default().insert(reference);
                    }
                    None => self.gaps.push(format!("{} cannot be asked for", endpoint.reference)),
                }
            }
        }
    }
}

/// What the input hides.
fn gaps(input: &Input) -> Vec<String> {
    let mut gaps: Vec<String> = input
        .malformed
        .iter()
        .map(|malformed| format!("{} cannot be decoded: {}", malformed.object, malformed.message))
        .collect();
    if input.is_live && input.absent.contains(&Absent("HostedCluster")) {
        gaps.push("the cluster does not serve the kind HostedCluster".to_owned());
    }
    for cluster in &input.clusters {
        // Only HyperShift knows the names of its catalogs in them.
        let is_by_registry =
            |found: requested::RequestedCatalogs| matches!(found.wanted, requested::Wanted::Registries(_));
        if requested(cluster).is_some_and(is_by_registry) {
            let key = hypermirror_api::ClusterKey::of(cluster);
            gaps.push(format!(
                "HostedCluster {key} has the annotation olm-catalogs-is-registry-overrides: the names of its catalogs are not known"
            ));
        }
    }
    gaps
}

/// The mirrors that somebody declared, as `host[:port][/path]`.
fn locations(targets: &[Target<'_>]) -> BTreeSet<String> {
    let of = |set: &Resolved| -> Vec<String> {
        set.sources.values().flat_map(|source| source.all_mirrors().map(str::to_owned)).collect()
    };
    let pullers = targets.iter().flat_map(|target| &target.pullers);
    pullers
        .flat_map(|puller| match &puller.rules {
            Rules::LookUps(set) => of(set),
            Rules::Node(rules) => rules.own.as_ref().map(|(set, _)| of(set)).unwrap_or_default(),
        })
        .collect()
}
