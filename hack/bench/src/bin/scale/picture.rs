//! The figures as growth curves, in SVG. Both axes are logarithmic: what grows with the fleet is a line of this slope.

use std::fmt::Write as _;

use crate::size::Size;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 300.0;
/// The space for the title and the labels of the axes.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 44.0;

/// Colours that are told apart on white and on black, also by most people who do not see all of them. No variables: some programs
/// that draw SVG do not know them.
const STYLE: &str = ".back{fill:#fff}text{fill:#1f2328}.grid{stroke:#d8dee4}.title{font-weight:bold;font-size:14px}\
.line{fill:none;stroke-width:2}.s1{stroke-dasharray:7 3}.s2{stroke-dasharray:2 3}\
.s0{stroke:#0550ae}.s1{stroke:#bc4c00}.s2{stroke:#6e7781}.d0{fill:#0550ae}.d1{fill:#bc4c00}.d2{fill:#6e7781}\
@media(prefers-color-scheme:dark){.back{fill:#0d1117}text{fill:#e6edf3}.grid{stroke:#30363d}\
.s0{stroke:#79c0ff}.s1{stroke:#ffa657}.s2{stroke:#b1bac4}.d0{fill:#79c0ff}.d1{fill:#ffa657}.d2{fill:#b1bac4}}";

/// One curve: its name, and its value at a size.
type Curve = (&'static str, fn(&Size) -> f64);

/// One chart: its title, and its curves.
type Chart = (&'static str, [Curve; 3]);

const CHARTS: [Chart; 4] = [
    (
        "One edit, seconds",
        [
            ("until the last patch", |size| size.edit),
            ("bare client, same patches", |size| size.bare),
            ("processor time of the manager", |size| size.edit_cpu),
        ],
    ),
    (
        "Memory of the manager, MB",
        [
            ("after the last edit", |size| size.memory.last().copied().unwrap_or_default()),
            ("at most", |size| size.peak),
            ("after a restart", |size| size.start.memory),
        ],
    ),
    (
        "Restart without a change, seconds",
        [
            ("ready", |size| size.start.ready),
            ("idle", |size| size.start.idle),
            ("processor time", |size| size.start.cpu),
        ],
    ),
    (
        "Takeover without a change, seconds",
        [
            ("leads", |size| size.takeover.ready),
            ("idle", |size| size.takeover.idle),
            ("processor time", |size| size.takeover.cpu),
        ],
    ),
];

/// The picture.
pub fn of(sizes: &[Size]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>Growth with the number of hosted clusters</title>\n\
         <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" class=\"back\"/>\n",
        w = WIDTH * 2.0,
        h = HEIGHT * 2.0
    );
    for (place, chart) in CHARTS.iter().enumerate() {
        let (x, y) = (if place % 2 == 0 { 0.0 } else { WIDTH }, if place < 2 { 0.0 } else { HEIGHT });
        let _ = writeln!(svg, "<g transform=\"translate({x},{y})\">{}</g>", drawn(chart, sizes));
    }
    svg + "</svg>\n"
}

/// The powers of ten around all values.
fn decades(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().fold(f64::MAX, f64::min).log10().floor();
    (low, values.fold(f64::MIN, f64::max).log10().ceil().max(low + 1.0))
}

fn drawn((title, curves): &Chart, sizes: &[Size]) -> String {
    // A logarithmic axis has no zero.
    let value = |curve: &Curve, size: &Size| curve.1(size).max(0.01);
    let (left, right) = decades(sizes.iter().map(|size| number(size.clusters)));
    let (low, high) = decades(curves.iter().flat_map(|curve| sizes.iter().map(move |size| value(curve, size))));
    let x = |at: f64| LEFT + (at - left) / (right - left) * (WIDTH - LEFT - RIGHT);
    let y = |at: f64| HEIGHT - BOTTOM - (at - low) / (high - low) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!("<text x=\"{LEFT}\" y=\"22\" class=\"title\">{title}</text>\n");
    for at in steps(low, high) {
        let (line, label) = (y(at), label(at));
        let (from, to, text, base) = (LEFT, WIDTH - RIGHT, LEFT - 6.0, line + 4.0);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{from} {line:.1}H{to}\"/>");
        let _ = writeln!(svg, "<text x=\"{text}\" y=\"{base:.1}\" text-anchor=\"end\">{label}</text>");
    }
    for size in sizes {
        let (at, base, clusters) = (x(number(size.clusters).log10()), HEIGHT - BOTTOM + 18.0, size.clusters);
        let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{base}\" text-anchor=\"middle\">{clusters}</text>");
    }
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">hosted clusters</text>", HEIGHT - 8.0);
    let mut base = 40.0;
    for (place, curve) in curves.iter().enumerate() {
        let points: Vec<(f64, f64)> =
            sizes.iter().map(|size| (x(number(size.clusters).log10()), y(value(curve, size).log10()))).collect();
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(svg, "<polyline class=\"line s{place}\" points=\"{}\"/>", line.join(" "));
        for (x, y) in points {
            let _ = writeln!(svg, "<circle class=\"d{place}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
        let (sample, text) = (base - 4.0, LEFT + 28.0);
        let _ = writeln!(svg, "<path class=\"line s{place}\" d=\"M{LEFT} {sample}h22\"/>");
        let _ = writeln!(svg, "<text x=\"{text}\" y=\"{base}\">{}</text>", curve.0);
        base += 15.0;
    }
    svg
}

/// The powers of ten of an axis, as logarithms.
fn steps(low: f64, high: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(low), |at| Some(at + 1.0)).take_while(move |at| *at <= high)
}

fn label(logarithm: f64) -> String {
    10_f64.powf(logarithm).to_string()
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
