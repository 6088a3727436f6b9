//! Item files and template inputs that are wrong: named by row, column and field.

use crate::support::{Project, ROWS};

/// Runs the rows pipeline over these bytes, which has to be refused.
#[track_caller]
fn refused(csv: impl AsRef<[u8]>, code: &str, parts: &[&str]) {
    let project = Project::with(ROWS);
    project.write("rows.csv", csv);
    project.run(&["run"]).exits(3).says(&[code]).says(parts);
    project.spent_nothing();
}

/// The keys of the outputs of a run over these bytes.
#[track_caller]
fn keys(csv: impl AsRef<[u8]>) -> Vec<String> {
    let project = Project::with(ROWS);
    project.write("rows.csv", csv);
    project.run(&["run"]).exits(0);
    let results = project.run(&["results", "--fields", "key"]).exits(0).lines();
    results.iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_duplicate_key_names_both_rows() {
    refused("id,text\na,1\nb,2\na,3\n", "E0306", &["`a` in rows 2 and 4 of rows.csv"]);
}

#[test]
fn a_ragged_row_is_named() {
    refused("id,text\na,1\nb\n", "E0307", &["row 3 of rows.csv has 1 cell", "p.yaml:8:22"]);
}

#[test]
fn no_file_at_all() {
    let project = Project::with(ROWS);
    project.run(&["run"]).exits(3).says(&["E0307", "there is no file `rows.csv`"]);
    project.spent_nothing();
}

#[test]
fn a_file_outside_of_the_project() {
    let project = Project::with(&ROWS.replace("rows.csv", "../../rows.csv"));
    project.run(&["run"]).exits(3).says(&["E0504"]);
}

#[test]
fn a_byte_order_mark_crlf_and_quoted_line_breaks_are_read() {
    assert_eq!(keys("\u{feff}id,text\r\na,\"1\r\n2\"\r\nb,\"x, \"\"y\"\"\"\r\n"), ["a", "b"]);
}

#[test]
fn a_header_only_is_a_step_without_items_that_is_skipped_and_costs_nothing() {
    for csv in ["id,text\n", "id,text", "\u{feff}id,text\r\n\r\n"] {
        let project = Project::with(ROWS);
        project.write("rows.csv", csv);
        let ran = project.run(&["run"]).exits(0).says(&["has no items", "each skipped"]);
        assert!(ran.stdout.starts_with(" DONE "), "{}", ran.stdout);
        assert_eq!(project.run(&["results"]).exits(0).stdout, "");
        let vault = project.run(&["vault", "status", "--json"]).exits(0).json();
        let million = "1000000000000000000000000";
        assert_eq!(
            (&vault["vault_free_wei"], &vault["wallet_wei"]),
            (&million.into(), &million.into())
        );
    }
}

#[test]
fn an_empty_key_is_refused() {
    refused("id,text\n,1\n", "E0309", &["rows.csv"]);
}

#[test]
fn a_wrong_template_input_names_its_row_and_field() {
    let project = Project::with(
        "version: 1\nname: t\nsteps:\n  each:\n    uses: ./templates/t.yaml\n    source: builtin:echo\n    \
         payment: 0.001 OGPU\n    foreach: { file: rows.csv, key: id, types: { n: integer } }\n    \
         with: { n: \"{{ item.n }}\" }\n",
    );
    project.write(
        "templates/t.yaml",
        "version: 1\nkind: template\nname: t\ninputs:\n  n: { type: integer, maximum: 5 }\n\
         task:\n  function: echo\n  data: { n: \"{{ inputs.n }}\" }\n",
    );
    project.write("rows.csv", "id,n\na,1\nb,7\n");
    project.run(&["run"]).exits(3).says(&[
        "E0311",
        "row 3 of rows.csv, column `n`",
        "input `n` of template `t`",
    ]);
    project.spent_nothing();
    project.write("rows.csv", "id,n\na,1\nb,x\n");
    project.run(&["run"]).exits(3).says(&[
        "E0308",
        "row 3 of rows.csv, column `n`",
        "`x` is not an integer",
        "under `types`",
    ]);
}

#[test]
fn items_keep_their_order_and_each_is_there_once() {
    let csv = crate::support::rows(60);
    let expected: Vec<String> = (0..60).map(|at| format!("r-{at}")).collect();
    assert_eq!(keys(csv), expected);
}
