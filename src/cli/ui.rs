//! Where the program speaks: stdout for results, stderr for all else.
//!
//! Each stream is judged by itself: colour and width belong to a terminal, and what is piped is
//! plain. Colour never says anything alone, and every glyph beyond ASCII has an ASCII twin for
//! `--ascii` and for locales that are not UTF-8. A reader who closes stdout ends a reading
//! command quietly.

use std::io::{self, IsTerminal, Write};

use super::failure::Failure;

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal that wants it.
    #[default]
    Auto,
    /// Also off a terminal.
    Always,
    /// Nowhere.
    Never,
}

/// What is known about the two streams and what their reader asked for.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Surroundings {
    /// Whether stdin, stdout and stderr are terminals.
    pub terminals: [bool; 3],
    /// `NO_COLOR` is set to something.
    pub no_color: bool,
    /// `CLICOLOR` is `0`.
    pub clicolor_off: bool,
    /// `CLICOLOR_FORCE` is set to something but `0`.
    pub force_color: bool,
    /// `TERM` is `dumb`.
    pub dumb: bool,
    /// The locale is named, and is not one of UTF-8.
    pub ascii_locale: bool,
    /// Columns of the terminal, if one is known.
    pub columns: Option<usize>,
}

impl Surroundings {
    /// Asks the system; variables come from `var`.
    pub fn look(var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        Self {
            terminals: [
                io::stdin().is_terminal(),
                io::stdout().is_terminal(),
                io::stderr().is_terminal(),
            ],
            no_color: set("NO_COLOR").is_some(),
            clicolor_off: set("CLICOLOR").as_deref() == Some("0"),
            force_color: set("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb: set("TERM").as_deref() == Some("dumb"),
            ascii_locale: locale.is_some_and(|name| {
                let name = name.to_ascii_lowercase();
                !name.contains("utf-8") && !name.contains("utf8")
            }),
            columns: columns().or_else(|| set("COLUMNS")?.parse().ok()).filter(|wide| *wide > 0),
        }
    }

    /// Whether a stream (1 is stdout, 2 is stderr) is coloured.
    fn color(&self, choice: ColorChoice, stream: usize) -> bool {
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if self.no_color || self.clicolor_off => false,
            ColorChoice::Auto if self.force_color => true,
            ColorChoice::Auto => self.terminals[stream] && !self.dumb,
        }
    }
}

/// Columns of the terminal behind stderr or stdout.
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stderr())
        .or_else(|_| rustix::termios::tcgetwinsize(io::stdout()))
        .ok()?;
    Some(usize::from(size.ws_col))
}

/// What the reader asked for, besides colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// When to colour.
    pub color: ColorChoice,
    /// Only ASCII.
    pub ascii: bool,
    /// Words and lists instead of boxes and bars.
    pub accessible: bool,
    /// Only results, warnings and errors.
    pub quiet: bool,
}

/// The two streams.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Ui {
    manner: Manner,
    out_color: bool,
    err_color: bool,
    err_terminal: bool,
    out_terminal: bool,
    in_terminal: bool,
    width: usize,
}

/// Columns where nothing is known about the terminal.
const USUAL_WIDTH: usize = 80;
/// Fewer columns than these are not drawn for.
const NARROWEST: usize = 40;

impl Ui {
    /// Streams for these surroundings and this manner.
    pub fn new(around: &Surroundings, manner: Manner) -> Self {
        Self {
            manner: Manner { ascii: manner.ascii || around.ascii_locale, ..manner },
            out_color: around.color(manner.color, 1),
            err_color: around.color(manner.color, 2),
            in_terminal: around.terminals[0],
            out_terminal: around.terminals[1],
            err_terminal: around.terminals[2],
            width: around.columns.unwrap_or(USUAL_WIDTH).max(NARROWEST),
        }
    }

    /// No terminal, no colour, 80 columns.
    pub fn plain() -> Self {
        Self::new(&Surroundings::default(), Manner::default())
    }

    /// Columns to draw for.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Whether only ASCII may be written.
    pub const fn ascii(&self) -> bool {
        self.manner.ascii
    }

    /// Whether words and lists are wanted instead of boxes and bars.
    pub const fn accessible(&self) -> bool {
        self.manner.accessible
    }

    /// Whether only results, warnings and errors are wanted.
    pub const fn quiet(&self) -> bool {
        self.manner.quiet
    }

    /// Whether stdout is a terminal.
    pub const fn out_is_terminal(&self) -> bool {
        self.out_terminal
    }

    /// Whether stderr is a terminal.
    pub const fn err_is_terminal(&self) -> bool {
        self.err_terminal
    }

    /// Whether a question can be asked and answered: it is asked on stderr, read from stdin.
    pub const fn can_ask(&self) -> bool {
        self.err_terminal && self.in_terminal
    }

    /// Whether stderr is coloured.
    pub const fn err_color(&self) -> bool {
        self.err_color
    }

    /// How problems are drawn on stderr.
    pub fn look(&self) -> crate::pipeline::Look {
        crate::pipeline::Look { color: self.err_color, ascii: self.manner.ascii, width: self.width }
    }

    /// Writes a result for people to stdout, with a line break at its end.
    ///
    /// # Errors
    /// When stdout cannot be written; silent when its reader has gone.
    pub fn out(&self, text: &str) -> Result<(), Failure> {
        self.data(&format!("{}\n", self.shown(text).trim_end_matches('\n')))
    }

    /// Writes data to stdout as it is.
    ///
    /// # Errors
    /// When stdout cannot be written; silent when its reader has gone.
    pub fn data(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::closed_pipe()),
            Err(error) => {
                Err(Failure::new(super::failure::Exit::Unexpected, "stdout cannot be written")
                    .because(error))
            }
        }
    }

    /// Clears a terminal for the next picture; elsewhere pictures stand below each other.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub fn clear(&self) -> Result<(), Failure> {
        if self.out_terminal && !self.manner.accessible {
            return self.data("\u{1b}[2J\u{1b}[H");
        }
        Ok(())
    }

    /// Says something on stderr, with a line break at its end. A stderr that nobody reads is no
    /// reason to stop.
    pub fn say(&self, text: &str) {
        let line = format!("{}\n", self.shown(text).trim_end_matches('\n'));
        let _ignored = io::stderr().lock().write_all(line.as_bytes());
    }

    /// Says something that `--quiet` leaves out.
    pub fn talk(&self, text: &str) {
        if !self.manner.quiet {
            self.say(text);
        }
    }

    /// Says a warning.
    pub fn warn(&self, text: &str) {
        self.say(&format!("{} {text}", self.err_bold("warning:")));
    }

    /// Says what to type next; the last line of a command.
    pub fn next(&self, command: &str) {
        self.talk(&format!("Next: {command}"));
    }

    /// Writes a question to stderr and leaves the cursor behind it.
    pub fn ask(&self, question: &str) {
        let mut stderr = io::stderr().lock();
        let _ignored = stderr.write_all(self.shown(question).as_bytes());
        let _ignored = stderr.flush();
    }

    /// A text for stderr in bold, where there is colour.
    pub fn err_bold(&self, text: &str) -> String {
        bold(text, self.err_color)
    }

    /// A text for stdout in bold, where there is colour.
    pub fn out_bold(&self, text: &str) -> String {
        bold(text, self.out_color)
    }

    /// The text as this reader's terminal can show it.
    pub fn shown(&self, text: &str) -> String {
        if self.manner.ascii { to_ascii(text) } else { text.to_owned() }
    }
}

fn bold(text: &str, on: bool) -> String {
    if on { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// The text with our own glyphs replaced by ASCII twins; anything else beyond ASCII is escaped.
fn to_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{2013}' | '\u{2014}' | '─' => out.push('-'),
            '→' | '▶' => out.push('>'),
            '…' => out.push_str("..."),
            '✓' => out.push('+'),
            '×' => out.push('x'),
            '█' => out.push('#'),
            '▒' => out.push('='),
            '·' => out.push('.'),
            '│' | '╎' => out.push('|'),
            '╭' | '╮' | '╰' | '╯' | '├' | '┤' | '┬' | '┴' | '┼' | '└' | '┌' | '┐' | '┘' =>
            {
                out.push('+');
            }
            '“' | '”' => out.push('"'),
            '‘' | '’' => out.push('\''),
            plain if plain.is_ascii() => out.push(plain),
            other => out.extend(other.escape_unicode()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(vars: &[(&str, &str)], terminals: [bool; 3]) -> Surroundings {
        let look = Surroundings::look(|name| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        Surroundings { terminals, ..look }
    }

    #[test]
    fn colour_follows_the_flag_then_the_variables_then_the_terminal() {
        use ColorChoice::{Always, Auto, Never};
        let on = [true; 3];
        for (vars, terminals, choice, expected) in [
            (&[][..], on, Auto, true),
            (&[], [false; 3], Auto, false),
            (&[("TERM", "dumb")], on, Auto, false),
            (&[("NO_COLOR", "1")], on, Auto, false),
            (&[("NO_COLOR", "")], on, Auto, true),
            (&[("CLICOLOR", "0")], on, Auto, false),
            (&[("CLICOLOR_FORCE", "1")], [false; 3], Auto, true),
            (&[("CLICOLOR_FORCE", "0")], [false; 3], Auto, false),
            (&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], on, Auto, false),
            (&[("NO_COLOR", "1")], [false; 3], Always, true),
            (&[("CLICOLOR_FORCE", "1")], on, Never, false),
        ] {
            let around = around(vars, terminals);
            assert_eq!(around.color(choice, 2), expected, "{vars:?} {terminals:?} {choice:?}");
        }
    }

    #[test]
    fn each_stream_is_judged_by_itself() {
        let around = around(&[], [true, false, true]);
        let ui = Ui::new(&around, Manner::default());
        assert!(ui.err_color() && ui.out_bold("x") == "x");
    }

    #[test]
    fn a_locale_that_is_not_utf8_gets_ascii_and_an_unnamed_one_does_not() {
        for (vars, expected) in [
            (&[("LANG", "C")][..], true),
            (&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "POSIX")], true),
            (&[("LANG", "C.utf8")], false),
            (&[], false),
        ] {
            assert_eq!(around(vars, [true; 3]).ascii_locale, expected, "{vars:?}");
        }
    }

    #[test]
    fn ascii_text_holds_no_other_character() {
        let shown = to_ascii(" a ──▶ b … ✓ × █▒· 5.2 → 6.4 \u{e9}");
        assert!(shown.is_ascii(), "{shown}");
        assert_eq!(shown, " a --> b ... + x #=. 5.2 > 6.4 \\u{e9}");
    }
}
