//! Carries out what the arguments of `copy` name: opens registries and layouts, and stops when it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::progress::Transfers;
use super::super::registry::{Access, ReachArgs};
use super::super::{Usage, console};
use super::places::{Goal, Item, Origin};
use super::report::CopyReport;
use crate::registry::layout::{Layout, LayoutPath, LayoutRepository};
use crate::registry::transfer::{Copier, CopyOptions, Destination, Job, RegistrySide, Side};
use crate::registry::{Credential, Repository};

/// As long as Kubernetes gives a pod, with a little left.
const GRACE: Duration = Duration::from_secs(25);

/// Opens what is copied from and to, each once.
pub struct Engine {
    access: Access,
    is_plain: bool,
    options: CopyOptions,
    layouts: BTreeMap<LayoutPath, Layout>,
    /// Layouts that are written.
    written: Vec<Layout>,
    credentials: BTreeMap<Repository, Credential>,
}

impl Engine {
    /// Nothing is connected yet.
    pub fn new(reach: &ReachArgs, options: CopyOptions) -> Result<Self> {
        Ok(Self {
            access: reach.access()?,
            is_plain: reach.plain_http,
            options,
            layouts: BTreeMap::new(),
            written: Vec::new(),
            credentials: BTreeMap::new(),
        })
    }

    /// Finds out what is to be copied and what it costs; writes nothing. `rate` is in bytes a second.
    pub async fn survey(&mut self, items: &[Item], rate: Option<u64>) -> Result<CopyReport> {
        let jobs = self.jobs(items, true).await?;
        let progress = Arc::new(Transfers::new());
        let copier = Copier::new(self.options.clone(), progress.clone(), CancellationToken::new());
        let survey = copier.survey(jobs).await;
        progress.end();
        self.notices();
        let report = CopyReport::planned(items, &self.options.anchor, &survey);
        Ok(report.with_bill(&survey.bill(), &self.access.requests.counted(), rate))
    }

    /// Copies. A signal ends it: requests in progress have 25 s, and no tag is half written.
    pub async fn copy(&mut self, items: &[Item]) -> Result<CopyReport> {
        let jobs = self.jobs(items, false).await?;
        let progress = Arc::new(Transfers::new());
        let stop = CancellationToken::new();
        let copier = Copier::new(self.options.clone(), progress.clone(), stop.clone());
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let copy = async {
            let survey = copier.survey(jobs).await;
            // Blobs move from here on: the time before says nothing about the rate.
            let begun = Instant::now();
            (copier.run(survey).await, begun.elapsed())
        };
        tokio::pin!(copy);
        let finished = tokio::select! {
            done = &mut copy => Some(done),
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
        };
        let (report, time) = if let Some(done) = finished {
            done
        } else {
            stop.cancel();
            console::note("stopping: requests in progress have 25s to finish");
            timeout(GRACE, &mut copy).await.context("stopped: requests were still in progress after 25s")?
        };
        progress.end();
        self.notices();
        // The next run continues an archive that lacks something.
        let is_whole = report.is_complete();
        for layout in self.written.iter().filter(|layout| is_whole || !layout.is_archive()) {
            layout.finish().await?;
        }
        let made = CopyReport::new(items, &self.options.anchor, &report);
        Ok(made.with_traffic(&self.access.requests.counted(), time))
    }

    fn notices(&self) {
        self.access.client.take_notices().iter().for_each(console::warning);
    }

    /// A layout to read from.
    pub async fn read(&mut self, path: &LayoutPath) -> Result<Layout> {
        let path = path.whole();
        if let Some(layout) = self.layouts.get(&path) {
            return Ok(layout.clone());
        }
        let layout = Layout::open(&path).await.map_err(|error| Usage::error(error.to_string()))?;
        self.layouts.insert(path, layout.clone());
        Ok(layout)
    }

    async fn write(&mut self, path: &LayoutPath, is_dry: bool) -> Result<Layout> {
        let path = path.whole();
        if let Some(layout) = self.layouts.get(&path).filter(|layout| is_dry || self.is_written(layout)) {
            return Ok(layout.clone());
        }
        // A survey creates no directory: where there is none, everything is to be written.
        let layout = if is_dry { Layout::preview(&path).await? } else { Layout::create(&path).await? };
        self.written.push(layout.clone());
        self.layouts.insert(path, layout.clone());
        Ok(layout)
    }

    fn is_written(&self, layout: &Layout) -> bool {
        self.written.iter().any(|written| written.path() == layout.path())
    }

    async fn jobs(&mut self, items: &[Item], is_dry: bool) -> Result<Vec<Job>> {
        let mut jobs = Vec::with_capacity(items.len());
        // Destinations first: a layout that is read and written is opened once, to write.
        for item in items {
            let mut destinations = Vec::with_capacity(item.goals.len());
            for goal in &item.goals {
                destinations.push(self.destination(goal, is_dry).await?);
            }
            let mut sources = Vec::with_capacity(item.origins.len());
            for origin in &item.origins {
                sources.push(self.source(origin).await?);
            }
            jobs.push(Job { sources, reference: item.reference.clone(), destinations });
        }
        Ok(jobs)
    }

    async fn source(&mut self, origin: &Origin) -> Result<Side> {
        match origin {
            Origin::Registry(repository) => self.registry(repository).await,
            Origin::Layout(path, repository) => {
                let layout = self.read(path).await?;
                Ok(Side::Layout(LayoutRepository::new(layout, repository)))
            }
        }
    }

    async fn destination(&mut self, goal: &Goal, is_dry: bool) -> Result<Destination> {
        match goal {
            Goal::Registry(repository, tag) => {
                Ok(Destination { side: self.registry(repository).await?, tag: tag.clone() })
            }
            Goal::Layout { path, repository, name, carried_for } => {
                let layout = self.write(path, is_dry).await?;
                let side = LayoutRepository::new(layout, repository);
                let side = if name.is_empty() { side } else { side.naming(name, carried_for.clone()) };
                Ok(Destination { side: Side::Layout(side), tag: None })
            }
        }
    }

    async fn registry(&mut self, repository: &Repository) -> Result<Side> {
        let mut repository = repository.clone();
        if self.is_plain {
            repository.registry = repository.registry.over_http();
        }
        let credential = if let Some(credential) = self.credentials.get(&repository) {
            credential.clone()
        } else {
            let found = self.access.keychain.credential(&repository).await;
            let found = found.map_err(|cause| Usage::error(format!("no credentials for {repository}: {cause}")))?;
            self.credentials.insert(repository.clone(), found.clone());
            found
        };
        let side = RegistrySide::new(self.access.client.clone(), repository, credential);
        Ok(Side::Registry(match &self.access.keychain.ecr {
            Some(ecr) => side.creating(ecr.clone()),
            None => side,
        }))
    }
}
