//! What can be asked of a span.

use super::super::SpanRef;

/// The keys of the language, for completions; `field.` goes on with the name of a field.
pub const KEYS: &[&str] = &[
    "name",
    "target",
    "level",
    "module",
    "file",
    "thread",
    "status",
    "dur",
    "self",
    "self_busy",
    "busy",
    "idle",
    "longest",
    "wait",
    "exit",
    "start",
    "entries",
    "id",
    "trace",
    "trace_id",
    "parent",
    "field.",
];

/// A column of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKey {
    Name,
    Target,
    Module,
    File,
    Thread,
}

impl TextKey {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "name" => Self::Name,
            "target" => Self::Target,
            "module" => Self::Module,
            "file" => Self::File,
            "thread" => Self::Thread,
            _ => return None,
        })
    }

    /// Whether the text, if there is one, passes the test.
    pub(super) fn with(self, span: &SpanRef<'_>, test: impl FnOnce(&str) -> bool) -> bool {
        let callsite = span.callsite;
        let text = match self {
            Self::Name => Some(callsite.name.as_str()),
            Self::Target => Some(&*callsite.target),
            Self::Module => callsite.module.as_deref(),
            Self::File => callsite.file.as_deref(),
            // Where the work was done.
            Self::Thread => match &span.longest_thread.name {
                Some(name) => Some(name.as_str()),
                // As the views of the database say it.
                None => return test(&format!("thread {}", span.longest_thread.os_id)),
            },
        };
        text.is_some_and(test)
    }
}

/// A column of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberKey {
    Duration,
    SelfTime,
    SelfBusy,
    Busy,
    Idle,
    Longest,
    Wait,
    Exit,
    Start,
    Entries,
    Id,
    Trace,
    Parent,
}

/// How the values of a column of numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    Duration,
    /// A duration, with a plus sign or without.
    Offset,
    Count,
    /// A number, with this letter before it or without.
    Id(char),
}

impl NumberKey {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "dur" => Self::Duration,
            "self" => Self::SelfTime,
            "self_busy" => Self::SelfBusy,
            "busy" => Self::Busy,
            "idle" => Self::Idle,
            "longest" => Self::Longest,
            "wait" => Self::Wait,
            "exit" => Self::Exit,
            "start" => Self::Start,
            // What they were called before version 3 of the schema.
            "entries" | "polls" => Self::Entries,
            "id" => Self::Id,
            "trace" => Self::Trace,
            "parent" => Self::Parent,
            _ => return None,
        })
    }

    pub(super) const fn notation(self) -> Notation {
        match self {
            Self::Duration | Self::SelfTime | Self::Busy | Self::Idle => Notation::Duration,
            Self::SelfBusy | Self::Longest | Self::Wait | Self::Exit => Notation::Duration,
            Self::Start => Notation::Offset,
            Self::Entries => Notation::Count,
            Self::Id | Self::Parent => Notation::Id('s'),
            Self::Trace => Notation::Id('t'),
        }
    }

    /// Whether it is of a call, and of each entry of a span that lives long another one.
    pub(super) fn is_of_call(self) -> bool {
        matches!(
            self,
            Self::Duration
                | Self::SelfTime
                | Self::SelfBusy
                | Self::Busy
                | Self::Idle
                | Self::Longest
                | Self::Start
        )
    }

    /// Whether it stands in columns of entries, which not every scan reads.
    pub(super) fn is_of_entries(self) -> bool {
        matches!(self, Self::SelfBusy | Self::Longest | Self::Wait | Self::Exit)
    }

    /// Whether it is known only where the time inside of spans was measured.
    pub(super) fn is_of_busy_times(self) -> bool {
        matches!(self, Self::Busy | Self::Idle) || self.is_of_entries()
    }

    /// The number, if the span has it. Wide enough for all columns.
    pub(super) fn of(self, span: &SpanRef<'_>) -> Option<i128> {
        match self {
            Self::Duration => span.duration_ns.map(i128::from),
            Self::SelfTime => span.self_ns.map(i128::from),
            Self::SelfBusy => span.self_busy_ns.map(i128::from),
            Self::Busy => span.busy_ns.map(i128::from),
            Self::Idle => span.idle_ns().map(i128::from),
            Self::Longest => span.longest_entry_ns.map(i128::from),
            Self::Wait => span.first_entry_ns.map(i128::from),
            Self::Exit => span.last_exit_ns.map(i128::from),
            Self::Start => Some(i128::from(span.start_ns)),
            Self::Entries => Some(i128::from(span.entries)),
            Self::Id => Some(i128::from(span.id)),
            Self::Trace => Some(i128::from(span.root_id)),
            Self::Parent => span.parent_id.map(i128::from),
        }
    }
}

/// The levels of `tracing`, in its order: the more severe, the less.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// The place of a level in their order, whatever the case.
pub(super) fn level_rank(level: &str) -> Option<u8> {
    let at = LEVELS.iter().position(|known| known.eq_ignore_ascii_case(level))?;
    u8::try_from(at).ok()
}
