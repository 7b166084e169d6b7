//! The pages for a support bundle: the same as those of `--export`, of objects that were read already.

use hypermirror_api::ClusterKey;
use jiff::Timestamp;
use kube::Client;

use super::super::check::Row;
use super::super::input::Input;
use super::export::render;
use super::fleet::{rows, select};
use super::links::cluster_file;
use super::query::Query;
use super::source::{Snapshot, Source};
use crate::manager::options::PlanOptions;

/// Hosted clusters that have a page of their own. Pages have 20 to 100 kB, and nobody reads more of them.
pub const MAX_CLUSTERS: usize = 200;

/// The name of the cluster in pages: its address is nobody's business.
const NAME: &str = "the cluster";

/// Pages that are not redacted yet.
#[derive(Default)]
pub struct Pages {
    /// Contents by name, with files that pages need.
    pub files: Vec<(String, String)>,
    /// Names of the pages that were left out, because there are more than [`MAX_CLUSTERS`].
    pub left_out: Vec<String>,
}

/// Renders pages into `pages`, so that those that are ready stay if the caller does not wait for all. The hosted clusters that are least
/// ready have pages.
///
/// # Errors
/// None that can occur: nothing is written.
pub async fn render_into(
    pages: &mut Pages,
    client: Client,
    (input, read, findings): (Input, Timestamp, Vec<Row>),
    options: &PlanOptions,
) -> anyhow::Result<()> {
    let source = Source::of_client(client, NAME, options.clone());
    let snapshot = Snapshot::with_findings(input, read, findings);
    let mut clusters = most_urgent(&snapshot.input);
    let left_out = clusters.split_off(clusters.len().min(MAX_CLUSTERS));
    pages.left_out = left_out.iter().map(cluster_file).collect();
    render(&source, &snapshot, clusters, |name, content| {
        pages.files.push((name.to_owned(), content));
        Ok(())
    })
    .await
    .map(drop)
}

fn most_urgent(input: &Input) -> Vec<ClusterKey> {
    select(&rows(input), &Query::default()).into_iter().map(|row| row.key.clone()).collect()
}
