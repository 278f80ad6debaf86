//! Field values in words: visited into a buffer, carried through table and ring, read by the
//! writer.
//!
//! ```text
//!   63             32 31       24 23    16 15      8 7       0
//!  +-----------------+-----------+--------+---------+---------+
//!  | low             | 0         | flags  | kind    | field   |   then `words_after` words
//!  +-----------------+-----------+--------+---------+---------+
//! ```
//!
//! `field` is the index of the field in its callsite, so names are never copied. `low` is a small
//! number's value or the bytes stored of a text. With the flag [`CUT`] one more word follows the
//! header: how many bytes the text had.

use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing_core::field::{Field, Visit};

pub(crate) const KIND_I32: u8 = 1;
pub(crate) const KIND_U32: u8 = 2;
pub(crate) const KIND_I64: u8 = 3;
pub(crate) const KIND_U64: u8 = 4;
const KIND_I128: u8 = 5;
const KIND_U128: u8 = 6;
pub(crate) const KIND_F64: u8 = 7;
pub(crate) const KIND_BOOL: u8 = 8;
pub(crate) const KIND_STR: u8 = 9;
const KIND_BYTES: u8 = 10;

/// Most fields of a callsite that a header can tell apart.
pub(crate) const FIELDS_MAX: usize = 256;

/// The text is shorter than what was recorded.
const CUT: u8 = 1;

/// A value that comes after a panic in a field's `Debug`.
const PANICKED: &str = "<panicked>";

#[inline(always)]
pub(crate) fn header(field: usize, kind: u8, flags: u8, low: u32) -> u64 {
    u64::from(low) << 32 | u64::from(flags) << 16 | u64::from(kind) << 8 | field as u64
}

/// Collects the fields of one span or event. Lives as long as its thread; allocates only when made.
#[derive(Debug)]
pub(crate) struct FieldBuffer {
    words: Box<[u64]>,
    len: usize,
    /// Words that may be used this time, at most `words.len()`.
    limit: usize,
    /// Whether whole fields were left out.
    left_out: bool,
    /// Where `Debug` values are formatted.
    text: Box<[u8]>,
}

impl FieldBuffer {
    pub(crate) fn new(words_max: usize) -> Self {
        Self {
            words: vec![0; words_max].into(),
            len: 0,
            limit: words_max,
            left_out: false,
            text: vec![0; words_max * 8].into(),
        }
    }

    /// Empties the buffer and allows it `limit` words.
    #[inline(always)]
    pub(crate) fn clear(&mut self, limit: usize) {
        self.len = 0;
        self.left_out = false;
        self.limit = limit.min(self.words.len());
    }

    /// Empties the buffer and allows it all its words but so many, which are in use elsewhere.
    pub(crate) fn clear_but(&mut self, used: usize) {
        self.clear(self.words.len().saturating_sub(used));
    }

    #[inline(always)]
    pub(crate) fn words(&self) -> &[u64] {
        &self.words[..self.len]
    }

    #[inline]
    pub(crate) fn has_left_out(&self) -> bool {
        self.left_out
    }

    #[inline(always)]
    fn push<const N: usize>(&mut self, field: &Field, words: [u64; N]) {
        if self.len + N <= self.limit
            && field.index() <= 0xFF
            && let Some(to) = self.words.get_mut(self.len..self.len + N)
        {
            to.copy_from_slice(&words);
            self.len += N;
        } else {
            self.left_out = true;
        }
    }

    /// Adds a text that is all at hand.
    #[inline]
    fn push_whole(&mut self, field: &Field, kind: u8, bytes: &[u8]) {
        let n = 1 + bytes.len().div_ceil(8);
        if n <= self.limit - self.len
            && field.index() <= 0xFF
            && let Some([first, rest @ ..]) = self.words.get_mut(self.len..self.len + n)
        {
            *first = header(field.index(), kind, 0, bytes.len() as u32);
            put_words(bytes, rest);
            self.len += n;
        } else {
            self.push_part(field, kind, bytes, bytes.len() as u64);
        }
    }

    /// Adds as much as there is room for of a text of which `bytes` are at hand and `original`
    /// were recorded.
    #[cold]
    fn push_part(&mut self, field: &Field, kind: u8, bytes: &[u8], original: u64) {
        let room = self.limit - self.len;
        if room < 2 || field.index() > 0xFF {
            self.left_out = true;
            return;
        }
        let mut stored = bytes.len().min((room - 2) * 8);
        if kind == KIND_STR {
            stored = floor_char_boundary(bytes, stored);
        }
        self.words[self.len] = header(field.index(), kind, CUT, stored as u32);
        self.words[self.len + 1] = original;
        self.len += 2;
        let n = stored.div_ceil(8);
        put_words(&bytes[..stored], &mut self.words[self.len..self.len + n]);
        self.len += n;
    }

    /// Formats a value into `text` and adds it. A panic in the value's own code ends here: it is
    /// the user's bug, but not the user's crash.
    fn push_formatted(
        &mut self,
        field: &Field,
        format: impl FnOnce(&mut Cutter<'_>) -> fmt::Result,
    ) {
        let mut text = std::mem::take(&mut self.text);
        let mut cutter = Cutter { text: &mut text, len: 0, original: 0 };
        let formatted = catch_unwind(AssertUnwindSafe(|| format(&mut cutter)));
        let Cutter { len, original, .. } = cutter;
        if formatted.is_err() {
            self.push_whole(field, KIND_STR, PANICKED.as_bytes());
        } else if len as u64 == original {
            self.push_whole(field, KIND_STR, &text[..len]);
        } else {
            self.push_part(field, KIND_STR, &text[..len], original);
        }
        self.text = text;
    }
}

/// Copies bytes into as many little-endian words as they need; the last one is filled up with
/// zeros.
#[inline(always)]
fn put_words(bytes: &[u8], words: &mut [u64]) {
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_le_bytes(*chunk);
    }
    if !tail.is_empty()
        && let Some(last) = words.last_mut()
    {
        // Most texts are short, and a call of `memcpy` for some bytes costs more than all else.
        *last = tail_word(bytes, tail.len());
    }
}

/// The last `tail` bytes, from 1 to 7 of them, as a little-endian word filled up with zeros.
#[inline(always)]
pub(crate) fn tail_word(bytes: &[u8], tail: usize) -> u64 {
    if let Some(end) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*end) >> (8 * (8 - tail));
    }
    // Two reads that overlap cover four to seven bytes; three single ones cover up to three.
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let (low, high) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(low) | u64::from(high) << (8 * (tail - 4));
    }
    let at = |index: usize| u64::from(bytes.get(index).copied().unwrap_or(0)) << (8 * index);
    at(0) | at(1) | at(2)
}

/// The largest index up to `at` that does not split a character of UTF-8 text.
fn floor_char_boundary(bytes: &[u8], at: usize) -> usize {
    if at >= bytes.len() {
        return bytes.len();
    }
    // A continuation byte is 10xxxxxx; a character has at most three of them.
    (0..=at).rev().take(4).find(|&index| bytes[index] & 0xC0 != 0x80).unwrap_or(at)
}

/// Takes what fits and counts the rest, so that the original length is known.
struct Cutter<'a> {
    text: &'a mut [u8],
    len: usize,
    original: u64,
}

impl fmt::Write for Cutter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Once something was cut, nothing more is taken, or the text would have holes.
        if self.len as u64 == self.original {
            let room = self.text.len() - self.len;
            let taken = floor_char_boundary(text.as_bytes(), room.min(text.len()));
            self.text[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
            self.len += taken;
        }
        self.original += text.len() as u64;
        Ok(())
    }
}

impl Visit for FieldBuffer {
    #[inline]
    fn record_i64(&mut self, field: &Field, value: i64) {
        match i32::try_from(value) {
            Ok(small) => self.push(field, [header(field.index(), KIND_I32, 0, small as u32)]),
            Err(_) => self.push(field, [header(field.index(), KIND_I64, 0, 0), value as u64]),
        }
    }

    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        match u32::try_from(value) {
            Ok(small) => self.push(field, [header(field.index(), KIND_U32, 0, small)]),
            Err(_) => self.push(field, [header(field.index(), KIND_U64, 0, 0), value]),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        let (low, high) = (value as u64, (value >> 64) as u64);
        self.push(field, [header(field.index(), KIND_I128, 0, 0), low, high]);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        let (low, high) = (value as u64, (value >> 64) as u64);
        self.push(field, [header(field.index(), KIND_U128, 0, 0), low, high]);
    }

    #[inline]
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, [header(field.index(), KIND_F64, 0, 0), value.to_bits()]);
    }

    #[inline]
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, [header(field.index(), KIND_BOOL, 0, u32::from(value))]);
    }

    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push_whole(field, KIND_STR, value.as_bytes());
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.push_whole(field, KIND_BYTES, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        /// A chain that is longer than this is likely to be a circle.
        const SOURCES_MAX: usize = 64;
        self.push_formatted(field, |text| {
            write!(text, "{value}")?;
            let chain = std::iter::successors(value.source(), |error| error.source());
            for source in chain.take(SOURCES_MAX) {
                write!(text, ": {source}")?;
            }
            Ok(())
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push_formatted(field, |text| write!(text, "{value:?}"));
    }
}

/// How many words a field takes, from its header, which is one of them.
pub(crate) fn len_of(header: u64) -> usize {
    let cut = usize::from(is_cut(header));
    let value = match (header >> 8) as u8 {
        KIND_I64 | KIND_U64 | KIND_F64 => 1,
        KIND_I128 | KIND_U128 => 2,
        KIND_STR | KIND_BYTES => ((header >> 32) as usize).div_ceil(8),
        _ => 0,
    };
    1 + cut + value
}

/// Whether the value is not all that was recorded.
#[inline(always)]
pub(crate) fn is_cut(header: u64) -> bool {
    (header >> 16) as u8 & CUT != 0
}

/// The kind of a value.
#[inline(always)]
pub(crate) fn kind_of(header: u64) -> u8 {
    (header >> 8) as u8
}

/// The field that a header is of.
pub(crate) fn index_of(header: u64) -> u8 {
    header as u8
}

/// A value, read back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    F64(f64),
    Bool(bool),
    /// UTF-8 text in little-endian words, of which so many bytes count.
    Str(&'a [u64], usize),
    Bytes(&'a [u64], usize),
}

/// A field, read back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FieldValue<'a> {
    pub(crate) index: usize,
    pub(crate) value: Value<'a>,
    /// How many bytes were recorded, if not all of them are here.
    pub(crate) original: Option<u64>,
}

/// Reads the fields out of their words; stops at anything that is none.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u64],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(words: &'a [u64]) -> Self {
        Self { rest: words }
    }

    /// The words that are not read yet.
    pub(crate) fn rest(&self) -> &'a [u64] {
        self.rest
    }

    fn take(&mut self, words: usize) -> Option<&'a [u64]> {
        let (taken, rest) = self.rest.split_at_checked(words)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = FieldValue<'a>;

    fn next(&mut self) -> Option<FieldValue<'a>> {
        let header = self.take(1)?[0];
        let low = (header >> 32) as u32;
        let original = if (header >> 16) as u8 & CUT == 0 { None } else { Some(self.take(1)?[0]) };
        let wide = |words: &[u64]| u128::from(words[0]) | u128::from(words[1]) << 64;
        let len = low as usize;
        let value = match (header >> 8) as u8 {
            KIND_I32 => Value::I64(i64::from(low as i32)),
            KIND_U32 => Value::U64(u64::from(low)),
            KIND_I64 => Value::I64(self.take(1)?[0] as i64),
            KIND_U64 => Value::U64(self.take(1)?[0]),
            KIND_I128 => Value::I128(wide(self.take(2)?) as i128),
            KIND_U128 => Value::U128(wide(self.take(2)?)),
            KIND_F64 => Value::F64(f64::from_bits(self.take(1)?[0])),
            KIND_BOOL => Value::Bool(low != 0),
            KIND_STR => Value::Str(self.take(len.div_ceil(8))?, len),
            KIND_BYTES => Value::Bytes(self.take(len.div_ceil(8))?, len),
            _ => return None,
        };
        Some(FieldValue { index: (header & 0xFF) as usize, value, original })
    }
}
