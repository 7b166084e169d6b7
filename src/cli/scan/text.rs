//! Tags as columns.

use super::super::console::{ERROR, HEADING, styled};
use super::super::table::{self, Cell};
use crate::registry::scan::inventory::{Inventory, PlatformImage, ScanError, ScannedTag};
use crate::registry::wire::digest::Digest;
use crate::registry::wire::media_type::ManifestType;

/// Enough hexadecimal digits to tell digests apart; `-o json` has all.
const DIGITS: usize = 12;
const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// The tags, then totals.
pub fn print(inventory: &Inventory, has_platforms: bool, has_created: bool) -> String {
    let mut text = String::new();
    if !inventory.tags.is_empty() {
        text = if has_platforms { platforms(inventory) } else { tags(inventory, has_created) };
        text.push('\n');
    }
    text + &totals(inventory)
}

fn tags(inventory: &Inventory, has_created: bool) -> String {
    let row = |tag: &ScannedTag| {
        let names: Vec<&str> = tag.content.platforms.iter().filter_map(|image| image.platform.as_deref()).collect();
        let what = match &tag.content.error {
            Some(error) => failure(error),
            None => Cell::from(if names.is_empty() { kind(tag) } else { names.join(", ") }),
        };
        (Cell::from(tag.tag.as_str()), digest(tag.digest.as_ref()), size(tag.content.size), what)
    };
    if has_created {
        let rows: Vec<[Cell; 5]> = inventory
            .tags
            .iter()
            .map(|tag| {
                let (name, digest, size, what) = row(tag);
                [
                    name,
                    digest,
                    size,
                    Cell::from(tag.content.created.map(|time| time.to_string()).unwrap_or_default()),
                    what,
                ]
            })
            .collect();
        return table::print(["TAG", "DIGEST", "SIZE", "CREATED", "PLATFORMS"], &rows);
    }
    let rows: Vec<[Cell; 4]> = inventory.tags.iter().map(|tag| row(tag).into()).collect();
    table::print(["TAG", "DIGEST", "SIZE", "PLATFORMS"], &rows)
}

fn platforms(inventory: &Inventory) -> String {
    let image = |tag: &ScannedTag, image: &PlatformImage| {
        let what = match &image.error {
            Some(error) => failure(error),
            None => Cell::from(image.platform.clone().unwrap_or_else(|| kind(tag))),
        };
        [Cell::from(tag.tag.as_str()), what, digest(Some(&image.digest)), size(image.size)]
    };
    let rows = |tag: &ScannedTag| -> Vec<[Cell; 4]> {
        if tag.content.platforms.is_empty() {
            let what = tag.content.error.as_ref().map_or_else(|| Cell::from(kind(tag)), failure);
            return vec![[Cell::from(tag.tag.as_str()), what, digest(tag.digest.as_ref()), size(tag.content.size)]];
        }
        tag.content.platforms.iter().map(|found| image(tag, found)).collect()
    };
    let rows: Vec<[Cell; 4]> = inventory.tags.iter().flat_map(rows).collect();
    table::print(["TAG", "PLATFORM", "DIGEST", "SIZE"], &rows)
}

/// The type of content, if no platform shows it.
fn kind(tag: &ScannedTag) -> String {
    if let Some(artifact_type) = &tag.content.artifact_type {
        return artifact_type.clone();
    }
    let media_type = tag.content.media_type.unwrap_or_default();
    let name = match ManifestType::named(media_type) {
        Some(ManifestType::OciImage | ManifestType::DockerImage) => "image",
        Some(ManifestType::OciIndex | ManifestType::DockerList) => "index",
        Some(ManifestType::OciArtifact) => "artifact",
        Some(ManifestType::Schema1) => "image of schema 1",
        None => media_type,
    };
    name.to_owned()
}

fn failure(error: &ScanError) -> Cell {
    Cell::styled(error.reason.as_str(), ERROR)
}

fn digest(digest: Option<&Digest>) -> Cell {
    let digest = digest.map(Digest::to_string).unwrap_or_default();
    let end = digest.find(':').map_or(0, |colon| colon + 1 + DIGITS).min(digest.len());
    Cell::from(&digest[..end])
}

fn size(bytes: Option<u64>) -> Cell {
    Cell::from(bytes.map(amount).unwrap_or_default())
}

/// Bytes in the largest unit of which there is one, with one decimal.
fn amount(bytes: u64) -> String {
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1_024;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]) }
}

fn totals(inventory: &Inventory) -> String {
    let excluded = match inventory.excluded {
        0 => String::new(),
        excluded => format!(", {excluded} excluded"),
    };
    let skipped = match inventory.skipped {
        0 => String::new(),
        skipped => format!(", {skipped} entries that are no tags"),
    };
    let name = styled(HEADING, &inventory.repository);
    let shown = inventory.tags.len();
    format!(
        "{name}: {shown} of {} tags, {} in total{excluded}{skipped}\n",
        inventory.tag_count,
        amount(inventory.unique_bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_in_the_largest_unit_that_fits() {
        let cases = [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (1 << 20, "1.0 MiB"),
            (5 << 40, "5.0 TiB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(amount(bytes), expected);
        }
        assert_eq!(amount(u64::MAX), "16777215.9 TiB");
    }
}
