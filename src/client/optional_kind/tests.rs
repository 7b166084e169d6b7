use std::sync::{Arc, Mutex};

use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream;
use http::Method;
use serde_json::json;

use super::*;
use crate::client::testing::{ApiServer, Step};

const CRD: &str = "things.example.com";
const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com";

/// What happened, in its order.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Notes when the watch of its objects ends.
struct Watch(Record, String);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.note(format!("end {}", self.1));
    }
}

impl Follower for Record {
    fn present(&mut self, crd: InstalledCrd) -> BoxFuture<'static, ()> {
        self.note(format!("present {}", crd.uid));
        let watch = Watch(self.clone(), crd.uid);
        async move {
            let _watch = watch;
            std::future::pending::<()>().await;
        }
        .boxed()
    }

    fn gone(&mut self) {
        self.note("gone");
    }

    fn absent(&mut self) {
        self.note("absent");
    }
}

impl Objects for Record {
    type Object = &'static str;

    fn name(object: &Self::Object) -> &str {
        object
    }

    fn apply(&mut self, objects: Vec<Self::Object>) {
        self.note(format!("apply {}", objects.join(",")));
    }

    /// Knows `a` and nothing else.
    fn lacks_any(&self, objects: &[Self::Object]) -> bool {
        !objects.contains(&"a")
    }

    fn replace(&mut self, objects: Vec<Self::Object>) {
        self.note(format!("replace {}", objects.join(",")));
    }

    fn remove(&mut self, name: &str) {
        self.note(format!("remove {name}"));
    }

    fn keep_only(&mut self, names: &BTreeSet<String>) {
        self.note(format!("keep {}", names.iter().map(String::as_str).collect::<Vec<_>>().join(",")));
    }

    fn failing(&mut self, failure: &Failure) {
        self.note(format!("failing {}", failure.message));
    }
}

fn failing() -> Failure {
    Failure { code: Some(403), message: "forbidden".to_owned() }
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn objects_are_watched_exactly_while_the_same_crd_is_there() {
    let (client, server) = ApiServer::new([]);
    let (record, (crds, updates)) = (Record::default(), unbounded());
    let mut follower = record.clone();
    let installed = move |uid| InstalledCrd { client: client.clone(), name: CRD, uid };
    let task = tokio::spawn(async move { follow_crd(updates, CRD, installed, &mut follower).await });
    let uid = |uid: &str| Some(uid.to_owned());
    for (update, expected) in [
        (Update::Replaced(vec![]), vec!["absent"]),
        (Update::Applied(uid("1")), vec!["present 1"]),
        (Update::Applied(uid("1")), vec![]),
        (Update::Failing(failing()), vec![]),
        (Update::Replaced(vec![uid("1")]), vec![]),
        // On its way out.
        (Update::Applied(None), vec!["end 1", "gone", "absent"]),
        (Update::Deleted(None), vec!["absent"]),
        (Update::Applied(uid("2")), vec!["present 2"]),
        // Removed and installed again while the watch was away.
        (Update::Replaced(vec![uid("3")]), vec!["end 2", "gone", "present 3"]),
        (Update::Replaced(vec![]), vec!["end 3", "gone", "absent"]),
    ] {
        crds.unbounded_send(update).unwrap();
        settle().await;
        assert_eq!(record.taken(), expected);
    }
    drop(crds);
    task.await.unwrap();
    server.end().await;
}

/// A watch of objects whose CRD had the UID 1, and the place of its updates.
fn watched(steps: Vec<Step>, is_restored: bool) -> (Record, UnboundedSender<Update<&'static str>>, ApiServer) {
    let (client, server) = ApiServer::new(steps);
    let (record, (sender, updates)) = (Record::default(), unbounded());
    let mut objects = record.clone();
    let crd = InstalledCrd { client, name: CRD, uid: "1".to_owned() };
    let updates = Mutex::new(Some(updates));
    tokio::spawn(async move {
        let open = || updates.lock().unwrap().take().unwrap();
        follow_objects(&mut objects, &crd, is_restored, stream::empty(), open).await;
    });
    (record, sender, server)
}

fn crd(uid: &str) -> Step {
    let meta =
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": CRD, "uid": uid}});
    Step::new(Method::GET, PATH, 200, &meta)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_that_goes_with_its_kind() {
    let leaving = json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {"name": CRD, "uid": "1", "deletionTimestamp": "2026-01-01T00:00:00Z"},
    });
    for (steps, is_removed) in [
        (vec![crd("1")], true),
        (vec![crd("2")], false),
        (vec![Step::new(Method::GET, PATH, 200, &leaving)], false),
        (vec![Step::refused(Method::GET, PATH, 404)], false),
        // Until there is an answer nobody knows.
        (
            vec![
                Step::refused(Method::GET, PATH, 403),
                Step::refused(Method::GET, PATH, 503),
                Step::lost(Method::GET, PATH),
                Step::silent(Method::GET, PATH),
                crd("1"),
            ],
            true,
        ),
    ] {
        for (update, expected) in [(Update::Deleted("a"), "remove a"), (Update::Replaced(vec!["b"]), "replace b")] {
            let (record, sender, server) = watched(steps.clone(), false);
            sender.unbounded_send(update).unwrap();
            drop(sender);
            server.end().await;
            assert_eq!(record.taken(), Vec::from_iter(is_removed.then_some(expected)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crd_is_read_only_where_an_object_is_missing() {
    let (record, sender, server) = watched(vec![], false);
    for update in [Update::Replaced(vec!["a", "b"]), Update::Applied("c"), Update::Failing(failing())] {
        sender.unbounded_send(update).unwrap();
    }
    drop(sender);
    server.end().await;
    assert_eq!(record.taken(), ["replace a,b", "apply c", "failing forbidden"]);
}

#[tokio::test(start_paused = true)]
async fn objects_have_time_to_follow_a_kind_that_is_back() {
    let (record, sender, server) = watched(vec![], true);
    for update in
        [Update::Replaced(vec!["b", "c"]), Update::Applied("d"), Update::Deleted("c"), Update::Failing(failing())]
    {
        sender.unbounded_send(update).unwrap();
    }
    settle().await;
    assert_eq!(record.taken(), ["apply b,c", "apply d", "failing forbidden"]);
    tokio::time::advance(RESTORE_GRACE.mul_f64(0.999)).await;
    settle().await;
    assert_eq!(record.taken(), Vec::<String>::new());
    tokio::time::advance(RESTORE_GRACE.mul_f64(0.002)).await;
    settle().await;
    assert_eq!(record.taken(), ["keep b,d"]);
    sender.unbounded_send(Update::Replaced(vec!["a"])).unwrap();
    drop(sender);
    server.end().await;
    assert_eq!(record.taken(), ["replace a"], "from then on as always");
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_opened_again_on_request() {
    let (client, server) = ApiServer::new([]);
    let (record, (again, requests)) = (Record::default(), unbounded());
    let mut objects = record.clone();
    let crd = InstalledCrd { client, name: CRD, uid: "1".to_owned() };
    let task = tokio::spawn(async move {
        let open = || stream::iter([Update::Applied("a")]).chain(stream::pending()).boxed();
        follow_objects(&mut objects, &crd, false, requests, open).await;
    });
    for _ in 0..2 {
        settle().await;
        assert_eq!(record.taken(), ["apply a"]);
        again.unbounded_send(()).unwrap();
    }
    task.abort();
    server.end().await;
}
