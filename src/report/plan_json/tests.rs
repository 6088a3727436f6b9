use std::time::Duration;

use alloy::primitives::{Address, B256};

use super::*;
use crate::plan::{
    Fingerprint, ItemsOf, NetworkSummary, PayerSummary, PipelineSummary, SignerSummary,
};
use crate::units::{StepName, Timestamp, Wei};

fn ogpu(text: &str) -> Wei {
    Wei::parse(&format!("{text} OGPU")).unwrap()
}

fn span(min: &str, max: &str) -> WeiRange {
    WeiRange { min: ogpu(min), max: Some(ogpu(max)) }
}

fn step_of(name: &str, of: ItemsOf, publish: Range, money: [WeiRange; 4]) -> StepSummary {
    let [payment, gas_expected, gas, total] = money;
    StepSummary {
        name: StepName::parse(name).unwrap(),
        source: 0,
        items: publish,
        of,
        known_after: None,
        reused: 0,
        publish,
        payment,
        gas,
        gas_expected,
        total,
        expires: Duration::from_secs(1800),
        concurrency: 100,
        tasks_per_item: 1,
        public_bytes: None,
    }
}

/// The plan of cli.md, section 3.3, with one step less.
#[expect(clippy::too_many_lines, reason = "a value with many fields")]
pub(in crate::report) fn example() -> PlanSummary {
    let money = |texts: [&str; 4]| texts.map(|text| WeiRange::exactly(ogpu(text)));
    let summarise = StepSummary {
        items: Range::exactly(1000),
        reused: 400,
        public_bytes: Some(412_000),
        ..step_of(
            "summarise",
            ItemsOf::Rows,
            Range::exactly(600),
            money(["6", "0.206", "0.618", "6.618"]),
        )
    };
    let ranges = [
        span("0.02", "0.4"),
        span("0.0004", "0.0069"),
        span("0.001", "0.0206"),
        span("0.021", "0.4206"),
    ];
    let by_topic = StepSummary {
        known_after: StepName::parse("summarise"),
        ..step_of("by_topic", ItemsOf::Results, Range { min: 1, max: Some(20) }, ranges)
    };
    let digest = step_of(
        "digest",
        ItemsOf::Once,
        Range::exactly(1),
        money(["0.05", "0.0004", "0.001", "0.051"]),
    );
    PlanSummary {
        created_at: Timestamp::from_millis(1_795_320_631_000),
        pipeline: PipelineSummary {
            name: "review-digest".into(),
            file: "review-digest.yaml".into(),
            sha256: B256::ZERO,
        },
        params: serde_json::Map::new(),
        network: NetworkSummary {
            name: "mainnet".into(),
            chain_id: 1071,
            block: Some(20_934_118),
            symbol: "OGPU".into(),
            real_money: true,
            devnet: false,
        },
        signer: Some(SignerSummary {
            address: Address::with_last_byte(0xaa),
            origin: "keystore alice".into(),
        }),
        payer: Some(PayerSummary {
            address: Address::with_last_byte(0xaa),
            kind: PayerKind::Signer,
        }),
        steps: vec![summarise, by_topic, digest],
        sources: vec![SourceSummary {
            alias: Some("llm".into()),
            address: Address::with_last_byte(0xc4),
            active: true,
            delivery: Delivery::ManualConfirmation,
            min_payment: ogpu("0.01"),
            max_expiry: Duration::from_secs(86_400),
            providers: 14,
        }],
        totals: Totals {
            reused: 400,
            publish: Range { min: 602, max: Some(621) },
            payment: span("6.07", "6.45"),
            gas: span("0.6201", "0.6396"),
            gas_expected: span("0.2068", "0.2133"),
            total: span("6.6901", "7.0896"),
            with_retries: Some(ogpu("8.9013")),
            peak_locked: Some(ogpu("1")),
            saved: ogpu("4.412"),
            cap: Some(ogpu("8")),
            public_bytes: 412_000,
        },
        vault: Some(Shortfall {
            free: ogpu("5.2"),
            needs: span("6.07", "6.45"),
            short: ogpu("1.25"),
        }),
        wallet: Some(Shortfall {
            free: ogpu("4.4"),
            needs: span("0.6201", "0.6396"),
            short: Wei::ZERO,
        }),
        eta: Some(Duration::from_secs(360)),
        warnings: vec![WarningSummary {
            code: "W0602".into(),
            message: "fan-out of unknown width without `max_items`".into(),
            step: Some("by_topic".into()),
            file: "review-digest.yaml".into(),
            position: Some((24, 3)),
        }],
        fingerprint: Fingerprint {
            pipeline: B256::ZERO,
            inputs: B256::ZERO,
            sources: B256::ZERO,
            cache: B256::ZERO,
            gas_price: Some(Wei::from_u128(7)),
        },
    }
}

#[test]
fn the_document_has_the_fields_of_its_schema() {
    let document = document(&example());
    let keys = |value: &Value| {
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        keys.join(" ")
    };
    assert_eq!(
        keys(&document),
        "schema created_at pipeline params network signer payer steps totals vault wallet eta_s \
         warnings fingerprint"
    );
    assert_eq!(
        keys(&document["steps"][0]),
        "id source items known_after reused publish payment_wei gas_wei gas_expected_wei \
         total_wei expires_s tasks_per_item"
    );
    assert_eq!(
        keys(&document["steps"][0]["source"]),
        "alias address delivery min_payment_wei max_expiry_s providers"
    );
    assert_eq!(
        keys(&document["totals"]),
        "publish payment_wei gas_wei gas_expected_wei total_wei with_retries_wei peak_locked_wei \
         saved_wei cap_wei"
    );
    assert_eq!(keys(&document["vault"]), "free_wei needs_wei short_wei");
    assert_eq!(keys(&document["wallet"]), "balance_wei needs_wei short_wei");
    assert_eq!(keys(&document["warnings"][0]), "code message step file line column");
}

#[test]
fn amounts_are_strings_and_the_unbounded_is_null() {
    let mut plan = example();
    plan.steps[1].publish.max = None;
    plan.signer = None;
    let document = document(&plan);
    assert_eq!(document["steps"][0]["payment_wei"]["max"], "6000000000000000000");
    assert_eq!(document["steps"][1]["publish"], json!({"min": 1, "max": null}));
    assert_eq!(document["signer"], Value::Null);
    assert_eq!(document["created_at"], "2026-11-22T04:10:31Z");
    assert_eq!(document["eta_s"], 360);
}
