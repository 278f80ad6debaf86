//! Field values as JSON text.
//!
//! An object is put together in memory of the writer's own, where texts and keys are stored in whole
//! words, and goes into the batch as one piece. Nearly all objects have only fields that come once and
//! in full; such an object is written while its fields are read. For all others the fields are collected
//! first.

use super::cursor::{Cursor, REDACTED_TEXT, ROOM, ROOM_PER_WORD};
use super::keys::{Key, Keys, bit};
use crate::recorder::fields::{self, FieldValue, Fields, Value};
use crate::redact::{Address, REDACTED, Redaction, Secrecy, Urls};

/// The reserved key under which an object names fields that are not there as they were recorded: with
/// the number of bytes that each had; with `null` for a number that there was no room for, and for a
/// secret, whose length is nobody's business; and `"*": null` if fields were left out whose names are
/// not known.
const TRUNCATED_KEY: &[u8] = b",\"$truncated\":";
const LEFT_OUT: &[u8] = b",\"*\":null";

/// Writes objects and messages, one after the other, into one text.
#[derive(Debug, Default)]
pub(super) struct JsonWriter {
    /// The text, and memory behind it to write to.
    bytes: Vec<u8>,
    /// Where the text ends.
    at: usize,
    urls: Urls,
}

impl JsonWriter {
    pub(super) fn new(redaction: Redaction) -> Self {
        Self { urls: Urls::new(redaction), ..Self::default() }
    }

    /// Continues at the end of a text.
    pub(super) fn begin(&mut self, text: String) {
        self.at = text.len();
        self.bytes = text.into_bytes();
    }

    /// The text as it is now.
    pub(super) fn end(&mut self) -> String {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(self.at);
        // Checked once, for everything that was written. It is UTF-8, unless something has overwritten
        // the ring's memory; then each wrong byte is replaced by one byte, as others know where their
        // texts begin.
        let mut text = String::from_utf8(bytes);
        while let Err(error) = text {
            let at = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            bytes[at] = b'?';
            text = String::from_utf8(bytes);
        }
        text.unwrap_or_default()
    }

    /// Where the text ends.
    #[inline(always)]
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// A cursor with room for so many bytes.
    #[inline(always)]
    fn cursor(&mut self, room: usize) -> Cursor<'_> {
        if self.bytes.len() - self.at < room {
            self.make_room(room);
        }
        Cursor { bytes: &mut self.bytes, at: self.at, urls: &mut self.urls }
    }

    #[cold]
    fn make_room(&mut self, room: usize) {
        /// Grows in large steps.
        const STEP: usize = 1024;
        self.bytes.resize(self.at + room + STEP, 0);
    }

    /// Appends the object of the fields in `words`; nothing at all if there are none. The field `skip`
    /// is left out: it is stored elsewhere. A field that was recorded several times has its last value,
    /// in its first position. `left_out` says that whole fields are missing. Returns whether anything
    /// was cut.
    #[inline]
    pub(super) fn push_object(
        &mut self,
        keys: &Keys,
        words: &[u64],
        left_out: bool,
        skip: Option<usize>,
    ) -> bool {
        if left_out || !self.push_plain_object(keys, words, skip) {
            self.push_any_object(keys, words, left_out, skip)
        } else {
            false
        }
    }

    /// The same if all fields come once and in full; otherwise appends nothing and returns `false`.
    #[inline(always)]
    fn push_plain_object(&mut self, keys: &Keys, words: &[u64], skip: Option<usize>) -> bool {
        let start = self.at;
        let mut cursor = self.cursor(keys.bytes() + ROOM_PER_WORD * words.len() + ROOM);
        let skip = skip.map_or(0, bit);
        let special = skip | keys.secrets();
        let mut met = 0_u64;
        let mut rest = words;
        while let [header, after @ ..] = rest {
            let Some(key) = keys.get(fields::index_of(*header).into()) else { return false };
            if key.bit() & !met == 0 || fields::is_cut(*header) {
                return false;
            }
            met |= key.bit();
            if key.bit() & special != 0
                && fields::is_known(*header)
                && (key.bit() == skip || is_secret(key.secrecy(), fields::kind_of(*header)))
            {
                if key.bit() != skip {
                    cursor.key(key);
                    cursor.slice(REDACTED_TEXT);
                }
                rest = rest.get(fields::len_of(*header)..).unwrap_or_default();
                continue;
            }
            cursor.key(key);
            match cursor.plain_value(*header, after, key.address()) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        cursor.close_object(start);
        self.at = cursor.at;
        true
    }

    /// Appends the text that replaces a secret message.
    #[cold]
    fn push_marker(&mut self) {
        let mut cursor = self.cursor(ROOM);
        cursor.slice(REDACTED.as_bytes());
        self.at = cursor.at;
    }

    #[cold]
    fn push_any_object(
        &mut self,
        keys: &Keys,
        words: &[u64],
        left_out: bool,
        skip: Option<usize>,
    ) -> bool {
        let mut fields: Vec<FieldValue<'_>> = Vec::new();
        for mut field in Fields::new(words) {
            field.index = keys.get(field.index).map_or(usize::MAX, Key::first);
            match fields.iter_mut().find(|known| known.index == field.index) {
                Some(known) => *known = field,
                None => fields.push(field),
            }
        }
        let start = self.at;
        // Twice the keys: once with the value, once with the original length.
        let mut cursor = self.cursor(2 * keys.bytes() + ROOM_PER_WORD * words.len() + ROOM);
        let is_here = |field: &&FieldValue<'_>| field.value != Value::Missing;
        for field in fields.iter().filter(is_here).filter(|field| skip != Some(field.index)) {
            let key = keys.get_or_unknown(field.index);
            cursor.key(key);
            if is_secret_value(key.secrecy(), field.value) {
                cursor.slice(REDACTED_TEXT);
            } else {
                cursor.value(field.value, key.address(), field.is_cut());
            }
        }
        // That a message was cut is said here, though it is in a column of its own.
        let is_cut = left_out || fields.iter().any(FieldValue::is_cut);
        if is_cut {
            cursor.slice(TRUNCATED_KEY);
            let start = cursor.at;
            for field in fields.iter().filter(|field| field.is_cut()) {
                let key = keys.get_or_unknown(field.index);
                cursor.key(key);
                match field.original {
                    Some(original) if key.secrecy() == Secrecy::None => cursor.number(original),
                    _ => cursor.slice(b"null"),
                }
            }
            if left_out {
                cursor.slice(LEFT_OUT);
            }
            cursor.close_object(start);
        }
        cursor.close_object(start);
        self.at = cursor.at;
        is_cut
    }

    /// Appends a value as plain text, for messages.
    pub(super) fn push_plain(&mut self, value: Value<'_>, secrecy: Secrecy, is_cut: bool) {
        let value = match value {
            _ if secrecy == Secrecy::None => value,
            Value::Missing => value,
            _ => return self.push_marker(),
        };
        let words = match value {
            Value::Missing => return,
            Value::Str(words, _) | Value::Bytes(words, _) => words.len(),
            _ => 3,
        };
        let mut cursor = self.cursor(ROOM_PER_WORD * words + ROOM);
        if let Value::Str(words, len) = value {
            cursor.plain_text(words, len, is_cut);
        } else {
            cursor.value(value, Address::Any, is_cut);
        }
        self.at = cursor.at;
    }
}

/// Whether a value may not be stored.
fn is_secret_value(secrecy: Secrecy, value: Value<'_>) -> bool {
    let is_text = matches!(value, Value::Str(..) | Value::Bytes(..));
    secrecy == Secrecy::All || secrecy == Secrecy::Texts && is_text
}

/// Whether a value of this kind may not be stored.
fn is_secret(secrecy: Secrecy, kind: u8) -> bool {
    secrecy == Secrecy::All || secrecy == Secrecy::Texts && fields::is_text(kind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recorder::fields::{
        KIND_BOOL, KIND_BYTES, KIND_F64, KIND_I64, KIND_MISSING, KIND_STR, KIND_U32, KIND_U64,
        header, padding,
    };
    use crate::redact::Redaction;

    /// The words of texts, as a visitor leaves them.
    fn text(field: usize, text: &str, original: Option<u64>) -> Vec<u64> {
        let word = |chunk: &[u8]| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        };
        let flags = u8::from(original.is_some());
        let mut words = vec![header(field, KIND_STR, flags, text.len() as u32)];
        words.extend(original);
        words.extend(text.as_bytes().chunks(8).map(word));
        words
    }

    fn text_of(
        names: &[&str],
        words: &[u64],
        left_out: bool,
        skip: Option<usize>,
    ) -> (String, bool) {
        let mut writer = JsonWriter::default();
        writer.begin("before".into());
        let cut = writer.push_object(
            &Keys::new(names, |name| Redaction::default().secrecy(name)),
            words,
            left_out,
            skip,
        );
        let text = writer.end();
        (text.strip_prefix("before").unwrap().to_owned(), cut)
    }

    fn object(names: &[&str], words: &[u64]) -> serde_json::Value {
        let (out, _) = text_of(names, words, false, None);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    fn value(value: Value<'_>) -> String {
        let mut writer = JsonWriter::default();
        let mut cursor = writer.cursor(256);
        cursor.value(value, Address::Any, false);
        writer.at = cursor.at;
        writer.end()
    }

    proptest! {
        #[test]
        fn any_text_comes_back(
            first in any::<String>(),
            second in "[ -~\\\\\"\u{1}\n\u{e9}]{0,40}",
            name in any::<String>(),
        ) {
            let words = [text(0, &first, None), text(1, &second, None)].concat();
            let name = name.replace(|letter: char| letter.is_alphanumeric(), "x");
            let read = object(&[&name, "b"], &words);
            prop_assert_eq!(read["b"].as_str(), Some(second.as_str()));
            if name != "b" {
                prop_assert_eq!(read[name.as_str()].as_str(), Some(first.as_str()));
            }
            let mut writer = JsonWriter::default();
            writer.push_plain(Fields::new(&words).next().unwrap().value, Secrecy::None, false);
            prop_assert_eq!(writer.end(), first);
        }

        #[test]
        fn any_number_comes_back(i in any::<i64>(), u in any::<u64>(), x in any::<f64>()) {
            let words = [
                header(0, KIND_I64, 0, 0), i as u64, header(1, KIND_U64, 0, 0), u,
                header(2, KIND_F64, 0, 0), x.to_bits(), header(3, KIND_BOOL, 0, 1),
            ];
            let read = object(&["i", "u", "x", "b"], &words);
            prop_assert_eq!(read["i"].as_i64(), Some(i));
            prop_assert_eq!(read["u"].as_u64(), Some(u));
            prop_assert_eq!(read["b"].as_bool(), Some(true));
            if x.is_finite() {
                prop_assert_eq!(value(Value::F64(x)).parse::<f64>().unwrap().to_bits(), x.to_bits());
            }
        }

        #[test]
        fn whatever_stands_in_the_words_there_is_room(
            words in prop::collection::vec(
                prop_oneof![any::<u64>(), (0..12_u64, 0..13_u64, 0..2_u64, 0..50_u64)
                    .prop_map(|(field, kind, flags, low)| low << 32 | flags << 16 | kind << 8 | field)],
                0..40,
            ),
            left_out in any::<bool>(),
        ) {
            let (out, _) = text_of(&["a", "b\"", "a", "message"], &words, left_out, Some(3));
            prop_assert!(out.is_empty() || serde_json::from_str::<serde_json::Value>(&out).is_ok());
        }
    }

    #[test]
    fn what_is_no_text_is_made_up_for_and_nothing_moves() {
        let mut writer = JsonWriter::default();
        writer.begin("caf\u{e9} ".into());
        writer.push_plain(Value::Str(&[0x2062_ff61_80c3], 6), Secrecy::None, false);
        writer.push_plain(Value::Str(&[0xc3], 1), Secrecy::None, false);
        assert_eq!(writer.position(), 13);
        assert_eq!(writer.end(), "caf\u{e9} \u{c0}a?b ?");
    }

    #[test]
    fn what_json_has_no_number_for_is_text() {
        assert_eq!(value(Value::F64(f64::NAN)), "\"NaN\"");
        assert_eq!(value(Value::F64(f64::NEG_INFINITY)), "\"-inf\"");
        assert_eq!(value(Value::Bytes(&[0x10_ff00], 3)), "\"00ff10\"");
    }

    #[test]
    fn wide_numbers_keep_all_their_digits() {
        assert_eq!(value(Value::I128(i128::MIN)), i128::MIN.to_string());
        assert_eq!(value(Value::U128(u128::MAX)), u128::MAX.to_string());
    }

    #[test]
    fn a_field_has_its_last_value_in_its_first_place() {
        let small = |field, n| vec![header(field, KIND_U32, 0, n)];
        let words = [small(0, 1), small(1, 2), small(0, 3), small(2, 4)].concat();
        let (out, cut) = text_of(&["a", "b", "c"], &words, false, None);
        assert_eq!((out.as_str(), cut), (r#"{"a":3,"b":2,"c":4}"#, false));
        // A name that a callsite has twice is one key in the object.
        assert_eq!(text_of(&["a", "b", "a"], &words, false, None).0, r#"{"a":4,"b":2}"#);
        assert_eq!(text_of(&["a"], &small(7, 1), false, None).0, r#"{"?":1}"#);
    }

    #[test]
    fn what_is_no_field_ends_the_object_also_where_one_is_left_out() {
        let words = [header(0, 200, 0, 0), header(1, KIND_BOOL, 0, 1)];
        for skip in [None, Some(0), Some(1)] {
            assert_eq!(text_of(&["message", "a"], &words, false, skip), (String::new(), false));
        }
    }

    #[test]
    fn what_was_cut_is_said() {
        let words = [text(0, "b", Some(67_108_864)), text(1, "m", Some(9))].concat();
        let (out, cut) = text_of(&["body", "message"], &words, true, Some(1));
        let expected = r#"{"body":"b","$truncated":{"body":67108864,"message":9,"*":null}}"#;
        assert_eq!((out.as_str(), cut), (expected, true));
        assert_eq!(text_of(&[], &[], false, None), (String::new(), false));
        assert_eq!(text_of(&[], &[], true, None), (r#"{"$truncated":{"*":null}}"#.into(), true));
        assert_eq!(text_of(&["m"], &text(0, "m", None), false, Some(0)), (String::new(), false));
        let missing = |field, bytes| vec![header(field, KIND_MISSING, 0, bytes)];
        let words = [missing(0, 0), header_of_true(1), missing(2, 9), missing(3, 7)].concat();
        let (out, cut) = text_of(&["n", "ok", "text", "message"], &words, false, Some(3));
        let expected = r#"{"ok":true,"$truncated":{"n":null,"text":9,"message":7}}"#;
        assert_eq!((out.as_str(), cut), (expected, true));
        // What comes after, whole, counts.
        let words = [missing(0, 9), text(0, "whole", None)].concat();
        assert_eq!(text_of(&["a"], &words, false, None), (r#"{"a":"whole"}"#.into(), false));
    }

    fn header_of_true(field: usize) -> Vec<u64> {
        vec![header(field, KIND_BOOL, 0, 1)]
    }

    #[test]
    fn secrets_are_not_written() {
        let names = ["password", "token", "n", "message"];
        let small = |field, n| vec![header(field, KIND_U32, 0, n)];
        let words = [text(0, "hunter2", None), text(1, "hunter2", None), small(2, 1)].concat();
        let expected = r#"{"password":"[redacted]","token":"[redacted]","n":1}"#;
        assert_eq!(text_of(&names, &words, false, None).0, expected);
        // In the other way, too.
        let words = [text(0, "hun", Some(7)), small(1, 5), text(2, "x", None)].concat();
        let expected =
            r#"{"password":"[redacted]","token":5,"n":"x","$truncated":{"password":null}}"#;
        assert_eq!(text_of(&names, &words, false, None).0, expected);
        assert_eq!(text_of(&names, &small(0, 1234), false, None).0, r#"{"password":"[redacted]"}"#);
        let mut writer = JsonWriter::default();
        writer.push_plain(Value::U64(7), Secrecy::All, false);
        assert_eq!(writer.end(), REDACTED);
    }

    #[test]
    fn secrets_in_urls_are_not_written() {
        let names = ["at", "uri", "cut", "n"];
        let url = "say \"pg://me:hunter2@db\" \u{1}";
        let words = [text(0, url, None), text(1, "/a?key=hunter2", None)].concat();
        let read = object(&names, &words);
        assert_eq!(read["at"], "say \"pg://me:[redacted]@db\" \u{1}");
        assert_eq!(read["uri"], "/a?key=[redacted]");
        // In the other way, too.
        let words = [words, text(2, "pg://me:hunt", Some(99))].concat();
        let read = object(&names, &words);
        assert_eq!(read["at"], "say \"pg://me:[redacted]@db\" \u{1}");
        assert_eq!(read["cut"], "pg://me:[redacted]");
        let mut bytes = text(3, "pg://me:hunter2@db", None);
        bytes[0] = header(3, KIND_BYTES, 0, 18);
        assert_eq!(object(&names, &bytes)["n"], REDACTED);
        let mut writer = JsonWriter::default();
        let words = text(0, url, None);
        writer.push_plain(Fields::new(&words).next().unwrap().value, Secrecy::None, false);
        assert_eq!(writer.end(), "say \"pg://me:[redacted]@db\" \u{1}");
    }

    #[test]
    fn a_url_is_seen_wherever_it_stands_in_the_words() {
        for before in 0..20 {
            let url = format!("{}a://:hunter2@b", "\u{1}".repeat(before));
            let read = object(&["a"], &text(0, &url, None));
            assert_eq!(read["a"], url.replace("hunter2", REDACTED));
        }
    }

    #[test]
    fn there_is_room_for_whatever_stands_for_secrets() {
        let small = "://:a@".repeat(2_000) + &"?key=a&".repeat(2_000) + &"\u{1}".repeat(2_000);
        for name in ["a", "uri", "dsn"] {
            let read = object(&[name], &text(0, &small, None));
            assert!(read[name].as_str().unwrap().contains(REDACTED), "{name}");
        }
    }

    #[test]
    fn padding_is_no_field() {
        let small = |field, n| header(field, KIND_U32, 0, n);
        let words = [padding(2), 99, small(0, 1), padding(1), small(1, 2), padding(3), 98, 97];
        assert_eq!(text_of(&["a", "b"], &words, false, None).0, r#"{"a":1,"b":2}"#);
    }
}
