//! The bodies of effects that make, fetch and judge content.

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use bytes::Bytes;
use futures::StreamExt;

use crate::chain::Chain;
use crate::content::{Body, Content, ContentError};
use crate::engine::{
    EffectKey, Expansion, Input, ItemEntry, ItemFate, Offer, PinFailure, Verdict, Window,
};
use crate::plan::{Expanded, PlanItem, parse_output};
use crate::units::{ResponseFacts, Round, TaskId, TaskKey, Untrusted};

use super::work::{Report, Shared};
use super::{DriveError, Notice};

/// How many contracts one batch reads.
pub(super) const RESPONSES: usize = 100;
/// How many transfers of one group go on at a time; the content room limits them all together.
const TRANSFERS: usize = 64;

/// Renders and pins configs, and reads them back.
pub(super) async fn pin<C: Chain, N: Content>(
    shared: Arc<Shared<C, N>>,
    wanted: Vec<(TaskId, Round, TaskKey)>,
) {
    let renderer = shared.clone();
    let rendered = tokio::task::spawn_blocking(move || {
        let render = |(task, round, key)| (task, round, render(&renderer, task, round, &key));
        wanted.into_iter().map(render).collect::<Vec<_>>()
    });
    let Ok(rendered) = rendered.await else { return };
    futures::stream::iter(rendered)
        .for_each_concurrent(TRANSFERS, |(task, round, config)| {
            let shared = shared.clone();
            async move {
                let done = EffectKey::Pin(task, round);
                match config {
                    Ok((bytes, content)) => upload(&shared, task, round, (bytes, content)).await,
                    Err(reason) => {
                        let failure = PinFailure::Render(reason);
                        let input = Input::PinFailed { task, round, failure };
                        shared.report(vec![Report::of(done, input)]);
                    }
                }
            }
        })
        .await;
}

fn render<C, N>(
    shared: &Shared<C, N>,
    task: TaskId,
    round: Round,
    key: &TaskKey,
) -> Result<(Bytes, B256), String> {
    let item = shared.item(task)?;
    let scope = shared.scope(task.step)?;
    let mut payment = shared.plan.offer(task.step, &item, &scope)?.payment;
    for _ in 1..round.get() {
        let rule = &shared.plan.schedule().steps[usize::from(task.step)].retry;
        payment = rule.next_payment(payment);
    }
    let config = shared.plan.render(task.step, &item, &scope, Some(key), payment)?;
    Ok((config.bytes.into(), config.content))
}

async fn upload<C: Chain, N: Content>(
    shared: &Shared<C, N>,
    task: TaskId,
    round: Round,
    (config, content): (Bytes, B256),
) {
    let bytes = config.len() as u64;
    let notice = |retry: crate::content::PinRetry<'_>| {
        (shared.notify)(Notice::PinRetry {
            task,
            tried: retry.tried,
            of: retry.of,
            wait: retry.wait,
            reason: retry.error.to_string(),
        });
    };
    let done = EffectKey::Pin(task, round);
    match shared.content.pin(config, &notice).await {
        Ok(pinned) => {
            let input = Input::Pinned { task, round, url: pinned.url, bytes, content };
            shared.report(vec![Report::of(done, input)]);
        }
        Err(error) if error.is_transient() => shared.fail(DriveError::Content(error)),
        Err(error) => {
            let failure = PinFailure::Refused(error.to_string());
            let input = Input::PinFailed { task, round, failure };
            shared.report(vec![Report::of(done, input)]);
        }
    }
}

/// Reads responses and fetches their outputs.
pub(super) async fn fetch<C: Chain, N: Content>(
    shared: Arc<Shared<C, N>>,
    wanted: Vec<(TaskId, Address)>,
) {
    let addresses = wanted.iter().map(|(_, response)| *response).collect();
    let facts = match shared.chain.read_responses(addresses).await {
        Ok(facts) => facts,
        Err(error) => return shared.fail(DriveError::Chain(error)),
    };
    futures::stream::iter(wanted.into_iter().zip(facts))
        .for_each_concurrent(TRANSFERS, |((task, response), facts)| {
            let shared = shared.clone();
            async move {
                let report = fetch_one(&shared, (task, response), facts).await;
                shared.report(report.into_iter().collect());
            }
        })
        .await;
}

async fn fetch_one<C: Chain, N: Content>(
    shared: &Shared<C, N>,
    (task, response): (TaskId, Address),
    facts: Option<ResponseFacts>,
) -> Option<Report> {
    let done = vec![EffectKey::Fetch(task, response)];
    let failed = |offer, reason, transient| {
        let input = Input::FetchFailed { task, response, offer, reason, transient };
        Report { done: done.clone(), input: Some(input), signed: None, output: None }
    };
    let Some(facts) = facts else {
        // A node that lags does not have the contract yet.
        return Some(failed(None, "the response's contract cannot be read".to_owned(), true));
    };
    let offer = Offer {
        provider: facts.provider,
        payment: facts.payment,
        url: facts.url.clone(),
        confirmed: facts.confirmed,
    };
    match shared.content.fetch(&facts.url).await {
        Ok(fetched) => {
            shared.gateway_replied();
            let output = match fetched.body {
                Body::Inline(bytes) => Some((fetched.sha256, bytes)),
                Body::Blob => None,
            };
            let (sha256, len) = (fetched.sha256, fetched.len);
            let input = Input::Fetched { task, response, offer, sha256, len };
            Some(Report { done, input: Some(input), signed: None, output })
        }
        Err(error @ ContentError::Blob { .. }) => {
            shared.fail(DriveError::Content(error));
            None
        }
        Err(error) => {
            let (reason, transient) = (error.to_string(), error.is_transient());
            if transient && shared.gateway_is_down() {
                // Nothing is wrong with this output: the run stops and is resumed.
                shared.fail(DriveError::Content(error));
                return None;
            }
            Some(failed(Some(offer), reason, transient))
        }
    }
}

/// Reads tasks directly.
pub(super) async fn read_tasks<C: Chain, N: Content>(
    shared: Arc<Shared<C, N>>,
    wanted: Vec<(TaskId, Address)>,
) {
    let addresses = wanted.iter().map(|(_, address)| *address).collect();
    let facts = match shared.chain.read_tasks(addresses).await {
        Ok(facts) => facts,
        Err(error) => return shared.fail(DriveError::Chain(error)),
    };
    let report = |((task, _), facts): ((TaskId, Address), Option<_>)| Report {
        done: vec![EffectKey::ReadTask(task)],
        input: facts.map(|facts| Input::TaskRead { task, facts }),
        signed: None,
        output: None,
    };
    shared.report(wanted.into_iter().zip(facts).map(report).collect());
}

/// An output to judge.
pub(super) struct Check {
    pub task: TaskId,
    pub response: Address,
    pub sha256: B256,
}

impl Check {
    /// Judges an output that is on disk.
    pub(super) fn run<C, N>(self, shared: &Shared<C, N>) -> Report {
        let Self { task, response, .. } = self;
        let verdict = self.verdict(shared);
        Report::of(EffectKey::Check(task, response), Input::Checked { task, response, verdict })
    }

    fn verdict<C, N>(&self, shared: &Shared<C, N>) -> Verdict {
        let bytes = match (shared.outputs)(&self.sha256) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return unreadable("it is not on disk"),
            Err(error) => return unreadable(&error.to_string()),
        };
        let output = match parse_output(&bytes) {
            Ok(output) => output,
            Err(verdict) => return refused(verdict),
        };
        let judged = shared.item(self.task).and_then(|item| {
            let scope = shared.scope(self.task.step)?;
            Ok(shared.plan.check_output(self.task.step, &item, &scope, &output))
        });
        match judged {
            Ok(verdict) => refused(verdict),
            Err(reason) => Verdict::Rejected { reason },
        }
    }
}

/// A verdict of the plan, whose reason may quote the output.
fn refused(verdict: crate::plan::Verdict) -> Verdict {
    match verdict {
        crate::plan::Verdict::Accepted => Verdict::Accepted,
        crate::plan::Verdict::Rejected { reason } => {
            Verdict::Rejected { reason: Untrusted::from(reason).to_string() }
        }
    }
}

fn unreadable(reason: &str) -> Verdict {
    Verdict::Unreadable { reason: Untrusted::from(reason.to_owned()).to_string() }
}

/// Finds out which items a step has, and keeps them.
pub(super) fn expand<C, N>(shared: &Shared<C, N>, step: u16) -> Expansion {
    let values = match shared.values(step) {
        Ok(values) => values,
        Err(reason) => return Expansion::Failed { reason },
    };
    let mut sink = shared.items.sink();
    match shared.plan.expand(step, &values, &shared.run_facts, &mut sink) {
        Expanded::Items { count, blob } => match shared.items.open(step, blob) {
            Ok(()) => Expansion::Items { count, blob },
            Err(error) => {
                Expansion::Failed { reason: format!("the items cannot be read: {error}") }
            }
        },
        Expanded::Streaming => Expansion::Streaming,
        Expanded::Skipped => Expansion::Skipped,
        Expanded::Failed { reason } => Expansion::Failed { reason },
    }
}

/// Reads items and says what each becomes.
pub(super) fn read_items<C, N>(shared: &Shared<C, N>, step: u16, window: Window) -> Vec<ItemEntry> {
    let read: Vec<(u32, Result<PlanItem, String>)> = match window {
        Window::From { from, limit } => {
            let name = shared.plan.step_name(step).as_str();
            match shared.items.window(name, step, from, limit) {
                Ok(items) => (from..).zip(items.into_iter().map(Ok)).collect(),
                Err(reason) => (from..from + limit).map(|n| (n, Err(reason.clone()))).collect(),
            }
        }
        Window::Places(places) => {
            let item = |place| (place, shared.item(TaskId::new(step, place)));
            places.into_iter().map(item).collect()
        }
    };
    read.into_iter().map(|(place, item)| entry(shared, step, place, item)).collect()
}

fn entry<C, N>(
    shared: &Shared<C, N>,
    step: u16,
    place: u32,
    item: Result<PlanItem, String>,
) -> ItemEntry {
    let key = match &item {
        Ok(item) => item.key.clone(),
        Err(_) => crate::units::ItemKey::parse(&format!("item-{place}"))
            .expect("a word and a number are a key"),
    };
    let fate = item
        .and_then(|item| {
            let scope = shared.scope(step)?;
            if shared.plan.filters_on_reading(step) && !shared.plan.keeps(step, &item, &scope)? {
                return Ok(ItemFate::Dropped);
            }
            let offered = shared.plan.offer(step, &item, &scope)?;
            Ok(ItemFate::Task { payment: offered.payment, expires_s: offered.expires.as_secs() })
        })
        .unwrap_or_else(|reason| ItemFate::Failed { reason });
    ItemEntry { item: place, key, fate }
}
