//! The ids of other systems for a span (OpenTelemetry trace context), looked up by its root.
//!
//! Mostly only roots have such ids, or no span: then it costs a look into a table of roots. Where inner spans have
//! ids of their own, such as under a connection that carries several traces, the nearest ancestor with ids is looked
//! for.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, Statement};

use spandrel_storage::{OtelSpanId, TraceContext, TraceId};

/// The ids of other systems for a span, from its row and those of the spans around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SpanContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span, if it has an id of its own there.
    pub span_id: Option<OtelSpanId>,
    /// The parent: if the trace [begins](Self::begins) with this span, the span of another program; otherwise the id
    /// of its parent there. `None` if it has none, or that is not known.
    pub parent_id: Option<OtelSpanId>,
    /// Whether the trace begins with this span in this profile: it is a root, or its parent is not in that trace.
    pub begins: bool,
}

impl SpanContext {
    /// The context of the first span of a trace.
    #[must_use]
    pub const fn beginning(context: TraceContext) -> Self {
        let TraceContext { trace_id, span_id, parent_id } = context;
        Self { trace_id, span_id, parent_id, begins: true }
    }
}

/// Roots, and spans, in the cache.
const CACHED_MAX: usize = 16_384;
/// Ancestors that are looked up at most; a forged file may have circles.
const ANCESTORS_MAX: usize = 4096;

/// The ids of a span in the file.
#[derive(Debug, Clone, Copy)]
pub struct Lineage {
    /// Its own.
    pub id: i64,
    /// Its parent's.
    pub parent_id: Option<i64>,
    /// Its root's.
    pub root_id: i64,
}

/// What is known of the spans under a root.
#[derive(Debug, Clone, Copy)]
struct Root {
    own: Option<TraceContext>,
    /// Whether spans inside have rows of their own.
    has_inner: bool,
}

/// Looks up the ids of other systems.
#[expect(missing_debug_implementations, reason = "statements of rusqlite have none")]
pub struct Contexts<'a> {
    /// `None` until the first look-up.
    look_up: Option<Option<LookUp<'a>>>,
    conn: &'a Connection,
    roots: HashMap<i64, Root>,
    /// For inner spans under roots with `has_inner`: the trace of the nearest ancestor.
    nearest: HashMap<i64, Option<TraceId>>,
}

struct LookUp<'a> {
    of: Statement<'a>,
    inner: Statement<'a>,
    parent: Statement<'a>,
}

impl<'a> LookUp<'a> {
    /// `None` if no span of the file has any.
    fn new(conn: &'a Connection) -> rusqlite::Result<Option<Self>> {
        if !conn.prepare("SELECT 1 FROM trace_context LIMIT 1")?.exists([])? {
            return Ok(None);
        }
        Ok(Some(Self {
            of: conn.prepare(
                "SELECT trace_id, otel_span_id, otel_parent_id FROM trace_context
                 WHERE root_id = ?1 AND span_id = ?2",
            )?,
            inner: conn.prepare(
                "SELECT 1 FROM trace_context WHERE root_id = ?1 AND span_id <> ?1 LIMIT 1",
            )?,
            parent: conn.prepare(
                "SELECT parent_id FROM span WHERE id = ?1
                 UNION ALL SELECT parent_id FROM open_span WHERE id = ?1 LIMIT 1",
            )?,
        }))
    }

    fn of(&mut self, root_id: i64, span_id: i64) -> rusqlite::Result<Option<TraceContext>> {
        let found = self.of.query_row([root_id, span_id], |row| Ok(read(row))).optional()?;
        Ok(found.flatten())
    }

    /// The trace of the span or its nearest ancestor that has one. If not all ancestors are stored, that of the root.
    fn nearest(
        &mut self,
        (id, root_id): (i64, i64),
        of_root: Option<TraceId>,
        known: &mut HashMap<i64, Option<TraceId>>,
    ) -> rusqlite::Result<Option<TraceId>> {
        let mut path = Vec::new();
        let mut above = Some(id).filter(|id| *id != root_id);
        let mut found = of_root;
        while let Some(id) = above.filter(|_| path.len() < ANCESTORS_MAX) {
            if let Some(trace_id) = known.get(&id) {
                found = *trace_id;
                break;
            }
            path.push(id);
            if let Some(own) = self.of(root_id, id)? {
                found = Some(own.trace_id);
                break;
            }
            above = self.parent(id)?.filter(|id| *id != root_id);
        }
        path.into_iter().for_each(|id| remember(known, id, found));
        Ok(found)
    }

    fn parent(&mut self, id: i64) -> rusqlite::Result<Option<i64>> {
        Ok(self.parent.query_row([id], |row| row.get(0)).optional()?.flatten())
    }
}

/// Invalid ids count as none.
fn read(row: &Row<'_>) -> Option<TraceContext> {
    let text = |column| row.get_ref(column).ok()?.as_str().ok();
    Some(TraceContext {
        trace_id: text(0)?.parse().ok()?,
        span_id: text(1).and_then(|text| text.parse().ok()),
        parent_id: text(2).and_then(|text| text.parse().ok()),
    })
}

impl<'a> Contexts<'a> {
    /// Reads nothing yet.
    pub fn new(conn: &'a Connection) -> Self {
        Self { look_up: None, conn, roots: HashMap::new(), nearest: HashMap::new() }
    }

    /// The context of a span: from ids of its own, or those of its nearest ancestor.
    pub fn get(&mut self, span: Lineage) -> rusqlite::Result<Option<SpanContext>> {
        let Self { look_up, conn, roots, nearest } = self;
        let look_up = match look_up {
            Some(known) => known,
            unknown => unknown.insert(LookUp::new(conn)?),
        };
        let Some(look_up) = look_up else { return Ok(None) };
        let root = match roots.get(&span.root_id) {
            Some(root) => *root,
            None => {
                let own = look_up.of(span.root_id, span.root_id)?;
                let root = Root { own, has_inner: look_up.inner.exists([span.root_id])? };
                remember(roots, span.root_id, root);
                root
            }
        };
        let Some(parent_id) = span.parent_id.filter(|_| span.id != span.root_id) else {
            return Ok(root.own.map(SpanContext::beginning));
        };
        let of_root = root.own.map(|own| own.trace_id);
        let inner = |look_up: &mut LookUp<'_>, id| match root.has_inner {
            true => look_up.of(span.root_id, id),
            false => Ok(None),
        };
        let around = match root.has_inner {
            true => look_up.nearest((parent_id, span.root_id), of_root, nearest)?,
            false => of_root,
        };
        let own = inner(look_up, span.id)?;
        let trace_id = own.map(|own| own.trace_id).or(around);
        if let Some(own) = own.filter(|_| trace_id != around) {
            return Ok(Some(SpanContext::beginning(own)));
        }
        let parent = match parent_id == span.root_id {
            true => root.own,
            false => inner(look_up, parent_id)?,
        };
        Ok(trace_id.map(|trace_id| SpanContext {
            trace_id,
            span_id: own.and_then(|own| own.span_id),
            parent_id: parent.and_then(|parent| parent.span_id),
            begins: false,
        }))
    }
}

fn remember<T>(kept: &mut HashMap<i64, T>, id: i64, what: T) {
    if kept.len() >= CACHED_MAX {
        kept.clear();
    }
    kept.insert(id, what);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "00000000000000000000000000000001";

    /// Spans with their parents, and trace ids that end in this digit.
    fn file(spans: &[(i64, Option<i64>, i64)], contexts: &[(i64, i64, &str)]) -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE span (id INTEGER PRIMARY KEY, parent_id, root_id);
             CREATE TABLE open_span (id INTEGER PRIMARY KEY, parent_id, root_id);
             CREATE TABLE trace_context (root_id, span_id, trace_id, otel_span_id, otel_parent_id,
               PRIMARY KEY (root_id, span_id)) WITHOUT ROWID",
        )
        .unwrap();
        for (id, parent, root) in spans {
            conn.execute("INSERT INTO span VALUES (?1, ?2, ?3)", (id, parent, root)).unwrap();
        }
        for (root, span, trace) in contexts {
            let sql = "INSERT INTO trace_context VALUES (?1, ?2, ?3, '00000000000000ff', NULL)";
            conn.execute(sql, (root, span, trace)).unwrap();
        }
        conn
    }

    type Row = (i64, Option<i64>, i64);

    /// Of each span its trace, its own id and that of its parent there, and whether the trace begins with it.
    fn traces(conn: &Connection, spans: &[Row]) -> Vec<Option<(u128, bool, bool, bool)>> {
        let mut contexts = Contexts::new(conn);
        let mut of = |(id, parent_id, root_id): &Row| {
            let span = Lineage { id: *id, parent_id: *parent_id, root_id: *root_id };
            let found = contexts.get(span).unwrap()?;
            let SpanContext { trace_id, span_id, parent_id, begins } = found;
            Some((trace_id.get(), span_id.is_some(), parent_id.is_some(), begins))
        };
        spans.iter().map(&mut of).collect()
    }

    const fn begins(trace: u128) -> Option<(u128, bool, bool, bool)> {
        Some((trace, true, false, true))
    }

    const fn inside(trace: u128, is_child: bool) -> Option<(u128, bool, bool, bool)> {
        Some((trace, false, is_child, false))
    }

    #[test]
    fn what_a_root_has_holds_for_all_inside_but_its_own_span_id() {
        let spans = [(1, None, 1), (2, Some(1), 1), (3, Some(2), 1), (4, None, 4)];
        let conn = file(&spans, &[(1, 1, ONE)]);
        assert_eq!(traces(&conn, &spans), [begins(1), inside(1, true), inside(1, false), None]);
        assert_eq!(traces(&file(&spans, &[]), &spans), [None; 4]);
    }

    #[test]
    fn each_request_of_a_connection_has_its_own_trace() {
        // A child may have a smaller id than its parent; ids are taken in blocks.
        let spans = [
            (2, Some(11), 1),
            (1, None, 1),
            (10, Some(1), 1),
            (11, Some(10), 1),
            (20, Some(1), 1),
            (21, Some(20), 1),
            (30, Some(1), 1),
            (31, Some(99), 1),
        ];
        let (two, three) = (ONE.replace('1', "2"), ONE.replace('1', "3"));
        let inner = [(1, 10, ONE), (1, 20, &*two)];
        let expected = |root, others: [_; 2]| {
            let [request, other] = [begins(1), begins(2)];
            let inside = [inside(1, false), inside(1, true), inside(2, true)];
            [inside[0], root, request, inside[1], other, inside[2], others[0], others[1]]
        };
        let conn = file(&spans, &inner);
        assert_eq!(traces(&conn, &spans), expected(None, [None, None]));
        let conn = file(&spans, &[&[(1, 1, &*three)], &inner[..]].concat());
        let others = [inside(3, true), inside(3, false)];
        assert_eq!(traces(&conn, &spans), expected(begins(3), others));
    }

    #[test]
    fn a_span_that_says_the_trace_that_it_is_in_does_not_begin_it() {
        let spans = [(1, None, 1), (2, Some(1), 1), (3, Some(2), 1)];
        let conn = file(&spans, &[(1, 1, ONE), (1, 2, ONE), (1, 3, ONE)]);
        let own = Some((1, true, true, false));
        assert_eq!(traces(&conn, &spans), [begins(1), own, own]);
    }

    #[test]
    fn circles_end_and_what_is_no_id_is_none() {
        let spans = [(2, Some(3), 1), (3, Some(2), 1)];
        assert_eq!(traces(&file(&spans, &[(1, 9, ONE)]), &spans), [None, None]);
        let spans = [(1, None, 1), (2, Some(1), 1)];
        assert_eq!(traces(&file(&spans, &[(1, 1, "no id")]), &spans), [None, None]);
    }
}
