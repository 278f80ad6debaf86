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
//! header: how many bytes the text had. Of a field that is [missing](KIND_MISSING) nothing is kept but
//! that it was there, and [padding](KIND_PAD) is what a shorter value has left behind it.
//!
//! How much of a value is kept is up to [`field_room`](crate::field_room). What it says of its span's
//! status is not: of a value that is not kept in full, all of it is [looked at](crate::said) when it is
//! recorded.

use std::fmt::{self, Write as _};

use tracing_core::field::{Field, Visit};

use crate::field_room::{Came, Shares};
use crate::open_spans::OpenSpan;
use crate::panics;
use crate::said::{Role, Said, Told, of_float};

pub(crate) const KIND_I32: u8 = 1;
pub(crate) const KIND_U32: u8 = 2;
pub(crate) const KIND_I64: u8 = 3;
pub(crate) const KIND_U64: u8 = 4;
const KIND_I128: u8 = 5;
const KIND_U128: u8 = 6;
pub(crate) const KIND_F64: u8 = 7;
pub(crate) const KIND_BOOL: u8 = 8;
pub(crate) const KIND_STR: u8 = 9;
pub(crate) const KIND_BYTES: u8 = 10;
/// A field for which there was no room; `low` is how many bytes its text had, 0 for a number.
pub(crate) const KIND_MISSING: u8 = 11;
/// No field at all: `low` words follow that say nothing.
const KIND_PAD: u8 = 12;

/// Most fields of a callsite that a header can tell apart.
pub(crate) const FIELDS_MAX: usize = 256;

/// The text is shorter than what was recorded.
const CUT: u8 = 1;

/// Least room to format a value in.
const TEXT_BYTES_MIN: usize = 64;

/// A value that comes after a panic in a field's `Debug`.
const PANICKED: &str = "<panicked>";

#[inline(always)]
pub(crate) fn header(field: usize, kind: u8, flags: u8, low: u32) -> u64 {
    u64::from(low) << 32 | u64::from(flags) << 16 | u64::from(kind) << 8 | field as u64
}

/// The word of a field for which there is no room.
fn missing(index: u8, original: u64) -> u64 {
    header(index.into(), KIND_MISSING, 0, u32::try_from(original).unwrap_or(u32::MAX))
}

/// The header of so many words, itself one of them, that say nothing.
pub(crate) fn padding(words: usize) -> u64 {
    header(0, KIND_PAD, 0, words.saturating_sub(1) as u32)
}

/// The flag of padding that has [`GivenIds`] in it; said of no status, and no cut.
#[cfg(feature = "opentelemetry")]
const GIVEN_IDS: u64 = 1 << 24;

/// The ids that another system has given a span.
#[cfg(feature = "opentelemetry")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenIds {
    pub(crate) trace: u128,
    pub(crate) span: u64,
}

#[cfg(feature = "opentelemetry")]
impl GivenIds {
    pub(crate) const WORDS: usize = 4;

    /// As padding: for whoever reads the fields they are none.
    pub(crate) fn words(self) -> [u64; Self::WORDS] {
        let header = padding(Self::WORDS) | GIVEN_IDS;
        [header, (self.trace >> 64) as u64, self.trace as u64, self.span]
    }
}

/// Whether a header is of `GivenIds`, which are no spare room.
pub(crate) fn has_given_ids(header: u64) -> bool {
    #[cfg(feature = "opentelemetry")]
    return is_padding(header) && header & GIVEN_IDS != 0;
    #[cfg(not(feature = "opentelemetry"))]
    return {
        let _ = header;
        false
    };
}

/// The ids of trace and span among these words.
#[cfg(feature = "opentelemetry")]
pub(crate) fn given_ids(mut words: &[u64]) -> Option<(u128, u64)> {
    while let [header, rest @ ..] = words {
        if let (true, [high, low, span, ..]) = (has_given_ids(*header), rest) {
            return Some((u128::from(*high) << 64 | u128::from(*low), *span));
        }
        words = words.get(len_of(*header)..)?;
    }
    None
}

/// Collects the fields of one span or event. Lives as long as its thread; allocates only when made.
#[derive(Debug)]
pub(crate) struct FieldBuffer {
    words: Box<[u64]>,
    len: usize,
    /// Words that are in use elsewhere.
    elsewhere: usize,
    shares: Shares,
    came: Came,
    /// Whether there are fields that are not even said to be missing.
    left_out: bool,
    /// Whether there are fields that are not kept in full.
    cut: bool,
    /// Whether that is asked for: of an event it is not.
    listens: bool,
    /// What the fields say of their span's status.
    said: Said,
    /// Where `Debug` values are formatted.
    text: Box<[u8]>,
}

impl FieldBuffer {
    pub(crate) fn new(words_max: usize) -> Self {
        Self {
            words: vec![0; words_max].into(),
            len: 0,
            elsewhere: 0,
            shares: Shares::default(),
            came: Came::default(),
            left_out: false,
            cut: false,
            listens: false,
            said: Said::default(),
            // A short text is formatted in full also where there is no room to keep it, to be judged.
            text: vec![0; (words_max * 8).max(TEXT_BYTES_MIN)].into(),
        }
    }

    /// Empties the buffer, for a span of a callsite with so many fields.
    #[inline]
    pub(crate) fn begin(&mut self, fields: usize) {
        self.begin_event(fields);
        self.said = Said::default();
        self.listens = true;
    }

    /// The same for an event.
    #[inline]
    pub(crate) fn begin_event(&mut self, fields: usize) {
        self.len = 0;
        self.elsewhere = 0;
        self.shares = Shares::new(self.words.len(), fields);
        self.came = Came::default();
        self.left_out = false;
        self.cut = false;
        self.listens = false;
    }

    /// The same where the first fields are elsewhere: their headers.
    pub(crate) fn begin_behind(
        &mut self,
        fields: usize,
        elsewhere: usize,
        headers: impl Iterator<Item = u64>,
    ) {
        self.begin(fields);
        self.elsewhere = elsewhere;
        headers.for_each(|header| self.came.add(index_of(header)));
    }

    #[inline(always)]
    pub(crate) fn words(&self) -> &[u64] {
        &self.words[..self.len]
    }

    /// Whether there are fields that are not even said to be missing.
    #[inline]
    pub(crate) fn has_left_out(&self) -> bool {
        self.left_out
    }

    /// How many fields the callsite has.
    pub(crate) fn declared(&self) -> usize {
        self.shares.fields()
    }

    /// Tells a span what its words do not say of its fields, all of which it has `kept` or not.
    pub(crate) fn mark(&self, span: &OpenSpan, kept: bool) {
        let is_in_words = kept && !self.cut && !self.left_out;
        span.set_said(self.said, is_in_words);
        if self.left_out {
            span.set_left_out();
        }
    }

    /// Whether the words do not say all that is to be known of the fields.
    pub(crate) fn has_more_to_say(&self) -> bool {
        self.left_out || self.cut && !self.said.is_nothing()
    }

    /// A value has come. Returns how many words it may take, and the field's index if that fits a
    /// header.
    #[inline]
    fn meet(&mut self, field: &Field, told: Told<'_>) -> Option<(u8, usize)> {
        if self.listens && Role::may_be_of(field.name()) {
            self.listen(field.name(), told);
        }
        let Ok(index) = u8::try_from(field.index()) else {
            self.left_out = true;
            return None;
        };
        self.came.add(index);
        let room = self.shares.of_value(self.elsewhere + self.len, self.came.count());
        Some((index, room.min(self.words.len() - self.len)))
    }

    #[cold]
    #[inline(never)]
    fn listen(&mut self, name: &str, told: Told<'_>) {
        if let Some(role) = Role::of(name) {
            self.said.tell(role, told);
        }
    }

    /// There is no room for a value, of which the text had so many bytes.
    #[cold]
    fn push_missing(&mut self, index: u8, room: usize, original: u64) {
        match self.words.get_mut(self.len) {
            Some(word) if room > 0 => {
                *word = missing(index, original);
                self.len += 1;
                self.cut = true;
            }
            _ => self.left_out = true,
        }
    }

    /// Adds a header, which has its field's index still to come, and the words after it.
    #[inline]
    fn push<const N: usize>(&mut self, field: &Field, told: Told<'_>, words: [u64; N]) {
        let Some((index, room)) = self.meet(field, told) else { return };
        match self.words.get_mut(self.len..self.len + N) {
            Some(to) if N <= room => {
                to.copy_from_slice(&words);
                to[0] |= u64::from(index);
                self.len += N;
            }
            _ => self.push_missing(index, room, 0),
        }
    }

    /// Adds a text, or as much of it as there is room for, of which `bytes` are at hand and `original`
    /// were recorded.
    #[inline]
    fn push_text(&mut self, field: &Field, kind: u8, bytes: &[u8], original: u64) {
        let told = Told::Text(bytes, bytes.len() as u64 == original);
        let Some((index, room)) = self.meet(field, told) else { return };
        let n = 1 + bytes.len().div_ceil(8);
        match self.words.get_mut(self.len..self.len + n) {
            Some([first, rest @ ..]) if n <= room && bytes.len() as u64 == original => {
                *first = header(index.into(), kind, 0, bytes.len() as u32);
                put_words(bytes, rest);
                self.len += n;
            }
            _ => self.push_part(index, kind, bytes, original, room),
        }
    }

    #[cold]
    fn push_part(&mut self, index: u8, kind: u8, bytes: &[u8], original: u64, room: usize) {
        if room < CUT_WORDS_MIN {
            return self.push_missing(index, room, original);
        }
        self.cut = true;
        let mut stored = bytes.len().min((room - 2) * 8);
        if kind == KIND_STR {
            stored = floor_char_boundary(bytes, stored);
        }
        self.words[self.len] = header(index.into(), kind, CUT, stored as u32);
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
        let formatted = panics::catch(|| format(&mut cutter));
        let Cutter { len, original, .. } = cutter;
        if formatted.is_err() {
            self.push_text(field, KIND_STR, PANICKED.as_bytes(), PANICKED.len() as u64);
        } else {
            self.push_text(field, KIND_STR, &text[..len], original);
        }
        self.text = text;
    }
}

/// Fewest words of a text that is cut: a header, how long it was, and some of it.
const CUT_WORDS_MIN: usize = 3;

/// A value, or as much of it as there is room for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    head: [u64; 2],
    head_len: usize,
    text: &'a [u64],
    /// The bytes of the last word that count.
    last: u64,
}

impl<'a> Piece<'a> {
    /// Of a value, header and all, at most so many words. `None` if there is no room at all.
    pub(crate) fn of(value: &'a [u64], room: usize) -> Option<Self> {
        let (&header_of_all, rest) = value.split_first().filter(|_| room > 0)?;
        if value.len() <= room {
            let head = [header_of_all, 0];
            return Some(Self { head, head_len: 1, text: rest, last: u64::MAX });
        }
        let (kind, index) = (kind_of(header_of_all), index_of(header_of_all));
        let is_text = matches!(kind, KIND_STR | KIND_BYTES);
        let bytes = if is_text { (header_of_all >> 32) as usize } else { 0 };
        let (original, text) = match rest {
            [original, text @ ..] if is_cut(header_of_all) => (*original, text),
            text => (bytes as u64, text),
        };
        let Some(text) =
            text.get(..room.saturating_sub(2)).filter(|_| room >= CUT_WORDS_MIN && is_text)
        else {
            return Some(Self {
                head: [missing(index, original), 0],
                head_len: 1,
                text: &[],
                last: 0,
            });
        };
        let mut stored = bytes.min(text.len() * 8);
        if kind == KIND_STR {
            stored = whole_chars(text, stored);
        }
        Some(Self {
            head: [header(index.into(), kind, CUT, stored as u32), original],
            head_len: 2,
            text: &text[..stored.div_ceil(8)],
            last: u64::MAX >> (8 * (stored.wrapping_neg() % 8)),
        })
    }

    /// How many words it has.
    pub(crate) fn len(&self) -> usize {
        self.head_len + self.text.len()
    }

    /// Its words.
    pub(crate) fn words(self) -> impl Iterator<Item = u64> {
        let end = self.text.len();
        let text = self
            .text
            .iter()
            .enumerate()
            .map(move |(at, word)| if at + 1 == end { word & self.last } else { *word });
        self.head.into_iter().take(self.head_len).chain(text)
    }
}

/// How many of the first `len` bytes of UTF-8 text in little-endian words are whole characters.
fn whole_chars(words: &[u64], len: usize) -> usize {
    let byte = |at: usize| (words[at / 8] >> (8 * (at % 8))) as u8;
    // The last byte that begins a character, at most three before the end.
    let Some(start) = (0..len).rev().take(4).find(|at| byte(*at) & 0xC0 != 0x80) else {
        return len;
    };
    let char_len = match byte(start) {
        0..0x80 => 1,
        0x80..0xE0 => 2,
        0xE0..0xF0 => 3,
        0xF0.. => 4,
    };
    if start + char_len <= len { len } else { start }
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
        let told = Told::Number(value.into());
        match i32::try_from(value) {
            Ok(small) => self.push(field, told, [header(0, KIND_I32, 0, small as u32)]),
            Err(_) => self.push(field, told, [header(0, KIND_I64, 0, 0), value as u64]),
        }
    }

    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        let told = Told::Number(value.into());
        match u32::try_from(value) {
            Ok(small) => self.push(field, told, [header(0, KIND_U32, 0, small)]),
            Err(_) => self.push(field, told, [header(0, KIND_U64, 0, 0), value]),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        let (low, high) = (value as u64, (value >> 64) as u64);
        self.push(field, Told::Number(value), [header(0, KIND_I128, 0, 0), low, high]);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        let (low, high) = (value as u64, (value >> 64) as u64);
        let told = Told::Number(i128::try_from(value).unwrap_or(i128::MAX));
        self.push(field, told, [header(0, KIND_U128, 0, 0), low, high]);
    }

    #[inline]
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, of_float(value), [header(0, KIND_F64, 0, 0), value.to_bits()]);
    }

    #[inline]
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, Told::Bool(value), [header(0, KIND_BOOL, 0, u32::from(value))]);
    }

    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push_text(field, KIND_STR, value.as_bytes(), value.len() as u64);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.push_text(field, KIND_BYTES, value, value.len() as u64);
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
        KIND_PAD => (header >> 32) as usize,
        _ => 0,
    };
    1 + cut + value
}

/// Whether a header is of a value that can be read.
pub(crate) fn is_known(header: u64) -> bool {
    matches!(kind_of(header), KIND_I32..=KIND_BYTES)
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

/// Whether a header is of no field, but of words that say nothing.
#[inline]
pub(crate) fn is_padding(header: u64) -> bool {
    kind_of(header) == KIND_PAD
}

/// Whether a value of this kind is a text or bytes.
pub(crate) fn is_text(kind: u8) -> bool {
    matches!(kind, KIND_STR | KIND_BYTES)
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
    /// There was no room for any of it.
    Missing,
}

/// A field, read back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FieldValue<'a> {
    pub(crate) index: usize,
    pub(crate) value: Value<'a>,
    /// How many bytes were recorded, if not all of them are here.
    pub(crate) original: Option<u64>,
}

impl FieldValue<'_> {
    /// Whether the value is not all that was recorded.
    pub(crate) fn is_cut(&self) -> bool {
        self.original.is_some() || self.value == Value::Missing
    }
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

    fn take(&mut self, words: usize) -> Option<&'a [u64]> {
        let (taken, rest) = self.rest.split_at_checked(words)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = FieldValue<'a>;

    fn next(&mut self) -> Option<FieldValue<'a>> {
        let mut header = self.take(1)?[0];
        while is_padding(header) {
            self.take((header >> 32) as usize)?;
            header = self.take(1)?[0];
        }
        let low = (header >> 32) as u32;
        let original = match kind_of(header) {
            KIND_MISSING => Some(u64::from(low)).filter(|bytes| *bytes > 0),
            _ if is_cut(header) => Some(self.take(1)?[0]),
            _ => None,
        };
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
            KIND_MISSING => Value::Missing,
            _ => return None,
        };
        Some(FieldValue { index: (header & 0xFF) as usize, value, original })
    }
}
