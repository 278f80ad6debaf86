//! Field values, visited right into the slot in which they stay while their span is open.
//!
//! The words are those of [`fields`](crate::recorder::fields). What does not fit into the slot, or has
//! to be formatted, goes through the thread's [`FieldBuffer`].

use std::fmt;

use tracing_core::field::{Field, Visit};

use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::fields::{
    KIND_BOOL, KIND_F64, KIND_I32, KIND_I64, KIND_STR, KIND_U32, KIND_U64, header, len_of,
    tail_word,
};
use crate::recorder::local::{self, NoThreadState};
use crate::recorder::open_spans::{INLINE_WORDS, SpanSlot};
use crate::sync::{AtomicU64, Ordering};

/// Collects the fields of a span whose callsite has no more than
/// [`FIELDS_MAX`](crate::recorder::fields::FIELDS_MAX) of them.
///
/// It has only two words, both needed by the visits: so setting it up takes two stores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InlineFields<'a> {
    span: &'a SpanSlot,
    /// How many of the span's words are in use, if all fields so far are in them. Otherwise `OVERFLOWED`
    /// or `FAILED` is added: then it is more than there are words, so that nothing fits any more and the
    /// order is kept.
    used: u32,
}

/// Further fields are in the thread's buffer.
const OVERFLOWED: u32 = 1 << 16;
/// The buffer could not be used. No code of the user's has run.
const FAILED: u32 = 1 << 17;
const _: () = assert!(INLINE_WORDS < OVERFLOWED as usize);

impl<'a> InlineFields<'a> {
    #[inline(always)]
    pub(crate) fn new(span: &'a SpanSlot) -> Self {
        Self { span, used: 0 }
    }

    /// The span with these fields.
    #[inline(always)]
    pub(crate) fn span(&self) -> &'a SpanSlot {
        self.span
    }

    /// How many words are in use.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        (self.used & (OVERFLOWED - 1)) as usize
    }

    /// How many words are in use, if all fields are in them.
    #[inline(always)]
    pub(crate) fn len_if_inline(&self) -> Option<usize> {
        (self.used < OVERFLOWED).then_some(self.used as usize)
    }

    /// Whether later fields should be in the thread's buffer, but it could not be used. Then no code of
    /// the user's has run.
    pub(crate) fn has_failed(&self) -> bool {
        self.used == FAILED
    }

    /// The words that are free.
    #[inline(always)]
    fn free(&self) -> &'a [AtomicU64] {
        self.span.inline_fields().get(self.used as usize..).unwrap_or_default()
    }

    /// Adds a field of one word; `false` if it does not fit.
    #[inline(always)]
    fn push(&mut self, field: usize, kind: u8, low: u32) -> bool {
        let [word, ..] = self.free() else { return false };
        // Release, here and below: for the table's sequence lock.
        word.store(header(field, kind, 0, low), Ordering::Release);
        self.used += 1;
        true
    }

    /// Adds a header and one word.
    #[inline(always)]
    fn push_wide(&mut self, field: usize, kind: u8, value: u64) -> bool {
        let [first, second, ..] = self.free() else { return false };
        first.store(header(field, kind, 0, 0), Ordering::Release);
        second.store(value, Ordering::Release);
        self.used += 2;
        true
    }

    /// Adds a header and a text of one word.
    #[inline(always)]
    fn push_short_text(&mut self, field: usize, bytes: &[u8]) -> bool {
        if bytes.is_empty() || bytes.len() > 8 {
            return false;
        }
        let word = match bytes.first_chunk::<8>() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => tail_word(bytes, bytes.len()),
        };
        let [first, second, ..] = self.free() else { return false };
        first.store(header(field, KIND_STR, 0, bytes.len() as u32), Ordering::Release);
        second.store(word, Ordering::Release);
        self.used += 2;
        true
    }

    /// Adds a header and a text.
    fn push_text(&mut self, field: usize, bytes: &[u8]) -> bool {
        let words = bytes.len().div_ceil(8);
        let Some([first, text @ ..]) = self.free().get(..1 + words) else { return false };
        self.used += 1 + words as u32;
        first.store(header(field, KIND_STR, 0, bytes.len() as u32), Ordering::Release);
        put_words(bytes, text);
        true
    }

    /// Adds a number, if there is room.
    #[inline(always)]
    pub(crate) fn push_i64(&mut self, field: usize, value: i64) -> bool {
        match i32::try_from(value) {
            Ok(small) => self.push(field, KIND_I32, small as u32),
            Err(_) => self.push_wide(field, KIND_I64, value as u64),
        }
    }

    #[inline(always)]
    pub(crate) fn push_u64(&mut self, field: usize, value: u64) -> bool {
        match u32::try_from(value) {
            Ok(small) => self.push(field, KIND_U32, small),
            Err(_) => self.push_wide(field, KIND_U64, value),
        }
    }

    #[inline(always)]
    pub(crate) fn push_f64(&mut self, field: usize, value: f64) -> bool {
        self.push_wide(field, KIND_F64, value.to_bits())
    }

    #[inline(always)]
    pub(crate) fn push_bool(&mut self, field: usize, value: bool) -> bool {
        self.push(field, KIND_BOOL, u32::from(value))
    }

    /// Adds a short text, if there is room.
    #[inline(always)]
    pub(crate) fn push_str(&mut self, field: usize, value: &str) -> bool {
        self.push_short_text(field, value.as_bytes())
    }

    /// The headers of the fields in the first words.
    fn headers(&self, used: usize) -> impl Iterator<Item = u64> {
        let words = self.span.inline_fields();
        let mut at = 0;
        std::iter::from_fn(move || {
            // Relaxed: stores of this thread, to a span that no other thread knows.
            let header = words.get(at).filter(|_| at < used)?.load(Ordering::Relaxed);
            at += len_of(header);
            Some(header)
        })
    }

    /// Records a field into the thread's buffer, and moves it here if it fits.
    fn record_buffered(&mut self, field: &Field, record: impl FnOnce(&mut FieldBuffer)) {
        if self.has_failed() {
            return;
        }
        let recorded = local::with_thread_state_in_user_code(|thread_state| {
            let buffer = &mut thread_state.fields;
            let (used, was_inline) = (self.len(), self.len_if_inline().is_some());
            if was_inline {
                let fields = field.callsite().0.metadata().fields().len();
                buffer.begin_behind(fields, used, self.headers(used));
            }
            record(buffer);
            let here = self.free().get(..buffer.words().len());
            match here.filter(|_| was_inline && !buffer.has_more_to_say()) {
                Some(here) => {
                    for (to, word) in here.iter().zip(buffer.words()) {
                        to.store(*word, Ordering::Release);
                    }
                    self.used += here.len() as u32;
                }
                None => self.used = OVERFLOWED | used as u32,
            }
        });
        match recorded {
            Ok(()) => {}
            // As if there were no room in it.
            Err(NoThreadState::InUse) => self.used |= OVERFLOWED,
            Err(NoThreadState::Gone) => self.used = FAILED,
        }
    }

    // Separate functions, so that their closures take no room in the common case.

    #[cold]
    #[inline(never)]
    fn i64_slow(&mut self, field: &Field, value: i64) {
        self.record_buffered(field, |buffer| buffer.record_i64(field, value));
    }

    #[cold]
    #[inline(never)]
    fn u64_slow(&mut self, field: &Field, value: u64) {
        self.record_buffered(field, |buffer| buffer.record_u64(field, value));
    }

    #[cold]
    #[inline(never)]
    fn f64_slow(&mut self, field: &Field, value: f64) {
        self.record_buffered(field, |buffer| buffer.record_f64(field, value));
    }

    #[cold]
    #[inline(never)]
    fn bool_slow(&mut self, field: &Field, value: bool) {
        self.record_buffered(field, |buffer| buffer.record_bool(field, value));
    }

    /// A text that is long, or does not fit.
    #[inline(never)]
    fn longer_str(&mut self, field: &Field, value: &str) {
        if !self.push_text(field.index(), value.as_bytes()) {
            self.record_buffered(field, |buffer| buffer.record_str(field, value));
        }
    }
}

/// Copies bytes into as many little-endian words as they need.
fn put_words(bytes: &[u8], words: &[AtomicU64]) {
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter().zip(chunks) {
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
        if !self.push_i64(field.index(), value) {
            self.i64_slow(field, value);
        }
    }

    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        if !self.push_u64(field.index(), value) {
            self.u64_slow(field, value);
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.record_buffered(field, |buffer| buffer.record_i128(field, value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.record_buffered(field, |buffer| buffer.record_u128(field, value));
    }

    #[inline]
    fn record_f64(&mut self, field: &Field, value: f64) {
        if !self.push_f64(field.index(), value) {
            self.f64_slow(field, value);
        }
    }

    #[inline]
    fn record_bool(&mut self, field: &Field, value: bool) {
        if !self.push_bool(field.index(), value) {
            self.bool_slow(field, value);
        }
    }

    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        if !self.push_short_text(field.index(), value.as_bytes()) {
            self.longer_str(field, value);
        }
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.record_buffered(field, |buffer| buffer.record_bytes(field, value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_buffered(field, |buffer| buffer.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_buffered(field, |buffer| buffer.record_debug(field, value));
    }
}
