//! Debian's skopeo as the judge of our judge: for generated files, the endpoints that it tries are those that we explain.
//!
//! Everything is on ports of the loopback address where nothing listens, or blocked, so that nothing is looked up.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test program: what goes wrong ends it

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use hypermirror::mirrors::merge::merge_layer;
use hypermirror::mirrors::registries::{DROP_IN, Explanation, RegistriesConfig, explain, render};
use hypermirror::mirrors::{Layer, MirrorEntry, Origin, PullBy};

const CASES: u64 = 320;
const AT_ONCE: u64 = 4;

/// A small generator of our own (`xorshift*`): the same cases everywhere and always.
struct Dice(u64);

impl Dice {
    fn new(case: u64) -> Self {
        Self(case.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let roll = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(roll).unwrap() % sides
    }

    fn pick<'a>(&mut self, from: &'a [String]) -> &'a str {
        &from[self.roll(from.len())]
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }
}

/// Names that a case is made of.
struct Names {
    sources: Vec<String>,
    mirrors: Vec<String>,
    images: Vec<String>,
}

impl Names {
    fn new(first: u16, second: u16) -> Self {
        let fill = |list: &[&str]| -> Vec<String> {
            list.iter()
                .map(|name| name.replace("{1}", &first.to_string()).replace("{2}", &second.to_string()))
                .collect()
        };
        Self {
            sources: fill(&[
                "127.0.0.1:{1}",
                "127.0.0.1:{1}/ns",
                "127.0.0.1:{1}/ns/app",
                "127.0.0.1:{1}/ns/app/deep",
                "localhost:{1}",
                "localhost:{1}/ns",
                "*.example.test",
                "a.example.test",
                "*.a.example.test",
                "a.example.test/ns",
                "b.a.example.test/ns",
                "a.example.test:5000",
                "127.0.0.1",
            ]),
            mirrors: fill(&[
                "127.0.0.1:{2}",
                "127.0.0.1:{2}/m",
                "127.0.0.1:{2}/m/deeper",
                "localhost:{2}/q",
                "localhost:{2}",
                "127.0.0.1:{1}/ns",
                "a.example.test/m",
                "mirror/ns",
                "127.0.0.1:{2}/other_one/x-y",
                "localhost/r",
            ]),
            images: fill(&[
                "127.0.0.1:{1}/ns/app",
                "127.0.0.1:{1}/ns/app/deep",
                "127.0.0.1:{1}/ns/app/deep/er",
                "127.0.0.1:{1}/ns/other",
                "localhost:{1}/ns/x/y",
                "127.0.0.1:{1}/nsx/app",
                "127.0.0.1:{1}/one",
                "localhost:{1}/ns/app",
                "localhost:{1}/x",
                "a.example.test/ns/app",
                "b.a.example.test/ns/app",
                "a.example.test:5000/x",
                "c.example.test/app",
            ]),
        }
    }
}

/// A file that stops everything, for one case in twelve.
const BROKEN: [&str; 6] = [
    "[[registry]\n",
    "[[registry]]\nlocation = \"https://a.example.test\"\n",
    "[[registry]]\nprefix = \"a.example.test\"\n",
    "[[registry]]\nlocation = \"a.example.test\"\n[[registry.mirror]]\ninsecure = true\n",
    "[[registry]]\nprefix = \"*.example.test/x\"\n",
    "[[registry]]\nlocation = \"a.example.test\"\nblocked = true\n[[registry]]\nlocation = \"a.example.test\"\n",
];

/// All of `example.test` is blocked: nobody asks a name server for it.
const BASE: &str = "[[registry]]\nprefix = \"*.example.test\"\nblocked = true\n";

fn foreign_tables(dice: &mut Dice, names: &Names) -> String {
    let mut text = String::new();
    let mut used = Vec::new();
    for _ in 0..dice.roll(3) {
        let source = dice.pick(&names.sources).to_owned();
        if used.contains(&source) {
            continue;
        }
        let place = if source.starts_with('*') { "prefix" } else { "location" };
        write!(text, "[[registry]]\n{place} = \"{source}\"\n").unwrap();
        if dice.one_in(4) {
            text += "insecure = true\n";
        }
        if source.contains("example.test") || dice.one_in(4) {
            text += "blocked = true\n";
        }
        let by_digest_only = dice.one_in(6);
        if by_digest_only {
            text += "mirror-by-digest-only = true\n";
        }
        for _ in 0..dice.roll(3) {
            write!(text, "[[registry.mirror]]\nlocation = \"{}\"\n", dice.pick(&names.mirrors)).unwrap();
            let pull = ["", "pull-from-mirror = \"tag-only\"\n", "pull-from-mirror = \"digest-only\"\n"][dice.roll(3)];
            text += if by_digest_only { "" } else { pull };
        }
        used.push(source);
    }
    text
}

fn entries(dice: &mut Dice, names: &Names) -> Vec<MirrorEntry> {
    let entry = |index: usize, dice: &mut Dice| {
        let source = dice.pick(&names.sources).to_owned();
        let mirrors = (0..=dice.roll(4)).map(|_| dice.pick(&names.mirrors).to_owned()).collect();
        let never = source.contains("example.test") || dice.one_in(6);
        MirrorEntry {
            pull_by: if dice.one_in(2) { PullBy::Digest } else { PullBy::Tag },
            source,
            mirrors,
            policy: never.then_some(hypermirror::mirrors::DeclaredPolicy::Known(
                hypermirror::mirrors::Policy::NeverContactSource,
            )),
            insecure: dice.one_in(5),
            list: "spec.imageDigestMirrors",
            origin: Origin {
                kind: "ImageDigestMirrorSet".to_owned(),
                namespace: None,
                name: "generated".to_owned(),
                key: None,
                document: None,
                index,
                layer: Layer::NodePool,
            },
        }
    };
    (0..3 + dice.roll(6)).map(|index| entry(index, dice)).collect()
}

/// What skopeo says it tries, in order, and all that it says.
fn skopeo(home: &Path, image: &str) -> (Vec<String>, String) {
    let output = Command::new("skopeo")
        .args(["--debug", "inspect", "--raw", &format!("docker://{image}")])
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .expect("skopeo does not start: apt-get install skopeo, or make test, which installs it");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let tried = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("Trying to access \\\"")?;
        Some(rest.split_once("\\\"")?.0.to_owned())
    });
    (tried.collect(), text)
}

/// Writes the files of a case and answers what we make of them: the explanation, or the fatal error.
fn write_case(dice: &mut Dice, names: &Names, home: &Path, image: &str) -> Result<Explanation, String> {
    let config = home.join(".config/containers");
    let directory = config.join("registries.conf.d");
    fs::create_dir_all(&directory).unwrap();
    let main = format!(
        "{BASE}{}",
        foreign_tables(dice, names).replace("prefix = \"*.example.test\"", "prefix = \"*.z.example.test\"")
    );
    let mut drop_ins =
        vec![("10-early.conf", foreign_tables(dice, names)), ("90-late.conf", foreign_tables(dice, names))];
    if dice.one_in(12) {
        BROKEN[dice.roll(BROKEN.len())].clone_into(&mut drop_ins[1].1);
    }
    let load = |drop_ins: &[(&str, String)]| {
        let drop_ins: Vec<_> = drop_ins.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        RegistriesConfig::load(Some(("registries.conf", main.as_bytes())), drop_ins)
    };
    // Our file is written over the others, as on a node; where those are broken, ours is not written.
    let ours = load(&drop_ins).ok().and_then(|foreign| render(&merge_layer(&entries(dice, names)), &foreign).ok());
    if let Some(text) = ours.and_then(|rendered| rendered.text) {
        drop_ins.push((DROP_IN, text));
    }
    fs::write(config.join("registries.conf"), &main).unwrap();
    for (name, text) in &drop_ins {
        fs::write(directory.join(name), text).unwrap();
    }
    load(&drop_ins).map(|config| explain(&config, image)).map_err(|error| error.to_string())
}

/// Runs one case; answers a description if skopeo disagrees, and what kind of case it was.
fn run_case(case: u64, names: &Names) -> (Option<String>, &'static str) {
    let mut dice = Dice::new(case + 1);
    let home = tempfile::tempdir().unwrap();
    let digest = format!("@sha256:{}", "0123456789abcdef".repeat(4));
    let image = format!("{}{}", dice.pick(&names.images), if dice.one_in(2) { ":v1" } else { &digest });
    let ours = write_case(&mut dice, names, home.path(), &image);
    let (tried, text) = skopeo(home.path(), &image);
    let (agrees, kind) = match &ours {
        Err(_) => (tried.is_empty() && text.contains("registries"), "fatal"),
        Ok(found) if found.error.is_some() => (tried.is_empty(), "unusable table"),
        Ok(found) => {
            let wanted: Vec<_> = found.endpoints.iter().map(|endpoint| endpoint.reference.clone()).collect();
            let blocked = found.endpoints.iter().filter(|endpoint| endpoint.blocked).count();
            let kind = match (found.endpoints.len(), blocked) {
                (1, _) => "source alone",
                (_, 0) => "mirrors",
                (_, 1..) => "mirrors, something blocked",
            };
            (tried == wanted && text.matches("is blocked in").count() >= blocked, kind)
        }
    };
    let files = || {
        let directory = home.path().join(".config/containers/registries.conf.d");
        let names = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
        let shown = names.map(|path| format!("--- {}\n{}", path.display(), fs::read_to_string(&path).unwrap()));
        shown.collect::<Vec<_>>().join("\n")
    };
    let stderr = || format!("case {case}, {image}\nours: {ours:#?}\nskopeo tried: {tried:#?}\n{text}\n{}", files());
    ((!agrees).then(stderr), kind)
}

#[test]
fn skopeo_tries_exactly_the_endpoints_that_we_explain() {
    // Bound to learn free ports, and closed again before anything is asked there.
    let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [first, second] = ports.map(|listener| listener.local_addr().unwrap().port());
    let names = &Names::new(first, second);
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE)
            .map(|first| {
                scope.spawn(move || (first..CASES).step_by(4).map(|case| run_case(case, names)).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let wrong: Vec<_> = results.iter().filter_map(|(wrong, _)| wrong.as_deref()).collect();
    assert!(wrong.is_empty(), "skopeo disagrees in {} of {CASES} cases, first:\n{}", wrong.len(), wrong[0]);
    // A generator that makes one kind only would prove nothing.
    for (kind, at_least) in
        [("fatal", 5), ("unusable table", 5), ("source alone", 30), ("mirrors", 20), ("mirrors, something blocked", 30)]
    {
        let count = results.iter().filter(|(_, of)| *of == kind).count();
        assert!(count >= at_least, "{count} cases of kind {kind}");
    }
}
