//! The figures as text: a row for each measurement, a column for each size.

use crate::size::{Beginning, Size};

/// The table.
pub fn of(sizes: &[Size]) -> String {
    let begin = |what: &str, of: fn(&Size) -> &Beginning| {
        let at = |value: fn(&Beginning) -> String| move |size: &Size| value(of(size));
        [
            row(sizes, &format!("{what}: ready, s"), at(|begin| format!("{:.1}", begin.ready))),
            row(sizes, &format!("{what}: idle, s"), at(|begin| format!("{:.1}", begin.idle))),
            row(sizes, &format!("{what}: processor time, s"), at(|begin| format!("{:.1}", begin.cpu))),
            row(sizes, &format!("{what}: Deployments read singly"), at(|begin| begin.gets.to_string())),
            row(sizes, &format!("{what}: pages of Deployments"), at(|begin| begin.pages.to_string())),
            row(sizes, &format!("{what}: writes"), at(|begin| begin.writes.to_string())),
            row(sizes, &format!("{what}: memory, MB"), at(|begin| format!("{:.0}", begin.memory))),
        ]
    };
    let mut rows = vec![
        row(sizes, "hosted clusters", |size| size.clusters.to_string()),
        row(sizes, "new ones", |size| size.new.to_string()),
        row(sizes, "reports created for them", |size| size.created.to_string()),
        row(sizes, "reports written for them", |size| size.reported.to_string()),
    ];
    rows.extend(begin("first start", |size| &size.first));
    rows.extend([
        row(sizes, "edit to last patch, s", |size| format!("{:.1}", size.edit)),
        row(sizes, "edit: processor time, s", |size| format!("{:.1}", size.edit_cpu)),
        row(sizes, "edit: Deployments, reports written", |size| format!("{}, {}", size.patched, size.reported_again)),
        row(sizes, "bare client, s", |size| format!("{:.1}", size.bare)),
        row(sizes, "ratio of time", |size| format!("{:.2}", size.edit / size.bare)),
        row(sizes, "ratio of processor time, all", |size| format!("{:.2}", size.work)),
        row(sizes, "memory after the first edit, MB", |size| megabytes(size.memory.first())),
        row(sizes, "memory after half of the edits, MB", |size| megabytes(size.memory.get(size.memory.len() / 2))),
        row(sizes, "memory after the last edit, MB", |size| megabytes(size.memory.last())),
        row(sizes, "memory, at most, MB", |size| megabytes(Some(&size.peak))),
    ]);
    rows.extend(begin("restart", |size| &size.start));
    rows.extend(begin("takeover", |size| &size.takeover));
    rows.join("\n")
}

fn row(sizes: &[Size], name: &str, value: impl Fn(&Size) -> String) -> String {
    let values: Vec<String> = sizes.iter().map(|size| format!("{:>15}", value(size))).collect();
    format!("{name:<38}{}", values.concat())
}

fn megabytes(value: Option<&f64>) -> String {
    value.map(|value| format!("{value:.0}")).unwrap_or_default()
}
