//! Files as people and programs write them.

use serde_json::json;

use super::*;
use crate::pipeline::problem::Span;
use crate::units::ItemKey;

fn file(format: ItemFormat) -> FileItems {
    FileItems {
        from: "p.yaml".into(),
        path: "data/x".into(),
        span: Span::new(0, 1),
        format,
        key: None,
        types: Vec::new(),
        limit: None,
    }
}

fn read(items: &FileItems, bytes: &[u8]) -> Result<Vec<Record>, ItemError> {
    Records::open(items, Box::new(io::Cursor::new(bytes.to_vec())))?.collect()
}

fn csv(text: &str) -> Result<Vec<Record>, ItemError> {
    read(&file(ItemFormat::Csv), text.as_bytes())
}

fn values(records: Result<Vec<Record>, ItemError>) -> Vec<Value> {
    records.unwrap().into_iter().map(|record| record.value).collect()
}

#[test]
fn cells_are_text_and_never_guessed() {
    let found = values(csv("id,n,flag\n007,1e3,true\n,,\n"));
    assert_eq!(found[0], json!({"id": "007", "n": "1e3", "flag": "true"}));
    assert_eq!(found[1], json!({"id": "", "n": "", "flag": ""}));
}

#[test]
fn marks_line_ends_quotes_and_breaks_in_cells_are_read() {
    let text = "\u{feff}id,text\r\n1,\"a \"\"b\"\", c\"\r\n2,\"line\r\nbreak\"\r\n3,né 😀\r\n";
    let found = csv(text).unwrap();
    assert_eq!(found[0], Record { row: 2, value: json!({"id": "1", "text": "a \"b\", c"}) });
    assert_eq!(found[1].value["text"], json!("line\r\nbreak"));
    assert_eq!(found[2], Record { row: 4, value: json!({"id": "3", "text": "né 😀"}) });
    let tabs = read(&file(ItemFormat::Tsv), b"a\tb\n1,5\t2\n");
    assert_eq!(values(tabs), [json!({"a": "1,5", "b": "2"})]);
}

#[test]
fn a_header_alone_has_no_rows_and_an_empty_file_is_refused() {
    assert_eq!(csv("id,text\n").unwrap(), []);
    assert_eq!(csv("id,text").unwrap(), []);
    for empty in ["", "\u{feff}", "\n\n"] {
        let error = csv(empty).unwrap_err();
        assert_eq!(error.code, Code::E0307, "{empty:?}");
        assert!(error.message.contains("empty"), "{error}");
    }
}

#[test]
fn a_quote_that_is_never_closed_is_named_and_swallows_no_rows() {
    for text in ["id,text\n1,a\n2,\"b\n3,c\n", "id,text\n1,a\n2,\"b"] {
        let found = csv(text).unwrap_err();
        assert_eq!(found.message, "row 3 of data/x opens a quote that is never closed");
    }
    let whole = csv("id,text\n1,\"a\n2,b\"\n").unwrap();
    assert_eq!(whole.len(), 1, "a line break within quotes is text");
}

#[test]
fn a_ragged_row_is_named() {
    let error = csv("id,text\n1,a\n2,b,c\n").unwrap_err();
    assert_eq!(error.code, Code::E0307);
    assert_eq!(error.message, "row 3 of data/x has 3 cells, the header has 2");
    assert!(csv("id,text\n1\n").unwrap_err().message.contains("row 2 of data/x has 1 cell,"));
}

#[test]
fn bytes_of_another_encoding_are_named_with_their_row() {
    let items = file(ItemFormat::Csv);
    let error = read(&items, b"id\n1\n\xe9\n").unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::E0307, "row 3 of data/x is not UTF-8"));
    assert!(read(&items, b"\xff\xfei\x00d\x00").unwrap_err().message.contains("UTF-16"));
    let lines = read(&file(ItemFormat::Jsonl), b"1\n\"\xe9\"\n").unwrap_err();
    assert_eq!(lines.message, "row 2 of data/x is not UTF-8");
}

#[test]
fn a_column_named_twice_and_columns_that_are_missing_are_refused() {
    assert!(csv("id,id\n").unwrap_err().message.contains("`id` twice"));
    let mut items = file(ItemFormat::Csv);
    items.key = Some(("idd".into(), Span::new(3, 3)));
    let error = read(&items, b"id,text\n1,a\n").unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), (Code::E0303, Some("did you mean `id`?")));
    items.key = None;
    items.types = vec![("stars".into(), CellType::Integer)];
    let error = read(&items, b"id,text\n1,a\n").unwrap_err();
    assert_eq!(error.code, Code::E0303);
    assert!(error.hint.unwrap().contains("`id`, `text`"));
}

#[test]
fn types_read_cells_and_name_row_and_column_when_they_cannot() {
    let mut items = file(ItemFormat::Csv);
    let types =
        [CellType::Integer, CellType::Number, CellType::Boolean, CellType::Json, CellType::String];
    items.types = ["i", "n", "b", "j", "s"].map(str::to_owned).into_iter().zip(types).collect();
    let header = "i,n,b,j,s\n";
    let row = |row: &str| read(&items, format!("{header}{row}\n").as_bytes());
    assert_eq!(
        values(row("4,0.5,true,\"[1,{}]\",5")),
        [json!({"i": 4, "n": 0.5, "b": true, "j": [1, {}], "s": "5"})]
    );
    assert_eq!(
        values(row(",,,,")),
        [json!({"i": null, "n": null, "b": null, "j": null, "s": ""})],
        "an empty cell is null, but for text"
    );
    assert_eq!(values(row("18446744073709551615,-1e3,false,null,x"))[0]["i"], json!(u64::MAX));
    for (bad, column) in [
        ("4.0,,,,", "`i`"),
        ("x,,,,", "`i`"),
        ("18446744073709551616,,,,", "`i`"),
        (",nan,,,", "`n`"),
        (",inf,,,", "`n`"),
        (",1e999,,,", "`n`"),
        (",123456789012345678901,,,", "`n`"),
        (",,yes,,", "`b`"),
        (",,True,,", "`b`"),
        (",,,{,", "`j`"),
    ] {
        let error = row(bad).unwrap_err();
        assert_eq!(error.code, Code::E0308, "{bad}");
        assert!(error.message.starts_with("row 2 of data/x, column "), "{error}");
        assert!(error.message.contains(column), "{bad}: {error}");
    }
}

#[test]
fn lines_of_json_are_read_and_a_bad_one_is_named() {
    let lines = |text: &str| read(&file(ItemFormat::Jsonl), text.as_bytes());
    let found = lines("{\"a\": 1}\r\n\n  \n\"x\"\n[1]").unwrap();
    let rows: Vec<_> = found.iter().map(|record| record.row).collect();
    assert_eq!(rows, [1, 4, 5], "empty lines count and are passed over");
    let error = lines("1\n{\"a\": }\n").unwrap_err();
    assert_eq!(error.code, Code::E0307);
    assert!(error.message.starts_with("row 2 of data/x, column 7 is not JSON"), "{error}");
    let error = lines("{\"n\": 12345678901234567890123}").unwrap_err();
    assert_eq!(error.code, Code::E0308, "a reader would round it");
    assert_eq!(
        values(lines("{\"n\": \"12345678901234567890123\", \"f\": 1234567890123456789.5}")).len(),
        1
    );
    assert_eq!(values(lines("18446744073709551615\n")), [json!(u64::MAX)]);
    assert!(lines(&"[".repeat(100_000)).unwrap_err().message.contains("recursion"));
}

#[test]
fn a_json_list_is_cut_into_its_entries() {
    let list = |text: &str| read(&file(ItemFormat::Json), text.as_bytes());
    let text = " [ {\"a\": [1, \"],\\\"{\"]}, 2 , \"x\\\\\", [] ] \n";
    let found = list(text).unwrap();
    let rows: Vec<_> = found.iter().map(|record| record.row).collect();
    assert_eq!(rows, [1, 2, 3, 4]);
    assert_eq!(values(Ok(found)), [json!({"a": [1, "],\"{"]}), json!(2), json!("x\\"), json!([])]);
    assert_eq!(list("[]").unwrap(), []);
    assert_eq!(list("[ ]").unwrap(), []);
    for (bad, word) in [
        ("", "empty"),
        ("{}", "an object, not a list"),
        ("3", "not a list"),
        ("[1", "ends within entry 1"),
        ("[1, {\"a\": 2", "ends within entry 2"),
        ("[1,]", "entry 2 of data/x is missing"),
        ("[,1]", "entry 1"),
        ("[1] 2", "behind the list"),
        ("[1 2]", "row 1"),
        ("[{]}", "row 1"),
    ] {
        let error = list(bad).unwrap_err();
        assert_eq!(error.code, Code::E0307, "{bad}");
        assert!(error.message.contains(word), "{bad}: {error}");
    }
}

#[test]
fn a_yaml_list_is_read_and_anything_else_refused() {
    let yaml = |text: &str| read(&file(ItemFormat::Yaml), text.as_bytes());
    assert_eq!(
        values(yaml("- a: 1\n- text\n- null\n")),
        [json!({"a": 1}), json!("text"), Value::Null]
    );
    assert!(yaml("a: 1\n").unwrap_err().message.contains("an object, not a list"));
    assert_eq!(yaml("- [\n").unwrap_err().code, Code::E0307);
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &(b'b'..=b'i')
            .map(|c| {
                let (c, p) = (char::from(c), char::from(c - 1));
                format!("{c}: &{c} [*{p},*{p},*{p},*{p},*{p},*{p},*{p},*{p},*{p}]\n")
            })
            .collect::<String>();
    assert_eq!(yaml(&bomb).unwrap_err().code, Code::E0307);
}

#[test]
fn one_record_cannot_take_all_memory() {
    let endless = || -> Box<dyn Read + Send> {
        Box::new(io::Cursor::new(b"id\n\"".to_vec()).chain(io::repeat(b'x')))
    };
    let mut records = Records::open(&file(ItemFormat::Csv), endless()).unwrap();
    let error = records.next().unwrap().unwrap_err();
    assert!(error.message.contains("larger than 16 MiB"), "{error}");
    let mut lines = Records::open(&file(ItemFormat::Jsonl), Box::new(io::repeat(b'x'))).unwrap();
    assert!(lines.next().unwrap().unwrap_err().message.contains("larger than 16 MiB"));
    assert!(lines.next().is_none(), "nothing is read after an error");
    let list = io::Cursor::new(b"[".to_vec()).chain(io::repeat(b'x'));
    let mut list = Records::open(&file(ItemFormat::Json), Box::new(list)).unwrap();
    assert!(list.next().unwrap().unwrap_err().message.contains("larger than 16 MiB"));
}

#[test]
fn files_of_a_glob_have_names_and_text_only_if_it_is_read() {
    let found = FoundFile { path: "docs/a.b.txt".into(), size: 3 };
    assert_eq!(
        file_value(&found, None),
        json!({"path": "docs/a.b.txt", "name": "a.b.txt", "stem": "a.b", "ext": "txt", "size": 3})
    );
    assert_eq!(file_value(&found, Some("abc".into()))["text"], json!("abc"));
    let hidden = FoundFile { path: ".env".into(), size: 0 };
    assert_eq!(file_value(&hidden, None)["stem"], json!(".env"));
}

#[test]
fn keys_are_text_or_integers_and_nothing_else() {
    assert_eq!(key_of(&json!("rev-7")).unwrap().as_str(), "rev-7");
    assert_eq!(key_of(&json!(7)).unwrap().as_str(), "7");
    assert_eq!(key_of(&json!("é".repeat(100))).unwrap().as_str().len(), 200);
    for bad in [
        json!(""),
        json!(null),
        json!(true),
        json!(1.5),
        json!([1]),
        json!({}),
        json!("a\nb"),
        json!("a\u{1b}[2J"),
        json!("k".repeat(201)),
    ] {
        assert_eq!(key_of(&bad).unwrap_err().code, Code::E0309, "{bad}");
    }
}

#[test]
fn a_key_made_of_content_does_not_depend_on_the_order_of_fields_and_counts_doubles() {
    let mut keys = ContentKeys::default();
    let mut next = |value: &Value| keys.name(content_key(value)).as_str().to_owned();
    let first = next(&json!({"a": 1, "b": 2}));
    assert_eq!(first.len(), 12);
    assert_eq!(next(&json!({"b": 2, "a": 1})), format!("{first}-2"));
    assert_ne!(next(&json!({"a": 2, "b": 1})), first);
    assert_eq!(next(&json!({"a": 1, "b": 2})), format!("{first}-3"));
    let whole = crate::units::canonical::digest(&json!({"a": 1, "b": 2})).to_string();
    assert_eq!(first, whole[2..14]);
}

#[test]
fn two_of_one_key_are_found_with_both_rows() {
    let mut keys = KeyList::default();
    for (row, key) in [(2, "a"), (3, "b"), (4, "a"), (5, "c"), (6, "b"), (7, "a")] {
        keys.push(ItemKey::parse(key).unwrap().hash(), row);
    }
    let found: Vec<_> =
        keys.duplicates(10).into_iter().map(|found| (found.first, found.second)).collect();
    assert_eq!(found, [(2, 4), (3, 6), (2, 7)]);
}

#[test]
fn a_note_of_a_key_takes_twenty_bytes() {
    assert_eq!(std::mem::size_of::<(crate::units::KeyHash, u32)>(), 20);
}

proptest::proptest! {
    #[test]
    fn whatever_the_bytes_reading_ends_without_a_panic(bytes in proptest::collection::vec(0_u8.., 0..400)) {
        for format in [
            ItemFormat::Csv, ItemFormat::Tsv, ItemFormat::Jsonl, ItemFormat::Json, ItemFormat::Yaml,
        ] {
            drop(read(&file(format), &bytes));
        }
    }
}
