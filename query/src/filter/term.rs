//! One term of a filter.

use super::super::SpanRef;
use super::super::duration::parse_duration_ns;
use super::error::Fault;
use super::field::FieldTest;
use super::field_path::FieldPath;
use super::key::{KEYS, Notation, NumberKey, TextKey, level_rank};
use super::lexer::Value;
use super::operator::Operator;
use super::pattern::Pattern;
use super::search::Search;
use super::trace_ids::TraceIds;
use spandrel_storage::Status;
use spandrel_storage::nearest;

/// What follows `is:` and `has:`.
const IS: [&str; 6] = ["root", "ok", "error", "panicked", "unfinished", "crashed"];
const HAS: [&str; 5] = ["error", "fields", "parent", "trace_id", "field."];

const STATUSES: [Status; 5] =
    [Status::Ok, Status::Error, Status::Panicked, Status::Unfinished, Status::Crashed];

/// A parsed term, and its text.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) source: String,
    pub(super) test: Test,
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    Text { key: TextKey, how: TextTest, negative: bool },
    Level { operator: Operator, rank: u8 },
    Number { key: NumberKey, operator: Operator, value: i128 },
    Status { status: Status, negative: bool },
    Failed,
    Root,
    HasParent,
    HasFields,
    HasField(FieldPath),
    Field(FieldPath, FieldTest),
    TraceId { ids: TraceIds, negative: bool },
    HasTraceId,
}

#[derive(Debug, Clone)]
pub(super) enum TextTest {
    Pattern(Pattern),
    Search(Search),
}

impl Term {
    /// A text on its own, or a term with `has:` or `is:`.
    pub(super) fn of_text(value: &Value<'_>) -> Result<Self, Fault> {
        let plain = if value.quoted { "" } else { value.raw };
        let test = if let Some(what) = plain.strip_prefix("has:") {
            has(what, value)?
        } else if let Some(what) = plain.strip_prefix("is:") {
            is(what, value)?
        } else {
            let how = TextTest::Pattern(Pattern::part(value)?);
            Test::Text { key: TextKey::Name, how, negative: false }
        };
        Ok(Self { source: source(value), test })
    }

    pub(super) fn of_comparison(
        key: &str,
        key_at: usize,
        operator: Operator,
        value: &Value<'_>,
    ) -> Result<Self, Fault> {
        let key_span = key_at..key_at + key.len();
        let test = if let Some(path) = key.strip_prefix("field.") {
            let name = Value { raw: path, quoted: false, span: key_span };
            Test::Field(FieldPath::parse(&name)?, FieldTest::new(operator, value)?)
        } else if let Some(text) = TextKey::named(key) {
            let fault =
                || Fault::new(key_span, format!("`{key}` is text, which has no order here"));
            if operator.is_order() {
                return Err(fault().hint("it can be compared with = != ~ !~"));
            }
            let how = if operator.is_search() {
                TextTest::Search(Search::new(value)?)
            } else {
                TextTest::Pattern(Pattern::whole(value)?)
            };
            Test::Text { key: text, how, negative: operator.is_negative() }
        } else if let Some(number) = NumberKey::named(key) {
            refuse_search(key, operator, value)?;
            Test::Number { key: number, operator, value: read_number(key, number, value)? }
        } else if key == "level" {
            refuse_search(key, operator, value)?;
            Test::Level { operator, rank: read_level(value)? }
        } else if key == "status" {
            status(operator, value)?
        } else if key == "trace_id" {
            trace_id(operator, value)?
        } else {
            return Err(unknown_key(key, Fault::new(key_span, format!("unknown key `{key}`"))));
        };
        // Together they would be another operator.
        let apart = !value.quoted && value.raw.starts_with(['=', '!', '<', '>', '~']);
        let gap = if apart { " " } else { "" };
        Ok(Self { source: format!("{key}{}{gap}{}", operator.as_str(), source(value)), test })
    }

    /// `longest>=10ms`.
    pub(super) fn longest_from(ns: i64) -> Self {
        let (key, operator) = (NumberKey::Longest, Operator::GreaterOrEqual);
        let test = Test::Number { key, operator, value: i128::from(ns) };
        Self { source: format!("longest>={ns}ns"), test }
    }

    pub(super) fn matches(&self, span: &SpanRef<'_>) -> bool {
        match &self.test {
            Test::Text { key, how, negative } => key.with(span, |text| {
                let found = match how {
                    TextTest::Pattern(pattern) => pattern.matches(text),
                    TextTest::Search(search) => search.is_match(text),
                };
                found != *negative
            }),
            Test::Level { operator, rank } => level_rank(&span.callsite.level)
                .is_some_and(|level| operator.holds(level.cmp(rank))),
            Test::Number { key, operator, value } => {
                key.of(span).is_some_and(|number| operator.holds(number.cmp(value)))
            }
            Test::Status { status, negative } => (span.status == *status) != *negative,
            Test::Failed => matches!(span.status, Status::Error | Status::Panicked),
            Test::Root => span.parent_id.is_none(),
            Test::HasParent => span.parent_id.is_some(),
            Test::HasFields => span.fields.is_some_and(|fields| !is_empty_object(fields)),
            Test::HasField(path) => span.fields.and_then(|fields| path.find(fields)).is_some(),
            Test::Field(path, test) => span
                .fields
                .and_then(|fields| path.find(fields))
                .is_some_and(|found| test.holds(&found)),
            Test::TraceId { ids, negative } => {
                span.context.is_some_and(|context| ids.contains(context.trace_id) != *negative)
            }
            Test::HasTraceId => span.context.is_some(),
        }
    }

    /// Whether it looks at the fields, or at what is read together with them.
    pub(super) fn needs_fields(&self) -> bool {
        matches!(self.test, Test::HasFields | Test::HasField(_) | Test::Field(..))
            || self.is_of_context()
    }

    /// Whether it looks at how other systems know a span.
    pub(super) fn is_of_context(&self) -> bool {
        matches!(self.test, Test::TraceId { .. } | Test::HasTraceId)
    }

    pub(super) fn needs_thread(&self) -> bool {
        matches!(self.test, Test::Text { key: TextKey::Thread, .. })
    }

    /// Whether it tests what each entry has of its own, so that it cannot hold for entries without rows.
    pub(super) fn is_of_call(&self) -> bool {
        let is_of_number = matches!(&self.test, Test::Number { key, .. } if key.is_of_call());
        is_of_number || self.needs_thread()
    }

    /// Whether it looks at what an entry has from its span, beyond the callsite.
    pub(super) fn is_of_owner(&self) -> bool {
        match &self.test {
            Test::Number { key: NumberKey::Id, .. } => false,
            _ => !self.is_of_callsite() && !self.is_of_call(),
        }
    }

    /// Whether it looks at entries, or at the thread, which is that of the longest entry.
    pub(super) fn needs_entries(&self) -> bool {
        let of_entries = matches!(&self.test, Test::Number { key, .. } if key.is_of_entries());
        of_entries || self.needs_thread()
    }

    /// Whether it looks at what is known only where the time inside of spans was measured.
    pub(super) fn needs_busy_times(&self) -> bool {
        matches!(&self.test, Test::Number { key, .. } if key.is_of_busy_times())
    }

    /// Whether the answer is the same for all spans of a callsite.
    pub(super) fn is_of_callsite(&self) -> bool {
        match self.test {
            Test::Text { key, .. } => key != TextKey::Thread,
            Test::Level { .. } => true,
            _ => false,
        }
    }

    /// The cost of a test, in steps of about the same time.
    pub(super) fn cost(&self) -> u32 {
        match &self.test {
            Test::Text { how: TextTest::Pattern(_), .. } => 10,
            Test::Text { how: TextTest::Search(_), .. } => 50,
            Test::Level { .. } => 5,
            Test::HasField(_) => 60,
            Test::Field(_, test) => 60 + if test.is_search() { 50 } else { 10 },
            _ => 1,
        }
    }
}

fn is_empty_object(fields: &str) -> bool {
    let inside = fields.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| inside.trim().is_empty())
}

/// The text of a value, with its quotes.
fn source(value: &Value<'_>) -> String {
    if value.quoted { format!("\"{}\"", value.raw) } else { value.raw.to_owned() }
}

fn unknown_key(key: &str, fault: Fault) -> Fault {
    if let Some((before, name)) = key.split_once('.')
        && nearest(before, ["field"], 1).len() == 1
    {
        return fault.hint(format!("did you mean `field.{name}`?"));
    }
    let known = KEYS.iter().map(|key| key.trim_end_matches('.'));
    match nearest(key, known, 1).first() {
        Some(&"field") => fault.hint("did you mean `field.NAME`?"),
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault.hint(format!(
            "there are {}NAME; is it a field (`field.{key}`), or a text that needs quotes?",
            KEYS.join(" ")
        )),
    }
}

fn refuse_search(key: &str, operator: Operator, value: &Value<'_>) -> Result<(), Fault> {
    if !operator.is_search() {
        return Ok(());
    }
    let fault = Fault::new(value.span.clone(), format!("`{key}` is no text to search in"));
    Err(fault.hint("it can be compared with = != < <= > >="))
}

fn read_number(key: &str, number: NumberKey, value: &Value<'_>) -> Result<i128, Fault> {
    let fault = |message: String| Fault::new(value.span.clone(), message);
    let raw = value.raw;
    let duration = |text: &str| {
        parse_duration_ns(text).map(i128::from).map_err(|source| fault(source.to_string()))
    };
    match number.notation() {
        Notation::Duration => duration(raw),
        Notation::Offset => duration(raw.strip_prefix('+').unwrap_or(raw)),
        Notation::Count => raw
            .parse::<u64>()
            .map(i128::from)
            .map_err(|_| fault(format!("{raw:?} is no number")).hint(format!("write `{key}>3`"))),
        Notation::Id(letter) => {
            let digits = raw.strip_prefix(letter).unwrap_or(raw);
            digits.parse::<u64>().map(i128::from).map_err(|_| {
                let example = format!("write `{key}={letter}123`");
                let what = if letter == 't' { "the id of a trace" } else { "the id of a span" };
                fault(format!("{raw:?} is not {what}")).hint(example)
            })
        }
    }
}

fn read_level(value: &Value<'_>) -> Result<u8, Fault> {
    level_rank(value.raw).ok_or_else(|| {
        let fault = Fault::new(value.span.clone(), format!("unknown level {:?}", value.raw));
        fault.hint("there are error, warn, info, debug and trace")
    })
}

fn status(operator: Operator, value: &Value<'_>) -> Result<Test, Fault> {
    if operator.is_order() || operator.is_search() {
        let fault = Fault::new(value.span.clone(), "`status` has no order and is not searched");
        return Err(fault.hint("it can be compared with = !="));
    }
    match STATUSES.into_iter().find(|status| status.as_str() == value.raw) {
        Some(status) => Ok(Test::Status { status, negative: operator.is_negative() }),
        None => {
            let fault = Fault::new(value.span.clone(), format!("unknown status {:?}", value.raw));
            Err(fault.hint("there are ok, error, panicked, unfinished and crashed"))
        }
    }
}

fn trace_id(operator: Operator, value: &Value<'_>) -> Result<Test, Fault> {
    if operator.is_order() || operator.is_search() {
        let fault = Fault::new(value.span.clone(), "`trace_id` has no order and is not searched");
        return Err(fault.hint("it can be compared with = !=; its first digits are enough"));
    }
    Ok(Test::TraceId { ids: TraceIds::parse(value)?, negative: operator.is_negative() })
}

fn is(what: &str, value: &Value<'_>) -> Result<Test, Fault> {
    if what == "root" {
        return Ok(Test::Root);
    }
    match STATUSES.into_iter().find(|status| status.as_str() == what) {
        Some(status) => Ok(Test::Status { status, negative: false }),
        None => Err(unknown_property("is", what, &IS, value)),
    }
}

fn has(what: &str, value: &Value<'_>) -> Result<Test, Fault> {
    match what {
        "error" => Ok(Test::Failed),
        "fields" => Ok(Test::HasFields),
        "parent" => Ok(Test::HasParent),
        "trace_id" => Ok(Test::HasTraceId),
        _ => match what.strip_prefix("field.") {
            Some(raw) => {
                let name = Value { raw, quoted: false, span: value.span.clone() };
                Ok(Test::HasField(FieldPath::parse(&name)?))
            }
            None => Err(unknown_property("has", what, &HAS, value)),
        },
    }
}

fn unknown_property(prefix: &str, what: &str, known: &[&str], value: &Value<'_>) -> Fault {
    let fault = Fault::new(value.span.clone(), format!("unknown term `{prefix}:{what}`"));
    match nearest(what, known.iter().copied(), 1).first() {
        Some(&"field.") => fault.hint("did you mean `has:field.NAME`?"),
        Some(near) => fault.hint(format!("did you mean `{prefix}:{near}`?")),
        None => {
            let known: Vec<_> = known.iter().map(|known| format!("{prefix}:{known}")).collect();
            fault.hint(format!("there are {}", known.join(", ").replace("field.", "field.NAME")))
        }
    }
}
