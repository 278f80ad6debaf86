//! Pages that say what a module's documentation says, and the one that is the schema.

use std::fs;

use crate::{fresh, pages};

/// The documentation of a module, as Markdown.
fn module_docs(file: &str) -> String {
    let text = fs::read_to_string(pages::repository().join(file)).unwrap();
    let docs = text.lines().map_while(|line| line.strip_prefix("//!"));
    let docs: Vec<&str> = docs.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    assert!(docs.len() > 5, "{file} has no documentation to speak of");
    docs.join("\n")
}

fn language(page: &str, title: &str, file: &str, before: &str, after: &str) {
    let text = format!(
        "<!-- Made of {file} by cli/tests/book. Change that. -->\n\n# {title}\n\n{before}\n\n{}\n\n{after}\n",
        module_docs(file)
    );
    fresh::check(&pages::source().join(page), &text);
}

#[test]
fn book_filters_are_those_of_the_code() {
    language(
        "reference/where.md",
        "Filters: --where",
        "query/src/filter/mod.rs",
        "`-w EXPR`, on each command that looks at spans. In a shell, put single quotes around it.",
        "See also: [time ranges](time.md), which are quicker than `start>=...`, and \
         [recipes](../howto/sql.md) for what filters cannot say.",
    );
    let page = fs::read_to_string(pages::source().join("reference/where.md")).unwrap();
    for key in spandrel_query::KEYS {
        let is_named = page.contains(&format!("`{key}")) || page.contains(&format!("parent={key}"));
        assert!(is_named, "the documentation of filters does not name {key}");
    }
}

#[test]
fn book_times_are_those_of_the_code() {
    language(
        "reference/time.md",
        "Times: --since, --until, --between",
        "query/src/time/mod.rs",
        "A span belongs to a range if it *started* in it: at the first moment or later, and before the last.",
        "See also: [marks and sections](../howto/marks.md).",
    );
}

#[test]
fn book_runs_are_those_of_the_code() {
    language(
        "reference/runs.md",
        "Runs: --run",
        "query/src/run_selector.rs",
        "A file holds one run for each recording. `spandrel runs` lists them.",
        "`diff` and `check` take several runs by comma, `*` for all, and `FILE:RUNS` for another file: \
         see [comparing](../tutorials/gate.md).",
    );
}

#[test]
fn book_schema_is_that_of_the_code() {
    let file = "storage/src/schema.sql";
    let sql = fs::read_to_string(pages::repository().join(file)).unwrap();
    let mut page = format!(
        "<!-- Made of {file} by cli/tests/book. Change that. -->\n\n# The schema\n\n\
         The tables and views of a profile, as they are made. Names, units and meanings are a contract;\n\
         `PRAGMA user_version` says which version a file has. How to ask: [SQL](../howto/sql.md).\n\n\
         Tables: {}.\n\nViews: {}.\n",
        names(&sql, "CREATE TABLE "),
        names(&sql, "CREATE VIEW "),
    );
    page.push_str(&format!("\n```sql\n{}\n```\n", sql.trim_end()));
    fresh::check(&pages::source().join("reference/schema.md"), &page);
}

fn names(sql: &str, made_by: &str) -> String {
    let names = sql.lines().filter_map(|line| line.strip_prefix(made_by)?.split([' ', '(']).next());
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    assert!(names.len() > 3, "{made_by}: {names:?}");
    names.join(", ")
}
