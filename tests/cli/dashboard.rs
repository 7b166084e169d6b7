//! Exported pages, and what the agent's program does not have.

use std::path::Path;

use super::fixtures::{CLUSTERS, Files, MIRRORS, POOLS};

const REPORT: &str = include_str!("fleet/report.yaml");

fn fleet() -> Files {
    Files::new(&[("c.yaml", CLUSTERS), ("m.yaml", MIRRORS), ("p.yaml", POOLS), ("r.yaml", REPORT)])
}

const EXPORT: [&str; 5] = ["dashboard", "-f", ".", "--export", "out"];

fn read(files: &Files, name: &str) -> String {
    std::fs::read_to_string(files.path().join("out").join(name)).unwrap()
}

/// The values of an attribute.
fn values<'a>(text: &'a str, attribute: &str) -> Vec<&'a str> {
    text.split(&format!(" {attribute}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn exported_pages_link_to_each_other_and_to_nothing_else() {
    let files = fleet();
    let run = files.run(&EXPORT);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("9 pages written to out"), "{}", run.stderr);
    let pages = ["index.html", "findings.html", "clusters/clusters/east.one.html", "clusters/clusters/lab.html"];
    for page in pages {
        let text = read(&files, page);
        let links = [values(&text, "href"), values(&text, "src")].concat();
        assert!(links.len() > 7, "{page}: {links:?}");
        for link in links.into_iter().filter(|link| !link.starts_with('#')) {
            let file = link.split('#').next().unwrap();
            let path = files.path().join("out").join(page).parent().unwrap().join(file);
            assert!(path.is_file(), "{page}: {link}");
        }
        assert!(!text.contains("<script") && !text.contains("hx-get") && !text.contains("<form"), "{page}");
    }
    assert!(read(&files, "index.html").contains("href=\"clusters/clusters/east.one.html\""));
}

#[test]
fn an_export_replaces_an_earlier_one_and_nothing_else() {
    let files = fleet();
    files.run(&EXPORT).out();
    std::fs::remove_file(files.path().join("r.yaml")).unwrap();
    std::fs::remove_file(files.path().join("c.yaml")).unwrap();
    files.run(&EXPORT).out();
    assert!(!files.path().join("out/clusters").exists(), "pages of hosted clusters that are gone");

    std::fs::write(files.path().join("out/notes.txt"), "mine").unwrap();
    let refused = files.run(&EXPORT).refused(2);
    assert!(refused.contains("such as notes.txt"), "{refused}");
    assert_eq!(std::fs::read_to_string(files.path().join("out/notes.txt")).unwrap(), "mine");
    let left: Vec<String> = names(files.path()).into_iter().filter(|name| name.contains("partial")).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_agents_program_has_no_page() {
    let has_page = |program: &str| {
        let mut search = std::process::Command::new("grep");
        search.args(["--quiet", "--fixed-strings", "htmx:sendError", program]).status().unwrap().success()
    };
    assert!(has_page(env!("CARGO_BIN_EXE_hypermirror")));
    assert!(!has_page(env!("CARGO_BIN_EXE_hypermirror-agent")));
}

#[test]
fn nothing_to_read_is_said_before_a_port_is_opened() {
    let refused = Files::new(&[]).run(&["dashboard"]).refused(1);
    assert!(refused.contains("no cluster to read"), "{refused}");
    let refused = Files::new(&[]).run(&["dashboard", "--open", "--export", "x"]).refused(2);
    assert!(refused.contains("cannot be used with"), "{refused}");
}
