//! `explain`: prints the endpoints of images in order, and the objects that declare them.

mod control_plane;
mod prove;
mod text;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::console::{self, Format};
use super::hops::Explained;
use super::input::InputArgs;
use super::node::{self, NodeFiles, NodeMirrors, NodeRuntime, NodeScope, ReadFiles};
use super::registry::ReachArgs;
use super::{Usage, findings};
use crate::mirrors::containerd;
use crate::mirrors::registries::{
    DROP_IN, Explanation, FullNames, RegistriesConfig, attribute, explain, explain_name, full_names, render, with_ours,
};
use crate::mirrors::validate::image_hint;

/// Flags of `explain`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror explain quay.io/app:v1 -f mirrors.yaml
  hypermirror explain quay.io/app@sha256:... \\
    --registries-conf /etc/containers/registries.conf \\
    --registries-conf-dir /etc/containers/registries.conf.d
  hypermirror explain quay.io/app:v1 --hosted-cluster clusters/west \\
    --node worker-0
  hypermirror explain quay.io/app:v1 -f mirrors.yaml --consumer control-plane
  hypermirror explain quay.io/app:v1 -f mirrors.yaml --prove
With -f and the node's files, the drop-in that the agent would write is added
to the files. Without -f, the files are used unchanged. With --node, the
NodeMirrorSets in the guest cluster that match the node are used; standard
error shows whether the node has applied them. With --prove the exit code is
that of coverage: 0 held, 1 missing, 3 unknown.")]
pub struct ExplainArgs {
    /// Image references, as in a pod or with the prefix docker://
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    scope: NodeScope,
    /// Node of a live guest cluster
    #[arg(long, value_name = "NAME", conflicts_with_all = ["node_pool", "files"], value_parser = node::parse_node_name)]
    node: Option<String>,
    #[command(flatten)]
    node_files: NodeFiles,
    /// Container runtime of the node
    #[arg(long, value_enum, default_value_t, value_name = "RUNTIME")]
    runtime: NodeRuntime,
    /// Who pulls the image: a node, or the operators of a control plane
    #[arg(long, value_enum, default_value_t, value_name = "CONSUMER")]
    consumer: Puller,
    /// Ask each endpoint whether it holds the image
    #[arg(long)]
    prove: bool,
    #[command(flatten)]
    reach: ReachArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Options")]
    output: Format,
}

/// The consumer that pulls an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Puller {
    /// The container runtime of a node
    #[default]
    Node,
    /// HyperShift's operators in a control plane
    ControlPlane,
}

/// One image to explain.
struct RequestedImage<'a> {
    requested_as: &'a str,
    /// Without the transport `docker://` of skopeo and oc-mirror.
    image: &'a str,
}

impl<'a> RequestedImage<'a> {
    fn new(requested_as: &'a String) -> Self {
        let image = requested_as.trim();
        Self { requested_as, image: image.strip_prefix("docker://").unwrap_or(image) }
    }
}

/// The configuration of a node.
struct NodeConfig {
    config: RegistriesConfig,
    /// Whether all files that can have a search list are known.
    is_whole: bool,
}

impl NodeConfig {
    /// Explains one image. `explain_one` explains a name that has a registry.
    fn explain(&self, requested: &RequestedImage<'_>, explain_one: impl Fn(&str) -> Explanation) -> Explanation {
        self.report_short_name(requested);
        let mut explanation = explain_name(&self.config, requested.image, self.is_whole, explain_one);
        requested.requested_as.clone_into(&mut explanation.image);
        explanation.error = explanation.error.map(|error| with_hint(&error, requested.image));
        explanation
    }

    /// Reports what else affects the resolution of a name without a registry.
    fn report_short_name(&self, requested: &RequestedImage<'_>) {
        let image = requested.image;
        match full_names(&self.config, image, self.is_whole) {
            Ok(FullNames::Unknown) => console::warning(format!(
                "{image} has no registry, so its endpoints depend on the node's search list, aliases and short-name mode; \
                                 docker.io is assumed; pass the node's files with --registries-conf and --registries-conf-dir"
            )),
            Ok(FullNames::Tried { names, by_alias: false }) if names.len() > 1 => console::note(format!(
                "{image} has no registry: CRI-O tries {} in this order if short_name_mode in its crio.conf is disabled, \
                                 as OpenShift sets it; with enforcing, the default since 1.34, the pull fails if there are several",
                names.join(", ")
            )),
            _ => {}
        }
    }
}

fn with_hint(error: &str, image: &str) -> String {
    image_hint(image).map_or_else(|| error.to_owned(), |hint| format!("{error}; {hint}"))
}

/// Prints the endpoints of each image. The exit code is 1 if an image cannot be pulled.
pub async fn run(args: &ExplainArgs) -> Result<ExitCode> {
    let requested: Vec<RequestedImage<'_>> = args.images.iter().map(RequestedImage::new).collect();
    if args.consumer == Puller::ControlPlane {
        return control_plane::run(args, &requested).await;
    }
    let files = args.node_files.read()?;
    let are_files_alone = args.node_files.are_set() && !args.has_objects();
    let answer = if are_files_alone && args.runtime == NodeRuntime::Crio {
        let explanations = match files.all() {
            Ok(config) => {
                let node = NodeConfig { config, is_whole: files.has_main() };
                requested.iter().map(|requested| node.explain(requested, |name| explain(&node.config, name))).collect()
            }
            Err(error) => unusable(&requested, &error.to_string()),
        };
        Answer { explanations, by_hypershift: Vec::new() }
    } else {
        with_objects(args, &requested, files).await?
    };
    if args.prove {
        let explained = answer.explanations.into_iter().map(|explanation| Explained {
            image: explanation.image,
            endpoints: explanation.endpoints,
            error: explanation.error,
            is_unordered: false,
        });
        return prove::run(args, explained.collect()).await;
    }
    match args.output.data() {
        Some(format) => console::print_data(&answer.explanations, format)?,
        None => console::print(&text::of_node(&answer))?,
    }
    let failed = answer.explanations.iter().any(|explanation| explanation.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The output.
struct Answer {
    explanations: Vec<Explanation>,
    /// For each image, the matching objects that HyperShift itself writes to nodes.
    by_hypershift: Vec<Vec<String>>,
}

impl ExplainArgs {
    fn has_objects(&self) -> bool {
        let scope = &self.scope;
        self.input.is_set() || self.node.is_some() || scope.hosted_cluster.is_some() || scope.node_pool.is_some()
    }

    async fn mirrors(&self) -> Result<NodeMirrors> {
        if let Some(name) = &self.node {
            return node::mirrors_of(&self.input, &self.scope, name).await;
        }
        let input = self.input.load(self.scope.wanted()).await?;
        findings::report_input(&input);
        node::mirrors(&input, &self.scope)
    }

    /// Rejects flags that apply only to nodes.
    fn check_control_plane(&self) -> Result<()> {
        let has_runtime = self.runtime != NodeRuntime::default();
        if self.node.is_some() || self.scope.node_pool.is_some() || self.node_files.are_set() || has_runtime {
            return Err(Usage::error(
                "--consumer control-plane cannot be used with --node, --node-pool, --registries-conf, \
                                 --registries-conf-dir or --runtime, which apply only to nodes",
            ));
        }
        Ok(())
    }
}

async fn with_objects(args: &ExplainArgs, requested: &[RequestedImage<'_>], mut files: ReadFiles) -> Result<Answer> {
    let mirrors = args.mirrors().await?;
    findings::report(&mirrors.findings);
    if args.runtime == NodeRuntime::Containerd {
        let rendered = node::containerd_hosts(&mirrors.set, &args.node_files)?;
        let explanations = requested.iter().map(|requested| {
            let explanation = containerd::explain(&rendered.registries, requested.image);
            Explanation { image: requested.requested_as.to_owned(), ..explanation }
        });
        return Ok(Answer { explanations: explanations.collect(), by_hypershift: vec![Vec::new(); requested.len()] });
    }
    files.add(&mirrors.files);
    let by_hypershift = requested.iter().map(|requested| mirrors.written_by_hypershift(requested.image)).collect();
    let foreign = match files.foreign() {
        Ok(foreign) => foreign,
        Err(error) => return Ok(Answer { explanations: unusable(requested, &error.to_string()), by_hypershift }),
    };
    let rendered = match render(&mirrors.set, &foreign) {
        Ok(rendered) => rendered,
        Err(error) => {
            let explanations = unusable(requested, &format!("{:#}", anyhow::Error::from(error)));
            return Ok(Answer { explanations, by_hypershift });
        }
    };
    for note in &rendered.notes {
        console::warning(note);
    }
    let node = NodeConfig { config: with_ours(&foreign, &rendered)?, is_whole: files.has_main() };
    let explain_one = |name: &str| {
        let mut explanation = explain(&node.config, name);
        attribute(&mut explanation, DROP_IN, &mirrors.set, &foreign);
        explanation
    };
    let explanations = requested.iter().map(|requested| node.explain(requested, explain_one)).collect();
    Ok(Answer { explanations, by_hypershift })
}

fn unusable(requested: &[RequestedImage<'_>], error: &str) -> Vec<Explanation> {
    let explanation = |requested: &RequestedImage<'_>| Explanation {
        image: requested.requested_as.to_owned(),
        prefix: None,
        endpoints: Vec::new(),
        error: Some(error.to_owned()),
    };
    requested.iter().map(explanation).collect()
}
