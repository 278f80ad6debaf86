//! A game, as an engine with systems records it: each frame is a trace, and the systems are spans that live
//! as long as the game, are nobody's children, and are entered once a frame.

use std::path::Path;

use spandrel_storage::{Batch, EntryRow, OpenSpanRow, SpanRow, Status};

use super::fixture::{Recording, Shared, info};

pub const US: i64 = 1_000;
pub const MS: i64 = 1_000_000;
pub const FRAMES: u64 = 200;
/// Frames begin so long after each other, and take so long.
pub const APART: i64 = 20 * MS;
pub const FRAME: i64 = 16 * MS;
/// The frame in which a system is entered a hundred and twenty times, which makes it a little longer.
pub const BUSY_FRAME: u64 = 50;
pub const VISITS: i64 = 120;

/// Whether the systems have been closed when the recording ends, or are still open while it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Game {
    Over,
    GoesOn,
}

/// The profile of a game that is over, which no test may change.
pub fn profile() -> &'static Path {
    static PROFILE: Shared = Shared::new();
    PROFILE.written_by(|path| write(path, Game::Over))
}

/// The profiles of `said/frames.md`.
pub fn write_both(folder: &Path) {
    write(&super::said::at(folder, "over"), Game::Over);
    write(&super::said::at(folder, "goes_on"), Game::GoesOn);
}

/// The number of the first span of a frame: `update`, then `schedule`, then `solve`.
pub fn frame_id(frame: u64) -> u64 {
    100 + frame * 10
}

/// Ids of the systems.
pub const PHYSICS: u64 = 1;
pub const COLLIDE: u64 = 2;
pub const RENDER: u64 = 3;
pub const POLL: u64 = 4;
pub const AUDIO: u64 = 5;

pub struct Systems {
    callsite_id: i64,
    main: i64,
    next_id: u64,
    pub entries: Vec<EntryRow>,
}

impl Systems {
    fn enter(&mut self, span_id: u64, around_id: u64, (from, length, own): (i64, i64, i64)) {
        self.enter_on(self.main, span_id, around_id, (from, length, own));
    }

    fn enter_on(&mut self, thread_id: i64, span_id: u64, around_id: u64, times: (i64, i64, i64)) {
        self.next_id += 1;
        self.entries.push(EntryRow {
            id: self.next_id,
            span_id,
            callsite_id: self.callsite_id,
            thread_id,
            start_ns: times.0,
            duration_ns: times.1,
            around_id,
            self_ns: Some(times.2),
            earlier_entries: 0,
            earlier_ns: 0,
        });
    }
}

/// Writes the profile.
///
/// ```text
///  update    ├──────────────── 16 ms ────────────────┤
///   schedule   ├───────────── 15 ms ─────────────┤
///    physics     ├───── 9 ms ─────┤                      entry, with the span
///     solve        ├ 4 ms ┤                              and the entry
///     collide                ├2 ms┤                      inside it
///    render                          ├─ 3 ms ─┤
/// ```
/// And `audio` on a thread of its own.
pub fn write(path: &Path, game: Game) {
    let mut run = Recording::begin(path, &info(1));
    let [update, schedule, solve, system] =
        ["update", "schedule", "solve", "system"].map(|name| run.name(name));
    let (main, one) = (run.thread_id, run.span(0, system, 0, 0));
    let mut store = run.store;
    let other = store.intern_thread(2, 12, Some("audio"));
    let mut systems =
        Systems { callsite_id: system, main, next_id: 1_000_000, entries: Vec::new() };
    let mut batch = Batch::default();
    for frame in 0..FRAMES {
        let (id, at) = (frame_id(frame), frame as i64 * APART);
        let longer = if frame == BUSY_FRAME { MS } else { 0 };
        let row = |id, parent_id, root_id, callsite_id, from, length: i64, own| SpanRow {
            id,
            parent_id,
            root_id,
            callsite_id,
            start_ns: from,
            duration_ns: Some(length),
            busy_ns: Some(length),
            self_ns: Some(own),
            first_entry_ns: Some(0),
            ..one.clone()
        };
        // Innermost first, as they end.
        batch.spans.push(row(id + 2, PHYSICS, PHYSICS, solve, at + 2 * MS, 4 * MS, 4 * MS));
        systems.enter(COLLIDE, PHYSICS, (at + 7 * MS, 2 * MS, 2 * MS));
        systems.enter(PHYSICS, id + 1, (at + MS, 9 * MS, 3 * MS));
        systems.enter(RENDER, id + 1, (at + 11 * MS, 3 * MS, 3 * MS));
        let mut polls = 0;
        if frame == BUSY_FRAME {
            for visit in 0..VISITS {
                let length = if visit == 7 { 9 * US } else { 4 * US };
                polls += length;
                let from = at + 15 * MS + visit * 10 * US;
                systems.enter(POLL, id + 1, (from, length, length));
            }
        }
        systems.enter_on(other, AUDIO, 0, (at + MS, 2 * MS, 2 * MS));
        let length = 15 * MS + longer;
        let own = length - 12 * MS - polls;
        batch.spans.push(row(id + 1, id, id, schedule, at + MS / 2, length, own));
        batch.spans.push(row(id, 0, id, update, at, FRAME + longer, MS));
    }
    let end = FRAMES as i64 * APART;
    let names = ["physics", "collide", "render", "poll", "audio"];
    for (id, name) in (1..).zip(names) {
        let own = systems.entries.iter().filter(|entry| entry.span_id == id);
        let lengths: Vec<i64> = own.map(|entry| entry.duration_ns).collect();
        let from = batch.text.len();
        batch.text.push_str(&format!(r#"{{"name":"{name}"}}"#));
        let longest = lengths.iter().copied().max();
        let span = SpanRow {
            id,
            root_id: id,
            duration_ns: (game == Game::Over).then_some(end),
            busy_ns: Some(lengths.iter().sum()),
            self_ns: None,
            entries: lengths.len() as u64,
            first_entry_ns: Some(MS),
            longest_entry_ns: longest,
            last_exit_ns: Some(end - MS),
            status: if game == Game::Over { Status::Ok } else { Status::Unfinished },
            fields: from..batch.text.len(),
            ..one.clone()
        };
        match game {
            Game::Over => batch.spans.push(span),
            Game::GoesOn => {
                batch.open_spans.get_or_insert_default().push(OpenSpanRow { span, seen_ns: end })
            }
        }
    }
    batch.entries = systems.entries;
    // In several commits, as by a writer that goes along.
    let mut late = Batch { text: batch.text.clone(), ..Batch::default() };
    late.open_spans = batch.open_spans.take();
    for frame in 0..FRAMES {
        let at = frame as i64 * APART;
        let is_now = |start: i64, is_system: bool| (at..at + APART).contains(&start) && !is_system;
        let spans = batch.spans.iter().filter(|span| is_now(span.start_ns, span.id < 100));
        let entries = batch.entries.iter().filter(|entry| is_now(entry.start_ns, false));
        let mut now = Batch {
            spans: spans.cloned().collect(),
            entries: entries.copied().collect(),
            ..Batch::default()
        };
        store.append(&mut now).unwrap();
    }
    late.spans = batch.spans.into_iter().filter(|span| span.id < 100).collect();
    store.append(&mut late).unwrap();
    if game == Game::Over {
        store.end_run(info(1).started_unix_ns + end, "{}").unwrap();
    }
    store.close().unwrap();
}
