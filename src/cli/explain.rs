//! `explain`: where an image is pulled from, in order, and what says so.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::console::{self, BAD, ERROR, Format, HEADING, styled};
use super::findings;
use super::input::InputArgs;
use super::node::{self, NodeFiles, NodeMirrors, NodeScope};
use crate::mirrors::registries::{
    DROP_IN, Endpoint, EndpointOrigin, Explanation, attribute, explain, render, with_ours,
};

/// Asks for images.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror explain quay.io/app:v1 -f mirrors.yaml
  hypermirror explain quay.io/app@sha256:... \\
    --registries-conf /etc/containers/registries.conf \\
    --registries-conf-dir /etc/containers/registries.conf.d
  hypermirror explain quay.io/app:v1 --hosted-cluster clusters/west \\
    --node worker-0
With objects and files, the agent's drop-in is added to the files; with files
alone, they are read as they are. With --node, the sets of the guest cluster
that match the node count, and standard error reports whether it has them.")]
pub struct ExplainArgs {
    /// Image references as in a pod
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
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// Prints the endpoints of each image; the exit code is 1 if one cannot be pulled at all.
pub async fn run(args: &ExplainArgs) -> Result<ExitCode> {
    let files = args.node_files.read()?;
    let explanations: Vec<Explanation> = if args.node_files.are_given() && !args.asks_for_objects() {
        match files.all() {
            Ok(config) => args.images.iter().map(|image| explain(&config, image)).collect(),
            Err(error) => unusable(&args.images, &error.to_string()),
        }
    } else {
        with_objects(args, &files).await?
    };
    match args.output.data() {
        Some(format) => console::print_data(&explanations, format)?,
        None => console::print(&explanations.iter().map(text).collect::<Vec<_>>().join("\n"))?,
    }
    let failed = explanations.iter().any(|explanation| explanation.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
}

async fn with_objects(args: &ExplainArgs, files: &node::ReadFiles) -> Result<Vec<Explanation>> {
    let mirrors = args.mirrors().await?;
    findings::tell(&mirrors.findings);
    let foreign = match files.foreign() {
        Ok(foreign) => foreign,
        Err(error) => return Ok(unusable(&args.images, &error.to_string())),
    };
    let rendered = match render(&mirrors.set, &foreign) {
        Ok(rendered) => rendered,
        Err(error) => return Ok(unusable(&args.images, &format!("{:#}", anyhow::Error::from(error)))),
    };
    for note in &rendered.notes {
        console::warning(note);
    }
    let together = with_ours(&foreign, &rendered)?;
    let explained = args.images.iter().map(|image| {
        let mut explanation = explain(&together, image);
        attribute(&mut explanation, DROP_IN, &mirrors.set, &foreign);
        explanation
    });
    Ok(explained.collect())
}

fn unusable(images: &[String], error: &str) -> Vec<Explanation> {
    let explanation = |image: &String| Explanation {
        image: image.clone(),
        prefix: None,
        endpoints: Vec::new(),
        error: Some(error.to_owned()),
    };
    images.iter().map(explanation).collect()
}

fn text(explanation: &Explanation) -> String {
    let mut text = format!("{}\n", styled(HEADING, &explanation.image));
    if let Some(error) = &explanation.error {
        return text + &format!("  {}\n", styled(ERROR, error));
    }
    let by = explanation
        .prefix
        .as_ref()
        .map_or_else(|| "no mirror set has a say".to_owned(), |prefix| format!("by {prefix}"));
    text.extend(["  ", by.as_str(), "\n"]);
    let width = explanation.endpoints.iter().map(|endpoint| endpoint.reference.chars().count()).max().unwrap_or(0);
    for (place, endpoint) in explanation.endpoints.iter().enumerate() {
        text += &line(place + 1, endpoint, width);
    }
    text
}

fn line(place: usize, endpoint: &Endpoint, width: usize) -> String {
    let mut notes = Vec::new();
    if endpoint.blocked {
        notes.push(styled(BAD, "blocked: never contacted"));
    }
    if endpoint.insecure {
        notes.push(styled(BAD, "without verified TLS"));
    }
    match &endpoint.origin {
        Some(EndpointOrigin::Object(origin)) => notes.push(origin.to_string()),
        Some(EndpointOrigin::File { file }) => notes.push(file.clone()),
        None => {}
    }
    let line = format!("  {place}. {:width$}   {}", endpoint.reference, notes.join(", "));
    format!("{}\n", line.trim_end())
}
