//! Result rows into a file or onto stdout, in any of the formats.
//!
//! A file is written beside its place and renamed, so a reader never sees half of one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::failure::{Exit, Failure};
use super::filter::{self, Filter};
use super::history::{ItemResult, Reader};
use super::openai;
use crate::pipeline::SaveFormat;
use crate::report::csv::{self, CsvColumns};
use crate::report::{ErrorRow, Row, rows};
use crate::units::{RunId, StepName};

/// How many rows went where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Items with an accepted output.
    pub accepted: usize,
    /// Items without one.
    pub failed: usize,
}

/// Which rows, in which form.
#[derive(Clone, Debug)]
pub struct Form<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The step.
    pub step: &'a StepName,
    /// Its place in the plan.
    pub place: u16,
    /// The format.
    pub format: SaveFormat,
    /// Of each row only these fields; all where none is named.
    pub fields: &'a [String],
    /// Which rows; all without it.
    pub filter: Option<&'a Filter>,
}

impl Form<'_> {
    /// What became of each item that is meant, in input order.
    fn each(
        &self,
        reader: &Reader<'_>,
        take: &mut dyn FnMut(ItemResult) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        reader.rows(self.place, &mut |row| match filter::keeps(self.filter, || row.json()) {
            true => take(row),
            false => Ok(()),
        })
    }

    /// Writes the accepted rows to `out`, and the failed ones, if they are wanted, to `errors`.
    ///
    /// # Errors
    /// When a row cannot be read back or written.
    pub fn write(
        &self,
        reader: &Reader<'_>,
        out: &mut dyn Write,
        errors: Option<&mut dyn Write>,
    ) -> Result<Counts, Failure> {
        let mut writer = Writer {
            form: self,
            out,
            errors,
            counts: Counts::default(),
            columns: CsvColumns::default(),
        };
        if self.format == SaveFormat::Csv {
            let columns = &mut writer.columns;
            self.each(reader, &mut |row| {
                if let ItemResult::Accepted(row) = row {
                    columns.learn(&row);
                }
                Ok(())
            })?;
        }
        writer.head()?;
        self.each(reader, &mut |row| writer.row(row))?;
        writer.tail()?;
        Ok(writer.counts)
    }

    /// A row with only the wanted fields.
    pub fn text(&self, row: &Row) -> String {
        if self.fields.is_empty() {
            return rows::json_text(row);
        }
        let value = serde_json::to_value(row).unwrap_or_default();
        let kept: Map<String, Value> = match value {
            Value::Object(map) => {
                map.into_iter().filter(|(name, _)| self.fields.contains(name)).collect()
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Map::new(),
        };
        rows::json_text(&kept)
    }
}

struct Writer<'a, 'b, 'c> {
    form: &'a Form<'a>,
    out: &'b mut dyn Write,
    errors: Option<&'c mut dyn Write>,
    counts: Counts,
    columns: CsvColumns,
}

impl Writer<'_, '_, '_> {
    fn put(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).map_err(|error| unwritable(&error))
    }

    fn head(&mut self) -> Result<(), Failure> {
        match self.form.format {
            SaveFormat::Csv => self.put(&self.columns.header()),
            SaveFormat::Json => self.put(&rows::json_head(self.form.run, self.form.step)),
            SaveFormat::Jsonl | SaveFormat::OpenaiBatch | SaveFormat::Raw => Ok(()),
        }
    }

    fn row(&mut self, row: ItemResult) -> Result<(), Failure> {
        match row {
            ItemResult::Accepted(row) => self.accepted(&row),
            ItemResult::Failed(row) => self.failed(&row),
        }
    }

    fn accepted(&mut self, row: &Row) -> Result<(), Failure> {
        let first = self.counts.accepted == 0;
        self.counts.accepted += 1;
        match self.form.format {
            SaveFormat::Jsonl | SaveFormat::Raw => {
                let line = self.form.text(row);
                self.put(&format!("{line}\n"))
            }
            SaveFormat::Json => {
                let between = if first { "" } else { rows::JSON_BETWEEN };
                let text = self.form.text(row);
                self.put(&format!("{between}{text}"))
            }
            SaveFormat::Csv => {
                let line = self.columns.line(row);
                self.put(&line)
            }
            SaveFormat::OpenaiBatch => {
                let line = openai::line(row);
                self.put(&line)
            }
        }
    }

    fn failed(&mut self, row: &ErrorRow) -> Result<(), Failure> {
        self.counts.failed += 1;
        let head = self.counts.failed == 1 && self.form.format == SaveFormat::Csv;
        if self.form.format == SaveFormat::OpenaiBatch && self.errors.is_none() {
            return Ok(());
        }
        let line = match self.form.format {
            SaveFormat::Csv => csv::errors_line(row),
            SaveFormat::OpenaiBatch => openai::error_line(row),
            SaveFormat::Jsonl | SaveFormat::Json | SaveFormat::Raw => rows::json_line(row),
        };
        let Some(errors) = &mut self.errors else { return Ok(()) };
        let text = if head { format!("{}{line}", csv::errors_header()) } else { line };
        errors.write_all(text.as_bytes()).map_err(|error| unwritable(&error))
    }

    fn tail(&mut self) -> Result<(), Failure> {
        match self.form.format {
            SaveFormat::Json => self.put(rows::JSON_TAIL),
            SaveFormat::Csv | SaveFormat::Jsonl | SaveFormat::OpenaiBatch | SaveFormat::Raw => {
                Ok(())
            }
        }
    }
}

fn unwritable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::closed_pipe();
    }
    Failure::new(Exit::Unexpected, "the results cannot be written").because(error)
}

/// A file that appears whole or not at all.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    file: io::BufWriter<tempfile::NamedTempFile>,
}

impl NewFile {
    /// Begins a file at `path`; makes its folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn begin(path: &Path) -> Result<Self, Failure> {
        let wrong = |error: io::Error| {
            Failure::new(Exit::Unexpected, format!("{} cannot be written", path.display()))
                .because(error)
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(wrong)?;
        let file = tempfile::Builder::new()
            .prefix(".ogflow-")
            .permissions(plain_mode())
            .tempfile_in(folder)
            .map_err(wrong)?;
        Ok(Self { path: path.to_path_buf(), file: io::BufWriter::new(file) })
    }

    /// Where it will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the file into its place.
    ///
    /// # Errors
    /// When the rest cannot be written or renamed.
    pub fn finish(self) -> Result<(), Failure> {
        let path = self.path;
        let wrong = |error: io::Error| {
            Failure::new(Exit::Unexpected, format!("{} cannot be written", path.display()))
                .because(error)
        };
        let file = self.file.into_inner().map_err(|error| wrong(error.into_error()))?;
        file.persist(&path).map(drop).map_err(|error| wrong(error.error))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What a file of results may be: readable as any other file of the project.
fn plain_mode() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o644)
}

/// Writes each output as a file of its own into `folder`.
///
/// # Errors
/// When a row cannot be read back or a file cannot be written.
pub fn write_raw(form: &Form<'_>, reader: &Reader<'_>, folder: &Path) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    form.each(reader, &mut |row| match row {
        ItemResult::Accepted(row) => {
            counts.accepted += 1;
            let raw = rows::raw(&row);
            let mut file = NewFile::begin(&folder.join(raw.name))?;
            file.write_all(&raw.bytes).map_err(|error| unwritable(&error))?;
            file.finish()
        }
        ItemResult::Failed(_) => {
            counts.failed += 1;
            Ok(())
        }
    })?;
    Ok(counts)
}
