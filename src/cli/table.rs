//! Rows in columns, as narrow as the terminal.

use unicode_width::UnicodeWidthStr;

use super::ui::Ui;

/// Columns between two columns.
const GAP: usize = 2;
/// A last column that has less room than this goes to a line of its own.
const LEAST: usize = 16;

/// A table with a head; the last column takes what is left of the width and breaks into lines.
#[derive(Debug)]
pub struct Table {
    head: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; those that start with `>` stand to the right.
    pub fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.iter().map(|name| name.trim_start_matches('>')).collect(),
            right: head.iter().map(|name| name.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, one cell for each column.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text; for `--accessible` a list of words instead.
    pub fn draw(&self, ui: &Ui) -> String {
        if ui.accessible() {
            return self.words();
        }
        let head: Vec<String> = self.head.iter().map(|name| (*name).to_owned()).collect();
        let widths: Vec<usize> = (0..self.head.len())
            .map(|at| {
                let cells = std::iter::once(&head).chain(&self.rows);
                cells.map(|row| row[at].width()).max().unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        let used: usize =
            widths[..widths.len() - 1].iter().map(|wide| wide + GAP).sum::<usize>() + 1;
        if ui.width() < used + LEAST {
            // The last column will stand below the others, so its name has no place.
            let mut short = head.clone();
            short.pop();
            short.push(String::new());
            self.line(&short, &widths, ui.width(), &mut out);
        } else {
            self.line(&head, &widths, ui.width(), &mut out);
        }
        for row in &self.rows {
            self.line(row, &widths, ui.width(), &mut out);
        }
        out
    }

    fn line(&self, row: &[String], widths: &[usize], width: usize, out: &mut String) {
        let last = row.len() - 1;
        let mut line = String::from(" ");
        for (at, cell) in row[..last].iter().enumerate() {
            let room = " ".repeat(widths[at] - cell.width());
            let gap = " ".repeat(GAP);
            if self.right[at] {
                line.push_str(&format!("{room}{cell}{gap}"));
            } else {
                line.push_str(&format!("{cell}{room}{gap}"));
            }
        }
        let used = line.width();
        let room = width.saturating_sub(used);
        let cell = if self.right[last] {
            format!("{}{}", " ".repeat(widths[last] - row[last].width()), row[last])
        } else {
            row[last].clone()
        };
        if cell.width() <= room {
            out.push_str(format!("{line}{cell}").trim_end());
            out.push('\n');
            return;
        }
        let (indent, room) = if room < LEAST { (4, width.saturating_sub(4)) } else { (used, room) };
        let broken = super::help::wrapped(&cell, room.max(LEAST));
        for (place, part) in broken.lines().enumerate() {
            if place == 0 && indent == used {
                out.push_str(&line);
            } else {
                if place == 0 {
                    out.push_str(line.trim_end());
                    out.push('\n');
                }
                out.push_str(&" ".repeat(indent));
            }
            out.push_str(part);
            out.push('\n');
        }
    }

    /// A line for each row, with the name of each column before its cell.
    fn words(&self) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let cells: Vec<String> = self
                .head
                .iter()
                .zip(row)
                .filter(|(_, cell)| !cell.is_empty() && *cell != "–")
                .map(|(name, cell)| format!("{} {cell}", name.to_lowercase()))
                .collect();
            out.push_str(&format!("{}\n", cells.join(", ")));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ui::{Manner, Surroundings};

    fn table() -> Table {
        let mut table = Table::new(&["NAME", ">COUNT", "ABOUT"]);
        table.row(vec!["a".into(), "1".into(), "short".into()]);
        table.row(vec!["größer".into(), "1,000".into(), "a text that is much longer ".repeat(4)]);
        table
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_columns_line_up() {
        for columns in [40, 60, 80] {
            let around = Surroundings { columns: Some(columns), ..Surroundings::default() };
            let text = table().draw(&Ui::new(&around, Manner::default()));
            assert!(text.lines().all(|line| line.width() <= columns), "{text}");
        }
        let text = table().draw(&Ui::plain());
        assert!(
            text.starts_with(
                " NAME    COUNT  ABOUT\n a           1  short\n größer  1,000  a text"
            ),
            "{text}"
        );
    }

    #[test]
    fn accessible_rows_are_words() {
        let manner = Manner { accessible: true, ..Manner::default() };
        let text = table().draw(&Ui::new(&Surroundings::default(), manner));
        assert!(text.starts_with("name a, count 1, about short\n"), "{text}");
    }
}
