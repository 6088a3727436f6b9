//! Streams: data on stdout, talk on stderr, plain off a terminal.

use crate::support::{HELLO, Project, ROWS, rows};

#[test]
fn nothing_but_data_goes_to_stdout_when_it_is_piped() {
    let project = Project::with(HELLO);
    project.run(&["run"]).exits(0);
    for args in [
        &["plan", "--json"][..],
        &["status", "--json"],
        &["status", "latest", "--json"],
        &["status", "latest", "--tasks", "--json"],
        &["status", "latest", "hello/hello", "--json"],
        &["results", "--json"],
        &["check", "--json"],
        &["templates", "list", "--json"],
        &["vault", "status", "--json"],
    ] {
        let ran = project.run(args).exits(0);
        drop(ran.json());
    }
}

#[test]
fn off_a_terminal_there_are_no_control_codes_unless_they_are_asked_for() {
    let project = Project::with(&HELLO.replace("0.001 OGPU", "1"));
    let plain = project.run(&["check"]).exits(3);
    assert!(!plain.stderr.contains('\u{1b}') && !plain.stdout.contains('\u{1b}'));
    let forced = project.run(&["check", "--color", "always"]).exits(3);
    assert!(forced.stderr.contains('\u{1b}'));
    let project = project.var("CLICOLOR_FORCE", "1");
    assert!(project.run(&["check"]).exits(3).stderr.contains('\u{1b}'));
    let project = project.var("NO_COLOR", "1");
    assert!(!project.run(&["check"]).exits(3).stderr.contains('\u{1b}'));
}

#[test]
fn ascii_means_ascii_on_both_streams() {
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(3));
    for args in [&["plan", "--ascii"][..], &["run", "--ascii"], &["status", "--ascii"]] {
        let ran = project.run(args).exits(0);
        assert!(ran.stdout.is_ascii(), "{}", ran.stdout);
        assert!(ran.stderr.is_ascii(), "{}", ran.stderr);
    }
    let bad = Project::with(&HELLO.replace("0.001 OGPU", "1"));
    let ran = bad.run(&["check", "--ascii"]).exits(3);
    assert!(ran.stderr.is_ascii(), "{}", ran.stderr);
    let locale = Project::with(&HELLO.replace("0.001 OGPU", "1")).var("LC_ALL", "C");
    assert!(locale.run(&["check"]).exits(3).stderr.is_ascii());
}

#[test]
fn quiet_leaves_out_talk_and_keeps_results() {
    let project = Project::with(HELLO);
    let ran = project.run(&["run", "-q"]).exits(0);
    assert!(ran.stdout.contains(" DONE ") && !ran.stderr.contains("Next:"), "{}", ran.stderr);
}

#[test]
fn hostile_outputs_do_not_reach_the_terminal() {
    let pipeline = HELLO.replace("message: Hello", "message: \"a\\e[2Jb\\u202e\"");
    let project = Project::with(&pipeline);
    project.run(&["run"]).exits(0);
    for args in [&["status", "latest", "hello/hello"][..], &["results"]] {
        let ran = project.run(args).exits(0);
        assert!(!ran.stdout.contains('\u{1b}'), "{args:?}: {}", ran.stdout);
    }
    let shown = project.run(&["run"]).exits(0);
    assert!(!shown.stdout.contains('\u{1b}') && !shown.stdout.contains('\u{202e}'));
}

#[test]
fn a_reader_who_leaves_ends_a_reading_command_quietly() {
    let project = Project::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = project.command(&["explain"]);
    command.stdout(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut stderr = String::new();
    std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut stderr).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(stderr, "");
}

#[test]
fn screens_without_tables_fit_80_columns() {
    let project = Project::with(HELLO);
    project.run(&["run"]).exits(0);
    for args in [
        &[][..],
        &["status"],
        &["status", "latest", "--tasks"],
        &["templates", "list"],
        &["explain", "E0412"],
        &["vault", "status"],
        &["graph"],
    ] {
        let ran = project.run(args).exits(0);
        for line in ran.stdout.lines() {
            assert!(line.chars().count() <= 80, "{args:?}: {line}");
        }
    }
}
