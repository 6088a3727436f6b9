//! What is asked of the chain before anything is spent (safety.md, section 4, P0).
//!
//! The same questions serve `plan`, which only shows the replies, and `run`, which ends where
//! one is wrong. Nothing here signs or sends.

use alloy::primitives::{Address, B256};
use serde_json::Value;

use crate::chain::{Chain, ChainError, ChainFacts, OnRevert, PublishSample, SurveyRequest};
use crate::engine::event::FORMAT;
use crate::engine::{Input, OpenSlot, RunHeader};
use crate::plan::{Plan, SourceEntry, Sources};
use crate::store::{LaneState, LeaseHolder};
use crate::units::{Call, LaneView, Nonce, PayerRule, RunId, Timestamp, Wei};

use super::crew::longest_url;
use super::{Consent, DriverError};

/// Whose vault pays, and how that was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payer {
    /// Whose vault.
    pub address: Address,
    /// Why this one.
    pub why: PayerReason,
}

/// Why an account pays (protocol.md, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayerReason {
    /// The network's profile says so.
    Profile,
    /// Signer and sources' owner are the same account.
    Same,
    /// The sources belong to different owners, or to nobody that we act for.
    NotOwner,
    /// Only this vault can pay.
    OnlyOne,
    /// Both vaults can pay, so the sender's is taken as the one that the contract names.
    Sender,
}

/// Reads the sources that a pipeline names, each with its contract's address.
///
/// # Errors
/// When the chain cannot be read. A source that is none has no facts; that is the plan's to
/// tell, with the place in the file.
pub async fn read_sources<C: Chain>(
    chain: &C,
    named: Vec<(String, Address)>,
    block: Option<u64>,
) -> Result<Sources, DriverError> {
    let mut entries = Vec::new();
    for (named, address) in named {
        let facts = match chain.read_source(address).await {
            Ok(facts) => facts,
            Err(ChainError::NotASource { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        entries.push(SourceEntry { named, address, facts });
    }
    Ok(Sources { entries, block })
}

/// Finds out whose vault pays for a plan's tasks.
///
/// # Errors
/// When the chain cannot be read.
pub async fn payer<C: Chain>(
    chain: &C,
    plan: &Plan,
    signer: Address,
) -> Result<Payer, DriverError> {
    let is = |address, why| Ok(Payer { address, why });
    let mut owners: Vec<_> = plan.steps().iter().map(|step| step.facts.client).collect();
    owners.sort_unstable();
    owners.dedup();
    let owner = match owners.as_slice() {
        [owner] => *owner,
        _ => return is(signer, PayerReason::NotOwner),
    };
    match plan.network().payer {
        PayerRule::Signer => return is(signer, PayerReason::Profile),
        PayerRule::SourceOwner => return is(owner, PayerReason::Profile),
        PayerRule::Auto => {}
    }
    if owner == signer {
        return is(signer, PayerReason::Same);
    }
    if !chain.is_agent_of(owner, signer).await? {
        return is(signer, PayerReason::NotOwner);
    }
    let least = plan.steps().iter().map(|step| step.facts.min_payment).max().unwrap_or_default();
    let (of_signer, of_owner) = (chain.vault_of(signer).await?, chain.vault_of(owner).await?);
    let pays = |balance: Wei| balance >= least && !balance.is_zero();
    match (pays(of_signer.balance), pays(of_owner.balance)) {
        (false, true) => is(owner, PayerReason::OnlyOne),
        (true, false) => is(signer, PayerReason::OnlyOne),
        (true, true) | (false, false) => is(signer, PayerReason::Sender),
    }
}

/// Asks for fees, gas limits and balances for a plan, without trying whether the contracts would
/// take its publications: for figures.
pub fn figures(plan: &Plan, (signer, payer): (Option<Address>, Option<Address>)) -> SurveyRequest {
    let config = longest_url(plan.network(), 0);
    let sample = |step: &crate::plan::PlannedStep| PublishSample {
        source: step.source,
        config: config.clone(),
        payment: offered(step),
        expires: step.expires,
    };
    SurveyRequest {
        wallet: signer,
        payer,
        publishes: plan.steps().iter().map(sample).collect(),
        confirm: None,
        on_revert: OnRevert::Guess,
    }
}

/// Tries, without sending it, the first publication of every step that can start now.
///
/// # Errors
/// [`ChainError::Reverted`] with the contract's reason if it would be refused.
pub async fn rehearse<C: Chain>(
    chain: &C,
    plan: &Plan,
    signer: Address,
    head_time: crate::units::ChainTime,
) -> Result<(), DriverError> {
    let rules = plan.schedule().steps.iter().zip(plan.steps());
    for (_, step) in rules.filter(|(rule, _)| rule.upstreams.is_empty()) {
        let call = Call::PublishTask {
            source: step.source,
            config: longest_url(plan.network(), 0),
            expiry: head_time.after(step.expires),
            payment: offered(step),
        };
        chain.estimate(signer, call).await?;
    }
    Ok(())
}

/// The highest payment that a step is known to offer.
fn offered(step: &crate::plan::PlannedStep) -> Wei {
    let known = step.items.as_ref().map_or(Wei::ZERO, |items| items.highest_payment);
    known.max(step.facts.min_payment)
}

/// What a new run is decided by.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// Its id.
    pub run: RunId,
    /// Its plan.
    pub plan: &'a Plan,
    /// What the plan is made from, as JSON: kept for a resume.
    pub bundle: Value,
    /// What the guard found.
    pub facts: &'a ChainFacts,
    /// Who signs.
    pub signer: Address,
    /// Whose vault pays.
    pub payer: Address,
    /// The cap on payments and gas, in wei.
    pub cap: Option<Wei>,
    /// When it starts.
    pub at: Timestamp,
    /// Where jitter comes from.
    pub seed: u64,
}

impl Start<'_> {
    /// The header of the run: its first fact.
    pub fn header(self) -> Box<RunHeader> {
        let steps = self.plan.schedule().steps.iter().map(|rule| rule.name.clone());
        Box::new(RunHeader {
            format: FORMAT,
            run: self.run,
            pipeline: self.plan.name().into(),
            steps: steps.collect(),
            fingerprint: self.plan.fingerprint(),
            network: self.plan.network().clone(),
            genesis: self.facts.genesis,
            code: codes(self.facts),
            signer: self.signer,
            payer: self.payer,
            cap: self.cap,
            started_at: self.at,
            start_block: self.facts.settled,
            seed: self.seed,
            bundle: self.bundle,
        })
    }
}

fn codes(facts: &ChainFacts) -> [B256; 4] {
    let code = &facts.code;
    [code.nexus, code.controller, code.terminal, code.vault]
}

/// Compares a chain with the one that a run was started on; gives its code if that is other code
/// which the reader has accepted.
///
/// # Errors
/// [`DriverError::OtherChain`], naming what differs; [`DriverError::CodeChanged`].
pub fn same_chain(
    header: &RunHeader,
    facts: &ChainFacts,
    consent: &Consent,
) -> Result<Option<[B256; 4]>, DriverError> {
    let other = |what| Err(DriverError::OtherChain { what });
    if facts.chain_id != header.network.chain_id {
        return other("the chain id");
    }
    if facts.genesis != header.genesis {
        return other("the chain's first block");
    }
    let changes = changed_code(header, facts);
    let refused = changes.iter().find(|change| !consent.code.contains(&change.is));
    if let Some(change) = refused {
        return Err(DriverError::CodeChanged {
            run: header.run.clone(),
            change: Box::new(*change),
        });
    }
    Ok((!changes.is_empty()).then(|| codes(facts)))
}

/// Code that is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeChange {
    /// Which contract.
    pub contract: &'static str,
    /// Where it is.
    pub address: Address,
    /// The hash of the code that the run began with, or that was accepted last.
    pub was: B256,
    /// The hash of the code that is there.
    pub is: B256,
}

/// Which of the four contracts have other code than a run's record says.
pub fn changed_code(header: &RunHeader, facts: &ChainFacts) -> Vec<CodeChange> {
    let network = &header.network;
    let places = [
        ("Nexus", network.nexus),
        ("Controller", network.controller),
        ("Terminal", network.terminal),
        ("Vault", network.vault),
    ];
    places
        .into_iter()
        .zip(header.code.into_iter().zip(codes(facts)))
        .filter(|(_, (was, is))| was != is)
        .map(|((contract, address), (was, is))| CodeChange { contract, address, was, is })
        .collect()
}

/// Whether the lane's lease is held on this machine, if it is held at all.
///
/// # Errors
/// [`DriverError::HeldElsewhere`], unless the reader says that the other machine is gone.
pub fn same_machine(lane: &LaneState, consent: &Consent) -> Result<(), DriverError> {
    let here = LeaseHolder::this_process();
    match lane.holder.as_ref().filter(|holder| holder.is_elsewhere(&here)) {
        Some(holder) if !consent.take_over => {
            Err(DriverError::HeldElsewhere { holder: holder.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Where a run stands in its wallet's lane before it takes it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It has not begun: nothing on the chain can be its own.
    New,
    /// It has not begun, and is there to use up what may be unknown.
    Fence,
    /// It has begun to.
    Fencing,
    /// This is the first nonce that it could have bound.
    Resumed(Nonce),
    /// All that the wallet did below this nonce was read from the chain just now.
    Read(Nonce),
}

/// Where a run takes up its wallet's lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footing {
    /// The first nonce that nobody has used or bound.
    pub next_nonce: Nonce,
    /// A nonce that something outside the journal has used since the run began.
    pub foreign: Option<Nonce>,
    /// The transaction that has used it, if it was found.
    pub foreign_tx: Option<B256>,
    /// How many nonces a new run was moved on over, that others have used since the last run here.
    pub passed: u64,
}

impl Footing {
    /// What the run is told of its lane, with the slots that others have left open there.
    pub(super) fn input(self, wallet: Address, open: Vec<OpenSlot>) -> Input {
        let Self { next_nonce, foreign, foreign_tx, passed } = self;
        Input::Lane { wallet, next_nonce, open, foreign, foreign_tx, passed }
    }

    const fn at(next_nonce: Nonce) -> Self {
        Self { next_nonce, foreign: None, foreign_tx: None, passed: 0 }
    }
}

/// Finds out where a lane goes on.
///
/// A new run may move a lane on over transactions that are not ours, if nothing of ours is open
/// there and they are final: nothing of it can be among them. A run that had begun before them may
/// have made them itself, and its journal may be an old copy (safety.md, section 7). A fence begins
/// where the journal ends, over everything that is not final.
///
/// # Errors
/// [`DriverError::WalletMoved`] for a new run.
pub async fn footing<C: Chain>(
    chain: &C,
    header: &RunHeader,
    (lane, stand): (&LaneState, Stand),
) -> Result<Footing, DriverError> {
    let wallet = chain.wallet_of(header.signer).await?;
    let (known, latest, pending) = (lane.next_nonce, wallet.latest, wallet.pending);
    let moved = |from: Nonce| latest > from.0 || pending > from.0;
    let at = |next_nonce| Ok(Footing::at(next_nonce));
    let view = |doubts| chain.view(header.signer, Vec::new(), doubts);
    let found = |view: &LaneView, nonce| view.use_of(nonce).map(|found| found.tx_hash);
    match stand {
        Stand::Resumed(began) => {
            let before = lane.last_foreign.filter(|nonce| *nonce >= began);
            let Some(foreign) = moved(known).then_some(known).or(before) else {
                return at(known);
            };
            let foreign_tx = found(&view(vec![foreign]).await?, foreign);
            Ok(Footing { foreign: Some(foreign), foreign_tx, ..Footing::at(known) })
        }
        Stand::Read(below) => {
            let next_nonce = known.max(below);
            let foreign = moved(next_nonce).then_some(next_nonce);
            Ok(Footing { foreign, ..Footing::at(next_nonce) })
        }
        Stand::Fencing => at(known),
        Stand::New | Stand::Fence if !moved(known) => at(known),
        Stand::New => {
            let settled = lane.open.is_empty() && pending <= latest;
            let now = view(Vec::new()).await?;
            if settled && now.count == latest && now.final_count == latest {
                // The first run of a wallet here has nothing that it could be moved on from.
                let passed = if known == Nonce(0) { 0 } else { latest - known.0 };
                return Ok(Footing { passed, ..Footing::at(Nonce(latest)) });
            }
            let by = found(&view(vec![known]).await?, known);
            Err(DriverError::WalletMoved { wallet: header.signer, known, latest, pending, by })
        }
        Stand::Fence if lane.open.is_empty() => {
            let view = view(Vec::new()).await?;
            at(known.max(Nonce(view.final_count)))
        }
        Stand::Fence => at(known),
    }
}
