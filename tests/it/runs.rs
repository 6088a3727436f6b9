//! Runs: what they leave, how they stop, how they go on.

use rustix::process::Signal;
use serde_json::json;

use crate::support::{HELLO, Net, Project, ROWS, rows};

fn with_rows(count: usize) -> Project {
    let project = Project::with(ROWS);
    project.write("rows.csv", rows(count));
    project
}

#[test]
fn a_run_leaves_outputs_a_summary_and_the_next_command() {
    let project = Project::with(HELLO);
    let ran = project.run(&["run"]).exits(0);
    assert!(ran.stdout.contains(" DONE  hello") && ran.stdout.contains("outputs.said  \"Hello\""));
    assert!(
        ran.stderr.contains("play money")
            && ran.stderr.trim_end().ends_with("Next: ogflow results")
    );
    let row = &project.run(&["results"]).exits(0).lines()[0];
    assert_eq!((&row["key"], &row["output"]["message"]), (&json!("hello"), &json!("Hello")));
    assert_eq!(row["paid_wei"], "1000000000000000");
}

#[test]
fn the_event_stream_is_json_to_its_last_line_and_says_how_it_ended() {
    let project = with_rows(20);
    let ran = project.run(&["run", "--json"]).exits(0);
    let events = ran.lines();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds[1]), ("run_started", "plan"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "task_confirmed").count(), 20);
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["exit"]), (&json!("run_finished"), &json!(0)));
    let seqs: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b));
}

#[test]
fn a_reader_who_leaves_early_does_not_stop_the_run() {
    let project = with_rows(200);
    let mut command = project.command(&["run", "--json"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer);
    drop(reader);
    let mut child = command.spawn().unwrap();
    drop(command);
    assert!(child.wait().unwrap().success());
    let status = project.run(&["status", "--json"]).exits(0).json();
    assert_eq!(status["runs"][0]["confirmed"], 200);
}

#[test]
fn ctrl_c_stops_cleanly_and_resume_goes_on_without_paying_twice() {
    let project = with_rows(40);
    let mut run = project.start(&["run", "--devnet", "latency=400ms", "--progress", "json"]);
    run.until("task_published");
    run.signal(Signal::INT);
    run.until("Stopping: no new tasks.");
    let ran = run.end();
    assert!([0, 11].contains(&ran.code), "{ran:?}");
    project.run(&["resume"]).exits(0);
    let rows = project.run(&["results", "latest"]).exits(0).lines();
    assert_eq!(rows.len(), 40);
    // Every item was bought once: the vault is short of 40 payments.
    let vault = project.run(&["vault", "status", "--json"]).exits(0).json();
    assert_eq!(vault["vault_free_wei"], "999999960000000000000000");
    assert_eq!(vault["vault_locked_wei"], "0");
}

#[test]
fn the_second_ctrl_c_leaves_at_once_and_nothing_is_lost() {
    let project = with_rows(10);
    let mut run = project.start(&["run", "--devnet", "latency=20s", "--progress", "json"]);
    run.until("task_published");
    run.signal(Signal::INT);
    run.until("Stopping");
    run.signal(Signal::INT);
    run.end().exits(130).says(&["ogflow resume"]);
    project.run(&["resume"]).exits(0);
    assert_eq!(project.run(&["results", "latest"]).exits(0).lines().len(), 10);
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let project = with_rows(60);
    let mut run = project.start(&["run", "--devnet", "latency=100ms..300ms", "--progress", "json"]);
    run.until("task_confirmed");
    run.kill();
    project.run(&["resume"]).exits(0);
    assert_eq!(project.run(&["results", "latest"]).exits(0).lines().len(), 60);
    let vault = project.run(&["vault", "status", "--json"]).exits(0).json();
    assert_eq!(vault["vault_free_wei"], "999999940000000000000000");
}

#[test]
fn resuming_with_nothing_to_do_is_one_line_and_exit_0() {
    let project = Project::with(HELLO);
    project.run(&["resume"]).exits(2).says(&["nothing ran"]);
    project.run(&["run"]).exits(0);
    project.run(&["resume"]).exits(0).says(&["Nothing to resume"]);
    project.run(&["resume", "latest"]).exits(0).says(&["Nothing to do"]);
    project.run(&["resume", "r-zzzz"]).exits(2).says(&["there is no run"]);
}

#[test]
fn a_second_process_on_the_same_run_is_refused() {
    let project = with_rows(5);
    let mut run = project.start(&["run", "--devnet", "latency=30s", "--progress", "plain"]);
    run.until("started");
    let list = project.run(&["status"]).exits(0);
    assert!(list.stdout.contains(" running "), "{}", list.stdout);
    list.says(&["Next: ogflow status r-", "--watch"]);
    let one = project.run(&["status", "latest"]).exits(0).prints(&[" RUNNING  rows"]);
    assert!(!one.stderr.contains("ogflow resume"), "{}", one.stderr);
    let ran = project.run(&["resume"]).exits(75);
    assert!(ran.stderr.contains("another process"), "{}", ran.stderr);
    project.run(&["run", "--new"]).exits(75);
    run.kill();
    let list = project.run(&["status"]).exits(0);
    assert!(list.stdout.contains(" stopped ") && !list.stdout.contains(" running "), "{list:?}");
    list.says(&["Next: ogflow resume r-"]);
    project.run(&["status", "latest"]).exits(0).prints(&[" STOPPED  rows"]);
    let list = project.run(&["status", "--json"]).exits(0).json();
    assert_eq!(list["runs"][0]["state"], "stopped");
    let one = project.run(&["status", "latest", "--json"]).exits(0).json();
    assert_eq!(one["state"], "stopped");
}

#[test]
fn an_unfinished_run_is_in_the_way_until_one_says_what_to_do() {
    let project = with_rows(5);
    let mut run = project.start(&["run", "--devnet", "latency=30s", "--progress", "plain"]);
    run.until("started");
    run.kill();
    project.run(&["run"]).exits(4).says(&["E0802", "--resume", "--new"]);
    project.run(&["run", "--resume"]).exits(0);
    project.run(&["run"]).exits(0);
    let runs = project.run(&["status", "--json"]).exits(0).json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn an_edited_pipeline_is_shown_and_refused_off_a_terminal() {
    let project = with_rows(5);
    let mut run = project.start(&["run", "--devnet", "latency=30s", "--progress", "plain"]);
    run.until("started");
    run.kill();
    project.write("p.yaml", ROWS.replace("item.text", "item.id"));
    project.run(&["run", "--resume"]).exits(8).says(&["E0831", "--as-recorded"]);
    let ran = project.run(&["resume"]).exits(8).says(&["E0831", "--as-recorded"]);
    assert!(ran.stderr.contains("- ") && ran.stderr.contains("+ "), "{}", ran.stderr);
    project.run(&["resume", "--as-recorded"]).exits(0);
    let rows = project.run(&["results", "latest"]).exits(0).lines();
    assert_eq!(rows[0]["output"]["text"], "text 0");
}

#[test]
fn a_cap_below_the_plan_is_refused_before_anything_is_published() {
    let project = with_rows(20);
    project.run(&["run", "--max-spend", "0.001 OGPU"]).exits(6).says(&["E0821"]);
    project.spent_nothing();
}

#[test]
fn failures_are_named_and_end_in_exit_10() {
    let project = Project::with(
        "version: 1\nname: w\nsteps:\n  one:\n    source: builtin:llm\n    function: chat\n    \
         payment: 0.001 OGPU\n    expires: 5s\n    retry: { max: 0 }\n    data: { prompt: x }\n    \
         accept: { schema: { type: object, required: [n], properties: { n: { type: integer } } } }\n",
    );
    let ran = project.run(&["run", "--devnet", "wrong=100%"]).exits(10);
    assert!(ran.stdout.contains("FAILED") && ran.stdout.contains("one/one"), "{}", ran.stdout);
    let tasks = project.run(&["status", "latest", "--tasks", "--json"]).exits(0).json();
    assert_eq!(tasks["tasks"][0]["state"], "failed");
    project.run(&["results", "--errors", "bad.jsonl"]).exits(0);
    let shown = project.run(&["results", "--errors", "-"]).exits(0).stdout;
    assert_eq!(shown, project.read("bad.jsonl"), "the failed tasks, and nothing between them");
    project.run(&["results", "--errors", "-", "--out", "-"]).exits(2);
    assert!(project.read("bad.jsonl").contains("\"state\":\"failed\""));
}

#[test]
fn a_first_response_source_that_failed_the_checks_is_rejected_paid() {
    let pipeline = HELLO.replace(
        "outputs:\n  said: \"{{ steps.hello.output.message }}\"\n",
        "    retry: { max: 0 }\n    accept: { when: [\"output.message == 'other'\"] }\n",
    );
    let project = Project::with(&pipeline);
    let ran = project.run(&["run"]).exits(10).says(&["W0420"]);
    assert!(ran.stdout.contains("REJECTED, PAID"), "{}", ran.stdout);
    let tasks = project.run(&["status", "latest", "--tasks", "--json"]).exits(0).json();
    assert_eq!(tasks["tasks"][0]["state"], "rejected_paid");
    assert_eq!(tasks["tasks"][0]["paid_wei"], "1000000000000000");
}

#[test]
fn results_come_in_every_format_and_files_appear_whole() {
    let project = Project::with(ROWS);
    project.write("rows.csv", "id,text\na,=1+1\nb,\"x, y\"\n");
    project.run(&["run"]).exits(0);
    let csv = project.run(&["results", "--format", "csv"]).exits(0).stdout;
    assert!(
        csv.starts_with("key,item.id,item.text,output.text,") && csv.contains("'=1+1"),
        "{csv}"
    );
    let json = project.run(&["results", "--json"]).exits(0).json();
    assert_eq!(json["results"].as_array().unwrap().len(), 2);
    let batch = project.run(&["results", "--format", "openai-batch"]).exits(0).lines();
    assert_eq!(batch[1]["custom_id"], "b");
    assert_eq!(batch[1]["response"]["body"]["text"], "x, y");
    project
        .run(&["results", "--out", "o/r.jsonl"])
        .exits(0)
        .says(&["wrote 2 outputs to o/r.jsonl"]);
    assert_eq!(project.read("o/r.jsonl").lines().count(), 2);
    project.run(&["results", "--format", "raw"]).exits(2).says(&["--out FOLDER"]);
    project.run(&["results", "--format", "raw", "--out", "raw"]).exits(0);
    assert_eq!(std::fs::read_dir(project.path().join("raw")).unwrap().count(), 2);
    project.run(&["results", "--step", "eahc"]).exits(2).says(&["did you mean `each`?"]);
    project.run(&["results", "--fields", "keey"]).exits(2).says(&["did you mean `key`?"]);
}

#[test]
fn one_task_can_be_followed_to_its_transaction() {
    let project = Project::with(HELLO);
    project.run(&["run"]).exits(0);
    let task = project.run(&["status", "latest", "hello/hello"]).exits(0);
    task.prints(&["Task completed", "Hello", "published", "tx 0x", "confirmed"]);
    project
        .run(&["status", "latest", "hello/helo"])
        .exits(2)
        .says(&["did you mean `hello/hello`?"]);
    let json = project.run(&["status", "latest", "--json"]).exits(0).json();
    assert_eq!((&json["schema"], &json["state"]), (&json!("ogflow.status/v1"), &json!("done")));
    assert_eq!(json["wallets"][0]["open_slots"], 0);
}

#[test]
fn a_deposit_goes_into_the_vault_once() {
    let project = Project::new();
    let ran = project.run(&["vault", "deposit", "1.25 OGPU"]).exits(0);
    assert!(ran.stdout.starts_with("0x") && ran.stdout.trim_end().len() == 66, "{}", ran.stdout);
    let vault = project.run(&["vault", "status", "--json"]).exits(0).json();
    assert_eq!(vault["vault_free_wei"], "1000001250000000000000000");
    for (amount, part) in [("1", "no unit"), ("0 OGPU", "nothing would"), ("-1 OGPU", "negative")] {
        project.run(&["vault", "deposit", "--", amount]).exits(2).says(&[part]);
    }
}

#[test]
fn a_served_devnet_of_the_project_is_used_by_run() {
    let project = Project::with(HELLO);
    let mut up = project.command(&["devnet", "up", "--port", "0", "--json"]).spawn().unwrap();
    let mut line = String::new();
    let out = up.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    project.run(&["run"]).exits(0).prints(&["outputs.said"]);
    project.run(&["devnet", "reset"]).exits(75).says(&["ogflow devnet down"]);
    project.run(&["devnet", "down"]).exits(0).says(&["Stopped the devnet"]);
    assert!(up.wait().unwrap().success());
    project.run(&["devnet", "reset"]).exits(0);
}

#[test]
fn a_devnet_elsewhere_is_reached_by_its_url() {
    let net = Net::up(&["--seed", "7"]);
    let project = Project::with(HELLO);
    project.run(&["run", "--rpc-url", net.get("url")]).exits(0).prints(&["outputs.said"]);
}

#[test]
fn progress_as_events_goes_to_stderr_and_leaves_stdout_alone() {
    let project = Project::with(HELLO);
    let ran = project.run(&["run", "--progress", "json", "-q"]).exits(0);
    assert!(ran.stderr.lines().any(|line| line.starts_with("{\"ts\"")), "{}", ran.stderr);
    assert!(ran.stdout.contains(" DONE "));
}
