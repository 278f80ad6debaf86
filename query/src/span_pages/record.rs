//! A row of the table `span` from its record: <https://sqlite.org/fileformat2.html#record_format>.
//!
//! Whatever is not as a recording stores it gives `None`: SQLite then reads the row, and says what is wrong.

use super::{Columns, PageQuery};
use crate::raw_span::RawSpan;
use crate::reader::status_named;
use spandrel_storage::Status;

/// The columns that are read here, in the order in which they are stored.
pub(super) const COLUMNS: &str = "id,run_id,parent_id,root_id,callsite_id,thread_id,start_ns,\
    duration_ns,busy_ns,self_ns,entries,status,fields,first_entry_ns,longest_entry_ns,last_exit_ns,\
    longest_thread_id,self_busy_ns";

const NULL: u64 = 0;
const ZERO: u64 = 8;
const ONE: u64 = 9;
/// From here on odd ones are texts.
const TEXT: u64 = 13;

/// The values of a record, one after the other.
struct Values<'a> {
    /// Serial types that are left.
    types: &'a [u8],
    /// The record from the next value on.
    body: &'a [u8],
}

impl<'a> Values<'a> {
    fn of(record: &'a [u8]) -> Option<Self> {
        let mut types = record;
        let header = usize::try_from(take_varint(&mut types)?).ok()?;
        let types_start = record.len() - types.len();
        let (types, body) = (record.get(types_start..header)?, record.get(header..)?);
        Some(Self { types, body })
    }

    /// The next serial type. A column that the table has got later is NULL in rows of before.
    #[inline(always)]
    fn serial(&mut self) -> Option<u64> {
        match self.types.split_first() {
            Some((&first, rest)) if first < 0x80 => {
                self.types = rest;
                Some(u64::from(first))
            }
            Some(_) => take_varint(&mut self.types),
            None => Some(NULL),
        }
    }

    #[inline(always)]
    fn maybe(&mut self) -> Option<Option<i64>> {
        let length = match self.serial()? {
            NULL => return Some(None),
            ZERO => return Some(Some(0)),
            ONE => return Some(Some(1)),
            length @ 1..=4 => length as usize,
            5 => 6,
            6 => 8,
            _ => return None,
        };
        // The sign is in the first byte, wherever that ends up.
        let shift = 64 - 8 * length as u32;
        let value = match self.body.first_chunk::<8>() {
            Some(bytes) => i64::from_be_bytes(*bytes) >> shift,
            None => {
                let mut bytes = [0; 8];
                bytes.get_mut(..length)?.copy_from_slice(self.body.get(..length)?);
                i64::from_be_bytes(bytes) >> shift
            }
        };
        self.body = self.body.get(length..)?;
        Some(Some(value))
    }

    #[inline(always)]
    fn number(&mut self) -> Option<i64> {
        self.maybe()?
    }

    #[inline(always)]
    fn text(&mut self) -> Option<Option<&'a [u8]>> {
        let serial = self.serial()?;
        if serial == NULL {
            return Some(None);
        }
        let length = serial.checked_sub(TEXT).filter(|rest| rest.is_multiple_of(2))? / 2;
        let (text, body) = self.body.split_at_checked(usize::try_from(length).ok()?)?;
        self.body = body;
        Some(Some(text))
    }
}

/// The row of this id, if it is wanted. Of columns that are not asked for, anything may be missing.
#[inline]
pub(super) fn read<'a>(
    id: i64,
    record: &'a [u8],
    wanted: &PageQuery<'_>,
) -> Option<Option<(RawSpan, Option<&'a str>)>> {
    let mut values = Values::of(record)?;
    // The id stands before the record, and NULL in it.
    if values.maybe()?.is_some() {
        return None;
    }
    let (run_id, parent_id, root_id) = (values.number()?, values.maybe()?, values.number()?);
    let callsite_id = values.number()?;
    // Most rows are passed over here, where a name is asked for.
    if !wanted.has(run_id, parent_id, callsite_id) {
        return Some(None);
    }
    let mut span = RawSpan {
        id,
        parent_id,
        root_id,
        callsite_id,
        thread_id: values.number()?,
        start_ns: values.number()?,
        duration_ns: values.maybe()?,
        busy_ns: values.maybe()?,
        self_ns: values.maybe()?,
        entries: values.number()?,
        status: status(values.text()??)?,
        first_entry_ns: None,
        longest_entry_ns: None,
        last_exit_ns: None,
        longest_thread_id: None,
        self_busy_ns: None,
    };
    if wanted.columns == Columns::Numbers {
        return Some(Some((span, None)));
    }
    let text = values.text()?.filter(|_| wanted.columns == Columns::All);
    let fields = match text {
        Some(text) => Some(std::str::from_utf8(text).ok()?),
        None => None,
    };
    span.first_entry_ns = values.maybe()?;
    span.longest_entry_ns = values.maybe()?;
    span.last_exit_ns = values.maybe()?;
    span.longest_thread_id = values.maybe()?;
    span.self_busy_ns = values.maybe()?;
    Some(Some((span, fields)))
}

#[inline]
fn status(text: &[u8]) -> Option<Status> {
    // Nearly all of them.
    if text == b"ok" {
        return Some(Status::Ok);
    }
    status_named(text)
}

/// Seven bits a byte, the highest first, and eight in the ninth.
#[inline]
pub(super) fn take_varint(from: &mut &[u8]) -> Option<u64> {
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
