//! Redacts pages of the dashboard: every text and every attribute passes the rules of free texts, wherever it comes from.

use std::fmt::Write as _;

use super::{Redactor, text};

/// Elements that are kept. Scripts, forms and frames are none of them: pages in files have none.
const ELEMENTS: [&str; 39] = [
    "a", "body", "caption", "code", "dd", "details", "div", "dl", "dt", "footer", "h1", "h2", "h3", "head", "header",
    "html", "li", "link", "main", "meta", "nav", "ol", "p", "pre", "section", "span", "strong", "summary", "table",
    "tbody", "td", "tfoot", "th", "thead", "time", "title", "tr", "ul", "wbr",
];
/// Attributes whose values are words, identifiers or texts.
const ATTRIBUTES: [&str; 18] = [
    "aria-current",
    "aria-label",
    "aria-labelledby",
    "aria-sort",
    "charset",
    "class",
    "content",
    "data-label",
    "datetime",
    "id",
    "lang",
    "name",
    "rel",
    "role",
    "scope",
    "tabindex",
    "title",
    "type",
];
const DOCTYPE: &str = "!DOCTYPE html";
const LINK: &str = "href";
/// What maud escapes, with what it writes instead; `&` first, so that escaping does not escape itself.
const ESCAPES: [(&str, &str); 4] = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;")];

impl Redactor {
    /// A page without secrets. `is_file` is whether the bundle has the file that a link leads to, seen from the first page; other
    /// links become texts.
    ///
    /// Pages are written by maud, which escapes texts and attributes: each `<` begins a tag, and each `>` ends one.
    pub fn page(&self, html: &str, is_file: &dyn Fn(&str) -> bool) -> String {
        let mut kept = String::with_capacity(html.len());
        let mut rest = html;
        while let Some((text, after)) = rest.split_once('<') {
            kept.push_str(&self.escaped(text));
            let Some((tag, after)) = after.split_once('>') else { return kept };
            kept.push_str(&self.tag(tag, is_file).unwrap_or_default());
            rest = after;
        }
        kept.push_str(&self.escaped(rest));
        kept
    }

    fn escaped(&self, text: &str) -> String {
        escape(&self.text(&unescape(text)))
    }

    fn tag(&self, tag: &str, is_file: &dyn Fn(&str) -> bool) -> Option<String> {
        if tag == DOCTYPE {
            return Some(format!("<{tag}>"));
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if !ELEMENTS.contains(&name.trim_start_matches('/')) {
            return None;
        }
        let mut kept = format!("<{name}");
        for (name, value) in Attributes(attributes) {
            let value = match name {
                LINK => Some(value.to_owned()).filter(|link| is_link(link, is_file)),
                name if ATTRIBUTES.contains(&name) => Some(self.value(value)),
                _ => None,
            };
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _ = write!(kept, " {name}=\"{value}\"");
            }
        }
        Some(kept + ">")
    }

    fn value(&self, value: &str) -> String {
        if is_identifier(value) { value.to_owned() } else { self.escaped(value) }
    }
}

/// An identifier of the page itself, such as `control-plane-heading`.
fn is_identifier(text: &str) -> bool {
    text.split('-').all(|part| !part.is_empty() && text::is_word(part))
}

fn is_link(link: &str, is_file: &dyn Fn(&str) -> bool) -> bool {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let has_anchor = anchor.is_empty() || is_identifier(anchor);
    has_anchor && (is_file(path.trim_start_matches("../")) || (path.is_empty() && !anchor.is_empty()))
}

/// The attributes of a tag, `name="value"` or `name`.
struct Attributes<'a>(&'a str);

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0.trim_start();
        let end = text.find(['=', ' ']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if name.is_empty() {
            return None;
        }
        let quoted = rest.strip_prefix("=\"").and_then(|rest| rest.split_once('"'));
        let (value, rest) = quoted.unwrap_or(("", rest.trim_start_matches('=')));
        self.0 = rest;
        Some((name, value))
    }
}

fn escape(text: &str) -> String {
    ESCAPES.into_iter().fold(text.to_owned(), |text, (letter, escaped)| text.replace(letter, escaped))
}

fn unescape(text: &str) -> String {
    ESCAPES.into_iter().rev().fold(text.to_owned(), |text, (letter, escaped)| text.replace(escaped, letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(html: &str) -> String {
        let mut redactor = Redactor::default();
        redactor.learn_text("clusters/west");
        redactor.page(html, &|file| file == "clusters/clusters/west.html")
    }

    #[test]
    fn what_pages_say_of_known_objects_stays() {
        for html in [
            "<!DOCTYPE html><html lang=\"en\"><h1>clusters/west</h1></html>",
            "<section id=\"control-plane\" aria-labelledby=\"control-plane-heading\"></section>",
            "<a href=\"../../clusters/clusters/west.html#coverage\"><span class=\"namespace\">clusters/</span>west</a>",
            "<time datetime=\"2026-01-01T00:00:00Z\" title=\"2026-01-01T00:00:00Z\">3d ago</time>",
            "<p>failed to apply &lt;none&gt; to &quot;west&quot;</p>",
            "<a href=\"#main\">Skip to the content</a>",
        ] {
            assert_eq!(page(html), html);
        }
    }

    #[test]
    fn no_text_no_attribute_and_no_link_has_a_password() {
        for (html, expected) in [
            ("<p>failed: Kan4ry!</p>", "<p>failed: [dropped]</p>"),
            ("<p title=\"Kan4ry\" data-Kan4ry=\"x\" onclick=\"Kan4ry\">a</p>", "<p title=\"[dropped]\">a</p>"),
            ("<a href=\"https://u:Kan4ry@m.example\">a</a>", "<a>a</a>"),
            ("<a href=\"clusters/clusters/Kan4ry.html\">a</a>", "<a>a</a>"),
            ("<a href=\"#Kan4ry\" class=\"Kan4ry\">a</a>", "<a class=\"[dropped]\">a</a>"),
            ("<Kan4ry>a</Kan4ry><script src=\"x\">", "a"),
            ("<p>&lt;b&gt;Kan4ry&lt;/b&gt;</p>", "<p>[dropped]</p>"),
            ("a <p class=\"Kan4ry", "a "),
        ] {
            assert_eq!(page(html), expected);
        }
    }

    #[test]
    fn what_was_escaped_stays_escaped() {
        let text = "<a & \"b\"> &lt; &amp;quot;";
        assert_eq!(unescape(&escape(text)), text);
        assert_eq!(page("<p>&lt;west&gt;&quot;</p>"), "<p>&lt;west&gt;&quot;</p>");
    }
}
