use super::*;
use crate::units::{BlockRef, ChainTime, KeyHash, Nonce};

const BLOCK: BlockRef = BlockRef { number: 7, hash: B256::ZERO };

fn response(byte: u8) -> Response {
    Response { address: Address::repeat_byte(byte), block: BLOCK }
}

/// A task whose confirm of the first response is on its way.
fn confirming(confirmed: Option<Response>) -> Task {
    let published = Published {
        nonce: Nonce(0),
        address: Address::repeat_byte(1),
        block: BLOCK,
        expiry: ChainTime::from_secs(1),
        is_final: true,
        origin: Origin::OwnSlot,
        attempted: true,
        queue: std::collections::VecDeque::new(),
        refused: Vec::new(),
        refusal: None,
        confirmed: confirmed.map(|response| (response.address, response.block)),
        denied: 0,
        starved: 0,
        read_wanted: false,
        expired_at: None,
        says: Says::Nothing,
    };
    let candidate =
        Candidate { response: response(2), price: Wei::from_u128(5), sha256: B256::ZERO };
    let mut task = Task::new(KeyHash([0; 16]), Wei::from_u128(9), 60);
    task.state = TaskState::Confirming { published, candidate, nonce: Some(Nonce(1)) };
    task
}

#[test]
fn a_refused_confirm_of_what_is_confirmed_already_is_paid() {
    let mut task = confirming(Some(response(2)));
    task.confirm_was_refused(&Revert::AlreadyConfirmed, 9);
    let TaskState::Closing { end: Ending::Done(outcome), after, .. } = task.state else {
        panic!("{:?}", task.state)
    };
    assert_eq!((outcome.paid(), after), (Some(Wei::from_u128(5)), 7));
}

#[test]
fn a_refused_confirm_looks_at_the_response_that_is_confirmed_instead() {
    let mut task = confirming(Some(response(3)));
    for revert in [Revert::AlreadyFinalized, Revert::Other("whatever".into())] {
        let mut task = task.clone();
        task.confirm_was_refused(&revert, 9);
        let TaskState::Checking { response: looked_at, .. } = task.state else {
            panic!("{:?}", task.state)
        };
        assert_eq!(looked_at, response(3));
    }
    task.confirm_was_refused(&Revert::AlreadyConfirmed, 9);
    task.judge(response(3).address, &Verdict::Rejected { reason: "wrong".into() }, false);
    let TaskState::Closing { end: Ending::Done(outcome), .. } = task.state else {
        panic!("{:?}", task.state)
    };
    assert!(matches!(outcome, Outcome::RejectedPaid { .. }), "{outcome:?}");
}

#[test]
fn a_confirm_that_ran_out_of_gas_is_signed_again_some_times() {
    let mut task = confirming(None);
    for round in 1..=MOST_STARVED {
        task.confirm_was_refused(&Revert::OutOfGas, 9);
        let TaskState::Confirming { published, candidate, nonce: None } = task.state.clone() else {
            panic!("{:?}", task.state)
        };
        assert_eq!((published.starved, published.denied), (round, 0));
        let nonce = Some(Nonce(u64::from(round)));
        task.state = TaskState::Confirming { published, candidate, nonce };
    }
    task.confirm_was_refused(&Revert::OutOfGas, 9);
    assert!(matches!(task.state, TaskState::Checking { .. }), "{:?}", task.state);
}

#[test]
fn what_is_forgotten_of_a_branch_is_read_anew_and_its_addresses_are_free() {
    let mut task =
        confirming(Some(Response { block: BlockRef { number: 9, ..BLOCK }, ..response(4) }));
    let published = task.published_mut().unwrap();
    published.refuse(response(5), FailReason::Rejected("no".into()));
    published.refuse(
        Response { block: BlockRef { number: 8, ..BLOCK }, ..response(6) },
        FailReason::Rejected("no".into()),
    );
    published.queue.push_back(Response { block: BlockRef { number: 8, ..BLOCK }, ..response(7) });
    let known = |task: &Task| -> Vec<Address> { task.responses().collect() };
    assert_eq!(known(&task), [7, 5, 6, 2, 4].map(Address::repeat_byte));
    let mut settled = task.clone();
    settled.rewind(7);
    assert_eq!(known(&settled), [5, 6, 2].map(Address::repeat_byte), "it reads no more");
    let published = task.published().unwrap().clone();
    task.state = TaskState::Choosing {
        published,
        candidate: Candidate {
            response: response(2),
            price: Wei::from_u128(5),
            sha256: B256::ZERO,
        },
    };
    task.rewind(7);
    assert_eq!(known(&task), [5, 2].map(Address::repeat_byte));
    assert!(!task.knows(response(6).address) && task.knows(response(5).address));
    assert!(task.published().unwrap().read_wanted);
}

/// The same task before anything is looked at, with one response that was refused.
fn awaiting(origin: Origin) -> Task {
    let mut task = confirming(None);
    let mut published = task.published().unwrap().clone();
    published.origin = origin;
    published.refuse(response(4), FailReason::Rejected("no".into()));
    task.state = TaskState::Awaiting(published);
    task
}

#[test]
fn an_adopted_task_that_was_taken_back_ends_as_cancelled_once_that_is_final() {
    let mut ours = awaiting(Origin::OwnSlot);
    ours.was_canceled(TaskStatus::Canceled, 12);
    assert!(matches!(ours.state, TaskState::Awaiting(_)), "of ours the cancel's slot tells");
    let mut task = awaiting(Origin::Chain);
    task.was_canceled(TaskStatus::Responded, 12);
    assert!(matches!(task.state, TaskState::Awaiting(_)));
    task.was_canceled(TaskStatus::Canceled, 12);
    let TaskState::Closing { end: Ending::Done(outcome), after, .. } = task.state else {
        panic!("{:?}", task.state)
    };
    assert_eq!((outcome, after), (Outcome::Canceled, 12));
}

#[test]
fn what_the_contract_calls_finalized_is_looked_at_once_more_and_again_after_a_reorg() {
    let mut task = awaiting(Origin::OwnSlot);
    task.was_finalized(TaskStatus::Responded);
    assert!(matches!(task.state, TaskState::Awaiting(_)));
    for _ in 0..2 {
        // As the read has done.
        task.published_mut().unwrap().read_wanted = false;
        task.was_finalized(TaskStatus::Finalized);
        let TaskState::Checking { published, response: looked_at, .. } = &task.state else {
            panic!("{:?}", task.state)
        };
        assert_eq!((*looked_at, published.read_wanted), (response(4), false));
        let refused = Verdict::Rejected { reason: "no".into() };
        task.judge(response(4).address, &refused, false);
        let TaskState::Awaiting(published) = &task.state else { panic!("{:?}", task.state) };
        assert!(!published.read_wanted, "time asks for the next read, and no reply does");
        task.rewind(BLOCK.number);
        assert!(task.published().unwrap().read_wanted, "what it said may be gone");
    }
}

#[test]
fn what_is_paid_is_looked_at_next_whatever_is_looked_at_now() {
    for discarded in [false, true] {
        let mut task = awaiting(Origin::OwnSlot);
        task.discarded = discarded;
        task.state = TaskState::Checking {
            published: task.published().unwrap().clone(),
            response: response(5),
            stage: Stage::Fetching { failed: 0 },
        };
        // Refused before, and confirmed by somebody while another one is looked at.
        task.published_mut().unwrap().confirmed = Some((response(4).address, BLOCK));
        task.confirmed_meanwhile();
        let refused = Verdict::Rejected { reason: "no".into() };
        task.judge(response(4).address, &refused, false);
        assert!(
            matches!(&task.state, TaskState::Checking { response: r, .. } if *r == response(5))
        );
        task.judge(response(5).address, &refused, false);
        assert!(
            matches!(&task.state, TaskState::Checking { response: r, .. } if *r == response(4))
        );
        task.judge(response(4).address, &refused, false);
        let TaskState::Closing { end: Ending::Done(outcome), .. } = &task.state else {
            panic!("{:?}", task.state)
        };
        assert!(matches!(outcome, Outcome::RejectedPaid { .. }));
    }
}

#[test]
fn a_confirmed_response_that_is_none_is_forgotten_and_nothing_counts_as_paid() {
    let mut task = confirming(Some(response(3)));
    task.confirm_was_refused(&Revert::AlreadyFinalized, 9);
    task.response_is_gone(response(3).address);
    let TaskState::Awaiting(published) = task.state else { panic!("{:?}", task.state) };
    assert_eq!((published.confirmed, published.read_wanted), (None, true));
}

#[test]
fn a_confirm_that_is_refused_twice_and_of_which_nothing_is_paid_ends_the_round() {
    let mut task = confirming(None);
    task.confirm_was_refused(&Revert::AlreadyFinalized, 9);
    let TaskState::Checking { published, response: looked_at, .. } = task.state.clone() else {
        panic!("{:?}", task.state)
    };
    assert_eq!(looked_at, response(2));
    let candidate = Candidate { response: looked_at, price: Wei::from_u128(5), sha256: B256::ZERO };
    task.state = TaskState::Confirming { published, candidate, nonce: Some(Nonce(2)) };
    task.confirm_was_refused(&Revert::AlreadyFinalized, 9);
    assert!(
        matches!(task.state, TaskState::Closing { end: Ending::Round(_), after: 9, .. }),
        "{:?}",
        task.state
    );
    assert!(task.responses().any(|known| known == response(2).address), "it is still known");
    // The stranger who was faster shows only when the log stream comes past the refusal.
    task.published_mut().unwrap().confirmed = Some((response(2).address, BLOCK));
    task.confirmed_meanwhile();
    let TaskState::Checking { response: looked_at, .. } = task.state else {
        panic!("{:?}", task.state)
    };
    assert_eq!(looked_at, response(2));
}
