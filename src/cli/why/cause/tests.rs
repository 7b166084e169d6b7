use super::super::super::hops::Proof;
use super::*;
use crate::mirrors::registries::{Endpoint, EndpointOrigin};
use crate::registry::coverage::lack::Lack;
use crate::registry::coverage::matrix::{Lacking, Signatures};

const IMAGE: &str = "quay.example/org/app:v1";
const MIRROR: &str = "m.corp/org/app:v1";

fn hop(reference: &str, state: State) -> ProvenEndpoint {
    let origin = Some(EndpointOrigin::File { file: "10.conf".to_owned() });
    let endpoint =
        Endpoint { reference: reference.to_owned(), insecure: false, blocked: state == State::Blocked, origin };
    let lacking = if state == State::Incomplete { vec![Lack::pull("blob x is missing")] } else { Vec::new() };
    let is_first = matches!(state, State::Held | State::Incomplete);
    ProvenEndpoint { endpoint, proof: Proof { state, is_first, reason: None, message: None, lacking } }
}

fn refusing(reference: &str, reason: Reason, message: &str) -> ProvenEndpoint {
    let mut hop = hop(reference, State::Unknown);
    (hop.proof.reason, hop.proof.message) = (Some(reason), Some(message.to_owned()));
    hop
}

fn missing_at(endpoints: Vec<ProvenEndpoint>) -> ProvenImage {
    let lacking = vec![Lacking { reference: MIRROR.to_owned(), parts: Vec::new() }];
    ProvenImage { image: IMAGE.to_owned(), endpoints, error: None, verdict: Verdict::Missing { lacking } }
}

fn unknown_at(reference: &str, endpoints: Vec<ProvenEndpoint>) -> ProvenImage {
    let verdict = Verdict::Unknown {
        reference: reference.to_owned(),
        reason: Reason::Unauthorized,
        message: String::new(),
        lacking: Vec::new(),
    };
    ProvenImage { verdict, ..missing_at(endpoints) }
}

fn held() -> ProvenImage {
    let verdict = Verdict::Held { reference: MIRROR.to_owned(), signatures: Signatures::NotRequired };
    ProvenImage { verdict, ..missing_at(vec![hop(MIRROR, State::Held), hop(IMAGE, State::Held)]) }
}

fn failing(reason: &str) -> PullState {
    PullState::Failing { waiting_reason: reason.to_owned(), waiting_message: String::new() }
}

fn around() -> Surroundings {
    Surroundings {
        hosted_cluster: Some("clusters/west".to_owned()),
        namespace: "team".to_owned(),
        node: "n1".to_owned(),
        ..Surroundings::default()
    }
}

fn only(image: &ProvenImage, shown: &[Shown]) -> Cause {
    let mut found = causes(&failing("ErrImagePull"), image, shown, &around());
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_mirror_that_lacks_the_image_is_filled_by_a_command() {
    let blocked = only(&missing_at(vec![hop(MIRROR, State::Absent), hop(IMAGE, State::Blocked)]), &[]);
    assert_eq!((blocked.kind, blocked.hop), (CauseKind::SourceBlocked, Some(2)));
    assert!(blocked.message.contains("10.conf"), "{blocked:?}");
    let copy = format!("hypermirror copy {IMAGE} m.corp/org/app:v1 --thorough");
    assert_eq!(blocked.cures[0], copy);
    let fill = format!("hypermirror coverage --hosted-cluster clusters/west --image {IMAGE} --fill");
    assert_eq!(blocked.cures[1], fill);
    let half = only(&missing_at(vec![hop(MIRROR, State::Incomplete), hop(IMAGE, State::Held)]), &[]);
    assert_eq!((half.kind, half.hop, &half.cures[0]), (CauseKind::IncompleteMirror, Some(1), &copy));
    assert!(half.message.contains("blob x is missing"), "{half:?}");
    let nowhere = only(&missing_at(vec![hop(MIRROR, State::Absent), hop(IMAGE, State::Absent)]), &[]);
    assert_eq!((nowhere.kind, nowhere.hop), (CauseKind::ImageMissing, Some(2)));
    let alone = only(&missing_at(vec![hop(IMAGE, State::Blocked)]), &[]);
    assert!(alone.message.contains("has no mirror") && alone.kind == CauseKind::SourceBlocked, "{alone:?}");
}

#[test]
fn a_copy_by_digest_names_no_tag() {
    let digest = format!("@sha256:{}", "a".repeat(64));
    let (image, mirror) = (format!("quay.example/app{digest}"), format!("m.corp/app{digest}"));
    let cause = only(&missing_at(vec![hop(&mirror, State::Absent), hop(&image, State::Blocked)]), &[]);
    assert_eq!(cause.cures[0], format!("hypermirror copy {image} m.corp/app --thorough"));
}

#[test]
fn refused_credentials_are_named_and_mirrors_do_not_get_those_of_pods() {
    let refused = refusing(IMAGE, Reason::Unauthorized, "401");
    let at_source = unknown_at(IMAGE, vec![hop(MIRROR, State::Absent), refused]);
    let own = Shown { secret: Some("Secret team/own".to_owned()), withheld: None };
    let cause = only(&at_source, &[Shown::default(), own]);
    assert_eq!((cause.kind, cause.hop), (CauseKind::Unauthorized, Some(2)));
    assert!(cause.message.contains("quay.example refuses the credentials of Secret team/own: 401"), "{cause:?}");
    assert!(cause.cures.iter().any(|cure| cure.contains("imagePullSecrets")), "{cause:?}");
    let none = only(&at_source, &[]);
    assert!(none.message.contains("neither the node nor the pod"), "{none:?}");
    let refused = refusing(MIRROR, Reason::Forbidden, "403");
    let withheld = Shown { secret: None, withheld: Some("Secret team/own".to_owned()) };
    let cause = only(&unknown_at(MIRROR, vec![refused, hop(IMAGE, State::Held)]), &[withheld]);
    assert!(cause.message.contains("m.corp is a mirror, and nodes do not show it"), "{cause:?}");
    assert!(cause.cures.iter().all(|cure| cure.contains("spec.pullSecret")), "{cause:?}");
}

#[test]
fn certificates_and_registries_that_do_not_answer_are_told_apart() {
    let at = |reason, message| only(&unknown_at(MIRROR, vec![refusing(MIRROR, reason, message)]), &[]);
    let tls = at(Reason::Unreachable, "m.corp: TLS failed (invalid peer certificate: UnknownIssuer)");
    assert!(tls.kind == CauseKind::UntrustedCertificate && tls.cures[0].contains("additionalTrustBundle"), "{tls:?}");
    let down = at(Reason::Unreachable, "m.corp: failed to connect");
    assert!(down.kind == CauseKind::RegistryUnavailable && !down.kind.is_certain(), "{down:?}");
    assert_eq!(at(Reason::Throttled, "429").cures.len(), 3);
}

#[test]
fn what_answers_from_here_may_not_be_in_force_on_the_node() {
    let cause = only(&held(), &[]);
    assert_eq!(cause.kind, CauseKind::NotReproduced);
    let late = Surroundings { mirrors_behind: Some("AgentsMissing: no agent".to_owned()), ..around() };
    let found = causes(&failing("ImagePullBackOff"), &held(), &[], &late);
    assert_eq!(found.iter().map(|cause| cause.kind).collect::<Vec<_>>(), [CauseKind::MirrorsNotApplied]);
    let secrets = vec![("gone".to_owned(), "it does not exist".to_owned())];
    let around = Surroundings { unusable_secrets: secrets, ..around() };
    let found = causes(&failing("ErrImagePull"), &held(), &[], &around);
    assert_eq!(found.iter().map(|cause| cause.kind).collect::<Vec<_>>(), [CauseKind::PullSecretUnusable]);
    assert!(causes(&PullState::NotTried, &held(), &[], &around).is_empty());
    assert!(causes(&PullState::Pulled, &missing_at(Vec::new()), &[], &around).is_empty());
}

#[test]
fn names_and_policies_need_no_registry() {
    let invalid = ProvenImage { error: Some("invalid tag".to_owned()), ..missing_at(Vec::new()) };
    assert_eq!(only(&invalid, &[]).kind, CauseKind::InvalidImage);
    let found = causes(&failing("ErrImageNeverPull"), &held(), &[], &around());
    assert_eq!(found[0].kind, CauseKind::NeverPulled);
}
