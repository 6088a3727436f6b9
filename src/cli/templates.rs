//! `ogflow templates`: what can be used with `uses`, and how.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::args::{TemplatesArgs, TemplatesCommand};
use super::disk::Disk;
use super::failure::{Exit, Failure};
use super::select;
use super::settings::Settings;
use super::table::Table;
use super::{help, suggest};
use crate::pipeline::check::{built_in, check_template};
use crate::pipeline::template::{Category, Origin, UseCase};
use crate::pipeline::{Loader, Problem, Severity, TaskTemplate};

/// The project's folder of templates.
const FOLDER: &str = "templates";

/// Lists or shows templates.
///
/// # Errors
/// When there is no such template, or it is wrong.
pub fn templates(args: &TemplatesArgs, settings: &Settings, here: &Path) -> Result<Exit, Failure> {
    match &args.command {
        TemplatesCommand::List { category, use_case } => {
            let category = category.as_deref().map(|word| {
                Category::parse(word).ok_or_else(|| no_word("category", word, Category::WORDS))
            });
            let use_case = use_case.as_deref().map(|word| {
                UseCase::parse(word).ok_or_else(|| no_word("use case", word, UseCase::WORDS))
            });
            list(category.transpose()?, use_case.transpose()?, settings, here)
        }
        TemplatesCommand::Show { name } => show(name, settings, here),
        TemplatesCommand::Other(words) => {
            Err(help::no_subcommand("templates", words, &["new", "test"]))
        }
    }
}

fn no_word(what: &str, word: &str, words: &[&str]) -> Failure {
    Failure::usage(format!("there is no {what} `{word}`"))
        .help(format!("the words are {}", words.join(", ")))
}

/// The templates of the project's folder, and the problems of those that are none.
fn of_project(settings: &Settings, here: &Path) -> Result<(Vec<Found>, Vec<Problem>), Failure> {
    let from = settings.project.join("ogflow.toml");
    let disk = Disk::open(settings, here, &from)?;
    let from = from.display().to_string();
    let files = disk.glob(&from, &format!("{FOLDER}/*.yaml")).unwrap_or_default();
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        let Ok(text) = disk.text(&from, &file.path) else { continue };
        let path = settings.project.join(&file.path);
        let shown = path.strip_prefix(here).unwrap_or(&path).display().to_string();
        let text = crate::pipeline::SourceText::new(shown, text.text.clone());
        let (template, wrong) = check_template(&text, &disk);
        problems.extend(wrong.into_iter().filter(|problem| problem.severity() == Severity::Error));
        found.extend(
            template.map(|template| Found {
                template: Arc::new(template),
                path: Some(file.path.clone()),
            }),
        );
    }
    Ok((found, problems))
}

/// A template and the path of its file, if it has one.
struct Found {
    template: Arc<TaskTemplate>,
    path: Option<String>,
}

impl Found {
    /// What `uses` calls it.
    fn name(&self) -> String {
        match self.template.origin {
            Origin::BuiltIn => format!("builtin:{}", self.template.name),
            Origin::Project => self.template.name.clone(),
        }
    }

    fn from(&self) -> &'static str {
        match self.template.origin {
            Origin::BuiltIn => "built in",
            Origin::Project => "project",
        }
    }

    fn uses(&self) -> String {
        match &self.path {
            Some(path) => format!("./{path}"),
            None => self.name(),
        }
    }
}

/// All templates, those of the project first.
fn all(settings: &Settings, here: &Path) -> Result<(Vec<Found>, Vec<Problem>), Failure> {
    let (mut found, problems) = of_project(settings, here)?;
    found.extend(
        built_in().iter().map(|template| Found { template: Arc::clone(template), path: None }),
    );
    Ok((found, problems))
}

fn list(
    category: Option<Category>,
    use_case: Option<UseCase>,
    settings: &Settings,
    here: &Path,
) -> Result<Exit, Failure> {
    let (mut found, problems) = all(settings, here)?;
    found.retain(|entry| {
        category.is_none_or(|wanted| entry.template.category == Some(wanted))
            && use_case.is_none_or(|wanted| entry.template.use_cases.contains(&wanted))
    });
    let ui = &settings.ui;
    for problem in &problems {
        ui.warn(&problem.line());
    }
    if let Some(fields) = &settings.json {
        let rows: Value = found.iter().map(brief).collect();
        ui.data(&format!("{}\n", select::fields(rows, fields)?))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["NAME", "FROM", "INPUTS", "DESCRIPTION"]);
    for entry in &found {
        let inputs: Vec<String> =
            entry.template.inputs.iter().map(|input| input.shorthand()).collect();
        let about = entry.template.description.clone().unwrap_or_default();
        table.row(vec![entry.name(), entry.from().to_owned(), inputs.join(", "), about]);
    }
    if table.is_empty() {
        ui.talk("No template fits.");
    } else {
        ui.out(&table.draw(ui))?;
    }
    Ok(Exit::Done)
}

fn brief(entry: &Found) -> Value {
    let template = &entry.template;
    json!({
        "name": entry.name(),
        "from": entry.from(),
        "uses": entry.uses(),
        "description": template.description,
        "category": template.category.map(Category::as_str),
        "use_cases": template.use_cases.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
        "inputs": template.inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>(),
    })
}

fn show(name: &str, settings: &Settings, here: &Path) -> Result<Exit, Failure> {
    let (found, problems) = all(settings, here)?;
    let meant = |entry: &&Found| {
        let plain = name.trim_start_matches("./");
        entry.name() == name || entry.template.name == name || entry.path.as_deref() == Some(plain)
    };
    let Some(entry) = found.iter().find(meant) else {
        let path = name.trim_start_matches("./");
        let of_file: Vec<Problem> = problems
            .into_iter()
            .filter(|problem| {
                let file = Path::new(&problem.file.name);
                problem.file.name == path || file.file_stem().is_some_and(|stem| stem == name)
            })
            .collect();
        if !of_file.is_empty() {
            return Err(Failure::of_problems(of_file));
        }
        let names: Vec<String> = found.iter().map(Found::name).collect();
        let near = suggest::nearest(name, names.iter().map(String::as_str));
        return Err(Failure::usage(format!("there is no template `{name}`")).help(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`ogflow templates list` lists them".to_owned(),
        }));
    };
    if let Some(fields) = &settings.json {
        settings.ui.data(&format!("{}\n", select::fields(whole(entry), fields)?))?;
    } else {
        settings.ui.out(&page(entry, settings.ui.width()))?;
    }
    Ok(Exit::Done)
}

fn whole(entry: &Found) -> Value {
    let template = &entry.template;
    let mut inputs = Map::new();
    for input in &template.inputs {
        inputs.insert(input.name.clone(), (**input.schema.source()).clone());
    }
    let mut out = brief(entry);
    out["docs"] = json!(template.docs);
    out["function"] = json!(template.function);
    out["inputs"] = Value::Object(inputs);
    out["output_schema"] = json!(template.accept.schema.as_deref());
    out["example"] = json!(example(entry));
    out
}

/// The page about a template: what it is for, what it takes, what it gives, how to use it.
fn page(entry: &Found, width: usize) -> String {
    let template = &entry.template;
    let mut out = format!("{}   ({})\n", entry.name(), entry.from());
    if let Some(about) = &template.description {
        out.push_str(&format!("{}\n", help::wrapped(about, width)));
    }
    if let Some(docs) = &template.docs {
        out.push_str(&format!("\n{}\n", docs.trim_end()));
    }
    out.push_str("\nInputs\n");
    for input in &template.inputs {
        out.push_str(&about_input(input, width));
    }
    out.push_str(&format!("\nOutput\n{}", about_output(template)));
    out.push_str(&format!("\nExample\n{}", indented(&example(entry), 2)));
    out
}

fn about_input(input: &crate::pipeline::template::Input, width: usize) -> String {
    let schema = input.schema.source();
    let kind = match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.join(" or ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "any".to_owned(),
    };
    let needed = match &input.default {
        None => "required".to_owned(),
        Some(value) => format!("default {value}"),
    };
    let mut out = format!("  {}: {kind}, {needed}\n", input.name);
    if let Some(about) = &input.description {
        out.push_str(&indented(&help::wrapped(about, width.saturating_sub(6)), 6));
    }
    if let Some(example) = input.examples.first() {
        out.push_str(&format!("      for example {example}\n"));
    }
    out
}

fn about_output(template: &TaskTemplate) -> String {
    let mut out = match &template.accept.schema {
        Some(schema) => {
            let text = serde_json::to_string_pretty(&**schema).unwrap_or_default();
            indented(&text, 2)
        }
        None => "  anything\n".to_owned(),
    };
    for condition in &template.accept.when {
        out.push_str(&format!("  and {}\n", condition.value.source()));
    }
    out
}

/// A step that uses the template.
fn example(entry: &Found) -> String {
    let mut out = format!(
        "steps:\n  my_step:\n    uses: {}\n    source: my_source\n    with:\n",
        entry.uses()
    );
    for input in entry.template.inputs.iter().filter(|input| input.default.is_none()) {
        let value = input.examples.first().cloned().unwrap_or_else(|| stand_in(input));
        out.push_str(&format!("      {}: {value}\n", input.name));
    }
    out
}

/// A value of the input's type that shows where the real one goes.
fn stand_in(input: &crate::pipeline::template::Input) -> Value {
    match input.schema.source()["type"].as_str() {
        Some("array") => json!(["…"]),
        Some("object") => json!({"…": "…"}),
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(true),
        Some(_) | None => json!("…"),
    }
}

fn indented(text: &str, by: usize) -> String {
    let room = " ".repeat(by);
    text.trim_end()
        .lines()
        .map(|line| format!("{room}{line}").trim_end().to_owned() + "\n")
        .collect()
}
