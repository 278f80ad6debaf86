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

/// Where a record begins in the buffer. Before it there is room for the two varints, of at most five and
/// nine bytes, and for the bytes that are copied along because cells are copied in chunks.
const FRONT: u8 = CHUNK as u8 + 5 + 9;
/// Positions are `u8`, so the compiler knows that 16 bytes more always fit.
const BUFFER: usize = u8::MAX as usize + 1 + 16;
/// Cells are copied in chunks of this length; most are shorter.
pub(super) const CHUNK: usize = 64;

const NULL: u8 = 0;
const ZERO: u8 = 8;

/// How an integer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form(u32);

impl Form {
    /// For values without bytes: NULL, zero and one.
    const fn without_value(serial: u8) -> Self {
        Self(serial as u32)
    }

    const fn new(serial: u8, length: u8) -> Self {
        // By how many bits a number is shifted, so that its first byte is the first of eight. Everything
        // in one word: one load.
        let shift = 64 - 8 * length as u32;
        Self(serial as u32 | shift << 8 | (length as u32) << 16)
    }

    /// For a number that is neither zero nor one.
    #[inline(always)]
    fn of(value: i64) -> Self {
        // Bits equal to the sign need not be written, except one.
        INTEGERS[((value ^ (value >> 63)) as u64 | 1).ilog2() as usize]
    }

    #[inline(always)]
    fn serial(self) -> u8 {
        self.0 as u8
    }

    #[inline(always)]
    fn shift(self) -> u32 {
        (self.0 >> 8) & 63
    }

    #[inline(always)]
    fn length(self) -> u8 {
        (self.0 >> 16) as u8
    }
}

/// By the highest bit that differs from the sign.
const INTEGERS: [Form; 64] = {
    let mut forms = [Form(0); 64];
    let mut bit = 0;
    while bit < 64 {
        forms[bit] = match bit {
            0..7 => Form::new(1, 1),
            7..15 => Form::new(2, 2),
            15..23 => Form::new(3, 3),
            23..31 => Form::new(4, 4),
            31..47 => Form::new(5, 6),
            _ => Form::new(6, 8),
        };
        bit += 1;
    }
    forms
};

/// A row: the part before its last columns; of those, texts first, and then numbers.
#[derive(Debug)]
pub(super) struct Cell<'a> {
    pub(super) rowid: i64,
    /// Length of the record; limited, as it has to fit into a page.
    pub(super) payload: usize,
    buffer: &'a [u8; BUFFER],
    start: usize,
    end: usize,
    texts: [&'a [u8]; 2],
    tail: &'a Tail,
}

impl Cell<'_> {
    #[inline]
    pub(super) fn length(&self) -> usize {
        self.end - self.start + self.texts[0].len() + self.texts[1].len() + self.tail.len()
    }

    /// Copies the cell to the end of `to`. Up to [`CHUNK`] bytes before it may be overwritten.
    #[inline(always)]
    pub(super) fn copy(&self, to: &mut [u8]) {
        let mut at = to.len();
        self.tail.copy(to);
        at -= self.tail.len();
        for text in [self.texts[1], self.texts[0]] {
            if !text.is_empty() {
                at -= text.len();
                to[at..at + text.len()].copy_from_slice(text);
            }
        }
        let mut end = self.end;
        while end > self.start {
            // A constant length needs no call.
            to[at - CHUNK..at].copy_from_slice(&self.buffer[end - CHUNK..end]);
            at -= CHUNK;
            end -= CHUNK;
        }
    }
}

/// The buffer for records; up to 11 integers, or 10 and the longest status, fill half of it.
#[derive(Debug)]
pub(super) struct Encoder {
    buffer: [u8; BUFFER],
    batch: BatchId,
    tail: Tail,
}

/// The number of the commit, the same for all rows.
#[derive(Debug, Clone, Copy)]
struct BatchId {
    id: i64,
    form: Form,
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
            batch: BatchId { id: 0, form: Form::without_value(ZERO) },
            tail: Tail::new(),
        }
    }

    /// Sets the number of the commit.
    pub(super) fn set_batch(&mut self, batch_id: i64) {
        self.batch = BatchId { id: batch_id, form: form_of(Some(batch_id)) };
    }

    #[inline]
    pub(super) fn span<'a>(&'a mut self, span: &SpanRow, run_id: i64, text: &'a str) -> Cell<'a> {
        let fields = bytes(text, &span.fields);
        let Self { buffer, batch, tail } = self;
        let batch = *batch;
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
            // A constant length; nearly all spans have this status.
            Status::Ok => record.word(b"ok"),
            other => record.status(other),
        }
        record.text_type(fields);
        tail.clear();
        record.behind(tail, span.first_entry_ns);
        // Nearly all spans were entered once.
        let is_once = span.longest_entry_ns.is_none()
            && span.last_exit_ns.is_none()
            && span.longest_thread_id == 0;
        if is_once {
            record.null();
            record.null();
            record.null();
        } else {
            record.behind(tail, span.longest_entry_ns);
            record.behind(tail, span.last_exit_ns);
            record.behind(tail, Some(span.longest_thread_id).filter(|id| *id != 0));
        }
        record.behind(tail, span.self_busy_ns);
        record.batch(tail, batch);
        record.cell(span.id as i64, [fields, &[]], tail)
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
        let Self { buffer, batch, tail } = self;
        tail.clear();
        let mut record = begin(buffer, 7 + types);
        record.null();
        record.integer(run_id);
        record.nullable(event.span_id);
        record.integer(event.callsite_id);
        record.integer(event.thread_id);
        record.integer(event.at_ns);
        record.text_type(message);
        record.text_type(fields);
        record.batch(tail, *batch);
        record.cell(event.id as i64, [message, fields], tail)
    }

    #[inline]
    pub(super) fn entry<'a>(&'a mut self, entry: &EntryRow, run_id: i64) -> Cell<'a> {
        let Self { buffer, batch, tail } = self;
        tail.clear();
        let mut record = begin(buffer, 12);
        record.null();
        record.integer(run_id);
        record.integer(entry.span_id as i64);
        record.integer(entry.callsite_id);
        record.integer(entry.thread_id);
        record.integer(entry.start_ns);
        record.integer(entry.duration_ns);
        record.nullable(entry.around_id);
        record.integer(batch.id);
        record.optional(entry.self_ns);
        record.nullable(entry.earlier_entries);
        record.optional(entry.earlier_ns());
        record.cell(entry.id as i64, [&[], &[]], tail)
    }

    /// A row of the table of tables: <https://sqlite.org/schematab.html>.
    pub(super) fn table<'a>(
        &'a mut self,
        rowid: i64,
        name: &'static str,
        root: u32,
        sql: &'a str,
    ) -> Cell<'a> {
        let Self { buffer, tail, .. } = self;
        tail.clear();
        let mut record = begin(buffer, 4 + varint_length(serial_type(sql.as_bytes())));
        for word in ["table", name, name] {
            record.word(word.as_bytes());
        }
        record.integer(i64::from(root));
        record.text_type(sql.as_bytes());
        record.cell(rowid, [sql.as_bytes(), &[]], tail)
    }
}

/// Begins a record whose serial types take `types` bytes.
#[inline(always)]
fn begin(buffer: &mut [u8; BUFFER], types: u8) -> Record<'_> {
    let mut record = Record { buffer, header: FRONT, end: FRONT + 1 + types };
    record.serial(1 + types);
    record
}

/// The numbers after the texts of a row: at most six.
#[derive(Debug)]
struct Tail {
    bytes: [u8; TAIL],
    /// Where the next one goes.
    end: u8,
}

/// Where they begin, after room for bytes that are copied along.
const TAIL_START: u8 = TAIL_CHUNK as u8;
/// Nearly all are shorter.
const TAIL_CHUNK: usize = 16;
/// The same as for records: so the compiler knows that they fit.
const TAIL: usize = u8::MAX as usize + 1 + 8;

impl Tail {
    const fn new() -> Self {
        Self { bytes: [0; TAIL], end: TAIL_START }
    }

    #[inline(always)]
    fn clear(&mut self) {
        self.end = TAIL_START;
    }

    #[inline(always)]
    fn len(&self) -> usize {
        usize::from(self.end) - usize::from(TAIL_START)
    }

    /// Appends the last bytes of a number.
    #[inline(always)]
    fn push(&mut self, value: i64, form: Form) {
        let end = usize::from(self.end);
        let left = (value as u64) << form.shift();
        self.bytes[end..end + 8].copy_from_slice(&left.to_be_bytes());
        self.end = self.end.wrapping_add(form.length());
    }

    /// Copies them to the end of `to`. Up to 15 bytes before them may be overwritten.
    #[inline(always)]
    fn copy(&self, to: &mut [u8]) {
        let mut at = to.len();
        let mut end = usize::from(self.end);
        while end > usize::from(TAIL_START) {
            to[at - TAIL_CHUNK..at].copy_from_slice(&self.bytes[end - TAIL_CHUNK..end]);
            at -= TAIL_CHUNK;
            end -= TAIL_CHUNK;
        }
    }
}

/// How a number is written.
#[inline(always)]
fn form_of(value: Option<i64>) -> Form {
    match value {
        None => Form::without_value(NULL),
        Some(value @ (0 | 1)) => Form::without_value(ZERO + value as u8),
        Some(value) => Form::of(value),
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
        let form = Form::of(value);
        self.serial(form.serial());
        let end = usize::from(self.end);
        let left = (value as u64) << form.shift();
        self.buffer[end..end + 8].copy_from_slice(&left.to_be_bytes());
        self.end = self.end.wrapping_add(form.length());
    }

    #[inline(always)]
    fn optional(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.integer(value),
            None => self.null(),
        }
    }

    /// An id; zero means none.
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

    #[cold]
    #[inline(never)]
    fn status(&mut self, status: Status) {
        self.word(status.as_str().as_bytes());
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

    /// A column after the texts.
    #[inline(always)]
    fn behind(&mut self, tail: &mut Tail, value: Option<i64>) {
        match value {
            None => self.null(),
            Some(value @ (0 | 1)) => self.serial(ZERO + value as u8),
            Some(value) => {
                let form = Form::of(value);
                self.serial(form.serial());
                tail.push(value, form);
            }
        }
    }

    /// The column with the number of the commit, after the texts.
    #[inline(always)]
    fn batch(&mut self, tail: &mut Tail, BatchId { id, form }: BatchId) {
        self.serial(form.serial());
        tail.push(id, form);
    }

    #[inline(always)]
    fn cell(self, rowid: i64, texts: [&'a [u8]; 2], tail: &'a Tail) -> Cell<'a> {
        let end = usize::from(self.end);
        let payload = end - usize::from(FRONT) + texts[0].len() + texts[1].len() + tail.len();
        let start = put_before(self.buffer, usize::from(FRONT), rowid as u64);
        let start = put_before(self.buffer, start, payload as u64);
        Cell { rowid, payload, buffer: self.buffer, start, end, texts, tail }
    }
}

/// Writes a varint that ends at `end`, and returns where it begins.
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
    // Four times seven bits at once; those that are not needed are written before the start.
    let value = value as u32;
    let spread = value & 0x7F
        | (value & 0x3F80) << 1
        | (value & 0x001F_C000) << 2
        | (value & 0x0FE0_0000) << 3;
    let bytes = (spread | 0x8080_8000).to_be_bytes();
    buffer[end - 4..end].copy_from_slice(&bytes);
    end - 2 - usize::from(value >= 1 << 14) - usize::from(value >= 1 << 21)
}

/// The text of a row; empty for NULL. Rows with invalid ranges were refused before.
#[inline]
fn bytes<'a>(text: &'a str, range: &Text) -> &'a [u8] {
    text.as_bytes().get(range.clone()).unwrap_or_default()
}

/// NULL for an empty text: rows make no difference between the two.
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

/// Seven bits in each byte, the highest first, and eight in the ninth.
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
