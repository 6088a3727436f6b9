use super::*;
use alloy::consensus::transaction::SignerRecoverable;
use alloy::eips::eip2718::Decodable2718;
use serde_json::json;

const ALL: Worker = Worker::Builtin(&[]);

fn offer(number: u8, config: &Value) -> Offer {
    Offer {
        task: Address::repeat_byte(number),
        source: Address::ZERO,
        payment: Wei::from_u128(1001),
        config: Some(serde_json::to_vec(config).unwrap().into()),
    }
}

fn echo(number: u8) -> Offer {
    offer(number, &json!({"function_name": "echo", "data": {"n": number}}))
}

fn knobs(pairs: &[&str]) -> Knobs {
    let mut knobs = Knobs::default();
    for pair in pairs {
        knobs.turn_pair(pair).unwrap();
    }
    knobs
}

fn decided(knobs: &Knobs, worker: Worker, offer: &Offer) -> Decision {
    decide(knobs, worker, offer, |_| None).unwrap()
}

#[test]
fn a_plain_task_is_answered_for_its_full_payment() {
    let Decision::Respond { mission, after, output } = decided(&knobs(&[]), ALL, &echo(7)) else {
        panic!("no response");
    };
    assert_eq!((mission.task, mission.claim), (Address::repeat_byte(7), Wei::from_u128(1001)));
    assert_eq!((after, output), (Duration::ZERO, Bytes::from_static(br#"{"n":7}"#)));
}

#[test]
fn the_work_is_spread_over_all_providers() {
    let knobs = knobs(&["providers=4"]);
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..64 {
        if let Decision::Respond { mission, .. } = decided(&knobs, ALL, &echo(number)) {
            seen.insert(mission.provider);
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn without_providers_nobody_decides_anything() {
    assert_eq!(decide(&knobs(&["providers=0"]), ALL, &echo(1), |_| None), None);
}

#[test]
fn each_knob_spoils_what_it_is_named_after() {
    let leave = decided(&knobs(&["silent=100%"]), ALL, &echo(1));
    assert_eq!(leave, Decision::Leave);
    let abandon = decided(&knobs(&["fail=100%"]), ALL, &echo(1));
    assert!(matches!(abandon, Decision::Abandon(_)), "{abandon:?}");
    let Decision::Respond { mission, output, .. } =
        decided(&knobs(&["wrong=100%", "cheap=100%"]), ALL, &echo(1))
    else {
        panic!("no response");
    };
    assert_eq!((mission.claim, output), (Wei::from_u128(900), br#"{"n":"five"}"#.into()));
}

#[test]
fn what_cannot_be_worked_on_is_attempted_and_abandoned() {
    for config in [
        json!({"function_name": "nope", "data": {"n": 1}}),
        json!({"function_name": "fail", "data": {"n": 1}}),
        json!({"function_name": "inference", "data": {"input": ["a"]}}),
        json!({"function_name": "echo", "data": [1]}),
        json!({"data": {}}),
    ] {
        let decision = decided(&knobs(&[]), ALL, &offer(1, &config));
        assert!(matches!(decision, Decision::Abandon(_)), "{config}: {decision:?}");
    }
    let unread = Offer { config: None, ..echo(1) };
    assert!(matches!(decided(&knobs(&[]), ALL, &unread), Decision::Abandon(_)));
    let silent = offer(1, &json!({"function_name": "silent", "data": {"n": 1}}));
    assert_eq!(decided(&knobs(&[]), ALL, &silent), Decision::Leave);
}

#[test]
fn a_service_gets_the_data_alone_and_no_built_in_function_runs() {
    let config = json!({"function_name": "score", "data": {"text": "x"}, "ogflow": "00"});
    let decision = decided(&knobs(&[]), Worker::Service(2), &offer(1, &config));
    let Decision::Ask { service, function, data, .. } = decision else {
        panic!("{decision:?}");
    };
    assert_eq!((service, function.as_str()), (2, "score"));
    assert_eq!(Value::Object(data), json!({"text": "x"}));
}

#[test]
fn a_schema_that_was_handed_over_shapes_the_output() {
    let offer = offer(1, &json!({"function_name": "chat", "data": {"prompt": "x"}}));
    let schema = json!({"type": "object", "properties": {"score": {"type": "integer"}}});
    let decision = decide(&knobs(&[]), ALL, &offer, |_| Some(schema)).unwrap();
    let Decision::Respond { output, .. } = decision else { panic!("{decision:?}") };
    let output: Value = serde_json::from_slice(&output).unwrap();
    assert!(output["score"].is_i64(), "{output}");
}

#[test]
fn keys_follow_from_seed_and_number_and_signatures_recover_to_them() {
    let first = Wallet::of_provider(7, 0, 31337);
    assert_eq!(first.address(), Wallet::of_provider(7, 0, 31337).address());
    assert_ne!(first.address(), Wallet::of_provider(7, 1, 31337).address());
    assert_ne!(first.address(), Wallet::of_provider(8, 0, 31337).address());
    let gas = Gas { limit: 100_000, max_fee: 9 };
    let (hash, raw) = first.sign(3, Address::repeat_byte(1), Bytes::from_static(&[1]), gas);
    let envelope = TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
    assert_eq!(envelope.recover_signer().unwrap(), first.address());
    assert_eq!(*envelope.tx_hash(), hash);
    assert_eq!(alloy::primitives::keccak256(&raw), hash);
}
