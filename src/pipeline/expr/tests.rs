//! The rules of language.md, sections 1 and 2, one claim each.

use serde_json::{Value, json};

use super::*;

fn scope() -> Scope {
    Scope::empty()
        .with("params", Datum::from_json(&json!({"n": 20, "labels": ["a", "b"]})))
        .with(
            "item",
            Datum::from_json(&json!({
                "n": 3, "id": "007", "flag": true, "off": false, "none": null, "list": ["a", 1],
                "map": {"k": 1}, "big": u64::MAX, "half": 0.5, "text": "hi", "hostile": "{{ 1 + 1 }}",
            })),
        )
        .with(
            "steps",
            Datum::map([(
                "x",
                Datum::map([
                    ("spent", Datum::money(Wei::parse("0.02 OGPU").unwrap())),
                    ("count", Datum::integer(2)),
                    (
                        "results",
                        Datum::list(["0.01 OGPU", "0.03 OGPU"].map(|paid| {
                            Datum::map([
                                ("paid", Datum::money(Wei::parse(paid).unwrap())),
                                ("output", Datum::from_json(&json!({"summary": paid}))),
                            ])
                        })),
                    ),
                ]),
            )]),
        )
}

use crate::units::Wei;

fn flow(text: &str) -> Result<Value, ExprError> {
    Template::from_scalar(text, ScalarStyle::Flow)?.evaluate(&scope())
}

fn value(text: &str) -> Value {
    flow(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// The code and the marked text.
fn refused(text: &str) -> (Code, String) {
    let error = flow(text).expect_err(text);
    let marked = error.span.map_or("", |span| &text[span.offset..span.end()]);
    (error.code, marked.to_owned())
}

#[test]
fn one_whole_expression_keeps_its_type() {
    assert_eq!(value("{{ item.n }}"), json!(3));
    assert_eq!(value("{{ item.id }}"), json!("007"), "types are never guessed back");
    assert_eq!(value("{{item.list}}"), json!(["a", 1]));
    assert_eq!(value("{{ item.map }}"), json!({"k": 1}));
    assert_eq!(value("{{ item.flag }}"), json!(true));
    assert_eq!(value("{{ item.none }}"), Value::Null);
    assert_eq!(value("{{ item.half }}"), json!(0.5));
    assert_eq!(value("{{ item.big }}"), json!(u64::MAX));
    assert_eq!(value("{{- item.n -}}"), json!(3));
    assert_eq!(value("{{ {'a': [1, none]} }}"), json!({"a": [1, null]}));
    assert_eq!(value("{{ '}}' }}"), json!("}}"));
}

#[test]
fn anything_but_one_whole_expression_is_text() {
    assert_eq!(value("{{ item.n }}-{{ item.id }}"), json!("3-007"));
    assert_eq!(value("{{ item.n }}{{ item.n }}"), json!("33"));
    assert_eq!(value(" {{ item.n }}"), json!(" 3"));
    assert_eq!(value("{{ item.n | string }}"), json!("3"));
    assert_eq!(value("no braces { at all }"), json!("no braces { at all }"));
    assert_eq!(value("{% if item.flag %}yes{% else %}no{% endif %}"), json!("yes"));
    assert_eq!(value("{% for x in item.list %}{{ x }},{% endfor %}"), json!("a,1,"));
}

#[test]
fn a_block_scalar_is_always_text_and_keeps_its_last_line_break() {
    let block = |text: &str| {
        Template::from_scalar(text, ScalarStyle::Block).unwrap().evaluate(&scope()).unwrap()
    };
    assert_eq!(block("{{ item.n }}"), json!("3"));
    assert_eq!(block("{{ item.n }}\n"), json!("3\n"));
    assert_eq!(block("plain\n"), json!("plain\n"));
}

#[test]
fn numbers_reach_the_engine_as_numbers() {
    assert_eq!(value("{{ item.n + 1 }}"), json!(4));
    assert_eq!(value("{{ item.n / 2 }}"), json!(1.5));
    assert_eq!(value("{{ item.big - 1 }}"), json!(u64::MAX - 1));
    assert_eq!(refused("{{ item.big + 1 }}").0, Code::E0705);
    assert_eq!(refused("{{ 1e308 * 10 }}").0, Code::E0705, "infinity is no JSON");
    let features = include_str!("../../../Cargo.toml");
    assert!(!features.contains("arbitrary_precision"));
    assert_eq!(serde_json::to_value(1_u8).unwrap(), json!(1), "a number, not a map of its digits");
}

#[test]
fn undefined_is_an_error_also_as_the_whole_value_and_the_caret_is_under_the_name() {
    assert_eq!(refused("{{ item.nope }}"), (Code::E0702, "nope".into()));
    assert_eq!(refused("{{ item.map.nope }}"), (Code::E0702, "nope".into()));
    assert_eq!(refused("{{ item.nope.deeper }}"), (Code::E0702, "nope".into()));
    assert_eq!(refused("{{ nope }}"), (Code::E0702, "nope".into()));
    assert_eq!(refused("{{ item['nope'] }}"), (Code::E0702, "'nope'".into()));
    assert_eq!(refused("a {{ item.text }} b {{ item.txt }} c"), (Code::E0702, "txt".into()));
    assert_eq!(refused("{{ [item.nope] }}"), (Code::E0702, "nope".into()));
    assert_eq!(refused("{{ item.nope | lower }}"), (Code::E0702, "nope".into()));
    assert_eq!(refused("{{ item.nope > 3 }}").0, Code::E0702);
    assert_eq!(refused("{{ 'x' if item.off }}").0, Code::E0702, "an else that is not there");
    assert_eq!(refused("x {{ 'x' if item.off }}").0, Code::E0702);
    assert_eq!(refused("{% if item.nope %}x{% endif %}").0, Code::E0702);
}

#[test]
fn an_undefined_name_is_answered_with_the_nearest_that_exists() {
    assert_eq!(flow("{{ item.txt }}").unwrap_err().hint.unwrap(), "did you mean `text`?");
    assert_eq!(flow("{{ prams.n }}").unwrap_err().hint.unwrap(), "did you mean `params`?");
    assert!(flow("{{ item.zzzzzzzz }}").unwrap_err().hint.unwrap().contains("default"));
}

#[test]
fn default_and_defined_are_the_ways_to_ask() {
    assert_eq!(value("{{ item.nope | default(5) }}"), json!(5));
    assert_eq!(value("{{ item.nope is defined }}"), json!(false));
    assert_eq!(value("{{ (item.nope | default({'text': 'x'})).text }}"), json!("x"));
}

#[test]
fn only_text_numbers_booleans_and_money_print() {
    assert_eq!(value("x={{ item.flag }}"), json!("x=true"));
    assert_eq!(value("x={{ item.off }}"), json!("x=false"));
    assert_eq!(value("x={{ 1.0 }} {{ 1e16 }} {{ item.half }}"), json!("x=1.0 1e+16 0.5"));
    assert_eq!(value("x={{ steps.x.spent }}"), json!("x=0.02 OGPU"));
    for (text, marked) in [
        ("x={{ item.list }}", "item.list"),
        ("x={{ item.map }}", "item.map"),
        ("x={{ item.none }}", "item.none"),
        ("x={{ range }}", "range"),
    ] {
        assert_eq!(refused(text), (Code::E0701, marked.into()), "{text}");
    }
    let hint = flow("x={{ item.list }}").unwrap_err().hint.unwrap();
    assert_eq!(hint, "use `| tojson` or `| join(', ')`");
}

#[test]
fn no_filter_prints_past_the_formatter() {
    assert_eq!(value("{{ [true] | join }}"), json!("true"));
    assert_eq!(value("{{ [1, 'a', false] | join(', ') }}"), json!("1, a, false"));
    assert_eq!(value("{{ true | string }}"), json!("true"));
    assert_eq!(value("{{ item.flag | upper }}"), json!("TRUE"));
    assert_eq!(
        value("{{ steps.x.results | join('+', attribute='paid') }}"),
        json!("0.01 OGPU+0.03 OGPU")
    );
    for text in [
        "{{ [none] | join }}",
        "{{ [[1]] | join }}",
        "{{ item.list | string }}",
        "{{ none | string }}",
        "{{ [item.list] | map('string') | list }}",
    ] {
        assert_eq!(refused(text).0, Code::E0701, "{text}");
    }
    for filter in ["lower", "upper", "title", "capitalize", "trim", "split", "lines", "indent(2)"] {
        let text = format!("{{{{ item.list | {filter} }}}}");
        assert_eq!(refused(&text).0, Code::E0701, "{text}");
    }
    assert_eq!(refused("{{ 'a' | replace('a', item.list) }}").0, Code::E0701);
    assert_eq!(value("{{ 'a' | replace('a', 'b') | indent(2, first=true) }}"), json!("  b"));
}

#[test]
fn what_is_not_part_of_the_language_is_refused_with_its_place() {
    for (text, marked) in [
        ("{{ item.id ~ item.n }}", "~"),
        ("{% include 'a' %}", "include"),
        ("{% import 'a' as a %}", "import"),
        ("{% from 'a' import b %}", "import"),
        ("{% extends 'a' %}", "extends"),
        ("{% macro a() %}{% endmacro %}", "macro"),
        ("{% block a %}{% endblock %}", "block"),
        ("{{ item.id | safe }}", "safe"),
        ("x{{ item.id | escape }}", "escape"),
        ("{{ item.id | e }}", "e"),
        ("{{ item.id | pprint }}", "pprint"),
        ("{{ '%s' | format(1) }}", "format"),
        ("{{ item.id | lowr }}", "lowr"),
        ("{{ item.id is nubmer }}", "nubmer"),
        ("{{ nope(1) }}", "nope"),
        ("{{ debug() }}", "debug"),
        ("{{ item.id.upper() }}", ".upper"),
    ] {
        assert_eq!(refused(text), (Code::E0313, marked.into()), "{text}");
    }
    assert_eq!(flow("{{ item.id | lowr }}").unwrap_err().hint.unwrap(), "did you mean `lower`?");
    for text in ["{{ item. }}", "{{ (1 }}", "{{ item.n", "{% if %}", "{{ }}", "{{}}"] {
        assert_eq!(flow(text).expect_err(text).code, Code::E0313, "{text}");
    }
}

#[test]
fn braces_in_a_key_that_takes_an_expression_are_refused() {
    for source in ["{{ item.n }}", "item.n > {{ 3 }}", "{% if x %}"] {
        let error = Expression::compile(source).unwrap_err();
        assert_eq!(error.code, Code::E0313);
        assert!(error.hint.unwrap().contains("without `{{`"));
    }
    assert_eq!(Expression::compile(" ").unwrap_err().code, Code::E0313);
    assert!(Expression::compile("{'a': {'b': 1} }").is_ok(), "a map is no pair of braces");
}

#[test]
fn outputs_are_data_and_never_evaluated_again() {
    assert_eq!(value("{{ item.hostile }}"), json!("{{ 1 + 1 }}"));
    assert_eq!(value("x {{ item.hostile }}"), json!("x {{ 1 + 1 }}"));
    let secret = Datum::from_json(&json!({"text": "{{ secrets.X }}", "{{ k }}": "{% raw %}"}));
    let scope = Scope::empty().with("output", secret);
    let whole = Template::from_scalar("{{ output }}", ScalarStyle::Flow).unwrap();
    assert_eq!(
        whole.evaluate(&scope).unwrap(),
        json!({"text": "{{ secrets.X }}", "{{ k }}": "{% raw %}"})
    );
}

#[test]
fn an_expression_has_a_limit_of_steps() {
    let sorts = "{{ range(10000) | map('string') | sort | list | length".to_owned()
        + &" + (range(10000) | map('string') | sort | list | length)".repeat(10)
        + " }}";
    assert_eq!(refused(&sorts).0, Code::E0703);
    let loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    assert_eq!(refused(loops).0, Code::E0703);
}

#[test]
fn a_scalar_has_a_limit_of_size() {
    assert_eq!(refused("{{ 'x' * 1100000 }}").0, Code::E0704);
    assert_eq!(refused("y{{ 'x' * 1100000 }}").0, Code::E0704);
    assert_eq!(refused("{{ [['x' * 600000], ['x' * 600000]] }}").0, Code::E0704);
    assert_eq!(value("{{ ('x' * 1000000) | length }}"), json!(1_000_000));
}

#[test]
fn money_prints_compares_sums_and_has_no_other_arithmetic() {
    assert_eq!(value("{{ money('0.01 OGPU') }}"), json!("0.01 OGPU"));
    assert_eq!(value("{{ steps.x.spent > money('0.01 OGPU') }}"), json!(true));
    assert_eq!(value("{{ money('1 gwei') == money('1_000_000_000 wei') }}"), json!(true));
    assert_eq!(value("{{ steps.x.results | sum(attribute='paid') }}"), json!("0.04 OGPU"));
    assert_eq!(value("{{ steps.x.results | map(attribute='paid') | sum }}"), json!("0.04 OGPU"));
    assert_eq!(value("{{ [1, 2] | sum }}"), json!(3));
    assert_eq!(
        value("{{ money('12345678901234567890123 wei') }}"),
        json!("12345.678901234567890123 OGPU")
    );
    for text in
        ["{{ steps.x.spent + 1 }}", "{{ steps.x.spent * 2 }}", "{{ [steps.x.spent, 1] | sum }}"]
    {
        assert_eq!(refused(text).0, Code::E0705, "{text}");
    }
    assert_eq!(refused("{{ money('1') }}"), (Code::E0206, "'1'".into()));
    assert_eq!(refused("{{ money(item.id) }}").0, Code::E0206);
}

#[test]
fn json_goes_in_and_out_by_filters() {
    assert_eq!(value("{{ '{\"a\": [1, null]}' | fromjson }}"), json!({"a": [1, null]}));
    assert_eq!(value("{{ item.map | tojson }}"), json!("{\"k\":1}"));
    assert_eq!(value("{{ [1, '<b>'] | tojson }}"), json!("[1,\"<b>\"]"));
    assert_eq!(value("{{ item.map | tojson(indent=2) }}"), json!("{\n  \"k\": 1\n}"));
    assert_eq!(refused("{{ 'nope' | fromjson }}").0, Code::E0705);
    assert_eq!(refused("{{ item.nope | tojson }}").0, Code::E0702);
    let deep = format!("{{{{ '{}' | fromjson }}}}", "[".repeat(5_000));
    assert_eq!(refused(&deep).0, Code::E0705);
}

#[test]
fn env_is_a_function_only_where_the_scope_has_it() {
    let expression = Expression::compile("env('HOME')").unwrap();
    let paths: Vec<_> = expression.references().iter().map(Reference::dotted).collect();
    assert_eq!(paths, ["env.HOME"]);
    let with = Scope::empty().with_environment(vec![("HOME".into(), "/h".into())]);
    assert_eq!(expression.evaluate(&with).unwrap(), json!("/h"));
    assert!(expression.evaluate(&Scope::empty()).is_err());
    let missing = Expression::compile("env('NOPE') | default('x')").unwrap();
    assert_eq!(missing.evaluate(&with).unwrap(), json!("x"));
}

#[test]
fn a_condition_is_true_or_false_and_nothing_else() {
    let holds = |source: &str| Expression::compile(source).unwrap().holds(&scope());
    assert!(holds("item.n >= 3").unwrap());
    assert!(!holds("item.n > 3 and item.flag").unwrap());
    for source in ["item.n", "item.text", "item.list", "item.none", "''"] {
        assert_eq!(holds(source).unwrap_err().code, Code::E0705, "{source}");
    }
    assert_eq!(holds("item.nope").unwrap_err().code, Code::E0702);
}

#[test]
fn references_are_paths_with_places_and_without_names_set_inside() {
    let text = "{% for x in steps.a.results %}{{ x.k }}{{ loop.index }}{{ item.t['u v'] }}{% endfor %}\
                {% set y = params.n %}{{ y }}{{ inputs.z | default(1) }}{{ other[0].q }}{{ range(3) | list | length }}";
    let template = Template::from_scalar(text, ScalarStyle::Flow).unwrap();
    let found = template.references();
    let seen: Vec<_> = found
        .iter()
        .map(|reference| {
            let marked = &text[reference.span.offset..reference.span.end()];
            (reference.dotted(), marked.to_owned(), reference.optional)
        })
        .collect();
    let expected = [
        ("steps.a.results", "steps.a.results", false),
        ("item.t.u v", "item.t['u v'", false),
        ("params.n", "params.n", false),
        ("inputs.z", "inputs.z", true),
        ("other", "other", false),
    ];
    let expected: Vec<_> =
        expected.map(|(path, marked, optional)| (path.into(), marked.into(), optional)).to_vec();
    assert_eq!(seen, expected);
    let whole = Template::from_scalar("{{ steps.b.count > 0 }}", ScalarStyle::Flow).unwrap();
    assert_eq!(whole.references()[0].parts[1], Span::new(9, 1));
}

#[test]
fn a_tree_is_evaluated_in_place_and_keeps_its_order() {
    let tree = Template::Map(vec![
        ("z".into(), Template::from_scalar("{{ item.n }}", ScalarStyle::Flow).unwrap()),
        ("a".into(), Template::List(vec![Template::Literal(json!(1_000_000))])),
    ]);
    assert!(!tree.is_constant());
    assert_eq!(tree.evaluate(&scope()).unwrap().to_string(), r#"{"z":3,"a":[1000000]}"#);
}

#[test]
fn every_filter_and_test_that_is_offered_exists_in_the_engine() {
    for name in super::engine::FILTERS {
        let source = format!("{name:?} is filter");
        assert!(Expression::compile(&source).unwrap().holds(&Scope::empty()).unwrap(), "{name}");
    }
    for name in super::engine::TESTS {
        let source = format!("{name:?} is test");
        assert!(Expression::compile(&source).unwrap().holds(&Scope::empty()).unwrap(), "{name}");
    }
    for name in super::engine::REMOVED {
        let source = format!("{name:?} is filter");
        assert!(!Expression::compile(&source).unwrap().holds(&Scope::empty()).unwrap(), "{name}");
    }
}

#[test]
fn a_map_with_many_keys_finds_each_of_them() {
    let many: serde_json::Map<String, Value> =
        (0..500).rev().map(|n| (format!("k{n}"), json!(n))).collect();
    let scope = Scope::empty().with("item", Datum::from_json(&Value::Object(many.clone())));
    for n in [0, 1, 77, 499] {
        let whole = Expression::compile(&format!("item.k{n}")).unwrap();
        assert_eq!(whole.evaluate(&scope).unwrap(), json!(n));
    }
    let back = Expression::compile("item").unwrap().evaluate(&scope).unwrap();
    assert_eq!(back.to_string(), Value::Object(many).to_string(), "order is kept");
}

#[test]
fn hostile_sources_neither_panic_nor_hang() {
    for source in [
        "(".repeat(10_000),
        "[".repeat(10_000),
        "not ".repeat(10_000),
        "-".repeat(10_000),
        format!("a{}", ".b".repeat(10_000)),
        "a|lower".repeat(2_000),
        "\u{0}\u{202e}".into(),
        "'".into(),
        "1 if 1 if 1 if".into(),
    ] {
        let error = Expression::compile(&source).unwrap_err();
        assert_eq!(error.code, Code::E0313);
        let error = flow(&format!("{{{{ {source} }}}}")).unwrap_err();
        assert_eq!(error.code, Code::E0313);
    }
    assert!(flow(&"{% if true %}".repeat(5_000)).is_err());
    assert!(flow(&"{% for a in [1] %}".repeat(5_000)).is_err());
    let chain = format!("{{{{ 1{} }}}}", " + 1".repeat(490));
    assert_eq!(value(&chain), json!(491));
}
