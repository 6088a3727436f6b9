//! What is said about YAML that cannot be read: code, place, marked text.

use super::*;

/// Code, line, column and marked text of every problem of the YAML layer.
fn read(text: &str) -> Vec<(&'static str, usize, usize, String)> {
    let (_, problems) = document::read(&SourceText::new("p.yaml", text));
    problems.iter().map(told).collect()
}

fn one(text: &str) -> (&'static str, usize, usize, String) {
    let mut problems = read(text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn unquoted_braces_are_marked_in_all_their_forms() {
    for (text, line, column, marked) in [
        ("a: {{ x }}\n", 1, 4, "{{ x }}"),
        ("a: {{ x | default(1, 2) }}\n", 1, 4, "{{ x | default(1, 2) }}"),
        ("a: {{ a }}-{{ b }}\n", 1, 4, "{{ a }}-{{ b }}"),
        ("a: {{ x }} and more\nb: 1\n", 1, 4, "{{ x }} and more"),
        ("a:\n  - {{ x }}\n  - b\n", 2, 5, "{{ x }}"),
        ("a: {b: {{ x }}, c: 1}\n", 1, 8, "{{ x }}"),
        ("a: {{ x }} # why\n", 1, 4, "{{ x }}"),
        ("a: {{ x['k'] }}\n", 1, 4, "{{ x['k'] }}"),
        ("a: {{ x\n", 1, 4, "{{ x"),
        ("é: {{ x }}\n", 1, 4, "{{ x }}"),
    ] {
        assert_eq!(one(text), ("E0101", line, column, marked.into()), "{text}");
    }
}

#[test]
fn every_unquoted_brace_of_a_file_is_told_in_one_go() {
    let found = read("a: {{ x }}\nb: 1\nc: {{ y }}-{{ z }}\nd:\n  e: {{ w }}\n");
    assert_eq!(
        found.iter().map(|p| (p.0, p.1)).collect::<Vec<_>>(),
        [("E0101", 1), ("E0101", 3), ("E0101", 5)]
    );
}

#[test]
fn the_help_for_unquoted_braces_can_be_pasted() {
    let help = |text: &str| {
        let (_, problems) = document::read(&SourceText::new("p.yaml", text));
        problems[0].help.clone().unwrap_or_default()
    };
    assert!(help("a: {{ x }}-{{ y }}\n").ends_with("\"{{ x }}-{{ y }}\""));
    assert!(help("a: {{ x[\"k\"] }}\n").ends_with("'{{ x[\"k\"] }}'"));
}

#[test]
fn tabs_duplicates_and_stray_colons_have_codes_of_their_own() {
    for (text, expected) in [
        ("a:\n\tb: 1\n", ("E0104", 2, 1, "\t")),
        ("a:\n  b: 1\n\tc: 2\n", ("E0104", 3, 1, "\t")),
        ("a: |\n\tx\n", ("E0104", 2, 1, "\t")),
        ("a: {x: 1}\n\tb: 2\n", ("E0104", 2, 1, "\t")),
        ("a: 1\nb: 2\na: 3\n", ("E0103", 3, 1, "a")),
        ("a: Explain this: now\n", ("E0105", 1, 16, ":")),
        ("a: one # two\n  three\n", ("E0105", 1, 8, "#")),
        ("a: 'x\nb: 2\n", ("E0102", 1, 4, "'")),
        ("a: [1, 2\n", ("E0102", 1, 4, "[1,")),
        ("a: @x\n", ("E0102", 1, 4, "@x")),
        ("a:\n  b: 1\n c: 2\n", ("E0102", 3, 2, "c:")),
        ("a: !!int 3\n", ("E0102", 1, 4, "!!int")),
        ("a: 1\n---\nb: 2\n", ("E0102", 2, 1, "---")),
        ("a: *nobody\n", ("E0102", 1, 4, "*nobody")),
        ("? [a]\n: 1\n", ("E0102", 1, 3, "[a]")),
    ] {
        let (code, line, column, marked) = expected;
        assert_eq!(one(text), (code, line, column, marked.into()), "{text}");
    }
}

#[test]
fn all_duplicates_of_a_file_are_told() {
    assert_eq!(read("a: 1\na: 2\nb: {c: 1, c: 2}\n").len(), 2);
}

#[test]
fn a_file_without_a_value_says_so() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "\u{feff}"] {
        let (root, problems) = document::read(&SourceText::new("p.yaml", text));
        assert!(root.is_none() || problems.is_empty(), "{text:?}");
        let (pipeline, problems) = checked(text, &Files::default());
        assert!(pipeline.is_none());
        assert_eq!(problems.len(), 1, "{text:?}: {problems:?}");
    }
}

#[test]
fn a_byte_order_mark_and_dos_line_ends_are_read() {
    let text = step_with("").replace('\n', "\r\n");
    clean(&format!("\u{feff}{text}"), &Files::default());
}

#[test]
fn the_caret_sits_under_the_wrong_name_in_every_kind_of_scalar() {
    for (data, line, column, marked) in [
        ("{ x: \"{{ params.nope }}\" }", 8, 27, "nope"),
        ("{ x: 'é {{ params.nope }}' }", 8, 29, "nope"),
        ("\n      x: Hello {{ params.nope }} there", 9, 26, "nope"),
        (
            "\n      x: |\n        First line.\n\n          Indented: {{ params.nope }}",
            12,
            31,
            "nope",
        ),
        ("\n      x: >-\n        folded\n        {{ params.nope }} text", 11, 19, "nope"),
        ("\n      x: \"two lines\n        {{ params.nope }}\"", 10, 19, "nope"),
        // Escapes move what follows them, so the whole scalar is marked.
        ("{ x: \"a\\n{{ params.nope }}\" }", 8, 16, "\"a\\n{{ params.nope }}\""),
        ("{ x: 'it''s {{ params.nope }}' }", 8, 16, "'it''s {{ params.nope }}'"),
    ] {
        let (_, problems) = checked(&step_with("").replace("{ a: 1 }", data), &Files::default());
        let found: Vec<_> = problems.iter().map(told).collect();
        assert_eq!(found, [("E0302", line, column, marked.to_owned())], "{data}");
    }
}

#[test]
fn aliases_stand_for_what_they_name() {
    let text = step_with("").replace("{ a: 1 }", "{ a: &x [1, 2], b: *x }");
    let pipeline = clean(&text, &Files::default());
    let body = pipeline.steps[0].task.render(&pipeline.scope()).unwrap();
    assert_eq!(body.data["b"], serde_json::json!([1, 2]));
}
