//! A fleet with a rival and the real manager, and rounds of changes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::administrator::{Administrator, Member};
use super::judge::{Account, Judge, Wanted, effective, history};
use super::pulse::Pulse;
use super::timeline::Timeline;
use super::{Manners, Random, Rival, values};
use crate::fleet::admission::Admission;
use crate::fleet::manager::ManagerLaunch;
use crate::fleet::{Fleet, SOON, TARGETS, deployments, objects};
use crate::{Crds, Testbed, eventually};

/// Time after the last write of another client until all values must be correct.
pub const PROMPT: Duration = Duration::from_secs(2);

/// The action for one hosted cluster in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// None.
    Rest,
    /// An own change of the hypershift operator.
    Parent,
    /// An own change of the control-plane-operator, on one child.
    Child(&'static str),
    /// Both at the same time.
    Both(&'static str),
    /// An event on the HostedCluster without a change.
    Poke,
    /// A user restarts a Deployment.
    Restart(&'static str),
    /// A user edits the stock value, which its operator reverts.
    Deface(&'static str),
}

impl Act {
    /// A random action.
    pub fn any(random: &mut Random) -> Self {
        let child = *random.one_of(&TARGETS[1..]);
        let target = *random.one_of(&TARGETS);
        match random.below(100) {
            0..36 => Self::Parent,
            36..62 => Self::Child(child),
            62..72 => Self::Both(child),
            72..90 => Self::Poke,
            90..96 => Self::Restart(target),
            _ => Self::Deface(target),
        }
    }
}

/// The parts of a scenario.
pub struct Stage {
    /// The fleet on the management cluster.
    pub fleet: Fleet,
    /// The stock operators.
    pub rival: Rival,
    /// All versions of all Deployments.
    pub timeline: Timeline,
    pulse: Pulse,
    /// The administrator, who declares mirrors.
    pub administrator: Administrator,
    /// The hosted clusters.
    pub members: Vec<Member>,
    /// The evaluation of the timeline.
    pub judge: Judge,
    /// The random numbers.
    pub random: Random,
    /// The installed admission.
    pub admission: Admission,
    /// Writes that were admitted without the webhook because it did not respond in time: in this round, and in total.
    pub unanswered: (usize, usize),
    /// The start of this round and of the previous one in the timeline.
    since: usize,
    before: usize,
    /// The servers. Last, so that they are dropped after their clients.
    pub bed: Testbed,
}

/// The changes of all targets in one round, by hosted cluster.
pub type Accounts = BTreeMap<String, [Account; 3]>;

impl Stage {
    /// Creates a fleet of these members, with Deployments of the rival and without a manager.
    ///
    /// # Errors
    ///
    /// If a server does not start or refuses something.
    pub async fn set(members: Vec<Member>, manners: &Manners, seed: u64) -> Result<Self> {
        let bed = Testbed::builder().management_kit(Fleet::kit(&Crds::of_the_fleet()?)?).start().await?;
        let fleet = Fleet::of(bed.management()).await?;
        let mut rival = Rival::new(bed.management(), Random::seeded(seed)).await?;
        let (timeline, pulse) = (Timeline::start(fleet.client.clone()), Pulse::start(fleet.client.clone()));
        for member in &members {
            let manners = Manners { flag: member.flag.to_owned(), ..manners.clone() };
            rival.host(&fleet, &member.name, member.sources(), &member.annotations(), manners).await?;
        }
        for member in &members {
            eventually(SOON, "the rival has written its Deployments", async || {
                rival.idle_targets(&member.name).await.map(Some)
            })
            .await?;
        }
        let (administrator, judge) = (Administrator::default(), Judge::default());
        Ok(Self {
            fleet,
            rival,
            timeline,
            pulse,
            administrator,
            members,
            judge,
            random: Random::seeded(seed),
            admission: Admission::None,
            unanswered: (0, 0),
            since: 0,
            before: 0,
            bed,
        })
    }

    /// The configuration of the manager for these scenarios.
    pub fn manager(&self, name: &str) -> ManagerLaunch {
        let launch = ManagerLaunch::new(name, self.bed.management().directory()).arg("--max-removal=100");
        self.admission.serve(launch)
    }

    /// Installs an admission. Managers that are started afterwards serve it.
    ///
    /// # Errors
    ///
    /// If the API server rejects a request.
    pub async fn admit(&mut self, admission: Admission) -> Result<()> {
        self.fleet.admit(admission).await?;
        self.admission = admission;
        Ok(())
    }

    /// The expected values of one target of a member.
    pub fn wanted(&self, member: &Member, target: &str) -> Wanted {
        let (map, strict) = self.administrator.map(member);
        let static_flags = values::parse_flags([member.flag]);
        let static_flags = static_flags.into_iter().filter(|(source, _)| !source.is_empty());
        let mut wanted = Wanted { env: map.clone(), flags: static_flags.collect() };
        if target != TARGETS[0] {
            for (source, mirror) in &wanted.flags {
                wanted.env.entry(source.clone()).or_default().push(mirror.clone());
            }
        }
        if target == TARGETS[1] {
            let first = |source: &String| Some((source.clone(), map.get(source)?.first()?.clone()));
            wanted.flags.extend(strict.iter().filter_map(first));
        }
        wanted
    }

    /// Performs one action.
    ///
    /// # Errors
    ///
    /// If the API server rejects it.
    pub async fn act(&mut self, cluster: &str, act: Act) -> Result<()> {
        match act {
            Act::Rest => {}
            Act::Parent => self.rival.change(cluster, TARGETS[0]),
            Act::Child(target) => self.rival.change(cluster, target),
            Act::Both(target) => {
                self.rival.change(cluster, TARGETS[0]);
                self.rival.change(cluster, target);
            }
            Act::Poke => {
                let poke = json!({"metadata": {"annotations": {"example.com/poke": self.random.next().to_string()}}});
                self.fleet.merge(&objects::hosted_cluster(cluster, &[]), &poke).await?;
            }
            Act::Restart(target) => {
                let when = self.random.next().to_string();
                let annotations = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": when}}});
                self.as_people(cluster, target, &json!({"spec": {"template": annotations}})).await?;
            }
            Act::Deface(target) => {
                let now = self.fleet.deployment(cluster, target).await?;
                let mut containers = now["spec"]["template"]["spec"]["containers"].clone();
                containers[0]["env"][1]["value"] = json!("defaced.example=m.example/defaced");
                let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
                self.as_people(cluster, target, &patch).await?;
            }
        }
        Ok(())
    }

    async fn as_people(&mut self, cluster: &str, target: &str, patch: &Value) -> Result<()> {
        let object = deployments::target(cluster, target, None, "=");
        let patched = self.fleet.merge(&object, patch).await?;
        self.judge.people.extend(patched.metadata.resource_version);
        Ok(())
    }

    /// Waits until all targets are correct and the rival is idle. Returns the changes of each target since the last call.
    ///
    /// # Errors
    ///
    /// If a target is not correct in time. The error has the timeline.
    pub async fn converges(&mut self) -> Result<Accounts> {
        let part = self.since..self.all_converge().await?;
        let mut accounts = Accounts::new();
        for member in &self.members {
            let mut of_member: [Account; 3] = Default::default();
            for (account, target) in of_member.iter_mut().zip(TARGETS) {
                let wanted = self.wanted(member, target);
                let place = (member.name.as_str(), target);
                *account = self.judge.account(&self.rival, &self.timeline, part.clone(), place, &wanted)?;
            }
            accounts.insert(member.name.clone(), of_member);
        }
        let unanswered = self.fleet.unanswered().await?;
        self.unanswered = (unanswered - self.unanswered.1, unanswered);
        self.before = part.start;
        self.since = part.end;
        Ok(accounts)
    }

    /// The changes of the targets of a hosted cluster in this round.
    pub fn history(&self, cluster: &str) -> String {
        history(&self.rival, &self.timeline, self.before, cluster)
    }

    /// Waits until all members are correct and idle at the same time. Returns that position in the timeline.
    ///
    /// A hosted cluster that opts out is correct before the manager or the rival has noticed an edit, and not in between.
    async fn all_converge(&self) -> Result<usize> {
        let outcome = eventually(SOON, "all are correct and idle at the same time", async || {
            let end = self.timeline.len();
            try_join_all(
                self.members
                    .iter()
                    .map(async |member| self.member_rests(member).await.with_context(|| member.name.clone())),
            )
            .await?;
            Ok((end == self.timeline.len()).then_some(end))
        });
        outcome.await.with_context(|| {
            let wrong = self.members.iter().filter(|member| self.member_reads_right(member).is_err());
            wrong.map(|member| self.history(&member.name)).collect::<Vec<_>>().join("\n")
        })
    }

    /// Whether a member is correct, and the rival and the timeline have seen the last version of each of its targets.
    async fn member_rests(&self, member: &Member) -> Result<()> {
        self.member_reads_right(member)?;
        for (name, target) in TARGETS.iter().zip(&self.rival.idle_targets(&member.name).await?) {
            let changed = self.timeline.last(&deployments::namespace(&member.name), name).context("not there")?;
            ensure!(changed.version == target["metadata"]["resourceVersion"], "the timeline is behind {name}");
        }
        self.member_reads_right(member)
    }

    fn member_reads_right(&self, member: &Member) -> Result<()> {
        TARGETS.iter().try_for_each(|target| self.target_reads_right(member, target))
    }

    /// Whether one target has the expected values, according to the timeline.
    ///
    /// # Errors
    ///
    /// If it does not. The error has its values.
    pub fn target_reads_right(&self, member: &Member, target: &str) -> Result<()> {
        let now = self.timeline.last(&deployments::namespace(&member.name), target).context("not there")?;
        let (current, wanted) = (effective(&now.object), self.wanted(member, target));
        ensure!(current == wanted, "{target} has {current:?}, expected {wanted:?}");
        Ok(())
    }

    /// The changes of one target since the last round.
    ///
    /// # Errors
    ///
    /// If a value of the rival was edited in place.
    pub fn so_far(&self, place: (&str, &'static str)) -> Result<Account> {
        let part = self.since..self.timeline.len();
        Judge::default().account(&self.rival, &self.timeline, part, place, &Wanted::default())
    }

    /// Waits until all targets are correct, without waiting for the rival.
    ///
    /// # Errors
    ///
    /// If a target is not correct in time. The error has the timeline.
    pub async fn reads_right(&self) -> Result<()> {
        for member in &self.members {
            eventually(SOON, &format!("{} is correct", member.name), async || {
                self.member_reads_right(member).map(Some)
            })
            .await
            .with_context(|| self.history(&member.name))?;
        }
        Ok(())
    }

    /// Verifies the limits of one round with this number of edits by the administrator. Returns the longest delay.
    ///
    /// # Errors
    ///
    /// If a limit is exceeded. The error has the timeline.
    pub fn judge(&self, accounts: &Accounts, edits: usize, edited: Option<Instant>) -> Result<Duration> {
        let mut longest = Duration::ZERO;
        for (cluster, accounts) in accounts {
            let history_text = || self.history(cluster);
            let last_write = accounts.iter().filter_map(|account| account.last_write).chain(edited).max();
            // After an edit of the stock value, the manager follows twice: the edit, and its revert.
            let defaced = accounts.iter().any(|account| account.people > 0 && (account.reverts > 0 || edits > 0));
            let joined = self.admission != Admission::None && !defaced;
            for (account, target) in accounts.iter().zip(TARGETS) {
                let theirs = account.rival + account.reverts + account.people;
                let allowed = self.unanswered.0 + if joined { edits } else { theirs + edits };
                ensure!(
                    account.ours <= allowed,
                    "{cluster}/{target}: {} rollouts by the manager, {allowed} allowed: {account:?}\n{}",
                    account.ours,
                    history_text()
                );
                let wrong = joined && edits + self.unanswered.0 == 0 && account.right_since.is_some();
                ensure!(!wrong, "{cluster}/{target} was temporarily wrong: {account:?}\n{}", history_text());
                let Some((right, last)) = account.right_since.zip(last_write) else { continue };
                let delay = right.saturating_duration_since(last).saturating_sub(self.pulse.stalled(last, right));
                ensure!(
                    delay <= PROMPT,
                    "{cluster}/{target} was correct only {delay:?} after the last write\n{}",
                    history_text()
                );
                longest = longest.max(delay);
            }
        }
        Ok(longest)
    }

    /// Performs random actions for all hosted clusters at the same time.
    ///
    /// # Errors
    ///
    /// If the API server rejects a request.
    pub async fn everybody_acts(&mut self) -> Result<Vec<Act>> {
        let mut acts = Vec::new();
        for cluster in self.members.iter().map(|member| member.name.clone()).collect::<Vec<_>>() {
            let act = Act::any(&mut self.random);
            self.act(&cluster, act).await?;
            acts.push(act);
        }
        Ok(acts)
    }

    /// Hosted clusters that are or were reported as contested.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub async fn contested(&self) -> Result<Vec<String>> {
        let events = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {}});
        let events = self.fleet.list(&objects::resource_of(&events)?).await?;
        let changed =
            events.iter().filter(|event| event.data["reason"] == "Contested").map(|event| event.data.to_string());
        let reports = try_join_all(self.members.iter().map(|member| self.fleet.report(&member.name))).await?;
        let stands = reports.iter().map(Value::to_string).filter(|report| report.contains("Contested"));
        Ok(changed.chain(stands).collect())
    }
}
