//! Files made to hurt: bombs, depth, size, and any text at all.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

fn code_of(text: &str) -> &'static str {
    let (pipeline, problems) = checked(text, &Files::default());
    assert!(pipeline.is_none());
    problems.last().map_or("", |problem| problem.code.as_str())
}

#[test]
fn a_bomb_of_aliases_is_refused_while_it_is_small() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let below = level - 1;
        let list = vec![format!("*a{below}"); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{list}]").unwrap();
    }
    assert_eq!(code_of(&bomb), "E0107");
    let text = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(500_000), "*a, ".repeat(10_000));
    assert_eq!(code_of(&text), "E0107", "one long text, many times");
}

#[test]
fn depth_and_size_have_limits() {
    assert_eq!(code_of(&"[".repeat(200_000)), "E0107");
    assert_eq!(code_of(&format!("a: {}1{}", "[".repeat(65), "]".repeat(65))), "E0107");
    assert_eq!(code_of(&"{a: ".repeat(100_000)), "E0107");
    let mut steps = String::new();
    for level in 0..200 {
        writeln!(steps, "{}a:", " ".repeat(level)).unwrap();
    }
    assert_eq!(code_of(&steps), "E0107");
    assert_eq!(code_of(&"x".repeat(document::MAX_BYTES + 1)), "E0107");
    assert_eq!(code_of(&format!("[{}]", "1,".repeat(200_000))), "E0107");
}

#[test]
fn a_text_with_very_many_expressions_is_read_in_one_pass() {
    // Finding each place from the start of the text would take hours.
    let text = "{{ params.nope }} ".repeat(50_000);
    let data = step_with("").replace("{ a: 1 }", &format!("{{ a: \"{text}\" }}"));
    let (pipeline, problems) = checked(&data, &Files::default());
    assert!(pipeline.is_none());
    assert_eq!(problems.len(), MAX_PROBLEMS + 1);
    assert!(problems.last().unwrap().message.starts_with("not shown: "));
}

#[test]
fn an_alias_inside_of_what_it_names_is_refused() {
    assert_eq!(code_of("a: &a [*a]\n"), "E0107");
}

/// Pieces that mean something to YAML or to the language, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "version: 1\n",
        "name: t\n",
        "steps:\n",
        "  a:\n",
        "    data: ",
        "    foreach: ",
        "{{ ",
        " }}",
        "item.x",
        "steps.a.output",
        "params.n",
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        "\n",
        "\t",
        "  ",
        "\"",
        "'",
        "|\n",
        ">-\n",
        "&x ",
        "*x",
        "!!str ",
        "? ",
        "#",
        "0x1",
        "é",
        "\u{202e}",
        "1e999",
        "~",
        "%",
        "@",
        "---\n",
        "\r\n",
        "source: builtin:echo\n",
        "payment: 1 OGPU\n",
        "<<: *x\n",
        "when: [",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_text_makes_the_check_panic_and_a_refusal_always_says_why(text in pieces()) {
        let (pipeline, problems) = checked(&text, &Files::default());
        prop_assert!(pipeline.is_some() || !problems.is_empty());
        for problem in problems {
            prop_assert!(problem.render(Look::default()).contains(problem.code.as_str()));
        }
    }

    #[test]
    fn no_characters_at_all_make_the_check_panic(text in "\\PC{0,80}") {
        let (_, problems) = checked(&text, &Files::default());
        prop_assert!(!problems.is_empty());
    }
}
