//! What is tried: one test for each reader of strangers' bytes.

use alloy::primitives::B256;
use serde_json::json;

use super::tries;
use crate::chain::classify::{SendReply, classify};
use crate::chain::contract::{Target, decode_call, decode_log, encode_call, topics};
use crate::content::guard::{Guard, range};
use crate::engine::Event;
use crate::pipeline::check::Setting;
use crate::pipeline::{Datum, NoFiles, Pipeline, ScalarStyle, Scope, SourceText, Template};
use crate::plan::parse_output;
use crate::units::{Call, ChainTime, Network, SendOutcome, Wei};

/// As many problems as one file may have told of it, and the line that counts the rest.
const MOST_PROBLEMS: usize = 201;
/// The longest that a value of a small template may be, in bytes of JSON.
const LONGEST_VALUE: usize = 1 << 20;

#[test]
fn pipelines() {
    let corpus = [
        &include_bytes!("../../../../pipelines/hello.yaml")[..],
        include_bytes!("../../../../pipelines/haiku.yaml"),
        include_bytes!("../../../../pipelines/turns.yaml"),
        include_bytes!("../../../../pipelines/quickstart.yaml"),
    ];
    let words = [
        "{{ ",
        " }}",
        "steps.",
        "item.x",
        "&a ",
        "*a",
        "<<: *a\n",
        "? ",
        "!!map ",
        "foreach: ",
        "retry: {max: 10}\n",
        "payment: ",
        "range(9)",
        "\n  ",
        ": ",
        "- ",
        "|\n",
        "\u{202e}",
        "~",
    ];
    let network = Network::devnet();
    tries(8_000, &corpus, &words, |input| {
        let text = String::from_utf8_lossy(input);
        let setting = Setting { loader: &NoFiles, params: &[], network: &network };
        let (pipeline, problems) = Pipeline::check(&SourceText::new("p.yaml", &*text), setting);
        assert!(pipeline.is_some() || !problems.is_empty(), "a refusal says why");
        assert!(problems.len() <= MOST_PROBLEMS, "{} problems", problems.len());
        pipeline.is_some()
    });
}

#[test]
fn templates() {
    let corpus = [
        &b"{{ item.n + 1 }}"[..],
        b"a {{ item.list | join(', ') }} b {{ params.n }}",
        b"{{ item.list | map('upper') | list | length }}",
        b"{{ {'a': [1, 2, item.text]} }}",
        b"{{ range(10) | list if item.flag else none }}",
        b"{{ item.map.k | default('x') ~ item.text }}",
    ];
    let words = [
        "{{ ",
        " }}",
        "{% for i in range(99999) %}",
        "{% endfor %}",
        "| list",
        "| join",
        "range(",
        "item",
        ".text",
        "[0]",
        "[-1]",
        "~",
        "**",
        "//",
        "%",
        " in ",
        " is ",
        "'",
        "\"",
        "(",
        ")",
        "| tojson",
        "| replace('a', 'b')",
        "* 1000000000",
        "none",
    ];
    let item =
        json!({"n": 3, "list": ["a", "b"], "text": "{{ 1 }}", "flag": true, "map": {"k": 1}});
    let scope = Scope::empty()
        .with("item", Datum::from_json(&item))
        .with("params", Datum::from_json(&json!({"n": 20})));
    tries(25_000, &corpus, &words, |input| {
        let text = String::from_utf8_lossy(input);
        let mut taken = false;
        for style in [ScalarStyle::Flow, ScalarStyle::Block] {
            let Ok(template) = Template::from_scalar(&text, style) else { continue };
            let Ok(value) = template.evaluate(&scope) else { continue };
            assert!(value.to_string().len() <= LONGEST_VALUE, "it makes too much of too little");
            taken = true;
        }
        taken
    });
}

#[test]
fn logs_of_the_registry() {
    let word = |byte: u8| [[0; 12].as_slice(), &[byte; 20]].concat();
    let published = [word(0xaa), word(0xbb)].concat();
    let status = [word(0xaa), [[0; 31].as_slice(), &[5]].concat()].concat();
    let corpus = [&published[..], &status, &[]];
    tries(300_000, &corpus, &["\0\0\0\0", "\u{1}"], |input| {
        let mut taken = false;
        for topic in topics() {
            if let Ok(log) = decode_log(&[topic], input) {
                assert!(input.len() == 64, "{log:?} of {} bytes", input.len());
                taken = true;
            }
        }
        assert!(decode_log(&[], input).is_err());
        assert!(decode_log(&[B256::ZERO, B256::ZERO], input).is_err());
        taken
    });
}

#[test]
fn calls() {
    let source = alloy::primitives::Address::repeat_byte(7);
    let publish = Call::PublishTask {
        source,
        config: "https://gateway.example/ipfs/Qm".into(),
        expiry: ChainTime::from_secs(1_900_000_000),
        payment: Wei::from_u128(5),
    };
    let of = |call: &Call| encode_call(call).1;
    let confirm = of(&Call::ConfirmResponse { response: source });
    let deposit = of(&Call::Deposit { account: source, amount: Wei::from_u128(9) });
    let publish = of(&publish);
    let corpus = [&publish[..], &confirm, &deposit, &[]];
    tries(300_000, &corpus, &["\0\0\0\0"], |input| {
        let mut taken = false;
        for (target, value) in [
            (Target::Controller, Wei::ZERO),
            (Target::Vault, Wei::from_u128(9)),
            (Target::Wallet, Wei::ZERO),
        ] {
            let Ok(call) = decode_call(target, value, input) else { continue };
            let (back, bytes) = encode_call(&call);
            assert_eq!((back, &bytes[..]), (target, input), "two byte strings mean {call:?}");
            taken = true;
        }
        taken
    });
}

#[test]
fn outputs() {
    let deep = "[".repeat(100) + &"]".repeat(100);
    let corpus = [
        &br#"{"score": 5, "text": "good", "list": [1, 2.5, -3e7, null, true]}"#[..],
        br#""\u00e9\ud83d\ude00""#,
        deep.as_bytes(),
    ];
    let words = ["{", "}", "[[[[[[[[", "\"", "\\u", ":", ",", "\\ud800", "1e309", "{\"a\":"];
    tries(300_000, &corpus, &words, |input| {
        let Ok(output) = parse_output(input) else { return false };
        let written = output.to_string();
        assert_eq!(parse_output(written.as_bytes()).ok(), Some(output), "{written}");
        true
    });
}

#[test]
fn urls() {
    let corpus = [
        &b"https://cipfs.ogpuscan.io/ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG"[..],
        b"http://127.0.0.1:8080/x",
        b"https://[::ffff:10.0.0.1]/",
        b"https://0x7f.1/a",
        b"https://user:pass@example.org:443/a#b",
        b"https://xn--bcher-kva.example./",
    ];
    let words = [
        "http://",
        "https://",
        "@",
        ":",
        "/",
        "%2e",
        "%00",
        "..",
        "127.1",
        "[::1]",
        "0177.0.0.1",
        "localhost",
        ".local",
        "\\",
        "\t",
        "#",
        "?",
        "169.254.169.254",
        "cipfs.ogpuscan.io",
    ];
    let listed = Guard::new(&Network::testnet()).unwrap();
    let open = Guard::new(&Network { allow_any_https: true, ..Network::testnet() }).unwrap();
    tries(100_000, &corpus, &words, |input| {
        let text = String::from_utf8_lossy(input);
        let mut taken = false;
        for guard in [&listed, &open] {
            let Ok(url) = guard.judge(&text) else { continue };
            assert_eq!(guard.judge(url.as_str()).ok().as_ref(), Some(&url), "judged again");
            assert!(url.username().is_empty() && url.password().is_none(), "{url}");
            let host = url.host_str().unwrap().trim_matches(['[', ']']);
            let inside = host.parse().ok().and_then(range);
            assert!(inside.is_none(), "{url} is {inside:?}");
            taken = true;
        }
        if let Ok(url) = listed.judge(&text) {
            assert_eq!(
                url.host_str().map(|host| host.trim_end_matches('.')),
                listed.listed()[0].host_str()
            );
        }
        taken
    });
}

#[test]
fn events_of_a_journal() {
    let corpus = [
        &br#"{"kind":"run-resumed","epoch":2,"cap":"160000000000000000"}"#[..],
        br#"{"kind":"slot-mined","slot":{"wallet":"0xf52b978d064a638e263ad7b397172e414c20ba84","nonce":0},"seq":0,"block":{"number":3,"hash":"0x426fe33403610529a55665802baae361bbc9f23215750242a50d31de8304b8f7"},"ok":true}"#,
        br#"{"kind":"due","timers":[{"is":"fetch","of":{"step":0,"item":7}},{"is":"survey"}]}"#,
        br#"{"kind":"output-checked","task":{"step":0,"item":2},"response":"0x83cd44234d8cc20b70dbe44d9cc1b9e9c51b5cd2","verdict":{"is":"rejected","reason":"no"}}"#,
        br#"{"kind":"step-ended","step":1,"end":"done"}"#,
    ];
    let words =
        ["\"kind\":", "null", "{", "}", "[", "\"", ",", "\"is\":\"drain\"", "65536", "\\u0000"];
    tries(300_000, &corpus, &words, |input| {
        let Ok(event) = serde_json::from_slice::<Event>(input) else { return false };
        let written = serde_json::to_vec(&event).unwrap();
        assert_eq!(serde_json::from_slice::<Event>(&written).unwrap(), event);
        true
    });
}

#[test]
fn refusals_of_nodes() {
    let corpus = [
        &b"nonce too low: next nonce 12, tx nonce 11"[..],
        b"replacement transaction underpriced",
        b"already known",
        b"OldNonce, Current nonce: 12",
        b"rejected due to 0x71 being identified as a spammer",
    ];
    let words =
        ["un", "known transaction", "nonce", " ", "stale", "\u{130}", "limit exceeded", "."];
    tries(5_000, &corpus, &words, |input| {
        let message = String::from_utf8_lossy(input);
        let mut taken = false;
        for code in [-32000, -32005, 3, 429] {
            let said = classify(SendReply::Refused { code, message: &message });
            let lower = message.to_lowercase();
            assert_eq!(classify(SendReply::Refused { code, message: &lower }), said, "{message}");
            taken |= said != SendOutcome::Unknown;
        }
        taken
    });
}
