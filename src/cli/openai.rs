//! Rows in the form of `OpenAI` batch outputs.

use serde_json::{Value, json};

use crate::report::rows::json_line;
use crate::report::{ErrorRow, Row};

/// What an HTTP server says when all is well.
const OK: u16 = 200;

/// The line of an accepted output.
pub fn line(row: &Row) -> String {
    json_line(&json!({
        "id": row.response.map(|id| id.to_string()),
        "custom_id": row.key,
        "response": {
            "status_code": OK,
            "request_id": row.task.map(|id| id.to_string()),
            "body": row.output,
        },
        "error": Value::Null,
    }))
}

/// The line of a failed item.
pub fn error_line(row: &ErrorRow) -> String {
    json_line(&json!({
        "id": Value::Null,
        "custom_id": row.key,
        "response": Value::Null,
        "error": {"code": row.reason, "message": row.message},
    }))
}
