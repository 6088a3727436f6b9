//! What can be wrong with the YAML itself.

use std::sync::Arc;

use serde_saphyr::granit_parser::ErrorKind;

use super::document::{MAX_DEPTH, MAX_NODES};
use super::problem::{Code, Problem, SourceText, Span};

/// A file without a value in it.
pub(super) fn empty(file: &Arc<SourceText>) -> Problem {
    let message = match file.text.trim().is_empty() {
        true => "the file is empty",
        false => "the file holds nothing but comments",
    };
    Problem::new(Code::E0102, file, None, message)
        .help("a pipeline starts with `version: 1`, `name` and `steps`")
}

/// A key that was there already.
pub(super) fn duplicate(file: &Arc<SourceText>, key: &str, again: Span, first: Span) -> Problem {
    let (line, _) = file.position(first.offset);
    Problem::new(Code::E0103, file, again, format!("duplicate key `{key}`"))
        .label(format!("already in line {line}"))
        .help("remove or rename one of the two")
}

/// A second document in the file.
pub(super) fn second_document(file: &Arc<SourceText>, at: Span) -> Problem {
    Problem::new(Code::E0102, file, at, "a second document starts here")
        .help("a file holds one pipeline; remove the `---`")
}

/// More levels than allowed.
pub(super) fn too_deep(file: &Arc<SourceText>, at: Span) -> Problem {
    let message = format!("lists and maps lie more than {MAX_DEPTH} levels deep");
    Problem::new(Code::E0107, file, Span::new(at.offset, 1), message)
        .help("no key takes as many; write the value flatter")
}

/// More values or text than allowed.
pub(super) fn too_large(file: &Arc<SourceText>, at: Span) -> Problem {
    let message = format!("the file holds more than {MAX_NODES} values, aliases written out");
    Problem::new(Code::E0107, file, Span::new(at.offset, at.len.max(1)), message)
        .help("larger data belongs into an item file, read by `foreach`")
}

/// Braces that YAML takes for a map.
pub(super) fn unquoted_braces(file: &Arc<SourceText>, region: Span) -> Problem {
    let written = file.slice(region);
    let quoted = match written.contains('"') {
        true => format!("'{}'", written.replace('\'', "''")),
        false => format!("\"{written}\""),
    };
    Problem::new(Code::E0101, file, region, "unquoted `{{`: YAML reads it as a map")
        .help(format!("put quotes around the whole value: {quoted}"))
}

/// How far the value reaches that starts with the braces at `at`: to the end of its line, or
/// within brackets to the end of the expression.
pub(super) fn brace_region(text: &str, at: Span, in_flow: bool) -> Span {
    let rest = &text[at.offset..];
    let line = rest.find(['\n', '\r']).map_or(rest, |end| &rest[..end]);
    let close = line.find("}}").map(|close| close + 2);
    let value = match (in_flow, close) {
        (true, Some(close)) => &line[..close],
        (true, None) | (false, None) => line,
        (false, Some(close)) => {
            let comment = line[close..].find(" #").map(|hash| close + hash);
            comment.map_or(line, |hash| &line[..hash])
        }
    };
    Span::new(at.offset, value.trim_end().len())
}

/// Unquoted braces in the line of a parser error, if they may be what is wrong.
pub(super) fn braces_near(text: &str, at: usize, in_flow: bool) -> Option<Span> {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at))?;
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let line = &text[start..end];
    line.match_indices("{{").find_map(|(place, _)| {
        let before = line[..place].trim_end();
        let opens = before.is_empty() || before.ends_with([':', '-', '[', ',', '{']);
        let quotes = before.matches(['"', '\'']).count();
        (opens && quotes.is_multiple_of(2))
            .then(|| brace_region(text, Span::new(start + place, 2), in_flow))
    })
}

/// Turns a region into one quoted scalar of the same length, so that reading can go on.
pub(super) fn quote(text: &mut String, region: Span) {
    let mut filler = String::with_capacity(region.len);
    filler.push('"');
    filler.extend(std::iter::repeat_n('_', region.len.saturating_sub(2)));
    filler.push('"');
    text.replace_range(region.offset..region.end(), &filler);
}

/// What the parser could not read.
#[expect(clippy::wildcard_enum_match_arm, reason = "the parser's list of errors is open")]
pub(super) fn scan_problem(
    file: &Arc<SourceText>,
    text: &str,
    at: usize,
    kind: &ErrorKind,
) -> Problem {
    if let Some(tab) = indenting_tab(text, at) {
        return Problem::new(Code::E0104, file, tab, "tab used as indentation")
            .help("YAML allows only blanks for indentation: replace the tab");
    }
    let rest = text[at..].find('\n').map_or(&text[at..], |end| &text[at..at + end]);
    match kind {
        ErrorKind::RecursionLimitExceeded => too_deep(file, Span::new(at, 1)),
        ErrorKind::MappingValueNotAllowed
        | ErrorKind::InvalidColonPlacement
        | ErrorKind::MappingKeyNotAllowed
            if rest.starts_with(": ") || rest == ":" =>
        {
            Problem::new(Code::E0105, file, Span::new(at, 1), "`: ` inside plain text")
                .help("put the text into quotes, or into a block scalar (`|`)")
        }
        ErrorKind::CommentInterceptedScalar => {
            let hash = rest.find('#').map_or(at, |hash| at + hash);
            Problem::new(Code::E0105, file, Span::new(hash, 1), "` #` inside plain text")
                .help("a ` #` starts a comment; put the text into quotes or a block scalar (`|`)")
        }
        ErrorKind::UnclosedQuotedScalar => {
            Problem::new(Code::E0102, file, Span::new(at, 1), "the quote is never closed")
                .help("close it, or double it if it is part of the text")
        }
        ErrorKind::UnknownAnchor => {
            Problem::new(Code::E0102, file, word(rest, at), "no anchor of that name comes before")
        }
        other => Problem::new(Code::E0102, file, word(rest, at), other.to_string())
            .help("check quotes, brackets and indentation here and in the line before"),
    }
}

/// The tab before `at`, or just behind it, that stands where indentation belongs.
fn indenting_tab(text: &str, at: usize) -> Option<Span> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let next = text[at..].find('\n').map(|newline| at + newline + 1);
    [Some(start), next].into_iter().flatten().find_map(|line| {
        let blanks = text[line..].bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let tab = text[line..line + blanks].find('\t')?;
        Some(Span::new(line + tab, 1))
    })
}

fn word(rest: &str, at: usize) -> Span {
    let len = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
    Span::new(at, len.max(1))
}
