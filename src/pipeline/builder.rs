//! Parser events on their way to a tree, weighed as they come.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_saphyr::granit_parser::{self, Event, Options, Parser, ScalarStyle, StructureStyle};

use super::document::{Body, Entry, MAX_DEPTH, MAX_EXPANDED, MAX_NODES, Node, Scalar};
use super::problem::{Code, Problem, SourceText, Span};
use super::syntax;

/// Why building stopped.
pub(super) enum Stop {
    /// At unquoted braces, which can be quoted for another try.
    Braces(Span),
    /// For good.
    Problem(Box<Problem>),
}

/// A list or map that is still open.
struct Frame {
    span: Span,
    anchor: usize,
    flow: bool,
    nodes: usize,
    bytes: usize,
    open: Open,
}

enum Open {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, places: BTreeMap<String, Span>, key: Option<(String, Span)> },
}

/// A value that an alias can stand for, with what it weighs.
struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
}

pub(super) struct Builder<'a> {
    file: &'a Arc<SourceText>,
    repaired: &'a [usize],
    /// What was found and did not stop the building.
    pub(super) problems: Vec<Problem>,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, Anchored>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    bytes: usize,
}

impl<'a> Builder<'a> {
    pub(super) fn new(file: &'a Arc<SourceText>, repaired: &'a [usize]) -> Self {
        Self {
            file,
            repaired,
            problems: Vec::new(),
            frames: Vec::new(),
            anchors: BTreeMap::new(),
            root: None,
            documents: 0,
            nodes: 0,
            bytes: 0,
        }
    }

    pub(super) fn build(&mut self, text: &str) -> Result<Option<Node>, Stop> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.flow_nesting_limit = MAX_DEPTH + 1;
        options.block_nesting_limit = MAX_DEPTH + 1;
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, place) = event.map_err(|error| self.scan_error(text, &error))?;
            let span = byte_span(&place);
            if let Some(tag) = place.tag_span() {
                let message = "tags have no meaning here";
                let problem = Problem::new(Code::E0102, self.file, byte_span(&tag), message);
                return Err(stop(problem.help("remove the tag; quotes make text of a value")));
            }
            self.event(event, span, text)?;
        }
        Ok(self.root.take())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser's list of events is open")]
    fn event(&mut self, event: Event<'_>, span: Span, text: &str) -> Result<(), Stop> {
        match event {
            Event::Scalar(value, style, anchor, _) => {
                let body = if self.repaired.contains(&span.offset) {
                    Body::Broken
                } else {
                    let implicit = style == ScalarStyle::Plain && span.len == 0;
                    let text = if implicit { String::new() } else { value.into_owned() };
                    Body::Scalar(Scalar { text, style })
                };
                let bytes = span.len;
                self.value(Node { span, body }, anchor, (1, bytes))
            }
            Event::SequenceStart(style, anchor, _) => {
                self.open(span, anchor, style, Open::List(Vec::new()))
            }
            Event::MappingStart(style, anchor, _) => {
                if style == StructureStyle::Flow && text[span.offset..].starts_with("{{") {
                    return Err(Stop::Braces(syntax::brace_region(text, span, self.in_flow())));
                }
                let (entries, places) = (Vec::new(), BTreeMap::new());
                self.open(span, anchor, style, Open::Map { entries, places, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(..) => {
                self.documents += 1;
                match self.documents {
                    1 => Ok(()),
                    _ => Err(stop(syntax::second_document(self.file, span))),
                }
            }
            _ => Ok(()),
        }
    }

    fn in_flow(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.flow)
    }

    fn open(
        &mut self,
        span: Span,
        anchor: usize,
        style: StructureStyle,
        open: Open,
    ) -> Result<(), Stop> {
        if self.frames.len() == MAX_DEPTH {
            return Err(stop(syntax::too_deep(self.file, span)));
        }
        let flow = style == StructureStyle::Flow;
        self.frames.push(Frame { span, anchor, flow, nodes: 1, bytes: 0, open });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Stop> {
        let frame = self.frames.pop().expect("the parser pairs starts and ends");
        let (body, last) = match frame.open {
            Open::List(nodes) => {
                let last = nodes.last().map(|node| node.span.end());
                (Body::List(nodes), last)
            }
            Open::Map { entries, .. } => {
                let last = entries.last().map(|entry| entry.value.span.end());
                (Body::Map(entries), last)
            }
        };
        let end = if frame.flow { end.end() } else { last.unwrap_or(frame.span.offset) };
        let len = end.saturating_sub(frame.span.offset);
        let node = Node { span: Span::new(frame.span.offset, len), body };
        self.value(node, frame.anchor, (frame.nodes, frame.bytes))
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some(found) = self.anchors.get(&anchor) else {
            let message = "an alias may not stand inside of what it stands for";
            return Err(stop(Problem::new(Code::E0107, self.file, span, message)));
        };
        let weight = (found.nodes, found.bytes);
        self.weigh(weight, span)?;
        let node = found_clone(&self.anchors, anchor);
        self.attach(node, weight)
    }

    /// Takes a finished value: counts it, remembers it under its anchor, hangs it into the tree.
    fn value(&mut self, node: Node, anchor: usize, weight: (usize, usize)) -> Result<(), Stop> {
        if matches!(node.body, Body::Scalar(_) | Body::Broken) {
            self.weigh(weight, node.span)?;
        } else {
            self.weigh((1, 0), node.span)?;
        }
        if anchor != 0 {
            self.weigh(weight, node.span)?;
            let (nodes, bytes) = weight;
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, bytes });
        }
        self.attach(node, weight)
    }

    fn weigh(&mut self, (nodes, bytes): (usize, usize), span: Span) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.nodes > MAX_NODES || self.bytes > MAX_EXPANDED {
            return Err(stop(syntax::too_large(self.file, span)));
        }
        Ok(())
    }

    fn attach(&mut self, node: Node, (nodes, bytes): (usize, usize)) -> Result<(), Stop> {
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.nodes = frame.nodes.saturating_add(nodes);
        frame.bytes = frame.bytes.saturating_add(bytes);
        match &mut frame.open {
            Open::List(list) => list.push(node),
            Open::Map { entries, places, key } => match key.take() {
                Some((key, key_span)) => match places.get(&key) {
                    Some(first) => {
                        self.problems.push(syntax::duplicate(self.file, &key, key_span, *first));
                    }
                    None => {
                        places.insert(key.clone(), key_span);
                        entries.push(Entry { key, key_span, value: node });
                    }
                },
                None => match node.body {
                    Body::Scalar(scalar) => *key = Some((scalar.text, node.span)),
                    Body::List(_) | Body::Map(_) | Body::Broken => {
                        let problem =
                            Problem::new(Code::E0102, self.file, node.span, "a key must be text");
                        return Err(stop(problem.help("put the key into quotes")));
                    }
                },
            },
        }
        Ok(())
    }

    fn scan_error(&self, text: &str, error: &granit_parser::ScanError) -> Stop {
        let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
        match syntax::braces_near(text, at, self.in_flow()) {
            Some(region) => Stop::Braces(region),
            None => stop(syntax::scan_problem(self.file, text, at, error.kind())),
        }
    }
}

fn found_clone(anchors: &BTreeMap<usize, Anchored>, anchor: usize) -> Node {
    anchors.get(&anchor).expect("looked up just before").node.clone()
}

fn stop(problem: Problem) -> Stop {
    Stop::Problem(Box::new(problem))
}

fn byte_span(place: &granit_parser::Span) -> Span {
    let range = place.byte_range().unwrap_or(0..0);
    Span::new(range.start, range.end.saturating_sub(range.start))
}
