//! Problems of an author's files, as people and machines read them.

use serde_json::{Value, json};

use super::args::CheckFormat;
use super::failure::{Exit, Failure};
use super::ui::Ui;
use crate::pipeline::{Problem, Severity};
use crate::units::text::counted;

/// What was found in one file.
#[derive(Clone, Copy, Debug)]
pub struct Findings<'a> {
    /// The file as typed.
    pub file: &'a str,
    /// The problems, errors last.
    pub problems: &'a [Problem],
    /// How many steps the pipeline has, where it could be read.
    pub steps: Option<usize>,
    /// Whether warnings count as errors.
    pub deny_warnings: bool,
}

impl Findings<'_> {
    fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity() == severity).count()
    }

    /// Whether a run may start.
    pub fn pass(&self) -> bool {
        self.count(Severity::Error) == 0
            && !(self.deny_warnings && self.count(Severity::Warning) > 0)
    }

    /// `1 error, 2 warnings in nightly.yaml (3 steps)`.
    fn totals(&self) -> String {
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let mut parts = Vec::new();
        if errors > 0 || self.pass() {
            parts.push(counted(errors, "error"));
        }
        if warnings > 0 || self.pass() {
            parts.push(counted(warnings, "warning"));
        }
        let steps =
            self.steps.map_or_else(String::new, |steps| format!(" ({})", counted(steps, "step")));
        format!("{} in {}{steps}", parts.join(", "), self.file)
    }

    /// Draws the problems for people, on stderr.
    pub fn draw(&self, ui: &Ui) {
        for problem in self.problems {
            if ui.quiet() {
                ui.say(&problem.line());
            } else {
                ui.say(&format!("{}\n", problem.render(ui.look()).trim_matches('\n')));
                ui.say("");
            }
        }
    }

    /// Draws them for people, on stderr, with the count and what it means.
    pub fn tell(&self, ui: &Ui, exit: Exit) {
        self.draw(ui);
        if self.pass() {
            ui.say(&format!("Task configuration valid: {}.", self.totals()));
        } else {
            ui.say(&format!("{}. {exit}", self.totals()));
        }
    }

    /// The report for machines.
    pub fn report(&self, format: CheckFormat) -> String {
        match format {
            CheckFormat::Json | CheckFormat::Human => format!("{}\n", self.json()),
            CheckFormat::Github => self.problems.iter().map(annotation).collect(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "schema": "ogflow.check/v1",
            "file": self.file,
            "valid": self.pass(),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "problems": self.problems.iter().map(fields).collect::<Vec<_>>(),
        })
    }
}

/// Tells a failure that may hold problems, and gives its exit.
pub fn tell_failure(failure: &Failure, ui: &Ui) -> Exit {
    if failure.problems.is_empty() {
        return failure.tell(ui);
    }
    let file = failure.problems.last().map_or("-", |problem| problem.file.name.as_str());
    let findings =
        Findings { file, problems: &failure.problems, steps: None, deny_warnings: false };
    findings.tell(ui, failure.exit);
    failure.exit
}

/// A problem as an object of the machine formats.
pub fn fields(problem: &Problem) -> Value {
    let (line, column) = problem.position().unzip();
    json!({
        "code": problem.code.as_str(),
        "severity": problem.severity().as_str(),
        "message": problem.message,
        "step": problem.step,
        "file": problem.file.name,
        "line": line,
        "column": column,
        "help": problem.help,
    })
}

/// A problem as a workflow command of GitHub Actions.
fn annotation(problem: &Problem) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut place = format!("file={}", property(&problem.file.name));
    if let Some((line, column)) = problem.position() {
        place.push_str(&format!(",line={line},col={column}"));
    }
    let mut text = problem.message.clone();
    if let Some(help) = &problem.help {
        text.push_str(&format!("\nhelp: {help}"));
    }
    let kind = problem.severity().as_str();
    format!("::{kind} {place},title={}::{}\n", problem.code, data(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Code, SourceText, Span};

    fn problems() -> Vec<Problem> {
        let file = SourceText::new("a,b.yaml", "name: x\nsteps: 5%\n");
        vec![
            Problem::new(Code::W0601, &file, None, "no budget"),
            Problem::new(Code::E0202, &file, Span::new(15, 2), "not a map: 5%").help("a\nb"),
        ]
    }

    #[test]
    fn annotations_escape_what_would_end_them() {
        let found = problems();
        let findings =
            Findings { file: "a,b.yaml", problems: &found, steps: None, deny_warnings: false };
        assert_eq!(
            findings.report(CheckFormat::Github),
            "::warning file=a%2Cb.yaml,title=W0601::no budget\n\
             ::error file=a%2Cb.yaml,line=2,col=8,title=E0202::not a map: 5%25%0Ahelp: a%0Ab\n"
        );
    }

    #[test]
    fn warnings_pass_unless_they_are_denied() {
        let found = problems();
        let mut findings =
            Findings { file: "f", problems: &found[..1], steps: Some(1), deny_warnings: false };
        assert!(findings.pass());
        assert_eq!(findings.totals(), "0 errors, 1 warning in f (1 step)");
        findings.deny_warnings = true;
        assert!(!findings.pass());
        assert_eq!(findings.totals(), "1 warning in f (1 step)");
        let failed = Findings { problems: &found, ..findings };
        assert_eq!(failed.json()["problems"][1]["column"], 8);
    }
}
