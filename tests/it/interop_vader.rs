//! Real input and real compute: review snippets through VADER behind the real `ogpu.service`.

use std::process::Command;

use serde_json::{Value, json};

use super::interop_kit::{
    Program, Project, Tools, free_port, json_lines, json_of, python, succeed, tools,
};

/// How many of the 3,708 snippets the suite scores.
const ROWS: usize = 300;

/// A service container, and the knobs under which a devnet in process works with it.
struct Container {
    _program: Child,
    knobs: [String; 4],
}

/// A process that prints nothing on stdout when it is ready.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn container(tools: &Tools) -> Container {
    let (port, callbacks) = (free_port(), free_port());
    let mut service = python(tools, "vader_service.py");
    service.env("OGFLOW_SERVICE_PORT", port.to_string());
    service.env("CALLBACK_URL", format!("http://127.0.0.1:{callbacks}/callback"));
    let child = service.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let knobs = [
        "--devnet".into(),
        format!("port={callbacks}"),
        "--devnet".into(),
        format!("service=vader=http://127.0.0.1:{port}"),
    ];
    Container { _program: Child(child.spawn().expect("it starts")), knobs }
}

/// What `vader_check.py` says about the results of the step `score`.
pub(crate) fn check(tools: &Tools, project: &Project, rows: usize) -> Value {
    let results = project.path("results.jsonl");
    let mut export = project.ogflow(["results", "latest", "--step", "score", "--out"]);
    succeed(export.arg(&results));
    let mut check = python(tools, "vader_check.py");
    json_of(check.arg(&results).arg(&tools.reviews).arg(rows.to_string()))
}

#[test]
fn snippets_scored_by_a_real_service_come_back_whole_in_order_and_right() {
    let Some(tools) = tools("VADER behind ogpu.service") else { return };
    let (project, container) = (Project::new(&tools), container(&tools));
    let mut run = project.ogflow(["run", "vader.yaml", "--param"]);
    run.arg(format!("rows={ROWS}")).args(&container.knobs);
    succeed(&mut run);
    let report = check(&tools, &project, ROWS);
    for (fact, value) in [
        ("rows", json!(ROWS)),
        ("results", json!(ROWS)),
        ("in_order", json!(true)),
        ("equal", json!(true)),
    ] {
        assert_eq!(report[fact], value, "{fact}: {report}");
    }
    // The paper reports 0.57 for all of them; any scores but VADER's are far below.
    assert!(report["correlation"].as_f64().unwrap() > 0.4, "{report}");
    let mut signs = project.ogflow(["results", "latest", "--step", "by_sign"]);
    let signs = json_lines(signs.args(["--format", "jsonl"]));
    assert_eq!(signs[0]["output"]["count"], json!(ROWS), "{signs:?}");
}

#[test]
fn a_handler_that_raises_or_refuses_is_silence_until_expiry_and_costs_nothing() {
    let Some(tools) = tools("a service that does not call back") else { return };
    let (project, container) = (Project::new(&tools), container(&tools));
    let pipeline = |function: &str, data: &str| {
        format!(
            "version: 1\nname: silent\nsteps:\n  ask:\n    source: builtin:vader\n    \
             function: {function}\n    payment: 0.001 OGPU\n    expires: 5s\n    \
             retry: {{ max: 0 }}\n    data: {data}\n"
        )
    };
    for (function, data) in
        [("broken", "{ text: x }"), ("nope", "{ text: x }"), ("score", "{ wrong: x }")]
    {
        std::fs::write(project.path("silent.yaml"), pipeline(function, data)).unwrap();
        let mut run: Command = project.ogflow(["run", "silent.yaml", "--new", "--json"]);
        let output = run.args(&container.knobs).output().unwrap();
        let lines = super::interop_kit::text(&output.stdout);
        assert_eq!(output.status.code(), Some(10), "{function}: {lines}");
        let events: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let failed = events.iter().find(|event| event["type"] == "task_failed").unwrap();
        assert_eq!((&failed["reason"], &failed["paid_wei"]), (&json!("expired"), &json!("0")));
    }
}

#[test]
fn a_served_devnet_works_with_a_service_too() {
    let Some(tools) = tools("ogpu.service on `devnet up`") else { return };
    let project = Project::new(&tools);
    let (port, service) = (free_port(), free_port());
    let mut up = project.ogflow(["devnet", "up", "--json", "--service"]);
    up.arg(format!("vader=http://127.0.0.1:{service}")).arg("--port").arg(port.to_string());
    let devnet = Program::start(&mut up);
    assert!(devnet.json()["sources"]["vader"].is_string(), "{}", devnet.ready);
    let mut vader = python(&tools, "vader_service.py");
    vader.env("OGFLOW_SERVICE_PORT", service.to_string());
    vader.env("CALLBACK_URL", format!("http://127.0.0.1:{port}/callback"));
    let quiet = vader.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let _service = Child(quiet.spawn().expect("it starts"));
    succeed(&mut project.ogflow(["run", "vader.yaml", "--param", "rows=10"]));
    let report = check(&tools, &project, 10);
    assert_eq!((&report["in_order"], &report["equal"]), (&json!(true), &json!(true)));
}
