//! What SQLite can decide of a filter by itself.
//!
//! A row that SQLite passes over costs a fraction of one that is handed out and looked at here. So what
//! must hold of every span that is meant, and can be said in SQL, is said there: the callsites that are
//! possible, numbers, how it ended, whether it is a root. Whatever comes through is looked at by the
//! filter itself; the pushdown need not be complete, but it never holds back a span that is meant.

use std::sync::Arc;

use super::super::SpanRef;
use super::expression::Expression;
use super::key::NumberKey;
use super::operator::Operator;
use super::term::{Term, Test};
use crate::reader::Callsite;
use crate::span_ref::nothing;
use spandrel_storage::Status;

/// Longer lists of callsites are not worth it.
const CALLSITES_MAX: usize = 1_000;

/// What SQLite can decide, found out callsite by callsite: there can be half a million.
pub(crate) struct Pushdown<'a> {
    of_callsite: Vec<&'a Expression>,
    others: Vec<&'a Expression>,
    /// The callsites that are possible.
    ids: Vec<i64>,
    /// Whether some are not.
    leaves_out: bool,
}

impl<'a> Pushdown<'a> {
    pub(super) fn new(expression: &'a Expression) -> Self {
        let parts = match expression {
            Expression::All(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        let (of_callsite, others) = parts.iter().partition(|part| is_of_callsite(part));
        Self { of_callsite, others, ids: Vec::new(), leaves_out: false }
    }

    /// Whether another callsite would change anything.
    pub(crate) fn asks_for_callsites(&self) -> bool {
        !self.of_callsite.is_empty() && self.ids.len() <= CALLSITES_MAX
    }

    /// Looks at a callsite of spans.
    pub(crate) fn add(&mut self, callsite: &Arc<Callsite>) {
        if self.of_callsite.iter().all(|part| holds(part, callsite)) {
            self.ids.push(callsite.id);
        } else {
            self.leaves_out = true;
        }
    }

    /// The callsites that are possible; `None`: all, or too many to say.
    pub(crate) fn callsites(&self) -> Option<&[i64]> {
        let is_said = self.leaves_out && self.ids.len() <= CALLSITES_MAX;
        is_said.then_some(self.ids.as_slice())
    }

    /// As SQL that begins with ` AND `, made of numbers and names of columns only; empty: nothing.
    pub(crate) fn sql(&self) -> String {
        self.sql_of(condition)
    }

    /// The same of calls: whether a span is meant whose entries count is not told by its own times.
    pub(crate) fn sql_of_calls(&self) -> String {
        self.sql_of(|term| {
            let condition = condition(term)?;
            let is_of_times = matches!(&term.test, Test::Number { key, .. } if key.is_of_call());
            Some(if is_of_times { format!("(self_ns IS NULL OR {condition})") } else { condition })
        })
    }

    /// And of rows of entries: callsites, and what is there of their own times.
    pub(crate) fn sql_of_entries(&self) -> String {
        self.sql_of(|term| match &term.test {
            Test::Number { key, operator, value } => {
                let value = i64::try_from(*value).ok()?;
                Some(format!("{} {} {value}", column_of_entry(*key)?, comparison(*operator)?))
            }
            _ => None,
        })
    }

    fn sql_of(&self, condition: impl Fn(&Term) -> Option<String>) -> String {
        let mut sql = String::new();
        if let Some(ids) = self.callsites() {
            let ids: Vec<_> = ids.iter().map(i64::to_string).collect();
            sql.push_str(&format!(" AND callsite_id IN ({})", ids.join(",")));
        }
        for part in &self.others {
            if let Expression::Term(term) = part
                && let Some(condition) = condition(term)
            {
                sql.push_str(" AND ");
                sql.push_str(&condition);
            }
        }
        sql
    }
}

fn is_of_callsite(expression: &Expression) -> bool {
    expression.terms().all(Term::is_of_callsite)
}

/// Whether spans of a callsite pass what looks at nothing else.
pub(super) fn holds(expression: &Expression, callsite: &Arc<Callsite>) -> bool {
    expression.matches(&SpanRef { callsite, ..nothing() })
}

/// A term in SQL, which is false of what is NULL, as the term is.
fn condition(term: &Term) -> Option<String> {
    match &term.test {
        Test::Number { key, operator, value } => {
            let value = i64::try_from(*value).ok()?;
            Some(format!("{} {} {value}", column(*key)?, comparison(*operator)?))
        }
        Test::Status { status, negative } => {
            let comparison = if *negative { "<>" } else { "=" };
            Some(format!("status {comparison} '{}'", status.as_str()))
        }
        Test::Failed => {
            let [one, other] = [Status::Error, Status::Panicked].map(Status::as_str);
            Some(format!("status IN ('{one}', '{other}')"))
        }
        Test::Root => Some("parent_id IS NULL".into()),
        Test::HasParent => Some("parent_id IS NOT NULL".into()),
        Test::HasFields | Test::HasField(_) | Test::Field(..) => Some("fields IS NOT NULL".into()),
        Test::TraceId { ids, negative: false } => Some(ids.sql()),
        Test::TraceId { negative: true, .. } | Test::HasTraceId => {
            Some("root_id IN (SELECT root_id FROM trace_context)".into())
        }
        Test::Text { .. } | Test::Level { .. } => None,
    }
}

/// The column of a number that stands in one, or that it is made of; a difference or a sum could be too
/// large for SQLite.
fn column(key: NumberKey) -> Option<&'static str> {
    Some(match key {
        NumberKey::Duration => "duration_ns",
        NumberKey::SelfTime => "self_ns",
        NumberKey::Busy => "busy_ns",
        NumberKey::Start => "start_ns",
        NumberKey::Entries => "entries",
        NumberKey::Id => "id",
        NumberKey::Trace => "root_id",
        NumberKey::Parent => "parent_id",
        NumberKey::Wait => "first_entry_ns",
        NumberKey::Longest => {
            "CASE WHEN entries = 1 THEN coalesce(longest_entry_ns, busy_ns) ELSE longest_entry_ns END"
        }
        NumberKey::SelfBusy => {
            "CASE WHEN self_ns IS NULL THEN self_busy_ns
               WHEN entries = 0 OR first_entry_ns IS NOT NULL
               THEN coalesce(self_busy_ns, busy_ns) END"
        }
        NumberKey::Idle | NumberKey::Exit => return None,
    })
}

/// The same of the table of entries.
fn column_of_entry(key: NumberKey) -> Option<&'static str> {
    Some(match key {
        NumberKey::Duration | NumberKey::Busy | NumberKey::Longest => "duration_ns",
        NumberKey::SelfTime | NumberKey::SelfBusy => "self_ns",
        NumberKey::Start => "start_ns",
        NumberKey::Id => "span_id",
        _ => return None,
    })
}

fn comparison(operator: Operator) -> Option<&'static str> {
    Some(match operator {
        Operator::Equal => "=",
        Operator::NotEqual => "<>",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        Operator::Found | Operator::NotFound => return None,
    })
}
