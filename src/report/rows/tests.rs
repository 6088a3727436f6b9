use super::*;
use crate::engine::FailReason;
use serde_json::json;

fn row(key: &str, output: Value) -> Row {
    Row {
        key: ItemKey::parse(key).unwrap(),
        item: json!({"id": key}),
        output,
        state: "confirmed",
        provider: Some(Address::with_last_byte(1)),
        task: None,
        response: None,
        tx: None,
        paid: Wei::parse("0.01 OGPU").unwrap(),
        gas: Wei::ZERO,
        ms: Some(36_000),
        round: 1,
    }
}

#[test]
fn a_row_has_the_documented_fields_in_their_order() {
    let line = json_line(&row("rev-1", json!({"score": 4})));
    assert_eq!(
        line,
        "{\"key\":\"rev-1\",\"item\":{\"id\":\"rev-1\"},\"output\":{\"score\":4},\
         \"state\":\"confirmed\",\"provider\":\"0x0000000000000000000000000000000000000001\",\
         \"task\":null,\"response\":null,\"tx\":null,\"paid_wei\":\"10000000000000000\",\
         \"gas_wei\":\"0\",\"ms\":36000,\"round\":1}\n"
    );
}

#[test]
fn the_json_format_is_one_document() {
    let (run, step) = (RunId::parse("r-7f3k9q2m").unwrap(), StepName::parse("a").unwrap());
    let rows = [row("x", json!(1)), row("y", json!("\u{2028}\u{9b}"))].map(|row| json_text(&row));
    let text = json_head(&run, &step) + &rows.join(JSON_BETWEEN) + JSON_TAIL;
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["schema"], SCHEMA);
    assert_eq!(document["results"][1]["output"], "\u{2028}\u{9b}");
    assert!(!text.contains(['\u{9b}', '\u{2028}']), "nothing that a terminal acts on");
}

#[test]
fn a_failed_item_says_why_in_a_word_and_in_words() {
    let why = |outcome| failure(&outcome).unwrap();
    assert_eq!(why(Outcome::Failed(FailReason::Expired)), ("expired", "no response".into()));
    assert_eq!(
        why(Outcome::Failed(FailReason::Rejected("too short".into()))),
        ("rejected", "too short".into())
    );
    let paid = Outcome::RejectedPaid {
        response: Address::ZERO,
        reason: "not JSON".into(),
        paid: Wei::ZERO,
    };
    assert_eq!(why(paid), ("rejected_paid", "not JSON".into()));
}

#[test]
fn file_names_are_short_plain_and_apart() {
    for key in [
        "rev-0042",
        "../../etc/passwd",
        "a/b\\c",
        "..",
        ".",
        "CON",
        "nul.txt",
        "é日本",
        "A",
        "a",
        "-rf",
        "~",
        "a b",
        "a  b",
        "%2e%2e",
        "\u{202e}x",
    ] {
        let name = file_name(&ItemKey::parse(key).unwrap(), "json");
        assert!(name.len() <= LONGEST_NAME, "{name}");
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        assert!(name.bytes().all(plain), "{name}");
        assert!(!name.starts_with(['.', '-']) && name.matches('.').count() == 1, "{name}");
    }
    let name = |key: &str| file_name(&ItemKey::parse(key).unwrap(), "json");
    assert_ne!(name("A"), name("a"));
    assert_ne!(name("a b"), name("a  b"));
    assert!(name("rev-0042").starts_with("rev-0042-"));
    assert!(name(&"k".repeat(200)).len() == LONGEST_NAME);
}

#[test]
fn pictures_are_decoded_wherever_they_stand_and_all_else_is_json() {
    let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &[1; 40]].concat();
    let text = STANDARD.encode(&png);
    for output in [
        json!({"image": text}),
        json!({"note": "x", "images": [text]}),
        json!(format!("data:image/png;base64,{text}")),
        json!([{"b64": text}]),
    ] {
        let file = raw(&row("cat", output));
        assert_eq!(file.bytes, png);
        assert!(file.name.ends_with(".png"), "{}", file.name);
    }
    for output in [json!({"image": "iVBORw0K not base64 at all"}), json!("hello"), json!(null)] {
        let file = raw(&row("cat", output.clone()));
        assert_eq!(serde_json::from_slice::<Value>(&file.bytes).unwrap(), output);
        assert!(file.name.ends_with(".json"));
    }
}
