//! Which step waits for which: for all of it, or item by item.
//!
//! An edge is *per item* when the reader's `foreach` is no more than `steps.x.results` or
//! `steps.x.outputs`, nothing shapes the items into other ones, and it reads nothing else of
//! `x`. Every other edge is *whole*, and so is any edge from a step with `on_partial: fail`
//! (architecture.md, section 12).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use petgraph::{Direction, algo};

use super::{Edge, EdgeKind};
use crate::pipeline::{OnPartial, ReadPlace, Step};
use crate::units::StepName;

/// The steps in an order in which every step comes after those that it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The places of the steps among those written, in plan order. Of those that may come next,
    /// the one written first does.
    pub order: Vec<usize>,
    /// What each step waits for, in plan order and by places in the plan.
    pub upstreams: Vec<Vec<Edge>>,
}

/// Steps that wait for each other, each for the next, and the last for the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle(pub Vec<StepName>);

impl Graph {
    /// The graph of these steps.
    ///
    /// # Errors
    /// A circle, whole.
    pub fn of(steps: &[Step]) -> Result<Self, Circle> {
        let written = edges(steps);
        let order = sorted(&written, steps)?;
        let mut place = vec![0_usize; steps.len()];
        for (at, step) in order.iter().enumerate() {
            place[*step] = at;
        }
        let mut upstreams: Vec<Vec<Edge>> = vec![Vec::new(); steps.len()];
        for edge in written.edge_references() {
            let (from, to) = (place[edge.source().index()], place[edge.target().index()]);
            let from = u16::try_from(from).unwrap_or(u16::MAX);
            upstreams[to].push(Edge { step: from, kind: *edge.weight() });
        }
        for edges in &mut upstreams {
            edges.sort_unstable_by_key(|edge| edge.step);
        }
        Ok(Self { order, upstreams })
    }

    /// For each step, the steps that are over before it starts: by whole edges, directly or not.
    pub fn over_before(&self) -> Vec<Vec<bool>> {
        let mut over: Vec<Vec<bool>> = Vec::with_capacity(self.upstreams.len());
        for edges in &self.upstreams {
            let mut mine = vec![false; self.upstreams.len()];
            for edge in edges {
                let upstream = usize::from(edge.step);
                // What was over before the upstream started is over before this one as well.
                for (known, before) in mine.iter_mut().zip(&over[upstream]) {
                    *known |= before;
                }
                mine[upstream] |= edge.kind == EdgeKind::Whole;
            }
            over.push(mine);
        }
        over
    }
}

fn edges(steps: &[Step]) -> DiGraph<(), EdgeKind> {
    let mut graph = DiGraph::new();
    let nodes: Vec<NodeIndex> = steps.iter().map(|_| graph.add_node(())).collect();
    let place = |name: &StepName| steps.iter().position(|step| step.name == *name);
    for (to, step) in steps.iter().enumerate() {
        let mut names: Vec<&StepName> =
            step.reads.iter().map(|read| &read.step).chain(&step.needs).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            if let Some(from) = place(name) {
                graph.add_edge(nodes[from], nodes[to], kind(step, &steps[from]));
            }
        }
    }
    graph
}

/// How much of `upstream` has to be there before an item of `reader` can start.
fn kind(reader: &Step, upstream: &Step) -> EdgeKind {
    let mut reads = reader.reads.iter().filter(|read| read.step == upstream.name);
    let streams = matches!(
        (reads.next(), reads.next()),
        (Some(read), None)
            if read.place == ReadPlace::ForeachWhole
                && matches!(read.field.as_str(), "results" | "outputs")
    );
    let plain = reader.max_items.is_none() && !reader.needs.contains(&upstream.name);
    if streams && plain && upstream.on_partial != OnPartial::Fail {
        EdgeKind::PerItem
    } else {
        EdgeKind::Whole
    }
}

fn sorted(graph: &DiGraph<(), EdgeKind>, steps: &[Step]) -> Result<Vec<usize>, Circle> {
    let mut waits: Vec<usize> = graph
        .node_indices()
        .map(|node| graph.neighbors_directed(node, Direction::Incoming).count())
        .collect();
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..steps.len()).filter(|step| waits[*step] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(steps.len());
    while let Some(Reverse(step)) = ready.pop() {
        order.push(step);
        for reader in graph.neighbors(NodeIndex::new(step)) {
            waits[reader.index()] -= 1;
            if waits[reader.index()] == 0 {
                ready.push(Reverse(reader.index()));
            }
        }
    }
    if order.len() == steps.len() { Ok(order) } else { Err(circle(graph, steps)) }
}

fn circle(graph: &DiGraph<(), EdgeKind>, steps: &[Step]) -> Circle {
    let mut knots = algo::tarjan_scc(graph);
    knots.retain(|knot| knot.len() > 1 || graph.contains_edge(knot[0], knot[0]));
    let Some(knot) = knots.into_iter().min_by_key(|knot| knot.iter().min().copied()) else {
        return Circle(Vec::new());
    };
    // Going forward inside a knot has to come back to a step that was met before.
    let mut path: Vec<NodeIndex> = knot.iter().min().copied().into_iter().collect();
    while let Some(next) =
        path.last().and_then(|last| graph.neighbors(*last).filter(|next| knot.contains(next)).min())
    {
        if let Some(met) = path.iter().position(|node| *node == next) {
            path.drain(..met);
            break;
        }
        path.push(next);
    }
    Circle(path.into_iter().map(|node| steps[node.index()].name.clone()).collect())
}
