//! What is said about files that break a rule of the language: code, line, column, marked text,
//! and a piece of the help.

use super::*;

#[test]
fn a_step_without_its_parts_is_told_in_the_order_and_words_of_the_source_pages() {
    assert_told(
        &one_step("    payment: 0 OGPU\n    expires: 0s\n    functoin: x\n"),
        &Files::default(),
        &[
            ("E0204", 4, 3, "a", "Source address is required"),
            ("E0204", 4, 3, "a", "Function name is required"),
            ("E0204", 4, 3, "a", "Input data is required"),
            ("E0206", 5, 14, "0 OGPU", "Payment must be positive"),
            ("E0207", 6, 14, "0s", "Expiry must be future"),
            ("E0201", 7, 5, "functoin", "did you mean `function`?"),
        ],
    );
}

#[test]
fn empty_parts_count_as_missing() {
    for (from, to, expected) in [
        ("builtin:echo", "\"\"", ("E0204", 5, 13, "\"\"", "Source address is required")),
        ("function: echo", "function: \"\"", ("E0204", 6, 15, "\"\"", "Function name is required")),
        ("function: echo", "function:", ("E0204", 4, 3, "a", "Function name is required")),
        ("{ a: 1 }", "{}", ("E0204", 8, 11, "{}", "Input data is required")),
        ("data: { a: 1 }", "data:", ("E0204", 4, 3, "a", "Input data is required")),
    ] {
        assert_told(&step_with("").replace(from, to), &Files::default(), &[expected]);
    }
}

#[test]
fn bad_money_is_told_with_what_is_wrong_about_it() {
    for (money, words) in [
        ("1", "write a unit"),
        ("1 ETH", "`ETH` is not a unit"),
        ("-1 OGPU", "Payment must be greater than 0"),
        ("0 wei", "Payment must be greater than 0"),
        ("0.0000000000000000001 OGPU", "more than 18 digits"),
        ("cheap", "`simple`"),
        ("simpel", "did you mean `simple`?"),
    ] {
        let text = step_with("").replace("0.001 OGPU", money);
        assert_told(&text, &Files::default(), &[("E0206", 7, 14, leak(money), words)]);
    }
    let text = format!("{}budget: {{ max_per_task: 0.0005 OGPU }}\n", step_with(""));
    assert_told(&text, &Files::default(), &[("E0206", 7, 14, "0.001 OGPU", "max_per_task")]);
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

#[test]
fn what_comes_later_is_refused_at_its_key() {
    for (key, marked) in [
        ("matrix: { tone: [short, long] }", "matrix"),
        ("group_by: item.topic\n    extra: { topic: \"{{ group.key }}\" }", "group_by"),
        ("batch: 5", "batch"),
        ("canary: 1", "canary"),
        ("redundancy: { mode: tasks, count: 2 }", "redundancy"),
        ("cache: true", "cache"),
    ] {
        let text = step_with(&format!("    {key}\n"));
        assert_told(&text, &Files::default(), &[("E0214", 9, 5, marked, "not supported yet")]);
    }
    for policy in ["cheapest", "agreement", "manual"] {
        let text = step_with(&format!("    confirm: {policy}\n"));
        assert_told(&text, &Files::default(), &[("E0214", 9, 14, policy, "not supported yet")]);
    }
    clean(&step_with("    confirm: first_valid\n"), &Files::default());
    let text = format!("{}notify: {{ webhook: https://x.example.org }}\n", step_with(""));
    assert_told(&text, &Files::default(), &[("E0214", 9, 1, "notify", "not supported yet")]);
}

#[test]
fn a_word_of_yaml_1_1_is_no_boolean() {
    let text = format!("{}tag: yes\n", step_with(""));
    assert_told(&text, &Files::default(), &[("E0106", 9, 6, "yes", "write `true` or `false`")]);
}

#[test]
fn names_in_expressions_are_found_or_told_with_a_suggestion() {
    let cases: &[(&str, Expected)] = &[
        ("item.txt", ("E0303", 9, 19, "txt", "did you mean `text`?")),
        ("params.lable", ("E0302", 9, 21, "lable", "did you mean `label`?")),
        ("steps.sumarise.count", ("E0301", 9, 20, "sumarise", "there is no step")),
        ("steps.z.output", ("E0305", 9, 22, "output", "`steps.z.outputs`")),
        ("steps.z.reslts", ("E0302", 9, 22, "reslts", "did you mean `results`?")),
        ("itm.text", ("E0302", 9, 14, "itm", "did you mean `item`?")),
        ("output.x", ("E0314", 9, 14, "output", "only in `accept`")),
        ("run.id", ("E0314", 9, 14, "run", "visible here")),
        ("secrets.TOKEN", ("E0501", 9, 14, "secrets.TOKEN", "public")),
        ("env('HOME')", ("E0502", 9, 14, "env", "default")),
        ("group.key", ("E0214", 9, 14, "group", "not supported yet")),
        ("index", ("W0710", 9, 14, "index", "position")),
    ];
    let z = "  z: { source: builtin:echo, function: echo, payment: minimum, data: { x: 1 }, \
             foreach: [1] }\n";
    for (expression, expected) in cases {
        let text = one_step(&format!(
            "    source: builtin:echo\n    function: echo\n    payment: minimum\n    data:\n      \
             x: \"{{{{ {expression} }}}}\"\n    foreach: {{ file: data/r.csv }}\n"
        ));
        let text = format!("{text}{z}params: {{ label: {{ default: x }} }}\n");
        assert_told(&text, &rows(), &[*expected]);
    }
}

#[test]
fn an_output_never_reaches_money_a_source_or_a_path() {
    let later = |key: &str| {
        format!(
            "{}  b:\n    source: builtin:echo\n    function: echo\n    data: {{ x: 1 }}\n    {key}\n",
            step_with("    foreach: [1]\n")
        )
    };
    for (key, column, marked) in [
        ("payment: \"{{ steps.a.outputs[0] }}\"", 18, "steps.a.outputs"),
        ("payment: minimum\n    expires: \"{{ steps.a.count }}s\"", 18, "steps.a.count"),
        ("payment: minimum\n    save: \"{{ steps.a.count }}\"", 15, "steps.a.count"),
    ] {
        let line = 14 + key.matches('\n').count();
        assert_told(
            &later(key),
            &Files::default(),
            &[("E0503", line, column, marked, "data only")],
        );
    }
    let text = later("payment: \"{{ item.output.price }}\"\n    foreach: steps.a.results");
    assert_told(&text, &Files::default(), &[("E0503", 14, 18, "item.output.price", "providers")]);
    let text = later("payment: minimum").replace(
        "builtin:echo\n    function: echo\n    data: { x",
        "\"{{ steps.a.outputs }}\"\n    function: echo\n    data: { x",
    );
    assert_told(&text, &Files::default(), &[("E0503", 11, 17, "steps.a.outputs", "data only")]);
}

#[test]
fn a_circle_is_printed_whole() {
    let step = |name: &str, reads: &str| {
        format!(
            "  {name}:\n    source: builtin:echo\n    function: echo\n    payment: minimum\n    \
                 data: {{ x: \"{{{{ steps.{reads}.output }}}}\" }}\n"
        )
    };
    let text = format!(
        "version: 1\nname: t\nsteps:\n{}{}{}",
        step("a", "b"),
        step("b", "c"),
        step("c", "a")
    );
    assert_told(
        &text,
        &Files::default(),
        &[("E0304", 18, 20, "steps.a.output", "a -> b -> c -> a")],
    );
    let text = step_with("    needs: [a]\n");
    assert_told(&text, &Files::default(), &[("E0304", 9, 13, "a", "a -> a")]);
}

const TOP_KEYS: &[(&str, Expected)] = &[
    ("version: 2\nname: t\n", ("E0211", 1, 10, "2", "`version: 1`")),
    ("version: \"1\"\nname: t\n", ("E0211", 1, 10, "\"1\"", "`version: 1`")),
    ("name: t\n", ("E0211", 1, 1, "name", "`version` is missing")),
    ("version: 1\nkind: template\nname: t\n", ("E0211", 2, 7, "template", "uses")),
    ("version: 1\nname: My Pipeline\n", ("E0205", 2, 7, "My Pipeline", "small letters")),
    ("version: 1\nname: 5\n", ("E0202", 2, 7, "5", "quotes")),
    ("version: 1\nname: t\nparms: {}\n", ("E0201", 3, 1, "parms", "did you mean `params`?")),
    ("version: 1\nname: t\nparams: []\n", ("E0202", 3, 9, "[]", "a map")),
    ("version: 1\nname: t\nparams: { N: {} }\n", ("E0205", 3, 11, "N", "small letters")),
    ("version: 1\nname: t\nparams: { n: { type: int } }\n", ("E0212", 3, 22, "int", "not valid")),
    (
        "version: 1\nname: t\nparams: { n: { tpye: integer, default: 1 } }\n",
        ("E0212", 3, 16, "tpye", "did you mean `type`?"),
    ),
    (
        "version: 1\nname: t\nparams: { n: { type: integer, default: x } }\n",
        ("E0315", 3, 40, "x", "does not fit"),
    ),
    (
        "version: 1\nname: t\nparams: { n: { type: integer } }\n",
        ("E0315", 3, 11, "n", "--param n="),
    ),
    (
        "version: 1\nname: t\nsources: { Llm: builtin:llm }\n",
        ("E0205", 3, 12, "Llm", "small letters"),
    ),
    (
        "version: 1\nname: t\nsources: { llm: 0x5B38Da6a701c568545dCfcB03FcB875f56beddC4 }\n",
        ("E0209", 3, 17, "0x5B38Da6a701c568545dCfcB03FcB875f56beddC4", "quotes"),
    ),
    (
        "version: 1\nname: t\nsources: { llm: \"0x5b38Da6a701c568545dCfcB03FcB875f56beddC4\" }\n",
        ("E0209", 3, 17, "\"0x5b38Da6a701c568545dCfcB03FcB875f56beddC4\"", "checksum"),
    ),
    ("version: 1\nname: t\nbudget: { max: 8 }\n", ("E0206", 3, 16, "8", "write a unit")),
    ("version: 1\nname: t\nbudget: { on_exceed: wait }\n", ("E0210", 3, 22, "wait", "`pause`")),
    ("version: 1\nname: t\nlimits: { publish_rate: 5 }\n", ("E0207", 3, 25, "5", "write a rate")),
    ("version: 1\nname: t\nlimits: { burst: 0 }\n", ("E0208", 3, 18, "0", "1 or more")),
    (
        "version: 1\nname: t\nlimits: { in_flight: 12:30:00 }\n",
        ("E0202", 3, 22, "12:30:00", "whole number"),
    ),
    (
        "version: 1\nname: t\ndefaults: { data: { x: 1 } }\n",
        ("E0201", 3, 13, "data", "the keys here are"),
    ),
    ("version: 1\nname: t\nsecrets: [token]\n", ("E0205", 3, 11, "token", "A-Z")),
    (
        "version: 1\nname: t\noutputs: { x: \"{{ steps.b.output }}\" }\n",
        ("E0301", 3, 25, "b", "there is no step"),
    ),
    (
        "version: 1\nname: t\noutputs: { x: \"{{ item.x }}\" }\n",
        ("E0314", 3, 19, "item", "per item"),
    ),
];

#[test]
fn keys_above_the_steps_are_checked() {
    let steps =
        "steps:\n  a: { source: builtin:echo, function: echo, payment: minimum, data: { x: 1 } }\n";
    for (head, expected) in TOP_KEYS {
        assert_told(&format!("{head}{steps}"), &Files::default(), &[*expected]);
    }
    assert_told(
        "version: 1\nname: t\n",
        &Files::default(),
        &[("E0204", 1, 1, "version: 1", "`steps`")],
    );
    assert_told(
        "version: 1\nname: t\nsteps: {}\n",
        &Files::default(),
        &[("E0204", 3, 8, "{}", "at least one")],
    );
    assert_told("- a\n- b\n", &Files::default(), &[("E0202", 1, 1, "- a", "a map of keys")]);
    assert_told(
        "version: 1\nname: t\nsteps:\n  A: 1\n",
        &Files::default(),
        &[("E0205", 4, 3, "A", "small letters"), ("E0202", 4, 6, "1", "a map")],
    );
}

#[test]
fn sources_are_quoted_known_and_on_this_network() {
    let cases: &[(&str, Expected)] = &[
        ("0xff", ("E0209", 5, 13, "0xff", "quotes")),
        ("\"0xff\"", ("E0209", 5, 13, "\"0xff\"", "2 hex digits")),
        ("llm", ("E0302", 5, 13, "llm", "under `sources`")),
        ("\"builtin:\"", ("E0209", 5, 13, "\"builtin:\"", "names no source")),
    ];
    for (source, expected) in cases {
        assert_told(
            &step_with("").replace("builtin:echo", source),
            &Files::default(),
            &[*expected],
        );
    }
    let aliases = "sources:\n  llm: { devnet: builtin:llm }\n";
    let text = format!("{}{aliases}", step_with("").replace("builtin:echo", "lml"));
    assert_told(&text, &Files::default(), &[("E0302", 5, 13, "lml", "did you mean `llm`?")]);

    let text = format!("{}{aliases}", step_with("").replace("builtin:echo", "llm"));
    let on_mainnet = checked_on(&Network::mainnet(), &text, &Files::default(), &[]).1;
    let found: Vec<_> = on_mainnet.iter().map(told).collect();
    assert_eq!(found, [("W0601", 2, 1, "name".to_owned()), ("E0312", 10, 3, "llm".to_owned()),]);
    let on_testnet = checked_on(&Network::testnet(), &step_with(""), &Files::default(), &[]).1;
    assert_eq!(told(&on_testnet[0]), ("E0209", 5, 13, "builtin:echo".into()));
}

#[test]
fn what_is_given_to_a_template_is_checked_before_anything_runs() {
    let files = rows().with("t/c.yaml", include_str!("../../../../templates/classify.yaml"));
    let uses = |with: &str| {
        one_step(&format!(
            "    uses: t/c.yaml\n    source: builtin:llm\n    payment: minimum\n    foreach: {{ file: \
             data/r.csv }}\n    with: {with}\n"
        ))
    };
    let cases: &[(&str, Expected)] = &[
        ("{ text: x }", ("E0311", 9, 11, "{ text: x }", "needs a value for its input `labels`")),
        ("{ text: x, labels: [a] }", ("E0311", 9, 30, "[a]", "`labels`")),
        ("{ text: x, labels: [a, 5] }", ("E0311", 9, 34, "5", "/1")),
        ("{ txt: x, labels: [a, b], text: y }", ("E0311", 9, 13, "txt", "did you mean `text`?")),
        (
            "{ text: \"{{ item.txt }}\", labels: [a, b] }",
            ("E0303", 9, 28, "txt", "did you mean `text`?"),
        ),
    ];
    for (with, expected) in cases {
        assert_told(&uses(with), &files, &[*expected]);
    }
    let both = format!("{}    data: {{ x: 1 }}\n", uses("{ text: x, labels: [a, b] }"));
    assert_told(&both, &files, &[("E0203", 10, 5, "data", "exclude each other")]);
    let text = uses("{}").replace("t/c.yaml", "builtin:hf-inferense");
    assert_told(
        &text,
        &files,
        &[("E0302", 5, 11, "builtin:hf-inferense", "did you mean `builtin:hf-inference`?")],
    );
    let text = uses("{ input: [a, b] }").replace("t/c.yaml", "builtin:hf-inference");
    assert_told(&text, &files, &[("E0311", 9, 20, "[a, b]", "`input`")]);
    let text = uses("{}").replace("t/c.yaml", "classify");
    assert_told(&text, &files, &[("E0307", 5, 11, "classify", "./templates/classify.yaml")]);
}

#[test]
fn a_broken_template_is_told_in_its_own_file() {
    let template = "version: 1\nkind: template\nname: c\ninputs: { text: { type: string } }\ntask:\n  \
                    function: chat\n  data: { x: \"{{ inputs.txt }}\", y: \"{{ params.n }}\" }\n  source: llm\n";
    let files = rows().with("t/c.yaml", template);
    let text = one_step(
        "    uses: t/c.yaml\n    source: builtin:llm\n    payment: minimum\n    with: { text: x }\n",
    );
    let (_, problems) = checked(&text, &files);
    let found: Vec<_> = problems.iter().map(|p| (p.file.name.as_str(), told(p))).collect();
    assert_eq!(
        found,
        [
            ("t/c.yaml", ("E0302", 7, 25, "txt".to_owned())),
            ("t/c.yaml", ("E0314", 7, 41, "params".to_owned())),
            ("t/c.yaml", ("E0201", 8, 3, "source".to_owned())),
        ]
    );
}

#[test]
fn a_file_that_is_no_table_is_told_at_its_path() {
    for (bytes, words) in
        [(&b""[..], "empty"), (&b"id,id\n1,2\n"[..], "twice"), (&b"id,\xff\n"[..], "UTF-8")]
    {
        let files = Files::default().with("r.csv", bytes);
        let text = step_with("    foreach: { file: r.csv }\n");
        assert_told(&text, &files, &[("E0307", 9, 22, "r.csv", words)]);
    }
}

#[test]
fn params_given_on_the_command_line_are_checked() {
    let text =
        format!("{}params: {{ n: {{ type: integer, maximum: 5, default: 1 }} }}\n", step_with(""));
    let given = |name: &str, value: &str| {
        let params = [(name.to_owned(), ParamValue::Text(value.to_owned()))];
        let problems = checked_on(&Network::devnet(), &text, &Files::default(), &params).1;
        (
            problems[0].code,
            problems[0].message.clone(),
            problems[0].help.clone().unwrap_or_default(),
        )
    };
    assert!(given("n", "6").1.contains("does not fit"));
    assert!(given("n", "x").1.contains("does not fit"));
    assert_eq!(given("m", "1").2, "the params are `n`");
    assert_eq!(given("m", "1").0, Code::E0315);
}

#[test]
fn warnings_are_given_and_stop_nothing() {
    let cases: &[(&str, Expected)] = &[
        ("complexity: complex", ("W0604", 7, 14, "0.001 OGPU", "0.02")),
        ("retry: { max_payment: 0.0005 OGPU }", ("W0603", 9, 27, "0.0005 OGPU", "below")),
    ];
    for (key, expected) in cases {
        assert_told(&step_with(&format!("    {key}\n")), &Files::default(), &[*expected]);
    }
    let text = step_with("").replace("    payment: 0.001 OGPU\n", "");
    assert_told(&text, &Files::default(), &[("W0608", 4, 3, "a", "0.01 OGPU")]);
    let text = step_with("").replace("{ a: 1 }", "\n      x: |\n        {{ params }}\n");
    assert_told(&text, &Files::default(), &[("W0711", 10, 9, "{{ params }}", "one line")]);
    let text = format!(
        "{}  b:\n    source: builtin:echo\n    function: echo\n    payment: minimum\n    foreach: \
         steps.a.output.parts\n    data: {{ x: 1 }}\n",
        step_with("")
    );
    assert_told(&text, &Files::default(), &[("W0602", 9, 3, "b", "max_items")]);
}

#[test]
fn five_mistakes_are_told_in_one_go_warnings_first() {
    let text = "version: 1\nname: T\nsteps:\n  a:\n    source: llm\n    function: f\n    data: { x: \
                \"{{ item.x }}\" }\n    expires: 1\n    if: nope\n";
    let (_, problems) = checked(text, &Files::default());
    let codes: Vec<_> = problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["W0608", "E0205", "E0302", "E0314", "E0207", "E0302"]);
}
