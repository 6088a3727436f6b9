use super::*;

fn run(function: &str, data: Value) -> Result<Work, Refusal> {
    let data = data.as_object().unwrap().clone();
    work(&TaskConfig { function: function.into(), data }, &[], None, 7)
}

fn output(function: &str, data: Value) -> Value {
    run(function, data).unwrap().output
}

fn png_size(output: &Value) -> (u32, u32) {
    let text = output["image_base64"].as_str().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    (frame.width, frame.height)
}

#[test]
fn each_function_has_the_shape_of_the_source_that_it_stands_in_for() {
    assert_eq!(
        output("echo", json!({"b": [1, null], "a": "x"})),
        json!({"b": [1, null], "a": "x"})
    );
    let said = output("text2text", json!({"messages": [{"role": "user", "content": "Hello!"}]}));
    assert_eq!(said["role"], "assistant");
    assert!(said["content"].as_str().unwrap().contains("Hello!"), "{said}");
    let counted = output("process_data", json!({"text": "one two", "parameters": {"n": 1}}));
    assert_eq!(counted["result"]["words"], 2, "{counted}");
    let verdict = output("inference", json!({"input": "I love it", "args": {"top_k": 1}}));
    assert!(verdict["result"]["output"][0]["score"].as_f64().unwrap() >= 0.67, "{verdict}");
    assert_eq!(png_size(&output("text2image", json!({"prompt": "a cat"}))), (16, 16));
    assert_eq!(output("chat", json!({"prompt": "Say hi"})), json!({"text": "Say hi"}));
}

#[test]
fn data_that_the_container_would_refuse_get_no_output() {
    for (function, data) in [
        ("inference", json!({"input": ["a", "b"]})),
        ("inference", json!({"input": 5})),
        ("inference", json!({"input": "a", "args": []})),
        ("inference", json!({})),
        ("text2text", json!({"messages": []})),
        ("text2text", json!({"messages": [{"role": "user"}]})),
        ("text2text", json!({"messages": "hi"})),
        ("text2image", json!({"prompt": 1})),
        ("sleep", json!({"ms": "1"})),
    ] {
        assert_eq!(run(function, data.clone()), Err(Refusal::BadData), "{function} {data}");
    }
    assert_eq!(run("nope", json!({"a": 1})), Err(Refusal::UnknownFunction));
    assert_eq!(run("fail", json!({"a": 1})), Err(Refusal::Raised));
    assert_eq!(run("silent", json!({"a": 1})), Err(Refusal::NotAttempted));
}

#[test]
fn a_source_has_its_own_functions_and_those_for_tests_only() {
    let config = |function: &str| TaskConfig {
        function: function.into(),
        data: json!({"ms": 5, "prompt": "x"}).as_object().unwrap().clone(),
    };
    let echo = BUILTIN_SOURCES[0].functions;
    assert_eq!(work(&config("chat"), echo, None, 0), Err(Refusal::UnknownFunction));
    let slept = work(&config("sleep"), echo, None, 0).unwrap();
    assert_eq!(slept.took, Duration::from_millis(5));
}

#[test]
fn outputs_follow_from_seed_and_data() {
    let schema = json!({"type": "object", "properties": {"score": {"type": "integer"}}});
    let made = |text: &str, seed| {
        let data = json!({"prompt": text}).as_object().unwrap().clone();
        let config = TaskConfig { function: "chat".into(), data };
        work(&config, &[], Some(&schema), seed).unwrap().output
    };
    assert_eq!(made("a", 1), made("a", 1));
    assert!((0..9).any(|seed| made("a", seed) != made("a", 9)), "the seed matters");
    assert!(["b", "c", "d"].iter().any(|text| made(text, 1) != made("a", 1)), "the data matter");
}

#[test]
fn a_config_is_read_as_a_provider_reads_it() {
    let bytes = br#"{"data":{"a":1},"function_name":"echo","ogflow":"00","priority":"high"}"#;
    let config = TaskConfig::parse(bytes).unwrap();
    assert_eq!((config.function.as_str(), config.data.len()), ("echo", 1));
    for bytes in ["", "[]", "{}", r#"{"function_name":1,"data":{}}"#, "\u{0}"] {
        assert_eq!(TaskConfig::parse(bytes.as_bytes()), Err(Refusal::BadConfig), "{bytes}");
    }
    let list = br#"{"function_name":"echo","data":[1]}"#;
    assert_eq!(TaskConfig::parse(list), Err(Refusal::BadData));
}

#[test]
fn a_wrong_output_has_no_field_of_the_right_type() {
    let right = json!({"label": "cat", "score": 1, "list": [1], "flag": true, "none": null});
    let bent = wrong(&right);
    for (name, value) in right.as_object().unwrap() {
        let same = std::mem::discriminant(value) == std::mem::discriminant(&bent[name]);
        assert!(!same, "{name}: {bent}");
    }
    assert_eq!(wrong(&json!({})), json!({"wrong": true}));
    assert_eq!(wrong(&json!([1])), json!({"wrong": true}));
}
