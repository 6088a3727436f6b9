//! `ogflow graph`: how the steps hang together, as text or for programs that draw. Opens no
//! socket.

use std::path::Path;

use serde_json::{Value, json};

use super::args::{GraphArgs, GraphFormat};
use super::errors::of_store;
use super::failure::{Exit, Failure};
use super::settings::Settings;
use super::{check, place, resume, runs, select};
use crate::pipeline::{FileItems, Foreach, Pipeline, Step};

/// Where the outputs of a pipeline are drawn.
const OUTPUTS: &str = "outputs";
const ARROW: &str = " ──▶ ";

/// Draws a pipeline.
///
/// # Errors
/// When the pipeline is wrong, or stdout cannot be written.
pub fn graph(args: &GraphArgs, settings: &Settings, here: &Path) -> Result<Exit, Failure> {
    let picture = match &args.run {
        Some(run) => of_run(run, settings)?,
        None => {
            let checked = check::pipeline(settings, here, args.file.as_deref(), &args.params)?;
            Picture::of(&checked.pipeline)
        }
    };
    let ui = &settings.ui;
    let format = match (args.format, &settings.json) {
        (Some(format), _) => format,
        (None, Some(_)) => GraphFormat::Json,
        (None, None) => GraphFormat::Text,
    };
    match format {
        GraphFormat::Text => ui.out(&picture.text(ui.width()))?,
        GraphFormat::Mermaid => ui.data(&picture.mermaid())?,
        GraphFormat::Dot => ui.data(&picture.dot())?,
        GraphFormat::Json => {
            let fields = settings.json.clone().unwrap_or_default();
            ui.data(&format!("{}\n", select::fields(picture.json(), &fields)?))?;
        }
    }
    Ok(Exit::Done)
}

/// The picture of a run's recorded pipeline, with how far each step has come.
fn of_run(text: &str, settings: &Settings) -> Result<Picture, Failure> {
    let Some((views, _)) = place::views(settings)? else { return Err(runs::none(settings)) };
    let run = runs::resolve(&views, text)?;
    let header = views.header(&run).map_err(|error| of_store(&error))?;
    let plan = resume::restored(&header)?;
    let mut picture = Picture::of(plan.pipeline());
    let history = resume::read_history(&views, &run)?;
    for (name, step) in history.tally().steps() {
        let own = |node: &&mut Node| node.kind == Kind::Step && node.name == name.as_str();
        let Some(node) = picture.nodes.iter_mut().find(own) else { continue };
        let all = step.items.map_or_else(|| "?".to_owned(), |items| items.to_string());
        let lost = step.failed + step.rejected_paid;
        node.about = format!("{}/{all}", step.confirmed);
        if lost > 0 {
            node.about.push_str(&format!(", {lost} failed"));
        }
        node.stand = match (lost, step.items) {
            (1.., _) => Stand::Failed,
            (0, Some(items)) if step.confirmed == items => Stand::Done,
            (0, _) if step.published > 0 => Stand::Begun,
            (0, _) => Stand::Waiting,
        };
    }
    Ok(picture)
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Step,
    Outputs,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Step => "step",
            Self::Outputs => "outputs",
        }
    }
}

/// How far a step of a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Waiting,
    Begun,
    Done,
    Failed,
}

impl Stand {
    const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// The colour of a box; none for what has not begun.
    const fn fill(self) -> Option<&'static str> {
        match self {
            Self::Waiting => None,
            Self::Begun => Some("#fff3bf"),
            Self::Done => Some("#d3f9d8"),
            Self::Failed => Some("#ffe3e3"),
        }
    }
}

/// A box of the picture.
#[derive(Debug)]
struct Node {
    name: String,
    kind: Kind,
    about: String,
    stand: Stand,
}

impl Node {
    const fn new(name: String, kind: Kind, about: String) -> Self {
        Self { name, kind, about, stand: Stand::Waiting }
    }

    fn label(&self) -> String {
        if self.about.is_empty() {
            self.name.clone()
        } else {
            format!("{} ({})", self.name, self.about)
        }
    }
}

/// Nodes in an order in which every arrow goes forward, and arrows by their places.
#[derive(Debug)]
struct Picture {
    nodes: Vec<Node>,
    arrows: Vec<(usize, usize)>,
}

impl Picture {
    fn of(pipeline: &Pipeline) -> Self {
        let mut picture = Self { nodes: Vec::new(), arrows: Vec::new() };
        let mut left: Vec<&Step> = pipeline.steps.iter().collect();
        while !left.is_empty() {
            let ready = left.iter().position(|step| {
                before(step)
                    .iter()
                    .all(|name| !left.iter().any(|other| other.name.as_str() == *name))
            });
            let step = left.remove(ready.unwrap_or(0));
            picture.add(step);
        }
        if !pipeline.outputs.is_empty() {
            picture.nodes.push(Node::new(OUTPUTS.to_owned(), Kind::Outputs, String::new()));
            let outputs = picture.nodes.len() - 1;
            for read in pipeline.outputs.iter().flat_map(|output| &output.reads) {
                picture.arrow_from(read.as_str(), outputs);
            }
        }
        picture
    }

    fn add(&mut self, step: &Step) {
        let file = match &step.foreach {
            Foreach::File(FileItems { path, .. }) => Some(path.clone()),
            Foreach::Once | Foreach::List(_) | Foreach::Expression(_) => None,
        };
        let file = file.map(|path| {
            let known = self.nodes.iter().position(|it| it.name == path && it.kind == Kind::File);
            known.unwrap_or_else(|| {
                self.nodes.push(Node::new(path, Kind::File, String::new()));
                self.nodes.len() - 1
            })
        });
        self.nodes.push(Node::new(step.name.as_str().to_owned(), Kind::Step, width(step)));
        let own = self.nodes.len() - 1;
        self.arrows.extend(file.map(|file| (file, own)));
        for name in before(step) {
            self.arrow_from(name, own);
        }
    }

    fn arrow_from(&mut self, step: &str, to: usize) {
        let from = self.nodes.iter().position(|it| it.name == step && it.kind == Kind::Step);
        if let Some(from) = from
            && !self.arrows.contains(&(from, to))
        {
            self.arrows.push((from, to));
        }
    }

    fn label(&self, node: usize) -> String {
        self.nodes[node].label()
    }

    /// One chain on one line where it is one and fits, else a line for each node with what it
    /// leads to.
    fn text(&self, width: usize) -> String {
        let chain = self.arrows.len() + 1 == self.nodes.len()
            && (1..self.nodes.len()).all(|node| self.arrows.contains(&(node - 1, node)));
        if chain {
            let labels: Vec<String> = (0..self.nodes.len()).map(|node| self.label(node)).collect();
            let line = format!(" {}", labels.join(ARROW));
            if line.chars().count() <= width {
                return line;
            }
        }
        let mut lines = Vec::new();
        for node in 0..self.nodes.len() {
            let to: Vec<String> = self
                .arrows
                .iter()
                .filter(|(from, _)| *from == node)
                .map(|(_, to)| self.nodes[*to].name.clone())
                .collect();
            if !to.is_empty() {
                lines.push(format!(" {}{ARROW}{}", self.label(node), to.join(", ")));
            } else if !self.arrows.iter().any(|(_, at)| *at == node) {
                lines.push(format!(" {}", self.label(node)));
            }
        }
        lines.join("\n")
    }

    fn mermaid(&self) -> String {
        let mut out = String::from("flowchart LR\n");
        for (place, node) in self.nodes.iter().enumerate() {
            let label = node.label().replace('"', "#quot;");
            let shape = match node.kind {
                Kind::File => format!("[(\"{label}\")]"),
                Kind::Step => format!("[\"{label}\"]"),
                Kind::Outputs => format!("([\"{label}\"])"),
            };
            out.push_str(&format!("  n{place}{shape}\n"));
            if let Some(fill) = node.stand.fill() {
                out.push_str(&format!("  style n{place} fill:{fill}\n"));
            }
        }
        for (from, to) in &self.arrows {
            out.push_str(&format!("  n{from} --> n{to}\n"));
        }
        out
    }

    fn dot(&self) -> String {
        let mut out = String::from("digraph {\n  rankdir=LR;\n");
        for (place, node) in self.nodes.iter().enumerate() {
            let label = node.label().replace('\\', "\\\\").replace('"', "\\\"");
            let shape = match node.kind {
                Kind::File => "cylinder",
                Kind::Step => "box",
                Kind::Outputs => "oval",
            };
            let fill = node.stand.fill();
            let fill =
                fill.map_or_else(String::new, |it| format!(", style=filled, fillcolor=\"{it}\""));
            out.push_str(&format!("  n{place} [label=\"{label}\", shape={shape}{fill}];\n"));
        }
        for (from, to) in &self.arrows {
            out.push_str(&format!("  n{from} -> n{to};\n"));
        }
        out.push_str("}\n");
        out
    }

    fn json(&self) -> Value {
        let nodes: Vec<Value> = self
            .nodes
            .iter()
            .map(|node| {
                let (kind, state) = (node.kind.word(), node.stand.word());
                json!({"name": node.name, "kind": kind, "about": node.about, "state": state})
            })
            .collect();
        let name = |place: usize| &self.nodes[place].name;
        let arrows =
            self.arrows.iter().map(|(from, to)| json!({"from": name(*from), "to": name(*to)}));
        let arrows: Vec<Value> = arrows.collect();
        json!({"schema": "ogflow.graph/v1", "nodes": nodes, "arrows": arrows})
    }
}

/// The steps that a step comes after.
fn before(step: &Step) -> Vec<&str> {
    step.reads
        .iter()
        .map(|read| read.step.as_str())
        .chain(step.needs.iter().map(|name| name.as_str()))
        .collect()
}

/// How many tasks a step makes, as far as its text says.
fn width(step: &Step) -> String {
    match (&step.foreach, step.max_items) {
        (Foreach::Once, _) => "1".to_owned(),
        (_, Some(most)) => format!("at most {most}"),
        (Foreach::File(_) | Foreach::List(_) | Foreach::Expression(_), None) => String::new(),
    }
}
