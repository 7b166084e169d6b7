use super::super::fixtures::{World, deployment, idms};
use super::super::target::stock_targets;
use super::*;

fn wanted_for(mode: ArgumentMode, place: usize, stock: Option<&str>) -> WantedArgument {
    let never: &[&str] = &["m.example/1", "m.example/2"];
    let entries = idms(&[
        ("b.example", never, true),
        ("a.example", &["m.example/a"], false),
        ("*.w.example", &["m.example/w"], true),
        ("c.example", &["m.example/c"], true),
    ]);
    let world = World::new(&entries, "=");
    let spec = stock_targets().swap_remove(place);
    let target = ObservedTarget::read(&deployment(&spec, &["="], stock), &spec);
    let container = target.container.as_ref().unwrap();
    wanted(mode, &spec, &world.map.resolved, &target, container)
}

#[test]
fn strict_has_sources_that_are_never_contacted_on_ignition_server_only() {
    let wanted = wanted_for(ArgumentMode::Strict, 1, Some("="));
    assert_eq!(wanted.value, Some("b.example=m.example/1,c.example=m.example/c".into()));
    assert_eq!(wanted.wildcards, ["*.w.example"]);
    assert_eq!(wanted_for(ArgumentMode::Strict, 0, Some("=")).value, None);
    assert_eq!(wanted_for(ArgumentMode::Strict, 2, Some("=")).value, None);
}

#[test]
fn none_has_no_argument() {
    assert_eq!(wanted_for(ArgumentMode::None, 1, Some("=")), WantedArgument::default());
}

#[test]
fn a_source_of_the_stock_argument_is_not_repeated() {
    let wanted = wanted_for(ArgumentMode::Strict, 1, Some("b.example=other.example,x=y"));
    assert_eq!(wanted.taken, ["b.example"]);
    assert_eq!(wanted.value, Some("c.example=m.example/c".into()));
}

#[test]
fn the_argument_follows_edits_in_each_form_and_is_removed_with_its_last_source() {
    let joined = |value: &str| vec![format!("--registry-overrides={value}")];
    let split = |value: &str| vec!["--registry-overrides".to_owned(), value.to_owned()];
    for form in stock_targets().iter().map(|spec| spec.form) {
        let mut world = World::new(&idms(&[("s.example", &["m.example/s"], true)]), "=");
        let spec = TargetSpec { form, ..stock_targets().swap_remove(1) };
        world.deployments[1] = deployment(&spec, &["="], Some("="));
        let before = world.deployments.clone();
        world.settle();
        world.edit(&idms(&[("t.example", &["m.example/t"], true)]));
        world.settle();
        let written = |value: &str| if form.split { split(value) } else { joined(value) };
        let wanted = [vec!["run".to_owned()], written("="), written("t.example=m.example/t")].concat();
        let container = &world.deployments[1]["spec"]["template"]["spec"]["containers"][1];
        assert_eq!(container[form.list.field()], serde_json::json!(wanted));
        world.edit(&[]);
        world.settle();
        for (after, before) in world.deployments.iter().zip(&before) {
            assert_eq!(after["spec"], before["spec"]);
        }
    }
}

#[test]
fn an_argument_of_an_earlier_release_is_removed_from_the_other_targets() {
    let mut world = World::new(&idms(&[("s.example", &["m.example/s"], false)]), "=");
    world.settle();
    let before = world.deployments.clone();
    for (deployment, spec) in world.deployments.iter_mut().zip(stock_targets()) {
        let value = "s.example=m.example/s";
        deployment["metadata"]["annotations"]["hypermirror.dev/registry-overrides-argument"] = value.into();
        let words = &mut deployment["spec"]["template"]["spec"]["containers"][1][spec.form.list.field()];
        let words = words.as_array_mut().unwrap();
        if spec.form.split {
            words.extend(["--registry-overrides".into(), value.into()]);
        } else {
            words.push(format!("--registry-overrides={value}").into());
        }
    }
    world.settle();
    for (after, before) in world.deployments.iter().zip(&before) {
        assert_eq!(after["spec"], before["spec"]);
    }
}
