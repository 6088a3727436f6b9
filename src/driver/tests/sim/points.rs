//! Named places at which a process dies: each durable step, and both edges of each exchange.
//!
//! A place is reached just before the thing happens there, and again when it has happened and the
//! process has not heard of it. Places are counted, so that a death can be planned for the n-th
//! time that one is reached. Who is dead does nothing any more: what it still had under way never
//! arrives, whatever the runtime goes on with.

use std::collections::BTreeMap;
use std::task::Waker;

use super::world::{Shared, World, held};
use crate::engine::Event;

/// Which side of the thing that happens at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edge {
    /// It has not happened.
    Before,
    /// It has, and nobody heard of it.
    After,
}

impl Edge {
    pub(super) const ALL: [Self; 2] = [Self::Before, Self::After];
}

/// How often each place was reached.
pub(super) type Seen = BTreeMap<(&'static str, Edge), u64>;

/// A death that is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Death {
    pub name: &'static str,
    pub edge: Edge,
    /// The time that the place is reached, from 1.
    pub nth: u64,
    /// So many processes die there, one after the other.
    pub times: u64,
}

/// The places of one story.
#[derive(Default)]
pub(super) struct Points {
    pub seen: Seen,
    /// How many died as planned.
    pub deaths: u64,
    death: Option<Death>,
    dead: bool,
    waker: Option<Waker>,
}

impl Points {
    pub(super) fn new(death: Option<Death>) -> Self {
        Self { death, ..Self::default() }
    }

    /// Another process begins.
    pub(super) const fn begin(&mut self) {
        self.dead = false;
    }

    /// Whether the process is dead; wakes whoever asks once it is.
    pub(super) fn is_dead(&mut self, waker: &Waker) -> bool {
        self.waker = Some(waker.clone());
        self.dead
    }

    /// Notes that places are reached; `false` if the process is dead, or dies here.
    fn reach(&mut self, names: &[&'static str], edge: Edge) -> bool {
        if self.dead {
            return false;
        }
        for name in names {
            let count = self.seen.entry((name, edge)).or_default();
            *count += 1;
            let Some(death) = &mut self.death else { continue };
            let here = (death.name, death.edge) == (*name, edge);
            if here && *count >= death.nth && self.deaths < death.times {
                self.deaths += 1;
                self.dead = true;
            }
        }
        if self.dead
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
        !self.dead
    }
}

impl World {
    /// Whether the process of this life goes on past places.
    pub(super) fn goes_on(&mut self, life: u64, names: &[&'static str], edge: Edge) -> bool {
        self.over || (self.counts.lives == life && self.points.reach(names, edge))
    }
}

/// Goes on past places, or never returns: what a dead process had under way.
pub(super) async fn pass(world: &Shared, life: u64, names: &[&'static str], edge: Edge) {
    if !held(world).goes_on(life, names, edge) {
        std::future::pending::<()>().await;
    }
}

macro_rules! appends {
    ($($kind:ident => $name:literal,)*) => {
        /// The place of the appends that bring a fact of this kind.
        pub(super) const fn append_of(event: &Event) -> &'static str {
            match event {
                $(Event::$kind { .. } => $name,)*
            }
        }

        /// The places of appends, by the kind of fact that they bring.
        pub(super) const APPENDS: &[&str] = &[$($name,)*];
    };
}

appends! {
    RunStarted => "append:run-started",
    RunResumed => "append:run-resumed",
    LaneTaken => "append:lane-taken",
    Surveyed => "append:surveyed",
    LogsRead => "append:logs-read",
    LogsRewound => "append:logs-rewound",
    StepExpanded => "append:step-expanded",
    ItemsRead => "append:items-read",
    StepEnded => "append:step-ended",
    ConfigPinned => "append:config-pinned",
    SlotReserved => "append:slot-reserved",
    VersionWanted => "append:version-wanted",
    VersionSigned => "append:version-signed",
    Sent => "append:sent",
    Due => "append:due",
    LaneViewed => "append:lane-viewed",
    SlotMined => "append:slot-mined",
    SlotReopened => "append:slot-reopened",
    SlotFinal => "append:slot-final",
    TaskPublished => "append:task-published",
    TaskAttempted => "append:task-attempted",
    ResponseSeen => "append:response-seen",
    OutputFetched => "append:output-fetched",
    FetchFailed => "append:fetch-failed",
    OutputChecked => "append:output-checked",
    ResponseChosen => "append:response-chosen",
    ResponseConfirmed => "append:response-confirmed",
    TaskRead => "append:task-read",
    ResponseGone => "append:response-gone",
    ResponsesExhausted => "append:responses-exhausted",
    ExpirySeen => "append:expiry-seen",
    ExpiryPassed => "append:expiry-passed",
    RoundOpened => "append:round-opened",
    TaskReopened => "append:task-reopened",
    StepReopened => "append:step-reopened",
    PaymentsRaised => "append:payments-raised",
    CodeAccepted => "append:code-accepted",
    TaskDone => "append:task-done",
    EscrowReturned => "append:escrow-returned",
    BudgetReached => "append:budget-reached",
    DepositAsked => "append:deposit-asked",
    CancelAsked => "append:cancel-asked",
    ReclaimAsked => "append:reclaim-asked",
    FencesAsked => "append:fences-asked",
    // These come with the start of a run, and with the items that they are of; what is lost between
    // two processes is in `tests/it/lost.rs`.
    PublicationsFound => "append:run-started",
    LaneRead => "append:run-started",
    TaskAdopted => "append:items-read",
    DrainAsked => "append:drain-asked",
    RunEnded => "append:run-ended",
}

/// The places that are no appends. Sends and calls are named by what they are for.
pub(super) const OTHERS: &[&str] = &[
    "journal:load",
    "journal:lane",
    "key:sign",
    "output:read",
    "pin:put",
    "pin:read",
    "gateway:fetch",
    "blob:store",
    "send:publish",
    "send:confirm",
    "send:cancel",
    "send:no-op",
    "send:deposit",
    "send:later-version",
    "call:controller",
    "call:vault",
    "call:task",
    "call:response",
    "call:replay",
    "rpc:eth_chainId",
    "rpc:web3_clientVersion",
    "rpc:eth_getCode",
    "rpc:eth_getBlockByNumber",
    "rpc:eth_getTransactionCount",
    "rpc:eth_getBalance",
    "rpc:eth_getTransactionReceipt",
    "rpc:eth_getTransactionByHash",
    "rpc:eth_getLogs",
    "rpc:eth_estimateGas",
    "rpc:eth_gasPrice",
    "rpc:eth_maxPriorityFeePerGas",
    "rpc:eth_feeHistory",
];

/// The place of a request that is named by its method.
pub(super) fn rpc_of(method: &str) -> &'static str {
    let named = |name: &&&str| name.strip_prefix("rpc:") == Some(method);
    OTHERS.iter().find(named).unwrap_or_else(|| panic!("{method} has no name"))
}
