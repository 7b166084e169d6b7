use super::compare::{CatalogObject, ImageChange};
use super::requested::CatalogFinding;
use super::*;

fn finding(severity: Severity, reason: Reason) -> CatalogFinding {
    let (value, message) = ("v".to_owned(), "m".to_owned());
    CatalogFinding { severity, reason, annotation: annotations::CATALOG_REGISTRY_OVERRIDES, value, message }
}

fn difference() -> Difference {
    let change =
        ImageChange { place: "container registry".to_owned(), before: "a".to_owned(), after: Some("b".to_owned()) };
    let object = CatalogObject::Deployment(Catalog::Redhat);
    Difference { object, images: vec![change], is_triggered: false, patch: None }
}

#[test]
fn the_condition_has_the_worst_finding_first() {
    let error = finding(Severity::Error, Reason::CatalogAmbiguous);
    let warning = finding(Severity::Warning, Reason::CatalogIneffective);
    let left = Handling::Left("--olm-catalogs=report".to_owned());
    let failed = Handling::Failed("forbidden".to_owned());
    let differs = [difference()];
    #[allow(clippy::type_complexity)] // a table
    let cases: [(&str, Vec<CatalogFinding>, &[Difference], &Handling, &str, Reason); 6] = [
        ("as annotated", vec![], &[], &Handling::Waiting, "True", Reason::AsExpected),
        ("of no effect", vec![warning.clone()], &[], &Handling::Waiting, "True", Reason::CatalogIneffective),
        ("stock has time", vec![warning.clone()], &differs, &Handling::Waiting, "False", Reason::Updating),
        ("nobody does it", vec![], &differs, &left, "False", Reason::CatalogDiffers),
        ("it failed", vec![], &differs, &failed, "False", Reason::WriteFailed),
        ("it cannot be meant", vec![warning, error], &differs, &left, "False", Reason::CatalogAmbiguous),
    ];
    for (name, findings, differences, handling, status, reason) in cases {
        let requested = RequestedCatalogs { findings, ..RequestedCatalogs::default() };
        let condition = condition(&requested, differences, handling);
        assert_eq!((condition.status, condition.reason), (status, reason), "{name}: {}", condition.message);
    }
}

#[test]
fn the_message_names_annotation_object_and_images() {
    let requested =
        RequestedCatalogs { findings: vec![finding(Severity::Error, Reason::CatalogInvalid)], ..Default::default() };
    let message = condition(&requested, &[], &Handling::Waiting).message;
    assert_eq!(message, "annotation hypershift.openshift.io/olm-catalogs-is-registry-overrides: m");
    let message =
        condition(&RequestedCatalogs::default(), &[difference()], &Handling::Left("it only reports".to_owned()))
            .message;
    assert_eq!(message, "Deployment redhat-operators-catalog: container registry has a, not b: it only reports");
}
