//! A row of the table `span` from its record: <https://sqlite.org/fileformat2.html#record_format>.
//!
//! Malformed records give `None`: SQLite then reads the row, and reports what is wrong.

mod fast;

use super::{Columns, PageQuery};
use crate::raw_span::RawSpan;
use crate::reader::status_named;
use spandrel_storage::Status;

/// The columns that are read here, in the order in which they are stored.
pub(super) const COLUMNS: &str = "id,run_id,parent_id,root_id,callsite_id,thread_id,start_ns,\
    duration_ns,busy_ns,self_ns,entries,status,fields,first_entry_ns,longest_entry_ns,last_exit_ns,\
    longest_thread_id,self_busy_ns";

const NULL: u64 = 0;
/// From here on, odd serial types are texts.
const TEXT: u64 = 13;

/// How to read an integer of a serial type from the eight bytes that begin with it. A table instead of branches,
/// since types are hard to predict.
#[derive(Clone, Copy)]
struct Integer {
    /// Its bytes.
    length: u8,
    /// An arithmetic shift to the right by this many bits keeps the sign.
    shift: u8,
    /// The value of types that have no bytes.
    constant: u8,
    /// All ones if it has bytes, else zero.
    mask: i64,
    /// Not 0: this type is no integer.
    malformed: u8,
}

const INTEGERS: [Integer; 16] = {
    let none = Integer { length: 0, shift: 0, constant: 0, mask: 0, malformed: 1 };
    let mut all = [none; 16];
    // NULL, 0 and 1.
    all[0].malformed = 0;
    all[8].malformed = 0;
    all[9] = Integer { constant: 1, malformed: 0, ..none };
    let (types, lengths) = ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 6, 8]);
    let mut at = 0;
    while at < types.len() {
        let length = lengths[at];
        let shift = 64 - 8 * length;
        all[types[at]] = Integer { length, shift, constant: 0, mask: -1, malformed: 0 };
        at += 1;
    }
    all
};

/// Bytes that must follow a record for the fast way.
pub(super) const BEHIND: usize = fast::START;

/// A record, or the part of it that is on the page of its row.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    /// The record and what follows it, so that eight bytes can be read at once.
    bytes: &'a [u8],
    length: usize,
}

impl<'a> Record<'a> {
    /// The record in the first `length` bytes.
    pub(super) fn at_start_of(bytes: &'a [u8], length: usize) -> Option<Self> {
        (length <= bytes.len()).then_some(Self { bytes, length })
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Reads the values of a record one after the other.
struct Values<'a> {
    /// Serial types; those from `at` on are not read yet.
    types: &'a [u8],
    at: usize,
    record: Record<'a>,
    /// The position of the next value in the record.
    next: usize,
    /// Something was malformed: no value that was read is valid.
    is_malformed: bool,
}

impl<'a> Values<'a> {
    #[inline(always)]
    fn of(record: Record<'a>) -> Option<Self> {
        let mut types = record.bytes;
        let header = usize::try_from(take_varint(&mut types)?).ok()?;
        let at = record.bytes.len() - types.len();
        let types = record.bytes.get(..header).filter(|_| header <= record.length)?;
        let is_malformed = at > header;
        Some(Self { types, at, record, next: header, is_malformed })
    }

    /// The next serial type, if it is not a single byte. Columns that were added later are missing in older rows:
    /// NULL.
    #[cold]
    fn serial(&mut self) -> u64 {
        let Some(mut rest) = self.types.get(self.at..).filter(|rest| !rest.is_empty()) else {
            return NULL;
        };
        match take_varint(&mut rest) {
            Some(serial) => {
                self.at = self.types.len() - rest.len();
                serial
            }
            None => {
                self.is_malformed = true;
                NULL
            }
        }
    }

    /// Whether there is no value, and the value.
    #[inline(always)]
    fn integer(&mut self) -> (bool, i64) {
        let serial = match self.types.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                u64::from(byte)
            }
            _ => self.serial(),
        };
        let Some(kind) = INTEGERS.get(serial as usize).filter(|_| serial < 16) else {
            self.is_malformed = true;
            return (true, 0);
        };
        self.is_malformed |= kind.malformed != 0;
        let bytes = self.record.bytes.get(self.next..).unwrap_or_default();
        let eight = match bytes.first_chunk::<8>() {
            Some(bytes) => i64::from_be_bytes(*bytes),
            None => eight_of(bytes),
        };
        self.next += usize::from(kind.length);
        (serial == NULL, ((eight >> kind.shift) & kind.mask) + i64::from(kind.constant))
    }

    #[inline(always)]
    fn maybe(&mut self) -> Option<i64> {
        let (is_null, value) = self.integer();
        (!is_null).then_some(value)
    }

    #[inline(always)]
    fn number(&mut self) -> i64 {
        let (is_null, value) = self.integer();
        self.is_malformed |= is_null;
        value
    }

    /// `None`: NULL, or no text.
    #[inline(always)]
    fn text(&mut self) -> Option<&'a [u8]> {
        let serial = match self.types.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                u64::from(byte)
            }
            _ => self.serial(),
        };
        let length = match serial.checked_sub(TEXT) {
            Some(rest) if rest.is_multiple_of(2) => rest / 2,
            _ => {
                self.is_malformed |= serial != NULL;
                return None;
            }
        };
        // A text that ends behind the record is malformed.
        let end = self.next.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        let text = self.record.bytes.get(self.next..end);
        self.next = end;
        text
    }

    /// Whether all that was read so far is well-formed.
    #[inline(always)]
    fn are_valid(&self) -> bool {
        !self.is_malformed && self.next <= self.record.length
    }
}

/// The last bytes of a page, padded with zeros.
#[cold]
fn eight_of(bytes: &[u8]) -> i64 {
    let mut eight = [0; 8];
    eight.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    i64::from_be_bytes(eight)
}

/// The result of reading a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'a> {
    /// A row that matches, and its fields.
    Row(Option<&'a str>),
    /// A row that does not match.
    PassedOver,
    /// Malformed: SQLite has to read it.
    Fallback,
}

/// Reads the row of this id, if it matches. Columns that were not requested may be missing.
#[inline]
pub(super) fn read<'a>(
    id: i64,
    record: Record<'a>,
    wanted: &PageQuery<'_>,
    span: &mut RawSpan,
) -> Read<'a> {
    match fast::read(id, record, wanted, span) {
        Read::Fallback => read_any(id, record, wanted, span).unwrap_or(Read::Fallback),
        read => read,
    }
}

/// The general case.
#[cold]
fn read_any<'a>(
    id: i64,
    record: Record<'a>,
    wanted: &PageQuery<'_>,
    span: &mut RawSpan,
) -> Option<Read<'a>> {
    let mut values = Values::of(record)?;
    // The id stands before the record; its column is NULL.
    let own_id = values.maybe();
    let (run_id, parent_id, root_id) = (values.number(), values.maybe(), values.number());
    let callsite_id = values.number();
    if own_id.is_some() || !values.are_valid() {
        return None;
    }
    // If a name is selected, most rows are skipped here.
    if !wanted.has(run_id, parent_id, callsite_id) {
        return Some(Read::PassedOver);
    }
    *span = RawSpan {
        id,
        parent_id,
        root_id,
        callsite_id,
        thread_id: values.number(),
        start_ns: values.number(),
        duration_ns: values.maybe(),
        busy_ns: values.maybe(),
        self_ns: values.maybe(),
        entries: values.number(),
        status: status(values.text()?)?,
        ..RawSpan::default()
    };
    if wanted.columns == Columns::Numbers {
        return values.are_valid().then_some(Read::Row(None));
    }
    let text = values.text();
    span.first_entry_ns = values.maybe();
    span.longest_entry_ns = values.maybe();
    span.last_exit_ns = values.maybe();
    span.longest_thread_id = values.maybe();
    span.self_busy_ns = values.maybe();
    if !values.are_valid() {
        return None;
    }
    fields(text, wanted).map(Read::Row)
}

/// The fields, if they are requested. `None`: they are no text.
#[inline]
fn fields<'a>(text: Option<&'a [u8]>, wanted: &PageQuery<'_>) -> Option<Option<&'a str>> {
    match text.filter(|_| wanted.columns == Columns::All) {
        Some(text) => Some(Some(std::str::from_utf8(text).ok()?)),
        None => Some(None),
    }
}

#[inline]
fn status(text: &[u8]) -> Option<Status> {
    // The usual case.
    if text == b"ok" {
        return Some(Status::Ok);
    }
    status_named(text)
}

/// Seven bits a byte, the highest first, and eight in the ninth.
#[inline]
pub(super) fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = from.split_first()?;
    if first < 0x80 {
        *from = rest;
        return Some(u64::from(first));
    }
    if let Some(eight) = from.first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        // The highest bit is 0 in the last byte of a varint.
        let ends = !word & 0x8080_8080_8080_8080;
        if ends != 0 {
            let bits = ends.trailing_zeros() + 1;
            *from = from.get(bits as usize / 8..)?;
            return Some(join_sevens(word.swap_bytes() >> (64 - bits)));
        }
    }
    take_long_varint(from)
}

/// Joins seven bits of each byte.
#[inline]
fn join_sevens(bytes: u64) -> u64 {
    let two = (bytes & 0x007F_007F_007F_007F) | (bytes & 0x7F00_7F00_7F00_7F00) >> 1;
    let four = (two & 0x0000_3FFF_0000_3FFF) | (two & 0x3FFF_0000_3FFF_0000) >> 2;
    (four & 0x0FFF_FFFF) | (four & 0x0FFF_FFFF_0000_0000) >> 4
}

/// A varint of nine bytes, or near the end of the page.
#[cold]
fn take_long_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..9 {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        if at == 8 {
            return Some(value << 8 | u64::from(byte));
        }
        value = value << 7 | u64::from(byte & 0x7F);
        if byte < 0x80 {
            break;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests;
