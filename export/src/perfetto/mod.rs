//! Perfetto's track events: <https://perfetto.dev/docs/reference/synthetic-track-event>.
//!
//! The file is a `Trace`, which is nothing but packets. Field numbers are those of the published
//! `protos/perfetto/trace`.
//!
//! * The process is a track; a thread is a track below it, with the first lane of what it began; more
//!   lanes ("overlapping") and its events are tracks below the thread. Perfetto draws tracks with one
//!   name and parent as one.
//! * A span is a slice, its end without a name: trace processor ends the innermost open slice of the
//!   track. Packets of spans stand in the order of time, and for one moment in the order that keeps the
//!   stacks right, as the sort by time is stable.
//! * An unfinished span has no end and is drawn until the end of the trace.
//! * Names, categories (targets), keys of fields and source locations are interned: each goes out
//!   with the first packet that wants it.
//! * An entry that was recorded one by one is a slice of its thread, and has a flow to the next one of its
//!   span. The span itself is then a slice of a track below the thread (`async`).
//! * A link is a flow from slice to slice. Marks, losses and what the writer said of itself have tracks
//!   below the process.
//!
//! Times are nanoseconds since the start of the run; what would be before it is put at 0. That is the clock that
//! the format takes for granted (`BOOTTIME`); a snapshot of it beside `REALTIME` says what time of day it was.

mod annotations;
mod extras;
mod interned;
mod tracks;

use self::annotations::{of_entry, of_span};
use self::interned::Interned;
use self::tracks::{Tracks, thread_name};
use super::Written;
use super::error::ExportError;
use super::flows::{Flows, Links, goes_right};
use super::lanes::{Lane, Open, Slice, Slices, What};
use super::out::Out;
use super::proto::{fixed, message, unsigned};
use super::source::Source;
use super::timeline;
use spandrel_query::Columns;
use spandrel_query::Run;

/// Packets of spans, and those of everything else: each sequence has its own order of time and its own
/// interned strings.
#[derive(Clone, Copy)]
enum Sequence {
    Spans = 1,
    Others = 2,
}

/// `TrackEvent.Type`.
#[derive(Clone, Copy)]
enum Kind {
    Begin = 1,
    End = 2,
    Instant = 3,
    Counter = 4,
}

pub(super) fn write(source: &mut Source<'_>, out: &mut Out<'_>) -> Result<Written, ExportError> {
    let links = Links::find(source, goes_right)?;
    let mut perfetto = Perfetto {
        tracks: Tracks::new(source.run, &mut out.buffer),
        interned: Interned::default(),
        out,
        flows: Flows::new(&links)?,
    };
    clocks(source.run, &mut perfetto.out.buffer);
    start(Sequence::Spans, &mut perfetto.out.buffer);
    let drawn = timeline::slices(source, Columns::All, &links, &mut perfetto)?;
    start(Sequence::Others, &mut perfetto.out.buffer);
    perfetto.interned = Interned::default();
    let events = extras::events(source, &mut perfetto)?;
    let marks = extras::marks(source, &mut perfetto)?;
    extras::losses(source, &mut perfetto)?;
    extras::counters(source, &mut perfetto)?;
    let timeline::Counts { spans, entries } = drawn;
    Ok(Written { spans, entries, events, links: links.count, marks, ..Written::default() })
}

struct Perfetto<'o, 'w, 'l> {
    out: &'o mut Out<'w>,
    tracks: Tracks,
    interned: Interned,
    flows: Flows<'l>,
}

/// A time stamp.
fn at(ns: i64) -> u64 {
    u64::try_from(ns).unwrap_or(0)
}

/// The first packet of a sequence, from which on interned strings hold.
fn start(sequence: Sequence, out: &mut Vec<u8>) {
    packet(out, |out| {
        unsigned(out, 10, sequence as u64); // trusted_packet_sequence_id
        unsigned(out, 13, 1 | 2); // SEQ_INCREMENTAL_STATE_CLEARED | SEQ_NEEDS_INCREMENTAL_STATE
    });
}

/// What the clocks said at the start of the run: where time stamps count from, and what time it was.
fn clocks(run: &Run, out: &mut Vec<u8>) {
    /// `BuiltinClock`.
    const REALTIME: u64 = 1;
    const BOOTTIME: u64 = 6;
    let Ok(unix_ns) = u64::try_from(run.info.started_unix_ns) else { return };
    packet(out, |out| {
        unsigned(out, 10, Sequence::Spans as u64);
        message(out, 6, |out| {
            for (clock, ns) in [(BOOTTIME, 0), (REALTIME, unix_ns)] {
                message(out, 1, |out| {
                    unsigned(out, 1, clock);
                    unsigned(out, 2, ns);
                });
            }
            unsigned(out, 2, BOOTTIME); // primary_trace_clock
        });
    });
}

/// `Trace.packet`.
fn packet(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    message(out, 1, write);
}

/// A packet with a `TrackEvent`, of which `write` writes the rest.
fn track_event(
    out: &mut Vec<u8>,
    interned: &mut Interned,
    (sequence, at_ns): (Sequence, i64),
    (kind, track): (Kind, u64),
    write: impl FnOnce(&mut Vec<u8>, &mut Interned),
) {
    packet(out, |out| {
        unsigned(out, 8, at(at_ns)); // timestamp
        unsigned(out, 10, sequence as u64);
        unsigned(out, 13, 2); // SEQ_NEEDS_INCREMENTAL_STATE
        message(out, 11, |out| {
            unsigned(out, 9, kind as u64);
            unsigned(out, 11, track);
            write(out, interned);
        });
        interned.write_new(out);
    });
}

impl Slices for Perfetto<'_, '_, '_> {
    type Error = ExportError;

    fn begin(&mut self, lane: Lane, _number: u64, slice: &Slice<'_>) -> Result<(), ExportError> {
        let Self { out, tracks, interned, flows } = self;
        let track = tracks.lane(lane, slice.thread, &mut out.buffer);
        let when = (Sequence::Spans, slice.from_ns);
        let flows = match slice.what {
            What::Span(span) => flows.of(span.id)?,
            What::Entry(_) => Vec::new(),
        };
        // It may lie in a span of another thread.
        let is_elsewhere = slice.thread.id as u64 != lane.group;
        let thread = is_elsewhere.then(|| thread_name(slice.thread));
        track_event(&mut out.buffer, interned, when, (Kind::Begin, track), |out, interned| {
            interned.callsite(slice.callsite, &slice.callsite.name, out);
            let mut flow = |ends, number| {
                // `terminating_flow_ids` and `flow_ids`.
                fixed(out, if ends { 48 } else { 47 }, number);
            };
            flows.iter().for_each(|it| flow(it.ends, it.number));
            if let What::Entry(entry) = slice.what {
                entry.arrives.into_iter().for_each(|number| flow(true, number));
                entry.leaves.into_iter().for_each(|number| flow(false, number));
            }
            match slice.what {
                What::Span(span) => of_span(span, thread.as_deref(), interned, out),
                What::Entry(entry) => of_entry(slice, entry, interned, out),
            }
        });
        Ok(out.flush_if_large()?)
    }

    fn end(&mut self, lane: Lane, open: &Open) -> Result<(), ExportError> {
        let Self { out, tracks, interned, .. } = self;
        if let (false, Some(track)) = (open.is_unfinished, tracks.existing(lane)) {
            let when = (Sequence::Spans, open.end_ns);
            track_event(&mut out.buffer, interned, when, (Kind::End, track), |_, _| ());
        }
        Ok(out.flush_if_large()?)
    }
}
