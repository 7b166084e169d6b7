//! What an address asks for. Pure.

use url::form_urlencoded::{self, Serializer};

/// No filter and no image is as long.
const MAX_CHARACTERS: usize = 512;

/// The query of an address. Unknown names have no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// A text that rows contain.
    pub text: String,
    /// A state that rows have; empty: any.
    pub state: String,
    /// The column that rows are sorted by; empty: the most urgent first.
    pub sort: String,
    /// Whether they are sorted the other way round.
    pub is_reversed: bool,
    /// Which of many pages of rows, from 1; 0 is the first, too.
    pub page: usize,
    /// An image.
    pub image: String,
    /// A hosted cluster, `namespace/name`.
    pub cluster: String,
    /// The digest of what the browser shows already.
    pub seen: String,
}

impl Query {
    /// Reads the query of an address.
    pub fn parse(text: &str) -> Self {
        let mut query = Self { page: 1, ..Self::default() };
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let value: String = value.trim().chars().take(MAX_CHARACTERS).collect();
            match &*name {
                "q" => query.text = value,
                "state" => query.state = value,
                "sort" => query.sort = value,
                "order" => query.is_reversed = value == "reverse",
                "page" => query.page = value.parse().unwrap_or(1).max(1),
                "image" => query.image = value,
                "cluster" => query.cluster = value,
                "seen" => query.seen = value,
                _ => {}
            }
        }
        query
    }

    /// The same as an address below a path, without what the browser shows.
    pub fn address(&self, path: &str) -> String {
        let mut query = Serializer::new(String::new());
        let page = self.page.to_string();
        let pairs = [
            ("q", self.text.as_str()),
            ("state", &self.state),
            ("sort", &self.sort),
            ("order", if self.is_reversed { "reverse" } else { "" }),
            ("page", if self.page > 1 { &page } else { "" }),
            ("image", &self.image),
            ("cluster", &self.cluster),
        ];
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_query_that_it_was_made_from() {
        let query = Query {
            text: "<b>&\" é".into(),
            state: "not-ready".into(),
            sort: "name".into(),
            is_reversed: true,
            page: 3,
            image: "a/b:v1".into(),
            cluster: "clusters/west".into(),
            seen: String::new(),
        };
        let address = query.address("/x");
        assert_eq!(Query::parse(address.strip_prefix("/x?").unwrap()), query);
        assert_eq!(Query::parse("").address("/"), "/");
    }

    #[test]
    fn what_is_too_long_or_no_number_is_cut_or_the_default() {
        let query = Query::parse(&format!("q={}&page=-1&nothing=x", "a".repeat(2_000)));
        assert_eq!((query.text.len(), query.page), (MAX_CHARACTERS, 1));
    }
}
