//! The figures of a table, read back from the document.

use super::super::table;

/// A figure, and as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure<'a> {
    pub(super) value: f64,
    pub(super) text: &'a str,
}

#[derive(Debug)]
pub(super) struct Figures {
    columns: Vec<String>,
    /// Each begins with its title.
    rows: Vec<Vec<String>>,
    /// The line that says where and how they were measured.
    pub(super) source: String,
}

impl Figures {
    /// Reads the first table that a command has written.
    pub(super) fn read(document: &str, command: &str) -> Result<Self, String> {
        let (_, section, _) = table::section(document, command)?;
        let mut lines = section.lines();
        let mut table = lines.by_ref().take_while(|line| !line.is_empty()).map(cells);
        let columns = table.next().unwrap_or_default();
        let rows: Vec<_> = table.skip(1).collect();
        let source = lines.next().unwrap_or_default().to_owned();
        if rows.is_empty() || source.is_empty() {
            return Err(format!("there is no table of {command}"));
        }
        Ok(Self { columns, rows, source })
    }

    /// None where nothing was measured.
    pub(super) fn get(&self, title: &str, column: &str) -> Option<Figure<'_>> {
        let row = self.rows.iter().find(|row| row[0] == title)?;
        let column = self.columns.iter().position(|other| other == column)?;
        let text = row.get(column)?.split(',').next()?;
        let (number, times) = text.strip_suffix(" k").map_or((text, 1.0), |number| (number, 1000.0));
        Some(Figure { value: number.parse::<f64>().ok()? * times, text })
    }
}

fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "before\n<!-- bench/compare writes from here -->\n\
        |  | one | another |\n| --- | --- | --- |\n| `/row` | 12.5 k | 7, others keep 0.9 |\n| b | - | 0.25 |\n\
        \nMedians.\n\n| more |\n<!-- to here -->\nafter\n";

    #[test]
    fn figures_are_found_by_row_and_column() {
        let figures = Figures::read(DOCUMENT, "bench/compare").expect("a table");
        assert_eq!(figures.source, "Medians.");
        for (title, column, expected) in [
            ("`/row`", "one", Some((12_500.0, "12.5 k"))),
            ("`/row`", "another", Some((7.0, "7"))),
            ("b", "one", None),
            ("b", "another", Some((0.25, "0.25"))),
            ("b", "third", None),
            ("c", "one", None),
        ] {
            let expected = expected.map(|(value, text)| Figure { value, text });
            assert_eq!(figures.get(title, column), expected, "{title} {column}");
        }
        assert!(Figures::read(DOCUMENT, "bench/compare --scale").is_err());
    }
}
