//! Memory that a recording takes, by part.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MemoryUse {
    /// Allocated. The system provides memory when it is touched, so not all of it may exist.
    pub reserved: u64,
    /// How much of that holds something, or has been touched.
    pub used: u64,
}

impl MemoryUse {
    /// Bytes that are allocated and all in use.
    #[must_use]
    pub fn whole(bytes: usize) -> Self {
        Self { reserved: bytes as u64, used: bytes as u64 }
    }

    /// A list: room for all its values is reserved, the present ones are used.
    #[must_use]
    pub fn of<T>(list: &Vec<T>) -> Self {
        let bytes = |values: usize| (values * size_of::<T>()) as u64;
        Self { reserved: bytes(list.capacity()), used: bytes(list.len()) }
    }
}

impl Add for MemoryUse {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { reserved: self.reserved + other.reserved, used: self.used + other.used }
    }
}

impl AddAssign for MemoryUse {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

macro_rules! parts {
    ($($(#[$doc:meta])* $variant:ident $name:ident,)*) => {
        /// A part of the memory that a recording takes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum MemoryPart {
            $($(#[$doc])* $variant,)*
        }

        impl MemoryPart {
            /// All parts.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in reports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($name),)* }
            }
        }
    };
}

parts! {
    /// The ring, by [`ProfilerBuilder::ring_capacity`](crate::ProfilerBuilder::ring_capacity): all of it from the start.
    Ring ring,
    /// The table of open spans with their fields, by
    /// [`ProfilerBuilder::max_open_spans`](crate::ProfilerBuilder::max_open_spans) and
    /// [`ProfilerBuilder::max_field_bytes`](crate::ProfilerBuilder::max_field_bytes). The system
    /// provides it page by page, when more spans are open at once than ever before.
    OpenSpans open_spans,
    /// What is known about callsites and threads: depends on how many the program has.
    Names names,
    /// Records that the writer has taken from the ring and not converted yet, while spans come faster
    /// than they are stored: at most sixteen times what the ring holds and 64 MiB, or twice the ring if
    /// that is more.
    Drained drained,
    /// The rows of a commit, by [`ProfilerBuilder::batch_size`](crate::ProfilerBuilder::batch_size).
    Rows rows,
    /// What ran inside of spans that have not come yet, for their self times.
    SelfTimes self_times,
    /// Sums and histograms by callsite, of the last seconds.
    Rollups rollups,
    /// The rows of a commit as pages for SQLite, and its copy of those.
    Image image,
    /// Pages of the file that SQLite keeps in memory.
    Pages pages,
}

const PARTS: usize = MemoryPart::ALL.len();

/// Memory that a recording takes: its parts and their sum, at the last count.
///
/// What the writer holds is counted with each commit; the rest is counted once a second, with each flush
/// and at the close. Not included are the stack of the writer's thread, statements and definitions in
/// SQLite (some hundred KiB), and the pages of the program's and libraries' code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    parts: [MemoryUse; PARTS],
    /// Most bytes in use of each part ...
    peaks: [u64; PARTS],
    /// ... and of all together.
    peak: u64,
}

impl Memory {
    /// What one part takes.
    #[must_use]
    pub fn by(&self, part: MemoryPart) -> MemoryUse {
        self.parts[part as usize]
    }

    /// Every part.
    pub fn iter(&self) -> impl Iterator<Item = (MemoryPart, MemoryUse)> + '_ {
        MemoryPart::ALL.iter().map(|part| (*part, self.by(*part)))
    }

    /// The sum of all parts.
    #[must_use]
    pub fn total(&self) -> MemoryUse {
        self.parts.iter().fold(MemoryUse::default(), |sum, part| sum + *part)
    }

    /// The largest sum of what was in use, in bytes, over all counts.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// The same for one part.
    #[must_use]
    pub fn peak_of(&self, part: MemoryPart) -> u64 {
        self.peaks[part as usize]
    }

    /// A part was counted.
    pub(crate) fn set(&mut self, part: MemoryPart, bytes: MemoryUse) {
        self.parts[part as usize] = bytes;
        let peak = &mut self.peaks[part as usize];
        *peak = bytes.used.max(*peak);
    }

    /// All parts are set.
    pub(crate) fn counted(&mut self) {
        self.peak = self.peak.max(self.total().used);
    }

    /// For column `run.report`.
    pub(crate) fn to_json(self) -> String {
        let MemoryUse { reserved, used } = self.total();
        let parts = self.iter().map(|(part, MemoryUse { reserved, used })| {
            let (part, peak) = (part.as_str(), self.peak_of(part));
            format!(r#"{{"part":"{part}","reserved_bytes":{reserved},"used_bytes":{used},"peak_bytes":{peak}}}"#)
        });
        let (parts, peak) = (parts.collect::<Vec<_>>().join(","), self.peak);
        format!(
            r#"{{"reserved_bytes":{reserved},"used_bytes":{used},"peak_bytes":{peak},"parts":[{parts}]}}"#
        )
    }
}

impl fmt::Display for Memory {
    /// `11.2 MiB (ring 4.0 MiB, ...)`: what is in use.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |bytes| crate::memory::human(bytes);
        let parts = self.iter().map(|(part, by)| format!("{} {}", part.as_str(), bytes(by.used)));
        write!(f, "{} ({})", bytes(self.total().used), parts.collect::<Vec<_>>().join(", "))
    }
}

/// The same, for others to see.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Reserved, used, and most in use.
    parts: [[AtomicU64; 3]; PARTS],
    peak: AtomicU64,
}

// Relaxed, below: independent figures; no other memory is published by them.
impl Shown {
    /// Only the writer calls this.
    pub(crate) fn show(&self, memory: &Memory) {
        for (shown, (part, bytes)) in self.parts.iter().zip(memory.iter()) {
            let figures = [bytes.reserved, bytes.used, memory.peak_of(part)];
            shown.iter().zip(figures).for_each(|(to, figure)| to.store(figure, Ordering::Relaxed));
        }
        self.peak.store(memory.peak, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Memory {
        let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let parts = self.parts.each_ref().map(|part| part.each_ref().map(get));
        Memory {
            parts: parts.map(|[reserved, used, _]| MemoryUse { reserved, used }),
            peaks: parts.map(|[.., peak]| peak),
            peak: get(&self.peak),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_was_counted() {
        let (shown, mut memory) = (Shown::default(), Memory::default());
        for (n, part) in MemoryPart::ALL.iter().enumerate() {
            memory.set(*part, MemoryUse { reserved: 1 << (20 + n), used: 1 << n });
        }
        memory.counted();
        memory.set(MemoryPart::Drained, MemoryUse::default());
        memory.counted();
        let all = (1_u64 << MemoryPart::ALL.len()) - 1;
        assert_eq!((memory.total().used, memory.peak()), (all - 8, all));
        assert_eq!(memory.peak_of(MemoryPart::Drained), 8);
        shown.show(&memory);
        assert_eq!(shown.get(), memory);
        assert!(memory.to_string().starts_with("503 bytes (ring 1 bytes, "), "{memory}");
        let said = memory.to_json();
        assert!(
            said.contains(r#"{"part":"drained","reserved_bytes":0,"used_bytes":0,"peak_bytes":8}"#),
            "{said}"
        );
        assert!(
            said.contains(
                r#"{"part":"ring","reserved_bytes":1048576,"used_bytes":1,"peak_bytes":1}"#
            ),
            "{said}"
        );
    }
}
