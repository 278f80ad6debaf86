//! What SQLite can decide of a filter by itself.
//!
//! A row that SQLite passes over costs a fraction of one that is handed out and looked at here. So what
//! must hold of every span that is meant, and can be said in SQL, is said there: the callsites that are
//! possible, numbers, how it ended, whether it is a root. Whatever comes through is looked at by the
//! filter itself; the sieve need not be complete, but it never holds back a span that is meant.

use std::sync::Arc;

use super::super::SpanRef;
use super::expression::Expression;
use super::key::NumberKey;
use super::operator::Operator;
use super::term::{Term, Test};
use crate::reader::{Callsite, Thread};
use crate::record::Status;

/// Longer lists of callsites are not worth it.
const CALLSITES_MAX: usize = 1_000;

/// As SQL that begins with ` AND `, made of numbers and names of columns only; empty: nothing.
pub(crate) fn sieve(expression: &Expression, callsites: &[Arc<Callsite>]) -> String {
    let parts = match expression {
        Expression::All(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut sql = String::new();
    let (of_callsite, others): (Vec<_>, Vec<_>) =
        parts.iter().partition(|part| is_of_callsite(part));
    if !of_callsite.is_empty() {
        let may = |callsite: &&Arc<Callsite>| of_callsite.iter().all(|part| holds(part, callsite));
        let ids: Vec<_> = callsites.iter().filter(may).map(|one| one.id.to_string()).collect();
        if ids.len() < callsites.len() && ids.len() <= CALLSITES_MAX {
            sql.push_str(&format!(" AND callsite_id IN ({})", ids.join(",")));
        }
    }
    for part in others {
        if let Expression::Term(term) = part
            && let Some(condition) = condition(term)
        {
            sql.push_str(" AND ");
            sql.push_str(&condition);
        }
    }
    sql
}

fn is_of_callsite(expression: &Expression) -> bool {
    expression.terms().all(Term::is_of_callsite)
}

/// Whether spans of a callsite pass what looks at nothing else.
pub(super) fn holds(expression: &Expression, callsite: &Arc<Callsite>) -> bool {
    expression.matches(&SpanRef {
        id: 0,
        run_id: 0,
        parent_id: None,
        root_id: 0,
        callsite,
        thread: &Arc::new(Thread::default()),
        start_ns: 0,
        duration_ns: None,
        busy_ns: None,
        self_ns: None,
        polls: 0,
        status: Status::Ok,
        fields: None,
    })
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
        Test::Text { .. } | Test::Level { .. } => None,
    }
}

/// The column of a number that stands in one; a difference could be too large for SQLite.
fn column(key: NumberKey) -> Option<&'static str> {
    Some(match key {
        NumberKey::Duration => "duration_ns",
        NumberKey::SelfTime => "self_ns",
        NumberKey::Busy => "busy_ns",
        NumberKey::Start => "start_ns",
        NumberKey::Polls => "polls",
        NumberKey::Id => "id",
        NumberKey::Trace => "root_id",
        NumberKey::Parent => "parent_id",
        NumberKey::Idle => return None,
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
