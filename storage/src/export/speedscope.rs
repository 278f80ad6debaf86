//! speedscope's file format, evented: <https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources>.
//!
//! Each lane of a thread is a profile, since a profile is one stack of calls: events are balanced and
//! never go back in time, which speedscope refuses to load otherwise. A profile's events have to stand
//! together, so they wait in a [`Spool`]. An unfinished span ends with the last moment of the run, and its
//! frame says that it is unfinished. Events, links and fields have no place in the format.
//!
//! Times are whole nanoseconds since the start of the run. Speedscope loads a file into one string: some
//! hundred megabytes are its limit, about five million spans.

use super::Written;
use super::error::ExportError;
use super::lanes::{Lane, Open, Slices};
use super::out::Out;
use super::source::Source;
use super::spool::Spool;
use super::text::{integer, json, key, unsigned};
use super::timeline;
use crate::query::Columns;
use crate::quick_map::QuickMap;
use crate::reader::{Callsite, Span, Thread};

pub(super) fn write(source: &mut Source<'_>, out: &mut Out<'_>) -> Result<Written, ExportError> {
    let mut speedscope = Speedscope {
        spool: Spool::new()?,
        profiles: QuickMap::default(),
        thread_names: QuickMap::default(),
        frames: QuickMap::default(),
        frames_json: Vec::new(),
        last_ns: source.run.last_ns,
    };
    let spans = timeline::slices(source, Columns::Numbers, &mut speedscope)?;
    out.buffer.extend_from_slice(
        b"{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"exporter\":\"spandrel\"",
    );
    key(&mut out.buffer, "name");
    let label = source.run.info.label.as_ref().unwrap_or(&source.run.info.program);
    json(&mut out.buffer, label);
    out.buffer.extend_from_slice(b",\"profiles\":[");
    speedscope.write_profiles(out)?;
    out.buffer.extend_from_slice(b"\n],\"shared\":{\"frames\":[");
    out.buffer.extend_from_slice(&speedscope.frames_json);
    out.buffer.extend_from_slice(b"\n]}}\n");
    Ok(Written { spans, ..Written::default() })
}

struct Speedscope {
    spool: Spool,
    profiles: QuickMap<Lane, Profile>,
    thread_names: QuickMap<u64, String>,
    /// By callsite, and whether the span is unfinished.
    frames: QuickMap<(i64, bool), u64>,
    frames_json: Vec<u8>,
    last_ns: i64,
}

struct Profile {
    stream: u32,
    from_ns: i64,
    to_ns: i64,
}

impl Slices for Speedscope {
    type Error = ExportError;

    fn begin(&mut self, lane: Lane, span: &Span) -> Result<(), ExportError> {
        let thread = &span.thread;
        if lane.group == thread.id as u64 {
            self.thread_names.entry(lane.group).or_insert_with(|| name_of(thread));
        }
        let frame = self.frame(&span.callsite, span.duration_ns.is_none());
        self.event(lane, b'O', span.start_ns, frame)
    }

    fn end(&mut self, lane: Lane, open: &Open) -> Result<(), ExportError> {
        let frame = self.frame(&open.callsite, open.is_unfinished);
        let at_ns = if open.is_unfinished { self.last_ns } else { open.end_ns };
        self.event(lane, b'C', at_ns, frame)
    }
}

fn name_of(thread: &Thread) -> String {
    format!("{} {}", thread.name.as_deref().unwrap_or("thread"), thread.os_id)
}

impl Speedscope {
    fn frame(&mut self, callsite: &Callsite, is_unfinished: bool) -> u64 {
        let next = self.frames.len() as u64;
        let number = *self.frames.entry((callsite.id, is_unfinished)).or_insert(next);
        if number == next {
            let out = &mut self.frames_json;
            out.extend_from_slice(if next == 0 { b"\n{\"name\":" } else { b",\n{\"name\":" });
            if is_unfinished {
                json(out, &format!("{} (unfinished)", callsite.name));
            } else {
                json(out, &callsite.name);
            }
            if let Some(file) = &callsite.file {
                key(out, "file");
                json(out, file);
            }
            if let Some(line) = callsite.line {
                key(out, "line");
                unsigned(out, line.into());
            }
            out.push(b'}');
        }
        number
    }

    fn event(&mut self, lane: Lane, kind: u8, at_ns: i64, frame: u64) -> Result<(), ExportError> {
        let next = self.profiles.len() as u32;
        let profile = self.profiles.entry(lane).or_insert(Profile {
            stream: next,
            from_ns: at_ns,
            to_ns: at_ns,
        });
        profile.to_ns = profile.to_ns.max(at_ns);
        self.last_ns = self.last_ns.max(at_ns);
        self.spool.append(profile.stream, |out, is_first| {
            out.extend_from_slice(if is_first { b"\n{\"type\":\"" } else { b",\n{\"type\":\"" });
            out.extend_from_slice(&[kind, b'"']);
            key(out, "at");
            integer(out, at_ns);
            key(out, "frame");
            unsigned(out, frame);
            out.push(b'}');
        })
    }

    fn write_profiles(&mut self, out: &mut Out<'_>) -> Result<(), ExportError> {
        let Self { spool, profiles, thread_names, .. } = self;
        let mut profiles: Vec<_> = profiles.iter().collect();
        profiles.sort_by_key(|(lane, _)| (lane.group, lane.number));
        for (at, (lane, profile)) in profiles.into_iter().enumerate() {
            let thread = thread_names.get(&lane.group).map_or("thread", String::as_str);
            let name = match lane.number {
                0 => thread.to_owned(),
                number => format!("{thread}, overlapping {number}"),
            };
            out.buffer.extend_from_slice(if at == 0 { b"\n" } else { b",\n" });
            out.buffer
                .extend_from_slice(b"{\"type\":\"evented\",\"unit\":\"nanoseconds\",\"name\":");
            json(&mut out.buffer, &name);
            for (name, value) in [("startValue", profile.from_ns), ("endValue", profile.to_ns)] {
                key(&mut out.buffer, name);
                integer(&mut out.buffer, value);
            }
            key(&mut out.buffer, "events");
            out.buffer.push(b'[');
            spool.write(profile.stream, out)?;
            out.buffer.extend_from_slice(b"\n]}");
        }
        Ok(())
    }
}
