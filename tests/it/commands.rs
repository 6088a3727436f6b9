//! What a new user types first, and what typos get.

use crate::support::{HELLO, Project, ROWS, files, rows};

#[test]
fn the_bare_command_shows_groups_and_a_first_step_that_works() {
    let project = Project::new();
    let screen = project.run(&[]).exits(0);
    assert!(screen.stderr.is_empty());
    for group in ["Start here", "Look", "Money", "Local", "Tools"] {
        assert!(screen.stdout.contains(group), "{}", screen.stdout);
    }
    assert!(screen.stdout.contains("ogflow init hello && cd hello && ogflow run"));
    project.run(&["init", "hello"]).exits(0).says(&["created hello/hello.yaml", "Next: cd hello"]);
    project.run(&["-C", "hello", "run"]).exits(0).prints(&["Hello from OpenGPU"]);
}

#[test]
fn every_template_of_init_runs_as_it_stands() {
    for template in ["hello", "map-csv", "map-reduce", "conversation"] {
        let project = Project::new();
        project.run(&["init", "x", "--template", template]).exits(0);
        project.run(&["-C", "x", "check"]).exits(0);
        let ran = project.run(&["-C", "x", "run"]).exits(0);
        assert!(ran.stdout.contains(" DONE "), "{template}: {}", ran.stdout);
    }
}

#[test]
fn init_never_overwrites_unasked() {
    let project = Project::new();
    project.run(&["init", "hello"]).exits(0);
    project.write("hello/hello.yaml", "mine");
    project.run(&["init", "hello"]).exits(2).says(&["hello.yaml", "--force"]);
    assert_eq!(project.read("hello/hello.yaml"), "mine");
    project.run(&["init", "hello", "--force"]).exits(0).says(&["replaced hello/hello.yaml"]);
    assert_ne!(project.read("hello/hello.yaml"), "mine");
    project.run(&["init", "other"]).exits(2).says(&["--template hello|map-csv"]);
}

#[test]
fn typos_get_a_suggestion() {
    let project = Project::with(HELLO);
    for (args, tip) in [
        (&["plann"][..], "did you mean `ogflow plan`?"),
        (&["p.yaml"], "ogflow run p.yaml"),
        (&["templates", "lsit"], "did you mean `ogflow templates list`?"),
        (&["--netwrok", "devnet", "status"], "--network"),
        (&["help", "exit-code"], "did you mean `ogflow help exit-codes`?"),
        (&["explain", "E0413x"], "E0413"),
        (&["render", "p.yaml", "helo"], "did you mean `hello`?"),
        (&["run", "pp.yaml"], "did you mean `p.yaml`?"),
        (&["run", "--devnet", "fial=5%"], "did you mean `fail`?"),
    ] {
        project.run(args).exits(2).says(&[tip]);
    }
    project.run(&["run", "--network", "tesnet"]).exits(3).says(&["did you mean `testnet`?"]);
}

#[test]
fn commands_of_later_versions_say_so_and_help_does_not_list_them() {
    let project = Project::new();
    let help = project.run(&["--help"]).exits(0).stdout;
    for later in ["confirm", "wallet", "doctor", "eval", "schema", "completions", "config"] {
        project.run(&[later]).exits(2).says(&["not part of this version yet"]);
        assert!(!help.contains(&format!("\n  {later}")), "{later} is listed");
    }
    project.run(&["vault", "withdraw", "1 OGPU"]).exits(2).says(&["not part of this version"]);
}

#[test]
fn help_is_short_and_long_and_has_topics() {
    let project = Project::new();
    for command in
        ["init", "check", "plan", "run", "resume", "status", "results", "render", "graph"]
    {
        let short = project.run(&[command, "-h"]).exits(0).stdout;
        let long = project.run(&[command, "--help"]).exits(0).stdout;
        assert!(long.len() >= short.len() && long.contains("Examples:"), "{command}");
        assert_eq!(project.run(&["help", command]).exits(0).stderr, "");
    }
    for topic in ["exit-codes", "environment", "expressions", "money", "json"] {
        let text = project.run(&["help", topic]).exits(0).stdout;
        assert!(text.lines().count() > 5 && text.lines().all(|line| line.chars().count() <= 80));
    }
    project.run(&["help", "exit-codes"]).exits(0).prints(&["75  locked by another process"]);
}

#[test]
fn explain_tells_more_than_the_message() {
    let project = Project::new();
    project.run(&["explain", "e0412"]).exits(0).prints(&["E0412", "minimum"]);
    let all = project.run(&["explain"]).exits(0).stdout;
    assert!(all.lines().count() > 40 && all.contains("W0601"));
}

#[test]
fn render_prints_the_bytes_and_opens_no_socket() {
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(3));
    let ran = project.run(&["render", "p.yaml", "each", "--item", "r-1"]).exits(0);
    let zeros = "0".repeat(32);
    assert_eq!(
        ran.stdout,
        format!(
            "{{\"data\":{{\"text\":\"text 1\"}},\"function_name\":\"echo\",\"ogflow\":\"{zeros}\"}}\n"
        )
    );
    assert!(ran.stderr.contains("bytes") && ran.stderr.contains("play money"));
    project.run(&["render", "p.yaml", "each", "--item", "nope"]).exits(2);
    assert!(!project.path().join(".ogflow").exists());
}

#[test]
fn plan_writes_nothing_at_all() {
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(3));
    let before = files(&project.path());
    for args in [&["plan"][..], &["plan", "--json"], &["plan", "--format", "md"], &["check"]] {
        project.run(args).exits(0);
    }
    assert_eq!(files(&project.path()), before);
}

#[test]
fn a_plan_has_three_forms_and_samples() {
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(3));
    project.run(&["plan"]).exits(0).prints(&["each", "3 rows", "play money", "TOTAL", "signer"]);
    project.run(&["plan", "--format", "md"]).exits(0).prints(&["## Plan of `rows`", "| each |"]);
    let json = project.run(&["plan", "--json"]).exits(0).json();
    assert_eq!(json["schema"], "ogflow.plan/v1");
    assert_eq!(json["totals"]["payment_wei"]["max"], "3000000000000000");
    let fields = project.run(&["plan", "--json=schema,totals"]).exits(0).json();
    assert_eq!(fields.as_object().unwrap().len(), 2);
    project.run(&["plan", "--json=totls"]).exits(2).says(&["did you mean `totals`?"]);
    let sampled = project.run(&["plan", "--sample", "2"]).exits(0).stdout;
    assert!(
        sampled.contains("each/r-0")
            && sampled.contains("each/r-1")
            && !sampled.contains("each/r-2")
    );
}

#[test]
fn check_has_forms_for_people_machines_and_github() {
    let project = Project::with(&HELLO.replace("0.001 OGPU", "1"));
    project.run(&["check", "--offline"]).exits(3).says(&[
        "E0206",
        "p.yaml:7:14",
        "help:",
        "1 error in p.yaml",
    ]);
    let ran = project.run(&["check", "--offline", "--format", "github"]).exits(3);
    assert!(
        ran.stdout.starts_with("::error file=p.yaml,line=7,col=14,title=E0206::"),
        "{}",
        ran.stdout
    );
    let json = project.run(&["check", "--offline", "--json"]).exits(3).json();
    assert_eq!((&json["schema"], &json["valid"]), (&"ogflow.check/v1".into(), &false.into()));
    project.write("p.yaml", HELLO);
    project.run(&["check"]).exits(0).says(&["Task configuration valid: 0 errors", "(1 step)"]);
}

#[test]
fn denied_warnings_are_errors() {
    let pipeline = HELLO.replace("    payment: 0.001 OGPU\n", "");
    let project = Project::with(&pipeline);
    project.run(&["check", "--offline"]).exits(0).says(&["W0608"]);
    project.run(&["check", "--offline", "--deny", "warnings"]).exits(3).says(&["1 warning"]);
}

#[test]
fn graphs_come_as_text_and_mermaid() {
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(3));
    project.run(&["graph"]).exits(0).prints(&["rows.csv ──▶ each"]);
    let mermaid = project.run(&["graph", "--format", "mermaid"]).exits(0).stdout;
    assert!(mermaid.starts_with("flowchart LR\n") && mermaid.contains("n0 --> n1"));
    assert!(project.run(&["graph", "--ascii"]).exits(0).stdout.is_ascii());
}

#[test]
fn templates_are_listed_and_shown_without_opening_a_file() {
    let project = Project::new();
    project.run(&["init", "r", "--template", "map-csv"]).exits(0);
    let list = project.run(&["-C", "r", "templates", "list"]).exits(0);
    list.prints(&["classify", "project", "builtin:openchat-text2text", "built in"]);
    let show = project.run(&["-C", "r", "templates", "show", "classify"]).exits(0);
    show.prints(&[
        "labels: array, required",
        "Allowed labels.",
        "confidence",
        "uses: ./templates/",
    ]);
    let json = project.run(&["-C", "r", "templates", "show", "classify", "--json"]).exits(0).json();
    assert_eq!(json["inputs"]["stars"]["default"], serde_json::Value::Null);
    project.run(&["-C", "r", "templates", "show", "clasify"]).exits(2).says(&["classify"]);
}

#[test]
fn a_file_left_out_is_the_only_pipeline_or_a_question() {
    let project = Project::with(HELLO);
    project.run(&["check", "--offline"]).exits(0);
    project.write("q.yaml", HELLO);
    project.run(&["check"]).exits(2).says(&["name one: p.yaml, q.yaml"]);
    project.write("ogflow.toml", "pipeline = \"q.yaml\"\n");
    project.run(&["check", "--offline"]).exits(0).says(&["q.yaml"]);
    Project::new().run(&["run"]).exits(2).says(&["no pipeline in this folder"]);
}

#[test]
fn params_come_from_flags_and_files_and_bad_ones_are_exit_2() {
    let pipeline = HELLO
        .replace("name: hello", "name: hello\nparams:\n  n: { type: integer, default: 1 }")
        .replace("message: Hello", "message: \"{{ params.n }}\"");
    let project = Project::with(&pipeline);
    project.write("v.yaml", "n: 5\n");
    let rendered = |args: &[&str]| {
        let all = [&["render", "p.yaml", "hello"], args].concat();
        project.run(&all).exits(0).json()["data"]["message"].clone()
    };
    assert_eq!(rendered(&[]), 1);
    assert_eq!(rendered(&["--params", "v.yaml"]), 5);
    assert_eq!(rendered(&["--params", "v.yaml", "--param", "n=7"]), 7);
    project.run(&["run", "--param", "n=x"]).exits(2).says(&["E0315"]);
    project.run(&["run", "--param", "n"]).exits(2).says(&["NAME=VALUE"]);
}
