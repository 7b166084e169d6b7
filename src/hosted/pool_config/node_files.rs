//! The registries.conf and drop-ins that `MachineConfig`s write to nodes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use crate::mirrors::registries::RegistriesConfig;

/// The main file.
pub const MAIN_FILE: &str = "/etc/containers/registries.conf";
/// The directory of the drop-ins.
const DIRECTORY: &str = "/etc/containers/registries.conf.d/";
const SUFFIX: &str = ".conf";

/// Like Ignition, accepts base64 with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One file of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFile {
    /// Its absolute path.
    pub path: String,
    /// Its content, shared by all users of its ConfigMap.
    pub content: Arc<[u8]>,
    /// The MachineConfig. If several write the same file, the last one by name takes precedence.
    pub machine_config: String,
    /// The ConfigMap with the MachineConfig.
    pub config_map: String,
}

impl NodeFile {
    /// Whether it is registries.conf.
    pub fn is_main(&self) -> bool {
        self.path == MAIN_FILE
    }

    /// Its name in its directory.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// The resulting files on a node. If several `MachineConfig`s write the same file, the last one by name takes precedence.
pub fn in_force(mut files: Vec<NodeFile>) -> Vec<NodeFile> {
    files.sort_by(|a, b| (&a.path, &b.machine_config).cmp(&(&b.path, &a.machine_config)));
    files.dedup_by(|later, first| later.path == first.path);
    files
}

/// The configuration of a node with these files, and with this main file unless one of them replaces it. `None` if the node
/// rejects them.
pub fn config(main: Option<(&str, &[u8])>, files: &[NodeFile]) -> Option<RegistriesConfig> {
    let own_main = files.iter().find(|file| file.is_main()).map(|file| (file.path.as_str(), &*file.content));
    let drop_ins = files.iter().filter(|file| !file.is_main());
    let drop_ins = drop_ins.map(|file| (file.path.as_str(), &*file.content));
    RegistriesConfig::load(own_main.or(main), drop_ins).ok()
}

/// Whether a node reads mirrors from a file with this path.
pub fn is_read(path: &str) -> bool {
    let drop_in = path.strip_prefix(DIRECTORY).and_then(|name| name.strip_suffix(SUFFIX));
    path == MAIN_FILE || drop_in.is_some_and(|name| !name.contains('/'))
}

/// The content that an entry of `storage.files` writes.
///
/// # Errors
/// Why the content is not known.
pub fn content(file: &Value) -> Result<Vec<u8>, String> {
    let is_append =
        file["append"].as_bool() == Some(true) || file["append"].as_array().is_some_and(|list| !list.is_empty());
    if is_append {
        return Err("the machine-config-operator rejects files with append".to_owned());
    }
    let contents = &file["contents"];
    match contents["compression"].as_str() {
        None | Some("") => {}
        Some(compression) => return Err(format!("its content is compressed ({compression}), which is not supported")),
    }
    match contents["source"].as_str() {
        None | Some("") => Ok(Vec::new()),
        Some(source) => data(source),
    }
}

/// The bytes of a `data:` URL (RFC 2397).
fn data(url: &str) -> Result<Vec<u8>, String> {
    let Some(rest) = url.strip_prefix("data:") else {
        return Err("its content is not in the MachineConfig".to_owned());
    };
    let Some((kind, data)) = rest.split_once(',') else { return Err("its data URL has no comma".to_owned()) };
    let bytes = unescape(data)?;
    if !kind.split(';').skip(1).any(|parameter| parameter.trim() == "base64") {
        return Ok(bytes);
    }
    let digits: Vec<u8> = bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(digits).map_err(|error| format!("its data URL is not base64: {error}"))
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err("its data URL has a % without two hexadecimal digits".to_owned());
        };
        out.extend(u8::try_from(high * 16 + low));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(source: &str) -> Result<String, String> {
        content(&json!({"contents": {"source": source}})).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn data_urls_are_read_in_each_of_their_forms() {
        for source in [
            "data:text/plain;charset=utf-8;base64,YSA9IDEK",
            "data:;base64,YSA9IDEK",
            "data:text/plain;base64,YSA9IDEK%0A",
            "data:,a%20%3D%201%0A",
            "data:text/plain;charset=utf-8,a = 1%0a",
        ] {
            assert_eq!(written(source).as_deref(), Ok("a = 1\n"), "{source}");
        }
        assert_eq!(written("data:;base64,YQ").as_deref(), Ok("a"), "without padding");
        assert_eq!(written("").as_deref(), Ok(""));
    }

    #[test]
    fn unknown_content_is_reported() {
        for (file, expected) in [
            (json!({"contents": {"source": "https://a.example/x"}}), "not in the MachineConfig"),
            (json!({"contents": {"source": "data:text/plain"}}), "no comma"),
            (json!({"contents": {"source": "data:,%4"}}), "two hexadecimal digits"),
            (json!({"contents": {"source": "data:;base64,!"}}), "not base64"),
            (json!({"contents": {"source": "data:,x", "compression": "gzip"}}), "compressed (gzip)"),
            (json!({"append": [{"source": "data:,x"}]}), "with append"),
            (json!({"append": true, "contents": {"source": "data:,x"}}), "with append"),
        ] {
            assert!(content(&file).unwrap_err().contains(expected), "{file}");
        }
        assert_eq!(content(&json!({"append": []})), Ok(Vec::new()));
    }

    #[test]
    fn only_files_that_a_node_reads_are_of_interest() {
        for path in [MAIN_FILE, "/etc/containers/registries.conf.d/99-a.conf"] {
            assert!(is_read(path), "{path}");
        }
        for path in [
            "/etc/containers/registries.conf.d/a.txt",
            "/etc/containers/registries.conf.d/a/b.conf",
            "/etc/crio/crio.conf",
        ] {
            assert!(!is_read(path), "{path}");
        }
    }
}
