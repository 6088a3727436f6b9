//! The contracts, rule by rule (protocol.md, section 11). Every act checks the vault's sums.

use alloy::primitives::U256;

use super::genesis::{Genesis, NEXUS, Payer, Switches, TERMINAL, VAULT};
use super::kit::*;
use crate::chain::contract::abi::{INexus, IResponse, ISource, ITask, ITerminal, IVault};
use crate::chain::contract::{Delivery, ProtocolLog, TaskStatus};
use crate::units::Wei;

fn refused<T>(result: Result<T, String>) -> String {
    result.err().expect("it should have been refused")
}

fn with_switch(switches: Switches) -> World {
    World::of(&Genesis { switches, ..genesis() })
}

#[test]
fn a_publication_is_checked_in_the_order_of_the_protocol() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    let all_of_it = 101 * COIN;
    assert_eq!(refused(world.publish("client", source, 999, 600)), "PaymentTooLow");
    assert_eq!(refused(world.publish("client", source, 999, 0)), "PaymentTooLow");
    assert_eq!(refused(world.publish("client", source, all_of_it, 0)), "Expired");
    assert_eq!(refused(world.publish("client", source, all_of_it, 86_401)), "ExpiryTooLong");
    assert_eq!(refused(world.publish("client", source, all_of_it, 86_400)), "InsufficientBalance");
    assert_eq!(refused(world.publish("client", source, 1 << 100, 60)), "InsufficientBalance");
    let stop = INexus::inactivateSourceCall { source };
    world.act("owner", NEXUS, &stop).unwrap();
    assert_eq!(refused(world.publish("client", source, 1, 0)), "SourceInactive");
    assert_eq!(world.task_count(source), 0);
    assert_eq!(world.money("client"), (100 * COIN, 0));
}

#[test]
fn a_publication_freezes_the_payment_and_can_be_read_back_whole() {
    let mut world = World::new();
    let source = world.source(Delivery::FirstResponse);
    let task = world.publish("client", source, 3 * COIN, 86_400).unwrap();
    assert_eq!(world.money("client"), (97 * COIN, 3 * COIN));
    let params = world.read(task, &ITask::taskParamsCall {});
    assert_eq!((params.source, params.payment), (source, U256::from(3 * COIN)));
    assert_eq!(params.expiryTime, U256::from(START + 86_400));
    assert!(params.config.ends_with("/ipfs/QmaG4FuMqEBnQNn3C8XJ5bpW8kLs7zq2ZXgHptJHbKDDVx"));
    assert_eq!(world.status(task), TaskStatus::New);
    assert_eq!(world.read(task, &ITask::getSourceCall {}), source);
    assert_eq!(world.read(task, &ITask::getDeliveryMethodCall {}), 1);
    assert_eq!(world.read(task, &ITask::getPaymentCall {}), U256::from(3 * COIN));
    assert_eq!(world.read(task, &ITask::getExpiryTimeCall {}), U256::from(START + 86_400));
    let tasks = ISource::getTasksCall { lower: U256::ZERO, upper: U256::ZERO };
    assert_eq!(world.read(source, &tasks), [task]);
}

#[test]
fn a_source_that_nobody_published_takes_no_tasks() {
    let mut world = World::new();
    assert_eq!(refused(world.publish("client", who("stranger"), COIN, 60)), "UnknownSource");
    assert!(world.publish("client", NEXUS, COIN, 60).is_err());
}

#[test]
fn under_reading_a_the_sender_pays_whoever_it_is() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    world.publish("stranger", source, COIN, 60).unwrap();
    assert_eq!(world.money("stranger"), (99 * COIN, COIN));
    assert_eq!(world.money("owner"), (100 * COIN, 0));
}

#[test]
fn under_reading_b_the_sources_client_pays_and_its_agent_may_publish() {
    let mut world = World::of(&Genesis { payer: Payer::SourceOwner, ..genesis() });
    let source = world.source(Delivery::Manual);
    assert_eq!(refused(world.publish("agent", source, COIN, 60)), "NotOwner");
    world
        .act("owner", TERMINAL, &ITerminal::setAgentCall { agent: who("agent"), value: true })
        .unwrap();
    let task = world.publish("agent", source, COIN, 60).unwrap();
    assert_eq!(world.money("owner"), (99 * COIN, COIN));
    assert_eq!(world.money("agent"), (100 * COIN, 0));
    assert_eq!(refused(world.cancel("agent", task)), "NotOwner");
    world.cancel("owner", task).unwrap();
    assert_eq!(world.money("owner"), (100 * COIN, 0));
}

#[test]
fn an_agent_may_confirm_for_its_client_but_not_cancel() {
    let mut world = World::new();
    let (source, task) = world.attempted(Delivery::Manual);
    let response = world.respond("alice", task, COIN).unwrap();
    assert_eq!(refused(world.confirm("agent", response)), "NotOwner");
    let call = ITerminal::setAgentCall { agent: who("agent"), value: true };
    world.act("client", TERMINAL, &call).unwrap();
    let asked = ITerminal::isAgentOfCall { account: who("client"), agent: who("agent") };
    assert!(world.read(TERMINAL, &asked));
    let fresh = world.publish("client", source, COIN, 60).unwrap();
    assert_eq!(refused(world.cancel("agent", fresh)), "NotOwner");
    world.confirm("agent", response).unwrap();
}

#[test]
fn an_attempt_needs_a_registered_provider_or_who_acts_for_it() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    let task = world.publish("client", source, COIN, 60).unwrap();
    assert_eq!(refused(world.attempt("alice", task)), "NotRegistered");
    world.register(source, "alice");
    let for_alice =
        INexus::attemptCall { task, provider: who("alice"), suggestedPayment: U256::ZERO };
    assert_eq!(refused(world.act("master", NEXUS, &for_alice)), "NotProvider");
    let announce = ITerminal::announceMasterCall { master: who("master") };
    world.act("alice", TERMINAL, &announce).unwrap();
    let accept = ITerminal::announceProviderCall { provider: who("alice"), amount: U256::ZERO };
    world.act("master", TERMINAL, &accept).unwrap();
    assert!(world.read(TERMINAL, &ITerminal::isProviderCall(who("alice"))));
    assert_eq!(
        world.read(TERMINAL, &ITerminal::masterOfCall { provider: who("alice") }),
        who("master")
    );
    assert_eq!(refused(world.act("helper", NEXUS, &for_alice)), "NotProvider");
    let agent = ITerminal::setAgentCall { agent: who("helper"), value: true };
    world.act("master", TERMINAL, &agent).unwrap();
    world.act("helper", NEXUS, &for_alice).unwrap();
    assert_eq!(world.status(task), TaskStatus::Attempted);
    let nobody = INexus::attemptCall {
        task: who("stranger"),
        provider: who("alice"),
        suggestedPayment: U256::ZERO,
    };
    assert_eq!(refused(world.act("alice", NEXUS, &nobody)), "UnknownTask");
}

#[test]
fn only_the_first_attempt_changes_the_status_and_nobody_attempts_twice() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    world.register(source, "alice");
    world.register(source, "bob");
    let task = world.publish("client", source, COIN, 60).unwrap();
    let attempted = |name: &str| ProtocolLog::Attempted {
        task,
        provider: who(name),
        suggested: Wei::from_u128(7),
    };
    let first = world.attempt("alice", task).unwrap();
    assert_eq!(first, [attempted("alice"), task_is(task, TaskStatus::Attempted)]);
    assert_eq!(world.attempt("bob", task).unwrap(), [attempted("bob")]);
    assert_eq!(refused(world.attempt("alice", task)), "AlreadyAttempted");
    assert_eq!(world.read(task, &ITask::getAttemptCountCall {}), U256::from(2));
}

#[test]
fn the_attempt_after_the_expiry_records_nothing_but_the_end() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    world.register(source, "alice");
    world.register(source, "bob");
    let task = world.publish("client", source, COIN, 60).unwrap();
    world.attempt("alice", task).unwrap();
    world.wait(61);
    assert_eq!(world.money("client").1, COIN, "frozen until somebody touches it");
    assert_eq!(world.attempt("bob", task).unwrap(), [task_is(task, TaskStatus::Expired)]);
    assert_eq!(world.money("client"), (100 * COIN, 0));
    assert_eq!(world.read(task, &ITask::getAttemptCountCall {}), U256::from(1));
    assert_eq!(refused(world.attempt("bob", task)), "Expired");
    assert_eq!(refused(world.cancel("client", task)), "AlreadyFinalized");
}

#[test]
fn at_the_second_of_the_expiry_itself_the_task_is_still_open() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    world.register(source, "alice");
    let task = world.publish("client", source, COIN, 60).unwrap();
    world.wait(60);
    world.attempt("alice", task).unwrap();
    world.respond("alice", task, COIN).unwrap();
    assert_eq!(world.status(task), TaskStatus::Responded);
}

#[test]
fn with_the_switch_an_expired_escrow_stays_frozen() {
    let mut world = with_switch(Switches { keeps_expired_escrow: true, ..Switches::default() });
    let source = world.source(Delivery::Manual);
    world.register(source, "alice");
    let task = world.publish("client", source, COIN, 60).unwrap();
    world.wait(61);
    world.attempt("alice", task).unwrap();
    assert_eq!(world.status(task), TaskStatus::Expired);
    assert_eq!(world.money("client"), (99 * COIN, COIN));
}

#[test]
fn a_response_is_checked_in_the_order_of_the_protocol() {
    let mut world = World::new();
    let (_, task) = world.attempted(Delivery::Manual);
    let for_alice = respond_call("alice", task, COIN);
    assert_eq!(refused(world.act("bob", NEXUS, &for_alice)), "NotProvider");
    assert_eq!(refused(world.respond("bob", task, COIN)), "NotAttempted");
    assert_eq!(refused(world.respond("alice", task, COIN + 1)), "PaymentTooHigh");
    world.respond("alice", task, COIN).unwrap();
    assert_eq!(refused(world.respond("alice", task, COIN)), "AlreadyResponded");
    world.attempt("bob", task).unwrap();
    world.wait(601);
    assert_eq!(refused(world.respond("bob", task, COIN)), "Expired");
}

#[test]
fn on_a_manual_source_the_first_response_waits_and_the_second_changes_nothing() {
    let mut world = World::new();
    let (_, task) = world.attempted(Delivery::Manual);
    world.attempt("bob", task).unwrap();
    let logs = world.act("alice", NEXUS, &respond_call("alice", task, COIN / 2)).unwrap();
    assert_eq!(logs[1..], [task_is(task, TaskStatus::Responded)]);
    let logs = world.act("bob", NEXUS, &respond_call("bob", task, COIN)).unwrap();
    assert!(matches!(logs[..], [ProtocolLog::ResponseSubmitted { .. }]));
    assert_eq!(world.money("client"), (99 * COIN, COIN));
    assert_eq!((world.gain("alice"), world.gain("bob")), (0, 0));
}

#[test]
fn on_a_first_response_source_the_first_response_is_paid_in_full_at_once() {
    let mut world = World::new();
    let (_, task) = world.attempted(Delivery::FirstResponse);
    world.attempt("bob", task).unwrap();
    let logs = world.act("alice", NEXUS, &respond_call("alice", task, 5)).unwrap();
    let [ProtocolLog::ResponseSubmitted { response, .. }, ..] = logs[..] else {
        panic!("{logs:?}")
    };
    assert_eq!(logs[1..], [confirmed(response), task_is(task, TaskStatus::Finalized)]);
    assert!(world.read(response, &IResponse::confirmedFinalCall {}));
    assert_eq!(world.read(task, &ITask::winningProviderCall {}), who("alice"));
    assert_eq!(world.money("client"), (99 * COIN, 0));
    assert_eq!(world.gain("alice"), i128::try_from(COIN).unwrap());
    let earned = world.read(VAULT, &IVault::totalEarningsOfCall(who("alice")));
    assert_eq!(earned, U256::from(COIN));
    assert_eq!(refused(world.respond("bob", task, 5)), "AlreadyFinalized");
    assert_eq!(refused(world.confirm("client", response)), "AlreadyConfirmed");
    assert_eq!(refused(world.attempt("bob", task)), "AlreadyFinalized");
}

#[test]
fn with_the_switch_a_first_response_source_waits_for_a_confirmation_too() {
    let mut world = with_switch(Switches { no_auto_confirm: true, ..Switches::default() });
    let (_, task) = world.attempted(Delivery::FirstResponse);
    let response = world.respond("alice", task, 5).unwrap();
    assert_eq!(world.status(task), TaskStatus::Responded);
    assert!(!world.read(response, &IResponse::confirmedFinalCall {}));
    world.confirm("client", response).unwrap();
    assert_eq!(world.gain("alice"), i128::try_from(COIN).unwrap(), "in full all the same");
}

#[test]
fn a_confirmation_pays_what_the_response_asks_and_gives_the_rest_back() {
    let mut world = World::new();
    let (_, task) = world.attempted(Delivery::Manual);
    world.attempt("bob", task).unwrap();
    let cheap = world.respond("alice", task, COIN / 4).unwrap();
    let sibling = world.respond("bob", task, COIN).unwrap();
    assert_eq!(refused(world.confirm("stranger", cheap)), "NotOwner");
    let logs = world.confirm("client", cheap).unwrap();
    assert_eq!(logs, [confirmed(cheap), task_is(task, TaskStatus::Finalized)]);
    assert_eq!(world.money("client"), (100 * COIN - COIN / 4, 0));
    assert_eq!(world.gain("alice"), i128::try_from(COIN / 4).unwrap());
    assert_eq!(refused(world.confirm("client", cheap)), "AlreadyConfirmed");
    assert_eq!(refused(world.confirm("client", sibling)), "AlreadyFinalized");
    assert_eq!(refused(world.confirm("client", who("stranger"))), "UnknownResponse");
}

#[test]
fn a_late_confirmation_is_paid_unless_the_switch_refuses_it() {
    for refuses_late_confirm in [false, true] {
        let mut world = with_switch(Switches { refuses_late_confirm, ..Switches::default() });
        let (_, task) = world.attempted(Delivery::Manual);
        let response = world.respond("alice", task, COIN).unwrap();
        world.wait(601);
        let late = world.confirm("client", response);
        assert_eq!(late.is_err(), refuses_late_confirm);
        assert_eq!(late.err().unwrap_or("Expired".into()), "Expired");
    }
}

#[test]
fn after_the_lazy_expiry_nothing_is_left_to_pay_a_response_with() {
    let mut world = World::new();
    let (_, task) = world.attempted(Delivery::Manual);
    let response = world.respond("alice", task, COIN).unwrap();
    world.wait(601);
    world.attempt("bob", task).unwrap();
    assert_eq!(refused(world.confirm("client", response)), "Expired");
    assert_eq!(world.gain("client"), 0);
}

#[test]
fn a_cancel_is_for_the_client_and_for_new_tasks_even_expired_ones() {
    let mut world = World::new();
    let source = world.source(Delivery::Manual);
    world.register(source, "alice");
    let task = world.publish("client", source, COIN, 60).unwrap();
    assert_eq!(refused(world.cancel("owner", task)), "NotOwner");
    world.wait(61);
    assert_eq!(world.cancel("client", task).unwrap(), [task_is(task, TaskStatus::Canceled)]);
    assert_eq!(world.money("client"), (100 * COIN, 0));
    assert_eq!(refused(world.cancel("client", task)), "AlreadyFinalized");
    assert_eq!(refused(world.attempt("alice", task)), "AlreadyFinalized");
    let taken = world.publish("client", source, COIN, 60).unwrap();
    world.attempt("alice", taken).unwrap();
    assert_eq!(refused(world.cancel("client", taken)), "AlreadyFinalized");
}
