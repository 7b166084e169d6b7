//! `docs/seeds.md` names scenarios that exist.
#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use std::path::{Path, PathBuf};

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn every_scenario_of_the_table_exists_in_its_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(root.join("docs/seeds.md")).unwrap();
    let mut count = 0;
    for line in table.lines().filter(|line| line.starts_with('|')) {
        let Some((folder, names)) = line.trim_end_matches('|').rsplit('|').next().unwrap().split_once(": `") else {
            continue;
        };
        let folder = root.join("e2e/tests").join(folder.trim());
        let text: String =
            sources(&folder).iter().map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect();
        for name in names.split(['`', ',', ';']).map(str::trim).filter(|name| name.contains('_') && !name.contains('…'))
        {
            if name.contains("::") || name.contains('/') {
                continue; // a place of unit tests
            }
            assert!(text.contains(&format!("fn {name}(")), "{}: no scenario {name}", folder.display());
            count += 1;
        }
    }
    assert!(count > 25, "only {count} scenarios are named");
}
