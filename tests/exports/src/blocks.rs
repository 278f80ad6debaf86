//! The fenced blocks of a page, and what the page says that they print.

/// A block that is run.
#[derive(Debug, Clone)]
pub struct Block {
    /// Where it begins, from 1.
    pub line: usize,
    /// What stands behind the fence: the language, and what runs it.
    pub info: String,
    pub body: String,
    /// The lines of the `text` block that follows, as a range of those of the page.
    pub says: Option<std::ops::Range<usize>>,
}

/// What `pages.py` runs. A `text` block belongs to the one before it.
const RUN: [&str; 6] = ["python", "sh", "sql", "sql,duckdb", "sql,clickhouse", "sql,grafana"];

/// The blocks of a page in order, or those that nothing would run, or that nothing prints. Consoles and
/// files for them belong to the tests of the book.
pub fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let lines: Vec<&str> = page.lines().collect();
    let (mut blocks, mut at) = (Vec::<Block>::new(), 0);
    // Whether a `text` block at this place is what the last block prints.
    let mut follows = false;
    while at < lines.len() {
        let Some(info) = lines[at].trim_start().strip_prefix("```") else {
            follows &= lines[at].is_empty();
            at += 1;
            continue;
        };
        let end = (at + 1..lines.len())
            .find(|end| lines[*end].trim_start().starts_with("```"))
            .ok_or(format!("line {}: a block without an end", at + 1))?;
        let is_run = RUN.contains(&info) || info.starts_with("yaml,file=");
        match info {
            "text" if follows => {
                blocks.last_mut().expect("there is one").says = Some(at + 1..end);
            }
            _ if is_run => {
                let body = lines[at + 1..end].join("\n") + "\n";
                blocks.push(Block { line: at + 1, info: info.to_owned(), body, says: None });
            }
            "console" | "console,varies" => {}
            _ => return Err(format!("line {}: nothing runs a block of `{info}`", at + 1)),
        }
        follows = is_run;
        at = end + 1;
    }
    Ok(blocks)
}

/// Whether this is what the page says, where a line `...` stands for any.
pub fn fits(says: &[&str], printed: &[&str]) -> bool {
    match says.split_first() {
        None => printed.is_empty(),
        Some((&"...", rest)) => (0..=printed.len()).any(|from| fits(rest, &printed[from..])),
        Some((first, rest)) => printed.first() == Some(first) && fits(rest, &printed[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_that_are_run_with_what_they_print() {
        let page = "# A\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n\n```sh\ntrue\n```\n";
        let found = blocks(page).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[0].body.as_str()), (3, "print(1)\n"));
        assert_eq!((found[0].says.clone(), found[1].says.clone()), (Some(7..8), None));
    }

    #[test]
    fn a_block_that_nothing_runs_is_a_fault() {
        for escaped in [
            "```\nx\n```\n",
            "```bash\ntrue\n```\n",
            "```sql,oracle\nSELECT 1\n```\n",
            "  ```js\n1\n  ```\n",
            "```python\n1\n",
            "```text\nnobody prints this\n```\n",
            "```python\n1\n```\n\nIt says what is said elsewhere.\n\n```text\n1\n```\n",
            "```sh\ntrue\n```\n\n```text\n1\n```\n\n```text\n2\n```\n",
        ] {
            assert!(blocks(escaped).is_err(), "{escaped}");
        }
    }

    #[test]
    fn what_is_printed_is_compared_line_by_line() {
        assert!(fits(&["a", "...", "d"], &["a", "b", "c", "d"]));
        assert!(fits(&["..."], &[]));
        assert!(!fits(&["a", "b"], &["a", "c"]));
        assert!(!fits(&["a"], &["a", "b"]));
        assert!(!fits(&["a", "b"], &["a"]));
    }
}
