use super::*;
use crate::registry::wire::digest::Algorithm;

fn blob(name: &str, size: u64) -> Descriptor {
    Descriptor {
        media_type: String::new(),
        digest: Digest::of(Algorithm::Sha256, name.as_bytes()),
        size,
        is_foreign: false,
        platform: None,
        is_attestation: false,
        artifact_type: None,
    }
}

fn side(store: &str, repository: &str) -> SideKey {
    SideKey { store: store.to_owned(), repository: repository.to_owned() }
}

fn lack(name: &str, size: u64, side: usize) -> Lack {
    Lack { blob: blob(name, size), side }
}

#[test]
fn a_shared_blob_moves_once_and_what_most_images_wait_for_moves_first() {
    let facts = Facts {
        sides: vec![side("a", "x")],
        lacks: vec![
            lack("own", 900, 0),
            lack("shared", 10, 0),
            lack("shared", 10, 0),
            lack("small", 1, 0),
            lack("shared", 10, 0),
        ],
        holds: BTreeSet::new(),
    };
    let plan = Plan::new(&facts);
    let order: Vec<(u64, usize)> = plan.transfers.iter().map(|it| (it.blob.size, it.images)).collect();
    assert_eq!(order, [(10, 3), (900, 1), (1, 1)]);
    let totals = plan.totals();
    assert_eq!((totals.uploads, totals.upload_bytes, totals.read_bytes, totals.mounts), (3, 911, 911, 0));
}

#[test]
fn a_blob_is_read_once_for_all_destinations_and_sent_once_to_each_registry() {
    let facts = Facts {
        sides: vec![side("a", "x"), side("a", "y"), side("b", "x"), side("a", "z")],
        lacks: (0..4).map(|at| lack("layer", 100, at)).collect(),
        holds: BTreeSet::new(),
    };
    let plan = Plan::new(&facts);
    let [transfer] = plan.transfers.as_slice() else { panic!("{plan:?}") };
    let at_a = Step { first: 0, from: vec![], then: vec![1, 3] };
    let at_b = Step { first: 2, from: vec![], then: vec![] };
    assert_eq!(transfer.steps, [at_a, at_b]);
    let totals = plan.totals();
    assert_eq!((totals.uploads, totals.upload_bytes, totals.read_bytes, totals.mounts), (2, 200, 100, 2));
}

#[test]
fn what_the_registry_holds_elsewhere_is_mounted_and_before_all_uploads() {
    let held = blob("held", 5);
    let facts = Facts {
        sides: vec![side("a", "new"), side("a", "old"), side("b", "old"), side("dir", "")],
        lacks: vec![lack("sent", 1_000, 0), lack("sent", 1_000, 0), lack("held", 5, 0)],
        holds: [(held.digest.clone(), 1), (held.digest.clone(), 2), (held.digest, 3)].into(),
    };
    let plan = Plan::new(&facts);
    let from: Vec<(u64, &[String])> =
        plan.transfers.iter().map(|it| (it.blob.size, it.steps[0].from.as_slice())).collect();
    assert_eq!(from, [(5, ["old".to_owned()].as_slice()), (1_000, [].as_slice())]);
    assert_eq!((plan.totals().mounts, plan.totals().upload_bytes), (1, 1_000));
}

#[test]
fn the_order_of_facts_does_not_matter_and_nothing_lacking_is_nothing_to_do() {
    let mut facts = Facts {
        sides: vec![side("a", "x"), side("b", "y")],
        lacks: (0..20).map(|at| lack(&format!("blob {}", at % 7), at % 3, usize::from(at % 2 == 0))).collect(),
        holds: BTreeSet::new(),
    };
    // A digest has one size, whoever names it.
    for lack in &mut facts.lacks {
        lack.blob.size = u64::from(lack.blob.digest.hex().as_bytes()[0]);
    }
    let plan = Plan::new(&facts);
    facts.lacks.reverse();
    assert_eq!(Plan::new(&facts), plan);
    facts.lacks.clear();
    assert_eq!(Plan::new(&facts), Plan::default());
}
