//! Lists of images that somebody needs: `--images FILE`, and `mapping.txt` of oc-mirror. Pure.

use super::super::wire::error_body::shown;
use crate::mirrors::ImageReference;

/// More are no list that somebody wrote.
const MAX_IMAGES: usize = 100_000;

/// A line that names no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct LineError {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// The images of a list: one for each line, with or without `docker://`; after `#` follows a comment. Of `SOURCE=MIRROR`, as
/// oc-mirror writes it, the source counts: where the mirror is, the mirror objects say.
///
/// # Errors
/// Every line that names no image: a need that is left out would count as proven.
pub fn parse(text: &str) -> Result<Vec<ImageReference>, Vec<LineError>> {
    let mut images = Vec::new();
    let mut errors = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        match image(line) {
            Ok(image) => images.push(image),
            Err(message) => errors.push(LineError { line: number + 1, message }),
        }
    }
    if images.len() > MAX_IMAGES {
        errors.push(LineError { line: MAX_IMAGES, message: format!("more than {MAX_IMAGES} images") });
    }
    if errors.is_empty() { Ok(images) } else { Err(errors) }
}

fn image(line: &str) -> Result<ImageReference, String> {
    let source = line.split('=').next().unwrap_or_default().trim();
    let name = source.strip_prefix("docker://").unwrap_or(source);
    if let Some((transport, _)) = name.split_once("://") {
        return Err(format!("{} is not in a registry", shown(transport).unwrap_or_default()));
    }
    ImageReference::parse(name).map_err(|error| shown(&error.to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_people_and_of_oc_mirror_are_read() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let text = format!(
            "# release\nquay.io/a:v1  # why\n\n docker://quay.io/b@{digest}\r\n\
             quay.io/c@{digest}=mirror.corp/c:abc\nnginx\n"
        );
        let names: Vec<String> = parse(&text).unwrap().iter().map(ToString::to_string).collect();
        let digest_of = |name: &str| format!("quay.io/{name}@{digest}");
        assert_eq!(
            names,
            ["quay.io/a:v1".to_owned(), digest_of("b"), digest_of("c"), "docker.io/library/nginx".to_owned()]
        );
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn each_line_that_names_no_image_is_told() {
        let errors = parse("quay.io/a\nquay.io/A\noci:///tmp/x\nb c\u{1b}[2J\n=x").unwrap_err();
        assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert!(errors[1].to_string().contains("line 3: oci is not in a registry"), "{errors:?}");
        assert!(errors.iter().all(|error| !error.to_string().contains('\u{1b}')));
        assert!(parse(&"nginx\n".repeat(MAX_IMAGES + 1)).is_err());
    }
}
