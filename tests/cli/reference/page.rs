//! Sections and tables of a Markdown page, and what they lack.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// One page below docs/.
pub struct Page {
    file: &'static str,
    text: String,
}

/// The part of a page below one heading.
pub struct Section<'a> {
    file: &'static str,
    title: &'a str,
    text: &'a str,
}

/// The rows of a table, by column.
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Page {
    pub fn read(file: &'static str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        Self { file, text: std::fs::read_to_string(path).unwrap() }
    }

    /// The section with this heading; it ends where the next one begins.
    pub fn section<'a>(&'a self, title: &'a str) -> Section<'a> {
        let heading = self.text.match_indices(title).find(|(at, _)| {
            let line = self.text[..*at].rfind('\n').map_or(0, |end| end + 1);
            self.text[line..*at].trim_matches('#') == " " && self.text[at + title.len()..].starts_with('\n')
        });
        let (at, _) = heading.unwrap_or_else(|| panic!("{} has no section {title:?}", self.file));
        let text = &self.text[at + title.len()..];
        let end = text.find("\n#").unwrap_or(text.len());
        Section { file: self.file, title, text: &text[..end] }
    }
}

impl Section<'_> {
    pub fn title(&self) -> &str {
        self.title
    }

    /// All tables.
    pub fn tables(&self) -> Vec<Table> {
        let blocks = self.text.split("\n\n").map(|block| block.trim_start_matches('\n'));
        blocks.filter(|block| block.starts_with('|')).map(Table::parse).collect()
    }

    /// The names in this column of all its tables that have one.
    pub fn names(&self, column: &str) -> BTreeSet<String> {
        let tables = self.tables();
        let cells = tables.iter().filter(|table| table.has(column)).flat_map(|table| table.column(column));
        cells.flat_map(codes).collect()
    }

    /// The line that begins with this word.
    pub fn line(&self, word: &str) -> &str {
        let line = self.text.lines().find(|line| line.starts_with(word));
        line.unwrap_or_else(|| panic!("{}, section {:?}, has no line {word:?}", self.file, self.title))
    }

    /// Fails if the page has other names than the code, and says what to write where.
    pub fn assert_names(&self, on_page: &BTreeSet<String>, in_code: &BTreeSet<String>, whence: &str) {
        let mut wrong = String::new();
        for missing in in_code.difference(on_page) {
            let _ = writeln!(wrong, "  add `{missing}`");
        }
        for extra in on_page.difference(in_code) {
            let _ = writeln!(wrong, "  remove `{extra}`: not in {whence}");
        }
        assert!(wrong.is_empty(), "{}, section {:?}, does not match {whence}:\n{wrong}", self.file, self.title);
    }
}

impl Table {
    fn parse(block: &str) -> Self {
        let mut lines = block.lines().take_while(|line| line.starts_with('|')).map(cells);
        let head = lines.next().unwrap_or_default();
        Self { head, rows: lines.skip(1).collect() }
    }

    pub fn has(&self, column: &str) -> bool {
        self.head.iter().any(|name| name == column)
    }

    /// The cells of a column.
    pub fn own(&self, column: &str) -> Vec<&str> {
        let at = self.head.iter().position(|name| name == column);
        let at = at.unwrap_or_else(|| panic!("no column {column:?} in {:?}", self.head));
        self.rows.iter().map(|row| row.get(at).map_or("", String::as_str)).collect()
    }

    /// The cells of a column; an empty one repeats the one above.
    pub fn column(&self, column: &str) -> Vec<&str> {
        let mut above = "";
        let cells = self.own(column).into_iter();
        cells
            .map(|cell| {
                if !cell.is_empty() {
                    above = cell;
                }
                above
            })
            .collect()
    }
}

/// The cells of a row; `\|` is no end of a cell.
fn cells(line: &str) -> Vec<String> {
    let line = line.replace(r"\|", "\0");
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().replace('\0', "|")).collect()
}

/// What is written `like this`.
pub fn codes(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn a_page_is_read_as_it_is_rendered() {
    let text = "# A\n\n## B\n\n| x | y |\n|---|---|\n| `a`, `b\\|c` | 1 |\n| | 2 |\n\nZ: `q`\n\n## C\n\n| x |\n|---|\n| `d` |\n";
    let page = Page { file: "page", text: text.to_owned() };
    let section = page.section("B");
    assert_eq!(section.names("x"), ["a", "b|c"].map(str::to_owned).into());
    let [table] = section.tables().try_into().ok().unwrap();
    assert_eq!(table.column("y"), ["1", "2"]);
    assert_eq!(table.column("x"), ["`a`, `b|c`"; 2]);
    assert_eq!(codes(section.line("Z:")), ["q"]);
    assert_eq!(page.section("C").names("x"), ["d".to_owned()].into());
}
