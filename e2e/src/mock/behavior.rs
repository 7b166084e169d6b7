//! How a registry may differ from the specification, or within it: one field for each difference that a client meets.
//! The default is what the specification asks for.

use http::StatusCode;

/// How the registry behaves.
#[allow(clippy::struct_excessive_bools)] // each is a difference of its own
#[derive(Clone, Debug)]
pub struct Behavior {
    /// The path that the API lies below, such as `/harbor`; elsewhere everything is 404.
    pub base_path: String,
    /// How it asks for credentials.
    pub challenge: Challenge,
    /// A realm that is not that of its token server.
    pub realm: Option<String>,
    /// Blobs are elsewhere.
    pub redirect: Option<Redirect>,
    /// A request with an `Authorization` header is answered 400, as by a host of signed addresses.
    pub refuses_authorization: bool,
    /// The form of a `Location` of an upload.
    pub location: Location,
    /// How lists of tags are split into pages.
    pub paging: Paging,
    /// The most tags in one page, whatever the client asks for.
    pub page_size: usize,
    /// What becomes of a mount.
    pub mounts: Mounts,
    /// What the referrers API answers.
    pub referrers: Referrers,
    /// A push to a tag that another manifest has.
    pub immutable: Option<Immutable>,
    /// A push to a repository that was not created is answered 404.
    pub needs_repository: bool,
    /// A manifest is refused when its repository lacks a child of it, a configuration or a layer.
    pub demands_content: bool,
    /// An index in an index is refused.
    pub refuses_nested: bool,
    /// Limits of uploads.
    pub uploads: Uploads,
    /// The `Docker-Content-Digest` header.
    pub digest_header: DigestHeader,
    /// Pushed blobs above this length are hashed and dropped.
    pub held: u64,
    /// A deletion is answered 405.
    pub refuses_deletes: bool,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            base_path: String::new(),
            challenge: Challenge::Standard,
            realm: None,
            redirect: None,
            refuses_authorization: false,
            location: Location::Path,
            paging: Paging::Link,
            page_size: 10_000,
            mounts: Mounts::Done,
            referrers: Referrers::Listed { page: 1_000 },
            immutable: None,
            needs_repository: false,
            demands_content: true,
            refuses_nested: false,
            uploads: Uploads::default(),
            digest_header: DigestHeader::Right,
            held: 8 << 20,
            refuses_deletes: false,
        }
    }
}

/// How credentials are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// One challenge with all its parts.
    Standard,
    /// The scheme and the names of the parts in lower case, and blanks after commas.
    LowerCase,
    /// Basic and Bearer in one header.
    BasicAndBearer,
    /// Basic and Bearer in two headers.
    TwoHeaders,
    /// No `service`.
    NoService,
    /// No `scope`.
    NoScope,
    /// No challenge at all.
    Missing,
}

/// Where blobs are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 307, usually.
    pub status: StatusCode,
    /// The address of the other host, such as `http://127.0.0.1:5001`.
    pub to: String,
    /// How often this registry redirects to itself before.
    pub hops: u32,
}

/// The form of a `Location`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `/v2/NAME/blobs/uploads/…`.
    Path,
    /// With scheme and host, as the client reached it.
    Absolute,
    /// Only `?session=…`, relative to the address of the request.
    Query,
    /// `http://` with the same host, whatever the scheme is.
    PlainHttp,
    /// With scheme, host and the port of the scheme after the host that the client asked for, without a port.
    DefaultPort,
    /// Below this address.
    Elsewhere(String),
    /// No header.
    Missing,
}

/// How a list of tags is split into pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paging {
    /// `Link: </v2/NAME/tags/list?n=…&last=…>; rel="next"`.
    Link,
    /// As [`Paging::Link`], with a cursor that means nothing to the client.
    Cursor,
    /// A path that is not the one that was asked for.
    ForeignPath(String),
    /// The address of another host.
    ForeignHost(String),
    /// No `Link`; `last` is understood.
    NoLink,
    /// Neither `Link` nor `n` nor `last`: one page with everything.
    Ignored,
    /// Every page names the same next page.
    SameCursor,
    /// There is always another page, with tags that were not there before.
    Endless,
}

/// What becomes of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mounts {
    /// 201 where `from`, or without it any repository, holds the blob.
    Done,
    /// 202 and a session, whatever is asked.
    Ignored,
    /// This status, such as 401 or 403.
    Refused(StatusCode),
}

/// What the referrers API answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Referrers {
    /// What there is, in pages of this many; a push answers `OCI-Subject`.
    Listed {
        /// The most descriptors in a page.
        page: usize,
    },
    /// 404, as a registry that does not have it; a push answers no `OCI-Subject`.
    Unsupported,
    /// This status.
    Failing(StatusCode),
    /// 200 with a page of HTML.
    Html,
}

/// How a push to a tag that another manifest has is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Immutable {
    /// ECR: 400 `TAG_INVALID`, "already exists", also for the same digest.
    Ecr,
    /// Harbor: 412 `PRECONDITION`, "configured as immutable".
    Harbor,
    /// Quay: 409 `TAG_IMMUTABLE`.
    Quay,
    /// Artifactory: 403 `DENIED`.
    Artifactory,
}

/// Limits of uploads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uploads {
    /// The most bytes of one request; 413 beyond.
    pub most: Option<u64>,
    /// The most bytes of one request; the connection is reset beyond.
    pub reset: Option<u64>,
    /// `OCI-Chunk-Min-Length`.
    pub least: Option<u64>,
    /// A PATCH replaces what came before.
    pub overwrites: bool,
    /// A blob that comes with the first request is not taken: an upload begins.
    pub ignores_posts: bool,
}

/// The `Docker-Content-Digest` header of manifests and blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestHeader {
    /// As it is.
    Right,
    /// No header.
    Missing,
    /// The digest of something else.
    Wrong,
}
