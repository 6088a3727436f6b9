use super::super::fixture::{at, final_ok, ogpu, published, signed, slot, story, task, until};
use super::*;
use crate::units::{ChainTime, Network, Seq};
use proptest::prelude::*;

#[test]
fn the_figures_add_up_at_every_moment_of_a_run() {
    let story = story(Network::testnet());
    let money = |seconds| {
        let money = until(&story, seconds).money();
        [money.paid, money.gas, money.locked, money.refunded].map(Wei::coins)
    };
    assert_eq!(money(3), ["0", "0", "0", "0"]);
    assert_eq!(money(5), ["0", "0.003", "0.03", "0"]);
    assert_eq!(money(42), ["0.008", "0.0035", "0.02", "0"], "what was not asked for is back");
    assert_eq!(money(1905), ["0.008", "0.0035", "0.02", "0"], "an ended round stays locked");
    assert_eq!(money(1908), ["0.008", "0.0045", "0.032", "0"]);
    assert_eq!(money(2001), ["0.008", "0.0045", "0.012", "0.02"]);
}

#[test]
fn a_task_counts_once_for_each_mark_however_many_rounds_it_has() {
    let tally = until(&story(Network::testnet()), 2001);
    let (_, step) = tally.steps().next().unwrap();
    assert_eq!((step.tasks(), step.published, step.ended()), (3, 3, 3));
    assert_eq!((step.confirmed, step.failed, step.retried), (1, 2, 1));
    assert_eq!(step.paid, ogpu("0.008"));
    assert_eq!(step.gas, ogpu("0.0045"));
    assert_eq!(step.percentile(50), Some(Duration::from_secs(36)), "from published to confirmed");
    assert_eq!(tally.open().count(), 0);
    let failed: Vec<_> =
        tally.failures().iter().map(|f| (f.key.as_str(), f.rounds.get())).collect();
    assert_eq!(failed, [("rev-3", 1), ("rev-2", 2)]);
}

#[test]
fn a_publication_that_the_chain_takes_back_is_not_locked_until_it_is_there_again() {
    let story = story(Network::testnet());
    let mut tally = until(&story, 4);
    assert_eq!(tally.money().locked, ogpu("0.03"));
    let reopened = Event::SlotReopened { slot: slot(0) };
    for expected in ["0.02", "0.02"] {
        tally.apply(Fact { at: at(5), event: &reopened });
        assert_eq!(tally.money().locked, ogpu(expected), "a doubled event changes nothing");
    }
    assert_eq!(tally.task(task(0)).unwrap().now, Reached::Submitted);
    for _ in 0..2 {
        tally.apply(Fact { at: at(6), event: &published(0) });
        assert_eq!(tally.money().locked, ogpu("0.03"));
    }
    assert_eq!(tally.steps().next().unwrap().1.published, 3, "it still counts once");
}

#[test]
fn a_task_ends_when_the_version_says_that_was_mined() {
    let mut tally = until(&story(Network::testnet()), 3);
    let version = |seq, hash, expiry| {
        let Event::VersionSigned { slot, call, fees, .. } = signed(0, "0.01") else { panic!() };
        let Call::PublishTask { source, config, payment, .. } = call else { panic!() };
        let expiry = ChainTime::from_secs(expiry);
        let call = Call::PublishTask { source, config, expiry, payment };
        Event::VersionSigned { slot, seq: Seq(seq), hash: B256::with_last_byte(hash), call, fees }
    };
    let published = |hash| {
        let Event::TaskPublished { task, address, block, .. } = published(0) else { panic!() };
        Event::TaskPublished { task, address, block, tx_hash: B256::with_last_byte(hash) }
    };
    let events = [version(1, 70, 5_000), version(2, 71, 6_000)];
    events.iter().for_each(|event| tally.apply(Fact { at: at(4), event }));
    for (hash, expiry) in [(71, 6_000), (70, 5_000)] {
        tally.apply(Fact { at: at(5), event: &Event::SlotReopened { slot: slot(0) } });
        tally.apply(Fact { at: at(6), event: &published(hash) });
        assert_eq!(tally.task(task(0)).unwrap().expiry, Some(ChainTime::from_secs(expiry)));
    }
}

#[test]
fn gas_that_belongs_to_no_step_counts_for_the_run_alone() {
    let mut tally = until(&story(Network::testnet()), 3);
    let (steps, slot, account) = (tally.steps.len(), slot(99), Address::ZERO);
    let deposit = Event::SlotReserved {
        slot,
        task: crate::units::TaskId::new(u16::MAX, 0),
        key: crate::units::TaskKey([0; 16]),
        call: Call::Deposit { account, amount: ogpu("1") },
        fees: crate::units::Fees {
            gas_limit: 1,
            max_fee_per_gas: Wei::ZERO,
            max_priority_fee_per_gas: Wei::ZERO,
            legacy: false,
        },
        confirm_reserve: Wei::ZERO,
    };
    for event in [&deposit, &final_ok(99, "0.002")] {
        tally.apply(Fact { at: at(4), event });
    }
    assert_eq!((tally.money().gas, tally.steps.len()), (ogpu("0.002"), steps));
}

#[test]
fn a_failed_task_that_is_tried_again_is_open_and_no_failure_any_more() {
    let mut tally = until(&story(Network::testnet()), 2001);
    let before = tally.total();
    assert_eq!((before.failed, tally.failures().len()), (2, 2));
    let (task, round) = (crate::units::TaskId::new(0, 2), crate::units::Round::FIRST.next());
    let (after, payment) = (crate::engine::FailReason::Expired, ogpu("0.011"));
    for event in [
        Event::RunResumed { epoch: 2, cap: None },
        Event::StepReopened { step: 0 },
        Event::TaskReopened { task, round, after, payment },
        Event::StepReopened { step: 1 },
    ] {
        tally.apply(Fact { at: at(2100), event: &event });
    }
    let total = tally.total();
    assert_eq!((total.failed, total.retried), (1, before.retried + 1));
    assert_eq!(tally.failures().len(), 1);
    let open = tally.task(task).expect("it is open again");
    assert_eq!((open.round, open.payment, open.key.as_str()), (round, payment, "rev-3"));
    assert!(tally.steps().all(|(_, step)| step.end.is_none()) && tally.outcome().is_none());
    assert_eq!(total.published, before.published, "it still counts once");
}

#[test]
fn gas_of_a_slot_that_belongs_to_no_task_counts_for_the_run_alone() {
    let mut tally = until(&story(Network::testnet()), 5);
    tally.apply(Fact { at: at(6), event: &final_ok(77, "0.5") });
    assert_eq!(tally.money().gas, ogpu("0.503"));
    assert_eq!(tally.total().gas, ogpu("0.003"));
}

#[test]
fn the_rate_is_that_of_lately_and_nothing_before_a_second_has_passed() {
    let tally = until(&story(Network::testnet()), 42);
    assert_eq!(tally.millirate(at(42)), 23, "one in 42 s");
    assert_eq!(Tally::new().millirate(at(9)), 0);
    let mut resumed = tally;
    resumed.apply(Fact { at: at(90), event: &Event::RunResumed { epoch: 2, cap: None } });
    assert_eq!(resumed.millirate(at(90)), 0);
    assert_eq!(resumed.millirate(at(95)), 0, "the pause is no part of the rate");
}

#[test]
fn percentiles_are_of_the_sorted_latencies() {
    let step = StepTally { latencies: vec![40, 10, 20, 30], ..StepTally::default() };
    let percentile = |p| step.percentile(p).map(|span| span.as_millis());
    assert_eq!([0, 25, 50, 95, 100].map(percentile), [10, 10, 20, 40, 40].map(Some));
    assert_eq!(StepTally::default().percentile(50), None);
}

proptest! {
    /// Stray, late and doubled events: nothing panics, and what ended never exceeds what is there.
    #[test]
    fn any_order_of_events_leaves_figures_that_agree(
        order in prop::collection::vec(0..60_usize, 0..120),
    ) {
        let story = story(Network::testnet());
        let mut tally = Tally::new();
        let mut now = at(0);
        for place in order {
            let (time, event) = &story[place % story.len()];
            now = now.max(*time);
            tally.apply(Fact { at: now, event });
            let total = tally.total();
            prop_assert!(total.ended() <= total.read);
            prop_assert!(total.confirmed <= total.published.max(total.ended()));
            prop_assert!(tally.millirate(now) < u64::MAX);
        }
    }

    #[test]
    fn folding_in_two_sittings_gives_the_same_figures(cut in 0..60_usize) {
        let story = story(Network::testnet());
        let cut = cut.min(story.len());
        let mut sitting = Tally::new();
        story[..cut].iter().for_each(|(at, event)| sitting.apply(Fact { at: *at, event }));
        let mut second = sitting.clone();
        story[cut..].iter().for_each(|(at, event)| second.apply(Fact { at: *at, event }));
        let whole = until(&story, 9999);
        prop_assert_eq!(second.money(), whole.money());
        prop_assert_eq!(second.total(), whole.total());
    }
}
