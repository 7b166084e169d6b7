//! `Link` headers: the next page of a list (RFC 8288).

/// Longer cursors are refused: a registry could otherwise make requests grow without end.
const MAX_QUERY_BYTES: usize = 8 * 1024;

/// The query of the first link with the relation `next`.
///
/// Only the query: registries behind proxies, Artifactory and Nexus send a path or a host that is theirs and not the one
/// that was asked. A `next` without a query is no page.
pub fn next_query<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<String> {
    values.into_iter().find_map(next_in)
}

fn next_in(value: &str) -> Option<String> {
    let mut rest = value;
    loop {
        let start = rest.find('<')?;
        let end = start + rest[start..].find('>')?;
        let target = &rest[start + 1..end];
        let (parameters, after) = split_parameters(&rest[end + 1..]);
        if is_next(parameters) {
            return query(target);
        }
        rest = after;
    }
}

/// The parameters of one link, and what follows the comma that ends them; commas in quotes end nothing.
fn split_parameters(text: &str) -> (&str, &str) {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (place, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => return (&text[..place], &text[place + 1..]),
            _ => {}
        }
    }
    (text, "")
}

fn is_next(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        let Some((name, value)) = parameter.split_once('=') else { return false };
        name.trim().eq_ignore_ascii_case("rel")
            && value
                .trim()
                .trim_matches('"')
                .split_ascii_whitespace()
                .any(|relation| relation.eq_ignore_ascii_case("next"))
    })
}

fn query(target: &str) -> Option<String> {
    let (_, query) = target.trim().split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let is_printable = query.bytes().all(|byte| byte.is_ascii_graphic());
    (!query.is_empty() && query.len() <= MAX_QUERY_BYTES && is_printable).then(|| query.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b10_only_the_query_of_the_next_link_is_taken() {
        let cases = [
            ("</v2/r/r/tags/list?last=10000&n=10000>; rel=\"next\"", Some("last=10000&n=10000")),
            ("<https://other.example/foreign/path?last=a>; rel=next", Some("last=a")),
            ("<?token=a%2Cb,c>;REL=\"prev NEXT\"", Some("token=a%2Cb,c")),
            ("<?n=1>; rel=\"first\", <?n=2>; title=\"a, b; rel=x\"; rel=\"next\"", Some("n=2")),
            ("<?n=1#part>; rel=next", Some("n=1")),
            ("<?n=1>", None),
            ("<?n=1>; rel=\"last\"", None),
            ("</v2/>; rel=next", None),
            ("<?>; rel=next", None),
            ("<?a b>; rel=next", None),
            ("?n=1; rel=next", None),
            ("<?n=1; rel=next", None),
            ("", None),
        ];
        for (header, expected) in cases {
            assert_eq!(next_query([header]).as_deref(), expected, "{header}");
        }
        assert_eq!(next_query(["<?n=1>; rel=prev", "<?n=2>; rel=next"]).as_deref(), Some("n=2"));
    }

    #[test]
    fn a_cursor_that_grows_without_end_is_refused() {
        assert_eq!(next_query([format!("<?{}>; rel=next", "x".repeat(MAX_QUERY_BYTES + 1)).as_str()]), None);
    }
}
