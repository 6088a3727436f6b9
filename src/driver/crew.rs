//! Whom the effects talk to, and how single effects end.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::primitives::{Address, B256};
use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use crate::chain::{Chain, ChainError, OnRevert, PublishSample, SurveyRequest};
use crate::content::{Body, Content, ContentError, PinRetry, Service};
use crate::engine::{EffectKey, FetchFailure, Input, Offer, PinFailure, RunHeader};
use crate::plan::{PlannedStep, TaskConfig};
use crate::units::{BlockRef, Network, ResponseFacts, Round, SignedTx, TaskId, Untrusted};

use super::desk::Desk;
use super::preflight::same_chain;
use super::{Consent, DriverError};

/// For so long every fetch may fail before the gateways count as down. The engine gives an
/// output up only after longer, so none is lost to a gateway that nobody reaches.
const GATEWAY_PATIENCE: Duration = Duration::from_secs(15);
/// How often a run asks whether the chain is still what it was (safety.md, section 4, P0).
const GUARD_EVERY: Duration = Duration::from_secs(300);
/// The longest content id as text: that of version 1.
const LONGEST_CID: usize = 59;

/// Hears of a failed try to pin a task's config, while more follow.
pub type PinNotice = Arc<dyn Fn(TaskId, &PinRetry<'_>) + Send + Sync>;

/// The end of some effects.
#[derive(Debug)]
pub(super) struct Reply {
    /// Which effects ended.
    pub(super) keys: Vec<EffectKey>,
    /// What they told.
    pub(super) inputs: Vec<Input>,
    /// Bytes that the journal is to hold if the engine takes the inputs.
    pub(super) carry: Vec<Carry>,
    /// Why the run cannot go on.
    pub(super) error: Option<DriverError>,
}

/// Bytes on their way into the journal.
#[derive(Debug)]
pub(super) enum Carry {
    /// A signed version.
    Signed(SignedTx),
    /// A small output.
    Output(B256, Bytes),
}

impl Reply {
    pub(super) fn told(key: EffectKey, input: Input) -> Self {
        Self { keys: vec![key], inputs: vec![input], carry: Vec::new(), error: None }
    }

    pub(super) fn failed(keys: Vec<EffectKey>, error: impl Into<DriverError>) -> Self {
        Self { keys, inputs: Vec::new(), carry: Vec::new(), error: Some(error.into()) }
    }

    /// The end of a read that failed; of one that came to nodes that lag, which tells nothing, and
    /// is made again with the next look at everything.
    pub(super) fn not_read(keys: Vec<EffectKey>, error: ChainError) -> Self {
        if matches!(error, ChainError::Behind { .. }) {
            return Self { keys, inputs: Vec::new(), carry: Vec::new(), error: None };
        }
        Self::failed(keys, error)
    }

    pub(super) fn of(key: EffectKey, input: Result<Input, impl Into<DriverError>>) -> Self {
        match input {
            Ok(input) => Self::told(key, input),
            Err(error) => Self::failed(vec![key], error),
        }
    }
}

/// Whom the effects talk to.
pub(super) struct Crew<C, K> {
    pub(super) chain: Arc<C>,
    pub(super) content: Arc<K>,
    pub(super) desk: Arc<Desk>,
    pub(super) wallet: Address,
    pub(super) payer: Address,
    pub(super) notice: PinNotice,
    pub(super) gateways: Arc<Gateways>,
    pub(super) watch: Arc<ChainWatch>,
}

/// Whether the chain is still the one that the run was started on, asked again and again.
#[derive(Debug)]
pub(super) struct ChainWatch {
    /// The run, with the code that was found and accepted when this process began.
    header: Box<RunHeader>,
    looked_at: Mutex<Instant>,
    /// Whether the last look found something else: one node may lag behind the others.
    doubted: AtomicBool,
}

impl ChainWatch {
    /// A watch over the chain of a run, which was looked at just now; `accepted` is its code, if it
    /// is not the recorded one.
    pub(super) fn over(header: &RunHeader, accepted: Option<[B256; 4]>) -> Self {
        let code = accepted.unwrap_or(header.code);
        let header = Box::new(RunHeader { code, bundle: Value::Null, ..header.clone() });
        Self { header, looked_at: Mutex::new(Instant::now()), doubted: AtomicBool::new(false) }
    }

    /// Looks, if the last look was long ago or found something else. What two looks in a row find
    /// ends the run; what one node cannot tell is no news.
    pub(super) async fn look<C: Chain>(&self, chain: &C) -> Result<(), DriverError> {
        let doubted = self.doubted.load(Ordering::Relaxed);
        {
            let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
            if looked_at.elapsed() < GUARD_EVERY && !doubted {
                return Ok(());
            }
            *looked_at = Instant::now();
        }
        let found = match chain.guard().await {
            Ok(facts) => same_chain(&self.header, &facts, &Consent::default()).map(|_| ()),
            Err(ChainError::Unreachable { .. } | ChainError::Behind { .. }) => return Ok(()),
            Err(error) => Err(error.into()),
        };
        self.doubted.store(found.is_err(), Ordering::Relaxed);
        if doubted { found } else { Ok(()) }
    }
}

/// Since when no gateway has given anything; `None` while they do.
#[derive(Debug, Default)]
pub(super) struct Gateways(Mutex<Option<Instant>>);

impl Gateways {
    fn replied(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Notes that a fetch failed; says whether nothing has come for too long.
    fn are_down(&self) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.get_or_insert_with(Instant::now).elapsed() >= GATEWAY_PATIENCE
    }
}

impl<C, K> Clone for Crew<C, K> {
    fn clone(&self) -> Self {
        Self {
            chain: Arc::clone(&self.chain),
            content: Arc::clone(&self.content),
            desk: Arc::clone(&self.desk),
            wallet: self.wallet,
            payer: self.payer,
            notice: Arc::clone(&self.notice),
            gateways: Arc::clone(&self.gateways),
            watch: Arc::clone(&self.watch),
        }
    }
}

impl<C, K> fmt::Debug for Crew<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").field("wallet", &self.wallet).finish_non_exhaustive()
    }
}

impl<C: Chain, K: Content> Crew<C, K> {
    /// What a run asks of a survey: worst-case samples, so that no publication takes more gas.
    pub(super) fn survey_request(&self) -> SurveyRequest {
        let plan = self.desk.plan();
        let (longest, confirm) = self.desk.results(|r| (r.longest_url(), r.chosen()));
        let config = longest_url(plan.network(), longest);
        let sample = |step: &PlannedStep| PublishSample {
            source: step.source,
            config: config.clone(),
            payment: step.items.as_ref().map_or(step.facts.min_payment, |items| {
                items.highest_payment.max(step.facts.min_payment)
            }),
            expires: step.expires,
        };
        SurveyRequest {
            wallet: Some(self.wallet),
            payer: Some(self.payer),
            publishes: plan.steps().iter().map(sample).collect(),
            confirm,
            on_revert: OnRevert::Guess,
        }
    }

    pub(super) async fn pin(&self, task: TaskId, round: Round, config: TaskConfig) -> Reply {
        let key = EffectKey::Pin(task, round);
        let notice = |retry: PinRetry<'_>| (self.notice)(task, &retry);
        let (bytes, content) = (config.bytes.len() as u64, config.content);
        match self.content.pin(config.bytes.into(), &notice).await {
            Ok(pinned) => {
                Reply::told(key, Input::Pinned { task, round, url: pinned.url, bytes, content })
            }
            Err(error) if is_refusal(&error) => {
                let failure = PinFailure::Refused(Untrusted::from(error.to_string()).to_string());
                Reply::told(key, Input::PinFailed { task, round, failure })
            }
            Err(error) => Reply::failed(vec![key], error),
        }
    }

    /// Whether it is the network's gateway that failed, not the one file, nor a host that a
    /// provider chose.
    fn blames_gateway(&self, url: &str, error: &ContentError) -> bool {
        let down = match error {
            ContentError::Unreachable { .. } | ContentError::TooSlow { .. } => true,
            ContentError::Status { status, .. } => *status == 429 || *status >= 500,
            ContentError::Refused { .. }
            | ContentError::CutOff { .. }
            | ContentError::TooLarge { .. }
            | ContentError::WrongBytes { .. }
            | ContentError::NoLink { .. }
            | ContentError::Blob { .. } => false,
        };
        let gateways = &self.desk.plan().network().gateways;
        down && gateways.iter().any(|base| url.starts_with(base))
    }

    pub(super) async fn fetch(
        &self,
        (task, response, at): (TaskId, Address, BlockRef),
        facts: Option<ResponseFacts>,
    ) -> Reply {
        let key = EffectKey::Fetch(task, response);
        let Some(facts) = facts else {
            let reason = format!("there is no response to this task at {response}");
            let kind = FetchFailure::NoResponse;
            let input = Input::FetchFailed { task, response, confirmed_at: None, reason, kind };
            return Reply::told(key, input);
        };
        let confirmed_at = facts.confirmed.then_some(at);
        let offer = Offer { provider: facts.provider, payment: facts.payment, url: facts.url };
        match self.content.fetch(&offer.url).await {
            Ok(fetched) => {
                self.gateways.replied();
                let (sha256, len) = (fetched.sha256, fetched.len);
                let input = Input::Fetched { task, response, offer, confirmed_at, sha256, len };
                let mut reply = Reply::told(key, input);
                if let Body::Inline(bytes) = fetched.body {
                    reply.carry.push(Carry::Output(sha256, bytes));
                }
                reply
            }
            // Our own disk: nothing that comes later would be kept either.
            Err(error) if error.service().is_none() => Reply::failed(vec![key], error),
            Err(error) => {
                if self.blames_gateway(&offer.url, &error) && self.gateways.are_down() {
                    // Nothing is known to be wrong with this output.
                    return Reply::failed(vec![key], error);
                }
                let reason = Untrusted::from(error.to_string()).to_string();
                let kind = if error.is_transient() {
                    FetchFailure::Transient
                } else {
                    FetchFailure::Lasting
                };
                let input = Input::FetchFailed { task, response, confirmed_at, reason, kind };
                Reply::told(key, input)
            }
        }
    }
}

/// Whether the pin service refused this config for what it is, rather than being down or
/// closed to us.
const fn is_refusal(error: &ContentError) -> bool {
    matches!(
        error,
        ContentError::Status { service: Service::Pin, status: 400 | 413 | 415 | 422, .. }
    )
}

/// A URL as long as the longest that a config will have.
pub(super) fn longest_url(network: &Network, seen: usize) -> String {
    let base = network.gateways.iter().max_by_key(|base| base.len());
    let mut url = base.cloned().unwrap_or_default();
    let len = seen.max(url.len() + LONGEST_CID);
    url.extend(std::iter::repeat_n('b', len - url.len()));
    url
}
