//! `coverage`: whether registries hold what a release, a hosted cluster, the fleet or a list needs.

mod fill;
mod holders;
mod lists;
mod live;
mod pullers;
mod text;
mod unneeded;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, ValueEnum};
use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::HostedCluster;

use super::answer::{SchemaArg, or_unknown};
use super::console::{self, DataFormat};
use super::input::{InputArgs, Wanted};
use super::progress::Bar;
use super::registry::ReachArgs;
use super::{Usage, findings};
use crate::registry::coverage::asker::Asker;
use crate::registry::coverage::demand::{Closeness, Pull, Puller};
use crate::registry::coverage::holder::places;
use crate::registry::coverage::matrix::{Demand, Level};
use crate::registry::coverage::needs::{self, Consumer, Need, PoolNeeds, ReleaseNeed};
use crate::registry::coverage::payloads::Payloads;
use crate::registry::coverage::report::{Report, UnreadRelease};
use crate::registry::coverage::sample::{DEFAULT_PERCENT, Sample};
use crate::registry::coverage::unneeded::UnneededReport;
use crate::registry::coverage::want;
pub use holders::Holders;
use lists::ListArgs;
pub use live::Extras;
use pullers::Target;
pub use pullers::policies_of;

/// Where the questions come from.
const VANTAGE: &str = "this machine";

/// Proves coverage.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror coverage --hosted-cluster clusters/west
  hypermirror coverage --hosted-cluster clusters/west --release RELEASE
  hypermirror coverage -f mirrors.yaml --release RELEASE
  hypermirror coverage -f mirrors.yaml --images list.txt --level L2
  hypermirror coverage -f mirrors.yaml --release RELEASE -o want
  hypermirror coverage --hosted-cluster clusters/west --fill
  hypermirror coverage --unneeded --mirror mirror.corp/ocp
RELEASE is a release image, by tag or digest. With --release, --image, --images
or --oc-mirror only these are checked, else all that the hosted clusters need.
Exit code: 0 if everything is held, 1 if something is missing, 2 for bad usage,
3 if something is not known and nothing is missing. With --unneeded: 1 if
something is not needed, 3 if that cannot be said.")]
pub struct CoverageArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Only this HostedCluster (default: all)
    #[arg(long, value_name = "NAMESPACE/NAME")]
    hosted_cluster: Option<ClusterKey>,
    /// Only the nodes of this NodePool
    #[arg(long, value_name = "NAME", requires = "hosted_cluster")]
    node_pool: Option<String>,
    #[command(flatten)]
    lists: ListArgs,
    /// Image of the agent, which every node pulls
    #[arg(long, value_name = "IMAGE")]
    agent_image: Option<String>,
    /// How closely registries are looked at
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL", ignore_case = true)]
    level: Closely,
    /// Layers that L2 reads: a percentage, or all
    #[arg(long, value_name = "PERCENT|all", default_value = "10", value_parser = parse_sample)]
    sample: Sampled,
    /// Registry that fetches from elsewhere what it is asked for: only asked for manifests
    #[arg(long, value_name = "HOST")]
    pull_through: Vec<String>,
    /// Copy what is missing to the mirrors that lack it, then check again
    #[arg(long)]
    fill: bool,
    /// List what mirrors hold that nobody needs; delete nothing
    #[arg(long, conflicts_with_all = ["fill", "hosted_cluster", "node_pool", "level", "sample", "pull_through"])]
    unneeded: bool,
    /// Mirror to look at with --unneeded (default: all that are declared)
    #[arg(long, value_name = "HOST[/PATH]", requires = "unneeded")]
    mirror: Vec<String>,
    #[command(flatten)]
    reach: ReachArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Options")]
    output: Output,
    #[command(flatten)]
    schema: SchemaArg,
}

/// How closely registries are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Closely {
    /// The manifest is there
    #[value(name = "L0")]
    L0,
    /// All manifests and blobs of it are there
    #[default]
    #[value(name = "L1")]
    L1,
    /// The content of a sample of the blobs is right, too
    #[value(name = "L2")]
    L2,
}

impl From<Closely> for Level {
    fn from(level: Closely) -> Self {
        match level {
            Closely::L0 => Self::L0,
            Closely::L1 => Self::L1,
            Closely::L2 => Self::L2,
        }
    }
}

/// Output formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Table,
    Json,
    Yaml,
    /// What is missing, as SOURCE=DESTINATION
    Want,
}

/// A percentage; nothing is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sampled(Option<u8>);

fn parse_sample(text: &str) -> Result<Sampled, String> {
    if text == "all" {
        return Ok(Sampled(None));
    }
    let percent = text.trim_end_matches('%').parse().ok().filter(|percent| (1..=100).contains(percent));
    percent.map(|percent| Sampled(Some(percent))).ok_or_else(|| "give a percentage from 1 to 100, or all".to_owned())
}

impl Sampled {
    /// Chooses others in each run.
    fn sample(self) -> Sample {
        use std::hash::{BuildHasher as _, RandomState};
        match self.0 {
            None => Sample::All,
            Some(percent) => Sample::Percent { percent, seed: RandomState::new().hash_one(DEFAULT_PERCENT) },
        }
    }
}

/// Prints what is held and what is not. A failure is no answer: its exit code is that of what is not known.
pub async fn run(args: &CoverageArgs) -> Result<ExitCode> {
    let has_schema =
        if args.unneeded { args.schema.print::<UnneededReport>()? } else { args.schema.print::<Report>()? };
    if has_schema {
        return Ok(ExitCode::SUCCESS);
    }
    or_unknown(if args.unneeded { unneeded::run(args).await } else { prove_and_fill(args).await })
}

async fn prove_and_fill(args: &CoverageArgs) -> Result<ExitCode> {
    args.reach.warn();
    let mut proof = prove(args).await?;
    let lines = if args.fill { proof.wanted() } else { BTreeSet::new() };
    if !lines.is_empty() {
        fill::fill(&args.reach, &lines).await?;
        proof = prove(args).await?;
    }
    print(args, &proof)?;
    Ok(ExitCode::from(proof.report.exit_code()))
}

/// What was found.
struct Proof {
    report: Report,
    demands: Vec<Demand>,
    /// How many blobs were read whole.
    hashed: usize,
}

impl Proof {
    /// What is missing, as lines to copy.
    fn wanted(&self) -> BTreeSet<String> {
        let verdicts = self.report.images.iter().map(|image| &image.verdict);
        want::lines(self.demands.iter().zip(verdicts))
    }
}

async fn prove(args: &CoverageArgs) -> Result<Proof> {
    let listed = args.lists.read()?;
    let input = args.input.load(Wanted { pools: true, ..Wanted::default() }).await?;
    findings::report_input(&input);
    let selected = pullers::selected(&input, args.hosted_cluster.as_ref())?;
    if selected.is_empty() && listed.is_empty() {
        return Err(Usage::error(
            "the input has no HostedCluster, so nothing is needed; pass --release, --image, --images or --oc-mirror",
        ));
    }
    let extras = Extras::read(&args.input, &input, &selected).await?;
    let targets = pullers::targets(&input, &selected, args.node_pool.as_deref(), &extras.policies)?;
    let asker = Asker::new(args.reach.scheme(), args.sampled(), Arc::new(Payloads::default()));
    let mut holders = Holders::new(&args.reach, &extras, &asker)?;
    let bar = Bar::new();
    let (mut pulls, mut unread) = (Vec::new(), Vec::new());
    for target in &targets {
        bar.say(
            &target
                .key
                .as_ref()
                .map_or_else(|| "reading releases".to_owned(), |key| format!("reading releases of {key}")),
        );
        let needs = needs_of(args, target, &listed, &extras, (&asker, &mut holders), &mut unread).await;
        let of_target: Vec<Pull> = target.pullers.iter().flat_map(|puller| puller.pulls(&needs)).collect();
        pulls.push((of_target, args.closeness(target.cluster)));
    }
    let mut demands = Vec::with_capacity(pulls.len());
    for (pulls, closeness) in &pulls {
        demands.extend(holders.demands(&asker, pulls, closeness).await);
    }
    let found = asker.prove(&demands, |progress| bar.count("images checked", progress.answered, progress.total)).await;
    bar.end();
    for notice in asker.take_notices() {
        console::warning(notice);
    }
    let mut report = Report::new(args.level.into(), VANTAGE, &demands, &found);
    report.unread_releases = unread;
    Ok(Proof { report, demands, hashed: asker.hashed() })
}

fn print(args: &CoverageArgs, proof: &Proof) -> Result<()> {
    let report = &proof.report;
    match args.output {
        Output::Json => console::print_data(report, DataFormat::Json)?,
        Output::Yaml => console::print_data(report, DataFormat::Yaml)?,
        Output::Table => console::print(&text::print(report, proof.hashed))?,
        Output::Want => {
            console::print(&proof.wanted().into_iter().map(|line| line + "\n").collect::<String>())?;
        }
    }
    if args.output == Output::Want {
        text::unread(report).lines().for_each(console::warning);
    }
    Ok(())
}

impl CoverageArgs {
    fn sampled(&self) -> Sample {
        self.sample.sample()
    }

    fn closeness(&self, cluster: Option<&HostedCluster>) -> Closeness {
        Closeness::new(self.level.into(), &self.pull_through, cluster)
    }
}

/// What a target needs: what was asked for, or else what its objects name.
async fn needs_of(
    args: &CoverageArgs,
    target: &Target<'_>,
    listed: &lists::Listed,
    extras: &Extras,
    (asker, holders): (&Asker, &mut Holders<'_>),
    unread: &mut Vec<UnreadRelease>,
) -> Vec<Need> {
    let all: BTreeSet<Consumer> = target.pullers.iter().map(|puller| puller.consumer.clone()).collect();
    let nodes: BTreeSet<Consumer> =
        all.iter().filter(|consumer| matches!(consumer, Consumer::Nodes(_))).cloned().collect();
    let pools: Vec<PoolNeeds> = target.pools.iter().map(|pool| PoolNeeds::from(*pool)).collect();
    let own = target.cluster.map(|cluster| needs::of_cluster(cluster, &pools)).unwrap_or_default();
    let mut found = Vec::new();
    let releases: Vec<ReleaseNeed> = if listed.is_empty() {
        found.extend(own.others);
        let pods = BTreeSet::from([Consumer::Pods]);
        found.extend(needs::of_list("hypershift operator", extras.operator_image.clone(), &pods));
        let agent = args.agent_image.clone().or_else(|| extras.agent_image.clone());
        found.extend(needs::of_list("agent", agent, &nodes));
        own.releases
    } else {
        found.extend(needs::of_list("images", listed.images.iter().cloned(), &nodes));
        listed.releases.iter().map(|image| needs::release(image, all.clone())).collect()
    };
    for release in releases {
        match payload(asker, holders, &target.pullers, &release).await {
            Ok(payload) => found.extend(needs::of_release(&release, &payload, &own.overrides)),
            Err(errors) => {
                found.extend(needs::of_release(&release, &[], &own.overrides));
                unread.push(UnreadRelease { image: release.image, errors });
            }
        }
    }
    found
}

/// The images of a release, from the first place that its consumers would pull it from.
async fn payload(
    asker: &Asker,
    holders: &mut Holders<'_>,
    pullers: &[Puller],
    release: &ReleaseNeed,
) -> Result<Arc<[crate::registry::coverage::payload::PayloadImage]>, Vec<String>> {
    let alone = needs::of_release(release, &[], &std::collections::BTreeMap::new());
    let pulls: Vec<Pull> = pullers.iter().flat_map(|puller| puller.pulls(&alone)).collect();
    let demands = holders.demands(asker, &pulls, &Closeness::default()).await;
    asker.payload(&places(demands)).await
}
