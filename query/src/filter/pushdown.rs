//! The part of a filter that SQLite can evaluate.
//!
//! A row that SQLite skips costs a fraction of one that is handed out and tested here. So conditions that every
//! matching span must meet are said in SQL where that is possible: callsites, numbers, status, whether it is a root.
//! The filter itself tests what is left, so the pushdown may be incomplete, but it never skips a span that matches.

use std::sync::Arc;

use super::super::SpanRef;
use super::expression::Expression;
use super::key::NumberKey;
use super::operator::Operator;
use super::term::{Term, Test};
use crate::reader::Callsite;
use crate::span_ref::nothing;
use spandrel_storage::Status;

/// Longer lists of callsites are not pushed down.
const CALLSITES_MAX: usize = 1_000;

/// The pushdown of a filter; the callsites are added one by one, as there can be half a million.
pub(crate) struct Pushdown<'a> {
    of_callsite: Vec<&'a Expression>,
    others: Vec<&'a Expression>,
    /// The callsites that can match.
    ids: Vec<i64>,
    /// Whether some cannot.
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

    /// Whether further callsites are needed.
    pub(crate) fn asks_for_callsites(&self) -> bool {
        !self.of_callsite.is_empty() && self.ids.len() <= CALLSITES_MAX
    }

    /// Adds a callsite of spans.
    pub(crate) fn add(&mut self, callsite: &Arc<Callsite>) {
        if self.of_callsite.iter().all(|part| holds(part, callsite)) {
            self.ids.push(callsite.id);
        } else {
            self.leaves_out = true;
        }
    }

    /// The callsites that can match; `None`: all, or too many for a list.
    pub(crate) fn callsites(&self) -> Option<&[i64]> {
        let is_said = self.leaves_out && self.ids.len() <= CALLSITES_MAX;
        is_said.then_some(self.ids.as_slice())
    }

    /// As SQL that begins with ` AND `, made of numbers and names of columns only; empty: nothing.
    pub(crate) fn sql(&self) -> String {
        self.sql_of(condition)
    }

    /// The same for calls: times of a span whose entries count are not tested.
    pub(crate) fn sql_of_calls(&self) -> String {
        self.sql_of(|term| {
            let condition = condition(term)?;
            let is_of_times = matches!(&term.test, Test::Number { key, .. } if key.is_of_call());
            Some(if is_of_times { format!("(self_ns IS NULL OR {condition})") } else { condition })
        })
    }

    /// The same for rows of entries: callsites, and the times that those rows have.
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

/// A term in SQL; like the term, it is false for NULL.
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

/// The column of a number, or the expression that computes it; `None` where a sum or a difference could overflow.
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

/// The same for the table of entries.
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
