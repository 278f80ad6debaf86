//! Where the fields of a span or an event are collected before it is known how many of them can be kept.

use std::fmt::{self, Write as _};

use tracing_core::field::{Field, Visit};

use crate::panics;
use crate::recorder::field_room::{Came, Shares};
use crate::recorder::fields::{
    CUT, CUT_WORDS_MIN, KIND_BOOL, KIND_BYTES, KIND_F64, KIND_I32, KIND_I64, KIND_I128, KIND_STR,
    KIND_U32, KIND_U64, KIND_U128, header, index_of, missing, tail_word,
};
use crate::recorder::open_spans::SpanSlot;
use crate::recorder::status_hints::{HintValue, Role, StatusHints, of_float};

/// Least room to format a value in.
const TEXT_BYTES_MIN: usize = 64;

/// What is stored in place of a value whose `Debug` has panicked.
const PANICKED: &str = "<panicked>";

/// Collects the fields of one span or event. Lives as long as its thread; allocates only when it is
/// made.
#[derive(Debug)]
pub(crate) struct FieldBuffer {
    words: Box<[u64]>,
    len: usize,
    /// Words that are in use elsewhere.
    elsewhere: usize,
    shares: Shares,
    came: Came,
    /// Whether there are fields that are not even named as missing.
    left_out: bool,
    /// Whether there are fields that are not kept in full.
    cut: bool,
    /// Whether the status is wanted: of an event it is not.
    listens: bool,
    /// What the fields tell about their span's status.
    status_hints: StatusHints,
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
            status_hints: StatusHints::default(),
            // So large that a short text can be formatted in full even if there is no room to keep it:
            // it may tell the status.
            text: vec![0; (words_max * 8).max(TEXT_BYTES_MIN)].into(),
        }
    }

    /// Empties the buffer, for a span of a callsite with so many fields.
    #[inline]
    pub(crate) fn begin(&mut self, fields: usize) {
        self.begin_event(fields);
        self.status_hints = StatusHints::default();
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

    /// The same if the first fields, with these headers, are stored elsewhere.
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

    /// Whether there are fields that are not even named as missing.
    #[inline]
    pub(crate) fn has_left_out(&self) -> bool {
        self.left_out
    }

    /// How many fields the callsite has.
    pub(crate) fn declared(&self) -> usize {
        self.shares.fields()
    }

    /// Notes in the span what its words do not tell about its fields. `kept` says whether all words
    /// could be kept.
    pub(crate) fn mark(&self, span: &SpanSlot, kept: bool) {
        let is_in_words = kept && !self.cut && !self.left_out;
        span.set_status_hints(self.status_hints, is_in_words);
        if self.left_out {
            span.set_left_out();
        }
    }

    /// Whether the words do not tell everything about the fields.
    pub(crate) fn has_more_to_say(&self) -> bool {
        self.left_out || self.cut && !self.status_hints.is_nothing()
    }

    /// Notes a value. Returns how many words it may take, and the field's index if that fits into a
    /// header.
    #[inline]
    fn meet(&mut self, field: &Field, told: HintValue<'_>) -> Option<(u8, usize)> {
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
    fn listen(&mut self, name: &str, told: HintValue<'_>) {
        if let Some(role) = Role::of(name) {
            self.status_hints.tell(role, told);
        }
    }

    /// Adds a field for whose value there is no room; `original` is how many bytes its text had.
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

    /// Adds a header, to which the field's index is added, and the words after it.
    #[inline]
    fn push<const N: usize>(&mut self, field: &Field, told: HintValue<'_>, words: [u64; N]) {
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

    /// Adds a text, or as much of it as there is room for: `bytes` are available, `original` were
    /// recorded.
    #[inline]
    fn push_text(&mut self, field: &Field, kind: u8, bytes: &[u8], original: u64) {
        let told = HintValue::Text(bytes, bytes.len() as u64 == original);
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

    /// Formats a value into `text` and adds it. A panic in the value's own code ends here: it is the
    /// user's bug, but must not crash the program.
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

/// Copies bytes into as many little-endian words as they need; the last one is padded with zeros.
#[inline(always)]
fn put_words(bytes: &[u8], words: &mut [u64]) {
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_le_bytes(*chunk);
    }
    if !tail.is_empty()
        && let Some(last) = words.last_mut()
    {
        // Most texts are short, and for a few bytes a call of `memcpy` would cost more than everything
        // else.
        *last = tail_word(bytes, tail.len());
    }
}

/// The largest index up to `at` that does not split a character of UTF-8 text.
fn floor_char_boundary(bytes: &[u8], at: usize) -> usize {
    if at >= bytes.len() {
        return bytes.len();
    }
    // A continuation byte is 10xxxxxx; a character has at most three of them.
    (0..=at).rev().take(4).find(|&index| bytes[index] & 0xC0 != 0x80).unwrap_or(at)
}

/// Keeps what fits, and counts the rest, so that the original length is known.
struct Cutter<'a> {
    text: &'a mut [u8],
    len: usize,
    original: u64,
}

impl fmt::Write for Cutter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Once something was cut, nothing more is kept: the text must not have holes.
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
        let told = HintValue::Number(value.into());
        match i32::try_from(value) {
            Ok(small) => self.push(field, told, [header(0, KIND_I32, 0, small as u32)]),
            Err(_) => self.push(field, told, [header(0, KIND_I64, 0, 0), value as u64]),
        }
    }

    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        let told = HintValue::Number(value.into());
        match u32::try_from(value) {
            Ok(small) => self.push(field, told, [header(0, KIND_U32, 0, small)]),
            Err(_) => self.push(field, told, [header(0, KIND_U64, 0, 0), value]),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        let (low, high) = (value as u64, (value >> 64) as u64);
        self.push(field, HintValue::Number(value), [header(0, KIND_I128, 0, 0), low, high]);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        let (low, high) = (value as u64, (value >> 64) as u64);
        let told = HintValue::Number(i128::try_from(value).unwrap_or(i128::MAX));
        self.push(field, told, [header(0, KIND_U128, 0, 0), low, high]);
    }

    #[inline]
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, of_float(value), [header(0, KIND_F64, 0, 0), value.to_bits()]);
    }

    #[inline]
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, HintValue::Bool(value), [header(0, KIND_BOOL, 0, u32::from(value))]);
    }

    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push_text(field, KIND_STR, value.as_bytes(), value.len() as u64);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.push_text(field, KIND_BYTES, value, value.len() as u64);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        /// A longer chain is probably a cycle.
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
