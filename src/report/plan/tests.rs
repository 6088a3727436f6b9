use super::super::plan_json::tests::example;
use super::*;
use crate::units::Wei;

#[test]
fn the_table_shows_ranges_shortfalls_and_what_is_public() {
    assert_eq!(
        table(&example(), Look::default()),
        [
            "review-digest  on mainnet (chain 1071, block 20,934,118)  real money",
            "signer 0x0000…00AA (keystore alice)   payer 0x0000…00AA: the signer's vault",
            "",
            " STEP       ITEMS                  REUSED  TO PUBLISH          PAYMENT       GAS (est.)     AT MOST OGPU",
            " summarise  1,000 rows                400         600           6.0000           0.2060           6.6180",
            " by_topic   known after summarise       –      1 – 20  0.0200 – 0.4000  0.0004 – 0.0069  0.0210 – 0.4206",
            " digest     1                           –           1           0.0500           0.0004           0.0510",
            " TOTAL                                400   602 – 621  6.0700 – 6.4500  0.2068 – 0.2133  6.6901 – 7.0896",
            "",
            " Reused from cache                 400 outputs, saves 4.4120 OGPU",
            " With every retry that is allowed  8.9013 OGPU  →  stopped by the cap at 8.0000 OGPU",
            " Most money locked at one time     1.0000 OGPU",
            " Time, from earlier runs           about 6 min",
            "",
            " VAULT (payments)  free 5.2000  needs 6.0700 – 6.4500                   short 1.2500",
            " WALLET (gas)      free 4.4000  needs 0.6201 – 0.6396 + 1.2500 deposit  ok",
            "",
            " !  summarise  inputs and outputs are public on IPFS (600 tasks, 412 kB)",
            " !  by_topic   W0602  fan-out of unknown width without `max_items`   review-digest.yaml:24",
            " ✓  llm        0x0000…00C4  active  min 0.01 OGPU  max expiry 1 d  14 providers",
            "               MANUAL_CONFIRMATION: outputs are checked before they are paid",
            "",
            "Plan: publish 602 to 621 tasks, spend at most 7.0896 OGPU (8.0000 with retries).",
        ]
    );
}

#[test]
fn markdown_has_a_table_that_no_name_can_break() {
    let mut plan = example();
    plan.pipeline.name = "a|b<script>".into();
    let text = markdown(&plan).join("\n");
    assert!(text.contains("| STEP | ITEMS |"), "{text}");
    assert!(!text.contains("<script>") || text.contains("`a|b<script>`"), "{text}");
    let columns = |line: &str| line.matches(" | ").count();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().all(|row| columns(row) == 6), "{rows:#?}");
}

#[test]
fn what_is_unbounded_says_so_and_the_cap_limits_it() {
    let mut plan = example();
    plan.steps[1].publish.max = None;
    plan.totals.publish.max = None;
    plan.totals.total.max = None;
    plan.totals.with_retries = None;
    let text = table(&plan, Look::default()).join("\n");
    assert!(text.contains("1 – unbounded"), "{text}");
    assert!(text.contains("unbounded  →  stopped by the cap at 8.0000 OGPU"), "{text}");
    assert!(text.contains("Plan: publish 602 tasks or more, spend at most 8.0000 OGPU"), "{text}");
    plan.totals.cap = None;
    let text = table(&plan, Look::default()).join("\n");
    assert!(text.contains("set `budget.max`") && text.contains("an unbounded amount"), "{text}");
}

#[test]
fn one_task_is_no_plural_and_a_step_without_items_says_so() {
    let mut plan = example();
    plan.steps[0].publish = Range::exactly(1);
    plan.steps[2].publish = Range::exactly(0);
    plan.totals.publish = Range { min: 1, max: None };
    plan.sources[0].providers = 1;
    let text = table(&plan, Look::default()).join("\n");
    assert!(text.contains("public on IPFS (1 task, 412 kB)"), "{text}");
    assert!(text.contains("digest     has no items: nothing is published for it"), "{text}");
    assert!(text.contains("max expiry 1 d  1 provider\n"), "{text}");
    assert!(text.contains("Plan: publish 1 task or more, spend"), "{text}");
}

#[test]
fn the_next_command_brings_missing_money_first() {
    let mut plan = example();
    assert_eq!(next(&plan), "ogflow vault deposit 1.25 OGPU --network mainnet");
    plan.vault.as_mut().unwrap().short = Wei::ZERO;
    assert_eq!(next(&plan), "ogflow run review-digest.yaml --network mainnet");
    plan.network.name = "devnet".into();
    assert_eq!(next(&plan), "ogflow run review-digest.yaml");
}

#[test]
fn on_a_devnet_every_line_with_the_coin_says_play_money() {
    let mut plan = example();
    plan.network.devnet = true;
    for line in table(&plan, Look::default()) {
        let names_money = line.contains("OGPU") && !line.contains("STEP");
        assert!(!names_money || line.contains("play money"), "{line}");
    }
}
