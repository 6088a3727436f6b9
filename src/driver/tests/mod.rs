//! The loop under paused time, with a chain that sees what reaches it.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test names what it is about")]

mod fuzz;
mod scene;
mod sim;
mod stage;

use std::sync::Mutex;

use alloy::primitives::{Address, B256};

use super::*;
use crate::store::Refusal;
use crate::units::settings_of_tests::setting_of_the_test;
use scene::Scene;
use stage::{GENESIS, held};

/// What the three steps buy, each once.
fn all_of_it() -> Vec<String> {
    let names = ["ann", "b\"o,b", "çé", "dan", "eve"];
    let provider = Address::repeat_byte(0xbb).to_string();
    let mut all: Vec<String> = names
        .iter()
        .flat_map(|name| {
            [
                serde_json::json!({"name": name}).to_string(),
                serde_json::json!({"name": name, "who": provider}).to_string(),
            ]
        })
        .collect();
    all.push(serde_json::json!({"count": 5, "names": names}).to_string());
    all.sort();
    all
}

#[tokio::test(start_paused = true)]
async fn a_run_publishes_each_item_once_and_feeds_later_steps_with_outputs() {
    let mut scene = Scene::new();
    let finish = scene.start().await.unwrap();
    assert_eq!(finish.outcome, RunOutcome::Done);
    assert_eq!(scene.bought(), all_of_it());
    assert_eq!(scene.outcomes(), (11, 11));
}

#[tokio::test(start_paused = true)]
async fn a_cap_of_the_planned_maximum_is_enough_and_less_pays_for_all_that_it_buys() {
    let mut scene = Scene::new();
    let most = scene.planned_maximum().await;
    scene.cap = Some(most);
    let finish = scene.start().await.unwrap();
    assert_eq!(finish.outcome, RunOutcome::Done);
    assert!(scene.spent() <= most);
    let mut scene = Scene::new();
    let one = most.to_u128().unwrap() / 11;
    scene.cap = Some(Wei::from_u128(3 * one));
    let finish = scene.start().await.unwrap();
    assert_eq!(finish.outcome, RunOutcome::PausedBudget);
    let bought = scene.bought().len();
    assert_eq!(scene.outcomes(), (bought, bought), "all that was bought was confirmed");
    assert_eq!(bought, 3);
}

#[tokio::test(start_paused = true)]
async fn lost_replies_buy_nothing_twice() {
    let mut scene = Scene::new();
    held(&scene.chain.state).lost_replies = 12;
    let finish = scene.start().await.unwrap();
    assert_eq!(finish.outcome, RunOutcome::Done);
    assert_eq!(scene.bought(), all_of_it());
    let sends = held(&scene.chain.state).sends;
    assert!(sends > 22, "the same bytes went again: {sends}");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_the_journal_lost_is_taken_from_the_chain_with_its_bytes() {
    let mut scene = Scene::new();
    held(&scene.chain.state).lost_version = Some(2);
    let finish = scene.start().await.unwrap();
    assert_eq!(finish.outcome, RunOutcome::Done);
    assert_eq!((scene.bought(), scene.outcomes()), (all_of_it(), (11, 11)));
    let disk = held(&scene.disk);
    let adopted = disk.events.iter().find_map(|event| match event {
        Event::VersionSigned { slot, seq: crate::units::Seq(1), hash, .. } if slot.nonce.0 == 2 => {
            Some(*hash)
        }
        _ => None,
    });
    assert!(disk.signed.contains(&adopted.unwrap()), "its bytes are in the journal like others");
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_at_any_append_stops_the_run_and_a_resume_buys_nothing_twice() {
    for failing in 1..40 {
        let mut scene = Scene::new();
        held(&scene.disk).failing = Some(failing);
        match scene.start().await {
            Err(DriverError::Store(StoreError::Io { .. })) => {}
            Ok(finish) => {
                assert_eq!(finish.outcome, RunOutcome::Done);
                break;
            }
            other => panic!("{failing}: {other:?}"),
        }
        let appends = held(&scene.disk).appends;
        assert_eq!(appends, failing, "nothing was appended after the failure");
        if failing > 1 {
            scene.resume().await.unwrap();
            assert_eq!(scene.bought(), all_of_it(), "{failing}");
        } else {
            assert_eq!(held(&scene.chain.state).sends, 0);
            let unknown = scene.resume().await.unwrap_err();
            let unknown = matches!(
                unknown,
                DriverError::Store(StoreError::Refused(Refusal::UnknownRun { .. }))
            );
            assert!(unknown);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn resuming_a_finished_run_asks_nothing_and_writes_nothing() {
    let mut scene = Scene::new();
    scene.start().await.unwrap();
    let before = (held(&scene.chain.state).requests, held(&scene.disk).appends);
    let finish = scene.resume().await.unwrap();
    assert_eq!(finish.outcome, RunOutcome::Done);
    assert_eq!((held(&scene.chain.state).requests, held(&scene.disk).appends), before);
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_fails_is_left_out_and_the_run_goes_on() {
    let mut scene = Scene::new();
    scene.start().await.unwrap();
    let told = Mutex::new(0);
    let mut panics = |_: Told<'_>| {
        *told.lock().unwrap() += 1;
        panic!("a broken pipe");
    };
    let mut past = Vec::new();
    let mut counts = |it: Told<'_>| past.push(it.past);
    let begin = Begin::Resume {
        run: Scene::run_id(),
        cap: None,
        wishes: Wishes::default(),
        consent: Consent::default(),
    };
    let finish = scene.drive(begin, vec![&mut panics, &mut counts]).await.unwrap();
    assert_eq!(finish.outcome, RunOutcome::Done);
    assert_eq!(*told.lock().unwrap(), 1);
    assert_eq!(past.len(), held(&scene.disk).events.len());
    assert!(past.iter().all(|past| *past));
}

#[tokio::test(start_paused = true)]
async fn the_first_signal_collects_for_a_while_and_the_run_can_be_resumed() {
    let mut scene = Scene::new();
    held(&scene.chain.state).silent = true;
    scene.signals = vec![(5, Signal::Interrupt)];
    let began = tokio::time::Instant::now();
    let finish = scene.start().await.unwrap();
    assert_eq!(finish.outcome, RunOutcome::Stopped);
    assert_eq!(finish.signal, Some(Signal::Interrupt));
    let took = began.elapsed().as_secs();
    assert!((35..40).contains(&took), "collected for 30 s: {took}");
    let published = held(&scene.chain.state).published().len();
    assert_eq!(published, 5, "what streams from silent items was never started");

    held(&scene.chain.state).silent = false;
    assert!(matches!(scene.bought().len(), 5));
}

#[tokio::test(start_paused = true)]
async fn a_detached_run_leaves_what_it_published_and_a_resume_collects_it() {
    let mut scene = Scene::new();
    held(&scene.chain.state).silent = true;
    scene.detach = true;
    let began = tokio::time::Instant::now();
    let finish = scene.start().await.unwrap();
    assert_eq!((finish.outcome, finish.signal), (RunOutcome::Stopped, None));
    assert!(began.elapsed().as_secs() < 30, "it waited for answers");
    assert_eq!(held(&scene.chain.state).published().len(), 5);
    scene.detach = false;
    held(&scene.chain.state).silent = false;
    assert_eq!(scene.resume().await.unwrap().outcome, RunOutcome::Done);
}

#[tokio::test(start_paused = true)]
async fn the_second_signal_leaves_at_once() {
    let mut scene = Scene::new();
    held(&scene.chain.state).silent = true;
    scene.signals = vec![(5, Signal::Interrupt), (2, Signal::Terminate)];
    let began = tokio::time::Instant::now();
    let left = scene.start().await.unwrap_err();
    assert!(matches!(left, DriverError::Left(Signal::Terminate)), "{left:?}");
    assert_eq!(Signal::Terminate.exit_code(), 143);
    assert!(began.elapsed().as_secs() < 9);
}

#[tokio::test(start_paused = true)]
async fn a_chain_out_of_reach_stops_the_run_and_a_resume_ends_it() {
    let mut scene = Scene::new();
    let state = Arc::clone(&scene.chain.state);
    let _outage = tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(4)).await;
        held(&state).unreachable = true;
    });
    let error = scene.start().await.unwrap_err();
    assert!(matches!(error, DriverError::Chain(_)), "{error:?}");
    assert!(error.hint().is_some());
    held(&scene.chain.state).unreachable = false;
    assert_eq!(scene.resume().await.unwrap().outcome, RunOutcome::Done);
    assert_eq!(scene.bought(), all_of_it());
}

#[tokio::test(start_paused = true)]
async fn a_pin_service_in_trouble_stops_the_run_before_anything_is_paid() {
    let mut scene = Scene::new();
    scene.content.fail_next(1_000);
    let error = scene.start().await.unwrap_err();
    assert!(matches!(error, DriverError::Content(_)), "{error:?}");
    assert!(held(&scene.chain.state).published().is_empty());
    scene.content.fail_next(0);
    assert_eq!(scene.resume().await.unwrap().outcome, RunOutcome::Done);
    assert_eq!(scene.bought(), all_of_it());
}

#[tokio::test(start_paused = true)]
async fn another_chain_or_another_wallet_history_publishes_nothing() {
    let mut scene = Scene::new();
    scene.signals = vec![(2, Signal::Interrupt), (1, Signal::Interrupt)];
    drop(scene.start().await.unwrap_err());
    let published = held(&scene.chain.state).published().len();

    held(&scene.chain.state).genesis = Some(B256::ZERO);
    let error = scene.resume().await.unwrap_err();
    assert!(matches!(error, DriverError::OtherChain { .. }), "{error:?}");

    held(&scene.chain.state).genesis = Some(GENESIS);
    held(&scene.chain.state).foreign = 50;
    assert_eq!(scene.resume().await.unwrap().outcome, RunOutcome::Quarantined);
    assert_eq!(held(&scene.chain.state).published().len(), published, "nothing new");
}

#[tokio::test(start_paused = true)]
async fn an_old_journal_buys_nothing_again_though_a_new_run_moved_its_wallet_on() {
    let mut scene = Scene::new();
    held(&scene.disk).failing = Some(2);
    drop(scene.start().await.unwrap_err());
    let old = scene.journal.inner.clone();
    assert_eq!(scene.resume().await.unwrap().outcome, RunOutcome::Done);
    let bought = scene.bought().len();

    scene.journal.inner = old;
    let other = RunId::from_random(6);
    assert_eq!(scene.start_as(other).await.unwrap().outcome, RunOutcome::Done);
    assert_eq!(scene.bought().len(), 2 * bought, "a new run is a new payment");
    assert_eq!(scene.resume().await.unwrap().outcome, RunOutcome::Quarantined);
    assert_eq!(scene.resume().await.unwrap().outcome, RunOutcome::Quarantined, "it stays so");
    assert_eq!(scene.bought().len(), 2 * bought);
}

#[tokio::test(start_paused = true)]
async fn signed_bytes_that_are_lost_stop_a_resume_before_anything_else() {
    let mut scene = Scene::new();
    held(&scene.disk).fails_published = true;
    drop(scene.start().await.unwrap_err());
    let sends = held(&scene.chain.state).sends;
    held(&scene.disk).loses_bytes = true;
    let error = scene.resume().await.unwrap_err();
    assert!(matches!(error, DriverError::BytesLost { .. }), "{error:?}");
    assert_eq!(held(&scene.chain.state).sends, sends);
    held(&scene.disk).loses_bytes = false;
    assert_eq!(scene.resume().await.unwrap().outcome, RunOutcome::Done);
}

#[tokio::test(start_paused = true)]
async fn a_wallet_with_a_past_of_its_own_starts_where_that_ends() {
    let mut scene = Scene::new();
    held(&scene.chain.state).foreign = 57;
    assert_eq!(scene.start().await.unwrap().outcome, RunOutcome::Done);
    let lowest = held(&scene.disk).reserved.first().copied().unwrap();
    assert_eq!(lowest.nonce.0, 57);
}

#[tokio::test(start_paused = true)]
async fn a_new_run_waits_for_one_that_holds_a_nonce_without_bytes() {
    let mut scene = Scene::new();
    held(&scene.disk).fails_signed = true;
    drop(scene.start().await.unwrap_err());
    assert!(!held(&scene.disk).reserved.is_empty());
    let other = RunId::from_random(6);
    let error = scene.start_as(other.clone()).await.unwrap_err();
    let DriverError::LaneHeld { run, nonce } = &error else { panic!("{error:?}") };
    assert_eq!((run, nonce.0), (&Scene::run_id(), 0));
    assert_eq!(held(&scene.chain.state).sends, 0);

    assert_eq!(scene.resume().await.unwrap().outcome, RunOutcome::Done);
    assert_eq!(scene.start_as(other).await.unwrap().outcome, RunOutcome::Done);
    assert_eq!(scene.bought().len(), 22);
}

#[tokio::test(start_paused = true)]
async fn code_that_changes_under_a_run_stops_it_within_minutes() {
    let mut scene = Scene::new();
    {
        let mut state = held(&scene.chain.state);
        state.silent = true;
        state.controller = Some(B256::repeat_byte(0xc1));
        // The first two looks are those of the start.
        state.controller_from = 2;
    }
    let began = tokio::time::Instant::now();
    let error = scene.start().await.unwrap_err();
    assert!(matches!(error, DriverError::CodeChanged { .. }), "{error:?}");
    let after = began.elapsed().as_secs();
    assert!((300..600).contains(&after), "after {after} s");
}

#[tokio::test(start_paused = true)]
async fn other_code_is_refused_until_it_is_accepted_and_is_recorded_then() {
    let (first, second) = (B256::repeat_byte(0xc1), B256::repeat_byte(0xc2));
    let mut scene = Scene::new();
    scene.signals = vec![(2, Signal::Interrupt), (1, Signal::Interrupt)];
    drop(scene.start().await.unwrap_err());
    let sends = held(&scene.chain.state).sends;

    held(&scene.chain.state).controller = Some(first);
    for refused in [scene.resume().await, scene.resume_accepting(second).await] {
        let error = refused.unwrap_err();
        let DriverError::CodeChanged { change, .. } = &error else { panic!("{error:?}") };
        assert_eq!((change.contract, change.is), ("Controller", first));
        assert!(error.hint().unwrap().contains(&format!("--accept-code {first}")));
    }
    assert_eq!(held(&scene.chain.state).sends, sends);

    scene.signals = vec![(2, Signal::Interrupt), (1, Signal::Interrupt)];
    drop(scene.resume_accepting(first).await.unwrap_err());
    let accepted =
        |event: &Event| matches!(event, Event::CodeAccepted { code } if code[1] == first);
    assert_eq!(held(&scene.disk).events.iter().filter(|event| accepted(event)).count(), 1);
    // What was accepted needs no flag any more, and only that.
    held(&scene.chain.state).controller = Some(second);
    let error = scene.resume().await.unwrap_err();
    assert!(matches!(error, DriverError::CodeChanged { .. }), "{error:?}");
    held(&scene.chain.state).controller = Some(first);
    assert_eq!(scene.resume().await.unwrap().outcome, RunOutcome::Done);
    assert_eq!(scene.bought(), all_of_it());
}
