//! The images that a Dockerfile starts from, for reports. Buildah alone decides what the file means. Pure.

use std::collections::{BTreeMap, BTreeSet};

use hypermirror_api::image_builder::BaseImage;

/// Images that are reported.
const MAX_IMAGES: usize = 32;
/// The longest name that is reported.
const MAX_NAME: usize = 512;

/// The images of all stages, in order, each once, without stages of the file itself.
pub fn base_images(source: &str) -> Vec<BaseImage> {
    let (mut arguments, mut stages) = (BTreeMap::new(), BTreeSet::new());
    let mut found: Vec<BaseImage> = Vec::new();
    let mut has_stage = false;
    for (keyword, rest) in instructions(source) {
        if keyword.eq_ignore_ascii_case("ARG") && !has_stage {
            // Only those before the first stage count in FROM.
            arguments.extend(rest.split_whitespace().filter_map(argument));
        }
        if !keyword.eq_ignore_ascii_case("FROM") {
            continue;
        }
        has_stage = true;
        let mut words = rest.split_whitespace().filter(|word| !word.starts_with("--"));
        let Some(image) = words.next() else { continue };
        let name = expanded(image, &arguments);
        if let (Some(word), Some(stage)) = (words.next(), words.next())
            && word.eq_ignore_ascii_case("AS")
        {
            stages.insert(stage.to_ascii_lowercase());
        }
        let is_stage = stages.contains(&name.to_ascii_lowercase());
        let is_usable = !name.is_empty() && name.len() <= MAX_NAME && name != "scratch";
        if is_usable && !is_stage && found.len() < MAX_IMAGES && !found.iter().any(|known| known.name == name) {
            found.push(BaseImage { pinned: name.contains("@sha256:") || name.contains("@sha512:"), name });
        }
    }
    found
}

/// Keyword and arguments of each instruction, with its continued lines, without comments and here-documents.
fn instructions(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let mut whole = line.trim().to_owned();
        if whole.is_empty() || whole.starts_with('#') {
            continue;
        }
        while let Some(start) = whole.strip_suffix('\\') {
            let start = start.to_owned();
            // Comments between continued lines do not end them.
            let next = lines.by_ref().map(str::trim).find(|line| !line.starts_with('#'));
            whole = format!("{start} {}", next.unwrap_or_default());
            if next.is_none() {
                break;
            }
        }
        for end in here_documents(&whole) {
            // A line of a script or query in it may begin with FROM.
            let _ = lines.by_ref().find(|line| line.trim_start_matches('\t') == end);
        }
        let (keyword, rest) = whole.split_once(char::is_whitespace).unwrap_or((&whole, ""));
        found.push((keyword.to_owned(), rest.to_owned()));
    }
    found
}

/// The words that end the here-documents of an instruction.
fn here_documents(line: &str) -> Vec<String> {
    let keyword = line.split_whitespace().next().unwrap_or_default();
    if !["RUN", "COPY", "ADD"].iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
        return Vec::new();
    }
    let words = line.split("<<").skip(1).filter_map(|rest| {
        let rest = rest.trim_start_matches('-').trim_start_matches(['"', '\'']);
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        rest.get(..end).filter(|word| !word.is_empty()).map(str::to_owned)
    });
    words.collect()
}

fn argument(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    Some((name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
}

/// With `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}` replaced. Each is looked at once: no value is expanded again.
fn expanded(text: &str, arguments: &BTreeMap<String, String>) -> String {
    let mut found = String::new();
    let mut rest = text.trim_matches(['"', '\'']);
    while let Some((before, after)) = rest.split_once('$') {
        found.push_str(before);
        let (value, left) = variable(after, arguments);
        found.push_str(&value);
        rest = left;
    }
    found + rest
}

/// The value of what follows a `$`, and what comes after it.
fn variable<'t>(text: &'t str, arguments: &BTreeMap<String, String>) -> (String, &'t str) {
    let known = |name: &str| arguments.get(name).filter(|value| !value.is_empty());
    if let Some((inner, left)) = text.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
        let (name, default, other) = match (inner.split_once(":-"), inner.split_once(":+")) {
            (Some((name, default)), _) => (name, default, None),
            (None, Some((name, other))) => (name, "", Some(other)),
            (None, None) => (inner, "", None),
        };
        let value = match (known(name), other) {
            (Some(_), Some(other)) => other,
            (Some(value), None) => value.as_str(),
            (None, _) => default,
        };
        return (value.to_owned(), left);
    }
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(text.len());
    let (name, left) = text.split_at(end);
    (known(name).cloned().unwrap_or_default(), left)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(source: &str) -> Vec<String> {
        base_images(source).into_iter().map(|image| image.name).collect()
    }

    #[test]
    fn the_images_of_all_stages_are_found_and_stages_are_none() {
        let source = "# syntax\nARG VERSION=22\nARG BASE=\"docker.io/library/node:${VERSION}\"\n\
            from --platform=$BUILDPLATFORM node:$VERSION AS build\nRUN x\nFROM scratch AS empty\n\
            FROM build AS second\nFROM quay.io/a/b@sha256:00\nFROM ${MISSING:-r.example/c:1}\nFROM node:22\n";
        assert_eq!(names(source), ["node:22", "quay.io/a/b@sha256:00", "r.example/c:1"]);
        assert_eq!(base_images(source).iter().map(|image| image.pinned).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn continued_lines_and_here_documents_are_read_as_one() {
        let source = "FROM \\\n# why\n  r.example/a:1 \\\n AS one\nRUN <<EOF\nFROM not.example/x\nEOF\n\
            COPY <<-'A' <<B /\nFROM not.example/y\n\tA\nFROM not.example/z\nB\nFROM one\nFROM r.example/b${X:+-x}\n";
        assert_eq!(names(source), ["r.example/a:1", "r.example/b"]);
        assert_eq!(names("ARG X=1\nFROM r.example/b${X:+-x}"), ["r.example/b-x"]);
    }

    #[test]
    fn a_seeds_dockerfile_has_one() {
        assert_eq!(names("FROM node:22\nRUN apt update -y && apt upgrade -y\n"), ["node:22"]);
    }

    #[test]
    fn hostile_text_has_a_bounded_result() {
        let many = (0..10_000).map(|number| format!("FROM a{number}\n")).collect::<Vec<_>>().concat();
        assert_eq!(names(&many).len(), MAX_IMAGES);
        assert!(names(&format!("FROM {}", "a".repeat(100_000))).is_empty());
        assert!(names(&"FROM \\\n".repeat(60_000)).len() <= 1);
        assert!(names("FROM ${A").len() <= 1 && names("FROM $").is_empty() && names("FROM").is_empty());
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(source in "(?s)(FROM|ARG|RUN| |\\\\|\n|\\$|\\{|\\}|<<|A|=|é|:-){0,60}") {
            prop_assert!(base_images(&source).len() <= MAX_IMAGES);
        }
    }
}
