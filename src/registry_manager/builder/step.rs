//! What a build needs next, from what its Jobs did. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use super::super::due::elapsed;
use super::objects::{BUILD, PUSH};
use super::settings::Architecture;
use crate::registry::wire::digest::Digest;

/// Time after which a pod that has not begun to run is worth a second look.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known of one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There is no Job. Create one.
    Absent,
    /// It has not ended. Wait; the text says for what.
    Running(String),
    /// It has pushed this. Nothing is left to do for it.
    Pushed(Digest),
    /// It succeeded, and nobody can say any longer what it pushed. Build again.
    Lost,
    /// It failed. Report why.
    Failed {
        /// Whether its time was over.
        is_late: bool,
        /// For people.
        message: String,
    },
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create the Jobs of these.
    Create(Vec<Architecture>),
    /// Look again later.
    Wait(String),
    /// Tag what was pushed.
    Tag(Vec<(Architecture, Digest)>),
    /// Remove the Job of this one: its result is lost.
    Remove(Architecture),
    /// Report that this one failed.
    Fail {
        /// Which one.
        architecture: Architecture,
        /// Whether its time was over.
        is_late: bool,
        /// For people.
        message: String,
    },
}

/// What to do next. A failure counts before all else: nobody waits for the other architecture to know it.
pub fn step(seen: &[(Architecture, Seen)]) -> Step {
    let failed = seen.iter().find_map(|(architecture, seen)| match seen {
        Seen::Failed { is_late, message } => {
            Some(Step::Fail { architecture: *architecture, is_late: *is_late, message: message.clone() })
        }
        _ => None,
    });
    let lost =
        || seen.iter().find(|(_, seen)| *seen == Seen::Lost).map(|(architecture, _)| Step::Remove(*architecture));
    if let Some(step) = failed.or_else(lost) {
        return step;
    }
    let absent: Vec<Architecture> =
        seen.iter().filter(|(_, seen)| *seen == Seen::Absent).map(|(architecture, _)| *architecture).collect();
    if !absent.is_empty() {
        return Step::Create(absent);
    }
    let (mut waits, mut pushed) = (Vec::new(), Vec::new());
    for (architecture, seen) in seen {
        match seen {
            Seen::Running(what) => waits.push(format!("{}: {what}", architecture.as_str())),
            Seen::Pushed(digest) => pushed.push((*architecture, digest.clone())),
            Seen::Absent | Seen::Lost | Seen::Failed { .. } => {}
        }
    }
    if waits.is_empty() { Step::Tag(pushed) } else { Step::Wait(waits.join("; ")) }
}

/// What a Job and its pods say.
pub fn seen(job: &Job, pods: &[Pod]) -> Seen {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let holds = |kind: &str| conditions.iter().find(|it| it.type_ == kind && it.status == "True");
    if holds("Complete").is_some() {
        return pods.iter().find_map(pushed).map_or(Seen::Lost, Seen::Pushed);
    }
    if let Some(failed) = holds("Failed") {
        let reason = failed.reason.clone().unwrap_or_default();
        let message = newest(pods).map_or_else(|| failed.message.clone().unwrap_or_default(), ended);
        return Seen::Failed { is_late: reason == "DeadlineExceeded", message };
    }
    Seen::Running(newest(pods).map_or_else(|| "its Job has no pod yet".to_owned(), progress))
}

/// Whether pods may wait for a ConfigMap or Secret that was never created, because this process ended between two requests.
pub fn may_lack_files(job: &Job, pods: &[Pod], now: Timestamp) -> bool {
    let created = job.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let is_old = created.is_some_and(|created| elapsed(created, now) >= PATIENCE);
    let is_creating = |status: &ContainerStatus| {
        let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
        reason.is_some_and(|reason| matches!(reason, "PodInitializing" | "ContainerCreating"))
    };
    let waits = |pod: &Pod| statuses(pod).next().is_some() && statuses(pod).all(is_creating);
    is_old && pods.iter().any(waits)
}

/// The pod that was created last.
pub fn newest(pods: &[Pod]) -> Option<&Pod> {
    pods.iter().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// The container that failed, if one did.
pub fn failed_container(pod: &Pod) -> Option<&'static str> {
    let is_failed = |name: &str| {
        let terminated = state(pod, name).and_then(|state| state.terminated.as_ref());
        terminated.is_some_and(|terminated| terminated.exit_code != 0)
    };
    [BUILD, PUSH].into_iter().find(|name| is_failed(name))
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let first = status.and_then(|status| status.init_container_statuses.as_deref()).unwrap_or_default();
    let second = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    first.iter().chain(second)
}

fn state<'p>(pod: &'p Pod, container: &str) -> Option<&'p ContainerState> {
    statuses(pod).find(|status| status.name == container)?.state.as_ref()
}

/// The digest that the container has left. It is verified at the registry before it is used.
fn pushed(pod: &Pod) -> Option<Digest> {
    let terminated = state(pod, PUSH)?.terminated.as_ref().filter(|terminated| terminated.exit_code == 0)?;
    Digest::parse(terminated.message.as_deref()?.trim()).ok()
}

fn ended(pod: &Pod) -> String {
    let of = |name: &'static str| {
        let terminated = state(pod, name)?.terminated.as_ref()?;
        let reason = terminated.reason.as_deref().filter(|reason| *reason != "Error");
        let reason = reason.map(|reason| format!(", {reason}")).unwrap_or_default();
        Some(format!("container {name} ended with exit code {}{reason}", terminated.exit_code))
    };
    let status = pod.status.as_ref();
    // Such as an eviction, because the storage limit was exceeded.
    let of_pod = status.and_then(|status| status.message.clone().or_else(|| status.reason.clone()));
    failed_container(pod).and_then(of).or(of_pod).unwrap_or_else(|| "its pod failed".to_owned())
}

fn progress(pod: &Pod) -> String {
    let waiting = statuses(pod).find_map(|status| {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().filter(|reason| *reason != "PodInitializing")?;
        let message = waiting.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        Some(format!("container {} waits, {reason}{message}", status.name))
    });
    let unscheduled = || {
        let conditions = pod.status.as_ref()?.conditions.as_deref()?;
        let condition = conditions.iter().find(|it| it.type_ == "PodScheduled" && it.status == "False")?;
        Some(format!("its pod waits for a node: {}", condition.message.as_deref().unwrap_or_default()))
    };
    let running = || {
        let status = statuses(pod).find(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))?;
        Some(format!("container {} runs", status.name))
    };
    waiting.or_else(unscheduled).or_else(running).unwrap_or_else(|| "its pod starts".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use Architecture::{Amd64, Arm64};

    fn digest() -> Digest {
        Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap()
    }

    fn running() -> Seen {
        Seen::Running("x".to_owned())
    }

    #[test]
    fn each_state_of_two_architectures_has_its_step() {
        let failed = Seen::Failed { is_late: false, message: "m".to_owned() };
        let fail = Step::Fail { architecture: Arm64, is_late: false, message: "m".to_owned() };
        for (amd64, arm64, wanted) in [
            (Seen::Absent, Seen::Absent, Step::Create(vec![Amd64, Arm64])),
            (running(), Seen::Absent, Step::Create(vec![Arm64])),
            (Seen::Pushed(digest()), Seen::Absent, Step::Create(vec![Arm64])),
            (running(), running(), Step::Wait("amd64: x; arm64: x".to_owned())),
            (Seen::Pushed(digest()), running(), Step::Wait("arm64: x".to_owned())),
            (Seen::Pushed(digest()), Seen::Pushed(digest()), Step::Tag(vec![(Amd64, digest()), (Arm64, digest())])),
            (running(), Seen::Lost, Step::Remove(Arm64)),
            (running(), failed.clone(), fail.clone()),
            (Seen::Absent, failed.clone(), fail.clone()),
            (Seen::Lost, failed, fail),
        ] {
            assert_eq!(step(&[(Amd64, amd64.clone()), (Arm64, arm64.clone())]), wanted, "{amd64:?} {arm64:?}");
        }
    }

    fn job(conditions: &Value) -> Job {
        serde_json::from_value(json!({"metadata": {}, "status": {"conditions": conditions}})).unwrap()
    }

    fn condition(kind: &str, reason: &str) -> Value {
        json!([{"type": kind, "status": "True", "reason": reason, "message": "of the Job"}])
    }

    fn pod(created: &str, status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"creationTimestamp": created}, "status": status})).unwrap()
    }

    fn terminated(name: &str, code: i32, message: &str) -> Value {
        json!([{
            "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "message": message, "reason": "Error"}},
        }])
    }

    #[test]
    fn the_digest_of_a_job_that_succeeded_is_the_message_of_its_push() {
        let complete = job(&condition("Complete", ""));
        let text = format!("{}\n", digest());
        let pushed = pod("2026-01-01T00:00:00Z", &json!({"containerStatuses": terminated(PUSH, 0, &text)}));
        assert_eq!(seen(&complete, &[pushed]), Seen::Pushed(digest()));
        let other = pod("2026-01-01T00:00:00Z", &json!({"containerStatuses": terminated(PUSH, 0, "$(id)")}));
        assert_eq!(seen(&complete, &[other]), Seen::Lost);
        assert_eq!(seen(&complete, &[]), Seen::Lost);
        let of_another = pod("2026-01-01T00:00:00Z", &json!({"containerStatuses": terminated(BUILD, 0, &text)}));
        assert_eq!(seen(&complete, &[of_another]), Seen::Lost);
    }

    #[test]
    fn a_failure_names_the_container_of_the_newest_pod() {
        let failed = job(&condition("Failed", "BackoffLimitExceeded"));
        let old = pod("2026-01-01T00:00:00Z", &json!({"containerStatuses": terminated(PUSH, 1, "")}));
        let new = pod("2026-01-01T00:01:00Z", &json!({"initContainerStatuses": terminated(BUILD, 125, "")}));
        let message = "container build ended with exit code 125".to_owned();
        assert_eq!(failed_container(&new), Some(BUILD));
        assert_eq!(seen(&failed, &[new, old]), Seen::Failed { is_late: false, message });
        let evicted = pod("2026-01-01T00:00:00Z", &json!({"reason": "Evicted", "message": "exceeded its limit"}));
        let message = "exceeded its limit".to_owned();
        assert_eq!(seen(&failed, &[evicted]), Seen::Failed { is_late: false, message });
        let late = job(&condition("Failed", "DeadlineExceeded"));
        assert_eq!(seen(&late, &[]), Seen::Failed { is_late: true, message: "of the Job".to_owned() });
    }

    #[test]
    fn a_pod_that_does_not_begin_is_looked_at_again() {
        let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
        let mut new = job(&json!([]));
        new.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(0)));
        let creating = json!([{
            "name": BUILD, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "PodInitializing"}},
        }]);
        let starting = [pod("2026-01-01T00:00:00Z", &json!({"initContainerStatuses": creating}))];
        let unscheduled = [pod("2026-01-01T00:00:00Z", &json!({}))];
        let begun = [pod("2026-01-01T00:00:00Z", &json!({"initContainerStatuses": terminated(BUILD, 0, "")}))];
        assert!(!may_lack_files(&new, &starting, at(29)) && may_lack_files(&new, &starting, at(30)));
        for pods in [&begun[..], &unscheduled, &[]] {
            assert!(!may_lack_files(&new, pods, at(99)), "{pods:?}");
        }
    }

    #[test]
    fn a_job_that_runs_says_what_it_waits_for() {
        let none = job(&json!([]));
        let waiting = json!([{
            "name": BUILD, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
        }]);
        let unscheduled = json!([{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]);
        for (status, wanted) in [
            (json!({"initContainerStatuses": waiting}), "container build waits, ImagePullBackOff: no such image"),
            (json!({"conditions": unscheduled}), "its pod waits for a node: 0/3 nodes are available"),
            (json!({}), "its pod starts"),
        ] {
            assert_eq!(seen(&none, &[pod("2026-01-01T00:00:00Z", &status)]), Seen::Running(wanted.to_owned()));
        }
        assert_eq!(seen(&none, &[]), Seen::Running("its Job has no pod yet".to_owned()));
    }
}
