//! The last part of the demo without a real node: an agent that writes to a directory, and skopeo instead of CRI-O.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::{AgentNode, Served, eventually, port};
use serde_json::json;

use crate::node::End;
use crate::{LIMIT, mirrored};

/// The namespace and the ServiceAccount of the agent.
const AGENT: (&str, &str) = ("hypermirror-system", "hypermirror-agent");

impl End<'_> {
    /// With an agent that runs as a process and writes to a directory with a node's files.
    pub async fn on_a_directory(&self, why: &str) -> Result<()> {
        let show = self.show;
        show.title("Node: the agent writes to a directory, because no real node is available");
        show.note(&format!("({why})"));
        self.fleet.guest_of("east", self.guest).await?;
        let labels = json!({"kubernetes.io/os": "linux"});
        let node = eventually(LIMIT, "the manager has created the agent's ServiceAccount", async || {
            AgentNode::create(self.guest, "worker-0", &labels, AGENT).await.map(Some)
        })
        .await?;
        let _agent = node.agent()?;
        self.fleet.condition("east", "NodesUpToDate", "True", "AsExpected").await?;

        show.title("Image: available only from a mirror that is not declared yet");
        let mirror = Served::start("team/app").await?;
        let source = format!("127.0.0.1:{}/team", port::free()?);
        let image = format!("{source}/app@{}", mirror.digest);
        let host = mirror.registry.host();
        show.note(&format!("In this demo, {source} is an unreachable registry and {host} is the mirror."));
        std::fs::write(
            node.path("etc/containers/registries.conf"),
            "[[registry]]\nprefix = \"127.0.0.1\"\nlocation = \"127.0.0.1\"\ninsecure = true\n",
        )?;
        std::fs::create_dir_all(node.path(".config"))?;
        std::os::unix::fs::symlink(node.path("etc/containers"), node.path(".config/containers"))?;
        ensure!(!self.pulls(&node, &image)?, "the image was pulled without a mirror");

        show.title("Edit: declare the mirror in HostedCluster/east");
        let start = Instant::now();
        mirrored(show, self.fleet, "east", &source, &format!("{host}/team")).await?;
        show.note(&format!("The agent has written the mirror {} ms after the edit:", start.elapsed().as_millis()));
        ensure!(self.pulls(&node, &image)?, "the image cannot be pulled through the mirror");
        self.cli.run(show, &["explain", &image, "--hosted-cluster=clusters/east", "--node=worker-0"])?;
        self.cli.run(show, &["status"])
    }

    /// Shows which registries skopeo tries with the node's files, and whether the pull succeeds.
    fn pulls(&self, node: &AgentNode, image: &str) -> Result<bool> {
        self.show.command(&format!("skopeo --debug inspect docker://{image}"));
        let output = Command::new("skopeo")
            .args(["--debug", "inspect", "--raw", &format!("docker://{image}")])
            .env("HOME", node.path(""))
            .output()
            .context("failed to run skopeo; run hack/setup demo to install it")?;
        let text = String::from_utf8_lossy(&output.stderr);
        for line in text.lines().filter_map(|line| line.split_once("Trying to access \\\"")?.1.split_once("\\\"")) {
            self.show.note(&format!("  tries {}", line.0));
        }
        let result = if output.status.success() { "the image is available" } else { "the image is not available" };
        self.show.note(&format!("  {result}"));
        Ok(output.status.success())
    }
}
