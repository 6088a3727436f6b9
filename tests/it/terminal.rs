//! Every screen on a real terminal: what a provider wrote is shown, and never obeyed.

use crate::support::{Project, Ran};

/// The provider of this function gives back what it gets.
const PIPELINE: &str = "version: 1
name: escapes
steps:
  ask:
    source: builtin:echo
    function: echo
    payment: 0.001 OGPU
    allow_failures: 100%
    foreach:
      - { id: good, of: good }
      - { id: bad, of: \"pwned\\e]0;pwned\\a\\e[2J\\r\\x9b2J\\x90q\\x9c\\u202e\\u200b\\x7f\" }
    data: { text: \"pwned\\e]0;pwned\\a\\e[2J\\r\\x9b2J\\x90q\\x9c\\u202e\\u200b\\x7f\", of: '{{ item.of }}' }
    accept: { schema: { properties: { of: { const: good } } } }
";

/// What would move, rename or hide something. Our own colours and moves begin with `ESC [`, and no
/// line of ours has any other control character.
fn obeyed(screen: &str) -> Option<String> {
    let strange = screen.split('\u{1b}').skip(1).find(|rest| !rest.starts_with('['));
    let clears = screen.contains("pwned\u{1b}") || screen.contains("\u{1b}[2J");
    let own = |c: &char| matches!(c, '\n' | '\r' | '\t' | '\u{1b}');
    let hides = |c: &char| matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}');
    let wrong = screen.chars().find(|c| (c.is_control() && !own(c)) || hides(c));
    match (strange, clears, wrong) {
        (Some(rest), _, _) => Some(format!("ESC before {:?}", &rest[..rest.len().min(9)])),
        (None, true, _) => Some("the screen was cleared".into()),
        (None, false, Some(c)) => Some(format!("{c:?}")),
        (None, false, None) => None,
    }
}

#[track_caller]
fn harmless(ran: Ran) -> String {
    assert_eq!(obeyed(&ran.stdout), None, "{:?}", ran.stdout);
    ran.stdout
}

#[test]
fn nothing_that_a_provider_wrote_is_obeyed_by_a_terminal() {
    let project = Project::with(PIPELINE);
    let ran = project.in_terminal(&["run"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let mut screens = harmless(ran);
    for args in [
        &["status", "latest", "--tasks"][..],
        &["results", "latest"],
        &["results", "latest", "--format", "csv"],
        &["results", "latest", "--errors", "-"],
        &["status", "latest", "--json"],
    ] {
        screens += &harmless(project.in_terminal(args));
    }
    assert!(screens.matches("pwned").count() >= 4, "the screens do not show it: {screens}");
    // Whoever reads it with a program gets it as it is.
    let csv = project.run(&["results", "latest", "--format", "csv"]).exits(0);
    assert!(csv.stdout.contains("\u{1b}]0;pwned\u{7}"), "{:?}", csv.stdout);
}
