//! What is read from good files.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::pipeline::price::{Expires, Payment};
use crate::pipeline::{Foreach, ItemFormat, ReadPlace, SourceRef, Task};
use crate::units::Wei;

const CLASSIFY: &str = include_str!("../../../../templates/classify.yaml");

#[test]
fn the_smallest_pipeline_has_one_task_and_an_output() {
    let pipeline = clean(
        "version: 1\nname: hello\nsteps:\n  hello:\n    source: builtin:echo\n    function: echo\n    \
         payment: 0.001 OGPU\n    data:\n      message: Hello\noutputs:\n  said: \
         \"{{ steps.hello.output.message }}\"\n",
        &Files::default(),
    );
    let step = pipeline.step("hello").unwrap();
    assert_eq!(step.source.at, SourceRef::Builtin("echo".into()));
    assert!(matches!(step.foreach, Foreach::Once));
    let body = step.task.render(&pipeline.scope()).unwrap();
    assert_eq!((body.function.as_str(), json!(body.data)), ("echo", json!({"message": "Hello"})));
    assert_eq!(pipeline.outputs[0].reads[0].as_str(), "hello");
    assert!(pipeline.tag);
}

#[test]
fn the_conversation_example_passes_its_messages_unchanged() {
    let text = include_str!("../../../../pipelines/conversation.yaml");
    let pipeline = clean(text, &Files::default());
    let ask = pipeline.step("ask").unwrap().task.render(&pipeline.scope()).unwrap();
    assert_eq!(ask.function, "text2text");
    assert_eq!(ask.data["messages"][0]["role"], "user");
    let process = pipeline.step("process").unwrap();
    assert_eq!(process.reads[0].step.as_str(), "follow_up");
    let Task::Direct { data, .. } = &process.task else { panic!("no template") };
    let text = data.node.clone();
    assert_eq!(text.kind(), "a map");
}

#[test]
fn a_template_over_a_csv_is_typed_and_filled_in() {
    let text = one_step(
        "    source: builtin:llm\n    payment: 0.01 OGPU\n    uses: ./templates/classify.yaml\n    \
         foreach: { file: data/r.csv, key: id }\n    with:\n      text: \"{{ item.text }}\"\n      \
         labels: [good, bad]\n",
    );
    let files = Files::default()
        .with("templates/classify.yaml", CLASSIFY)
        .with("data/r.csv", "\u{feff}id,text\r\n1,\"a, b\"\r\n");
    let pipeline = clean(&text, &files);
    let step = pipeline.step("a").unwrap();
    let Foreach::File(file) = &step.foreach else { panic!("not a file") };
    assert_eq!((file.format, file.key.as_ref().unwrap().0.as_str()), (ItemFormat::Csv, "id"));
    let item = Datum::from_json(&json!({"id": "1", "text": "a, b"}));
    let body = step.task.render(&pipeline.scope().with("item", item)).unwrap();
    assert_eq!(body.data["labels"], json!(["good", "bad"]));
    assert_eq!(body.inputs.unwrap()["text"], "a, b");
    assert_eq!(pipeline.parts.len(), 1, "the template's text belongs to the pipeline");
}

#[test]
fn params_are_read_by_their_declared_type_and_defaults_may_read_the_environment() {
    let text = format!(
        "{}params:\n  n: {{ type: integer, default: 3 }}\n  subject: {{ type: string, default: \
         \"{{{{ env('SUBJECT') }}}}\" }}\n",
        step_with("    foreach: [\"{{ params.n }}\", 2]\n    filter: item > 1\n")
    );
    let given = [("n".to_owned(), ParamValue::Text("20".into()))];
    let (pipeline, problems) = checked_on(&Network::devnet(), &text, &Files::default(), &given);
    assert_eq!(problems, []);
    let pipeline = pipeline.unwrap();
    assert_eq!(json!(pipeline.params), json!({"n": 20, "subject": "whales"}));
    let Foreach::List(list) = &pipeline.steps[0].foreach else { panic!("not a list") };
    assert_eq!(list.evaluate(&pipeline.scope()), Ok(json!([20, 2])));
}

#[test]
fn a_default_holds_until_a_step_says_otherwise() {
    let text = "version: 1\nname: t\ndefaults: { source: builtin:echo, function: echo, payment: \
                0.01 OGPU, expires: 1h }\nsteps:\n  a: { data: { x: 1 } }\n  b: { data: { x: 1 }, \
                payment: 0.02 OGPU, expires: short }\n";
    let pipeline = clean(text, &Files::default());
    let price = |name: &str| match pipeline.step(name).unwrap().payment {
        Payment::Fixed(amount) => amount.coins(),
        Payment::Minimum | Payment::PerItem(_) => String::new(),
    };
    assert_eq!((price("a").as_str(), price("b").as_str()), ("0.01", "0.02"));
    let life = |name: &str| match pipeline.step(name).unwrap().expires {
        Expires::After(span) => span,
        Expires::Default | Expires::PerItem(_) => Duration::ZERO,
    };
    assert_eq!((life("a").as_secs(), life("b").as_secs()), (3600, 300));
}

#[test]
fn a_price_from_a_row_is_read_per_item_and_refused_there() {
    let text = one_step(
        "    source: builtin:echo\n    function: echo\n    payment: \"{{ item.price }}\"\n    \
         foreach: [{ price: 0.5 OGPU }]\n    data: { a: 1 }\n",
    );
    let pipeline = clean(&text, &Files::default());
    let step = &pipeline.steps[0];
    let amount = |price: &str| {
        let item = Datum::from_json(&json!({"price": price}));
        step.payment.amount(&pipeline.scope().with("item", item), Wei::from_u128(7))
    };
    assert_eq!(amount("0.5 OGPU").unwrap().coins(), "0.5");
    assert_eq!(amount("minimum").unwrap(), Wei::from_u128(7));
    let problem = amount("0 OGPU").unwrap_err();
    assert_eq!(told(&problem), ("E0206", 7, 14, "\"{{ item.price }}\"".into()));
    assert_eq!(problem.message, "Payment must be positive");
}

#[test]
fn a_step_knows_what_it_reads_and_from_which_key() {
    let text = format!(
        "{}  b:\n    source: builtin:echo\n    function: echo\n    payment: minimum\n    foreach: \
         steps.a.results\n    if: steps.a.count > 0\n    needs: [a]\n    data: {{ x: \"{{{{ \
         steps.a.outputs }}}}\" }}\n",
        step_with("    foreach: [1, 2]\n")
    );
    let pipeline = clean(&text, &Files::default());
    let reads: Vec<_> =
        pipeline.steps[1].reads.iter().map(|r| (r.place, r.field.as_str())).collect();
    assert_eq!(
        reads,
        [
            (ReadPlace::ForeachWhole, "results"),
            (ReadPlace::Data, "outputs"),
            (ReadPlace::Condition, "count"),
            (ReadPlace::Needs, ""),
        ]
    );
}

#[test]
fn an_item_that_cannot_be_rendered_names_the_place_of_its_expression() {
    let text = step_with("").replace(
        "{ a: 1 }",
        "\n      n: \"{{ item.n + 1 }}\"\n      x: |\n        \
        List: {{ item.list }}\n    foreach: [{ n: 1, list: [1] }]",
    );
    let pipeline = clean(&text, &Files::default());
    let scope = |item| pipeline.scope().with("item", Datum::from_json(&item));
    let task = &pipeline.steps[0].task;
    let problem = task.render(&scope(json!({"n": 3, "list": [1]}))).unwrap_err();
    assert_eq!(problem.code, Code::E0701);
    assert_eq!(problem.position().unwrap().0, 11, "{}", problem.render(Look::default()));
    let body = task.render(&scope(json!({"n": 3, "list": "x"}))).unwrap();
    assert_eq!(body.data["n"], 4);
    let problem = task.render(&scope(json!({"n": 3}))).unwrap_err();
    assert_eq!((problem.code, problem.position().unwrap().0), (Code::E0702, 11));
}

#[test]
fn built_in_templates_pass_their_own_tests_of_data() {
    assert_eq!(built_in().len(), 3);
    for template in built_in() {
        assert!(template.docs.is_some() && template.category.is_some());
        for test in &template.tests {
            let inputs = template.inputs(&test.with).unwrap();
            let body = template.render(inputs).unwrap();
            if let Some(data) = &test.data {
                assert_eq!(&json!(body.data), data, "{}: {}", template.name, test.name);
            }
        }
    }
}

#[test]
fn a_source_below_an_alias_is_that_of_the_network_in_use() {
    let text = "version: 1\nname: t\nsources:\n  llm:\n    devnet: builtin:llm\n    testnet: \
                \"0x5B38Da6a701c568545dCfcB03FcB875f56beddC4\"\nsteps:\n  a: { source: llm, function: \
                chat, payment: minimum, data: { x: 1 } }\n";
    let (pipeline, problems) = checked_on(&Network::testnet(), text, &Files::default(), &[]);
    assert_eq!(problems, []);
    let source = pipeline.unwrap().steps[0].source.clone();
    assert_eq!(source.alias.as_deref(), Some("llm"));
    assert_eq!(source.at.to_string(), "0x5B38Da6a701c568545dCfcB03FcB875f56beddC4");
}

/// A project on disk, for the files that come with ogflow.
struct Folder(std::path::PathBuf);

impl Loader for Folder {
    fn text(&self, from: &str, path: &str) -> Result<Arc<SourceText>, LoadError> {
        let place = Files::place(from, path).ok_or(LoadError::Outside { path: path.into() })?;
        let text = std::fs::read_to_string(self.0.join(&place))
            .map_err(|source| LoadError::Unreadable { path: path.into(), source })?;
        Ok(SourceText::new(place, text))
    }

    fn open(&self, from: &str, path: &str) -> Result<Box<dyn Read + Send>, LoadError> {
        self.text(from, path).map(|file| Box::new(Cursor::new(file.text.clone())) as _)
    }

    fn glob(&self, _: &str, _: &str) -> Result<Vec<FoundFile>, LoadError> {
        Ok(Vec::new())
    }

    fn inside(&self, _: &str, _: &str) -> Result<(), LoadError> {
        Ok(())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }
}

fn files_in(folder: &str) -> (Folder, Vec<String>) {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap()))
        .collect();
    names.sort();
    (Folder(root), names)
}

#[test]
fn every_example_pipeline_is_clean() {
    let (folder, names) = files_in("pipelines");
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        let file = folder.text("", &name).unwrap();
        let setting = Setting { loader: &folder, params: &[], network: &Network::devnet() };
        let (pipeline, problems) = Pipeline::check(&file, setting);
        let shown: String = problems.iter().map(|p| p.render(Look::default())).collect();
        assert!(pipeline.is_some() && problems.is_empty(), "{name}\n{shown}");
    }
}

#[test]
fn every_template_is_clean_and_passes_its_own_tests() {
    let (folder, names) = files_in("templates");
    assert!(names.len() >= 5, "{names:?}");
    let of_project = names.iter().map(|name| {
        let file = folder.text("", name).unwrap();
        let (template, problems) = check_template(&file, &folder);
        let shown: String = problems.iter().map(|p| p.render(Look::default())).collect();
        assert!(problems.is_empty(), "{name}\n{shown}");
        Arc::new(template.unwrap())
    });
    for template in of_project.chain(built_in().iter().cloned()) {
        assert!(template.docs.is_some() && template.category.is_some(), "{}", template.name);
        assert!(template.tests.len() >= 2, "{}", template.name);
        for test in &template.tests {
            passes(&template, test);
        }
    }
}

fn passes(template: &TaskTemplate, test: &crate::pipeline::template::TemplateTest) {
    use crate::pipeline::accept::{Acceptance, Verdict};
    let place = format!("{}: {}", template.name, test.name);
    let inputs = template.inputs(&test.with).unwrap();
    let scope = Scope::empty().with("inputs", Datum::from_json(&inputs));
    let body = template.render(inputs).unwrap();
    if let Some(data) = &test.data {
        assert_eq!(&json!(body.data), data, "{place}");
    }
    if let Some(output) = &test.output {
        let verdict = Acceptance::compile(&template.accept).unwrap().check(output, &scope);
        let accepted = verdict == Verdict::Accepted;
        assert_eq!(Some(accepted), test.accepted, "{place}: {verdict:?}");
    }
}

#[test]
fn the_letters_of_the_quickstart_hold_what_makes_csv_hard() {
    let (folder, _) = files_in("pipelines");
    let file = folder.text("", "pipelines/quickstart.yaml").unwrap();
    let setting = Setting { loader: &folder, params: &[], network: &Network::devnet() };
    let pipeline = Pipeline::check(&file, setting).0.unwrap();
    let Foreach::File(items) = &pipeline.step("triage").unwrap().foreach else { panic!("no file") };
    let input = folder.open(&items.from, &items.path).unwrap();
    let mut records = crate::pipeline::items::Records::open(items, input).unwrap();
    let decoder = records.decoder();
    let rows: Vec<_> = std::iter::from_fn(|| records.next_raw())
        .map(|raw| decoder.decode(raw.unwrap()).unwrap())
        .collect();
    assert!(rows.len() >= 12);
    let all: String = rows.iter().map(|row| row.value.to_string()).collect();
    for piece in ["\\\"", ", ", "è", "\\n", "null"] {
        assert!(all.contains(piece), "{piece}");
    }
}
