//! What one story is about: everything that chance decides before it begins.

use std::time::Duration;

use super::dice::Dice;
use super::points::Death;
use super::pool::Profile;
use super::scenery::Steps;
use crate::chain::rpc::Timing;
use crate::units::{Finality, Wei};

/// A part of the program, or of the world, that is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutation {
    /// None.
    None,
    /// The journal says that it has stored what it will store with the next group.
    AnswersFirst,
    /// The same, and nobody looks whether bytes were in the journal before they left.
    AnswersFirstUnseen,
    /// The sender takes one nonce more than the slot's.
    OtherNonce,
    /// The sender publishes anew, at the next nonce, what nobody has confirmed to it.
    SendsAnew,
    /// The node calls blocks final that it takes back later.
    CallsFinalTooEarly,
}

/// What the processes of a story are started for, besides going on to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Nothing else.
    Run,
    /// The first process is killed, and the next one cancels the run.
    Cancel,
    /// The run is asked to stop, once, and resumed.
    Stop,
    /// What has failed is tried again, for more money and under other code of the contracts.
    Retry,
    /// Money is moved into the vault.
    Deposit,
    /// Payments of an earlier run's tasks are taken back.
    Reclaim,
    /// It uses up nonces.
    Fence,
}

/// How often things go wrong, in a thousand, while they do at all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    /// An exchange with a node.
    pub wire: u64,
    /// A reply from an older head.
    pub lag: u64,
    /// A block that takes others back.
    pub reorg: u64,
    /// A transaction that a pool forgets, by block.
    pub drop: u64,
    /// A publication that the contract refuses for a reason of its own.
    pub revert: u64,
    /// A minute with dear gas.
    pub spike: u64,
    /// A minute without a block.
    pub stand: u64,
    /// A request to the pin service or a gateway.
    pub content: u64,
    /// An append that fails.
    pub append: u64,
}

/// A story before it begins.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub seed: u64,
    pub dice: Dice,
    pub mutation: Mutation,
    /// Which of the pipelines, and with which window.
    pub scenery: (Steps, u32),
    pub profile: Profile,
    /// Nodes behind the endpoints of the network; each has a pool of its own.
    pub nodes: usize,
    /// Milliseconds from block to block.
    pub block_ms: u64,
    /// The most transactions of the wallet in one block.
    pub room: u64,
    pub finality: Finality,
    /// The most requests in one exchange.
    pub batch: u32,
    /// Blocks above the last final one.
    pub unsettled: u64,
    pub timing: Timing,
    pub rates: Rates,
    /// Milliseconds until nothing goes wrong any more.
    pub calm_ms: u64,
    /// How often the program is killed.
    pub kills: u64,
    /// The most blocks that one query for logs may cover.
    pub log_span: u64,
    pub cap: Option<Wei>,
    pub errand: Errand,
    /// Where a process dies, whatever else happens.
    pub death: Option<Death>,
    /// Providers always respond, at once and well.
    pub eager: bool,
    /// Some outputs are larger than what the journal keeps.
    pub bulky: bool,
    /// Books are kept by slot; too slow for runs with many tasks.
    pub books: bool,
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Setting {
    /// The story of a seed.
    pub(super) fn of(seed: u64) -> Self {
        let dice = Dice::new(seed);
        let draw = |what: &str, limit: u64| dice.at(what, 0).below(limit);
        let (finality, unsettled) = match draw("finality", 5) {
            0 => (Finality::Depth(1), 0),
            1 => (Finality::Depth(2), 1),
            2 => (Finality::Depth(3), 2),
            3 => (Finality::Depth(6), 5),
            _ => (Finality::Tag, 3),
        };
        let window = [1, 4, 16, 32][usize::try_from(draw("window", 4)).unwrap()];
        let steps = [Steps::Automatic, Steps::Confirmed, Steps::Chained]
            [usize::try_from(draw("scenery", 3)).unwrap()];
        let block_ms = [1_000, 2_000, 5_000][usize::try_from(draw("block", 3)).unwrap()];
        Self {
            seed,
            dice,
            mutation: Mutation::None,
            scenery: (steps, window),
            profile: Profile::ALL[usize::try_from(draw("profile", 6)).unwrap()],
            nodes: 1 + usize::try_from(draw("nodes", 2)).unwrap(),
            block_ms,
            room: 1 + draw("room", 24),
            finality,
            batch: 32,
            unsettled,
            timing: timing(draw("timing", 3)),
            rates: rates(dice),
            calm_ms: 40_000 + draw("calm", 80_000),
            kills: draw("kills", 5),
            log_span: [4, 40, 10_000][usize::try_from(draw("span", 3)).unwrap()],
            cap: (draw("cap", 3) == 0).then(|| Wei::parse("0.16 OGPU").unwrap()),
            errand: Errand::Run,
            death: None,
            eager: false,
            bulky: false,
            books: true,
        }
    }

    /// Whether the node is far away.
    pub(super) fn is_remote(&self) -> bool {
        self.timing.first_batch < usize::MAX
    }

    /// The same story, in which the run is cancelled.
    pub(super) fn canceled(self) -> Self {
        Self { errand: Errand::Cancel, kills: 2 + self.dice.at("kills", 1).below(3), ..self }
    }

    /// The same story, in which nothing goes wrong.
    pub(super) fn calm(self) -> Self {
        Self { rates: Rates::default(), kills: 0, cap: None, eager: true, ..self }
    }
}

/// Each kind of trouble is absent, rare or frequent, by itself.
fn rates(dice: Dice) -> Rates {
    let rate = |what: &str, rare: u64, frequent: u64| match dice.at(what, 1).below(4) {
        0 => 0,
        1 | 2 => rare,
        _ => frequent,
    };
    Rates {
        wire: rate("wire", 60, 300),
        lag: rate("lag", 80, 400),
        reorg: rate("reorg", 40, 200),
        drop: rate("drop", 30, 200),
        revert: rate("revert", 20, 100),
        spike: rate("spike", 150, 500),
        stand: rate("stand", 50, 200),
        content: rate("content", 30, 150),
        append: rate("append", 0, 10),
    }
}

fn timing(which: u64) -> Timing {
    let hasty = Timing {
        total: millis(150),
        backoff: vec![millis(1), millis(5), millis(20)],
        poll: millis(700),
        settle: Duration::ZERO,
        patience: millis(8_000),
        ..Timing::remote()
    };
    match which {
        0 => hasty,
        1 => Timing { poll: millis(1_000), ..Timing::loopback() },
        _ => Timing::remote(),
    }
}
