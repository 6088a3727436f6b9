//! `ogflow graph`: how the steps hang together, as text or as Mermaid. Opens no socket.

use std::path::Path;

use super::args::{GraphArgs, GraphFormat};
use super::check;
use super::failure::{Exit, Failure};
use super::settings::Settings;
use crate::pipeline::{FileItems, Foreach, Pipeline, Step};

/// Where the outputs of a pipeline are drawn.
const OUTPUTS: &str = "outputs";
const ARROW: &str = " ──▶ ";

/// Draws a pipeline.
///
/// # Errors
/// When the pipeline is wrong, or stdout cannot be written.
pub fn graph(args: &GraphArgs, settings: &Settings, here: &Path) -> Result<Exit, Failure> {
    let pipeline = check::pipeline(settings, here, args.file.as_deref(), &args.params)?.pipeline;
    let picture = Picture::of(&pipeline);
    let text = match args.format {
        GraphFormat::Text => picture.text(settings.ui.width()),
        GraphFormat::Mermaid => picture.mermaid(),
    };
    match args.format {
        GraphFormat::Text => settings.ui.out(&text)?,
        GraphFormat::Mermaid => settings.ui.data(&text)?,
    }
    Ok(Exit::Done)
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Step,
    Outputs,
}

/// Nodes in an order in which every arrow goes forward, and arrows by their places.
#[derive(Debug)]
struct Picture {
    nodes: Vec<(String, Kind, String)>,
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
            picture.nodes.push((OUTPUTS.to_owned(), Kind::Outputs, String::new()));
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
            let known =
                self.nodes.iter().position(|(name, kind, _)| *name == path && *kind == Kind::File);
            known.unwrap_or_else(|| {
                self.nodes.push((path, Kind::File, String::new()));
                self.nodes.len() - 1
            })
        });
        self.nodes.push((step.name.as_str().to_owned(), Kind::Step, width(step)));
        let own = self.nodes.len() - 1;
        self.arrows.extend(file.map(|file| (file, own)));
        for name in before(step) {
            self.arrow_from(name, own);
        }
    }

    fn arrow_from(&mut self, step: &str, to: usize) {
        let from =
            self.nodes.iter().position(|(name, kind, _)| name == step && *kind == Kind::Step);
        if let Some(from) = from
            && !self.arrows.contains(&(from, to))
        {
            self.arrows.push((from, to));
        }
    }

    fn label(&self, node: usize) -> String {
        let (name, _, about) = &self.nodes[node];
        if about.is_empty() { name.clone() } else { format!("{name} ({about})") }
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
                .map(|(_, to)| self.nodes[*to].0.clone())
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
        for (place, (_, kind, _)) in self.nodes.iter().enumerate() {
            let label = self.label(place).replace('"', "#quot;");
            let shape = match kind {
                Kind::File => format!("[(\"{label}\")]"),
                Kind::Step => format!("[\"{label}\"]"),
                Kind::Outputs => format!("([\"{label}\"])"),
            };
            out.push_str(&format!("  n{place}{shape}\n"));
        }
        for (from, to) in &self.arrows {
            out.push_str(&format!("  n{from} --> n{to}\n"));
        }
        out
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
