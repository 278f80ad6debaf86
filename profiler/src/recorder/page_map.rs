//! How much of a table is in memory.
//!
//! The system provides memory when it is touched, and tells which pages it has provided (Linux,
//! `Documentation/admin-guide/mm/pagemap.rst`): a word for each page of the process. Reading it needs no
//! privilege, and delays no other thread.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

/// Bytes of the word for a page.
const WORD: usize = size_of::<u64>();
/// The page belongs to this process alone: it was written to. A page that was only read is a page of
/// zeros that all processes share.
const IS_OURS: u64 = 1 << 56;
const IS_SWAPPED: u64 = 1 << 62;
/// Words that are read at once.
const WORDS: usize = 512;

/// The pages of this process.
#[derive(Debug)]
pub(crate) struct PageMap {
    file: File,
    page_bytes: usize,
}

impl PageMap {
    /// `None` if the system does not tell.
    pub(crate) fn open() -> Option<Self> {
        if cfg!(miri) {
            return None;
        }
        Some(Self { file: File::open("/proc/self/pagemap").ok()?, page_bytes: page_bytes()? })
    }

    /// How many bytes of a list are in memory, or swapped out. `None` if that is not known.
    pub(crate) fn resident<T>(&mut self, list: &[T]) -> Option<u64> {
        let begin = list.as_ptr().addr();
        self.resident_between(begin, begin + size_of_val(list)).ok()
    }

    fn resident_between(&mut self, begin: usize, end: usize) -> io::Result<u64> {
        let mut words = [0_u8; WORDS * WORD];
        let mut page = begin / self.page_bytes;
        let last = end.div_ceil(self.page_bytes);
        let mut bytes = 0;
        self.file.seek(SeekFrom::Start((page * WORD) as u64))?;
        while page < last {
            let most = WORDS.min(last - page) * WORD;
            let read = match self.file.read(&mut words[..most]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for word in words[..read].as_chunks::<WORD>().0 {
                if u64::from_ne_bytes(*word) & (IS_OURS | IS_SWAPPED) != 0 {
                    // Parts of the first page and of the last one may belong to others.
                    let start = (page * self.page_bytes).max(begin);
                    bytes += ((page + 1) * self.page_bytes).min(end) - start;
                }
                page += 1;
            }
        }
        Ok(bytes as u64)
    }
}

/// The size of a page. The system has given it to the process at its start, in pairs of a name and a
/// value.
fn page_bytes() -> Option<usize> {
    const PAGE_SIZE: usize = 6;
    let pairs = fs::read("/proc/self/auxv").ok()?;
    let words = pairs.as_chunks::<{ size_of::<usize>() }>().0;
    let number = |word: &[u8; size_of::<usize>()]| usize::from_ne_bytes(*word);
    let found = words.as_chunks::<2>().0.iter().find(|pair| number(&pair[0]) == PAGE_SIZE)?;
    Some(number(&found[1])).filter(|bytes| bytes.is_power_of_two())
}

#[cfg(all(test, target_os = "linux", not(any(miri, spandrel_loom))))]
mod tests {
    use spandrel_ring::Zeros;

    use super::*;
    use crate::sync::{AtomicU64, Ordering};

    #[test]
    fn pages_count_once_they_are_written_to() {
        let mut pages = PageMap::open().unwrap();
        let table = Zeros::<AtomicU64>::new(4 << 20);
        let page = pages.page_bytes;
        // If the system provides large pages unasked, one word brings 2 MiB.
        let huge = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
        let is_huge = huge.is_ok_and(|modes| modes.contains("[always]"));
        let slack = if is_huge { 2 << 20 } else { page as u64 };
        // The allocator has written before the first word.
        let at_first = pages.resident(&table).unwrap();
        assert!(at_first <= slack, "{at_first}");
        // Looking is not touching.
        assert!(table.iter().step_by(page / 8).all(|word| word.load(Ordering::Relaxed) == 0));
        assert_eq!(pages.resident(&table), Some(at_first));
        let half = table.len() / 2;
        table[..half].iter().step_by(page / 8).for_each(|word| word.store(1, Ordering::Relaxed));
        let touched = pages.resident(&table).unwrap();
        assert!(touched.abs_diff(half as u64 * 8) <= slack, "{touched}");
        assert_eq!(pages.resident(&table[..8]), Some(64), "less than a page");
    }
}
