//! The tracks of events, each described once, before its first event.

use super::super::lanes::Lane;
use super::super::proto::{message, signed, string, unsigned};
use super::packet;
use spandrel_query::{Run, Thread};
use spandrel_storage::internals::FastHashMap;

/// The process: the track that all others are below.
const PROCESS: u64 = 1;

/// Which tracks were described, and their numbers.
pub(super) struct Tracks {
    pid: u32,
    next: u64,
    threads: FastHashMap<u64, u64>,
    lanes: FastHashMap<Lane, u64>,
    events: FastHashMap<i64, u64>,
}

impl Tracks {
    pub(super) fn new(run: &Run, out: &mut Vec<u8>) -> Self {
        descriptor(out, PROCESS, None, |out| {
            message(out, 3, |out| {
                signed(out, 1, run.info.pid.into());
                string(out, 2, &run.info.program);
                string(out, 6, &run.info.program);
                string(out, 8, &format!("run {}", run.id));
                if let Some(label) = &run.info.label {
                    string(out, 8, label);
                }
            });
        });
        Self {
            pid: run.info.pid,
            next: PROCESS + 1,
            threads: FastHashMap::default(),
            lanes: FastHashMap::default(),
            events: FastHashMap::default(),
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn thread(&mut self, thread: &Thread, out: &mut Vec<u8>) -> u64 {
        let key = thread.id as u64;
        if let Some(track) = self.threads.get(&key) {
            return *track;
        }
        let track = self.number();
        self.threads.insert(key, track);
        descriptor(out, track, Some(PROCESS), |out| {
            message(out, 4, |out| {
                signed(out, 1, self.pid.into());
                // The operating system reuses its numbers; these are unique.
                signed(out, 2, thread.id);
                string(out, 5, &thread_name(thread));
            });
        });
        track
    }

    /// The track of a lane in which a span of `thread` begins.
    pub(super) fn lane(&mut self, lane: Lane, thread: &Thread, out: &mut Vec<u8>) -> u64 {
        if let Some(track) = self.lanes.get(&lane) {
            return *track;
        }
        // The outermost span in the first lane of a group made the group.
        let parent = match self.threads.get(&lane.group) {
            Some(track) => *track,
            None => self.thread(thread, out),
        };
        let track = if lane.number == 0 && !lane.is_async {
            parent
        } else {
            let track = self.number();
            let name = if lane.is_async { "async" } else { "overlapping" };
            descriptor(out, track, Some(parent), |out| string(out, 2, name));
            track
        };
        self.lanes.insert(lane, track);
        track
    }

    /// The track of a lane in which something has begun.
    pub(super) fn existing(&self, lane: Lane) -> Option<u64> {
        self.lanes.get(&lane).copied()
    }

    /// The track of a thread's events.
    pub(super) fn events(&mut self, thread: &Thread, out: &mut Vec<u8>) -> u64 {
        if let Some(track) = self.events.get(&thread.id) {
            return *track;
        }
        let parent = self.thread(thread, out);
        let track = self.number();
        descriptor(out, track, Some(parent), |out| string(out, 2, "events"));
        self.events.insert(thread.id, track);
        track
    }

    /// A track below the process.
    pub(super) fn below_process(&mut self, name: &str, counter: bool, out: &mut Vec<u8>) -> u64 {
        let track = self.number();
        descriptor(out, track, Some(PROCESS), |out| {
            string(out, 2, name);
            if counter {
                message(out, 8, |_| ());
            }
        });
        track
    }
}

/// The name of a thread, with the number that the operating system gave it.
pub(super) fn thread_name(thread: &Thread) -> String {
    format!("{} {}", thread.name.as_deref().unwrap_or("thread"), thread.os_id)
}

/// A packet with a `TrackDescriptor`, of which `write` writes the rest.
fn descriptor(
    out: &mut Vec<u8>,
    track: u64,
    parent: Option<u64>,
    write: impl FnOnce(&mut Vec<u8>),
) {
    packet(out, |out| {
        unsigned(out, 10, super::Sequence::Spans as u64);
        message(out, 60, |out| {
            unsigned(out, 1, track);
            if let Some(parent) = parent {
                unsigned(out, 5, parent);
            }
            write(out);
        });
    });
}
