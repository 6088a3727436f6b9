//! Rows as CSV: objects flattened, formulas disarmed.

use serde_json::Value;

use super::rows::{ErrorRow, Row};

/// How deep objects become columns; deeper ones, and lists, stay JSON in their cell.
const DEPTH: usize = 4;

/// The columns of a table, learned from its rows before the first is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvColumns {
    item: Vec<String>,
    output: Vec<String>,
}

/// The columns that every result has, behind the flattened ones.
const REST: [&str; 9] =
    ["state", "provider", "task", "response", "tx", "paid_wei", "gas_wei", "ms", "round"];

impl CsvColumns {
    /// Takes the columns of one row in, in the order in which they come up.
    pub fn learn(&mut self, row: &Row) {
        flatten("item", &row.item, 0, &mut |name, _| note(&mut self.item, name));
        flatten("output", &row.output, 0, &mut |name, _| note(&mut self.output, name));
    }

    /// The first line.
    pub fn header(&self) -> String {
        let flat = self.item.iter().chain(&self.output).map(String::as_str);
        record(["key"].into_iter().chain(flat).chain(REST).map(guarded))
    }

    /// The line of one row; a column that it lacks is empty.
    pub fn line(&self, row: &Row) -> String {
        let mut cells = vec![guarded(row.key.as_str())];
        for (root, value, names) in
            [("item", &row.item, &self.item), ("output", &row.output, &self.output)]
        {
            let mut found: Vec<Option<String>> = vec![None; names.len()];
            flatten(root, value, 0, &mut |name, value| {
                if let Some(place) = names.iter().position(|own| *own == name) {
                    found[place] = Some(cell(value));
                }
            });
            cells.extend(found.into_iter().map(Option::unwrap_or_default));
        }
        let text = |value: Option<String>| value.unwrap_or_default();
        cells.extend([
            row.state.to_owned(),
            text(row.provider.map(|id| id.to_string())),
            text(row.task.map(|id| id.to_string())),
            text(row.response.map(|id| id.to_string())),
            text(row.tx.map(|id| id.to_string())),
            row.paid.to_u256().to_string(),
            row.gas.to_u256().to_string(),
            text(row.ms.map(|ms| ms.to_string())),
            row.round.to_string(),
        ]);
        record(cells)
    }
}

/// The first line of the file of failed items.
pub fn errors_header() -> String {
    ["key", "item", "state", "reason", "message", "rounds", "paid_wei", "locked_wei"].join(",")
        + "\n"
}

/// The line of a failed item.
pub fn errors_line(row: &ErrorRow) -> String {
    record([
        guarded(row.key.as_str()),
        cell(&row.item),
        row.state.to_owned(),
        row.reason.to_owned(),
        guarded(&row.message),
        row.rounds.to_string(),
        row.paid.to_u256().to_string(),
        row.locked.to_u256().to_string(),
    ])
}

fn note(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|own| own == name) {
        names.push(name.to_owned());
    }
}

/// Visits the leaves of a value by their path: `output.score`.
fn flatten(path: &str, value: &Value, depth: usize, visit: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Object(fields) if depth < DEPTH && !fields.is_empty() => {
            for (key, value) in fields {
                flatten(&format!("{path}.{key}"), value, depth + 1, visit);
            }
        }
        Value::Object(_)
        | Value::Array(_)
        | Value::String(_)
        | Value::Number(_)
        | Value::Bool(_)
        | Value::Null => visit(path, value),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => guarded(text),
        // A negative number begins with `-` and is still a number, not a formula.
        Value::Number(number) => number.to_string(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Text that a spreadsheet would take for a formula gets a `'` before it.
fn guarded(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn record(cells: impl IntoIterator<Item = String>) -> String {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let written = writer.write_record(cells).map_err(|_| ());
    let bytes = written.and_then(|()| writer.into_inner().map_err(|_| ())).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{ItemKey, Wei};
    use serde_json::json;

    fn row(key: &str, item: Value, output: Value) -> Row {
        Row {
            key: ItemKey::parse(key).unwrap(),
            item,
            output,
            state: "confirmed",
            provider: None,
            task: None,
            response: None,
            tx: None,
            paid: Wei::from_u128(10),
            gas: Wei::ZERO,
            ms: Some(5),
            round: 1,
        }
    }

    #[test]
    fn objects_become_columns_and_rows_without_one_leave_it_empty() {
        let rows = [
            row("a", json!({"id": 1}), json!({"score": 5, "why": {"short": "x"}, "tags": [1, 2]})),
            row("b", json!("plain"), json!({"score": null, "extra": true})),
        ];
        let mut columns = CsvColumns::default();
        rows.iter().for_each(|row| columns.learn(row));
        let rest = "state,provider,task,response,tx,paid_wei,gas_wei,ms,round";
        assert_eq!(
            columns.header(),
            format!(
                "key,item.id,item,output.score,output.why.short,output.tags,output.extra,{rest}\n"
            )
        );
        let lines: String = rows.iter().map(|row| columns.line(row)).collect();
        assert_eq!(
            lines,
            "a,1,,5,x,\"[1,2]\",,confirmed,,,,,10,0,5,1\n\
             b,,plain,,,,true,confirmed,,,,,10,0,5,1\n"
        );
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_disarmed_and_numbers_stay_numbers() {
        let output = json!({
            "a": "=HYPERLINK(\"http://x\")", "b": "+1", "c": "-1", "d": "@x", "e": "\tx",
            "f": "\rx", "g": -1.5, "h": "a=b", "=k": 1,
        });
        let row = row("=cmd", Value::Null, output);
        let mut columns = CsvColumns::default();
        columns.learn(&row);
        assert!(columns.header().contains(",output.=k,"));
        let line = columns.line(&row);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let cells: Vec<String> =
            reader.records().next().unwrap().unwrap().iter().map(str::to_owned).collect();
        assert_eq!(
            cells[..11],
            [
                "'=cmd",
                "",
                "'=HYPERLINK(\"http://x\")",
                "'+1",
                "'-1",
                "'@x",
                "'\tx",
                "'\rx",
                "-1.5",
                "a=b",
                "1"
            ]
        );
    }

    #[test]
    fn a_value_with_quotes_commas_and_breaks_reads_back_as_it_was() {
        let text = "a \"quoted\", line\nbreak, é日本";
        let row = row("k", Value::Null, json!({"t": text}));
        let mut columns = CsvColumns::default();
        columns.learn(&row);
        let table = columns.header() + &columns.line(&row);
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(&record[2], text);
    }

    #[test]
    fn failed_items_have_their_own_table() {
        let failed = ErrorRow {
            key: ItemKey::parse("k").unwrap(),
            item: json!({"a": 1}),
            state: "failed",
            reason: "expired",
            message: "=no response".into(),
            rounds: 2,
            paid: Wei::ZERO,
            locked: Wei::from_u128(7),
        };
        assert_eq!(
            errors_line(&failed),
            "k,\"{\"\"a\"\":1}\",failed,expired,'=no response,2,0,7\n"
        );
        assert_eq!(errors_header().matches(',').count(), 7);
    }
}
