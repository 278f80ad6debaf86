//! From raw records to rows: ticks to nanoseconds, numbers to database ids, fields to JSON.

use std::collections::HashMap;
use std::sync::Arc;

use spandrel_storage::{
    Batch, CallsiteInfo, CallsiteKind, EventRow, LinkRow, SpanRow, Status, Store,
};
use tracing_core::Metadata;

use crate::clock::Timeline;
use crate::fields::Fields;
use crate::open_spans::Seen;
use crate::record::{EventHead, Record, SpanHead};
use crate::recorder::Recorder;

use super::json::JsonWriter;
use super::keys::Keys;
use super::raw::RawBatch;
use super::self_time::SelfTimes;

/// A callsite as the writer needs it.
#[derive(Debug)]
struct Callsite {
    id: i64,
    keys: Keys,
    /// Index of the field `error` of a span.
    error: Option<usize>,
    /// Index of the field `message` of an event.
    message: Option<usize>,
}

/// Converts records into rows.
#[derive(Debug)]
pub(super) struct Converter {
    recorder: Arc<Recorder>,
    pub(super) timeline: Timeline,
    pub(super) self_times: SelfTimes,
    /// By number; known in this file.
    callsites: Vec<Callsite>,
    /// Database ids by number.
    threads: HashMap<u32, i64>,
    /// The last one asked for.
    last_thread: (u32, i64),
    json: JsonWriter,
    /// Spans and events, since the last `take_cut`, of which something was cut or left out.
    cut: u64,
}

impl Converter {
    pub(super) fn new(recorder: Arc<Recorder>, timeline: Timeline, open_spans_max: usize) -> Self {
        Self {
            recorder,
            timeline,
            self_times: SelfTimes::new(open_spans_max),
            callsites: Vec::new(),
            threads: HashMap::new(),
            last_thread: (0, 0),
            json: JsonWriter::default(),
            cut: 0,
        }
    }

    /// How many spans and events have lost part of their fields since the last call.
    pub(super) fn take_cut(&mut self) -> u64 {
        std::mem::take(&mut self.cut)
    }

    /// Forgets what the file knows, because it is another file now.
    pub(super) fn forget_ids(&mut self) {
        self.callsites.clear();
        self.threads.clear();
        self.last_thread = (0, 0);
    }

    /// Takes the intervals of the spans in `raw`, but for its first records, into account for their
    /// parents' self times.
    pub(super) fn add_children(&mut self, raw: &RawBatch, skipped: usize) {
        for record in raw.records_from(skipped) {
            if let Record::Span(head, _) = record
                && head.parent != 0
            {
                let (start, end) = self.interval(&head);
                self.self_times.add_child(head.parent, start, end);
            }
        }
    }

    fn interval(&self, head: &SpanHead) -> (i64, i64) {
        (self.timeline.ns(head.start), self.timeline.ns(head.start + head.duration))
    }

    /// Appends the rows of all records. The children of its spans have been added before.
    pub(super) fn convert(&mut self, raw: &RawBatch, store: &mut Store, batch: &mut Batch) {
        for record in raw.records() {
            match record {
                Record::Span(head, fields) => {
                    let row = self.span(&head, fields, store, &mut batch.text);
                    batch.spans.push(row);
                }
                Record::Event(head, fields) => {
                    let row = self.event(&head, fields, store, &mut batch.text);
                    batch.events.push(row);
                }
                Record::Link(link) => {
                    batch.links.push(LinkRow { span_id: link.span, follows_id: link.follows });
                }
            }
        }
    }

    fn span(
        &mut self,
        head: &SpanHead,
        fields: &[u64],
        store: &mut Store,
        text: &mut String,
    ) -> SpanRow {
        let (start, end) = self.interval(head);
        let duration = end - start;
        let busy = self.timeline.length_ns(head.busy);
        // Rounding must not make a span busier than it lasted.
        let busy = if head.busy <= head.duration { busy.min(duration) } else { busy };
        self.learn_callsite(head.callsite, store);
        let mut status = head.status;
        if status == Status::Ok && self.has_error(head.callsite, fields) {
            status = Status::Error;
        }
        SpanRow {
            id: head.id,
            parent_id: head.parent,
            root_id: head.root,
            callsite_id: self.callsites[usize::from(head.callsite)].id,
            thread_id: self.thread_id(head.thread, store),
            start_ns: start,
            duration_ns: Some(duration),
            busy_ns: busy,
            self_ns: Some(self.self_times.take(head.id, duration)),
            polls: head.polls,
            status,
            fields: self.fields(head.callsite, fields, head.left_out, None, text),
        }
    }

    /// A span that is still open.
    pub(super) fn unfinished(
        &mut self,
        seen: &Seen,
        store: &mut Store,
        text: &mut String,
    ) -> SpanRow {
        self.learn_callsite(seen.callsite, store);
        SpanRow {
            id: seen.id,
            parent_id: seen.parent,
            root_id: seen.root,
            callsite_id: self.callsites[usize::from(seen.callsite)].id,
            thread_id: self.thread_id(seen.thread, store),
            start_ns: self.timeline.ns(seen.start),
            duration_ns: None,
            busy_ns: self.timeline.length_ns(seen.busy),
            self_ns: None,
            polls: seen.polls,
            status: Status::Unfinished,
            fields: self.fields(seen.callsite, &seen.fields, seen.left_out, None, text),
        }
    }

    fn event(
        &mut self,
        head: &EventHead,
        fields: &[u64],
        store: &mut Store,
        text: &mut String,
    ) -> EventRow {
        self.learn_callsite(head.callsite, store);
        let callsite = &self.callsites[usize::from(head.callsite)];
        let start = text.len();
        if let Some(index) = callsite.message
            && let Some(field) = Fields::new(fields).find(|field| field.index == index)
        {
            self.json.push_plain(text, field.value);
        }
        let message = start..text.len();
        let skip = callsite.message;
        EventRow {
            id: head.id,
            span_id: head.span,
            callsite_id: self.callsites[usize::from(head.callsite)].id,
            thread_id: self.thread_id(head.thread, store),
            at_ns: self.timeline.ns(head.at),
            message,
            fields: self.fields(head.callsite, fields, head.left_out, skip, text),
        }
    }

    /// Appends the JSON of fields, without the one at index `skip`.
    #[inline(never)] // so that `scripts/writer_cost.sh` finds it
    fn fields(
        &mut self,
        callsite: u16,
        words: &[u64],
        left_out: bool,
        skip: Option<usize>,
        text: &mut String,
    ) -> std::ops::Range<usize> {
        let start = text.len();
        if words.is_empty() && !left_out {
            return start..start;
        }
        let keys = &self.callsites[usize::from(callsite)].keys;
        self.cut += u64::from(self.json.push_object(text, keys, words, left_out, skip));
        start..text.len()
    }

    fn has_error(&self, callsite: u16, fields: &[u64]) -> bool {
        self.callsites[usize::from(callsite)]
            .error
            .is_some_and(|index| Fields::new(fields).any(|field| field.index == index))
    }

    /// Makes sure that `callsites` reaches up to this number.
    fn learn_callsite(&mut self, number: u16, store: &mut Store) {
        if usize::from(number) < self.callsites.len() {
            return;
        }
        for metadata in self.recorder.callsites.since(self.callsites.len()) {
            let id = store.intern_callsite(&describe(metadata));
            let names: Vec<_> = metadata.fields().iter().map(|field| field.name()).collect();
            let index = |wanted| names.iter().position(|name| *name == wanted);
            let (error, message) = (index("error"), index("message"));
            self.callsites.push(Callsite { id, keys: Keys::new(&names), error, message });
        }
    }

    /// The database id of a thread.
    pub(super) fn thread_id(&mut self, number: u32, store: &mut Store) -> i64 {
        if self.last_thread.0 != number {
            let known = self.threads.get(&number).copied();
            self.last_thread = (number, known.unwrap_or_else(|| self.learn_thread(number, store)));
        }
        self.last_thread.1
    }

    #[cold]
    fn learn_thread(&mut self, number: u32, store: &mut Store) -> i64 {
        for thread in self.recorder.threads.since(self.threads.len()) {
            let id = store.intern_thread(thread.os_id, thread.name.as_deref());
            self.threads.insert(thread.number, id);
        }
        self.threads.get(&number).copied().unwrap_or(0)
    }
}

fn describe(metadata: &Metadata<'_>) -> CallsiteInfo {
    CallsiteInfo {
        kind: if metadata.is_span() { CallsiteKind::Span } else { CallsiteKind::Event },
        name: metadata.name().to_owned(),
        target: metadata.target().to_owned(),
        level: metadata.level().as_str(),
        module: metadata.module_path().map(str::to_owned),
        file: metadata.file().map(str::to_owned),
        line: metadata.line(),
    }
}
