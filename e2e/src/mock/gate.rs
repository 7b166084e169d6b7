//! Who is let in: Basic and Bearer.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};

use super::answer;
use super::behavior::{Behavior, Challenge};
use super::record::{basic, bearer};
use super::route::{Area, Route, query};
use super::token::{SERVICE, Tokens, Verdict};
use super::user::{Scope, User};

/// What credentials the registry wants.
#[derive(Clone, Debug, Default)]
pub(super) enum Auth {
    /// None.
    #[default]
    Open,
    /// User and password; a user without a name is everybody.
    Basic(Vec<User>),
    /// A token, from the realm.
    Bearer {
        tokens: Arc<Tokens>,
        /// Where tokens come from; the registry itself, if there is none.
        realm: Option<String>,
    },
}

/// What a request needs. A mount reads another repository, too.
fn needed(parts: &Parts, route: &Route) -> Vec<Scope> {
    let actions = route.actions(&parts.method);
    if actions.is_empty() || route.repository.is_empty() {
        return Vec::new();
    }
    let mut scopes = vec![Scope::new(&route.repository, actions)];
    if route.area == Area::Upload && parts.method == Method::POST && query(parts.uri.query(), "mount").is_some() {
        scopes.extend(query(parts.uri.query(), "from").map(|from| Scope::new(&from, &["pull"])));
    }
    scopes
}

/// Nothing, or the answer to who is not let in. `origin` is scheme, host and base path as the client reached them.
pub(super) fn check(
    auth: &Auth,
    parts: &Parts,
    route: &Route,
    behavior: &Behavior,
    origin: &str,
) -> Option<Response<Body>> {
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let needed = needed(parts, route);
    match auth {
        Auth::Open => None,
        Auth::Basic(users) => {
            let (name, password) = authorization.and_then(basic).unwrap_or_default();
            let Some(user) = users.iter().find(|user| user.name == name && user.password == password) else {
                return Some(challenged(vec!["Basic realm=\"mock\"".to_owned()]));
            };
            let may = |scope: &Scope| scope.clone().of(user) == *scope;
            (!needed.iter().all(may)).then(|| answer::error(StatusCode::FORBIDDEN, "DENIED", "no right to do this"))
        }
        Auth::Bearer { tokens, realm } => {
            let verdict = authorization.and_then(bearer).map(|token| tokens.judge(token, &needed));
            if verdict == Some(Verdict::Good) {
                return None;
            }
            let own = || format!("{origin}/token");
            let realm = behavior.realm.clone().or_else(|| realm.clone()).unwrap_or_else(own);
            Some(challenged(challenges(behavior.challenge, &realm, &needed, verdict)))
        }
    }
}

/// The values of `WWW-Authenticate`.
fn challenges(form: Challenge, realm: &str, needed: &[Scope], verdict: Option<Verdict>) -> Vec<String> {
    let mut parts = vec![("realm", realm.to_owned())];
    if form != Challenge::NoService {
        parts.push(("service", SERVICE.to_owned()));
    }
    if form != Challenge::NoScope && !needed.is_empty() {
        parts.push(("scope", Scope::print(needed)));
    }
    match verdict {
        Some(Verdict::Insufficient) => parts.push(("error", "insufficient_scope".to_owned())),
        Some(Verdict::Unknown) => parts.push(("error", "invalid_token".to_owned())),
        Some(Verdict::Good) | None => {}
    }
    let (scheme, comma) = if form == Challenge::LowerCase { ("bearer", ", ") } else { ("Bearer", ",") };
    let parts: Vec<String> = parts.into_iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let bearer = format!("{scheme} {}", parts.join(comma));
    let basic = "Basic realm=\"mock, or so\"";
    match form {
        Challenge::Missing => Vec::new(),
        Challenge::BasicAndBearer => vec![format!("{basic}, {bearer}")],
        Challenge::TwoHeaders => vec![basic.to_owned(), bearer],
        _ => vec![bearer],
    }
}

fn challenged(challenges: Vec<String>) -> Response<Body> {
    let mut response = answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
    for challenge in challenges {
        if let Ok(value) = HeaderValue::from_str(&challenge) {
            response.headers_mut().append(header::WWW_AUTHENTICATE, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_come_in_the_forms_that_registries_send() {
        let needed = [Scope::new("a", &["pull", "push"])];
        let form = |form| challenges(form, "http://t/token", &needed, None);
        let all = "realm=\"http://t/token\",service=\"mock-registry\",scope=\"repository:a:pull,push\"";
        assert_eq!(form(Challenge::Standard), [format!("Bearer {all}")]);
        assert_eq!(form(Challenge::LowerCase), [format!("bearer {}", all.replace("\",", "\", "))]);
        assert_eq!(form(Challenge::BasicAndBearer), [format!("Basic realm=\"mock, or so\", Bearer {all}")]);
        assert_eq!(form(Challenge::TwoHeaders).len(), 2);
        assert!(form(Challenge::Missing).is_empty());
        let refused = challenges(Challenge::NoScope, "r", &needed, Some(Verdict::Insufficient));
        assert_eq!(refused, ["Bearer realm=\"r\",service=\"mock-registry\",error=\"insufficient_scope\""]);
    }
}
