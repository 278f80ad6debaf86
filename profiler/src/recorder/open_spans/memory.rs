//! Memory that the table takes, and how much of it has been touched.

use super::OpenSpans;
use crate::memory_use::MemoryUse;
use crate::recorder::page_map::PageMap;

/// Adds up lists.
struct Sum {
    pages: Option<PageMap>,
    sum: MemoryUse,
}

impl Sum {
    fn add<T>(&mut self, list: &[T]) {
        let bytes = size_of_val(list) as u64;
        let resident = self.pages.as_mut().and_then(|pages| pages.resident(list));
        self.sum += MemoryUse { reserved: bytes, used: resident.unwrap_or(bytes) };
    }
}

impl OpenSpans {
    /// Memory for everything about open spans. If it is not known which pages were touched, all of it
    /// counts as used.
    pub(crate) fn memory(&self, pages: Option<PageMap>) -> MemoryUse {
        let mut sum = Sum { pages, sum: MemoryUse::whole(self.direct.bytes()) };
        sum.add(&self.close_claims);
        if self.is_there {
            // The pages of a file are the system's, and there from the beginning.
            sum.pages = None;
        }
        sum.add(self.spans.cells());
        sum.add(&self.foreign);
        self.spills.tables().into_iter().for_each(|table| sum.add(table));
        sum.add(self.overwrites.table());
        sum.sum
    }
}
