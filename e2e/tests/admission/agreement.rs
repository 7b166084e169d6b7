//! The webhook and the policy say the same: the same writes, one after the other, leave the same Deployments.

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::admission::Admission;
use hypermirror_e2e::fleet::{PROBES, TARGETS, deployments};
use hypermirror_e2e::rival::Random;
use hypermirror_e2e::{Fleet, Scene};
use kube::api::PostParams;
use serde_json::{Value, json};

/// What a write may say; some of it no operator would write.
const VALUES: [&str; 8] = [
    "=",
    "a.example=m.example",
    "=,b.example=m.example,a.example=m.example",
    "a.example=m.example,b.example=m.example",
    "a.example=z,a.example=m,a.example=z",
    "a.example=m,a.example=z",
    "bad,=x,y=,a.example=m=n",
    "",
];

/// A Deployment as it stands, and as somebody writes it next.
struct Case {
    name: String,
    before: Value,
    after: Value,
}

fn container(deployment: &mut Value) -> &mut Value {
    &mut deployment["spec"]["template"]["spec"]["containers"][0]
}

fn of_chance(random: &mut Random) -> Value {
    let target = *random.one_of(&TARGETS);
    let mut deployment = deployments::target(PROBES, target, None, random.one_of::<&str>(&VALUES[..5]));
    let mut annotations = json!({"example.com/x": "y"});
    if random.percent(80) {
        annotations["hypermirror.dev/overrides"] = json!(random.one_of(&VALUES[..7]));
    }
    if random.percent(40) {
        annotations["hypermirror.dev/registry-overrides-argument"] = json!(random.one_of(&VALUES[1..5]));
    }
    deployment["metadata"]["annotations"] = annotations;
    let container = container(&mut deployment);
    for _ in 0..random.below(4) {
        let entry = json!({"name": deployments::ENV, "value": random.one_of(&VALUES)});
        container["env"].as_array_mut().into_iter().for_each(|env| env.push(entry.clone()));
    }
    if random.percent(10) {
        container["env"] = Value::Null;
    }
    if random.percent(10) {
        container["args"] = Value::Null;
    }
    if random.percent(10) {
        container["command"] = Value::Null;
    }
    if random.percent(5) {
        container["name"] = json!("another");
    }
    deployment
}

/// A stock operator's update that removes all appended values.
fn without_appended(before: &Value) -> Value {
    let mut after = before.clone();
    let container = container(&mut after);
    container["image"] = json!("quay.example/ocp/component:next");
    if let Some(env) = container["env"].as_array_mut() {
        env.truncate(2);
    }
    after
}

fn cases() -> Vec<Case> {
    let mut random = Random::seeded(53);
    let mut cases: Vec<Case> = (0..60)
        .map(|number| {
            let before = of_chance(&mut random);
            let after = match number % 4 {
                0 => without_appended(&before),
                1 => before.clone(),
                2 => {
                    let mut other = of_chance(&mut random);
                    other["metadata"]["name"] = before["metadata"]["name"].clone();
                    other["spec"]["selector"] = before["spec"]["selector"].clone();
                    other["spec"]["template"]["metadata"] = before["spec"]["template"]["metadata"].clone();
                    other
                }
                _ => {
                    let mut scaled = before.clone();
                    scaled["spec"]["replicas"] = json!(3);
                    scaled
                }
            };
            Case { name: format!("chance {number}"), before, after }
        })
        .collect();
    for (name, pairs) in [("a long value", 100), ("a very long value", 1_500)] {
        let pairs = |order: fn(usize) -> usize| -> String {
            (0..pairs)
                .map(|n| format!("registry-{:04}.example/team=mirror.example/some/where", order(n)))
                .collect::<Vec<_>>()
                .join(",")
        };
        let before = deployments::target(PROBES, TARGETS[1], Some(&pairs(|n| n)), "=");
        for (what, overrides) in
            [("said by the stock value", pairs(|n| n)), ("said otherwise", format!("{},x.example=y", pairs(|n| n)))]
        {
            let mut after = without_appended(&before);
            after["metadata"]["annotations"] = json!({"hypermirror.dev/overrides": overrides});
            cases.push(Case { name: format!("{name}, {what}"), before: before.clone(), after });
        }
    }
    let turned: Vec<String> = (0..100).rev().map(|n| format!("r{n}.example=m")).collect();
    let straight: Vec<String> = (0..100).map(|n| format!("r{n}.example=m")).collect();
    let before = deployments::target(PROBES, TARGETS[2], Some(&straight.join(",")), "=");
    let mut after = without_appended(&before);
    after["metadata"]["annotations"] = json!({"hypermirror.dev/overrides": turned.join(",")});
    cases.push(Case { name: "said in another order of sources".to_owned(), before, after });
    cases.extend(flag_cases());
    cases
}

/// A stock operator's write with other flags of the hypershift operator, which a child gets in both forms.
fn flag_cases() -> Vec<Case> {
    let value = |pairs: &[&str]| if pairs.is_empty() { "=".to_owned() } else { pairs.join(",") };
    let child = |target: &str, flags: &[&str]| {
        let env = value(&[&["a.example=n", "a.example=m"], flags].concat());
        deployments::target(PROBES, target, Some(&env), &value(flags))
    };
    let mut cases = Vec::new();
    for target in &TARGETS[1..] {
        for (what, was, is, remembered) in [
            ("comes", &[] as &[&str], &["z.example=m"] as &[&str], "a.example=m,a.example=n"),
            ("goes", &["z.example=m"], &[], "a.example=m,a.example=n,z.example=m"),
            ("changes", &["y.example=m", "z.example=m"], &["y.example=m", "z.example=n"], "y.example=m,z.example=m"),
            ("is left out on purpose", &["z.example=m"], &["z.example=m"], "a.example=m"),
            ("is all there was", &["z.example=m"], &[], "z.example=m"),
            ("says it all", &[], &["z.example=m"], "a.example=n,a.example=m"),
        ] {
            let (mut before, mut after) = (child(target, was), without_appended(&child(target, is)));
            for deployment in [&mut before, &mut after] {
                deployment["metadata"]["annotations"] = json!({"hypermirror.dev/overrides": remembered});
            }
            cases.push(Case { name: format!("of {target} a flag {what}"), before, after });
        }
    }
    cases
}

/// What is stored of a case: the container and the annotations, when it is created and when it is written again.
async fn stored(fleet: &Fleet, case: &Case) -> Result<[Value; 2]> {
    let api = fleet.api_of(&case.before)?;
    let name = case.before["metadata"]["name"].as_str().unwrap_or_default();
    let of = |object: kube::api::DynamicObject| -> Result<Value> {
        let object = serde_json::to_value(object)?;
        Ok(json!([object["spec"]["template"]["spec"]["containers"][0], object["metadata"]["annotations"]]))
    };
    let created = api.create(&PostParams::default(), &serde_json::from_value(case.before.clone())?).await?;
    // An operator that knows nothing of what is given back writes its own again.
    let mut after: kube::api::DynamicObject = serde_json::from_value(case.after.clone())?;
    after.metadata.resource_version = created.metadata.resource_version.clone();
    let updated = api.replace(name, &PostParams::default(), &after).await?;
    fleet.delete(&case.before).await?;
    Ok([of(created)?, of(updated)?])
}

#[tokio::test]
async fn the_webhook_and_the_policy_leave_the_same_deployments() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    let cases = cases();
    let without = all(fleet, &cases).await?;
    let webhook = Admission::webhook()?;
    fleet.admit(webhook).await?;
    let manager = webhook.serve(scene.launch("manager")).start_ready(scene.management()).await?;
    fleet.admits().await?;
    let with_webhook = all(fleet, &cases).await?;
    fleet.dismiss(webhook).await?;
    drop(manager);
    fleet.admit(Admission::Policy).await?;
    fleet.admits().await?;
    let with_policy = all(fleet, &cases).await?;
    for ((case, webhook), policy) in cases.iter().zip(&with_webhook).zip(&with_policy) {
        ensure!(
            webhook == policy,
            "{}\nbefore {}\nafter {}\nwebhook {webhook:#?}\npolicy {policy:#?}",
            case.name,
            case.before,
            case.after
        );
    }
    let given_back = without.iter().zip(&with_webhook).filter(|(without, with)| without != with).count();
    eprintln!("{given_back} of {} cases get something back", cases.len());
    ensure!(given_back >= 20, "{given_back}");
    Ok(())
}

async fn all(fleet: &Fleet, cases: &[Case]) -> Result<Vec<[Value; 2]>> {
    let mut all = Vec::new();
    for case in cases {
        all.push(stored(fleet, case).await?);
    }
    Ok(all)
}
