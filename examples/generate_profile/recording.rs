//! One run: what happens goes into batches as a writer's would, and they into the store.
//!
//! A span is stored once it has ended, an event as soon as it has happened. When the last span has
//! begun, the recording ends, and what is still open is stored as unfinished.

use std::path::Path;

use serde_json::json;
use spandrel_storage::{
    Appended, Batch, CallsiteInfo, Error, EventRow, LinkRow, LossRow, RunInfo, SpanRow, Status,
    Store, StoreOptions, Synchronous, WriterStatRow,
};

use crate::arguments::{LABEL, Settings};
use crate::callsites::{self, ANSWERED, RETRIED};
use crate::fields::{self, Seed};
use crate::ids::Ids;
use crate::random::Random;
use crate::shapes::Shapes;
use crate::timeline::Timeline;
use crate::trace::{Item, Moment, NEVER, Trace};

/// Spans that wait before a batch is written, and so many at least if only a second has gone by.
const BATCH_MAX: usize = 32_768;
const BATCH_MIN: usize = 4_096;
const SECOND_NS: i64 = 1_000_000_000;
const LOST: &str = "ring_full";
/// The first run began at this moment; it is in the past for any retention.
const EPOCH_NS: i64 = 1_760_000_000 * SECOND_NS;
const RING: u64 = 65_536;

/// A span that has begun.
struct Begun {
    row: SpanRow,
    callsite: usize,
    seed: Seed,
    end_ns: i64,
    lost: bool,
}

/// What a run has come to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub stored: u64,
    pub lost: u64,
    pub unfinished: u64,
    pub events: u64,
    pub links: u64,
    pub batches: u64,
    pub length_ns: i64,
}

struct Recording<'a> {
    store: &'a mut Store,
    settings: &'a Settings,
    spans: Vec<i64>,
    events: Vec<i64>,
    threads: Vec<i64>,
    ids: Ids,
    begun: Vec<Begun>,
    batch: Batch,
    totals: Totals,
    /// The second for which there is a row in `writer_stat`.
    second: i64,
}

/// Records run number `run` of the settings, counted from 1. Each run opens the file anew, as another
/// process would.
pub fn record(
    path: &Path,
    settings: &Settings,
    run: u64,
    mut progress: impl FnMut(u64),
) -> Result<Totals, Error> {
    let places = callsites::spans(settings.names);
    let seed = Random::new(settings.seed.wrapping_add(run)).bits();
    let slower = run + settings.slower_runs > settings.runs;
    let shapes = Shapes::new(settings, seed, &places, slower);
    let mut timeline = Timeline::new(settings, shapes);

    // Nobody else has anything in this file that a power failure could take.
    let options = StoreOptions { synchronous: Synchronous::Off, ..StoreOptions::default() };
    let mut store = Store::open(path, &options)?;
    let started_unix_ns = begin(&mut store, settings, run, seed)?;
    let mut recording = Recording::new(&mut store, settings, &places);
    let mut begun = 0;
    let mut end_ns = 0;
    while begun < settings.spans {
        let Some((at_ns, item, trace)) = timeline.next() else { break };
        end_ns = at_ns;
        match item {
            Item::Span(index) => {
                recording.span(trace, index);
                begun += 1;
            }
            Item::Event(moment) => recording.event(trace, moment),
        }
        let due = recording.begun.len() >= BATCH_MIN && at_ns / SECOND_NS > recording.second;
        if due || recording.begun.len() >= BATCH_MAX {
            recording.commit(at_ns, false)?;
            progress(begun);
        }
    }
    while let Some((_, item, trace)) = timeline.next_until(end_ns) {
        // A span would begin at the very moment of the end: it comes too late.
        if let Item::Event(moment) = item {
            recording.event(trace, moment);
        }
    }
    recording.commit(end_ns, true)?;
    let totals = Totals { length_ns: end_ns, ..recording.totals };
    // Half a second for closing.
    store.end_run(started_unix_ns + end_ns + SECOND_NS / 2, &totals.report())?;
    store.close()?;
    Ok(totals)
}

fn begin(store: &mut Store, settings: &Settings, run: u64, seed: u64) -> Result<i64, Error> {
    // An hour and the length of a run from start to start.
    let seconds = 3_600 + settings.spans / settings.rate;
    let started_unix_ns = EPOCH_NS + (run as i64 - 1) * seconds as i64 * SECOND_NS;
    store.begin_run(&RunInfo {
        uuid: format!("{:016x}{seed:016x}", Random::new(seed).bits()),
        label: Some(format!("{LABEL} {run} of {}", settings.runs)),
        started_unix_ns,
        pid: 4_000 + run as u32,
        program: "/usr/local/bin/shop".to_owned(),
        args: r#"["--listen","127.0.0.1:8080"]"#.to_owned(),
        host: "example".to_owned(),
        os: "linux x86_64".to_owned(),
        cpus: settings.threads,
        clock: "tsc".to_owned(),
        settings: json!({
            "version": env!("CARGO_PKG_VERSION"), "ring_capacity": RING, "batch_size": BATCH_MAX,
            "flush_interval_ms": 1_000, "busy_time": true, "generated": settings.to_string(),
        })
        .to_string(),
    })?;
    Ok(started_unix_ns)
}

impl<'a> Recording<'a> {
    fn new(store: &'a mut Store, settings: &'a Settings, places: &[CallsiteInfo]) -> Self {
        let spans = places.iter().map(|place| store.intern_callsite(place)).collect();
        let events = callsites::events().iter().map(|place| store.intern_callsite(place)).collect();
        let thread = |number: u32| {
            let name = format!("tokio-runtime-worker-{number}");
            store.intern_thread(number, 4_100 + u64::from(number), Some(&name))
        };
        let threads = (1..=settings.threads).map(thread).collect();
        let ids = Ids::new(store.next_id(), settings.threads);
        let (begun, batch, totals) = (Vec::new(), Batch::default(), Totals::default());
        Self { store, settings, spans, events, threads, ids, begun, batch, totals, second: 0 }
    }

    fn span(&mut self, trace: &mut Trace, index: usize) {
        let node = &trace.nodes[index];
        let id = self.ids.take(node.thread, node.start_ns);
        trace.nodes[index].id = id;
        let node = &trace.nodes[index];
        if let Some(follows) = node.follows {
            self.batch.links.push(LinkRow { span_id: id, follows_id: trace.nodes[follows].id });
        }
        let (length_ns, is_again) = (node.end_ns - node.start_ns, node.polls > 1);
        self.begun.push(Begun {
            row: SpanRow {
                id,
                parent_id: node.parent.map_or(0, |parent| trace.nodes[parent].id),
                root_id: trace.root_id(),
                callsite_id: self.spans[node.callsite],
                thread_id: self.threads[node.thread as usize],
                start_ns: node.start_ns,
                duration_ns: Some(node.end_ns - node.start_ns),
                busy_ns: Some(node.busy_ns),
                self_ns: Some(node.self_ns),
                self_busy_ns: (node.in_children_ns > 0)
                    .then(|| (node.busy_ns - node.in_children_ns).max(0)),
                entries: node.polls,
                first_entry_ns: Some(FIRST_ENTRY_NS.min(length_ns - node.busy_ns).max(0)),
                longest_entry_ns: is_again.then(|| node.busy_ns - node.busy_ns / 3),
                last_exit_ns: is_again.then_some(length_ns),
                longest_thread_id: 0,
                status: node.status,
                fields: 0..0,
            },
            callsite: node.callsite,
            seed: node.seed,
            end_ns: node.end_ns,
            lost: node.lost,
        });
    }

    fn event(&mut self, trace: &Trace, moment: Moment) {
        let node = &trace.nodes[moment.node];
        let mut text = |part: std::fmt::Arguments<'_>| {
            let start = self.batch.text.len();
            self.batch.text.push_str(&part.to_string());
            start..self.batch.text.len()
        };
        let (message, fields) = match moment.event {
            RETRIED => (text(format_args!("trying again")), 0..0),
            ANSWERED => (text(format_args!("answered")), text(format_args!(r#"{{"code":200}}"#))),
            _ => {
                let error = "connection reset by peer (os error 104)";
                let shard = node.seed.shard;
                let fields = format_args!(r#"{{"error":"{error}","shard":{shard}}}"#);
                (text(format_args!("the query failed")), text(fields))
            }
        };
        self.batch.events.push(EventRow {
            id: self.ids.take(node.thread, moment.at_ns),
            span_id: node.id,
            callsite_id: self.events[moment.event],
            thread_id: self.threads[node.thread as usize],
            at_ns: moment.at_ns,
            message,
            fields,
        });
    }

    /// Stores what has ended by now; in the end, what has not, too.
    fn commit(&mut self, now_ns: i64, last: bool) -> Result<(), Error> {
        let mut loss = LossRow {
            reason: LOST,
            from_ns: now_ns,
            to_ns: 0,
            spans: 0,
            events: 0,
            entries: 0,
            thread_id: None,
        };
        let mut kept = 0;
        for at in 0..self.begun.len() {
            let begun = &mut self.begun[at];
            if begun.end_ns > now_ns {
                if !last {
                    self.begun.swap(kept, at);
                    kept += 1;
                    continue;
                }
                begun.cut_off(now_ns);
                self.totals.unfinished += 1;
            } else if begun.lost {
                loss.spans += 1;
                loss.from_ns = loss.from_ns.min(begun.end_ns);
                loss.to_ns = loss.to_ns.max(begun.end_ns);
                continue;
            }
            let start = self.batch.text.len();
            fields::write(&mut self.batch.text, begun.callsite, begun.seed, self.settings.fields);
            let fields = start..self.batch.text.len();
            self.batch.spans.push(SpanRow { fields, ..begun.row.clone() });
        }
        self.begun.truncate(kept);
        self.totals.lost += loss.spans;
        self.batch.losses.extend((loss.spans > 0).then_some(loss));
        self.append(now_ns, last)
    }

    fn append(&mut self, now_ns: i64, last: bool) -> Result<(), Error> {
        self.totals.stored += self.batch.spans.len() as u64;
        self.totals.events += self.batch.events.len() as u64;
        self.totals.links += self.batch.links.len() as u64;
        self.totals.batches += 1;
        let appended = self.store.append(&mut self.batch)?;
        self.batch.clear();
        if now_ns / SECOND_NS > self.second || last {
            self.second = now_ns / SECOND_NS;
            // The size of the file is that before the batch that this row goes with.
            self.batch.writer_stat = Some(self.writer_stat(now_ns, &appended));
        }
        if last && !self.batch.is_empty() {
            self.store.append(&mut self.batch)?;
            self.batch.clear();
        }
        Ok(())
    }

    fn writer_stat(&self, at_ns: i64, appended: &Appended) -> WriterStatRow {
        let Totals { stored, lost, events, batches, .. } = self.totals;
        WriterStatRow {
            at_ns,
            recorded: stored + lost,
            stored,
            dropped: dropped(lost).to_string(),
            events_recorded: events,
            events_stored: events,
            events_dropped: dropped(0).to_string(),
            batches,
            largest_batch_ns: appended.commit_ns,
            ring_high_water: self.totals.ring_high_water(),
            wal_bytes: appended.wal_bytes,
            file_bytes: appended.file_bytes,
            open_spans: self.begun.len() as u64,
            entries_recorded: 0,
            entries_stored: 0,
            entries_dropped: dropped(0).to_string(),
        }
    }
}

/// From the creation of a span to its first entry.
const FIRST_ENTRY_NS: i64 = 120;

impl Begun {
    /// What is known of it when the recording ends before it does.
    fn cut_off(&mut self, now_ns: i64) {
        let row = &mut self.row;
        let age_ns = now_ns - row.start_ns;
        let busy_ns = row.busy_ns.unwrap_or(0);
        let length_ns = self.end_ns - row.start_ns;
        let share = if self.end_ns >= NEVER { 1.0 } else { age_ns as f64 / length_ns as f64 };
        row.busy_ns = Some(((busy_ns as f64 * share) as i64).min(age_ns));
        row.duration_ns = None;
        row.self_ns = None;
        row.entries = 1;
        (row.longest_entry_ns, row.last_exit_ns) = (None, None);
        row.status = Status::Unfinished;
    }
}

fn dropped(spans: u64) -> serde_json::Value {
    if spans == 0 { json!({}) } else { json!({ LOST: spans }) }
}

impl Totals {
    fn ring_high_water(&self) -> u64 {
        if self.lost > 0 { RING } else { RING / 50 }
    }

    /// As `Profiler::close` writes it.
    fn report(&self) -> String {
        let ledger = |stored: u64, lost: u64| {
            json!({
                "recorded": stored + lost, "stored": stored, "dropped": lost,
                "dropped_by": dropped(lost), "in_flight": 0,
            })
        };
        json!({
            "spans": ledger(self.stored, self.lost), "events": ledger(self.events, 0),
            "links": ledger(self.links, 0), "unfinished": self.unfinished, "cut": 0,
            "ring_high_water": self.ring_high_water(), "ring_capacity": RING,
            "batches": self.batches, "timed_out": false, "last_error": null,
        })
        .to_string()
    }
}
