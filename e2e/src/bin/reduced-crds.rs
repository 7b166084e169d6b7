//! Writes the reduced CRDs into `e2e/crds`.

use anyhow::{Context, Result};
use hypermirror_e2e::{binaries::repository_root, reduced};

fn main() -> Result<()> {
    let directory = repository_root().join("e2e/crds");
    for (name, text) in reduced::files()? {
        let path = directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
