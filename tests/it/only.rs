//! `--only`: some steps of a pipeline.

use crate::support::Project;

/// `a` and `b`, then `c` that reads both, then `d` behind it; `e` comes after `a` and reads nothing.
const FIVE: &str = "\
version: 1
name: five
defaults: { source: builtin:echo, function: echo, payment: 0.001 OGPU }
steps:
  a: { data: { x: one } }
  b: { data: { x: two } }
  c: { data: { x: \"{{ steps.a.output.x }} {{ steps.b.output.x }}\" } }
  d: { data: { x: \"{{ steps.c.output.x }} three\" } }
  e: { data: { x: alone }, needs: [a] }
outputs:
  last: \"{{ steps.d.output.x }}\"
  first: \"{{ steps.a.output.x }}\"
";

fn steps(project: &Project, only: &str) -> Vec<String> {
    let plan = project.run(&["plan", "--only", only, "--json"]).exits(0).json();
    let steps = plan["steps"].as_array().unwrap();
    steps.iter().map(|step| step["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_plus_takes_along_what_is_before_or_behind_a_step() {
    let project = Project::with(FIVE);
    for (only, expected) in [
        ("a", &["a"][..]),
        ("e", &["e"]),
        ("+e", &["a", "e"]),
        ("+c", &["a", "b", "c"]),
        ("+c+", &["a", "b", "c", "d"]),
        ("+d", &["a", "b", "c", "d"]),
    ] {
        assert_eq!(steps(&project, only), expected, "{only}");
    }
}

#[test]
fn only_the_selected_steps_run_and_only_their_outputs_are_shown() {
    let project = Project::with(FIVE);
    let ran = project.run(&["run", "--only", "+c"]).exits(0).prints(&["outputs.first", "\"one\""]);
    assert!(!ran.stdout.contains("outputs.last"), "{}", ran.stdout);
    let tasks = project.run(&["status", "latest", "--tasks", "-o", "name"]).exits(0).stdout;
    assert_eq!(tasks, "a/a\nb/b\nc/c\n");
    let row = &project.run(&["results", "--step", "c"]).exits(0).lines()[0];
    assert_eq!(row["output"]["x"], "one two");
    project.run(&["results", "--step", "d"]).exits(2).says(&["the run has no step `d`"]);
}

#[test]
fn a_selection_that_cannot_run_says_why_and_what_would() {
    let project = Project::with(FIVE);
    for (only, parts) in [
        ("dd", &["no step `dd`", "did you mean `d`?"][..]),
        ("nothing", &["its steps are a, b, c, d, e"]),
        ("c", &["`c` reads `a`", "not selected and has no outputs", "--only +c"]),
        ("a+", &["`c` reads `b`", "--only +c"]),
        ("+", &["no step ``"]),
    ] {
        for command in ["plan", "run"] {
            project.run(&[command, "--only", only]).exits(2).says(parts);
        }
    }
    project.spent_nothing();
}

#[test]
fn a_stopped_run_of_some_steps_goes_on_with_those() {
    let project = Project::with(FIVE);
    project.run(&["run", "--only", "+c", "--detach"]).exits(11);
    project.run(&["resume"]).exits(0);
    let tasks = project.run(&["status", "latest", "--tasks", "-o", "name"]).exits(0).stdout;
    assert_eq!(tasks, "a/a\nb/b\nc/c\n");
}

#[test]
fn a_saved_plan_of_some_steps_runs_those() {
    let project = Project::with(FIVE);
    let plan = ["plan", "--only", "+c", "--out", "plan.json"];
    project.run(&plan).exits(0).says(&["Next: ogflow run plan.json"]);
    project.run(&["plan", "--only", "+c"]).exits(0).says(&["Next: ogflow run p.yaml --only +c"]);
    project.run(&["run", "plan.json"]).exits(0);
    let tasks = project.run(&["status", "latest", "--tasks", "-o", "name"]).exits(0).stdout;
    assert_eq!(tasks.lines().count(), 3);
}
