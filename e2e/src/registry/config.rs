//! The configuration files of registries.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Access, Program, Settings};
use crate::binaries::Servers;
use crate::mock::{ISSUER, SERVICE};

/// The user and the password of a registry with one, as bcrypt has it; at the lowest cost, since tests wait for it.
const HTPASSWD: &str = "alice:$2a$04$j4mX3s40DEvAD35sFgvxfeQVXjRFgGIXAxwoM89YTBuIBrdRLowI.\n";

/// Writes what a registry reads to `directory`. Returns the program and its arguments.
pub(super) fn write(directory: &Path, host: &str, settings: &Settings<'_>) -> Result<(PathBuf, Vec<PathBuf>)> {
    std::fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    let file = |name: &str, text: &str| -> Result<PathBuf> {
        let path = directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    };
    let certificate =
        settings.authority.map(|authority| authority.server(&["127.0.0.1", "registry.test"])).transpose()?;
    let tls = match &certificate {
        None => None,
        Some(own) => Some((file("tls.crt", &own.certificate)?, file("tls.key", &own.key)?)),
    };
    let auth = match settings.access {
        Access::Open => None,
        Access::Password => Some(("htpasswd", json!({ "realm": "registry", "path": file("htpasswd", HTPASSWD)? }))),
        Access::Tokens(server) => {
            let bundle = file("tokens.crt", server.tokens().authority())?;
            let options = json!({
                "realm": server.realm(), "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle,
            });
            Some(("token", options))
        }
    };
    match settings.program {
        Program::Docker => {
            let config = file("config.yml", &serde_yaml::to_string(&distribution(directory, host, tls, auth))?)?;
            Ok(("docker-registry".into(), vec!["serve".into(), config]))
        }
        Program::Distribution => {
            let config = file("config.yml", &serde_yaml::to_string(&distribution(directory, host, tls, auth))?)?;
            let program = Servers::from_env().find_registry("distribution")?;
            Ok((program, vec!["serve".into(), config]))
        }
        Program::PkgRegistry => {
            let config = file("config.json", &pkg_registry(host, tls, auth).to_string())?;
            Ok((Servers::from_env().find_registry("pkg-registry")?, vec![config]))
        }
    }
}

type Tls = Option<(PathBuf, PathBuf)>;
type Auth = Option<(&'static str, Value)>;

/// Of both versions of the distribution project.
fn distribution(directory: &Path, host: &str, tls: Tls, auth: Auth) -> Value {
    let mut config = json!({
        "version": "0.1",
        "log": { "accesslog": { "disabled": false }, "level": "info", "formatter": "json" },
        "storage": {
            "filesystem": { "rootdirectory": directory.join("images") },
            "delete": { "enabled": true },
        },
        "http": { "addr": host },
        // Else foreign layers are refused.
        "validation": { "manifests": { "urls": { "allow": ["^https?://"] } } },
    });
    if let Some((certificate, key)) = tls {
        config["http"]["tls"] = json!({ "certificate": certificate, "key": key });
    }
    if let Some((name, options)) = auth {
        config["auth"] = json!({ name: options });
    }
    config
}

fn pkg_registry(host: &str, tls: Tls, auth: Auth) -> Value {
    let mut config = json!({ "address": host });
    if let Some((certificate, key)) = tls {
        config["certificate"] = json!(certificate);
        config["key"] = json!(key);
    }
    if let Some((name, options)) = auth {
        config["auth"] = name.into();
        config["options"] = options;
    }
    config
}
