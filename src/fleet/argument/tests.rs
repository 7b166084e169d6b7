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
fn strict_says_forbidden_sources_on_ignition_server_alone() {
    let wanted = wanted_for(ArgumentMode::Strict, 1, Some("="));
    assert_eq!(wanted.value.as_deref(), Some("b.example=m.example/1,c.example=m.example/c"));
    assert_eq!(wanted.wildcards, ["*.w.example"]);
    assert_eq!(wanted_for(ArgumentMode::Strict, 0, Some("=")).value, None);
    assert_eq!(wanted_for(ArgumentMode::Strict, 2, Some("=")).value, None);
}

#[test]
fn none_says_nothing_and_every_says_everything_everywhere() {
    assert_eq!(wanted_for(ArgumentMode::None, 1, Some("=")), WantedArgument::default());
    for place in 0..3 {
        let every = "a.example=m.example/a,b.example=m.example/1,c.example=m.example/c";
        assert_eq!(wanted_for(ArgumentMode::Every, place, None).value.as_deref(), Some(every));
    }
}

#[test]
fn a_source_that_the_stock_argument_has_is_left_to_it() {
    let wanted = wanted_for(ArgumentMode::Strict, 1, Some("b.example=other.example,x=y"));
    assert_eq!(wanted.taken, ["b.example"]);
    assert_eq!(wanted.value.as_deref(), Some("c.example=m.example/c"));
}

#[test]
fn the_argument_follows_edits_in_each_form_and_goes_at_last() {
    let mut world = World::new(&idms(&[("s.example", &["m.example/s"], false)]), "=");
    world.argument = ArgumentMode::Every;
    let before = world.deployments.clone();
    world.settle();
    world.edit(&idms(&[("t.example", &["m.example/t"], false)]));
    world.settle();
    let words = |place: usize, list: &str| {
        let words = &world.deployments[place]["spec"]["template"]["spec"]["containers"][1][list];
        words.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(words(0, "args"), ["run", "--registry-overrides==", "--registry-overrides=t.example=m.example/t"]);
    let split = ["run", "--registry-overrides", "=", "--registry-overrides", "t.example=m.example/t"];
    assert_eq!(words(1, "args"), split);
    assert_eq!(words(2, "command"), split);
    world.edit(&[]);
    world.settle();
    for (after, before) in world.deployments.iter().zip(&before) {
        assert_eq!(after["spec"], before["spec"]);
    }
}
