//! Rows as cells of a table b-tree: <https://sqlite.org/fileformat2.html#record_format>.
//!
//! ```text
//! payload length | rowid | header: its length, a serial type a column | values, big-endian
//! ```
//!
//! Lengths, rowids and serial types are varints. The primary key is the rowid, and NULL in the
//! record. An integer takes the least of 0 (for zero and one), 1, 2, 3, 4, 6 and 8 bytes, as
//! SQLite itself would write it.

use crate::record::{EntryRow, EventRow, SpanRow, Status, Text};

/// Where a record begins in the buffer: behind room for the two varints, of five and nine bytes at
/// most, and for what is copied before a cell because it is copied in chunks.
const FRONT: u8 = CHUNK as u8 + 5 + 9;
/// Positions are `u8`, so that the compiler sees that 16 bytes more always fit.
const BUFFER: usize = u8::MAX as usize + 1 + 16;
/// Cells are copied in pieces of this length, which most of them are shorter than.
pub(super) const CHUNK: usize = 64;

const NULL: u8 = 0;
const ZERO: u8 = 8;

/// Serial type and length of an integer, by the bits that it needs beside its sign.
const INTEGERS: [(u8, u8); 64] = {
    let mut types = [(0, 0); 64];
    let mut bits = 0;
    while bits < 64 {
        types[bits] = match bits {
            0..8 => (1, 1),
            8..16 => (2, 2),
            16..24 => (3, 3),
            24..32 => (4, 4),
            32..48 => (5, 6),
            _ => (6, 8),
        };
        bits += 1;
    }
    types
};

/// A row: what stands before its last columns, and these, which are texts.
#[derive(Debug)]
pub(super) struct Cell<'a> {
    pub(super) rowid: i64,
    /// Length of the record; what it may have within a page is limited.
    pub(super) payload: usize,
    buffer: &'a [u8; BUFFER],
    start: usize,
    end: usize,
    texts: [&'a [u8]; 2],
    /// A number behind the texts, and how many of its last bytes are there.
    last: (i64, u8),
}

impl Cell<'_> {
    #[inline]
    pub(super) fn length(&self) -> usize {
        self.end - self.start + self.texts[0].len() + self.texts[1].len() + usize::from(self.last.1)
    }

    /// Copies the cell to the end of `to`, and up to [`CHUNK`] bytes of anything before it.
    #[inline(always)]
    pub(super) fn copy(&self, to: &mut [u8]) {
        let mut at = to.len();
        // Of a length that is known; what is too much of it is overwritten.
        to[at - 8..at].copy_from_slice(&self.last.0.to_be_bytes());
        at -= usize::from(self.last.1);
        for text in [self.texts[1], self.texts[0]] {
            if !text.is_empty() {
                at -= text.len();
                to[at..at + text.len()].copy_from_slice(text);
            }
        }
        let mut end = self.end;
        while end > self.start {
            // A length that is known needs no call.
            to[at - CHUNK..at].copy_from_slice(&self.buffer[end - CHUNK..end]);
            at -= CHUNK;
            end -= CHUNK;
        }
    }
}

/// Where records come into being; up to 11 integers, or 10 and the longest status, fill half of it.
#[derive(Debug)]
pub(super) struct Encoder {
    buffer: [u8; BUFFER],
    /// Of the rows: their commit, with its serial type and length.
    batch_id: i64,
    batch_type: (u8, u8),
    tail: Tail,
}

/// A record that is being written.
struct Record<'a> {
    buffer: &'a mut [u8; BUFFER],
    /// Where the next serial type goes.
    header: u8,
    /// Where the next value goes.
    end: u8,
}

impl Encoder {
    pub(super) const fn new() -> Self {
        Self {
            buffer: [0; BUFFER],
            batch_id: 0,
            batch_type: (ZERO, 0),
            tail: Tail { bytes: [0; 40], len: 0 },
        }
    }

    /// Which commit stores the rows.
    pub(super) fn set_batch(&mut self, batch_id: i64) {
        self.batch_id = batch_id;
        self.batch_type = type_of(Some(batch_id));
    }

    #[inline]
    pub(super) fn span<'a>(&'a mut self, span: &SpanRow, run_id: i64, text: &'a str) -> Cell<'a> {
        let fields = bytes(text, &span.fields);
        let last = (self.batch_id, self.batch_type);
        let Self { buffer, tail, .. } = self;
        let mut record = begin(buffer, 18 + varint_length(serial_type(fields)));
        record.null();
        record.integer(run_id);
        record.nullable(span.parent_id);
        record.integer(span.root_id as i64);
        record.integer(span.callsite_id);
        record.integer(span.thread_id);
        record.integer(span.start_ns);
        record.optional(span.duration_ns);
        record.optional(span.busy_ns);
        record.optional(span.self_ns);
        record.integer(span.entries as i64);
        match span.status {
            // With a length that is known: nearly all of them.
            Status::Ok => record.word(b"ok"),
            other => record.word(other.as_str().as_bytes()),
        }
        record.text_type(fields);
        let first = type_of(span.first_entry_ns);
        record.serial(first.0);
        // Nearly all spans are entered once; what stands behind their fields fits a word then.
        let is_once = span.longest_entry_ns.is_none()
            && span.last_exit_ns.is_none()
            && span.longest_thread_id == 0;
        let (batch_id, (serial, length)) = last;
        let own = type_of(span.self_busy_ns);
        let all = first.1 + own.1 + length;
        if is_once && all <= 8 {
            record.null();
            record.null();
            record.null();
            record.serial(own.0);
            record.serial(serial);
            let values = behind(0, span.first_entry_ns, first.1);
            let values = behind(values, span.self_busy_ns, own.1);
            let values = behind(values, Some(batch_id), length);
            return record.cell(span.id as i64, [fields, &[]], (values, all));
        }
        tail.clear();
        tail.push(span.first_entry_ns, first.1);
        for value in [
            span.longest_entry_ns,
            span.last_exit_ns,
            Some(span.longest_thread_id).filter(|id| *id != 0),
            span.self_busy_ns,
        ] {
            let (serial, length) = type_of(value);
            record.serial(serial);
            tail.push(value, length);
        }
        record.cell_of_batch(span.id as i64, [fields, tail.bytes()], last)
    }

    #[inline]
    pub(super) fn event<'a>(
        &'a mut self,
        event: &EventRow,
        run_id: i64,
        text: &'a str,
    ) -> Cell<'a> {
        let (message, fields) = (bytes(text, &event.message), bytes(text, &event.fields));
        let types = varint_length(serial_type(message)) + varint_length(serial_type(fields));
        let last = (self.batch_id, self.batch_type);
        let mut record = self.begin(7 + types);
        record.null();
        record.integer(run_id);
        record.nullable(event.span_id);
        record.integer(event.callsite_id);
        record.integer(event.thread_id);
        record.integer(event.at_ns);
        record.text_type(message);
        record.text_type(fields);
        record.cell_of_batch(event.id as i64, [message, fields], last)
    }

    #[inline]
    pub(super) fn entry<'a>(&'a mut self, entry: &EntryRow, run_id: i64) -> Cell<'a> {
        let batch_id = self.batch_id;
        let mut record = self.begin(12);
        record.null();
        record.integer(run_id);
        record.integer(entry.span_id as i64);
        record.integer(entry.callsite_id);
        record.integer(entry.thread_id);
        record.integer(entry.start_ns);
        record.integer(entry.duration_ns);
        record.nullable(entry.around_id);
        record.integer(batch_id);
        record.optional(entry.self_ns);
        record.nullable(entry.earlier_entries);
        record.optional(entry.earlier_ns());
        record.cell(entry.id as i64, [&[], &[]], (0, 0))
    }

    /// A row of the table of tables: <https://sqlite.org/schematab.html>.
    pub(super) fn table<'a>(
        &'a mut self,
        rowid: i64,
        name: &'static str,
        root: u32,
        sql: &'a str,
    ) -> Cell<'a> {
        let mut record = self.begin(4 + varint_length(serial_type(sql.as_bytes())));
        for word in ["table", name, name] {
            record.word(word.as_bytes());
        }
        record.integer(i64::from(root));
        record.text_type(sql.as_bytes());
        record.cell(rowid, [sql.as_bytes(), &[]], (0, 0))
    }

    /// Begins a record whose serial types take `types` bytes.
    #[inline]
    fn begin(&mut self, types: u8) -> Record<'_> {
        begin(&mut self.buffer, types)
    }
}

/// Values of so many bytes together, and one of `length` behind them.
#[inline(always)]
fn behind(values: i64, value: Option<i64>, length: u8) -> i64 {
    match (length, value) {
        (0, _) | (_, None) => values,
        // There is no other one then.
        (8.., Some(value)) => value,
        (_, Some(value)) => {
            let bits = 8 * u32::from(length);
            values << bits | value & ((1 << bits) - 1)
        }
    }
}

#[inline]
fn begin(buffer: &mut [u8; BUFFER], types: u8) -> Record<'_> {
    let mut record = Record { buffer, header: FRONT, end: FRONT + 1 + types };
    record.serial(1 + types);
    record
}

/// Numbers behind the texts of a row, if they do not fit one word.
#[derive(Debug)]
struct Tail {
    bytes: [u8; 40],
    len: usize,
}

impl Tail {
    fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends the last `length` bytes of a number.
    fn push(&mut self, value: Option<i64>, length: u8) {
        let (bytes, length) = (value.unwrap_or(0).to_be_bytes(), usize::from(length));
        self.bytes[self.len..self.len + length].copy_from_slice(&bytes[8 - length..]);
        self.len += length;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Serial type and length of a number.
#[inline(always)]
fn type_of(value: Option<i64>) -> (u8, u8) {
    match value {
        None => (NULL, 0),
        Some(value @ (0 | 1)) => (ZERO + value as u8, 0),
        Some(value) => {
            let bits = u64::BITS - (value ^ (value >> 63)).leading_zeros();
            INTEGERS[bits as usize & 63]
        }
    }
}

impl<'a> Record<'a> {
    #[inline(always)]
    fn serial(&mut self, serial: u8) {
        self.buffer[usize::from(self.header)] = serial;
        self.header = self.header.wrapping_add(1);
    }

    #[inline(always)]
    fn null(&mut self) {
        self.serial(NULL);
    }

    #[inline(always)]
    fn integer(&mut self, value: i64) {
        if value as u64 <= 1 {
            return self.serial(ZERO + value as u8);
        }
        // The sign extends to the left: what differs from it has to be written.
        let bits = u64::BITS - (value ^ (value >> 63)).leading_zeros();
        let (serial, length) = INTEGERS[bits as usize & 63];
        self.serial(serial);
        let end = usize::from(self.end);
        let left = (value as u64) << ((64 - 8 * u32::from(length)) & 63);
        self.buffer[end..end + 8].copy_from_slice(&left.to_be_bytes());
        self.end = self.end.wrapping_add(length);
    }

    #[inline(always)]
    fn optional(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.integer(value),
            None => self.null(),
        }
    }

    /// An id, of which zero is none.
    #[inline(always)]
    fn nullable(&mut self, id: u64) {
        if id == 0 { self.null() } else { self.integer(id as i64) }
    }

    /// A text of at most 16 bytes.
    #[inline(always)]
    fn word(&mut self, word: &[u8]) {
        self.serial(13 + 2 * word.len() as u8);
        let end = usize::from(self.end);
        self.buffer[end..end + word.len().min(16)].copy_from_slice(word);
        self.end = self.end.wrapping_add(word.len() as u8);
    }

    #[inline(always)]
    fn text_type(&mut self, text: &[u8]) {
        let serial = serial_type(text);
        if serial < 0x80 {
            return self.serial(serial as u8);
        }
        let header = usize::from(self.header);
        let length = put_varint(&mut self.buffer[header..], serial);
        self.header = self.header.wrapping_add(length);
    }

    /// A row with the commit that stores it in the last column.
    #[inline(always)]
    fn cell_of_batch(
        mut self,
        rowid: i64,
        texts: [&'a [u8]; 2],
        (batch_id, (serial, length)): (i64, (u8, u8)),
    ) -> Cell<'a> {
        self.serial(serial);
        self.cell(rowid, texts, (batch_id, length))
    }

    #[inline(always)]
    fn cell(self, rowid: i64, texts: [&'a [u8]; 2], last: (i64, u8)) -> Cell<'a> {
        let end = usize::from(self.end);
        let payload =
            end - usize::from(FRONT) + texts[0].len() + texts[1].len() + usize::from(last.1);
        let start = put_before(self.buffer, usize::from(FRONT), rowid as u64);
        let start = put_before(self.buffer, start, payload as u64);
        Cell { rowid, payload, buffer: self.buffer, start, end, texts, last }
    }
}

/// Writes a varint that ends where something else begins, and says where it begins itself.
#[inline(always)]
fn put_before(buffer: &mut [u8; BUFFER], end: usize, value: u64) -> usize {
    if value < 0x80 {
        buffer[end - 1] = value as u8;
        return end - 1;
    }
    if value >= 1 << 28 {
        let length = usize::from(varint_length(value));
        put_varint(&mut buffer[end - length..end], value);
        return end - length;
    }
    // Four times seven bits at once; those that are not needed end up before the start.
    let value = value as u32;
    let spread = value & 0x7F
        | (value & 0x3F80) << 1
        | (value & 0x001F_C000) << 2
        | (value & 0x0FE0_0000) << 3;
    let bytes = (spread | 0x8080_8000).to_be_bytes();
    buffer[end - 4..end].copy_from_slice(&bytes);
    end - 2 - usize::from(value >= 1 << 14) - usize::from(value >= 1 << 21)
}

/// The text of a row; empty for NULL. Rows that point elsewhere were refused before.
#[inline]
fn bytes<'a>(text: &'a str, range: &Text) -> &'a [u8] {
    text.as_bytes().get(range.clone()).unwrap_or_default()
}

/// NULL for an empty text: the rows know none.
#[inline]
fn serial_type(text: &[u8]) -> u64 {
    if text.is_empty() { 0 } else { 13 + 2 * text.len() as u64 }
}

#[inline]
fn varint_length(value: u64) -> u8 {
    if value < 0x80 {
        return 1;
    }
    let bits = (u64::BITS - value.leading_zeros()) as u8;
    bits.div_ceil(7).min(9)
}

/// Seven bits a byte, the highest first, and eight in the ninth.
#[inline]
pub(super) fn put_varint(to: &mut [u8], value: u64) -> u8 {
    let length = varint_length(value);
    let mut rest = value;
    let mut at = usize::from(length);
    if length == 9 {
        at -= 1;
        to[at] = rest as u8;
        rest >>= 8;
    }
    let last = at;
    while at > 0 {
        at -= 1;
        let more = if at + 1 == last && length < 9 { 0 } else { 0x80 };
        to[at] = rest as u8 & 0x7F | more;
        rest >>= 7;
    }
    length
}
