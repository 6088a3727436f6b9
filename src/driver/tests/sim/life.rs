//! The life of one process, and of all processes of one run: killed, failed, resumed, to the end.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use alloy::primitives::{B256, keccak256};

use tokio::runtime::{Builder, Handle};

use super::begin::{begin, chain, signals, signer};
use super::content::Files;
use super::dice::Dice;
use super::ending;
use super::journal::Diary;
use super::points::{Edge, Seen};
use super::scenery::Scenery;
use super::setting::{Mutation, Setting};
use super::world::{Counts, Shared, World, held};
use crate::chain::ChainError;
use crate::driver::{Clock, Drive, DriverError, Finish, Outputs, drive};
use crate::engine::RunOutcome;
use crate::store::{MemoryJournal, StoreError};
use crate::units::{Timestamp, Wei};

/// The wall clock at the start, in milliseconds.
const WALL: u64 = 1_790_000_000_000;
/// How long a run may go on after the last fault: rounds that nobody responds to take their time.
const PATIENCE_MS: u64 = 40 * 60_000;

/// How a story went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub counts: Counts,
    /// Exchanges with nodes by the methods in them.
    pub kinds: BTreeMap<String, u64>,
    /// Tasks that were published, and those among them that ended well.
    pub tasks: (usize, usize),
    /// Virtual milliseconds.
    pub took: u64,
    /// What the journal holds, in short.
    pub digest: B256,
    /// How often each place was reached, and how many processes died at one as planned.
    pub points: (Seen, u64),
}

/// When a process is killed.
#[derive(Clone, Copy)]
enum Kill {
    /// Never.
    Never,
    /// As soon as it has appended so often: what that started has just begun.
    Append(u64),
    /// After so many milliseconds, whatever is under way.
    After(u64),
}

impl Kill {
    fn of(dice: Dice) -> Self {
        match dice.at("how", 0).below(2) {
            0 => Self::Append(1 + dice.at("appends", 0).below(60)),
            _ => Self::After(dice.at("after", 0).below(40_000)),
        }
    }
}

/// How a process ended.
enum End {
    Killed,
    /// The oracle has seen enough.
    Broken,
    Late,
    Left(Result<Finish, DriverError>),
}

/// Tells the story of a setting, in one thread and its own time.
pub(super) fn tell(setting: Setting) -> Result<Told, String> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .event_interval(u32::MAX)
        .global_queue_interval(u32::MAX)
        .build()
        .unwrap();
    let told = runtime.block_on(story(setting));
    runtime.shutdown_background();
    told
}

async fn story(setting: Setting) -> Result<Told, String> {
    let (kills, dice, cap, books) = (setting.kills, setting.dice, setting.cap, setting.books);
    let scenery =
        Scenery::of(setting.scenery, setting.finality, (setting.batch, setting.is_remote()));
    let block = Duration::from_millis(setting.block_ms);
    let mut world = World::new(setting);
    world.books.cap = cap;
    world.books.wallet = signer().address();
    world.set_stale();
    let unseen = [Mutation::AnswersFirstUnseen, Mutation::SendsAnew];
    world.books.lax = unseen.contains(&world.setting.mutation);
    let world: Shared = Arc::new(Mutex::new(world));
    let miner = Shared::clone(&world);
    let _miner = tokio::spawn(async move {
        loop {
            tokio::time::sleep(block).await;
            held(&miner).mine();
        }
    });
    let inner = books.then(|| MemoryJournal::new(crate::chain::proof::proves_itself));
    let mut diary = Diary::new(&world, inner);
    let mut cap = Some(cap);
    for life in 0..200 {
        held(&world).begin_life();
        let was_calm = held(&world).is_calm();
        let may_die = life < kills && !was_calm;
        let kill = if may_die { Kill::of(dice.at("kill", life)) } else { Kill::Never };
        let end = live(&world, &mut diary, &scenery, (kill, cap)).await;
        if let End::Left(Ok(finish)) = &end
            && matches!(
                finish.outcome,
                RunOutcome::Done
                    | RunOutcome::Failed
                    | RunOutcome::OverBudget
                    | RunOutcome::Canceled
            )
            && !held(&world).tries_again()
        {
            return close(&world, &mut diary, &scenery).await;
        }
        let paused = matches!(&end, End::Left(Ok(f)) if f.outcome == RunOutcome::PausedBudget);
        after(&mut held(&world), &end, was_calm);
        diary.die();
        if paused {
            cap = Some(None);
        }
        let broken = held(&world).books.broken.clone();
        if let Some(broken) = broken {
            ending::dump(&held(&world));
            return Err(broken);
        }
        tokio::time::sleep(Duration::from_millis(dice.at("down", life).below(20_000))).await;
    }
    Err("S8: two hundred processes did not end the run".into())
}

/// Looks at how a process ended that did not end the run.
fn after(world: &mut World, end: &End, was_calm: bool) {
    match end {
        End::Killed => world.counts.kills += 1,
        End::Late => world.books.late(&world.chain),
        End::Broken => {}
        End::Left(Ok(finish)) => match finish.outcome {
            RunOutcome::Done | RunOutcome::Failed if world.retried => {}
            RunOutcome::Stopped if world.may_be_stopped() => {}
            RunOutcome::PausedBudget if world.books.cap.is_some() => world.books.cap = None,
            other => world.books.broke(format!("the run ended as {other:?}")),
        },
        End::Left(Err(error)) => {
            if !may_stop(error) || was_calm {
                world.books.broke(format!("the run stopped: {error} ({error:?})"));
            }
        }
    }
}

/// Whether a run may stop so while things go wrong.
const fn may_stop(error: &DriverError) -> bool {
    match error {
        DriverError::Chain(error) => matches!(
            error,
            ChainError::Unreachable { .. }
                | ChainError::Refused { .. }
                | ChainError::NoFinalizedTag { .. }
        ),
        DriverError::Content(_) | DriverError::Store(StoreError::Io { .. }) => true,
        _ => false,
    }
}

/// The machine's clock, which jumps by up to an hour while nothing runs.
fn wall_clock(world: &World) -> Timestamp {
    const HOUR: u64 = 3_600_000;
    let dice = world.setting.dice.at("jump", world.now());
    let jump = if dice.chance(300) { dice.at("ms", 0).below(2 * HOUR) } else { HOUR };
    Timestamp::from_millis(WALL + world.now() + jump - HOUR)
}

/// Reads outputs back from what is on disk.
fn outputs(world: &Shared) -> Outputs {
    let life = held(world).counts.lives;
    let world = Shared::clone(world);
    Arc::new(move |sha256: &B256| {
        let mut world = held(&world);
        let names = &["output:read"];
        // The reply to a dead process is not listened to any more.
        let passed = world.goes_on(life, names, Edge::Before);
        let found = passed.then(|| world.books.outputs.get(sha256).map(|body| body.to_vec()));
        let passed = passed && world.goes_on(life, names, Edge::After);
        Ok(found.flatten().filter(|_| passed))
    })
}

impl World {
    /// Another process begins.
    fn begin_life(&mut self) {
        self.counts.lives += 1;
        self.points.begin();
    }

    /// How long a run may go on.
    fn left_ms(&self) -> u64 {
        let patience = if self.setting.books { PATIENCE_MS } else { 100 * PATIENCE_MS };
        (self.setting.calm_ms + patience).saturating_sub(self.now())
    }
}

async fn live(
    world: &Shared,
    diary: &mut Diary,
    scenery: &Scenery,
    (kill, cap): (Kill, Option<Option<Wei>>),
) -> End {
    let at = wall_clock(&held(world));
    let left_ms = held(world).left_ms();
    let chain = chain(world, scenery);
    let outputs = outputs(world);
    let diary_appends = diary.appends();
    let process = async {
        let begin = begin(world, &chain, scenery, (cap, at)).await?;
        drive(Drive {
            chain: Arc::clone(&chain),
            content: Arc::new(Files::new(world)),
            journal: diary,
            plan: Arc::clone(&scenery.plan),
            blobs: scenery.blobs.clone(),
            outputs,
            begin,
            clock: Clock::starting_at(at),
            detach: false,
            signals: signals(world),
            observers: Vec::new(),
            summary: None,
            notice: None,
            mark: None,
        })
        .await
    };
    let appends = Arc::clone(&diary_appends);
    let dies_at = match kill {
        Kill::Append(count) => appends.load(Ordering::Relaxed) + count,
        Kill::Never | Kill::After(_) => u64::MAX,
    };
    let last = match kill {
        Kill::After(millis) => Duration::from_millis(millis),
        Kill::Never | Kill::Append(_) => Duration::from_millis(left_ms),
    };
    let mut process = pin!(process);
    let mut last = pin!(tokio::time::sleep(last));
    poll_fn(|context| {
        if held(world).books.broken.is_some() {
            return Poll::Ready(End::Broken);
        }
        if held(world).points.is_dead(context.waker()) {
            return Poll::Ready(End::Killed);
        }
        if last.as_mut().poll(context).is_ready() {
            let killed = matches!(kill, Kill::After(_));
            return Poll::Ready(if killed { End::Killed } else { End::Late });
        }
        let left = alone(|| process.as_mut().poll(context)).map(End::Left);
        if held(world).points.is_dead(context.waker()) {
            return Poll::Ready(End::Killed);
        }
        let dead = left.is_pending() && appends.load(Ordering::Relaxed) >= dies_at;
        if dead { Poll::Ready(End::Killed) } else { left }
    })
    .await
}

/// Does something while the one thread for blocking work stands still, then waits until it has
/// done all that it was given: what it brings must not depend on how fast it is.
pub(super) fn alone<T>(work: impl FnOnce() -> T) -> T {
    let runtime = Handle::current();
    let (opens, gate) = std::sync::mpsc::channel::<()>();
    drop(runtime.spawn_blocking(move || gate.recv()));
    let result = work();
    let (sender, receiver) = std::sync::mpsc::channel();
    drop(runtime.spawn_blocking(move || sender.send(())));
    drop(opens);
    receiver.recv().unwrap();
    result
}

/// The end of a story: the oracle's last look, and a resume that has nothing to do.
async fn close(world: &Shared, diary: &mut Diary, scenery: &Scenery) -> Result<Told, String> {
    let told = {
        let mut world = held(world);
        ending::check(&mut world, scenery);
        if let Some(broken) = world.books.broken.clone() {
            ending::dump(&world);
            return Err(broken);
        }
        let (tasks, took) = (ending::tasks(&world.books.events), world.now());
        let facts = serde_json::to_vec(&world.books.events).unwrap();
        let (counts, kinds, digest) = (world.counts, world.kinds.clone(), keccak256(facts));
        let points = (world.points.seen.clone(), world.points.deaths);
        Told { counts, kinds, tasks, took, digest, points }
    };
    if held(world).setting.books {
        held(world).over = true;
        held(world).begin_life();
        let left = live(world, diary, scenery, (Kill::Never, None)).await;
        let counts = held(world).counts;
        let asked = counts.packets - told.counts.packets;
        if !matches!(left, End::Left(Ok(_))) || asked > 20 || counts.sends > told.counts.sends {
            return Err(format!("S10: a resume of what is over asked {asked} times"));
        }
    }
    Ok(told)
}
