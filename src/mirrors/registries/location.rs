//! Locations of registries and mirrors.

use super::FileError;

/// `parseLocation`: removes trailing slashes and rejects the schemes http and https (upstream accepts others, too).
pub(super) fn parse_location(input: &str) -> Result<String, FileError> {
    let trimmed = input.trim_end_matches('/');
    if trimmed.starts_with("http://") || trimmed.starts_with("https://") {
        return Err(FileError::Scheme(input.to_owned()));
    }
    Ok(trimmed.to_owned())
}

/// The location without trailing slashes, or the error that makes a mirror invalid.
pub(super) fn check_location(input: &str) -> Result<String, FileError> {
    match parse_location(input)? {
        location if location.is_empty() => Err(FileError::NoMirrorLocation),
        location => Ok(location),
    }
}
