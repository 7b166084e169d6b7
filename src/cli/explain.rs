//! `explain`: where an image is pulled from, in order, and what says so.

mod control_plane;
mod text;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::console::{self, Format};
use super::input::InputArgs;
use super::node::{self, NodeFiles, NodeMirrors, NodeScope, ReadFiles};
use super::{Usage, findings};
use crate::mirrors::registries::{
    DROP_IN, Explanation, FullNames, RegistriesConfig, attribute, explain, explain_name, full_names, render, with_ours,
};
use crate::mirrors::validate::image_hint;

/// Asks for images.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror explain quay.io/app:v1 -f mirrors.yaml
  hypermirror explain quay.io/app@sha256:... \\
    --registries-conf /etc/containers/registries.conf \\
    --registries-conf-dir /etc/containers/registries.conf.d
  hypermirror explain quay.io/app:v1 --hosted-cluster clusters/west \\
    --node worker-0
  hypermirror explain quay.io/app:v1 -f mirrors.yaml --consumer control-plane
With objects and files, the agent's drop-in is added to the files; with files
alone, they are read as they are. With --node, the sets of the guest cluster
that match the node count, and standard error reports whether it has them.")]
pub struct ExplainArgs {
    /// Image references as in a pod, or with docker:// before them
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
    /// Who pulls the image: a node, or the operators of a control plane
    #[arg(long, value_enum, default_value_t, value_name = "CONSUMER")]
    consumer: Puller,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Who pulls an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Puller {
    /// CRI-O on a node
    #[default]
    Node,
    /// HyperShift's operators in a control plane
    ControlPlane,
}

/// One image to explain.
struct Asked<'a> {
    /// As it was given.
    given: &'a str,
    /// Without what skopeo and oc-mirror write before it.
    image: &'a str,
}

impl<'a> Asked<'a> {
    fn new(given: &'a String) -> Self {
        let image = given.trim();
        Self { given, image: image.strip_prefix("docker://").unwrap_or(image) }
    }
}

/// What is known of a node.
struct NodeConfig {
    config: RegistriesConfig,
    /// No file that could have a search list is missing.
    is_whole: bool,
}

impl NodeConfig {
    /// Explains one image; `explain_one` explains a name with its registry.
    fn explain(&self, asked: &Asked<'_>, explain_one: impl Fn(&str) -> Explanation) -> Explanation {
        self.tell_short_name(asked);
        let mut explanation = explain_name(&self.config, asked.image, self.is_whole, explain_one);
        asked.given.clone_into(&mut explanation.image);
        explanation.error = explanation.error.map(|error| with_hint(&error, asked.image));
        explanation
    }

    /// What else decides about a name without a registry.
    fn tell_short_name(&self, asked: &Asked<'_>) {
        let image = asked.image;
        match full_names(&self.config, image, self.is_whole) {
            Ok(FullNames::Unknown) => console::warning(format!(
                "{image} names no registry: where it is pulled from depends on the node's search list, aliases and \
                 short-name mode, and it is read as an image of docker.io here; give the node's files with --registries-conf \
                 and --registries-conf-dir"
            )),
            Ok(FullNames::Tried { names, by_alias: false }) if names.len() > 1 => console::note(format!(
                "{image} names no registry: CRI-O tries {} in this order if short_name_mode in its crio.conf is disabled, \
                 which OpenShift sets; with enforcing, its default since 1.34, it tries none of several",
                names.join(", ")
            )),
            _ => {}
        }
    }
}

fn with_hint(error: &str, image: &str) -> String {
    image_hint(image).map_or_else(|| error.to_owned(), |hint| format!("{error}; {hint}"))
}

/// Prints the endpoints of each image; the exit code is 1 if one cannot be pulled at all.
pub async fn run(args: &ExplainArgs) -> Result<ExitCode> {
    let asked: Vec<Asked<'_>> = args.images.iter().map(Asked::new).collect();
    if args.consumer == Puller::ControlPlane {
        return control_plane::run(args, &asked).await;
    }
    let files = args.node_files.read()?;
    let answer = if args.node_files.are_given() && !args.asks_for_objects() {
        let explanations = match files.all() {
            Ok(config) => {
                let node = NodeConfig { config, is_whole: files.has_main() };
                asked.iter().map(|asked| node.explain(asked, |name| explain(&node.config, name))).collect()
            }
            Err(error) => unusable(&asked, &error.to_string()),
        };
        Answer { explanations, by_hypershift: Vec::new() }
    } else {
        with_objects(args, &asked, files).await?
    };
    match args.output.data() {
        Some(format) => console::print_data(&answer.explanations, format)?,
        None => console::print(&text::of_node(&answer))?,
    }
    let failed = answer.explanations.iter().any(|explanation| explanation.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is printed.
struct Answer {
    explanations: Vec<Explanation>,
    /// For each image, the matching objects that HyperShift itself writes to nodes.
    by_hypershift: Vec<Vec<String>>,
}

impl ExplainArgs {
    fn asks_for_objects(&self) -> bool {
        let scope = &self.scope;
        self.input.is_given() || self.node.is_some() || scope.hosted_cluster.is_some() || scope.node_pool.is_some()
    }

    async fn mirrors(&self) -> Result<NodeMirrors> {
        if let Some(name) = &self.node {
            return node::mirrors_of(&self.input, &self.scope, name).await;
        }
        let input = self.input.load(self.scope.wanted()).await?;
        findings::tell_troubles(&input);
        node::mirrors(&input, &self.scope)
    }

    /// Flags that are about a node make no sense for a control plane.
    fn check_control_plane(&self) -> Result<()> {
        if self.node.is_some() || self.scope.node_pool.is_some() || self.node_files.are_given() {
            return Err(Usage::error(
                "--consumer control-plane is about the override map of a HostedCluster: --node, --node-pool, \
                 --registries-conf and --registries-conf-dir are about nodes",
            ));
        }
        Ok(())
    }
}

async fn with_objects(args: &ExplainArgs, asked: &[Asked<'_>], mut files: ReadFiles) -> Result<Answer> {
    let mirrors = args.mirrors().await?;
    findings::tell(&mirrors.findings);
    files.add(&mirrors.files);
    let by_hypershift = asked.iter().map(|asked| mirrors.brought_by_hypershift(asked.image)).collect();
    let foreign = match files.foreign() {
        Ok(foreign) => foreign,
        Err(error) => return Ok(Answer { explanations: unusable(asked, &error.to_string()), by_hypershift }),
    };
    let rendered = match render(&mirrors.set, &foreign) {
        Ok(rendered) => rendered,
        Err(error) => {
            let explanations = unusable(asked, &format!("{:#}", anyhow::Error::from(error)));
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
    let explanations = asked.iter().map(|asked| node.explain(asked, explain_one)).collect();
    Ok(Answer { explanations, by_hypershift })
}

fn unusable(asked: &[Asked<'_>], error: &str) -> Vec<Explanation> {
    let explanation = |asked: &Asked<'_>| Explanation {
        image: asked.given.to_owned(),
        prefix: None,
        endpoints: Vec::new(),
        error: Some(error.to_owned()),
    };
    asked.iter().map(explanation).collect()
}
