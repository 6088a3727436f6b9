//! One pass over the items: what it finds, and how it says what is wrong.

use serde_json::{Value, json};

use super::*;

fn rows(more: &str, csv: &str) -> Project {
    Project::new(&format!(
        "steps:\n  a:\n    source: llm\n    function: chat\n    foreach: {{ file: rows.csv, key: id }}\n{more}"
    ))
    .file("rows.csv", csv)
}

const PLAIN: &str = "    payment: 0.01 OGPU\n    data: { text: '{{ item.text }}' }\n";

#[test]
fn items_are_counted_priced_measured_and_kept_in_order() {
    let csv: String =
        "id,text\n".to_owned() + &(0..5000).map(|n| format!("k{n},text {n}\n")).collect::<String>();
    let mut kept = Kept::default();
    let plan = rows(PLAIN, &csv).make(&mut kept).unwrap().plan;
    let step = &plan.steps()[0];
    let items = step.items.as_ref().unwrap();
    assert_eq!((items.count, step.width), (5000, Range::exactly(5000)));
    assert_eq!(items.payments, Wei::parse("50 OGPU").unwrap());
    assert_eq!(items.sha256, crate::units::cid::sha256(csv.as_bytes()));
    assert_eq!(items.columns.as_deref(), Some(&["id".to_owned(), "text".to_owned()][..]));
    let lines = &kept.0["a"];
    assert_eq!(lines.len(), 5000);
    assert_eq!(
        lines[4321],
        "{\"key\":\"k4321\",\"item\":{\"id\":\"k4321\",\"text\":\"text 4321\"}}\n"
    );
    let item = PlanItem::from_line(4321, lines[4321].as_bytes()).unwrap();
    assert_eq!((item.index, item.key.as_str()), (4321, "k4321"));
    let bytes: usize = (0_u32..)
        .zip(lines)
        .map(|(at, line)| {
            let item = PlanItem::from_line(at, line.as_bytes()).unwrap();
            plan.render(0, &item, &plan.scope(0, &[]), FREE).unwrap().bytes.len()
        })
        .sum();
    assert_eq!(items.public_bytes, Some(bytes as u64), "what was measured is what is pinned");
}

#[test]
fn a_key_that_stands_twice_is_named_with_both_rows() {
    let found = rows(PLAIN, "id,text\nrev-7,a\nx,b\nrev-7,c\n").problems();
    let expected = ("E0306".into(), "key `rev-7` in rows 2 and 4 of rows.csv".into(), "id".into());
    assert_eq!(found, [expected]);
    let far: String = "id,text\n".to_owned()
        + &(0..6000).map(|n| format!("{},x\n", if n == 5999 { 3 } else { n })).collect::<String>();
    assert_eq!(rows(PLAIN, &far).problems()[0].1, "key `3` in rows 5 and 6001 of rows.csv");
}

#[test]
fn a_wrong_template_input_names_row_column_and_input() {
    let mut project = classify();
    let long = "id,text,stars\na,good,4\nb,this text is much too long for it,2\n";
    project = project.file("rows.csv", long);
    let found = project.problems();
    assert_eq!(found[0].0, "E0311");
    assert!(found[0].1.starts_with("row 3 of rows.csv, column `text`: "), "{found:?}");
    assert!(found[0].1.contains("input `text` of template `classify`"), "{found:?}");
    assert_eq!(found[0].2, "'{{ item.text }}'");
}

#[test]
fn a_cell_of_the_wrong_type_a_ragged_row_and_a_missing_file_are_told() {
    let cell = classify().file("rows.csv", "id,text,stars\na,good,four\n").problems();
    assert_eq!(cell[0].0, "E0308");
    assert!(cell[0].1.starts_with("row 2 of rows.csv, column `stars`: `four`"), "{cell:?}");
    let ragged = rows(PLAIN, "id,text\na,b\nc\n").problems();
    assert_eq!(ragged[0].0, "E0307");
    assert!(ragged[0].1.starts_with("row 3 of rows.csv has 1 cell"), "{ragged:?}");
}

#[test]
fn a_name_that_an_item_lacks_is_told_with_its_row_and_not_for_every_row() {
    let project = Project::new(
        "steps:\n  a:\n    source: llm\n    function: chat\n    foreach: { file: rows.jsonl, key: id }
    payment: 0.01 OGPU\n    data: { text: '{{ item.text }}' }\n",
    );
    let lines: String = (0..1000).map(|n| format!("{{\"id\": {n}, \"txt\": 1}}\n")).collect();
    let found = project.file("rows.jsonl", lines).problems();
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0].0, "E0702");
    assert_eq!(found[0].1, "row 1 of rows.jsonl, column `text`: `item.text` is undefined");
    assert_eq!(found[0].2, "text");
}

#[test]
fn keys_that_are_none_are_told_with_their_row() {
    let empty = rows(PLAIN, "id,text\na,x\n,y\n").problems();
    assert_eq!((empty[0].0.as_str(), empty[0].2.as_str()), ("E0309", "id"));
    assert!(empty[0].1.starts_with("row 3 of rows.csv: the key is empty"), "{empty:?}");
    let long = format!("id,text\n{},y\n", "k".repeat(201));
    assert!(rows(PLAIN, &long).problems()[0].1.contains("201 bytes"));
}

#[test]
fn no_rows_are_no_items_and_a_file_without_columns_is_refused() {
    let plan = rows(PLAIN, "id,text\n").plan();
    assert_eq!(plan.steps()[0].width, Range::exactly(0));
}

#[test]
fn filter_limit_and_index_shape_what_is_left() {
    let more = "    payment: 0.01 OGPU\n    filter: item.n != '1'\n    data: { n: '{{ item.n }}', at: '{{ index }}' }\n";
    let csv = "id,n\na,0\nb,1\nc,2\nd,3\n";
    let mut kept = Kept::default();
    let project = rows(more, csv);
    let plan = project.make(&mut kept).unwrap().plan;
    assert_eq!(plan.steps()[0].items.as_ref().unwrap().count, 3);
    let keys: Vec<Value> = kept.0["a"]
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].clone())
        .collect();
    assert_eq!(keys, [json!("a"), json!("c"), json!("d")]);
    let item = PlanItem::from_line(1, kept.0["a"][1].as_bytes()).unwrap();
    let config = plan.render(0, &item, &plan.scope(0, &[]), FREE).unwrap();
    let text = String::from_utf8(config.bytes).unwrap();
    assert_eq!(text, r#"{"data":{"at":1,"n":"2"},"function_name":"chat"}"#);
    let few = Project { limit: Some(2), ..project };
    assert_eq!(few.plan().steps()[0].items.as_ref().unwrap().count, 1, "the first two rows");
}

#[test]
fn more_items_than_allowed_are_refused_before_anything_is_published() {
    let more = format!("    max_items: 2\n{PLAIN}");
    let found = rows(&more, "id,text\n1,a\n2,b\n3,c\n").problems();
    assert_eq!(
        (found[0].0.as_str(), found[0].1.as_str()),
        ("E0310", "3 items, more than the 2 of `max_items`")
    );
}

#[test]
fn a_payment_of_each_item_is_summed_and_held_to_the_source() {
    let more = "    payment: '{{ item.pay }}'\n    data: { text: x }\n";
    let plan = rows(more, "id,pay\na,0.01 OGPU\nb,0.03 OGPU\n").plan();
    let items = plan.steps()[0].items.as_ref().unwrap();
    assert_eq!(items.payments, Wei::parse("0.04 OGPU").unwrap());
    assert_eq!(items.highest_payment, Wei::parse("0.03 OGPU").unwrap());
    for (pay, code) in
        [("0.0001 OGPU", "E0412"), ("-1 OGPU", "E0206"), ("1", "E0206"), ("0 OGPU", "E0206")]
    {
        let found = rows(more, &format!("id,pay\na,{pay}\n")).problems();
        assert_eq!(found[0].0, code, "{pay}: {found:?}");
        assert!(found[0].1.starts_with("row 2 of rows.csv"), "{found:?}");
    }
}

#[test]
fn items_without_a_key_are_named_by_their_content() {
    let step = "steps:\n  a:\n    source: llm\n    function: chat\n    foreach: [x, y, x]\n    payment: 0.01 OGPU\n    data: { v: '{{ item }}' }\n";
    let mut kept = Kept::default();
    Project::new(step).make(&mut kept).unwrap();
    let keys: Vec<String> = kept.0["a"]
        .iter()
        .map(|line| PlanItem::from_line(0, line.as_bytes()).unwrap().key.to_string())
        .collect();
    assert_eq!(keys[2], format!("{}-2", keys[0]));
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn the_text_of_a_file_is_read_only_where_it_is_used() {
    let step = |data: &str| {
        Project::new(&format!(
            "steps:\n  a:\n    source: llm\n    function: chat\n    foreach: {{ file: 'docs/*.txt', key: name }}\n    payment: 0.01 OGPU\n    data: {{ v: '{data}' }}\n"
        ))
        .file("docs/a.txt", "hello")
        .file("docs/b.txt", vec![0xff])
    };
    assert_eq!(step("{{ item.size }}").plan().steps()[0].width, Range::exactly(2));
    let found = step("{{ item.text }}").problems();
    assert_eq!(found[0].1, "docs/b.txt is not UTF-8");
}

#[test]
fn a_config_above_eight_mebibytes_is_refused_with_its_row() {
    let big = "x".repeat(900_000);
    let data: String = (0..10).map(|n| format!("f{n}: '{{{{ item.text }}}}', ")).collect();
    let more = format!("    payment: 0.01 OGPU\n    data: {{ {data} }}\n");
    let found = rows(&more, &format!("id,text\na,{big}\n")).problems();
    assert_eq!(found[0].0, "E0704", "{:?}", found[0].1);
    assert!(found[0].1.starts_with("row 2 of rows.csv"), "{}", found[0].1);
}

#[test]
fn a_check_without_a_chain_looks_at_the_items_too() {
    let project = rows(PLAIN, "id,text\n1,a\n1,b\n");
    let problems = Plan::check_items(&project.pipeline(), &project);
    assert_eq!(problems[0].code.to_string(), "E0306");
}
