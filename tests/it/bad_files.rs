//! Files that are no pipeline: each is refused with its code and its place, and nothing is spent.

use crate::support::{HELLO, Project};

/// Runs a pipeline that has to be refused with this code, saying these things.
#[track_caller]
fn refused(pipeline: impl AsRef<[u8]>, code: &str, parts: &[&str]) {
    let project = Project::new();
    project.write("p.yaml", pipeline);
    let ran = project.run(&["run", "p.yaml"]).exits(3).says(&[code]).says(parts);
    assert!(ran.stdout.is_empty(), "stdout: {}", ran.stdout);
    assert!(ran.stderr.trim_end().ends_with("Exit 3: pipeline, template or config wrong."));
    project.spent_nothing();
}

/// The hello pipeline with one piece replaced.
fn hello(old: &str, new: &str) -> String {
    assert!(HELLO.contains(old), "no `{old}`");
    HELLO.replace(old, new)
}

#[test]
fn an_empty_file() {
    refused("", "E0102", &["p.yaml"]);
    refused("\n# only a comment\n", "E0102", &["p.yaml"]);
}

#[test]
fn a_file_that_is_not_utf8() {
    refused(b"version: 1\nname: caf\xe9\n", "E0102", &["not UTF-8", "p.yaml:2:10"]);
}

#[test]
fn tabs() {
    refused("version: 1\nname: x\nsteps:\n\thello:\n", "E0104", &["p.yaml:4:1"]);
}

#[test]
fn duplicate_keys() {
    refused(hello("name: hello\n", "name: hello\nname: other\n"), "E0103", &["name", "p.yaml:3:1"]);
}

#[test]
fn unknown_keys_get_the_nearest_one() {
    refused(hello("    payment:", "    paymnet:"), "E0201", &["paymnet", "payment"]);
    refused(hello("version: 1", "version: 1\nretries: 3"), "E0201", &["retries"]);
}

/// Anchors, each of them made of the ones before.
fn bomb(leaf: &str, level: impl Fn(usize) -> String) -> String {
    let mut bomb = format!("version: 1\nname: x\na0: &a0 {leaf}\n");
    for at in 1..12 {
        bomb.push_str(&format!("a{at}: &a{at} {}\n", level(at - 1)));
    }
    bomb
}

#[test]
fn a_yaml_bomb_is_refused_within_64_mib_and_little_time() {
    let ten = |text: String| vec![text; 10].join(", ");
    let lists = bomb("[x, x]", |at| format!("[{}]", ten(format!("*a{at}"))));
    let maps = bomb("{ k: x }", |at| {
        let entries: Vec<String> = (0..10).map(|key| format!("k{key}: *a{at}")).collect();
        format!("{{ {} }}", entries.join(", "))
    });
    let long = bomb(&"x".repeat(100_000), |_| format!("[{}]", ten("*a0".to_owned())));
    let deep = format!("version: 1\nname: x\na: {}\n", "[".repeat(100_000));
    let large = format!("version: 1\nname: x\na: {}\n", "x".repeat(20_000_000));
    for bomb in [lists, maps, long, deep, large] {
        let project = Project::with(&bomb);
        project.run_within(64 << 10, 5, &["run", "p.yaml"]).exits(3).says(&["E0107", "help:"]);
        project.spent_nothing();
    }
    // The limit is one: with too little memory there is no reply.
    let starved = Project::with(HELLO).run_within(2 << 10, 5, &["run"]);
    assert!(starved.code > 128, "{starved:?}");
}

#[test]
fn braces_without_quotes() {
    for value in ["{{ params.x }}", "{{ a | default(1, 2) }}", "{{ a }}-{{ b }}"] {
        refused(
            hello("{ message: Hello }", &format!("\n      message: {value}")),
            "E0101",
            &["p.yaml:9:"],
        );
    }
}

#[test]
fn an_unknown_step_param_and_column() {
    let output = |text: &str| hello("steps.hello.output.message", text);
    refused(output("steps.helo.output"), "E0301", &["helo", "hello"]);
    refused(output("params.nope"), "E0302", &["nope"]);
    let project = Project::with(&crate::support::ROWS.replace("item.text", "item.txt"));
    project.write("rows.csv", "id,text\n1,a\n");
    project.run(&["run"]).exits(3).says(&["E0303", "txt", "text"]);
    project.spent_nothing();
}

#[test]
fn a_circle_is_shown_whole() {
    let step = |name: &str, reads: &str| {
        format!(
            "  {name}:\n    source: builtin:echo\n    function: echo\n    payment: 0.001 OGPU\n    \
             data: {{ x: \"{{{{ steps.{reads}.output }}}}\" }}\n"
        )
    };
    let steps = [step("a", "c"), step("b", "a"), step("c", "b")].concat();
    refused(format!("version: 1\nname: x\nsteps:\n{steps}"), "E0304", &["a -> c -> b -> a"]);
}

#[test]
fn a_list_printed_into_text() {
    let pipeline = hello("name: hello", "name: hello\nparams:\n  l: { type: array, default: [1] }");
    let pipeline = pipeline.replace("message: Hello", "message: \"x={{ params.l }}\"");
    refused(pipeline, "E0701", &["tojson"]);
}

#[test]
fn an_undefined_whole_value() {
    let project = Project::with(
        &crate::support::ROWS.replace("rows.csv", "rows.jsonl").replace("item.text", "item.nope"),
    );
    project.write("rows.jsonl", "{\"id\": \"a\", \"text\": \"x\"}\n");
    project.run(&["run"]).exits(3).says(&["E0702", "row 1 of rows.jsonl", "`item.nope`"]);
    project.spent_nothing();
}

#[test]
fn payments_that_are_none() {
    for (payment, code, words) in [
        ("0 OGPU", "E0206", "Payment must be positive"),
        ("-1 OGPU", "E0206", "Payment must be positive"),
        ("1", "E0206", "write a unit: `1 OGPU`"),
        ("1 ETH", "E0206", "`ETH` is not a unit"),
        ("0.0000000000000000001 OGPU", "E0206", "more than 18 digits"),
        ("0.0001 OGPU", "E0412", "asks for at least 0.001 OGPU per task"),
    ] {
        refused(hello("0.001 OGPU", payment), code, &["p.yaml:7:14", words]);
    }
}

#[test]
fn expiries_that_are_none() {
    for (expires, code, words) in [
        ("0s", "E0207", "Expiry time must be in the future"),
        ("-5m", "E0207", "Expiry time must be in the future"),
        ("soon", "E0207", "write a duration"),
        ("30d", "E0413", "takes tasks of at most 1d"),
    ] {
        let pipeline = hello("    payment:", &format!("    expires: {expires}\n    payment:"));
        refused(pipeline, code, &["p.yaml:7:14", words]);
    }
}

#[test]
fn what_a_task_needs_is_asked_for_in_these_words() {
    refused(hello("    source: builtin:echo\n", ""), "E0204", &["Source address is required"]);
    refused(hello("    function: echo\n", ""), "E0204", &["Function name is required"]);
    refused(hello("    data: { message: Hello }\n", ""), "E0204", &["Input data is required"]);
    refused(hello("{ message: Hello }", "{}"), "E0204", &["Input data is required"]);
}

#[test]
fn keys_of_later_versions_are_refused_and_not_ignored() {
    for key in ["canary: 1", "cache: false", "batch: 3", "confirm: cheapest", "group_by: item.x"] {
        let pipeline = hello("    payment:", &format!("    {key}\n    payment:"));
        let name = key.split(':').next().unwrap();
        refused(pipeline, "not supported", &[name, "p.yaml:7:"]);
    }
}

#[test]
fn all_mistakes_come_in_one_go_errors_last() {
    let pipeline = hello("0.001 OGPU", "1").replace("function: echo", "functoin: echo");
    let project = Project::with(&pipeline);
    let ran = project.run(&["check", "--offline", "-q"]).exits(3);
    assert!(ran.stderr.contains("E0201") && ran.stderr.contains("E0206"), "{}", ran.stderr);
    assert!(ran.stderr.contains("errors in p.yaml"), "{}", ran.stderr);
}

#[test]
fn a_source_that_is_none() {
    refused(hello("builtin:echo", "builtin:ecko"), "E0401", &["echo"]);
    let address = "\"0x00000000000000000000000000000000000000aa\"";
    refused(hello("builtin:echo", address), "E0401", &["there is no source"]);
}
