//! speedscope's file format: <https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources>.
//!
//! The first profile, which is what opens, is sampled: a stack for each path of names, whose weight is the time
//! that no path below it took. Of children side by side, that is right only here: the others are evented,
//! one for each lane of a thread, as a profile is one stack of calls, and what lies in another lane takes nothing
//! off its parent. There, events are balanced and never go back in time, which speedscope refuses to load
//! otherwise. A profile's events have to stand together, so they wait in a [`Spool`]. All of them begin
//! at the start of the run and end together, so that their axes are one. An unfinished span ends with the last
//! moment, and its frame says that it is unfinished, or that its process crashed over it; it is in no sum. Events, links and fields have no
//! place in the format.
//!
//! Times are whole nanoseconds since the start of the run; what would be before it is put at 0. Speedscope
//! loads a file into one string: some hundred megabytes are its limit, about five million spans.

use super::Written;
use super::error::ExportError;
use super::lanes::{Lane, Open, Slice, Slices};
use super::out::Out;
use super::source::Source;
use super::spool::Spool;
use super::text::{integer, json, key, maybe, member, unsigned};
use super::timeline;
use spandrel_query::Columns;
use spandrel_query::OrderRows as _;
use spandrel_query::stacks::{Frame, StackTree, Weight};
use spandrel_query::{Callsite, Thread};
use spandrel_storage::internals::FastHashMap;

/// The first profile; the others are of threads.
const BY_PATH: &str = "all spans: self time by path";

pub(super) fn write(source: &mut Source<'_>, out: &mut Out<'_>) -> Result<Written, ExportError> {
    let mut speedscope = Speedscope {
        spool: Spool::new()?,
        profiles: FastHashMap::default(),
        thread_names: FastHashMap::default(),
        frames: FastHashMap::default(),
        frames_json: Vec::new(),
        last_ns: at(source.run.last_ns),
    };
    let (drawn, tree) = timeline::slices_and_stacks(source, Columns::Numbers, &mut speedscope)?;
    out.buffer.extend_from_slice(
        b"{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"exporter\":\"spandrel\"",
    );
    let label = source.run.info.label.as_ref().unwrap_or(&source.run.info.program);
    member(&mut out.buffer, "name", label);
    out.buffer.extend_from_slice(b",\"activeProfileIndex\":0,\"profiles\":[");
    speedscope.write_paths(&tree, out)?;
    speedscope.write_lanes(out)?;
    out.buffer.extend_from_slice(b"\n],\"shared\":{\"frames\":[");
    out.buffer.extend_from_slice(&speedscope.frames_json);
    out.buffer.extend_from_slice(b"\n]}}\n");
    Ok(Written { spans: drawn.spans, entries: drawn.entries, ..Written::default() })
}

/// A moment, from the start of the run on.
fn at(ns: i64) -> i64 {
    ns.max(0)
}

/// What a frame stands for: spans of a callsite, closed or unfinished, or a special frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum FrameKey {
    Closed(i64),
    Unfinished(i64),
    /// Spans over which the process crashed.
    Crashed(i64),
    /// Long-lived spans.
    Entries(i64),
    MissingParent,
    Cut,
}

struct Speedscope {
    spool: Spool,
    /// The streams of the lanes.
    profiles: FastHashMap<Lane, u32>,
    thread_names: FastHashMap<u64, String>,
    frames: FastHashMap<FrameKey, u64>,
    frames_json: Vec<u8>,
    last_ns: i64,
}

impl Slices for Speedscope {
    type Error = ExportError;

    fn begin(&mut self, lane: Lane, _number: u64, slice: &Slice<'_>) -> Result<(), ExportError> {
        let thread = slice.thread;
        if lane.group == thread.id as u64 {
            self.thread_names.entry(lane.group).or_insert_with(|| name_of(thread));
        }
        let frame = self.frame_of(slice.callsite, slice.to_ns.is_none(), slice.is_crashed());
        self.event(lane, b'O', slice.from_ns, frame)
    }

    fn end(&mut self, lane: Lane, open: &Open) -> Result<(), ExportError> {
        let frame = self.frame_of(&open.callsite, open.is_unfinished, open.is_crashed);
        let at_ns = if open.is_unfinished { self.last_ns } else { open.end_ns };
        self.event(lane, b'C', at_ns, frame)
    }
}

fn name_of(thread: &Thread) -> String {
    format!("{} {}", thread.name.as_deref().unwrap_or("thread"), thread.os_id)
}

impl Speedscope {
    fn frame_of(&mut self, callsite: &Callsite, is_unfinished: bool, is_crashed: bool) -> u64 {
        if is_crashed {
            let name = format!("{} (crashed)", callsite.name);
            return self.frame(FrameKey::Crashed(callsite.id), &name, Some(callsite));
        }
        if is_unfinished {
            let name = format!("{} (unfinished)", callsite.name);
            return self.frame(FrameKey::Unfinished(callsite.id), &name, Some(callsite));
        }
        self.frame(FrameKey::Closed(callsite.id), &callsite.name, Some(callsite))
    }

    fn frame(&mut self, frame: FrameKey, name: &str, callsite: Option<&Callsite>) -> u64 {
        let next = self.frames.len() as u64;
        let number = *self.frames.entry(frame).or_insert(next);
        if number == next {
            let out = &mut self.frames_json;
            out.extend_from_slice(if next == 0 { b"\n{\"name\":" } else { b",\n{\"name\":" });
            json(out, name);
            maybe(out, "file", callsite.and_then(|callsite| callsite.file.as_deref()));
            maybe(out, "line", callsite.and_then(|callsite| callsite.line.map(u64::from)));
            out.push(b'}');
        }
        number
    }

    fn event(&mut self, lane: Lane, kind: u8, at_ns: i64, frame: u64) -> Result<(), ExportError> {
        let next = self.profiles.len() as u32;
        let stream = *self.profiles.entry(lane).or_insert(next);
        self.last_ns = self.last_ns.max(at_ns);
        self.spool.append(stream, |out, is_first| {
            out.extend_from_slice(if is_first { b"\n{\"type\":\"" } else { b",\n{\"type\":\"" });
            out.extend_from_slice(&[kind, b'"']);
            member(out, "at", at(at_ns));
            member(out, "frame", frame);
            out.push(b'}');
        })
    }

    fn write_paths(&mut self, tree: &StackTree, out: &mut Out<'_>) -> Result<(), ExportError> {
        let own: Vec<(usize, i64)> =
            tree.own(Weight::SelfTime).into_iter().enumerate().filter(|(_, ns)| *ns > 0).collect();
        let sum = own.iter().map(|(_, ns)| *ns).fold(0, i64::saturating_add);
        profile(&mut out.buffer, "sampled", BY_PATH, sum);
        key(&mut out.buffer, "samples");
        for (place, (node, _)) in own.iter().enumerate() {
            out.buffer.extend_from_slice(if place == 0 { b"[\n[" } else { b",\n[" });
            for (depth, frame) in tree.path(*node).into_iter().enumerate() {
                if depth > 0 {
                    out.buffer.push(b',');
                }
                let number = match frame {
                    Frame::Span(callsite) => self.frame_of(callsite, false, false),
                    Frame::Entries { callsite, name } => {
                        self.frame(FrameKey::Entries(callsite.id), name, Some(callsite))
                    }
                    Frame::MissingParent => self.frame(FrameKey::MissingParent, frame.name(), None),
                    Frame::Cut => self.frame(FrameKey::Cut, frame.name(), None),
                };
                unsigned(&mut out.buffer, number);
            }
            out.buffer.push(b']');
            out.flush_if_large()?;
        }
        out.buffer.extend_from_slice(if own.is_empty() { b"[]" } else { b"]" });
        key(&mut out.buffer, "weights");
        out.buffer.push(b'[');
        for (place, (_, ns)) in own.iter().enumerate() {
            if place > 0 {
                out.buffer.push(b',');
            }
            integer(&mut out.buffer, *ns);
        }
        out.buffer.extend_from_slice(b"]}");
        Ok(out.flush_if_large()?)
    }

    fn write_lanes(&mut self, out: &mut Out<'_>) -> Result<(), ExportError> {
        let Self { spool, profiles, thread_names, last_ns, .. } = self;
        let mut profiles: Vec<_> = profiles.iter().collect();
        profiles.order_by_key(|(lane, _)| (lane.group, lane.is_async, lane.number));
        for (lane, stream) in profiles {
            let thread = thread_names.get(&lane.group).map_or("thread", String::as_str);
            let name = match lane.name() {
                further if further.is_empty() => thread.to_owned(),
                further => format!("{thread}, {further}"),
            };
            out.buffer.push(b',');
            profile(&mut out.buffer, "evented", &name, *last_ns);
            key(&mut out.buffer, "events");
            out.buffer.push(b'[');
            spool.write(*stream, out)?;
            out.buffer.extend_from_slice(b"\n]}");
        }
        Ok(())
    }
}

/// The head of a profile.
fn profile(out: &mut Vec<u8>, kind: &str, name: &str, until_ns: i64) {
    out.extend_from_slice(b"\n{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"unit\":\"nanoseconds\",\"name\":");
    json(out, name);
    out.extend_from_slice(b",\"startValue\":0,\"endValue\":");
    integer(out, until_ns);
}
