//! The call tree: a stack for each path of names, made of one frame for each callsite.

use std::collections::HashMap;

use super::super::error::ExportError;
use super::super::out::Out;
use super::super::text::{self, integer, json, key, unsigned};
use spandrel_query::stacks::{Frame, StackTree, Weight};
use spandrel_storage::internals::FastHashMap;

/// The samples of a thread: stacks, with their own time.
#[derive(Default)]
pub(super) struct Samples {
    own: Vec<(usize, i64)>,
    until_ns: i64,
}

impl Samples {
    pub(super) fn new(tree: &StackTree, until_ns: i64) -> Self {
        let own = tree.own(Weight::SelfTime).into_iter().enumerate();
        Self { own: own.filter(|(_, ns)| *ns > 0).collect(), until_ns: until_ns.max(0) }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let own = || self.own.iter().copied();
        out.extend_from_slice(b"{\"length\":");
        unsigned(out, self.own.len() as u64);
        column(out, "stack", own(), |out, (stack, _)| unsigned(out, stack as u64));
        let sum: i128 = own().map(|(_, ns)| i128::from(ns)).sum();
        let mut before = 0_i128;
        column(out, "time", own(), |out, (_, ns)| {
            let share = before as f64 / sum.max(1) as f64;
            before += i128::from(ns);
            text::scaled(out, (self.until_ns as f64 * share) as i64, 6);
        });
        column(out, "weight", own(), |out, (_, ns)| text::scaled(out, ns, 6));
        out.extend_from_slice(b",\"weightType\":\"tracing-ms\"}");
    }
}

/// What the samples point to.
pub(super) struct CallTree {
    /// For each stack its frame, and the distance back to its caller's stack.
    stacks: Vec<(u64, usize)>,
    /// For each frame, which is a function, its name, source and line.
    frames: Vec<(u64, Option<u64>, Option<u32>)>,
    sources: Vec<u64>,
}

/// What a frame stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum FrameKey {
    Span(i64),
    /// Long-lived spans of a callsite.
    Entries(i64),
    MissingParent,
    Cut,
}

/// Flags of frames and functions: which of the other columns are set.
const HAS_CATEGORY: u64 = 4;
const HAS_SOURCE: u64 = 8;
const HAS_LINE: u64 = 16;

impl CallTree {
    pub(super) fn new(tree: &StackTree, string: &mut dyn FnMut(&str) -> u64) -> Self {
        let mut made = Self { stacks: Vec::new(), frames: Vec::new(), sources: Vec::new() };
        let mut numbers: FastHashMap<FrameKey, u64> = FastHashMap::default();
        let mut sources: HashMap<&str, u64> = HashMap::new();
        for (at, node) in tree.nodes().iter().enumerate() {
            let (key, callsite) = match &node.frame {
                Frame::Span(callsite) => (FrameKey::Span(callsite.id), Some(callsite)),
                Frame::Entries { callsite, .. } => (FrameKey::Entries(callsite.id), Some(callsite)),
                Frame::MissingParent => (FrameKey::MissingParent, None),
                Frame::Cut => (FrameKey::Cut, None),
            };
            let next = made.frames.len() as u64;
            let frame = *numbers.entry(key).or_insert(next);
            if frame == next {
                let source = callsite.and_then(|it| it.file.as_deref()).map(|file| {
                    *sources.entry(file).or_insert_with(|| {
                        made.sources.push(string(file));
                        made.sources.len() as u64 - 1
                    })
                });
                let line = callsite.and_then(|callsite| callsite.line);
                made.frames.push((string(node.frame.name()), source, line));
            }
            made.stacks.push((frame, node.parent.map_or(0, |parent| at.saturating_sub(parent))));
        }
        made
    }

    /// Writes the tables that all threads share.
    pub(super) fn write(&self, out: &mut Out<'_>) -> Result<(), ExportError> {
        let stacks = || self.stacks.iter().copied();
        let frames = || self.frames.iter().copied();
        let to = &mut out.buffer;
        let mut is_first = true;
        let mut table = |to: &mut Vec<u8>, name: &str, length: usize| {
            if !is_first {
                to.extend_from_slice(b"},");
            }
            is_first = false;
            json(to, name);
            to.extend_from_slice(b":{\"length\":");
            unsigned(to, length as u64);
        };
        table(to, "stackTable", self.stacks.len());
        column(to, "frame", stacks(), |to, (frame, _)| unsigned(to, frame));
        column(to, "prefixOffset", stacks(), |to, (_, offset)| unsigned(to, offset as u64));
        table(to, "frameTable", self.frames.len());
        column(to, "flags", frames(), |to, (.., line)| {
            unsigned(to, HAS_CATEGORY | if line.is_some() { HAS_LINE } else { 0 });
        });
        column(to, "func", frames().enumerate(), |to, (at, _)| unsigned(to, at as u64));
        column(to, "category", frames(), |to, _| to.push(b'1'));
        column(to, "line", frames(), |to, (.., line)| unsigned(to, line.unwrap_or(0).into()));
        for unknown in ["address", "subcategory", "lib", "nativeSymbol", "innerWindowID", "column"]
        {
            column(to, unknown, frames(), |to, _| to.push(b'0'));
        }
        column(to, "originalLocation", frames(), |to, _| to.push(b'0'));
        table(to, "funcTable", self.frames.len());
        column(to, "name", frames(), |to, (name, ..)| unsigned(to, name));
        column(to, "flags", frames(), |to, (_, source, line)| {
            let has_line = if line.is_some() { HAS_LINE } else { 0 };
            unsigned(to, has_line | if source.is_some() { HAS_SOURCE } else { 0 });
        });
        column(to, "source", frames(), |to, (_, source, _)| unsigned(to, source.unwrap_or(0)));
        column(to, "lineNumber", frames(), |to, (.., line)| unsigned(to, line.unwrap_or(0).into()));
        for unknown in ["resource", "columnNumber", "originalLocation"] {
            column(to, unknown, frames(), |to, _| to.push(b'0'));
        }
        table(to, "sources", self.sources.len());
        let sources = || self.sources.iter().copied();
        column(to, "filename", sources(), unsigned);
        for unknown in ["id", "sourceMapURL", "content"] {
            column(to, unknown, sources(), |to, _| to.extend_from_slice(b"null"));
        }
        for first in ["startLine", "startColumn"] {
            column(to, first, sources(), |to, _| integer(to, 1));
        }
        to.extend_from_slice(EMPTY_TABLES);
        Ok(out.flush_if_large()?)
    }
}

/// Empty tables for symbols of native code.
const EMPTY_TABLES: &[u8] = br#"},"resourceTable":{"length":0,"name":[],"host":[],"type":[]},"nativeSymbols":{"length":0,"libIndex":[],"address":[],"name":[],"functionSize":[]},"sourceLocationTable":{"length":0,"source":[],"line":[],"column":[]}"#;

/// Appends `,"name":[…]`.
fn column<T>(
    out: &mut Vec<u8>,
    name: &str,
    values: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    key(out, name);
    out.push(b'[');
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, value);
    }
    out.push(b']');
}
