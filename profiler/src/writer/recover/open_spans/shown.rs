//! Open spans of a ring as others see them.

use std::collections::HashMap;
use std::path::PathBuf;

use spandrel_storage::DrainedRow;

use super::super::RingOwner;
use super::super::pieces::further_pieces;
use crate::recorder::clock::Timeline;
use crate::recorder::open_spans::Seen;
use crate::recorder::record::Ids;
use crate::recorder::ring_file::dead_names::DeadNames;
use crate::writer::json::JsonWriter;
use crate::writer::keys::Keys;

/// The open spans of one program, as its ring file has them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingOpen {
    /// The ring file.
    pub ring: PathBuf,
    /// Whether it lives.
    pub owner: RingOwner,
    /// Whether it has closed the recording: nothing is open then.
    pub was_closed: bool,
    /// The process.
    pub pid: u64,
    /// Its program.
    pub program: String,
    /// The run's `uuid` in the profile.
    pub run: String,
    /// When the run began, in nanoseconds since 1970.
    pub started_unix_ns: i64,
    /// Up to when this is known, in nanoseconds since the run began: the moment of the look; of a process that has died,
    /// its last sign of life.
    pub seen_ns: i64,
    /// The spans, the oldest first.
    pub spans: Vec<OpenInRing>,
    /// Slots that have something that no recorder writes.
    pub damaged: u64,
    /// Slots that were given to one span after the other for as long as they were looked at.
    pub turned: u64,
}

/// An open span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenInRing {
    /// Its id in the ring. Where the ring is collected, ids in the profile are [others](IdsInProfile).
    pub id: u64,
    /// The id of the span that it is in; 0 if it is in none.
    pub parent_id: u64,
    /// The id of the outermost span around it, itself if it is in none.
    pub root_id: u64,
    /// Its name.
    pub name: String,
    /// Its target.
    pub target: String,
    /// Its level, such as `INFO`.
    pub level: String,
    /// The number of the thread that made it, which no other thread of the process has.
    pub thread: u32,
    /// The name of that thread, if it has one.
    pub thread_name: Option<String>,
    /// The system's id of that thread; 0 if it is not known.
    pub thread_os_id: u64,
    /// When it was made, in nanoseconds since the run began.
    pub start_ns: i64,
    /// For how long it is open up to the look; at least, if the process has died.
    pub age_ns: i64,
    /// How often it was entered.
    pub entries: u64,
    /// Time inside; `None` if it is not measured, or it was just being entered and left.
    pub busy_ns: Option<i64>,
    /// From its start to its first entry; `None` as above, and if there was none.
    pub first_entry_ns: Option<i64>,
    /// The longest entry; likewise.
    pub longest_entry_ns: Option<i64>,
    /// From its start to its last exit, or to the look if a thread is inside; likewise.
    pub last_exit_ns: Option<i64>,
    /// Its fields, a JSON object without secrets.
    pub fields: Option<String>,
    /// Some of its fields are not there: there was no room for them, or they were just being recorded.
    pub are_fields_left_out: bool,
}

/// Ids of a ring in the profile into which it is collected.
#[derive(Debug, Clone)]
pub struct IdsInProfile(Ids);

impl IdsInProfile {
    /// Those of a run whose ids begin there, and of whose ring the profile says this.
    #[must_use]
    pub fn of_run(first_id: u64, drained: &[DrainedRow]) -> Self {
        let mut ids = Ids::beginning_at(first_id);
        further_pieces(drained).for_each(|piece| ids.go_on_with(piece));
        Self(ids)
    }

    /// The id that an id of the ring has in the profile. It may have another one yet, as long as no row has it.
    #[must_use]
    pub fn of(&self, id: u64) -> u64 {
        self.0.of(id)
    }
}

/// What turns words of open spans into what they mean.
#[derive(Debug, Default)]
pub(super) struct Shower {
    keys: HashMap<u32, Keys>,
    json: JsonWriter,
}

impl Shower {
    pub(super) fn new(names: &DeadNames) -> Self {
        Self { keys: HashMap::new(), json: JsonWriter::new(names.redaction()) }
    }

    /// A span as it was at `now_ns`. Its callsite, thread and fields were checked.
    pub(super) fn show(
        &mut self,
        seen: &Seen,
        (names, timeline): (&DeadNames, &Timeline),
        now_ns: i64,
        has_times: bool,
    ) -> OpenInRing {
        let site = names.callsites.get(&seen.callsite).map(|site| site.described());
        let thread = names.threads.get(&seen.thread);
        let start_ns = timeline.start_ns(seen.start, now_ns).min(now_ns);
        let mut shown = OpenInRing {
            id: seen.id,
            parent_id: seen.parent,
            root_id: seen.root,
            thread: seen.thread,
            thread_name: thread.and_then(|thread| thread.name.clone()),
            thread_os_id: thread.map_or(0, |thread| thread.os_id),
            start_ns,
            age_ns: now_ns - start_ns,
            entries: seen.entries.count,
            are_fields_left_out: seen.left_out,
            ..OpenInRing::default()
        };
        if let Some(site) = site {
            let redaction = || names.redaction();
            let keys = self.keys.entry(seen.callsite).or_insert_with(|| {
                let redaction = redaction();
                Keys::new(&site.fields, |name| redaction.secrecy(name))
            });
            self.json.begin(String::new());
            self.json.push_object(keys, &seen.fields, seen.left_out, None);
            shown.fields = Some(self.json.end()).filter(|text| !text.is_empty());
            (shown.name, shown.target) = (site.name.to_owned(), site.target.to_owned());
            shown.level = site.level.to_owned();
        }
        if has_times {
            add_times(&mut shown, seen, timeline, now_ns);
        }
        shown
    }
}

/// The times of its entries, as rows of open spans have them.
fn add_times(shown: &mut OpenInRing, seen: &Seen, timeline: &Timeline, now_ns: i64) {
    let (start, entries) = (shown.start_ns, &seen.entries);
    if entries.count == 0 {
        shown.busy_ns = Some(0);
        return;
    }
    // As moments: rounding must not change which of two was earlier.
    let last = timeline.start_ns(entries.last, now_ns).clamp(start, now_ns);
    let first = timeline.start_ns(entries.first, last).clamp(start, last);
    shown.first_entry_ns = Some(first - start);
    shown.last_exit_ns = Some(last - start);
    if entries.count == 1 {
        (shown.busy_ns, shown.longest_entry_ns) = (Some(last - first), Some(last - first));
        return;
    }
    let busy = timeline.length_ns(entries.busy);
    // More than it is open only where several threads are inside.
    let is_one_thread = entries.busy <= seen.at.saturating_sub(seen.start) || timeline.has_jumped();
    let busy = if is_one_thread { busy.clamp(0, shown.age_ns) } else { busy };
    shown.busy_ns = Some(busy);
    let longest = timeline.length_ns(entries.longest);
    shown.longest_entry_ns = Some(longest.clamp(0, busy.min(shown.age_ns)));
}
