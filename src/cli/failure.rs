//! Any error as a reader meets it: message, `because:` chain, `help:` line, code, exit code.
//!
//! Errors are made in the rooms that know the facts; what they mean to the shell that started
//! the program is settled here, in one enum of exit codes. A failure says what happened, then
//! why, then what to do, and its code leads to `ogflow explain`.

use std::error::Error;
use std::fmt;

use crate::pipeline::{Code, Problem};

use super::ui::Ui;

/// How the program ends (cli.md, section 8). Each number means one thing, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done; also when there was nothing to do.
    Done,
    /// Unexpected: a bug or a failure that nobody thought of.
    Unexpected,
    /// The command line is wrong.
    Usage,
    /// The pipeline, a template or a settings file is wrong.
    Invalid,
    /// A key or an answer is needed that cannot be asked for.
    NeedsAnswer,
    /// There is not enough money.
    Funds,
    /// The budget would be exceeded, or ended the run.
    Budget,
    /// The chain, the pin service or a gateway cannot be reached.
    Unreachable,
    /// The plan is stale.
    Stale,
    /// A guard refused.
    Guard,
    /// Finished, with more failures than `allow_failures`.
    Failures,
    /// Stopped early; `ogflow resume` goes on.
    Stopped,
    /// You said no.
    Declined,
    /// Locked by another process.
    Locked,
    /// Left at once by the second SIGINT.
    Interrupted,
    /// Left at once by the second SIGTERM.
    Terminated,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Done,
        Self::Unexpected,
        Self::Usage,
        Self::Invalid,
        Self::NeedsAnswer,
        Self::Funds,
        Self::Budget,
        Self::Unreachable,
        Self::Stale,
        Self::Guard,
        Self::Failures,
        Self::Stopped,
        Self::Declined,
        Self::Locked,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::NeedsAnswer => 4,
            Self::Funds => 5,
            Self::Budget => 6,
            Self::Unreachable => 7,
            Self::Stale => 8,
            Self::Guard => 9,
            Self::Failures => 10,
            Self::Stopped => 11,
            Self::Declined => 12,
            Self::Locked => 75,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// What the number means, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; also nothing to do",
            Self::Unexpected => "unexpected: a bug or an unmapped failure",
            Self::Usage => "wrong command line",
            Self::Invalid => "pipeline, template or config wrong",
            Self::NeedsAnswer => "needs a key or an answer that cannot be asked",
            Self::Funds => "not enough money",
            Self::Budget => "budget would be exceeded",
            Self::Unreachable => "chain, pin service or gateway unreachable",
            Self::Stale => "plan is stale",
            Self::Guard => "guard refused",
            Self::Failures => "finished with failures above `allow_failures`",
            Self::Stopped => "stopped early, resumable",
            Self::Declined => "you said no",
            Self::Locked => "locked by another process",
            Self::Interrupted => "left at once by the second SIGINT",
            Self::Terminated => "left at once by the second SIGTERM",
        }
    }

    /// The exit that has this number; `None` where no exit has it.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.code() == code)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exit {}: {}.", self.code(), self.meaning())
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// The code that `ogflow explain` knows, if there is one.
    pub code: Option<Code>,
    /// What happened, as one sentence without a full stop.
    pub message: String,
    /// Why, from the nearest cause to the farthest.
    pub because: Vec<String>,
    /// What to do, in one line.
    pub help: Option<String>,
    /// Problems of an author's file, which are drawn instead of the message.
    pub problems: Vec<Problem>,
    /// Whether there is anything to say: a closed pipe ends a command without a word.
    silent: bool,
}

impl Failure {
    /// A failure with an exit code and a sentence.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            code: None,
            message: message.into(),
            because: Vec::new(),
            help: None,
            problems: Vec::new(),
            silent: false,
        }
    }

    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// An error of a room, with its causes.
    pub fn of(exit: Exit, error: &dyn Error) -> Self {
        let mut because = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next {
            because.push(cause.to_string());
            next = cause.source();
        }
        Self { because, ..Self::new(exit, error.to_string()) }
    }

    /// What an author's files have wrong with them.
    pub fn of_problems(problems: Vec<Problem>) -> Self {
        Self { problems, ..Self::new(Exit::Invalid, "the pipeline is wrong") }
    }

    /// The end of a command whose reader has gone away: exit 0, nothing said.
    pub fn closed_pipe() -> Self {
        Self { silent: true, ..Self::new(Exit::Done, "the reader of stdout has gone") }
    }

    /// An end whose words were said already.
    pub fn said(exit: Exit) -> Self {
        Self { silent: true, ..Self::new(exit, exit.meaning()) }
    }

    /// The same, with another end.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, with what to do about it, if there is anything to say.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// The same, with one more thing to do.
    #[must_use]
    pub fn and_help(mut self, help: &str) -> Self {
        self.help = Some(self.help.map_or_else(|| help.to_owned(), |own| format!("{own}; {help}")));
        self
    }

    /// The same, with the code that `ogflow explain` knows.
    #[must_use]
    pub fn coded(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// The same, with one more cause.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.because.push(cause.to_string());
        self
    }

    /// Tells the reader, on stderr, and gives the exit.
    pub fn tell(&self, ui: &Ui) -> Exit {
        if !self.silent {
            ui.say(&self.text(ui));
        }
        self.exit
    }

    /// All that is said about it.
    fn text(&self, ui: &Ui) -> String {
        if self.exit == Exit::Declined {
            return format!("Stopped: {}.", self.message);
        }
        let mut lines = vec![match self.code {
            Some(code) => format!("{} {}", ui.err_bold(&format!("error[{code}]:")), self.message),
            None => format!("{} {}", ui.err_bold("error:"), self.message),
        }];
        for cause in &self.because {
            lines.push(format!("  because: {cause}"));
        }
        if let Some(help) = &self.help {
            lines.push(format!("  help: {help}"));
        }
        lines.push(self.exit.to_string());
        lines.join("\n")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no reply from http://127.0.0.1:1")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("connection refused")]
    struct Inner;

    #[test]
    fn exit_codes_are_all_different_and_found_by_their_number() {
        for exit in Exit::ALL {
            assert_eq!(Exit::from_code(exit.code()), Some(exit));
        }
        assert_eq!(Exit::from_code(99), None);
    }

    #[test]
    fn an_error_is_told_with_its_causes_help_code_and_exit() {
        let failure = Failure::of(Exit::Unreachable, &Outer(Inner))
            .coded(Code::E0901)
            .help("is the node running?");
        let text = failure.text(&Ui::plain());
        assert_eq!(
            text,
            "error[E0901]: no reply from http://127.0.0.1:1\n  because: connection refused\n  \
             help: is the node running?\nExit 7: chain, pin service or gateway unreachable."
        );
    }
}
