//! The end of the demo where no node can be had: an agent on a directory, and skopeo in the place of CRI-O.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::{AgentNode, Served, eventually, port};
use serde_json::json;

use crate::node::End;
use crate::{LIMIT, mirrored};

/// Where the manager puts the agent, and its ServiceAccount.
const AGENT: (&str, &str) = ("hypermirror-system", "hypermirror-agent");

impl End<'_> {
    /// With an agent as a process, on a directory that has a node's files.
    pub async fn on_a_directory(&self, why: &str) -> Result<()> {
        let show = self.show;
        show.title("A node: a directory with its files, as there can be no real one here");
        show.say(&format!("({why})"));
        self.fleet.guest_of("east", self.guest).await?;
        let labels = json!({"kubernetes.io/os": "linux"});
        let node = eventually(LIMIT, "the manager has brought the agent's ServiceAccount", async || {
            AgentNode::create(self.guest, "worker-0", &labels, AGENT).await.map(Some)
        })
        .await?;
        let _agent = node.agent()?;
        self.fleet.condition("east", "NodesUpToDate", "True", "AsExpected").await?;

        show.title("An image, which is only at a mirror");
        let mirror = Served::start("mirror/team/app").await?;
        let source = format!("127.0.0.1:{}/team", port::free()?);
        let image = format!("{source}/app@{}", mirror.digest);
        let host = mirror.registry.host();
        show.say(&format!("{source} stands for a registry that is out of reach, {host} for the mirror."));
        std::fs::write(
            node.path("etc/containers/registries.conf"),
            "[[registry]]\nprefix = \"127.0.0.1\"\nlocation = \"127.0.0.1\"\ninsecure = true\n",
        )?;
        std::fs::create_dir_all(node.path(".config"))?;
        std::os::unix::fs::symlink(node.path("etc/containers"), node.path(".config/containers"))?;
        ensure!(!self.pulls(&node, &image)?, "it could be pulled");

        show.title("An edit: HostedCluster/east says where the mirror is");
        let start = Instant::now();
        mirrored(show, self.fleet, "east", &source, &format!("{host}/mirror/team")).await?;
        show.say(&format!("{} ms after the edit the agent has written it:", start.elapsed().as_millis()));
        ensure!(self.pulls(&node, &image)?, "it cannot be pulled");
        self.cli.run(show, &["explain", &image, "--hosted-cluster=clusters/east", "--node=worker-0"])?;
        self.cli.run(show, &["status"])
    }

    /// Shows what skopeo tries with the node's files, and whether it succeeds.
    fn pulls(&self, node: &AgentNode, image: &str) -> Result<bool> {
        self.show.command(&format!("skopeo --debug inspect docker://{image}"));
        let output = Command::new("skopeo")
            .args(["--debug", "inspect", "--raw", &format!("docker://{image}")])
            .env("HOME", node.path(""))
            .output()
            .context("skopeo is not installed either: hack/setup demo")?;
        let text = String::from_utf8_lossy(&output.stderr);
        for line in text.lines().filter_map(|line| line.split_once("Trying to access \\\"")?.1.split_once("\\\"")) {
            self.show.say(&format!("  asks {}", line.0));
        }
        let verdict = if output.status.success() { "has the image" } else { "does not get the image" };
        self.show.say(&format!("  {verdict}"));
        Ok(output.status.success())
    }
}
