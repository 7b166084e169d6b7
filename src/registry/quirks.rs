//! What is particular about registries: one table of data.
//!
//! The client follows the distribution specification; a row says where a registry is known not to, and what a person needs
//! to hear when it refuses. Registries that run on anybody's host are known by a header.

use super::name::RegistryAddress;

/// How a registry is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Its host is this one.
    Host(&'static str),
    /// Its host ends in this.
    HostSuffix(&'static str),
    /// Its host has this in it, between dots.
    HostPart(&'static str),
    /// It sends a header of this name.
    Header(&'static str),
    /// Its header `server` begins like this.
    Server(&'static str),
}

/// An answer that needs explaining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hint {
    status: u16,
    /// The registry's code, if only that one is meant.
    code: Option<&'static str>,
    text: &'static str,
}

/// How blobs are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadForm {
    /// One PUT.
    Whole,
    /// One PATCH for each so many bytes.
    Chunks(u64),
    /// One PATCH: a second one would replace the first.
    OnePatch,
}

/// The size of chunks: below the limit of each registry that is known to have one.
pub const CHUNK: u64 = 16 * 1024 * 1024;

/// What is particular about a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirks {
    /// Its name.
    pub name: &'static str,
    marks: &'static [Mark],
    /// How many tags to ask for at once.
    pub page_size: usize,
    /// How it takes blobs.
    pub uploads: UploadForm,
    /// Whether it names attestations in its indexes that it does not hold.
    pub lacks_attestations: bool,
    hints: &'static [Hint],
}

/// ECR refuses more than 1,000; the others send fewer than asked and a link.
const PAGE_SIZE: usize = 1_000;

const fn hint(status: u16, text: &'static str) -> Hint {
    Hint { status, code: None, text }
}

const STANDARD: Quirks = Quirks {
    name: "registry",
    marks: &[],
    page_size: PAGE_SIZE,
    uploads: UploadForm::Whole,
    lacks_attestations: false,
    hints: &[],
};

const QUIRKS: [Quirks; 10] = [
    Quirks {
        name: "Docker Hub",
        marks: &[Mark::Host("registry-1.docker.io")],
        hints: &[
            hint(429, "Docker Hub limits pulls for each account, or for each address without one: give credentials"),
            hint(401, "Docker Hub answers so for repositories that do not exist, too"),
        ],
        ..STANDARD
    },
    Quirks {
        name: "Red Hat Connect",
        marks: &[Mark::Host("registry.connect.redhat.com")],
        lacks_attestations: true,
        hints: &[hint(401, "needs the pull secret of console.redhat.com")],
        ..STANDARD
    },
    Quirks {
        name: "Red Hat",
        marks: &[Mark::Host("registry.redhat.io")],
        hints: &[hint(401, "needs the pull secret of console.redhat.com")],
        ..STANDARD
    },
    Quirks {
        name: "GHCR",
        marks: &[Mark::Host("ghcr.io")],
        uploads: UploadForm::OnePatch,
        hints: &[hint(403, "GHCR answers so for packages that do not exist or need a token with read:packages")],
        ..STANDARD
    },
    Quirks {
        name: "ECR",
        marks: &[Mark::HostPart("dkr.ecr"), Mark::HostPart("dkr.ecr-fips"), Mark::HostPart("dkr-ecr")],
        hints: &[
            hint(401, "ECR needs AWS credentials: a web identity, Pod Identity or keys in the environment"),
            hint(403, "the AWS identity needs ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and ecr:ListImages"),
        ],
        ..STANDARD
    },
    Quirks {
        name: "ACR",
        marks: &[Mark::HostSuffix(".azurecr.io"), Mark::HostSuffix(".azurecr.cn"), Mark::HostSuffix(".azurecr.us")],
        // A PUT of more than 20 MB is refused.
        uploads: UploadForm::Chunks(CHUNK),
        ..STANDARD
    },
    Quirks {
        name: "Quay",
        marks: &[Mark::Host("quay.io"), Mark::Header("x-quay-request-id")],
        // More are not refused, but sent as 100.
        page_size: 100,
        hints: &[
            hint(401, "Quay answers so for repositories that do not exist, too"),
            Hint {
                status: 400,
                code: Some("MANIFEST_INVALID"),
                text: "Quay refuses nested indexes and OCI indexes of Docker images",
            },
        ],
        ..STANDARD
    },
    Quirks {
        name: "Harbor",
        marks: &[Mark::Header("x-harbor-csrf-token")],
        hints: &[hint(401, "Harbor answers so for projects that do not exist, too")],
        ..STANDARD
    },
    Quirks {
        name: "Artifactory",
        marks: &[Mark::Header("x-jfrog-version"), Mark::Header("x-artifactory-id")],
        ..STANDARD
    },
    Quirks { name: "Nexus", marks: &[Mark::Server("Nexus/")], ..STANDARD },
];

impl Quirks {
    /// Those of a registry, by its host.
    pub fn of(registry: &RegistryAddress) -> Self {
        let host = registry.base().host_str().unwrap_or_default();
        Self::find(|mark| match mark {
            Mark::Host(name) => host == name,
            Mark::HostSuffix(suffix) => host.ends_with(suffix),
            Mark::HostPart(part) => host.contains(&format!(".{part}.")),
            Mark::Header(_) | Mark::Server(_) => false,
        })
    }

    /// Those of a registry, by its host or else by the headers of an answer.
    pub fn of_answer<'a>(registry: &RegistryAddress, header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let by_host = Self::of(registry);
        if by_host != STANDARD {
            return by_host;
        }
        Self::find(|mark| match mark {
            Mark::Header(name) => header(name).is_some(),
            Mark::Server(prefix) => header("server").is_some_and(|server| server.starts_with(prefix)),
            _ => false,
        })
    }

    fn find(is_marked: impl Fn(Mark) -> bool) -> Self {
        QUIRKS.into_iter().find(|quirks| quirks.marks.iter().any(|mark| is_marked(*mark))).unwrap_or(STANDARD)
    }

    /// What a person should know about an answer.
    pub fn hint(&self, status: u16, code: Option<&str>) -> Option<&'static str> {
        let is_meant = |hint: &&Hint| hint.status == status && (hint.code.is_none() || hint.code == code);
        self.hints.iter().find(is_meant).map(|hint| hint.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str, header: Option<(&str, &'static str)>) -> &'static str {
        let registry = RegistryAddress::parse(host).unwrap();
        Quirks::of_answer(&registry, |asked| header.filter(|(name, _)| *name == asked).map(|(_, value)| value)).name
    }

    #[test]
    fn registries_are_recognised_by_host_or_header() {
        let by_host = [
            ("docker.io", "Docker Hub"),
            ("registry.connect.redhat.com", "Red Hat Connect"),
            ("quay.io", "Quay"),
            ("ghcr.io", "GHCR"),
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ECR"),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ECR"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ECR"),
            ("a.azurecr.io", "ACR"),
            ("evilquay.io", "registry"),
            ("registry.example", "registry"),
        ];
        for (host, expected) in by_host {
            assert_eq!(name(host, None), expected, "{host}");
        }
        let by_header = [
            (("x-quay-request-id", "1"), "Quay"),
            (("x-harbor-csrf-token", "1"), "Harbor"),
            (("x-jfrog-version", "Artifactory/7"), "Artifactory"),
            (("server", "Nexus/3.70 (OSS)"), "Nexus"),
            (("server", "nginx"), "registry"),
        ];
        for (header, expected) in by_header {
            assert_eq!(name("registry.example", Some(header)), expected, "{header:?}");
        }
        assert_eq!(name("quay.io", Some(("server", "Nexus/3"))), "Quay");
    }

    #[test]
    fn b20_a_refusal_that_has_a_known_cause_is_explained() {
        let quay = Quirks::of(&RegistryAddress::parse("quay.io").unwrap());
        assert!(quay.hint(400, Some("MANIFEST_INVALID")).unwrap().contains("nested"));
        assert_eq!(quay.hint(400, None), None);
        assert_eq!(STANDARD.hint(401, None), None);
    }
}
