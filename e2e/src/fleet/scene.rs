//! A management cluster for a scenario: a fleet, its managers, and the audit log.

use anyhow::{Result, ensure};

use super::manager::{Manager, ManagerLaunch};
use super::{Fleet, MANAGER_USER, SOON};
use crate::audit::{Audit, Event, Mark};
use crate::bed::Builder;
use crate::{Cluster, Crds, Kit, Testbed, eventually};

/// The kinds of OpenShift in a guest cluster.
const GUEST_KINDS: [&str; 3] = [
    "imagedigestmirrorsets.config.openshift.io",
    "imagetagmirrorsets.config.openshift.io",
    "imagecontentsourcepolicies.operator.openshift.io",
];

/// A test bed with a fleet on its management cluster.
pub struct Scene {
    /// The servers.
    pub bed: Testbed,
    /// The fleet.
    pub fleet: Fleet,
    /// The audit log.
    pub audit: Audit,
}

impl Scene {
    /// Creates a scene with all kinds of the fleet and no hosted cluster.
    ///
    /// # Errors
    ///
    /// If a server does not start or refuses something.
    pub async fn start() -> Result<Self> {
        Self::with(Testbed::builder(), &Crds::of_the_fleet()?).await
    }

    /// Creates a scene with other servers or kinds.
    ///
    /// # Errors
    ///
    /// If a server does not start or refuses something.
    pub async fn with(bed: Builder, crds: &Crds) -> Result<Self> {
        let bed = bed.management_kit(Fleet::kit(crds)?).start().await?;
        let fleet = Fleet::of(bed.management()).await?;
        let audit = bed.management().audit().await?;
        Ok(Self { bed, fleet, audit })
    }

    /// Creates a scene with this number of guest clusters, which have only the kinds of OpenShift. Returns a client of the
    /// administrator for each.
    ///
    /// # Errors
    ///
    /// If a server does not start or refuses something.
    pub async fn with_guests(guests: usize) -> Result<(Self, Vec<Fleet>)> {
        let crds = Crds::of_the_fleet()?;
        let bed = Testbed::builder().guests(guests).guest_kit(Self::guest_kit(&crds)?);
        let scene = Self::with(bed, &crds).await?;
        let fleets = Self::guests(&scene.bed).await?;
        Ok((scene, fleets))
    }

    /// The kinds of OpenShift in a guest cluster.
    ///
    /// # Errors
    ///
    /// If one is missing.
    pub fn guest_kit(crds: &Crds) -> Result<Kit> {
        crds.only(&GUEST_KINDS).map(Kit::of)
    }

    /// A client of the administrator for each guest cluster.
    ///
    /// # Errors
    ///
    /// If a client cannot be made.
    pub async fn guests(bed: &Testbed) -> Result<Vec<Fleet>> {
        let mut fleets = Vec::new();
        for guest in bed.guests() {
            fleets.push(Fleet::of(guest).await?);
        }
        Ok(fleets)
    }

    /// The management cluster.
    pub fn management(&self) -> &Cluster {
        self.bed.management()
    }

    /// The configuration of a manager.
    pub fn launch(&self, name: &str) -> ManagerLaunch {
        ManagerLaunch::new(name, self.management().directory())
    }

    /// Starts a manager with the usual flags and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it is not ready in time.
    pub async fn manager(&self) -> Result<Manager> {
        Manager::start(self.management()).await
    }

    /// The writes of managers since the mark, except those of the Lease, which is renewed all the time.
    ///
    /// # Errors
    ///
    /// If the audit log cannot be read.
    pub async fn writes(&self, mark: Mark) -> Result<Vec<Event>> {
        let mut writes = self.audit.writes_by(mark, MANAGER_USER).await?;
        writes.retain(|write| write.resource != "leases");
        Ok(writes)
    }

    /// The successful writes of managers to target Deployments since the mark.
    ///
    /// # Errors
    ///
    /// If the audit log cannot be read.
    pub async fn patches(&self, mark: Mark) -> Result<Vec<Event>> {
        let mut writes = self.writes(mark).await?;
        writes.retain(|write| write.resource == "deployments" && write.succeeded());
        Ok(writes)
    }

    /// The single reads and the pages of lists of target Deployments by managers since the mark.
    ///
    /// # Errors
    ///
    /// If the audit log cannot be read.
    pub async fn target_reads(&self, mark: Mark) -> Result<(usize, usize)> {
        let mut events = self.audit.since(mark).await?;
        events.retain(|event| event.user == MANAGER_USER && event.resource == "deployments");
        let count = |verb: &str| events.iter().filter(|event| event.verb == verb).count();
        Ok((count("get"), count("list")))
    }

    /// Waits until a manager has started this number of watches of a resource since the mark.
    ///
    /// # Errors
    ///
    /// If it does not in time.
    pub async fn watched(&self, mark: Mark, resource: &str, watches: usize) -> Result<()> {
        eventually(SOON, &format!("{resource} are watched again"), async || {
            let events = self.audit.since(mark).await?;
            let of_manager = events.iter().filter(|event| event.user == MANAGER_USER && event.resource == resource);
            let begun = of_manager.filter(|event| event.verb == "watch" && event.code == 200).count();
            ensure!(begun >= watches, "{begun} watches");
            Ok(Some(()))
        })
        .await
    }

    /// Fails if a manager wrote anything except the Lease since the mark.
    ///
    /// # Errors
    ///
    /// If it did: with what it wrote.
    pub async fn nothing_written(&self, mark: Mark) -> Result<()> {
        let writes: Vec<String> = self.writes(mark).await?.iter().map(Event::summary).collect();
        ensure!(writes.is_empty(), "written: {writes:#?}");
        Ok(())
    }
}
