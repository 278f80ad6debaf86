//! The language for selecting a run.
//!
//! | text | run |
//! |---|---|
//! | `latest`, nothing | the one that began last |
//! | `latest~1` | the one before it, and so on |
//! | `7` | the one with this number |
//! | `cart load`, `label:7` | the newest with this label; the prefix keeps it from being a number |
//! | `3f2a9c`, `uuid:3f2a9c` | the one whose uuid begins so, with six digits at least |
//!
//! A text that could be several of them is the first that the file has: number, label, uuid.

use std::error;
use std::fmt;
use std::str::FromStr;

use crate::order_rows::OrderRows as _;
use crate::reader::Run;
use spandrel_storage::nearest;

/// Fewer digits are no uuid but a label.
const UUID_DIGITS_MIN: usize = 6;

/// Labels that a message lists at most.
const LABELS_NAMED_MAX: usize = 5;

/// A parsed selector of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunSelector {
    /// The run that began last, or one some runs before it.
    Latest {
        /// How many runs back.
        back: usize,
    },
    /// A number, a label or the beginning of a uuid, whichever the file has.
    Any(String),
    /// The newest of this label.
    Label(String),
    /// The one whose uuid begins so, in lower case.
    Uuid(String),
}

/// A run that was not understood, or that the file does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSelectorError(String);

impl fmt::Display for RunSelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for RunSelectorError {}

fn fail<T>(message: impl Into<String>) -> Result<T, RunSelectorError> {
    Err(RunSelectorError(message.into()))
}

impl RunSelector {
    /// Parses a text; an empty one selects the latest run.
    ///
    /// # Errors
    ///
    /// A prefix with nothing useful behind it.
    pub fn parse(text: &str) -> Result<Self, RunSelectorError> {
        let text = text.trim();
        if text.is_empty() || text == "latest" {
            return Ok(Self::Latest { back: 0 });
        }
        if let Some(back) = text.strip_prefix("latest~") {
            let digits = back.bytes().all(|byte| byte.is_ascii_digit());
            return match back.parse() {
                Ok(back) if digits => Ok(Self::Latest { back }),
                _ => fail(format!(
                    "{text:?} is no run; write latest~1 for the one before the latest"
                )),
            };
        }
        if let Some(label) = text.strip_prefix("label:") {
            if label.is_empty() {
                return fail("the label of the run is missing; write label:LABEL");
            }
            return Ok(Self::Label(label.to_owned()));
        }
        if let Some(uuid) = text.strip_prefix("uuid:") {
            return match uuid_prefix(uuid) {
                Some(uuid) => Ok(Self::Uuid(uuid)),
                None => fail(format!(
                    "{uuid:?} is no beginning of a uuid; write {UUID_DIGITS_MIN} hexadecimal \
                     digits or more"
                )),
            };
        }
        Ok(Self::Any(text.to_owned()))
    }

    /// The selected run, among all runs of a file.
    ///
    /// # Errors
    ///
    /// When there is no such run, or no run at all, or several begin with the digits of a uuid.
    pub fn resolve<'a>(&self, runs: &'a [Run]) -> Result<&'a Run, RunSelectorError> {
        if runs.is_empty() {
            return fail(
                "the file holds no run; record one with `spandrel record -- PROGRAM`, or start a \
                 program that holds the profiler",
            );
        }
        match self {
            Self::Latest { back } => latest(runs, *back),
            Self::Label(label) => {
                newest_labelled(runs, label).map_or_else(|| unknown(runs, label), Ok)
            }
            Self::Uuid(prefix) => by_uuid(runs, prefix)?.map_or_else(|| unknown(runs, prefix), Ok),
            Self::Any(text) => {
                let number = text.parse::<i64>().ok();
                let numbered = number.and_then(|id| runs.iter().find(|run| run.id == id));
                if let Some(run) = numbered.or_else(|| newest_labelled(runs, text)) {
                    return Ok(run);
                }
                let by_uuid = match uuid_prefix(text) {
                    Some(prefix) => by_uuid(runs, &prefix)?,
                    None => None,
                };
                by_uuid.map_or_else(|| unknown(runs, text), Ok)
            }
        }
    }
}

fn latest(runs: &[Run], back: usize) -> Result<&Run, RunSelectorError> {
    let mut newest_first: Vec<&Run> = runs.iter().collect();
    newest_first.order_by_key(|run| std::cmp::Reverse(run.id));
    match newest_first.get(back) {
        Some(run) => Ok(run),
        None => fail(format!(
            "there is no run latest~{back}; the file holds {}, the oldest is latest~{}",
            count(runs.len()),
            runs.len() - 1
        )),
    }
}

fn newest_labelled<'a>(runs: &'a [Run], label: &str) -> Option<&'a Run> {
    runs.iter().filter(|run| run.info.label.as_deref() == Some(label)).max_by_key(|run| run.id)
}

fn by_uuid<'a>(runs: &'a [Run], prefix: &str) -> Result<Option<&'a Run>, RunSelectorError> {
    let mut found = runs.iter().filter(|run| run.info.uuid.starts_with(prefix));
    let first = found.next();
    if let (Some(first), Some(second)) = (first, found.next()) {
        return fail(format!(
            "the uuids of several runs begin with {prefix:?}, such as {} and {}; write more digits \
             or the number of the run",
            first.id, second.id
        ));
    }
    Ok(first)
}

/// Six hexadecimal digits or more, in lower case; hyphens are left out, as runs have none.
fn uuid_prefix(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
    let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hexadecimal && digits.len() >= UUID_DIGITS_MIN).then_some(digits)
}

fn unknown<'a>(runs: &[Run], text: &str) -> Result<&'a Run, RunSelectorError> {
    let labels = || runs.iter().rev().filter_map(|run| run.info.label.as_deref());
    let mut named = nearest(text, labels(), LABELS_NAMED_MAX);
    let is_similar = !named.is_empty();
    for label in labels() {
        if !is_similar && named.len() < LABELS_NAMED_MAX && !named.contains(&label) {
            named.push(label);
        }
    }
    let ids = runs.iter().map(|run| run.id);
    let (first, last) = (ids.clone().min().unwrap_or(0), ids.max().unwrap_or(0));
    let known = match first == last {
        true => format!("the file holds run {first} only"),
        false => format!("the file holds {}, {first} to {last}", count(runs.len())),
    };
    let named: Vec<_> = named.iter().map(|label| format!("{label:?}")).collect();
    let named = named.join(", ");
    fail(match (is_similar, named.is_empty()) {
        (true, _) => format!("there is no run {text:?}; did you mean {named}? {known}"),
        (false, true) => format!("there is no run {text:?}; {known}, without labels"),
        (false, false) => format!("there is no run {text:?}; {known}, with the labels {named}"),
    })
}

fn count(runs: usize) -> String {
    if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") }
}

impl Default for RunSelector {
    fn default() -> Self {
        Self::Latest { back: 0 }
    }
}

impl FromStr for RunSelector {
    type Err = RunSelectorError;

    fn from_str(text: &str) -> Result<Self, RunSelectorError> {
        Self::parse(text)
    }
}

/// A text that is understood as the same run.
impl fmt::Display for RunSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest { back: 0 } => f.write_str("latest"),
            Self::Latest { back } => write!(f, "latest~{back}"),
            Self::Any(text) => f.write_str(text),
            Self::Label(label) => write!(f, "label:{label}"),
            Self::Uuid(uuid) => write!(f, "uuid:{uuid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use spandrel_storage::RunInfo;

    fn run(id: i64, uuid: &str, label: Option<&str>) -> Run {
        let label = label.map(str::to_owned);
        Run {
            id,
            info: RunInfo { uuid: uuid.to_owned(), label, ..RunInfo::default() },
            ended_unix_ns: None,
            report: None,
            first_id: 1,
            last_id: 1,
            last_ns: 0,
            told_ns: 0,
            spans: 0,
            unfinished: 0,
            events: 0,
            links: 0,
            entries: 0,
            dropped_entries: 0,
            pruned_entries: 0,
            dropped_spans: 0,
            dropped_events: 0,
            pruned_spans: 0,
            pruned_events: 0,
            is_contradicted: false,
        }
    }

    fn runs() -> Vec<Run> {
        vec![
            run(3, "aaaaaa01", Some("cart load")),
            run(4, "aaaaaa02", Some("7")),
            run(6, "bbbbbb03", Some("cart load")),
            run(7, "cccccc04", None),
            run(9, "dddddd05", Some("bbbbbb03")),
        ]
    }

    fn resolve(text: &str) -> Result<i64, String> {
        let runs = runs();
        let selector = RunSelector::parse(text).map_err(|error| error.to_string())?;
        selector.resolve(&runs).map(|run| run.id).map_err(|error| error.to_string())
    }

    #[test]
    fn runs_that_there_are() {
        for (text, id) in [
            ("", 9),
            ("latest", 9),
            ("latest~0", 9),
            ("latest~1", 7),
            ("latest~4", 3),
            ("3", 3),
            ("7", 7),
            ("label:7", 4),
            ("cart load", 6),
            ("cccccc", 7),
            ("CCCCCC-04", 7),
            ("bbbbbb03", 9),
            ("uuid:bbbbbb03", 6),
        ] {
            assert_eq!(resolve(text), Ok(id), "{text:?}");
        }
    }

    #[test]
    fn runs_that_there_are_not() {
        for (text, message) in [
            ("latest~5", "there is no run latest~5; the file holds 5 runs, the oldest is latest~4"),
            ("latest~x", r#""latest~x" is no run; write latest~1 for the one before the latest"#),
            (
                "cart laod",
                concat!(
                    r#"there is no run "cart laod"; did you mean "cart load"? "#,
                    "the file holds 5 runs, 3 to 9"
                ),
            ),
            (
                "8",
                concat!(
                    r#"there is no run "8"; the file holds 5 runs, 3 to 9, "#,
                    r#"with the labels "bbbbbb03", "cart load", "7""#
                ),
            ),
            (
                "aaaaaa",
                concat!(
                    r#"the uuids of several runs begin with "aaaaaa", such as 3 and 4; "#,
                    "write more digits or the number of the run"
                ),
            ),
            ("label:", "the label of the run is missing; write label:LABEL"),
            ("uuid:ccc", r#""ccc" is no beginning of a uuid; write 6 hexadecimal digits or more"#),
        ] {
            assert_eq!(resolve(text), Err(message.to_owned()), "{text:?}");
        }
        assert!(resolve("ccccc").is_err(), "five digits are not enough");
    }

    #[test]
    fn an_empty_file_says_how_to_record() {
        let error = RunSelector::default().resolve(&[]).unwrap_err().to_string();
        assert!(error.contains("`spandrel record -- PROGRAM`"), "{error}");
    }

    #[test]
    fn one_run_without_a_label() {
        let runs = [run(1, "aaaaaa", None)];
        let error = RunSelector::parse("x").unwrap().resolve(&runs).unwrap_err().to_string();
        assert_eq!(error, r#"there is no run "x"; the file holds run 1 only, without labels"#);
    }

    proptest! {
        #[test]
        fn any_text_is_understood_or_refused(
            text in "\\PC{0,16}|(latest~|label:|uuid:)[0-9a-g~ ]{0,9}"
        ) {
            if let Ok(selector) = RunSelector::parse(&text) {
                prop_assert_eq!(RunSelector::parse(&selector.to_string()), Ok(selector.clone()));
                let _ = selector.resolve(&runs());
            }
        }
    }
}
