//! Prints aligned columns.

use anstyle::Style;

use super::console::styled;
use crate::printable;

const GAP: usize = 3;

#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Creates a cell in a style.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: printable::line(&text.into()).into_owned(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// Prints rows below a heading, without trailing blanks.
pub fn print<const N: usize>(heading: [&str; N], rows: &[[Cell; N]]) -> String {
    let heading = heading.map(Cell::from);
    rendered(&heading, rows.iter().map(<[Cell; N]>::as_slice))
}

/// The same with columns that only the data tells. Rows may be shorter than the heading.
pub fn print_all(heading: &[&str], rows: &[Vec<Cell>]) -> String {
    let heading: Vec<Cell> = heading.iter().map(|text| Cell::from(*text)).collect();
    rendered(&heading, rows.iter().map(Vec::as_slice))
}

fn rendered<'a>(heading: &'a [Cell], rows: impl Iterator<Item = &'a [Cell]> + Clone) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.text.chars().count()).collect();
    for row in rows.clone() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.chars().count());
        }
    }
    std::iter::once(heading).chain(rows).map(|row| line(row, &widths)).collect()
}

fn line(row: &[Cell], widths: &[usize]) -> String {
    let mut line = String::new();
    let mut blanks = 0;
    for (cell, width) in row.iter().zip(widths) {
        if !cell.text.is_empty() {
            line.push_str(&" ".repeat(blanks));
            line.push_str(&styled(cell.style, &cell.text));
            blanks = 0;
        }
        blanks += width - cell.text.chars().count() + GAP;
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_in_its_line_and_column() {
        let rows = [["a\n\u{1b}[2J".into(), "x".into()]];
        assert_eq!(print(["N", "B"], &rows), "N              B\na\\n\\u001b[2J   x\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".into(), "".into(), "x".into()], ["longer".into(), "bb".into(), "".into()]];
        assert_eq!(print(["N", "B", "C"], &rows), "N        B    C\na             x\nlonger   bb\n");
    }
}
