//! What is said about the keys of a step, one by one.

use super::*;

const STEP_KEYS: &[(&str, Expected)] = &[
    ("expires: -30m", ("E0207", 9, 14, "-30m", "Expiry time must be in the future")),
    ("expires: 5", ("E0207", 9, 14, "5", "write a duration")),
    ("expires: mediun", ("E0207", 9, 14, "mediun", "did you mean `medium`?")),
    ("complexity: hard", ("E0210", 9, 17, "hard", "allowed are `simple`")),
    ("foreach: { file: data/none.csv }", ("E0307", 9, 22, "data/none.csv", "there is no file")),
    ("foreach: { file: ../../x.csv }", ("E0504", 9, 22, "../../x.csv", "outside of the project")),
    ("foreach: { file: data/r.csv, key: di }", ("E0303", 9, 39, "di", "did you mean `id`?")),
    (
        "foreach: { file: data/r.csv, types: { star: integer } }",
        ("E0303", 9, 43, "star", "did you mean `stars`?"),
    ),
    ("foreach: { file: data/r.csv, types: { stars: int } }", ("E0210", 9, 50, "int", "`integer`")),
    ("foreach: { file: data/r.csv, limit: -1 }", ("E0208", 9, 41, "-1", "0 or more")),
    ("foreach: { file: data/r.bin }", ("E0210", 9, 22, "data/r.bin", "format:")),
    ("foreach: { file: data/r.parquet }", ("E0214", 9, 22, "data/r.parquet", "not supported yet")),
    ("foreach: { key: id }", ("E0204", 9, 14, "{ key: id }", "file")),
    ("filter: item.x > 1", ("E0203", 9, 5, "filter", "needs `foreach`")),
    ("max_items: 5", ("E0203", 9, 5, "max_items", "needs `foreach`")),
    ("foreach: \"{{ steps.a.results }}\"", ("E0313", 9, 15, "{{", "without `{{`")),
    ("foreach: steps.b.results", ("E0301", 9, 20, "b", "there is no step `b`")),
    ("concurrency: 0", ("E0208", 9, 18, "0", "1 or more")),
    ("concurrency: 1_000", ("E0202", 9, 18, "1_000", "whole number")),
    ("concurrency: 010", ("E0202", 9, 18, "010", "starts with 0")),
    ("concurrency: \"5\"", ("E0202", 9, 18, "\"5\"", "whole number")),
    ("allow_failures: 101%", ("E0208", 9, 21, "101%", "0 to 100")),
    ("allow_failures: some", ("E0202", 9, 21, "some", "whole number")),
    ("on_partial: null", ("E0210", 9, 17, "null", "`keep`")),
    ("if: params.n > 1", ("E0302", 9, 16, "n", "none is declared")),
    ("if: \"{{ true }}\"", ("E0313", 9, 10, "{{", "without")),
    ("if: 1 +", ("E0313", 9, 9, "", "")),
    ("needs: [b]", ("E0301", 9, 13, "b", "there is no step `b`")),
    ("needs: b", ("E0202", 9, 12, "b", "a list")),
    ("save: ../out.jsonl", ("E0504", 9, 11, "../out.jsonl", "outside")),
    ("save: { file: out/x.csv, format: xls }", ("E0210", 9, 38, "xls", "allowed are `jsonl`")),
    ("save: \"out/{{ steps.a.count }}.csv\"", ("E0503", 9, 19, "steps.a.count", "output")),
    ("retry: { max: 11 }", ("E0208", 9, 19, "11", "from 0 to 10")),
    ("retry: { after: [tie] }", ("E0214", 9, 22, "tie", "not supported yet")),
    ("retry: { after: [never] }", ("E0210", 9, 22, "never", "`expired`")),
    ("retry: { raise: 20 }", ("E0208", 9, 21, "20", "write a percent")),
    ("retry: { backoff: { jitter: 2 } }", ("E0208", 9, 33, "2", "from 0 to 1")),
    ("accept: { schema: { type: objct } }", ("E0212", 9, 23, "{ type: objct }", "JSON Schema")),
    ("accept: { schema: none.json }", ("E0307", 9, 23, "none.json", "there is no file")),
    ("accept: { when: [outptu.x > 1] }", ("E0302", 9, 22, "outptu", "did you mean `output`?")),
    ("accept: { when: [steps.a.count > 1] }", ("E0314", 9, 22, "steps", "visible here")),
    ("with: { x: 1 }", ("E0203", 9, 5, "with", "uses")),
    ("extra: { data: 1 }", ("E0203", 9, 14, "data", "already")),
    ("description: 5", ("E0202", 9, 18, "5", "quotes")),
    ("payement: 1 OGPU", ("E0201", 9, 5, "payement", "did you mean `payment`?")),
];

#[test]
fn keys_of_a_step_are_checked_one_by_one() {
    for (key, expected) in STEP_KEYS {
        let text = step_with(&format!("    {key}\n"));
        if expected.4.is_empty() {
            let (_, problems) = checked(&text, &rows());
            assert_eq!(problems[0].code.as_str(), expected.0, "{key}");
            continue;
        }
        assert_told(&text, &rows(), &[*expected]);
    }
}
