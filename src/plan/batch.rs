//! One pass over a step's items before the run: rows, keys, ceilings, sizes.
//!
//! A file is streamed once, in chunks of rows. A chunk is decoded, shaped and rendered on all
//! threads; what must be in order (places, keys, sums, what is kept) is done behind it, in order.
//! No item is held: of each remain the 20 bytes that find two of one key.

mod feed;
mod problems;
mod rows;
mod sink;

use std::io;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use feed::{Feed, hashed};
pub use sink::{ItemSink, KnownItems, NoSink};

use problems::Problems;
use rows::{Named, Raw, Rows, Shaped, Tried};

use super::task::PlanItem;
use crate::pipeline::items::{ContentKeys, Decoder, KeyList};
use crate::pipeline::{
    Code, FileItems, Foreach, Loader, Pipeline, Problem, ReadPlace, Scope, Step,
};
use crate::units::ItemKey;
use crate::units::source::SourceFacts;

/// Rows that are worked on at once.
const CHUNK_ROWS: usize = 2048;

/// Bytes of rows that are worked on at once, as far as one row does not exceed them by itself.
const CHUNK_BYTES: usize = 8 << 20;

/// Rows with a problem after which the rest of a file is not looked at.
const MAX_BAD_ROWS: usize = 20;

/// Rows that are reported with the same problem at the same place.
const MAX_ALIKE: usize = 3;

/// A pass over the items of one step.
pub(super) struct Pass<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) step: &'a Step,
    /// What the source's contract says; `None` offline.
    pub(super) facts: Option<&'a SourceFacts>,
    pub(super) loader: &'a dyn Loader,
    /// At most so many items.
    pub(super) limit: Option<u64>,
}

/// Whether the items of a step are known before the run.
pub(super) fn is_known(step: &Step) -> bool {
    let waits = |place: fn(ReadPlace) -> bool| step.reads.iter().any(|read| place(read.place));
    match &step.foreach {
        Foreach::Once | Foreach::File(_) => true,
        Foreach::List(_) | Foreach::Expression(_) => {
            !waits(|place| {
                matches!(place, ReadPlace::ForeachWhole | ReadPlace::Foreach | ReadPlace::Shaping)
            }) && !reads_run(step)
        }
    }
}

/// Whether `foreach` reads `run`, which is there only once there is one.
fn reads_run(step: &Step) -> bool {
    let references = match &step.foreach {
        Foreach::Once | Foreach::File(_) => Vec::new(),
        Foreach::List(written) => written.references(),
        Foreach::Expression(written) => written.references(),
    };
    references.iter().any(|found| found.path.first().is_some_and(|name| name == "run"))
}

fn reads_at(step: &Step, place: ReadPlace) -> bool {
    step.reads.iter().any(|read| read.place == place)
}

/// Whether `filter` waits for outputs, so that it is asked only when the items are read.
pub(super) fn filters_late(step: &Step) -> bool {
    step.filter.is_some() && reads_at(step, ReadPlace::Shaping)
}

/// What is counted while items go by.
struct Tally {
    found: KnownItems,
    ordinal: u64,
    keys: KeyList,
    contents: ContentKeys,
    problems: Problems,
}

impl<'a> Pass<'a> {
    fn rows(&self) -> Rows<'a> {
        Rows { pipeline: self.pipeline, step: self.step, facts: self.facts }
    }

    /// Looks at all items; gives what is known of them unless something is wrong with any.
    pub(super) fn run(
        &self,
        sink: &mut dyn ItemSink,
        problems: &mut Vec<Problem>,
    ) -> Option<KnownItems> {
        let hash = Arc::new(Mutex::new(Sha256::new()));
        let mut tally = Tally {
            found: KnownItems {
                public_bytes: self.rows().renders().then_some(0),
                ..KnownItems::default()
            },
            ordinal: 0,
            keys: KeyList::default(),
            contents: ContentKeys::default(),
            problems: Problems::default(),
        };
        match self.feed(&hash) {
            Ok(feed) => self.drain(feed, sink, &mut tally),
            Err(problem) => tally.problems.push(*problem),
        }
        self.too_many(&mut tally);
        if tally.problems.is_empty() {
            self.duplicates(std::mem::take(&mut tally.keys), &mut tally.problems);
        }
        let mut found = tally.found;
        found.sha256 = hashed(&hash);
        let kept = matches!(self.step.foreach, Foreach::Once).then_some(None);
        match kept.map_or_else(|| sink.end(&self.step.name), Ok) {
            Ok(blob) => found.blob = blob,
            Err(error) => tally.problems.push(self.unkept(&error)),
        }
        let sound = tally.problems.is_empty();
        problems.extend(tally.problems.into_inner());
        sound.then_some(found)
    }

    fn unkept(&self, error: &io::Error) -> Problem {
        self.rows().problem(
            Code::E0307,
            self.step.span,
            format!("the items cannot be kept: {error}"),
        )
    }

    fn drain(&self, mut feed: Feed, sink: &mut dyn ItemSink, tally: &mut Tally) {
        let decoder = match &feed {
            Feed::Records(records) => {
                let columns = records.columns();
                tally.found.columns =
                    columns.map(|names| names.into_iter().map(str::to_owned).collect());
                Some(records.decoder())
            }
            Feed::Values(..) | Feed::Files(..) => None,
        };
        let scope = self.pipeline.scope();
        let mut left = self.limit.unwrap_or(u64::MAX);
        loop {
            let (chunk, ended) = self.chunk(&mut feed, &mut left, tally);
            if !chunk.is_empty() {
                self.work(chunk, decoder.as_ref(), &scope, (sink, tally));
            }
            if ended || tally.problems.is_full() {
                return;
            }
        }
    }

    /// The next records, and whether they are the last.
    fn chunk(&self, feed: &mut Feed, left: &mut u64, tally: &mut Tally) -> (Vec<Raw>, bool) {
        let mut chunk = Vec::with_capacity(CHUNK_ROWS);
        let mut bytes = 0_usize;
        while chunk.len() < CHUNK_ROWS && bytes < CHUNK_BYTES {
            if *left == 0 {
                return (chunk, true);
            }
            match self.next(feed) {
                None => return (chunk, true),
                Some(Ok((raw, size))) => {
                    *left -= 1;
                    bytes = bytes.saturating_add(size);
                    chunk.push(raw);
                }
                Some(Err(problem)) => {
                    tally.problems.push(*problem);
                    return (chunk, true);
                }
            }
        }
        (chunk, false)
    }

    fn work(
        &self,
        chunk: Vec<Raw>,
        decoder: Option<&Decoder>,
        scope: &Scope,
        (sink, tally): (&mut dyn ItemSink, &mut Tally),
    ) {
        let first = tally.ordinal;
        tally.ordinal += u64::try_from(chunk.len()).unwrap_or(0);
        let rows = self.rows();
        let shaped: Vec<Result<Shaped, Box<Problem>>> = chunk
            .into_par_iter()
            .enumerate()
            .map(|(at, raw)| {
                let ordinal = first.saturating_add(u64::try_from(at).unwrap_or(0));
                rows.shape(raw, decoder, scope, ordinal)
            })
            .collect();
        let named = self.name(shaped, tally);
        let keeps = sink.keeps() && !matches!(self.step.foreach, Foreach::Once);
        let tried: Vec<Result<Tried, Box<Problem>>> = named
            .into_par_iter()
            .map(|(item, scope, row)| {
                rows.try_out(&scope, row)
                    .map(|tried| Tried { line: keeps.then(|| item.to_line()), ..tried })
            })
            .collect();
        for tried in tried {
            match tried {
                Ok(tried) => self.add(tried, sink, tally),
                Err(problem) => tally.problems.push(*problem),
            }
        }
    }

    /// Gives places and keys to the items that stay, in input order.
    fn name(
        &self,
        shaped: Vec<Result<Shaped, Box<Problem>>>,
        tally: &mut Tally,
    ) -> Vec<(PlanItem, Scope, u64)> {
        let mut named = Vec::with_capacity(shaped.len());
        for shaped in shaped {
            let shaped = match shaped {
                Ok(shaped) => shaped,
                Err(problem) => {
                    tally.problems.push(*problem);
                    continue;
                }
            };
            let key = match shaped.key {
                Named::Key(key) => {
                    tally.keys.push(key.hash(), shaped.record.row);
                    key
                }
                Named::Content(content) => tally.contents.name(content),
            };
            if !shaped.keeps {
                continue;
            }
            let index = tally.found.count;
            tally.found.count = index.saturating_add(1);
            let scope = match self.step.filter {
                Some(_) => {
                    shaped.scope.with("index", crate::pipeline::Datum::integer(u64::from(index)))
                }
                None => shaped.scope,
            };
            named.push((
                PlanItem { index, key, value: shaped.record.value },
                scope,
                shaped.record.row,
            ));
        }
        named
    }

    fn add(&self, tried: Tried, sink: &mut dyn ItemSink, tally: &mut Tally) {
        let found = &mut tally.found;
        found.payments = found.payments.saturating_add(tried.payment);
        found.highest_payment = found.highest_payment.max(tried.payment);
        found.longest_ms = found.longest_ms.max(tried.life_ms);
        found.public_bytes =
            found.public_bytes.zip(tried.bytes).map(|(sum, bytes)| sum.saturating_add(bytes));
        if let Some(line) = &tried.line
            && let Err(error) = sink.line(&self.step.name, line)
        {
            tally.problems.push(self.unkept(&error));
        }
    }

    /// E0310 for more items than `max_items`.
    fn too_many(&self, tally: &mut Tally) {
        let Some(most) = self.step.max_items else { return };
        if tally.found.count > most.get() {
            let message =
                format!("{} items, more than the {most} of `max_items`", tally.found.count);
            let problem = self.rows().problem(Code::E0310, self.step.span, message);
            tally
                .problems
                .push(problem.help("raise `max_items`, or keep fewer items with `filter`"));
        }
    }

    /// E0306 for keys that stand twice. The keys themselves come from a second look at the rows.
    fn duplicates(&self, keys: KeyList, problems: &mut Problems) {
        let found = keys.duplicates(MAX_BAD_ROWS);
        if found.is_empty() {
            return;
        }
        let names = self.keys_of_rows(found.iter().map(|twice| twice.second).collect());
        let span = match &self.step.foreach {
            Foreach::File(FileItems { key: Some((_, span)), .. }) => *span,
            Foreach::File(_) | Foreach::Once | Foreach::List(_) | Foreach::Expression(_) => {
                self.step.key.as_ref().map_or(self.step.span, crate::pipeline::Written::span)
            }
        };
        let (rows, of) = match &self.step.foreach {
            Foreach::File(items) => ("rows", items.path.as_str()),
            Foreach::Once | Foreach::List(_) | Foreach::Expression(_) => ("entries", "`foreach`"),
        };
        for twice in found {
            let name = names.iter().find(|(row, _)| *row == twice.second);
            let name =
                name.map_or_else(|| "the same key".to_owned(), |(_, key)| format!("key `{key}`"));
            let message = format!("{name} in {rows} {} and {} of {of}", twice.first, twice.second);
            let problem = self.rows().problem(Code::E0306, span, message);
            problems.push_all(problem.help("each item needs a key of its own"));
        }
    }

    fn keys_of_rows(&self, mut rows: Vec<u64>) -> Vec<(u64, ItemKey)> {
        rows.sort_unstable();
        let Ok(mut feed) = self.feed(&Arc::new(Mutex::new(Sha256::new()))) else {
            return Vec::new();
        };
        let decoder = match &feed {
            Feed::Records(records) => Some(records.decoder()),
            Feed::Values(..) | Feed::Files(..) => None,
        };
        let scope = self.pipeline.scope();
        let mut names = Vec::new();
        let mut ordinal = 0;
        while let (Some(last), Some(Ok((raw, _)))) = (rows.last().copied(), self.next(&mut feed)) {
            if let Ok(shaped) = self.rows().shape(raw, decoder.as_ref(), &scope, ordinal)
                && let Named::Key(key) = shaped.key
                && rows.binary_search(&shaped.record.row).is_ok()
            {
                names.push((shaped.record.row, key));
                if shaped.record.row == last {
                    break;
                }
            }
            ordinal += 1;
        }
        names
    }
}
