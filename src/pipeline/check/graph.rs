//! Which step waits for which: circles, and widths that are known only at run time.

use super::Check;
use crate::pipeline::document::Entry;
use crate::pipeline::foreach::Foreach;
use crate::pipeline::problem::{Code, Span};
use crate::pipeline::step::{ReadPlace, Step, StepRead};

/// One step reads or needs another.
pub(super) struct Edge {
    from: String,
    to: String,
    at: Span,
}

impl Check<'_> {
    pub(super) fn edges(&mut self, entry: &Entry, reads: &[StepRead]) {
        self.edges.extend(reads.iter().map(|read| Edge {
            from: entry.key.clone(),
            to: read.step.as_str().to_owned(),
            at: read.span,
        }));
    }

    /// E0304 for each circle, printed whole, at the reference that closes it.
    pub(super) fn report_circles(&mut self) {
        let steps: Vec<String> = self.names.steps.iter().map(|(name, _)| name.clone()).collect();
        let place = |name: &str| steps.iter().position(|step| step == name);
        let mut next: Vec<Vec<(usize, Span)>> = vec![Vec::new(); steps.len()];
        for edge in &self.edges {
            if let (Some(from), Some(to)) = (place(&edge.from), place(&edge.to)) {
                next[from].push((to, edge.at));
            }
        }
        let mut told: Vec<Vec<usize>> = Vec::new();
        for (circle, at) in circles(&next) {
            if told.contains(&circle) {
                continue;
            }
            told.push(circle.clone());
            let mut names: Vec<_> = circle.iter().map(|step| steps[*step].as_str()).collect();
            names.push(names[0]);
            let message = format!("steps wait for each other in a circle: {}", names.join(" -> "));
            let problem = self.reader.problem(Code::E0304, at, message);
            let problem = problem.in_step(names[circle.len() - 1]);
            self.reader.push(problem.help("remove one of these references"));
        }
    }

    /// W0602 for steps whose number of tasks nobody can know before they run.
    pub(super) fn warn_of_widths(&mut self, steps: &[Step]) {
        for step in steps {
            if step.max_items.is_some() || width_is_known(step, steps, steps.len()) {
                continue;
            }
            let message = "fan-out of unknown width without `max_items`";
            let problem = self.reader.problem(Code::W0602, step.span, message);
            let help = "`max_items` gives `plan` a maximum, and stops a step that grows past it";
            self.reader.push(problem.in_step(step.name.as_str()).help(help));
        }
    }
}

/// Whether the number of a step's tasks, or a bound of it, is known before the run. `depth`
/// bounds the walk, in case steps wait in a circle.
fn width_is_known(step: &Step, steps: &[Step], depth: usize) -> bool {
    match &step.foreach {
        Foreach::Once | Foreach::List(_) | Foreach::File(_) => true,
        Foreach::Expression(written) => {
            let whole = step.reads.iter().find(|read| read.place == ReadPlace::ForeachWhole);
            let Some(read) = whole else {
                // Params are known; anything made from outputs is not.
                return written.references().iter().all(|found| found.path[0] == "params");
            };
            let lists = matches!(read.field.as_str(), "results" | "outputs" | "failed");
            let upstream = steps.iter().find(|other| other.name == read.step);
            // A step that is not among those that were read has problems of its own.
            let known = upstream.is_none_or(|upstream| {
                upstream.max_items.is_some()
                    || depth > 0 && width_is_known(upstream, steps, depth - 1)
            });
            upstream.is_none() || lists && known
        }
    }
}

/// The circles of a graph, each with the place of the reference that closes it.
fn circles(next: &[Vec<(usize, Span)>]) -> Vec<(Vec<usize>, Span)> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; next.len()];
    let mut found = Vec::new();
    for start in 0..next.len() {
        if marks[start] != Mark::New {
            continue;
        }
        // The path from `start`, each step with the next of its references to follow.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        marks[start] = Mark::Open;
        while let Some((step, at)) = path.last_mut() {
            let step = *step;
            let Some((to, span)) = next[step].get(*at).copied() else {
                marks[step] = Mark::Done;
                path.pop();
                continue;
            };
            *at += 1;
            match marks[to] {
                Mark::Done => {}
                Mark::New => {
                    marks[to] = Mark::Open;
                    path.push((to, 0));
                }
                Mark::Open => {
                    let from = path.iter().position(|(on_path, _)| *on_path == to).unwrap_or(0);
                    let circle = path[from..].iter().map(|(step, _)| *step).collect();
                    found.push((circle, span));
                }
            }
        }
    }
    found
}
