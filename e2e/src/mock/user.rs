//! Who may do what.

use std::fmt::Write as _;

/// A user of a registry or token server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct User {
    pub(super) name: String,
    pub(super) password: String,
    rights: Vec<(String, Vec<String>)>,
}

impl User {
    /// One that may do everything.
    pub fn new(name: &str, password: &str) -> Self {
        Self { name: name.to_owned(), password: password.to_owned(), rights: Vec::new() }
    }

    /// What a client without credentials may do, once `only` says so.
    pub fn anonymous() -> Self {
        Self::new("", "")
    }

    /// One that may do only this, and what further calls add: `pull`, `push`, `delete` in repositories that begin with
    /// `prefix`.
    pub fn only(mut self, prefix: &str, actions: &[&str]) -> Self {
        self.rights.push((prefix.to_owned(), actions.iter().map(|action| (*action).to_owned()).collect()));
        self
    }

    pub(super) fn may(&self, repository: &str, action: &str) -> bool {
        let allows = |(prefix, actions): &(String, Vec<String>)| {
            repository.starts_with(prefix.as_str()) && actions.iter().any(|allowed| allowed == action)
        };
        (self.rights.is_empty() && !self.name.is_empty()) || self.rights.iter().any(allows)
    }
}

/// What a token is for: actions on one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The name of the repository.
    pub repository: String,
    /// Such as `pull` and `push`.
    pub actions: Vec<String>,
}

impl Scope {
    pub(super) fn new(repository: &str, actions: &[&str]) -> Self {
        Self { repository: repository.to_owned(), actions: actions.iter().map(|action| (*action).to_owned()).collect() }
    }

    /// Reads `repository:NAME:ACTION,ACTION`. Scopes of another kind are none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (repository, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
        Some(Self::new(repository, &actions.split(',').collect::<Vec<_>>()))
    }

    /// What is left of it for a user.
    pub(super) fn of(mut self, user: &User) -> Self {
        self.actions.retain(|action| user.may(&self.repository, action));
        self
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        self.repository == other.repository && other.actions.iter().all(|action| self.actions.contains(action))
    }

    /// Several as they stand in a challenge.
    pub(super) fn print(scopes: &[Self]) -> String {
        let mut text = String::new();
        for (index, scope) in scopes.iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            _ = write!(text, "{blank}repository:{}:{}", scope.repository, scope.actions.join(","));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_all_rights_or_those_that_are_named() {
        assert!(User::new("a", "b").may("x", "push"));
        assert!(!User::anonymous().may("x", "pull"));
        let reader = User::new("a", "b").only("team/", &["pull"]);
        assert!(reader.may("team/x", "pull") && !reader.may("team/x", "push") && !reader.may("other/x", "pull"));
    }

    #[test]
    fn scopes_are_read_and_printed() {
        let scope = Scope::parse("repository:a/b:pull,push").unwrap();
        assert_eq!(scope, Scope::new("a/b", &["pull", "push"]));
        assert!(scope.covers(&Scope::new("a/b", &["pull"])) && !scope.covers(&Scope::new("a/c", &["pull"])));
        assert_eq!(
            Scope::print(&[scope.clone(), Scope::new("c", &["pull"])]),
            "repository:a/b:pull,push repository:c:pull"
        );
        assert_eq!(Scope::parse("registry:catalog:*"), None);
        assert!(scope.of(&User::anonymous().only("a/", &["pull"])).actions == ["pull"]);
    }
}
