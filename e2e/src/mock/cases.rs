//! The cases that a client of registries has to survive, by number, each in the variants that were seen in the wild.
//!
//! | case | the registry | the client |
//! |---|---|---|
//! | B1 | answers 429, with and without a body | tries again, within one budget for the host |
//! | B2 | says when to come back in every form that there is | waits, backs off, or fails at once |
//! | B3 | refuses or fails when it is only asked whether it has something | does not know, and never says that it is missing |
//! | B4 | hands out tokens that end soon, or says nothing about their end | asks for one token at a time, and goes on |
//! | B5 | redirects to other hosts | takes no credentials there, and no way from HTTPS to HTTP |
//! | B6 | names the place of an upload in every form that there is | keeps host, scheme and credentials together |
//! | B7 | names a realm that is not a public one | asks no address in a narrower class than the registry |
//! | B8 | asks for credentials in every form that there is | reads it |
//! | B9 | refuses or ignores mounts | uploads |
//! | B10 | splits lists of tags into pages in its own way | reads each tag once, and comes to an end |
//! | B11 | lists what are no tags | leaves it out, and counts it |
//! | B12 | answers HEAD and GET differently | tries the other one, or says what is missing |
//! | B13 | gets lengths and encodings wrong | believes the digest alone |
//! | B14 | gets digests and types wrong | computes, or refuses |
//! | B15 | has manifests of schema 1 | lists them, and copies none |
//! | B18 | lacks attestations that an index names | counts them neither as missing nor as a platform |
//! | B19 | forgot the children of an index | pushes them again, once |
//! | B20 | takes no index in an index | does not try again |
//! | B21 | has tags that stay as they are | compares digests, and says so |
//! | B22 | wants repositories created first | creates one where it may |
//! | B23 | has no referrers API, or half of one | takes the tag instead |
//! | B25 | limits uploads | sends in other pieces, with their length |
//! | B26 | falls silent | gives up after a stall, and holds up nobody else |
//! | B27 | lies below a path | asks below that path |
//!
//! B16 and B17 (foreign layers, unusual content) are what [`crate::content::Content`] holds. B24 (names in files of credentials)
//! and B28 (expiry of tokens of a cloud) are no answers of a registry.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use jiff::{Timestamp, ToSpan as _};

use super::behavior::{Challenge, DigestHeader, Immutable, Location, Mounts, Paging, Redirect, Referrers, Uploads};
use super::digest::sha256;
use super::{Answer, Area, Behavior, Change, Expiry, Fixed, MockRegistry, On, Rule, TokenForm, TokenServer};

/// The type of manifests of schema 1.
pub const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// What cases are played on.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The registry that a client asks.
    pub registry: &'a MockRegistry,
    /// Its token server.
    pub tokens: &'a TokenServer,
    /// Another host, to which the registry redirects.
    pub elsewhere: &'a MockRegistry,
}

impl Stage<'_> {
    fn rule(&self, on: On, answer: impl Into<Answer>) {
        self.registry.add(Rule::new(on, answer));
    }

    fn once(&self, answer: impl Into<Answer>) {
        self.registry.add(Rule::new(On::any(), answer).times(1));
    }

    fn behave(&self, change: impl FnOnce(&mut Behavior)) {
        self.registry.behave(change);
    }

    fn tokens(&self, change: impl FnOnce(&mut TokenForm)) {
        let mut form = TokenForm::default();
        change(&mut form);
        self.tokens.tokens().set_form(form);
    }
}

/// One variant of a case.
#[derive(Clone, Copy)]
pub struct Case {
    /// The number, such as `B10`.
    pub number: &'static str,
    /// What the registry does.
    pub name: &'static str,
    /// Makes it do so.
    pub play: fn(&Stage<'_>),
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.number, self.name)
    }
}

/// All variants of one case.
pub fn of(number: &str) -> Vec<Case> {
    all().into_iter().filter(|case| case.number == number).collect()
}

/// All variants of all cases.
pub fn all() -> Vec<Case> {
    [THROTTLED, CREDENTIALS, ELSEWHERE, LISTS, READS, WRITES].concat()
}

/// A row of a table below.
const fn case(number: &'static str, name: &'static str, play: fn(&Stage<'_>)) -> Case {
    Case { number, name, play }
}

fn too_many() -> Fixed {
    Fixed::error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "slow down")
}

fn retry_after(stage: &Stage<'_>, value: &str) {
    stage.once(too_many().header(header::RETRY_AFTER, value));
}

/// A date as HTTP has it, so many seconds from now.
fn date(seconds: i64) -> String {
    let at = Timestamp::now() + seconds.seconds();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn manifests(method: Method) -> On {
    On::area(Area::Manifest).method(method)
}

fn probes(stage: &Stage<'_>, status: StatusCode) {
    stage.rule(On::area(Area::Manifest), Fixed::status(status));
    stage.rule(On::area(Area::Blob), Fixed::status(status));
}

const THROTTLED: &[Case] = &[
    case("B1", "429 as JSON", |stage| stage.once(too_many())),
    case("B1", "429 without a body", |stage| stage.once(Fixed::status(StatusCode::TOO_MANY_REQUESTS))),
    case("B1", "429 as HTML", |stage| {
        stage.once(Fixed::status(StatusCode::TOO_MANY_REQUESTS).body("text/html", "<html>Too many requests</html>"));
    }),
    case("B1", "429 of the token server", |stage| stage.tokens.add(Rule::new(On::any(), too_many()).times(1))),
    case("B2", "seconds", |stage| retry_after(stage, "1")),
    case("B2", "a date", |stage| retry_after(stage, &date(2))),
    case("B2", "a date in the past", |stage| retry_after(stage, &date(-3600))),
    case("B2", "seconds since 1970", |stage| retry_after(stage, &(Timestamp::now().as_second() + 2).to_string())),
    case("B2", "a year", |stage| retry_after(stage, "31536000")),
    case("B2", "words", |stage| retry_after(stage, "soon")),
    case("B3", "429", |stage| probes(stage, StatusCode::TOO_MANY_REQUESTS)),
    case("B3", "401", |stage| probes(stage, StatusCode::UNAUTHORIZED)),
    case("B3", "403", |stage| probes(stage, StatusCode::FORBIDDEN)),
    case("B3", "500", |stage| probes(stage, StatusCode::INTERNAL_SERVER_ERROR)),
    case("B3", "503", |stage| probes(stage, StatusCode::SERVICE_UNAVAILABLE)),
    case("B3", "no answer", |stage| stage.rule(On::area(Area::Manifest), Answer::Hangup { after: 0 })),
    case("B26", "nothing comes", |stage| stage.rule(On::area(Area::Manifest), Answer::Silence)),
    case("B26", "a blob stops midway", |stage| stage.rule(On::area(Area::Blob), Change::StallAfter(4))),
    case("B26", "a blob is cut midway", |stage| stage.rule(On::area(Area::Blob), Change::CutAfter(4))),
];

const CREDENTIALS: &[Case] = &[
    case("B4", "tokens of two seconds", |stage| stage.tokens(|form| form.lifetime = Duration::from_secs(2))),
    case("B4", "access_token only", |stage| stage.tokens(|form| form.has_token = false)),
    case("B4", "no expires_in", |stage| stage.tokens(|form| form.expiry = Expiry::Absent)),
    case("B4", "expires_in is 0", |stage| stage.tokens(|form| form.expiry = Expiry::Zero)),
    case("B7", "a realm without TLS", |stage| {
        let realm = stage.tokens.realm().replacen("https:", "http:", 1);
        stage.behave(|behavior| behavior.realm = Some(realm.replacen("127.0.0.1", "realm.test", 1)));
    }),
    case("B7", "a realm at a link-local address", |stage| {
        stage.behave(|behavior| behavior.realm = Some("http://169.254.169.254/latest/token".to_owned()));
    }),
    case("B7", "a realm in a private network", |stage| {
        stage.behave(|behavior| behavior.realm = Some("https://10.0.0.1/token".to_owned()));
    }),
    case("B7", "a realm of its own", |stage| {
        let realm = format!("{}/token", stage.registry.url());
        stage.behave(|behavior| behavior.realm = Some(realm));
    }),
    case("B8", "lower case", |stage| stage.behave(|behavior| behavior.challenge = Challenge::LowerCase)),
    case("B8", "Basic and Bearer in one header", |stage| {
        stage.behave(|behavior| behavior.challenge = Challenge::BasicAndBearer);
    }),
    case("B8", "Basic and Bearer in two headers", |stage| {
        stage.behave(|behavior| behavior.challenge = Challenge::TwoHeaders);
    }),
    case("B8", "no service", |stage| stage.behave(|behavior| behavior.challenge = Challenge::NoService)),
    case("B8", "no scope", |stage| stage.behave(|behavior| behavior.challenge = Challenge::NoScope)),
    case("B8", "no challenge", |stage| stage.behave(|behavior| behavior.challenge = Challenge::Missing)),
];

fn redirect(stage: &Stage<'_>, to: String, hops: u32) {
    let redirect = Redirect { status: StatusCode::TEMPORARY_REDIRECT, to, hops };
    stage.behave(|behavior| behavior.redirect = Some(redirect));
}

fn location(stage: &Stage<'_>, location: Location) {
    stage.behave(|behavior| behavior.location = location);
}

const ELSEWHERE: &[Case] = &[
    case("B5", "a host that takes no credentials", |stage| {
        stage.elsewhere.behave(|behavior| behavior.refuses_authorization = true);
        redirect(stage, stage.elsewhere.url(), 0);
    }),
    case("B5", "ten hops", |stage| redirect(stage, stage.elsewhere.url(), 9)),
    case("B5", "more hops than a client follows", |stage| redirect(stage, stage.elsewhere.url(), 50)),
    case("B5", "a host without TLS", |stage| {
        redirect(stage, stage.elsewhere.url().replacen("https:", "http:", 1), 0);
    }),
    case("B5", "a link-local address", |stage| redirect(stage, "http://169.254.169.254".to_owned(), 0)),
    case("B6", "absolute", |stage| location(stage, Location::Absolute)),
    case("B6", "a query only", |stage| location(stage, Location::Query)),
    case("B6", "another scheme", |stage| location(stage, Location::PlainHttp)),
    case("B6", "the default port", |stage| location(stage, Location::DefaultPort)),
    case("B6", "another host", |stage| location(stage, Location::Elsewhere(stage.elsewhere.url()))),
    case("B6", "a link-local address", |stage| {
        location(stage, Location::Elsewhere("http://169.254.169.254".to_owned()));
    }),
    case("B6", "missing", |stage| location(stage, Location::Missing)),
    case("B27", "below a path", |stage| stage.behave(|behavior| "/harbor".clone_into(&mut behavior.base_path))),
];

fn paging(stage: &Stage<'_>, paging: Paging) {
    stage.behave(|behavior| {
        behavior.page_size = 2;
        behavior.paging = paging;
    });
}

/// A page of these tags.
fn page(stage: &Stage<'_>, tags: &str) {
    let body = format!(r#"{{"name":"any","tags":{tags}}}"#);
    stage.rule(On::area(Area::Tags), Fixed::status(StatusCode::OK).body("application/json", body));
}

const LISTS: &[Case] = &[
    case("B10", "small pages", |stage| paging(stage, Paging::Link)),
    case("B10", "a cursor", |stage| paging(stage, Paging::Cursor)),
    case("B10", "another path", |stage| paging(stage, Paging::ForeignPath("/v2/any/tags/list".to_owned()))),
    case("B10", "another host", |stage| paging(stage, Paging::ForeignHost(stage.elsewhere.url()))),
    case("B10", "no link", |stage| paging(stage, Paging::NoLink)),
    case("B10", "the same cursor again", |stage| paging(stage, Paging::SameCursor)),
    case("B10", "endless", |stage| paging(stage, Paging::Endless)),
    case("B11", "null", |stage| page(stage, "null")),
    case("B11", "digests among tags", |stage| page(stage, &format!(r#"["v1","{}"]"#, sha256(b"")))),
    case("B11", "a tag twice", |stage| page(stage, r#"["v1","v1"]"#)),
    case("B11", "a tag that is too long", |stage| page(stage, &format!(r#"["v1","{}"]"#, "x".repeat(129)))),
    case("B11", "an unknown name", |stage| {
        stage.rule(On::area(Area::Tags), Fixed::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "unknown name"));
    }),
    case("B23", "404", |stage| stage.behave(|behavior| behavior.referrers = Referrers::Unsupported)),
    case("B23", "500", |stage| {
        let failing = Referrers::Failing(StatusCode::INTERNAL_SERVER_ERROR);
        stage.behave(|behavior| behavior.referrers = failing);
    }),
    case("B23", "HTML", |stage| stage.behave(|behavior| behavior.referrers = Referrers::Html)),
    case("B23", "pages", |stage| stage.behave(|behavior| behavior.referrers = Referrers::Listed { page: 1 })),
];

fn content_type(stage: &Stage<'_>, value: &str) {
    stage.rule(On::area(Area::Manifest), Change::Header(header::CONTENT_TYPE, value.to_owned()));
}

fn encoding(stage: &Stage<'_>, value: &str) {
    let change = Change::Header(header::CONTENT_ENCODING, value.to_owned());
    stage.rule(On::area(Area::Blob).method(Method::GET), change.clone());
    stage.rule(manifests(Method::GET), change);
}

const READS: &[Case] = &[
    case("B12", "HEAD is 405", |stage| {
        stage.rule(manifests(Method::HEAD), Fixed::status(StatusCode::METHOD_NOT_ALLOWED));
    }),
    case("B12", "HEAD is 501", |stage| {
        stage.rule(manifests(Method::HEAD), Fixed::status(StatusCode::NOT_IMPLEMENTED));
    }),
    case("B12", "GET is 405", |stage| {
        stage.rule(manifests(Method::GET), Fixed::status(StatusCode::METHOD_NOT_ALLOWED));
    }),
    case("B12", "a tag is there, and its digest is not", |stage| {
        let unknown = Fixed::error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "unknown");
        stage.rule(manifests(Method::GET).containing("sha256:"), unknown);
    }),
    case("B13", "HEAD has another length", |stage| {
        stage.rule(manifests(Method::HEAD), Change::Header(header::CONTENT_LENGTH, "2".to_owned()));
    }),
    case("B13", "gzip, and it is not", |stage| encoding(stage, "gzip")),
    case("B13", "x-gzip, and it is not", |stage| encoding(stage, "x-gzip")),
    case("B14", "no digest", |stage| stage.behave(|behavior| behavior.digest_header = DigestHeader::Missing)),
    case("B14", "another digest", |stage| stage.behave(|behavior| behavior.digest_header = DigestHeader::Wrong)),
    case("B14", "another manifest", |stage| stage.rule(manifests(Method::GET), Change::Flip(1))),
    case("B14", "another blob", |stage| stage.rule(On::area(Area::Blob), Change::Flip(1))),
    case("B14", "a charset", |stage| content_type(stage, "application/vnd.oci.image.index.v1+json; charset=utf-8")),
    case("B14", "application/json", |stage| content_type(stage, "application/json")),
    case("B14", "another type", |stage| content_type(stage, "application/vnd.oci.image.manifest.v1+json")),
    case("B14", "a manifest without end", |stage| {
        let part = Bytes::from_static(&[b' '; 65536]);
        stage.rule(manifests(Method::GET), Change::Repeat { part, times: Some(16 * 1024) });
    }),
    case("B15", "schema 1", |stage| {
        let body = r#"{"schemaVersion":1,"name":"any","tag":"v1","fsLayers":[],"history":[],"signatures":[]}"#;
        let digest = HeaderName::from_static("docker-content-digest");
        let fixed = Fixed::status(StatusCode::OK).body(SCHEMA_1, body).header(digest, &sha256(body.as_bytes()));
        stage.rule(manifests(Method::GET), fixed.clone());
        stage.rule(manifests(Method::HEAD), fixed);
    }),
    case("B18", "attestations are not there", |stage| {
        for repository in stage.registry.store().repositories.values_mut() {
            let tagged: Vec<_> = repository.tags.values().cloned().collect();
            repository.manifests.retain(|digest, _| tagged.contains(digest));
        }
    }),
];

fn immutable(stage: &Stage<'_>, immutable: Immutable) {
    stage.behave(|behavior| behavior.immutable = Some(immutable));
}

fn uploads(stage: &Stage<'_>, uploads: Uploads) {
    stage.behave(|behavior| behavior.uploads = uploads);
}

const WRITES: &[Case] = &[
    case("B9", "a mount is 202", |stage| stage.behave(|behavior| behavior.mounts = Mounts::Ignored)),
    case("B9", "a mount is 401", |stage| {
        stage.behave(|behavior| behavior.mounts = Mounts::Refused(StatusCode::UNAUTHORIZED));
    }),
    case("B9", "a mount is 403", |stage| {
        stage.behave(|behavior| behavior.mounts = Mounts::Refused(StatusCode::FORBIDDEN));
    }),
    case("B9", "a token for one scope", |stage| stage.tokens(|form| form.first_scope_only = true)),
    case("B19", "children are forgotten", |stage| {
        let unknown = Fixed::error(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
        stage.registry.add(Rule::new(manifests(Method::PUT), unknown).times(1));
    }),
    case("B20", "no nested indexes", |stage| stage.behave(|behavior| behavior.refuses_nested = true)),
    case("B21", "ECR", |stage| immutable(stage, Immutable::Ecr)),
    case("B21", "Harbor", |stage| immutable(stage, Immutable::Harbor)),
    case("B21", "Quay", |stage| immutable(stage, Immutable::Quay)),
    case("B21", "Artifactory", |stage| immutable(stage, Immutable::Artifactory)),
    case("B22", "repositories are created first", |stage| stage.behave(|behavior| behavior.needs_repository = true)),
    case("B25", "413 after so many bytes", |stage| uploads(stage, Uploads { most: Some(8), ..Uploads::default() })),
    case("B25", "reset after so many bytes", |stage| uploads(stage, Uploads { reset: Some(8), ..Uploads::default() })),
    case("B25", "chunks overwrite", |stage| uploads(stage, Uploads { overwrites: true, ..Uploads::default() })),
    case("B25", "a least chunk", |stage| uploads(stage, Uploads { least: Some(1024), ..Uploads::default() })),
];
