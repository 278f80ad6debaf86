//! The spans of a source as slices in lanes, in the order of time; and what they sum up to by path.
//!
//! In a run with entries, what threads did is drawn apart from open spans:
//!
//! * An entry that was recorded one by one is a slice of its thread.
//! * So is that of a span that was entered once, since its row says when that was.
//! * A span is a slice beside those; but one that was a call (entered once, by the thread that made it, and
//!   open for hardly longer) and its entry are the same, and one slice.

mod entries;

pub(super) use self::entries::{Cursor, Entries, Recorded};

use super::error::ExportError;
use super::flows::Links;
use super::id_set::IdSet;
use super::lanes::{Lanes, Placement, Slices};
use super::order::{Drawn, Order};
use super::source::Source;
use spandrel_query::{Columns, SpanRef, StackTree, Stacks};
use spandrel_storage::internals::FastHashMap;

/// A call may have been open longer than its thread was inside by this much, or by a hundredth.
const CALL_IDLE_NS: i64 = 100_000;

/// How much was drawn.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) spans: u64,
    /// Entries that were recorded one by one.
    pub(super) entries: u64,
}

/// Draws all selected spans and entries. Arrows between entries have numbers above those of links.
pub(super) fn slices<S: Slices<Error = ExportError>>(
    source: &mut Source<'_>,
    columns: Columns,
    links: &Links,
    to: &mut S,
) -> Result<Counts, ExportError> {
    draw_slices(source, columns, Some(links), to, |_| Ok(()))
}

/// Draws all selected spans and entries; returns the tree of stacks, too.
pub(super) fn slices_and_stacks<S: Slices<Error = ExportError>>(
    source: &mut Source<'_>,
    columns: Columns,
    to: &mut S,
) -> Result<(Counts, StackTree), ExportError> {
    with_stacks(source, |source, stacks| {
        draw_slices(source, columns, None, to, |span| add(stacks, span))
    })
}

fn draw_slices<S: Slices<Error = ExportError>>(
    source: &mut Source<'_>,
    columns: Columns,
    links: Option<&Links>,
    to: &mut S,
    mut each: impl FnMut(&SpanRef<'_>) -> Result<(), ExportError>,
) -> Result<Counts, ExportError> {
    let entries = Entries::find(source)?;
    let mut sorted = entries.as_ref().map(Entries::sorted).transpose()?;
    let number = links.map_or(0, |links| links.count);
    let cursor = match (&entries, &mut sorted) {
        (Some(entries), Some(sorted)) => Some(Cursor::new(entries, sorted, number)?),
        _ => None,
    };
    let mut order = Order::new();
    let mut timeline = Timeline {
        entries: entries.as_ref(),
        links,
        cursor,
        lanes: Lanes::new(),
        calls: FastHashMap::default(),
        single_entry: IdSet::default(),
        to,
    };
    let spans = source.spans(columns.max(Columns::Entries), |span| {
        each(span)?;
        let (drawn, entry) = timeline.plan(span);
        order.push(drawn, &mut |drawn| timeline.draw(&drawn))?;
        match entry {
            Some(entry) => order.push(entry, &mut |drawn| timeline.draw(&drawn)),
            None => Ok(()),
        }
    })?;
    order.finish(&mut |drawn| timeline.draw(&drawn))?;
    timeline.finish()?;
    Ok(Counts { spans, entries: entries.as_ref().map_or(0, |entries| entries.count) })
}

/// Puts spans and entries into lanes.
struct Timeline<'e, 's, S> {
    entries: Option<&'e Entries>,
    links: Option<&'e Links>,
    cursor: Option<Cursor<'e>>,
    lanes: Lanes,
    /// Drawn calls whose entries, which are not drawn, are still to come.
    calls: FastHashMap<u64, ()>,
    /// Spans whose only entry was drawn before the span came.
    single_entry: IdSet,
    to: &'s mut S,
}

impl<S: Slices<Error = ExportError>> Timeline<'_, '_, S> {
    /// The slices of a span: itself, and its only entry if that is drawn apart.
    fn plan(&mut self, span: &SpanRef<'_>) -> (Drawn, Option<Drawn>) {
        let open = |placement| Drawn::open(span.to_span(), placement);
        let Some(entries) = self.entries else { return (open(Placement::WithParent), None) };
        let has_entries = entries.has(span.id);
        // Arrows of links are between spans from creation to close.
        let is_linked = has_entries && self.links.is_some_and(|links| links.has(span.id));
        let was_single = self.single_entry.contains(span.id);
        let has_others = entries.has_several(span.id) || was_single || is_linked;
        let Some((from_ns, to_ns)) = only_entry(span).filter(|_| !has_others) else {
            return (open(Placement::Open { has_entries }), None);
        };
        let to_ns = Some(to_ns);
        match (is_call(span), has_entries) {
            (true, true) => {
                self.calls.insert(span.id, ());
                (Drawn { from_ns, to_ns, ..open(Placement::OnThread) }, None)
            }
            (true, false) => (open(Placement::Call), None),
            (false, true) => (open(Placement::Open { has_entries }), None),
            (false, false) => {
                let entry = SpanRef { fields: None, ..*span }.to_span();
                let entry = Drawn::open(entry, Placement::OnThread);
                let entry = Drawn { from_ns, to_ns, is_entry: true, ..entry };
                (open(Placement::Open { has_entries: true }), Some(entry))
            }
        }
    }

    /// Draws a slice, after the entries that began before it.
    fn draw(&mut self, drawn: &Drawn) -> Result<(), ExportError> {
        let (from_ns, end_ns) = (drawn.from_ns, drawn.end_ns());
        while let Some(next) = self.cursor.as_ref().and_then(Cursor::peek) {
            let is_first = (next.from_ns, std::cmp::Reverse(next.to_ns))
                < (from_ns, std::cmp::Reverse(end_ns));
            let is_around = (next.from_ns, next.to_ns) == (from_ns, end_ns)
                && next.entry.around_id != Some(drawn.span.id);
            if !is_first && !is_around {
                break;
            }
            self.draw_entry()?;
        }
        drawn.slice(|slice| self.lanes.assign(slice, drawn.placement, self.to))
    }

    fn draw_entry(&mut self) -> Result<(), ExportError> {
        let (Some(entries), Some(cursor)) = (self.entries, &mut self.cursor) else { return Ok(()) };
        let Some(recorded) = cursor.take()? else { return Ok(()) };
        let span_id = recorded.entry.span_id;
        if self.calls.remove(&span_id).is_some() {
            return Ok(());
        }
        if !entries.has_several(span_id) {
            self.single_entry.insert(span_id);
        }
        self.lanes.assign(&recorded.slice(), Placement::OnThread, self.to)
    }

    fn finish(mut self) -> Result<(), ExportError> {
        while self.cursor.as_ref().is_some_and(|cursor| cursor.peek().is_some()) {
            self.draw_entry()?;
        }
        self.lanes.finish(self.to)
    }
}

/// For a closed span that was entered once: start and end of that entry.
pub(super) fn only_entry(span: &SpanRef<'_>) -> Option<(i64, i64)> {
    let (first_ns, busy_ns) = (span.first_entry_ns?, span.busy_ns?);
    span.duration_ns.filter(|_| span.entries == 1)?;
    let from_ns = span.start_ns.saturating_add(first_ns.max(0));
    Some((from_ns, from_ns.saturating_add(busy_ns.max(0))))
}

/// Whether a span was entered once, by the thread that created it, and was open for hardly longer.
pub(super) fn is_call(span: &SpanRef<'_>) -> bool {
    let (Some(_), Some(idle_ns)) = (only_entry(span), span.idle_ns()) else { return false };
    let idle_max = CALL_IDLE_NS.max(span.duration_ns.unwrap_or(0) / 100);
    span.thread.id == span.longest_thread.id && idle_ns <= idle_max
}

/// Runs `pass`, which adds spans to the stacks; then adds the selected entries. Returns the tree.
pub(super) fn with_stacks<'a, T>(
    source: &mut Source<'a>,
    pass: impl FnOnce(&mut Source<'a>, &mut Stacks<'a>) -> Result<T, ExportError>,
) -> Result<(T, StackTree), ExportError> {
    let mut stacks = Stacks::new(source.reader, source.run.id)?;
    let passed = pass(source, &mut stacks).and_then(|passed| {
        add_entries(source, &mut stacks)?;
        Ok(passed)
    });
    // A failed look-up stops the scan: it is the error to report.
    let tree = stacks.finish()?;
    Ok((passed?, tree))
}

/// Adds the selected entries that count to the stacks; returns the number of all selected entries, and the number of
/// calls among them.
pub(super) fn add_entries(
    source: &mut Source<'_>,
    stacks: &mut Stacks<'_>,
) -> Result<(u64, u64), ExportError> {
    if source.run.entries == 0 {
        return Ok((0, 0));
    }
    let mut calls = 0_u64;
    let chosen = source.chosen_entries(|named| {
        let entry = named.entry();
        if entry.self_ns.is_none() {
            return Ok(());
        }
        calls = calls.saturating_add(1).saturating_add(entry.earlier_entries);
        let node = stacks.add_entry_at(&entry, &named.callsite);
        node.map(|_| ()).ok_or(ExportError::Stopped)
    })?;
    Ok((chosen, calls))
}

/// Adds a span to its path.
pub(super) fn add(stacks: &mut Stacks<'_>, span: &SpanRef<'_>) -> Result<(), ExportError> {
    if stacks.add(span).is_break() { Err(ExportError::Stopped) } else { Ok(()) }
}
