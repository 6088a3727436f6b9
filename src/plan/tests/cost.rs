//! Figures, and what they are held against.

use super::*;
use crate::units::Timestamp;

fn wei(text: &str) -> Wei {
    Wei::parse(text).unwrap()
}

const DIGEST: &str = "budget: { max: 8 OGPU }
defaults:
  source: llm
  function: chat
  retry: { max: 1, after: [expired, rejected], raise: 20%, max_payment: 0.06 OGPU }
steps:
  summarise:
    foreach: { file: rows.csv, key: id }
    payment: 0.01 OGPU
    concurrency: 100
    data: { text: '{{ item.text }}' }
  by_topic:
    foreach: steps.summarise.results
    max_items: 20
    payment: 0.02 OGPU
    data: { text: '{{ item.key }}' }
  digest:
    payment: 0.05 OGPU
    data: { notes: '{{ steps.by_topic.outputs }}' }
";

fn digest() -> Plan {
    let csv: String =
        "id,text\n".to_owned() + &(0..600).map(|n| format!("{n},t\n")).collect::<String>();
    Project::new(DIGEST).file("rows.csv", csv).plan()
}

/// 0.00084 for a publication, 0.00019 for a confirm.
fn balances() -> Balances {
    Balances {
        gas: Some(GasPrices {
            publish_gas: vec![840; 3],
            confirm_gas: 190,
            price: wei("1000 gwei"),
        }),
        vault_free: Some(wei("5.2 OGPU")),
        wallet: Some(wei("4.4 OGPU")),
        cap: Some(wei("8 OGPU")),
        ..Balances::default()
    }
}

#[test]
fn each_step_has_a_range_and_the_unknown_one_says_after_what_it_is_known() {
    let summary = digest().summary(Timestamp::from_millis(0), &balances(), &[]);
    let [summarise, by_topic, last] = &summary.steps[..] else { panic!("three steps") };
    assert_eq!((summarise.items, summarise.of), (Range::exactly(600), ItemsOf::Rows));
    assert_eq!(summarise.payment, WeiRange::exactly(wei("6 OGPU")));
    assert_eq!(by_topic.publish, Range { min: 1, max: Some(20) });
    assert_eq!(by_topic.known_after.as_ref().map(StepName::as_str), Some("summarise"));
    assert_eq!(by_topic.payment, WeiRange { min: wei("0.02 OGPU"), max: Some(wei("0.4 OGPU")) });
    assert_eq!((last.items, last.of, last.public_bytes), (Range::exactly(1), ItemsOf::Once, None));
    assert_eq!(summary.totals.publish, Range { min: 602, max: Some(621) });
    assert_eq!(
        summary.totals.payment,
        WeiRange { min: wei("6.07 OGPU"), max: Some(wei("6.45 OGPU")) }
    );
    let one = wei("0.00103 OGPU");
    assert_eq!(summary.totals.gas, WeiRange::times(one, summary.totals.publish));
    assert_eq!(summary.sources.len(), 1);
}

#[test]
fn planned_with_retries_and_the_cap_are_three_figures() {
    let totals = digest().summary(Timestamp::from_millis(0), &balances(), &[]).totals;
    // 600 x 0.012 + 20 x 0.024 + 0.06, and gas of two publications and one confirm each.
    let payments = wei("7.74 OGPU");
    let gas = wei("0.00187 OGPU").checked_mul(621).unwrap();
    assert_eq!(totals.with_retries, payments.checked_add(gas));
    assert_eq!(totals.cap, Some(wei("8 OGPU")));
    assert_eq!(totals.at_most(), totals.cap);
}

#[test]
fn a_source_that_pays_by_itself_is_paid_for_every_rejected_round() {
    let mut project = Project::new(DIGEST).file("rows.csv", "id,text\n1,a\n");
    project.facts.delivery = Delivery::FirstResponse;
    let totals =
        project.plan().summary(Timestamp::from_millis(0), &Balances::default(), &[]).totals;
    // 0.01 + 0.012, 0.02 + 0.024, 0.05 + 0.06: one item each.
    assert_eq!(totals.with_retries, Some(wei("0.176 OGPU")));
}

#[test]
fn steps_that_wait_for_each_other_never_lock_money_together() {
    let totals = digest().summary(Timestamp::from_millis(0), &balances(), &[]).totals;
    assert_eq!(totals.peak_locked, Some(wei("1 OGPU")), "100 x 0.01");
    let side = DIGEST.replace("{{ steps.by_topic.outputs }}", "none");
    let csv: String =
        "id,text\n".to_owned() + &(0..600).map(|n| format!("{n},t\n")).collect::<String>();
    let plan = Project::new(&side).file("rows.csv", csv).plan();
    let totals = plan.summary(Timestamp::from_millis(0), &balances(), &[]).totals;
    assert_eq!(totals.peak_locked, Some(wei("1.05 OGPU")), "digest may be open beside the first");
}

#[test]
fn what_is_missing_is_told_with_the_command_that_helps() {
    let summary = |balances: &Balances| digest().summary(Timestamp::from_millis(0), balances, &[]);
    let there = summary(&balances());
    assert_eq!(there.vault.as_ref().unwrap().short, wei("1.25 OGPU"));
    assert_eq!(
        there.wallet.as_ref().unwrap().needs.min,
        wei("1.25 OGPU").checked_add(there.totals.gas.min).unwrap()
    );
    let error = there.affordable().unwrap_err();
    assert!(matches!(error, PlanError::VaultShort { .. }), "{error:?}");
    assert_eq!(error.hint().unwrap(), "ogflow vault deposit \"1.25 OGPU\" --network devnet");
    let rich = Balances { vault_free: Some(wei("100 OGPU")), ..balances() };
    assert_eq!(summary(&rich).affordable(), Ok(()));
    let poor = Balances { wallet: Some(Wei::ZERO), ..rich.clone() };
    assert!(matches!(summary(&poor).affordable(), Err(PlanError::WalletShort { .. })));
    let capped = Balances { cap: Some(wei("6 OGPU")), ..rich };
    let error = summary(&capped).affordable().unwrap_err();
    assert!(matches!(error, PlanError::OverBudget { .. }));
    assert!(error.hint().unwrap().contains("--max-spend"));
}

#[test]
fn a_fan_out_without_a_maximum_is_unbounded() {
    let open = DIGEST.replace(
        "    foreach: steps.summarise.results\n    max_items: 20\n",
        "    foreach: steps.summarise.results | map(attribute='output') | list\n",
    );
    let plan = Project::new(&open).file("rows.csv", "id,text\n1,a\n").plan();
    let totals = plan.summary(Timestamp::from_millis(0), &balances(), &[]).totals;
    assert_eq!(totals.publish.max, None);
    assert_eq!((totals.payment.max, totals.with_retries), (None, None));
    assert_eq!(totals.at_most(), Some(wei("8 OGPU")), "only the cap limits it");
}
