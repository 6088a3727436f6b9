use super::*;

fn below_minimum() -> Problem {
    let file = SourceText::new("nightly.yaml", "steps:\n  a:\n    payment: 0.005 OGPU\n");
    Problem::new(
        Code::E0412,
        &file,
        Span::new(25, 10),
        "payment is below the minimum of the source",
    )
    .label("0.005 OGPU < 0.01 OGPU")
    .help("source `llm` asks for at least 0.01 OGPU per task")
    .in_step("a")
}

#[test]
fn a_problem_is_drawn_with_its_place_the_marked_text_and_one_line_of_help() {
    insta::assert_snapshot!(below_minimum().render(Look::default()), @r"
    E0412

      × payment is below the minimum of the source
       ╭─[nightly.yaml:3:14]
     3 │     payment: 0.005 OGPU
       ·              ─────┬────
       ·                   ╰── 0.005 OGPU < 0.01 OGPU
       ╰────
      help: source `llm` asks for at least 0.01 OGPU per task
    ");
    insta::assert_snapshot!(
        below_minimum().line(),
        @"E0412  a: payment is below the minimum of the source   nightly.yaml:3:14"
    );
}

#[test]
fn a_problem_of_a_whole_file_is_drawn_without_a_snippet() {
    let file = SourceText::new("empty.yaml", "");
    let problem = Problem::new(Code::E0102, &file, None, "the file is empty");
    insta::assert_snapshot!(problem.render(Look::default()), @r"
    E0102

      × the file is empty
    ");
    assert_eq!(problem.position(), None);
}

#[test]
fn columns_count_characters_and_lines_count_from_one() {
    let file = SourceText::new("a.yaml", "é: 1\nñ: 2\n");
    assert_eq!(file.position(0), (1, 1));
    assert_eq!(file.position(2), (1, 2), "behind é, which is two bytes");
    assert_eq!(file.position(6), (2, 1));
    assert_eq!(file.position(1), (1, 1), "inside é");
    assert_eq!(file.position(1_000), (3, 1), "past the end");
}

#[test]
fn a_file_cannot_steer_the_terminal_through_its_problems() {
    let file = SourceText::new("a.yaml", "name: \u{1b}[2J\u{202e}x\n");
    let problem = Problem::new(Code::E0205, &file, Span::new(6, 8), "bad \u{1b}]0;x\u{7} name")
        .label("\u{9b}31m")
        .help("\u{202e}");
    for shown in [problem.render(Look::default()), problem.line()] {
        assert!(!shown.chars().any(|c| c != '\n' && steers_a_terminal(c)), "{shown:?}");
    }
}

#[test]
fn spans_outside_the_text_are_drawn_at_its_end() {
    let file = SourceText::new("a.yaml", "é");
    for span in [Span::new(0, 99), Span::new(1, 1), Span::new(99, 99), Span::new(2, 0)] {
        let problem = Problem::new(Code::E0102, &file, span, "odd");
        assert!(problem.render(Look::default()).contains("E0102"), "{span:?}");
    }
}

#[test]
fn warnings_come_before_errors_and_keep_their_order() {
    let file = SourceText::new("a.yaml", "x");
    let make = |code, message: &str| Problem::new(code, &file, None, message);
    let mut problems = vec![
        make(Code::E0201, "a"),
        make(Code::W0601, "b"),
        make(Code::E0101, "c"),
        make(Code::W0602, "d"),
    ];
    errors_last(&mut problems);
    let order: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(order, ["b", "d", "a", "c"]);
}
