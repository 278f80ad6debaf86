//! What the terms of a filter test: `explain` does not report what its spans are selected by.

use super::Filter;
use super::key::{NumberKey, TextKey};
use super::term::{Term, Test};
use crate::order_rows::OrderRows as _;

/// What a term tests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Subject {
    /// How the span ended.
    Status,
    /// Its target, or the place in the source.
    Target,
    /// Its thread.
    Thread,
    /// Its self time.
    SelfTime,
    /// Its busy time, or the rest of its duration.
    Busy,
    /// When it began.
    Start,
    /// A field, by its name as it is written.
    Field(String),
    /// Anything else.
    Other,
}

impl Filter {
    /// What its terms test, without duplicates.
    pub fn subjects(&self) -> Vec<Subject> {
        let mut subjects: Vec<Subject> = self.expression.terms().map(subject).collect();
        subjects.order_by(Ord::cmp);
        subjects.dedup();
        subjects
    }
}

fn subject(term: &Term) -> Subject {
    match &term.test {
        Test::Text { key: TextKey::Thread, .. } => Subject::Thread,
        Test::Text { key: TextKey::Target | TextKey::Module | TextKey::File, .. } => {
            Subject::Target
        }
        Test::Number { key: NumberKey::SelfTime | NumberKey::SelfBusy, .. } => Subject::SelfTime,
        Test::Number { key: NumberKey::Busy | NumberKey::Idle, .. } => Subject::Busy,
        Test::Number { key: NumberKey::Start, .. } => Subject::Start,
        Test::Status { .. } | Test::Failed => Subject::Status,
        Test::HasField(_) | Test::Field(..) => Subject::Field(field(&term.source)),
        _ => Subject::Other,
    }
}

/// `shard` of `field.shard=7` and of `has:field.shard`.
fn field(source: &str) -> String {
    let source = source.strip_prefix("has:").unwrap_or(source);
    let name = source.strip_prefix("field.").unwrap_or(source);
    let end = name.find(['=', '<', '>', '~', '!']).unwrap_or(name.len());
    name.get(..end).unwrap_or(name).trim_matches(['"', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_named() {
        let of = |text: &str| Filter::parse(text).unwrap().subjects();
        assert_eq!(of("has:error or is:panicked"), [Subject::Status]);
        assert_eq!(
            of("field.shard=7 has:field.user.id"),
            [Subject::Field("shard".into()), Subject::Field("user.id".into()),]
        );
        assert_eq!(
            of("thread=a start>1s busy<1s not self>1s target~x"),
            [Subject::Target, Subject::Thread, Subject::SelfTime, Subject::Busy, Subject::Start,]
        );
        assert_eq!(of("db dur>1s"), [Subject::Other]);
        assert_eq!(of(""), []);
    }
}
