//! A filter, prepared to test millions of spans.
//!
//! Parts that depend on the callsite alone are evaluated once for each callsite, parts that depend on the thread once
//! for each thread: name tests then cost a look into a table. Of the rest, cheap tests come first, so that the fields
//! of a span are parsed only when all else holds.

use super::super::SpanRef;
use super::expression::Expression;
use super::term::Term;
use crate::order_rows::OrderRows as _;

/// Answers are cached for ids up to this: there are as many callsites as places in a program, and more threads only
/// if they come and go.
const CACHED_IDS_MAX: usize = 1 << 20;

/// Tests the spans of one profile; callsites and threads are distinguished by their ids in it.
#[derive(Debug, Clone)]
pub struct Matcher {
    root: Node,
    tables: Vec<Table>,
}

#[derive(Debug, Clone)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Term(Term),
    /// A part whose answers are cached in the table with this number.
    Cached {
        table: usize,
        of: Scope,
        inner: Expression,
    },
}

/// What an answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Callsite,
    Thread,
    Span,
}

/// Answers by id: not yet known, no, yes.
#[derive(Debug, Clone, Default)]
struct Table(Vec<Option<bool>>);

impl Matcher {
    pub(super) fn new(expression: &Expression) -> Self {
        let mut tables = 0;
        let root = prepare(expression, &mut tables);
        Self { root, tables: vec![Table::default(); tables] }
    }

    /// Whether the span matches.
    pub fn matches(&mut self, span: &SpanRef<'_>) -> bool {
        self.root.matches(span, &mut self.tables)
    }
}

impl Node {
    fn matches(&self, span: &SpanRef<'_>, tables: &mut [Table]) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(span, tables)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(span, tables)),
            Self::Not(inner) => !inner.matches(span, tables),
            Self::Term(term) => term.matches(span),
            Self::Cached { table, of, inner } => {
                let id =
                    if *of == Scope::Thread { span.longest_thread.id } else { span.callsite.id };
                match tables.get_mut(*table) {
                    Some(table) => table.answer(id, || inner.matches(span)),
                    None => inner.matches(span),
                }
            }
        }
    }

    fn cost(&self) -> u32 {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::cost).sum(),
            Self::Not(inner) => inner.cost(),
            Self::Term(term) => term.cost(),
            Self::Cached { .. } => 2,
        }
    }
}

impl Table {
    fn answer(&mut self, id: i64, ask: impl FnOnce() -> bool) -> bool {
        let Some(at) = usize::try_from(id).ok().filter(|at| *at < CACHED_IDS_MAX) else {
            return ask();
        };
        if at >= self.0.len() {
            self.0.resize((at + 1).next_power_of_two(), None);
        }
        match self.0.get_mut(at) {
            Some(kept) => *kept.get_or_insert_with(ask),
            None => ask(),
        }
    }
}

/// What the answer of an expression depends on; the span if its parts differ.
fn scope(expression: &Expression) -> Scope {
    match expression {
        Expression::Term(term) if term.needs_thread() => Scope::Thread,
        Expression::Term(term) if term.is_of_callsite() => Scope::Callsite,
        Expression::Term(_) => Scope::Span,
        Expression::Not(inner) => scope(inner),
        Expression::All(parts) | Expression::Any(parts) => {
            let mut scopes = parts.iter().map(scope);
            let first = scopes.next().unwrap_or(Scope::Span);
            if scopes.all(|scope| scope == first) { first } else { Scope::Span }
        }
    }
}

fn prepare(expression: &Expression, tables: &mut usize) -> Node {
    let of = scope(expression);
    if of != Scope::Span {
        *tables += 1;
        return Node::Cached { table: *tables - 1, of, inner: expression.clone() };
    }
    match expression {
        Expression::Term(term) => Node::Term(term.clone()),
        Expression::Not(inner) => Node::Not(Box::new(prepare(inner, tables))),
        Expression::All(parts) => Node::All(join(parts, Expression::all, tables)),
        Expression::Any(parts) => Node::Any(join(parts, Expression::any, tables)),
    }
}

/// Sorts the parts, the cheapest first. Those of callsites become one part with one table, and so do those of
/// threads.
fn join(
    parts: &[Expression],
    join: impl Fn(Vec<Expression>) -> Expression,
    tables: &mut usize,
) -> Vec<Node> {
    let of = |wanted: Scope| parts.iter().filter(move |part| scope(part) == wanted).cloned();
    let mut nodes: Vec<Node> = of(Scope::Span).map(|part| prepare(&part, tables)).collect();
    for wanted in [Scope::Callsite, Scope::Thread] {
        let same: Vec<Expression> = of(wanted).collect();
        if !same.is_empty() {
            nodes.push(prepare(&join(same), tables));
        }
    }
    nodes.order_by_key(Node::cost);
    nodes
}

#[cfg(test)]
mod tests {
    use super::super::Filter;
    use super::*;

    fn shape(text: &str) -> String {
        fn of(node: &Node) -> String {
            let list = |parts: &[Node]| parts.iter().map(of).collect::<Vec<_>>().join(", ");
            match node {
                Node::All(parts) => format!("all[{}]", list(parts)),
                Node::Any(parts) => format!("any[{}]", list(parts)),
                Node::Not(inner) => format!("not {}", of(inner)),
                Node::Term(term) => term.source.clone(),
                Node::Cached { of, inner, .. } => format!("{of:?}{{{inner}}}"),
            }
        }
        of(&Filter::parse(text).unwrap().matcher().root)
    }

    #[test]
    fn cheap_questions_come_first_and_callsites_are_asked_once() {
        assert_eq!(
            shape("field.a~x name~^a field.a=1 thread=w* target=t dur>1s"),
            "all[dur>1s, Callsite{name~^a target=t}, Thread{thread=w*}, field.a=1, field.a~x]"
        );
        assert_eq!(shape("name=a or not level>info"), "Callsite{name=a or not level>info}");
        assert_eq!(shape("-(name=a dur>1s)"), "not all[dur>1s, Callsite{name=a}]");
        assert_eq!(shape(""), "all[]");
    }

    #[test]
    fn ids_out_of_the_table_are_asked_each_time() {
        let mut table = Table::default();
        for id in [i64::MIN, -1, CACHED_IDS_MAX as i64, i64::MAX] {
            assert!(table.answer(id, || true));
            assert!(!table.answer(id, || false));
        }
        assert!(table.0.is_empty());
        assert!(table.answer(3, || true));
        assert!(table.answer(3, || false));
        assert!(!table.answer(0, || false));
        assert!(!table.answer(0, || true));
    }
}
