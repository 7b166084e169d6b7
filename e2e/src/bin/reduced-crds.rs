//! Writes `e2e/crds`; with two directories, writes the stock CRDs of the first into the second without descriptions.

use std::path::Path;

use anyhow::{Result, bail};
use hypermirror_e2e::{Crds, binaries, reduced};

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            let directory = binaries::repository_root().join("e2e/crds");
            for (name, text) in reduced::files()? {
                std::fs::write(directory.join(name), text)?;
            }
            Ok(())
        }
        [from, into] => Crds::condense(Path::new(from), Path::new(into)),
        _ => bail!("usage: reduced-crds [STOCK-DIRECTORY DIRECTORY]"),
    }
}
