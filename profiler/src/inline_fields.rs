//! Field values, visited right into the place where they lie while their span is open.
//!
//! The words are those of [`fields`](crate::fields). What does not fit the place, or has to be
//! formatted, goes through the thread's [`FieldBuffer`].

use std::fmt;

use tracing_core::field::{Field, Visit};

use crate::fields::{
    FieldBuffer, KIND_BOOL, KIND_F64, KIND_I32, KIND_I64, KIND_STR, KIND_U32, KIND_U64, header,
    tail_word,
};
use crate::local;
use crate::open_spans::INLINE_WORDS;
use crate::sync::{AtomicU64, Ordering};

/// Collects the fields of a span whose callsite has no more than
/// [`FIELDS_MAX`](crate::fields::FIELDS_MAX) of them.
#[derive(Debug)]
pub(crate) struct InlineFields<'a> {
    words: &'a [AtomicU64; INLINE_WORDS],
    /// How many of them are in use; all once something has not fitted, so that the order is kept.
    used: usize,
    /// Words that all fields together may have, at least `INLINE_WORDS`.
    limit: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// All fields so far are in the words.
    Inline,
    /// Behind so many words, the fields are in the thread's buffer.
    Overflowed(usize),
    /// There was no buffer. No code of the user's has run.
    Failed,
}

impl<'a> InlineFields<'a> {
    #[inline(always)]
    pub(crate) fn new(words: &'a [AtomicU64; INLINE_WORDS], limit: usize) -> Self {
        Self { words, used: 0, limit, state: State::Inline }
    }

    /// How many words are in use.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        match self.state {
            State::Overflowed(words) => words,
            _ => self.used,
        }
    }

    /// Whether all fields are in the words.
    #[inline(always)]
    pub(crate) fn is_inline(&self) -> bool {
        self.state == State::Inline
    }

    /// Whether later fields would be in the thread's buffer, but there was none. No code of the
    /// user's has run then.
    pub(crate) fn has_failed(&self) -> bool {
        self.state == State::Failed
    }

    /// One word that is all of the field; `false` if it does not fit.
    #[inline(always)]
    fn push(&mut self, field: &Field, kind: u8, low: u32) -> bool {
        let Some(word) = self.words.get(self.used) else { return false };
        // Release, here and below: for the table's sequence lock.
        word.store(header(field.index(), kind, 0, low), Ordering::Release);
        self.used += 1;
        true
    }

    /// A header and one word.
    #[inline(always)]
    fn push_wide(&mut self, field: &Field, kind: u8, value: u64) -> bool {
        let Some([first, second, ..]) = self.words.get(self.used..) else { return false };
        first.store(header(field.index(), kind, 0, 0), Ordering::Release);
        second.store(value, Ordering::Release);
        self.used += 2;
        true
    }

    /// A header and a text.
    #[inline(always)]
    fn push_text(&mut self, field: &Field, bytes: &[u8]) -> bool {
        // `div_ceil` in fewer instructions; no text is so long that this could overflow.
        let words = (bytes.len() + 7) >> 3;
        let after = self.used + 1 + words;
        let Some([first, text @ ..]) = self.words.get(self.used..after) else { return false };
        self.used = after;
        first.store(header(field.index(), KIND_STR, 0, bytes.len() as u32), Ordering::Release);
        put_words(bytes, text);
        true
    }

    /// Records a field into the thread's buffer, and moves it here if it fits.
    fn slowly(&mut self, record: impl FnOnce(&mut FieldBuffer)) {
        if self.has_failed() {
            return;
        }
        let recorded = local::with_cold_in_user_code(|cold| {
            let buffer = &mut cold.fields;
            let used = self.len();
            if self.state == State::Inline {
                buffer.clear(self.limit - used);
            }
            record(buffer);
            let after = used + buffer.words().len();
            match self.words.get(used..after) {
                Some(here) if !buffer.has_left_out() && self.state == State::Inline => {
                    for (to, word) in here.iter().zip(buffer.words()) {
                        to.store(*word, Ordering::Release);
                    }
                    self.used = after;
                }
                _ => {
                    self.state = State::Overflowed(used);
                    self.used = INLINE_WORDS;
                }
            }
        });
        if recorded.is_none() {
            self.state = State::Failed;
            self.used = INLINE_WORDS;
        }
    }

    // Calls of their own, so that their closures take no room in the common case.

    #[cold]
    #[inline(never)]
    fn i64_slowly(&mut self, field: &Field, value: i64) {
        self.slowly(|buffer| buffer.record_i64(field, value));
    }

    #[cold]
    #[inline(never)]
    fn u64_slowly(&mut self, field: &Field, value: u64) {
        self.slowly(|buffer| buffer.record_u64(field, value));
    }

    #[cold]
    #[inline(never)]
    fn f64_slowly(&mut self, field: &Field, value: f64) {
        self.slowly(|buffer| buffer.record_f64(field, value));
    }

    #[cold]
    #[inline(never)]
    fn bool_slowly(&mut self, field: &Field, value: bool) {
        self.slowly(|buffer| buffer.record_bool(field, value));
    }

    #[cold]
    #[inline(never)]
    fn str_slowly(&mut self, field: &Field, value: &str) {
        self.slowly(|buffer| buffer.record_str(field, value));
    }
}

/// Copies bytes into as many little-endian words as they need.
#[inline(always)]
fn put_words(bytes: &[u8], words: &[AtomicU64]) {
    let put = |word: &AtomicU64, bytes: &[u8; 8]| {
        word.store(u64::from_le_bytes(*bytes), Ordering::Release);
    };
    let ([first, words @ ..], Some((chunk, rest))) = (words, bytes.split_first_chunk::<8>()) else {
        // At most seven bytes.
        if let [first, ..] = words {
            first.store(tail_word(bytes, bytes.len()), Ordering::Release);
        }
        return;
    };
    put(first, chunk);
    if rest.is_empty() {
        return;
    }
    put_more_words(bytes, words);
}

/// The same for what is behind the first word. A call of its own, because the compiler unrolls the
/// loop, and short texts would pay for it.
#[inline(never)]
fn put_more_words(bytes: &[u8], words: &[AtomicU64]) {
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter().zip(chunks.get(1..).unwrap_or_default()) {
        word.store(u64::from_le_bytes(*chunk), Ordering::Release);
    }
    if !tail.is_empty()
        && let Some(last) = words.last()
    {
        last.store(tail_word(bytes, tail.len()), Ordering::Release);
    }
}

impl Visit for InlineFields<'_> {
    #[inline]
    fn record_i64(&mut self, field: &Field, value: i64) {
        let pushed = match i32::try_from(value) {
            Ok(small) => self.push(field, KIND_I32, small as u32),
            Err(_) => self.push_wide(field, KIND_I64, value as u64),
        };
        if !pushed {
            self.i64_slowly(field, value);
        }
    }

    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        let pushed = match u32::try_from(value) {
            Ok(small) => self.push(field, KIND_U32, small),
            Err(_) => self.push_wide(field, KIND_U64, value),
        };
        if !pushed {
            self.u64_slowly(field, value);
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.slowly(|buffer| buffer.record_i128(field, value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.slowly(|buffer| buffer.record_u128(field, value));
    }

    #[inline]
    fn record_f64(&mut self, field: &Field, value: f64) {
        if !self.push_wide(field, KIND_F64, value.to_bits()) {
            self.f64_slowly(field, value);
        }
    }

    #[inline]
    fn record_bool(&mut self, field: &Field, value: bool) {
        if !self.push(field, KIND_BOOL, u32::from(value)) {
            self.bool_slowly(field, value);
        }
    }

    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        if !self.push_text(field, value.as_bytes()) {
            self.str_slowly(field, value);
        }
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.slowly(|buffer| buffer.record_bytes(field, value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.slowly(|buffer| buffer.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.slowly(|buffer| buffer.record_debug(field, value));
    }
}
