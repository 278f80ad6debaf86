//! Where JSON is put together: memory that is certainly large enough, and a position in it.
//!
//! Texts, keys and numbers are stored in whole words. What that leaves behind the end is overwritten by
//! the next one.

use std::fmt::{self, Write as _};

use super::digits::{self, put_short_decimal, put_u64};
use super::keys::{HEAD, Key};
use crate::json_string::{Escape, hex};
use crate::recorder::fields::{
    self, KIND_BOOL, KIND_F64, KIND_I32, KIND_I64, KIND_STR, KIND_U32, KIND_U64, Value,
};
use crate::redact::{Address, Urls};

/// What is written in place of a secret.
pub(super) const REDACTED_TEXT: &[u8] = b"\"[redacted]\"";

/// The most bytes of JSON that a word of fields can become: a control character takes 6, and an unknown
/// key with a number 28 for a word or two.
pub(super) const ROOM_PER_WORD: usize = 56;
/// Room for braces, the note on what was cut, and bytes stored behind the last number or text.
pub(super) const ROOM: usize = 64 + digits::ROOM;

const EACH: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte.
const HIGHEST: u64 = EACH << 7;

/// Has the highest bit set of each byte below `n` (it borrows when `n` is subtracted); that of the byte
/// after such a one, and other bits, may be set, too.
#[inline(always)]
fn below(word: u64, n: u8) -> u64 {
    word.wrapping_sub(EACH * u64::from(n)) & !word
}

/// The same for each byte that equals this one.
#[inline(always)]
fn is(word: u64, byte: u8) -> u64 {
    below(word ^ (EACH * u64::from(byte)), 1)
}

/// Not zero if there is a byte in the word that has to be escaped.
#[inline(always)]
fn specials(word: u64) -> u64 {
    (below(word, 0x20) | is(word, b'"') | is(word, b'\\')) & HIGHEST
}

/// Whether `://` may be in a text. A colon in the last byte of a word is enough: the next word is not
/// looked at.
fn may_have_url(words: &[u64]) -> bool {
    let after = |word: u64| is(word, b'/') >> 8 | 1 << 63;
    words.iter().any(|word| is(*word, b':') & after(*word) & HIGHEST != 0)
}

/// The text in these words, of this length in bytes.
fn text_of(words: &[u64], len: usize) -> String {
    let bytes: Vec<_> = words.iter().flat_map(|word| word.to_le_bytes()).take(len).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where an object is put together. There is room for all of it.
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a mut [u8],
    pub(super) at: usize,
    pub(super) urls: &'a mut Urls,
}

impl Cursor<'_> {
    /// Stores a word, of which only the first `len` bytes belong to the text.
    #[inline(always)]
    pub(super) fn word(&mut self, word: u64, len: usize) {
        self.bytes[self.at..self.at + 8].copy_from_slice(&word.to_le_bytes());
        self.at += len;
    }

    #[inline(always)]
    fn byte(&mut self, byte: u8) {
        self.bytes[self.at] = byte;
        self.at += 1;
    }

    pub(super) fn slice(&mut self, bytes: &[u8]) {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    #[inline(always)]
    pub(super) fn key(&mut self, key: &Key) {
        self.bytes[self.at..self.at + HEAD].copy_from_slice(key.head());
        if key.len() <= HEAD {
            self.at += key.len();
        } else {
            self.at += HEAD;
            self.slice(key.rest());
        }
    }

    #[inline(always)]
    pub(super) fn number(&mut self, n: u64) {
        self.at += put_u64(&mut self.bytes[self.at..], n);
    }

    #[inline(always)]
    fn signed(&mut self, n: i64) {
        if n < 0 {
            self.byte(b'-');
        }
        self.number(n.unsigned_abs());
    }

    #[inline(always)]
    fn float(&mut self, x: f64) {
        match put_short_decimal(&mut self.bytes[self.at..], x) {
            Some(len) => self.at += len,
            // `{:?}` keeps `1.0` a float and uses an exponent where digits would be many.
            None if x.is_finite() => self.display(format_args!("{x:?}")),
            // JSON has no such numbers.
            None => self.display(format_args!("\"{x}\"")),
        }
    }

    #[inline(always)]
    fn bool(&mut self, value: bool) {
        let (text, len) = if value { (b"true\0\0\0\0", 4) } else { (b"false\0\0\0", 5) };
        self.word(u64::from_le_bytes(*text), len);
    }

    /// A text of `len` bytes, escaped, without the secrets of URLs.
    #[inline(always)]
    fn text(&mut self, words: &[u64], len: usize, address: Address, is_cut: bool) {
        self.byte(b'"');
        let start = self.at;
        let mut left = len;
        let mut colons = 0;
        for word in words {
            let n = left.min(8);
            // The zeros behind the end are replaced by spaces, which need no escape.
            let filled = if n < 8 { word | 0x2020_2020_2020_2020 << (8 * n) } else { *word };
            colons |= is(filled, b':');
            if specials(filled) == 0 {
                self.word(filled, n);
            } else {
                for byte in &word.to_le_bytes()[..n] {
                    self.slice(Escape::new(*byte).bytes());
                }
            }
            left -= n;
        }
        if colons & HIGHEST != 0 || address != Address::Any {
            self.look_for_urls(start, words, len, address, is_cut);
        }
        self.byte(b'"');
    }

    /// Writes a text again without secrets, if it has any.
    #[inline(never)]
    fn look_for_urls(
        &mut self,
        start: usize,
        words: &[u64],
        len: usize,
        address: Address,
        is_cut: bool,
    ) {
        if let Some(text) = self.without_secrets(words, len, address, is_cut) {
            self.at = start;
            for byte in text.bytes() {
                self.slice(Escape::new(byte).bytes());
            }
        }
    }

    /// The text without the secrets of its URLs, if it has any. It is not much longer.
    fn without_secrets(
        &mut self,
        words: &[u64],
        len: usize,
        address: Address,
        is_cut: bool,
    ) -> Option<String> {
        if address == Address::Any && !may_have_url(words) {
            return None;
        }
        self.urls.redacted(&text_of(words, len), address, is_cut)
    }

    /// Appends a text of `len` bytes without quotes or escapes, and without the secrets of URLs.
    pub(super) fn plain_text(&mut self, words: &[u64], len: usize, is_cut: bool) {
        if let Some(text) = self.without_secrets(words, len, Address::Any, is_cut) {
            return self.slice(text.as_bytes());
        }
        let end = self.at + len;
        words.iter().for_each(|word| self.word(*word, 8));
        self.at = end;
    }

    /// Appends a value that was not cut, of one of the common kinds, given by its header and the words
    /// after it. Returns the words that are left.
    #[inline(always)]
    pub(super) fn plain_value<'a>(
        &mut self,
        header: u64,
        after: &'a [u64],
        address: Address,
    ) -> Option<&'a [u64]> {
        let low = (header >> 32) as u32;
        match (fields::kind_of(header), after) {
            (KIND_U32, _) => self.number(low.into()),
            (KIND_I32, _) => self.signed((low as i32).into()),
            (KIND_BOOL, _) => self.bool(low != 0),
            (KIND_I64, [value, after @ ..]) => {
                self.signed(*value as i64);
                return Some(after);
            }
            (KIND_U64, [value, after @ ..]) => {
                self.number(*value);
                return Some(after);
            }
            (KIND_F64, [value, after @ ..]) => {
                self.float(f64::from_bits(*value));
                return Some(after);
            }
            (KIND_STR, after) => {
                let len = low as usize;
                let (text, after) = after.split_at_checked(len.div_ceil(8))?;
                self.text(text, len, address, false);
                return Some(after);
            }
            _ => return None,
        }
        Some(after)
    }

    pub(super) fn value(&mut self, value: Value<'_>, address: Address, is_cut: bool) {
        match value {
            Value::I64(n) => self.signed(n),
            Value::U64(n) => self.number(n),
            Value::F64(x) => self.float(x),
            Value::Bool(value) => self.bool(value),
            Value::Str(words, len) => self.text(words, len, address, is_cut),
            Value::Bytes(words, len)
                if self.without_secrets(words, len, address, is_cut).is_some() =>
            {
                self.slice(REDACTED_TEXT);
            }
            Value::Bytes(words, len) => {
                self.byte(b'"');
                for byte in words.iter().flat_map(|word| word.to_le_bytes()).take(len) {
                    self.slice(&[hex(byte >> 4), hex(byte)]);
                }
                self.byte(b'"');
            }
            Value::Missing => self.slice(b"null"),
            Value::I128(n) => self.display(format_args!("{n}")),
            Value::U128(n) => self.display(format_args!("{n}")),
        }
    }

    #[cold]
    fn display(&mut self, value: fmt::Arguments<'_>) {
        // Writing to memory cannot fail.
        let _infallible = self.write_fmt(value);
    }

    /// Ends an object whose members all began with a comma. Does nothing if there were no members.
    #[inline]
    pub(super) fn close_object(&mut self, start: usize) {
        if self.at > start {
            self.bytes[start] = b'{';
            self.byte(b'}');
        }
    }
}

impl fmt::Write for Cursor<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.slice(text.as_bytes());
        Ok(())
    }
}
