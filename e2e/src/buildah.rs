//! An image of Buildah, made of Debian's programs: what Buildah's own image has, without the rest of a distribution.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::process::Command;

use crate::image::Image;

/// The user of the image.
const USER: u32 = 1_000;

/// A capability that the kernel gives a program.
#[derive(Clone, Copy, Debug)]
pub struct Capability {
    /// As programs name it.
    pub name: &'static str,
    /// As the kernel counts it.
    number: u32,
}

impl Capability {
    /// The file attribute that gives it: version 2, permitted and effective (Linux, `uapi/linux/capability.h`).
    fn attribute(self) -> Vec<u8> {
        let (version, permitted) = (0x0200_0001_u32, 1_u32 << self.number);
        [version, permitted, 0, 0, 0].into_iter().flat_map(u32::to_le_bytes).collect()
    }
}

/// The programs with capabilities: they write the maps of the namespace in which Buildah is root.
pub const CAPABLE: [(&str, Capability); 2] = [
    ("usr/bin/newuidmap", Capability { name: "cap_setuid", number: 7 }),
    ("usr/bin/newgidmap", Capability { name: "cap_setgid", number: 6 }),
];

/// Makes the root of the image: the programs with their libraries, and the user `build` with ranges of subordinate IDs. The
/// capabilities of [`CAPABLE`] are missing, because they depend on who is root.
///
/// # Errors
///
/// If a program is not installed.
pub async fn make_root(root: &Path) -> Result<()> {
    for directory in ["etc/containers", "tmp", "var/tmp", "var/lib/containers", "run", "proc", "sys", "dev", "build"] {
        std::fs::create_dir_all(root.join(directory))?;
    }
    for program in ["usr/bin/buildah"].into_iter().chain(CAPABLE.map(|(program, _)| program)) {
        let program = Path::new("/").join(program);
        copy_program(root, &program).await.with_context(|| format!("is {} installed?", program.display()))?;
    }
    // Debian's are setuid root, which the user namespace of a pod does not know.
    for (program, _) in CAPABLE {
        std::fs::set_permissions(root.join(program), Permissions::from_mode(0o755))?;
    }
    for (file, text) in [
        ("etc/containers/policy.json", r#"{"default": [{"type": "insecureAcceptAnything"}]}"#.to_owned()),
        ("etc/passwd", format!("root:x:0:0::/:/x\nbuild:x:{USER}:{USER}::/tmp:/x\n")),
        ("etc/group", format!("root:x:0:\nbuild:x:{USER}:\n")),
        ("etc/subuid", "build:1:999\nbuild:1001:64535\n".to_owned()),
        ("etc/subgid", "build:1:999\nbuild:1001:64535\n".to_owned()),
    ] {
        std::fs::write(root.join(file), text)?;
    }
    Ok(())
}

/// Writes the image to a directory, for [`Image::push`].
///
/// # Errors
///
/// If a program is not installed or a file cannot be written.
pub async fn image(directory: &Path) -> Result<Image> {
    let root = directory.join("root");
    make_root(&root).await?;
    let mut archive = tar::Builder::new(Vec::new());
    archive.follow_symlinks(false);
    for (program, capability) in CAPABLE {
        let from = root.join(program);
        archive.append_pax_extensions([("SCHILY.xattr.security.capability", &*capability.attribute())])?;
        archive.append_path_with_name(&from, program)?;
        std::fs::remove_file(&from)?;
    }
    archive.append_dir_all("", &root)?;
    let config = json!({ "Env": ["PATH=/usr/bin"], "User": "build" });
    Image::of_layer(&directory.join("layout"), &archive.into_inner()?, &config)
}

/// Copies a program and the libraries that it is linked to.
async fn copy_program(root: &Path, program: &Path) -> Result<()> {
    let libraries = run(Command::new("ldd").arg(program)).await?;
    let libraries = String::from_utf8(libraries.stdout)?;
    let paths = libraries.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new);
    for path in paths.chain([program]) {
        let target = root.join(path.strip_prefix("/")?);
        std::fs::create_dir_all(target.parent().context("no directory")?)?;
        std::fs::copy(path, &target).with_context(|| format!("failed to copy {}", path.display()))?;
    }
    Ok(())
}

pub(crate) async fn run(command: &mut Command) -> Result<Output> {
    let output = command.kill_on_drop(true).output().await.with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output)
}
