//! Addresses of pages: paths of the server, or relative names of files. Pure.

use std::fmt::Write as _;

use hypermirror_api::ClusterKey;
use url::form_urlencoded::Serializer;

/// The pages that the navigation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    Fleet,
    Coverage,
    Findings,
    Explain,
    Registries,
    Images,
    Imports,
    Builds,
}

impl Tab {
    /// In the order of the navigation.
    pub const ALL: [Self; 8] = [
        Self::Fleet,
        Self::Coverage,
        Self::Findings,
        Self::Explain,
        Self::Registries,
        Self::Images,
        Self::Imports,
        Self::Builds,
    ];

    /// Its name.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Fleet => "Fleet",
            Self::Coverage => "Coverage",
            Self::Findings => "Findings",
            Self::Explain => "Explain",
            Self::Registries => "Registries",
            Self::Images => "Images",
            Self::Imports => "Imports",
            Self::Builds => "Builds",
        }
    }

    /// Its path on the server, and the name of its file.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Fleet => ("/", "index.html"),
            Self::Coverage => ("/coverage", "coverage.html"),
            Self::Findings => ("/findings", "findings.html"),
            Self::Explain => ("/explain", "explain.html"),
            Self::Registries => ("/registries", "registries.html"),
            Self::Images => ("/images", "images.html"),
            Self::Imports => ("/imports", "imports.html"),
            Self::Builds => ("/builds", "builds.html"),
        }
    }

    /// The tab with this path on the server.
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tab| tab.names().0 == path)
    }

    /// The name of its file.
    pub const fn file(self) -> &'static str {
        self.names().1
    }
}

/// Where pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// On the server.
    Served,
    /// In files, seen from a file so many folders below the first page.
    Files(usize),
}

impl Links {
    /// Whether somebody answers requests.
    pub fn is_served(self) -> bool {
        self == Self::Served
    }

    /// The address of a tab.
    pub fn tab(self, tab: Tab) -> String {
        match self {
            Self::Served => tab.names().0.to_owned(),
            Self::Files(depth) => format!("{}{}", "../".repeat(depth), tab.file()),
        }
    }

    /// The address of a hosted cluster's page.
    pub fn cluster(self, key: &ClusterKey) -> String {
        match self {
            Self::Served => format!("/clusters/{}/{}", segment(&key.namespace), segment(&key.name)),
            Self::Files(depth) => format!("{}{}", "../".repeat(depth), cluster_file(key)),
        }
    }

    /// The address of the answer about an image, as a hosted cluster pulls it. None in files: nobody answers there.
    pub fn explain(self, image: &str, key: &ClusterKey) -> Option<String> {
        let query = [("image", image), ("cluster", key.to_string().as_str())]
            .into_iter()
            .fold(Serializer::new(String::new()), |mut query, (name, value)| {
                query.append_pair(name, value);
                query
            })
            .finish();
        self.is_served().then(|| format!("/explain?{query}"))
    }

    /// The address of a file that pages need.
    pub fn asset(self, name: &str) -> String {
        match self {
            Self::Served => format!("/assets/{name}"),
            Self::Files(depth) => format!("{}assets/{name}", "../".repeat(depth)),
        }
    }
}

/// The file of a hosted cluster's page, from the first page.
pub fn cluster_file(key: &ClusterKey) -> String {
    format!("clusters/{}/{}.html", segment(&key.namespace), segment(&key.name))
}

/// A name as a segment of a path. Names of manifests may be anything; those that Kubernetes accepts stay as they are.
pub fn segment(name: &str) -> String {
    let mut segment = String::with_capacity(name.len());
    for (place, byte) in name.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b'.' && place > 0);
        if is_plain {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "_{byte:02x}");
        }
    }
    // An empty segment would disappear from a path.
    if segment.is_empty() { "_".to_owned() } else { segment }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_folder_or_becomes_another_one() {
        for (name, expected) in
            [("east.one", "east.one"), ("..", "_2e."), ("a/b", "a_2fb"), ("a_2fb", "a_5f2fb"), ("", "_")]
        {
            assert_eq!(segment(name), expected);
        }
    }

    #[test]
    fn files_lead_back_to_the_first_page() {
        let key = ClusterKey { namespace: "clusters".into(), name: "west".into() };
        assert_eq!(Links::Files(2).tab(Tab::Fleet), "../../index.html");
        assert_eq!(Links::Files(0).cluster(&key), "clusters/clusters/west.html");
        assert_eq!(Links::Served.cluster(&key), "/clusters/clusters/west");
        assert_eq!(
            Links::Served.explain("a/b:v1&x", &key).unwrap(),
            "/explain?image=a%2Fb%3Av1%26x&cluster=clusters%2Fwest"
        );
        assert_eq!(Links::Files(0).explain("a", &key), None);
    }

    #[test]
    fn each_tab_is_at_its_path() {
        for tab in Tab::ALL {
            assert_eq!(Tab::at(&Links::Served.tab(tab)), Some(tab));
        }
        assert_eq!(Tab::at("/nowhere"), None);
    }
}
