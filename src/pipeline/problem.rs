//! What is wrong with a file that an author wrote, where, and what to do about it.

use std::fmt;
use std::sync::Arc;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};

pub use super::catalogue::{Code, Entry, explain};

/// A piece of a text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Where it starts, in bytes from the start of the text.
    pub offset: usize,
    /// How long it is, in bytes.
    pub len: usize,
}

impl Span {
    /// The piece of `len` bytes that starts at byte `offset`.
    pub const fn new(offset: usize, len: usize) -> Self {
        Self { offset, len }
    }

    /// The first byte behind the piece.
    pub const fn end(self) -> usize {
        self.offset.saturating_add(self.len)
    }

    /// The same piece, in a text in front of which `by` more bytes stand.
    pub const fn shifted(self, by: usize) -> Self {
        Self { offset: self.offset.saturating_add(by), len: self.len }
    }
}

/// A text with the name under which it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// The file's path as the reader would type it, or `-`.
    pub name: String,
    /// All of it.
    pub text: String,
}

impl SourceText {
    /// A named text, ready to be shared by the problems found in it.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into() })
    }

    /// Line and column of a byte offset, both from 1; columns count characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = floor_boundary(&self.text, offset);
        let before = &self.text[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
    }

    /// The text that a span covers, as far as it lies inside the text.
    pub fn slice(&self, span: Span) -> &str {
        let from = floor_boundary(&self.text, span.offset);
        let to = floor_boundary(&self.text, span.end()).max(from);
        &self.text[from..to]
    }
}

/// The last character boundary at or before `offset`.
fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look; the pipeline can run.
    Warning,
    /// The pipeline cannot run.
    Error,
}

impl Severity {
    /// The word in machine formats.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that is wrong in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem; `ogflow explain` tells more about it.
    pub code: Code,
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// The file in which it is wrong.
    pub file: Arc<SourceText>,
    /// The exact text that is wrong; `None` when it is the file as a whole.
    pub span: Option<Span>,
    /// A word or two under the marked text.
    pub label: Option<String>,
    /// What to do, in one line.
    pub help: Option<String>,
    /// The step in which it is, if it is in one.
    pub step: Option<String>,
}

impl Problem {
    /// A problem at `span` of `file`.
    pub fn new(
        code: Code,
        file: &Arc<SourceText>,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            message: message.into(),
            file: Arc::clone(file),
            span: span.into(),
            label: None,
            help: None,
            step: None,
        }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, with a word under the marked text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same, as a problem of one step.
    #[must_use]
    pub fn in_step(mut self, step: impl Into<String>) -> Self {
        self.step = Some(step.into());
        self
    }

    /// Whether the pipeline can run in spite of it; the code's letter says so.
    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// Line and column, from 1, of the start of the marked text.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.span.map(|span| self.file.position(span.offset))
    }

    /// The marked text.
    pub fn marked(&self) -> Option<&str> {
        self.span.map(|span| self.file.slice(span))
    }

    /// The long form: code, message, the lines of the file with the text underlined, help.
    pub fn render(&self, look: Look) -> String {
        let theme = match (look.ascii, look.color) {
            (true, false) => GraphicalTheme::none(),
            (true, true) => GraphicalTheme::ascii(),
            (false, false) => GraphicalTheme::unicode_nocolor(),
            (false, true) => GraphicalTheme::unicode(),
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_links(false)
            .with_context_lines(1)
            .with_width(look.width);
        let mut out = String::new();
        match handler.render_report(&mut out, &Shown::of(self)) {
            Ok(()) => out,
            Err(fmt::Error) => format!("{}\n", self.line()),
        }
    }

    /// The short form: code, step, message and place on one line.
    pub fn line(&self) -> String {
        let mut out = format!("{}  ", self.code);
        if let Some(step) = &self.step {
            out.push_str(&format!("{step}: "));
        }
        out.push_str(&self.message);
        match self.position() {
            Some((line, column)) => {
                out.push_str(&format!("   {}:{line}:{column}", self.file.name));
            }
            None => out.push_str(&format!("   {}", self.file.name)),
        }
        visible(&out)
    }
}

/// How a problem is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// With colour codes.
    pub color: bool,
    /// Without line-drawing characters.
    pub ascii: bool,
    /// Columns of the terminal.
    pub width: usize,
}

impl Default for Look {
    /// No colour, Unicode, 100 columns.
    fn default() -> Self {
        Self { color: false, ascii: false, width: 100 }
    }
}

/// Puts errors behind warnings and leaves the order otherwise as it is.
pub fn errors_last(problems: &mut [Problem]) {
    problems.sort_by_key(Problem::severity);
}

/// A problem in the form that miette draws.
#[derive(Debug)]
struct Shown {
    code: Code,
    message: String,
    source: Shot,
    label: Option<LabeledSpan>,
    help: Option<String>,
}

impl Shown {
    fn of(problem: &Problem) -> Self {
        let text = inert(&problem.file.text);
        let label = problem.span.map(|span| {
            let from = floor_boundary(&text, span.offset);
            let to = floor_boundary(&text, span.end()).max(from);
            LabeledSpan::new_primary_with_span(
                problem.label.as_deref().map(visible),
                SourceSpan::from((from, to - from)),
            )
        });
        Self {
            code: problem.code,
            message: visible(&match (&problem.step, problem.severity()) {
                (Some(step), Severity::Warning) => format!("{step}: {}", problem.message),
                (Some(_) | None, _) => problem.message.clone(),
            }),
            source: Shot(SourceText { name: visible(&problem.file.name), text }),
            label,
            help: problem.help.as_deref().map(visible),
        }
    }
}

/// A text of which only the lines with the marked piece are shown.
#[derive(Debug)]
struct Shot(SourceText);

impl SourceCode for Shot {
    /// The marked piece with its place, or, asked for context, the whole lines that it is in.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_before: usize,
        _context_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let Self(SourceText { name, text }) = self;
        let (from, to) = (span.offset(), span.offset().saturating_add(span.len()));
        let (Some(before), Some(after), Some(_)) =
            (text.get(..from), text.get(to..), text.get(from..to))
        else {
            return Err(MietteError::OutOfBounds);
        };
        let (line, column) = self.0.position(from);
        let (start, end, column) = match context_before {
            0 => (from, to, column - 1),
            _ => {
                let start = before.rfind('\n').map_or(0, |newline| newline + 1);
                (start, to + after.find('\n').unwrap_or(after.len()), 0)
            }
        };
        let data = text.as_bytes().get(start..end).ok_or(MietteError::OutOfBounds)?;
        let place = SourceSpan::from((start, end - start));
        let lines = text.lines().count();
        let name = name.clone();
        Ok(Box::new(MietteSpanContents::new_named(name, data, place, line - 1, column, lines)))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl miette::Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.code.severity() {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display + 'a>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.label.as_ref().map(|_| &self.source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.label.clone().map(|label| Box::new(std::iter::once(label)) as _)
    }
}

/// The text with control, escape and bidirectional characters written out.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if steers_a_terminal(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// The text with the same characters replaced by harmless ones of the same length, so that spans
/// still fit.
fn inert(text: &str) -> String {
    text.chars()
        .map(|character| match (steers_a_terminal(character), character.len_utf8()) {
            (false, _) => character,
            (true, 1) => '?',
            (true, 2) => '\u{bf}',
            (true, _) => '\u{fffd}',
        })
        .collect()
}

const fn steers_a_terminal(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
            | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests;
