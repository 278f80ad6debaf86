//! Field values in words: visited into a [buffer](crate::recorder::field_buffer), carried through table and ring, read by the
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
//! How much of a value is kept is up to [`field_room`](crate::recorder::field_room). What it says of its span's
//! status is not: of a value that is not kept in full, all of it is [looked at](crate::recorder::status_hints) when it is
//! recorded.

pub(crate) const KIND_I32: u8 = 1;
pub(crate) const KIND_U32: u8 = 2;
pub(crate) const KIND_I64: u8 = 3;
pub(crate) const KIND_U64: u8 = 4;
pub(crate) const KIND_I128: u8 = 5;
pub(crate) const KIND_U128: u8 = 6;
pub(crate) const KIND_F64: u8 = 7;
pub(crate) const KIND_BOOL: u8 = 8;
pub(crate) const KIND_STR: u8 = 9;
pub(crate) const KIND_BYTES: u8 = 10;
/// A field for which there was no room; `low` is how many bytes its text had, 0 for a number.
pub(crate) const KIND_MISSING: u8 = 11;
/// Not a field: `low` words follow that mean nothing.
const KIND_PAD: u8 = 12;

/// Most fields of a callsite that a header can tell apart.
pub(crate) const FIELDS_MAX: usize = 256;

/// The text is shorter than what was recorded.
pub(crate) const CUT: u8 = 1;

#[inline(always)]
pub(crate) fn header(field: usize, kind: u8, flags: u8, low: u32) -> u64 {
    u64::from(low) << 32 | u64::from(flags) << 16 | u64::from(kind) << 8 | field as u64
}

/// The word for a field without room for its value.
pub(crate) fn missing(index: u8, original: u64) -> u64 {
    header(index.into(), KIND_MISSING, 0, u32::try_from(original).unwrap_or(u32::MAX))
}

/// The header of so many words that mean nothing, itself included.
pub(crate) fn padding(words: usize) -> u64 {
    header(0, KIND_PAD, 0, words.saturating_sub(1) as u32)
}

/// The flag of padding that contains ids from another system. It is no cut, and tells no status.
#[cfg(any(feature = "opentelemetry", feature = "crash-proof"))]
const GIVEN_IDS: u64 = 1 << 24;

/// Ids that another system has given a span.
#[cfg(feature = "opentelemetry")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenIds {
    pub(crate) trace: u128,
    pub(crate) span: u64,
}

#[cfg(feature = "opentelemetry")]
impl GivenIds {
    pub(crate) const WORDS: usize = 4;

    /// As padding: readers of the fields skip it.
    pub(crate) fn words(self) -> [u64; Self::WORDS] {
        let header = padding(Self::WORDS) | GIVEN_IDS;
        [header, (self.trace >> 64) as u64, self.trace as u64, self.span]
    }
}

/// Whether a header belongs to `GivenIds`, which must not be overwritten like other padding.
pub(crate) fn has_given_ids(header: u64) -> bool {
    #[cfg(feature = "opentelemetry")]
    return is_padding(header) && header & GIVEN_IDS != 0;
    #[cfg(not(feature = "opentelemetry"))]
    return {
        let _ = header;
        false
    };
}

/// The ids of trace and span among these words. (Who recovers a ring file may read those of a program that has the
/// feature without having it.)
#[cfg(any(feature = "opentelemetry", feature = "crash-proof"))]
pub(crate) fn given_ids(mut words: &[u64]) -> Option<(u128, u64)> {
    while let [header, rest @ ..] = words {
        let is_given = is_padding(*header) && header & GIVEN_IDS != 0;
        if let (true, [high, low, span, ..]) = (is_given, rest) {
            return Some((u128::from(*high) << 64 | u128::from(*low), *span));
        }
        words = words.get(len_of(*header)..)?;
    }
    None
}

/// Fewest words of a text that is cut: a header, how long it was, and some of it.
pub(crate) const CUT_WORDS_MIN: usize = 3;

/// A value, or as much of it as there is room for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    head: [u64; 2],
    head_len: usize,
    text: &'a [u64],
    /// Which bytes of the last word count.
    last: u64,
}

impl<'a> Piece<'a> {
    /// As much of a value as fits into so many words, with its header. `None` if there is not even room
    /// for a part.
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

/// The last `tail` bytes, from 1 to 7 of them, as a little-endian word filled up with zeros.
#[inline(always)]
pub(crate) fn tail_word(bytes: &[u8], tail: usize) -> u64 {
    if let Some(end) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*end) >> (8 * (8 - tail));
    }
    // Two overlapping reads cover four to seven bytes; three single ones cover up to three.
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let (low, high) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(low) | u64::from(high) << (8 * (tail - 4));
    }
    let at = |index: usize| u64::from(bytes.get(index).copied().unwrap_or(0)) << (8 * index);
    at(0) | at(1) | at(2)
}

/// How many words a field takes, including its header.
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

/// Whether a header is of a field, with a value or without.
#[cfg(feature = "crash-proof")]
pub(crate) fn is_field(header: u64) -> bool {
    is_known(header) || kind_of(header) == KIND_MISSING
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

/// Whether a header belongs to no field, but to words that mean nothing.
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
    /// UTF-8 text in little-endian words, and its length in bytes.
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

/// Reads fields from their words. Stops at anything that is not a field.
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
