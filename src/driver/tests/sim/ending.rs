//! The oracle's last look: the ledger to the wei, and what was paid for on disk.

use std::sync::Arc;

use super::contracts::TaskRow;
use super::scenery::Scenery;
use super::world::World;
use crate::engine::{Engine, Event, Ledger, Outcome, Verdict};
use crate::units::cid::sha256;
use crate::units::{TaskId, Timestamp, Wei};

/// Tasks that were published, and items that ended with an accepted output.
pub(super) fn tasks(events: &[(Timestamp, Event)]) -> (usize, usize) {
    let published = |event: &&(Timestamp, Event)| matches!(event.1, Event::TaskPublished { .. });
    let well = |(_, event): &&(Timestamp, Event)| {
        let Event::TaskDone { outcome, .. } = event else { return false };
        matches!(outcome, Outcome::Confirmed { .. })
    };
    (events.iter().filter(published).count(), events.iter().filter(well).count())
}

/// S6 and S9, once a run has ended.
pub(super) fn check(world: &mut World, scenery: &Scenery) {
    let schedule = Arc::clone(scenery.plan.schedule());
    let events = world.books.events.iter().cloned();
    let engine = Engine::replay(schedule, scenery.plan.limits(), events);
    let ledger = *engine.ledger();
    if let Err(why) = exact(world, &ledger) {
        world.books.broke(format!("S6: {why}; {ledger:?}"));
    }
    if let Some(task) = paid_though_cancelled(world) {
        world.books.broke(format!("S5: {task} was cancelled, and can be paid"));
    }
    if let Err(why) = nothing_left_behind(world) {
        world.books.broke(format!("S9: {why}"));
    }
}

fn exact(world: &World, ledger: &Ledger) -> Result<(), String> {
    let (chain, head) = (&world.chain, world.chain.head());
    let ours = || chain.tasks.values().filter(|row| row.key.is_some());
    let all = |amounts: &mut dyn Iterator<Item = u128>| Wei::from_u128(amounts.sum());
    let is = |what: &str, found: Wei, expected: Wei| {
        if found == expected { Ok(()) } else { Err(format!("{what} is {expected} on the chain")) }
    };
    let mined = chain.blocks.iter().flat_map(|block| &block.txs);
    is("gas", ledger.gas, all(&mut mined.map(|mined| mined.gas_paid())))?;
    let paid = |row: &TaskRow| {
        let confirmed = row.responses.iter().any(|(_, response)| {
            chain.responses.get(response).is_some_and(|row| row.confirmed.is_some())
        });
        if confirmed { row.costs(chain, head) } else { 0 }
    };
    is("what was paid", ledger.spent, all(&mut ours().map(paid)))?;
    is("what is bound", ledger.reserved, Wei::ZERO)?;
    is("what is locked in open tasks", ledger.escrowed, Wei::ZERO)?;
    let published = all(&mut ours().map(|row| row.payment));
    let placed =
        [ledger.stuck, ledger.refunded].into_iter().fold(ledger.spent, Wei::saturating_add);
    is("what was published", placed, published)?;
    let back = all(&mut ours().map(|row| row.payment - row.costs(chain, head)));
    let booked = ledger.refunded;
    if booked > back {
        return Err(format!("{booked} is booked as returned, {back} came back"));
    }
    Ok(())
}

/// S5, once more: a task that was called cancelled at any time.
fn paid_though_cancelled(world: &World) -> Option<TaskId> {
    world.books.events.iter().find_map(|(_, event)| match event {
        Event::TaskDone { task, outcome: Outcome::Canceled } => {
            let (books, chain) = (&world.books, &world.chain);
            (!books.is_canceled(*task, chain, world.final_height)).then_some(*task)
        }
        _ => None,
    })
}

fn nothing_left_behind(world: &World) -> Result<(), String> {
    let (chain, books) = (&world.chain, &world.books);
    let ours = chain.tasks.values().filter(|row| row.key.is_some());
    let responses = ours.flat_map(|row| &row.responses).map(|(_, response)| *response);
    for address in responses {
        let row = &chain.responses[&address];
        if row.confirmed.is_none() {
            continue;
        }
        let served = world.content.bytes_at(&row.url);
        let on_disk = served.is_some_and(|body| books.outputs.contains_key(&sha256(&body)));
        let given_up = |(_, event): &(Timestamp, Event)| {
            matches!(
                event,
                Event::OutputChecked { response, verdict: Verdict::Unreadable { .. }, .. }
                    if *response == address
            )
        };
        if !on_disk && !books.events.iter().any(given_up) {
            return Err(format!("{address} was paid, and nothing of it is on disk"));
        }
    }
    Ok(())
}

/// Shows what the journal and the chain hold: `DUMP=1`, for whoever looks into one story.
#[expect(clippy::disallowed_macros, reason = "it was asked for")]
pub(super) fn dump(world: &World) {
    if super::setting_of_the_test("DUMP").is_none() {
        return;
    }
    for (at, event) in &world.books.events {
        eprintln!("{} {}", at.as_millis(), serde_json::to_string(event).unwrap());
    }
    for block in &world.chain.blocks {
        for mined in &block.txs {
            let (nonce, key) = (mined.tx.nonce, &mined.tx.key);
            eprintln!("block {} nonce {nonce} {:?} {key:?}", block.at.number, mined.revert);
        }
    }
    world.chain.tasks.iter().for_each(|(task, row)| eprintln!("{task} {row:?}"));
    world.chain.responses.iter().for_each(|(response, row)| eprintln!("{response} {row:?}"));
    eprintln!("final {} of {}, {:?}", world.final_height, world.chain.head(), world.setting);
}
