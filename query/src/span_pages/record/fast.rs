//! The fast way for nearly all records: spans with status `ok`, and types of one byte each, but for the fields.
//!
//! The first columns lie within the first bytes of a record, so no length has to be checked for each; errors are
//! collected and checked once at the end.

use super::super::{Columns, PageQuery};
use super::{INTEGERS, NULL, Read, Record, TEXT, fields, take_varint};
use crate::raw_span::RawSpan;
use spandrel_storage::Status;

/// The columns up to the status lie within this many bytes: the header in the first half, and ten numbers of eight
/// bytes at most. As many bytes must follow each record.
pub(in crate::span_pages) const START: usize = 256;
/// Longer headers take the general way. Ours have 19 or 20 bytes.
const HEADER_MAX: usize = 31;
/// Columns up to the status.
const FIRST: usize = 12;
/// The five numbers after the fields lie within the first half of this many bytes.
const END: usize = 128;
/// The type of a text of two bytes.
const OK: u8 = 17;

/// Numbers that are read one after the other.
struct Numbers<const N: usize> {
    /// The position of the next one.
    at: usize,
    /// Not 0: something was malformed.
    malformed: u8,
}

impl<const N: usize> Numbers<N> {
    /// Whether it is NULL, and the number.
    #[inline(always)]
    fn next(&mut self, kind: u8, bytes: &[u8; N]) -> (bool, i64) {
        let of_kind = &INTEGERS[usize::from(kind & 15)];
        self.malformed |= of_kind.malformed | (kind & 0xF0);
        // Never more than this, which the compiler cannot know.
        let from = self.at & (N / 2 - 1);
        let eight = match bytes.get(from..).and_then(|bytes| bytes.first_chunk::<8>()) {
            Some(eight) => i64::from_be_bytes(*eight),
            None => 0,
        };
        self.at += usize::from(of_kind.length);
        let value = ((eight >> of_kind.shift) & of_kind.mask) + i64::from(of_kind.constant);
        (u64::from(kind) == NULL, value)
    }

    #[inline(always)]
    fn maybe(&mut self, kind: u8, bytes: &[u8; N]) -> Option<i64> {
        let (is_null, value) = self.next(kind, bytes);
        (!is_null).then_some(value)
    }

    #[inline(always)]
    fn number(&mut self, kind: u8, bytes: &[u8; N]) -> i64 {
        let (is_null, value) = self.next(kind, bytes);
        self.malformed |= u8::from(is_null);
        value
    }
}

/// [`Read::Fallback`] also for what the general way can read.
#[inline(always)]
pub(super) fn read<'a>(
    id: i64,
    record: Record<'a>,
    wanted: &PageQuery<'_>,
    span: &mut RawSpan,
) -> Read<'a> {
    let Some(start) = record.bytes.first_chunk::<START>() else { return Read::Fallback };
    let header = usize::from(start[0]);
    if !(FIRST + 1..=HEADER_MAX).contains(&header) {
        return Read::Fallback;
    }
    let mut numbers = Numbers::<START> { at: header, malformed: 0 };
    // The id stands before the record; its column is NULL.
    numbers.malformed |= start[1];
    let run_id = numbers.number(start[2], start);
    let parent_id = numbers.maybe(start[3], start);
    let root_id = numbers.number(start[4], start);
    let callsite_id = numbers.number(start[5], start);
    if numbers.malformed != 0 || numbers.at > record.length {
        return Read::Fallback;
    }
    // If a name is selected, most rows are skipped here.
    if !wanted.has(run_id, parent_id, callsite_id) {
        return Read::PassedOver;
    }
    span.id = id;
    span.parent_id = parent_id;
    span.root_id = root_id;
    span.callsite_id = callsite_id;
    span.thread_id = numbers.number(start[6], start);
    span.start_ns = numbers.number(start[7], start);
    span.duration_ns = numbers.maybe(start[8], start);
    span.busy_ns = numbers.maybe(start[9], start);
    span.self_ns = numbers.maybe(start[10], start);
    span.entries = numbers.number(start[11], start);
    span.status = Status::Ok;
    let status = numbers.at & 127;
    let behind = numbers.at + 2;
    if numbers.malformed != 0
        || start[FIRST] != OK
        || start.get(status..status + 2) != Some(b"ok")
        || behind > record.length
    {
        return Read::Fallback;
    }
    span.first_entry_ns = None;
    span.longest_entry_ns = None;
    span.last_exit_ns = None;
    span.longest_thread_id = None;
    span.self_busy_ns = None;
    if wanted.columns == Columns::Numbers {
        return Read::Row(None);
    }
    rest(record, (header, behind), wanted, span).unwrap_or(Read::Fallback)
}

/// The fields, and the numbers behind them.
#[inline(always)]
fn rest<'a>(
    record: Record<'a>,
    (header, at): (usize, usize),
    wanted: &PageQuery<'_>,
    span: &mut RawSpan,
) -> Option<Read<'a>> {
    let types = record.bytes.get(FIRST + 1..header)?;
    let mut behind = types;
    let (text, at) = match types.first() {
        None | Some(0) => {
            behind = types.get(1..).unwrap_or_default();
            (None, at)
        }
        Some(_) => {
            let length = take_varint(&mut behind)?.checked_sub(TEXT)?;
            if !length.is_multiple_of(2) || length > record.length as u64 * 2 {
                return None;
            }
            let end = at + length as usize / 2;
            (Some(record.bytes.get(at..end)?), end)
        }
    };
    let bytes = record.bytes.get(at..)?.first_chunk::<END>()?;
    let mut kinds = [0_u8; 5];
    // Columns that were added later are missing in older rows: NULL.
    match behind.first_chunk::<5>() {
        Some(five) => kinds = *five,
        None => kinds.iter_mut().zip(behind).for_each(|(kind, known)| *kind = *known),
    }
    let mut numbers = Numbers::<END> { at: 0, malformed: 0 };
    span.first_entry_ns = numbers.maybe(kinds[0], bytes);
    span.longest_entry_ns = numbers.maybe(kinds[1], bytes);
    span.last_exit_ns = numbers.maybe(kinds[2], bytes);
    span.longest_thread_id = numbers.maybe(kinds[3], bytes);
    span.self_busy_ns = numbers.maybe(kinds[4], bytes);
    if numbers.malformed != 0 || at + numbers.at > record.length {
        return None;
    }
    fields(text, wanted).map(Read::Row)
}
