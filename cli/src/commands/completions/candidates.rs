//! What can be proposed of a profile: names of spans, traces, runs, and the words of `--where`.
//!
//! Somebody waits at the prompt, and the profile can have any size and be in any state. So it is read by
//! bounded queries with a deadline; whatever goes wrong, nothing is proposed and nothing is said.
//!
//! A shell puts what is proposed on its line as it is, or nearly: in bash a name such as `$(reboot)` would
//! be run with the line. So only names of plain characters are proposed, whatever the shell would do to
//! quote others.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;
use serde_json::{Map, Value};
use spandrel_query::KEYS;
use spandrel_query::OrderRows as _;
use spandrel_query::sql::{Sql, SqlLimits};

use crate::commands::by::KNOWN;
use crate::commands::sql::Collected;
use crate::output::{Cell, text};
use crate::profile::Wanted;

/// Time for all that is read of a profile.
const TIMEOUT: Duration = Duration::from_millis(50);
/// Words that are proposed at most.
const PROPOSED_MAX: usize = 500;
/// Bytes of a word that is proposed.
const WORD_BYTES_MAX: usize = 100;

const NAMES: &str = "SELECT name, min(target) FROM callsite WHERE kind = 'span'
    GROUP BY name ORDER BY name LIMIT 5000";
const RUNS: &str = "SELECT CAST(id AS TEXT), label FROM run ORDER BY id DESC LIMIT 100";
const TRACES: &str = "SELECT 't' || s.id, c.name
    FROM (SELECT id, parent_id, callsite_id FROM span ORDER BY id DESC LIMIT 2000) AS s
    JOIN callsite AS c ON c.id = s.callsite_id WHERE s.parent_id IS NULL LIMIT 20";
const FIELDS: &str = "SELECT fields, NULL FROM span WHERE fields IS NOT NULL
    AND id > (SELECT max(id) FROM span) - 500 ORDER BY id DESC LIMIT 500";

/// Names of spans, for an argument that takes one.
pub(crate) fn names(current: &OsStr) -> Vec<CompletionCandidate> {
    propose(current, ask(NAMES))
}

/// The latest traces, with the names of their roots.
pub(crate) fn traces(current: &OsStr) -> Vec<CompletionCandidate> {
    propose(current, ask(TRACES))
}

/// Runs: `latest`, numbers, labels.
pub(crate) fn runs(current: &OsStr) -> Vec<CompletionCandidate> {
    let runs = ask(RUNS);
    let fixed = ["latest", "latest~1"].map(|word| (word.to_owned(), None));
    let labels =
        runs.iter().filter_map(|(id, label)| Some((label.clone()?, Some(format!("run {id}")))));
    let labels: Vec<_> = labels.collect();
    propose(current, fixed.into_iter().chain(runs).chain(labels))
}

/// The beginning of a condition: a key, or a field that the last spans have.
pub(crate) fn conditions(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = fields().into_iter().map(|field| field + "=");
    let keys = KEYS.iter().filter(|key| !key.ends_with('.')).map(|key| format!("{key}="));
    let others = ["has:error", "is:root"].map(str::to_owned);
    let all = keys.chain(others).chain(words);
    propose(current, all.map(|word| (word, None)))
}

/// What spans can be grouped by, and the fields that the last spans have.
pub(crate) fn by(current: &OsStr) -> Vec<CompletionCandidate> {
    let known = KNOWN.map(str::to_owned);
    propose(current, known.into_iter().chain(fields()).map(|word| (word, None)))
}

/// The same, and the times by which spans are slow.
pub(crate) fn slow_by(current: &OsStr) -> Vec<CompletionCandidate> {
    let times = ["dur", "self", "busy", "idle", "work"].into_iter().chain(KNOWN).map(str::to_owned);
    propose(current, times.chain(fields()).map(|word| (word, None)))
}

/// `field.shard` for each field that the last spans have.
fn fields() -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (fields, _) in ask(FIELDS) {
        let Ok(fields) = serde_json::from_str::<Map<String, Value>>(&fields) else { continue };
        for key in fields.keys().map(|key| format!("field.{key}")) {
            if words.len() < PROPOSED_MAX && !words.contains(&key) {
                words.push(key);
            }
        }
    }
    words.order_by(Ord::cmp);
    words
}

/// Those that begin with the word typed so far, and that a shell leaves as they are.
fn propose(
    current: &OsStr,
    words: impl IntoIterator<Item = (String, Option<String>)>,
) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let fit = words.into_iter().filter(|(word, _)| word.starts_with(current) && is_plain(word));
    let candidates = fit.take(PROPOSED_MAX).map(|(word, help)| {
        let help = help.map(|help| text::clean(&help).into());
        CompletionCandidate::new(word).help(help)
    });
    candidates.collect()
}

/// Whether a shell leaves the word as it is: neither splits nor interprets it.
fn is_plain(word: &str) -> bool {
    // Of a word of its own, bash splits these off; at the end nothing is split.
    let begin = word.trim_end_matches(['=', ':']);
    let begin = begin.strip_prefix("has:").or(begin.strip_prefix("is:")).unwrap_or(begin);
    let plain = |c: char| c.is_alphanumeric() || "_-./,+".contains(c);
    let begin = begin.strip_prefix("latest~").unwrap_or(begin);
    !begin.is_empty()
        && !begin.starts_with(['-', '+'])
        && word.len() <= WORD_BYTES_MAX
        && begin.chars().all(plain)
}

/// Asks the profile that the command line names for two columns; nothing without a profile.
fn ask(query: &str) -> Vec<(String, Option<String>)> {
    let limits = SqlLimits { timeout: TIMEOUT, bytes_max: Some(4 << 20), ..SqlLimits::default() };
    let db = database(std::env::args_os().skip_while(|word| word != "--").skip(1))
        .or_else(|| std::env::var_os("SPANDREL_DB").map(PathBuf::from));
    let Ok(path) = Wanted::of_file(db).path() else { return Vec::new() };
    let mut found = Collected::default();
    // What was found before the deadline is good enough.
    let _end = Sql::open(path, limits).map(|mut sql| sql.run(query, None, &mut found));
    let text = |row: &[Cell], at: usize| match row.get(at) {
        Some(Cell::Text(text)) => Some(text.clone()),
        _ => None,
    };
    found.rows.iter().filter_map(|row| Some((text(row, 0)?, text(row, 1)))).collect()
}

/// The file that the line names, as the shell has it: not yet expanded, perhaps in quotes.
fn database(line: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let mut words = line.map(|word| word.to_string_lossy().into_owned()).peekable();
    while let Some(word) = words.next() {
        let path = match word.strip_prefix("--db") {
            Some("") => {
                // Bash has the sign as a word of its own.
                words.next_if(|word| word == "=");
                words.next()?
            }
            Some(rest) => rest.strip_prefix('=')?.to_owned(),
            None => continue,
        };
        let path = path.trim_matches(['"', '\'']).replace("\\ ", " ");
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?));
        return match path.strip_prefix("~/") {
            Some(rest) => Some(home()?.join(rest)),
            None => Some(path.into()),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_make_something_of_is_left_out() {
        for word in
            ["db.query", "GET_/cart", "t123", "latest~1", "field.shard=", "has:error", "größe"]
        {
            assert!(is_plain(word), "{word}");
        }
        let long = "x".repeat(WORD_BYTES_MAX + 1);
        for word in [
            "",
            "=",
            "a b",
            "$(x)",
            "`x`",
            "a;b",
            "a|b",
            "a&b",
            "a>b",
            "*",
            "a?",
            "[a]",
            "{a,b}",
            "~",
            "!x",
            "'",
            "\"",
            "\\",
            "#a",
            "-rf",
            "+x",
            "a:b",
            "a=b",
            "a\nb",
            "\u{1b}[31m",
            "a\u{202e}b",
            "a\0",
            &long,
        ] {
            assert!(!is_plain(word), "{word:?}");
        }
    }

    #[test]
    fn the_file_of_a_line_is_found() {
        let of = |words: &[&str]| database(words.iter().map(OsString::from));
        for words in [
            &["spandrel", "slow", "--db", "a b.db", ""][..],
            &["spandrel", "--db=a b.db", "slow"],
            &["spandrel", "--db", "=", "a b.db"],
            &["spandrel", "--db", "'a b.db'"],
            &["spandrel", "--db", "a\\ b.db"],
        ] {
            assert_eq!(of(words), Some("a b.db".into()), "{words:?}");
        }
        assert_eq!(of(&["spandrel", "slow"]), None);
        assert_eq!(of(&["spandrel", "--db"]), None);
    }
}
