//! Writes numbers and strings without `std::fmt`, which is slower: exports write a dozen for each span.

/// What a member of a JSON object can be.
pub(super) trait ToJson {
    fn append(&self, out: &mut Vec<u8>);
}

impl<T: ToJson + ?Sized> ToJson for &T {
    fn append(&self, out: &mut Vec<u8>) {
        (**self).append(out);
    }
}

impl ToJson for str {
    fn append(&self, out: &mut Vec<u8>) {
        json(out, self);
    }
}

impl ToJson for String {
    fn append(&self, out: &mut Vec<u8>) {
        json(out, self);
    }
}

impl ToJson for u64 {
    fn append(&self, out: &mut Vec<u8>) {
        unsigned(out, *self);
    }
}

impl ToJson for i64 {
    fn append(&self, out: &mut Vec<u8>) {
        integer(out, *self);
    }
}

/// A value in quotes, with a prefix: `"s12"`.
pub(super) struct Quoted<T>(pub(super) &'static str, pub(super) T);

impl<T: ToJson> ToJson for Quoted<T> {
    fn append(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.0.as_bytes());
        self.1.append(out);
        out.push(b'"');
    }
}

/// A number for [`scaled`], with its decimals.
pub(super) struct Scaled(pub(super) i64, pub(super) u32);

impl ToJson for Scaled {
    fn append(&self, out: &mut Vec<u8>) {
        scaled(out, self.0, self.1);
    }
}

/// Appends `,"key":value`; the key needs no escapes.
pub(super) fn member(out: &mut Vec<u8>, name: &str, value: impl ToJson) {
    key(out, name);
    value.append(out);
}

/// The same, if there is a value.
pub(super) fn maybe(out: &mut Vec<u8>, name: &str, value: Option<impl ToJson>) {
    if let Some(value) = value {
        member(out, name, value);
    }
}

/// Appends an integer.
pub(super) fn integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(out, value.unsigned_abs());
}

/// Appends an unsigned integer.
pub(super) fn unsigned(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a number of nanoseconds in a unit that is `10^decimals` of them, such as microseconds with
/// three decimals; exact.
pub(super) fn scaled(out: &mut Vec<u8>, ns: i64, decimals: u32) {
    let one = 10_u64.pow(decimals);
    if ns < 0 {
        out.push(b'-');
    }
    let magnitude = ns.unsigned_abs();
    unsigned(out, magnitude / one);
    let mut rest = magnitude % one;
    if rest == 0 {
        return;
    }
    out.push(b'.');
    let mut unit = one / 10;
    while rest > 0 {
        out.push(b'0' + (rest / unit) as u8);
        rest %= unit;
        unit /= 10;
    }
}

/// Appends a JSON string.
pub(super) fn json(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    json_inner(out, text);
    out.push(b'"');
}

/// Appends the content of a JSON string, without quotes.
pub(super) fn json_inner(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' | b'\\' => *byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 | 0x7f => b'u',
            _ => continue,
        };
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            let digit = |of: u8| HEX.get(usize::from(of)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
        from = at + 1;
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
}

/// Appends `,"key":`; the key needs no escapes.
pub(super) fn key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends lower-case hexadecimal digits, `digits` of them.
pub(super) fn hex(out: &mut Vec<u8>, value: u64, digits: u32) {
    for index in (0..digits).rev() {
        let digit = (value >> (index * 4) & 15) as u8;
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_keep_every_digit() {
        for value in [0, 1, -1, 10, i64::MAX, i64::MIN] {
            assert_eq!(text(|out| integer(out, value)), value.to_string());
        }
        let micros = |ns| text(|out| scaled(out, ns, 3));
        assert_eq!(
            [0, 1, 10, 1000, 1001, 1_234_567].map(micros),
            ["0", "0.001", "0.01", "1", "1.001", "1234.567"]
        );
        assert_eq!([-1, i64::MIN].map(micros), ["-0.001", "-9223372036854775.808"]);
        assert_eq!(text(|out| hex(out, 0xab, 16)), "00000000000000ab");
    }

    proptest! {
        #[test]
        fn strings_come_back(string in any::<String>()) {
            let written = text(|out| json(out, &string));
            prop_assert!(!written.chars().any(|c| c.is_ascii_control()));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), string);
        }
    }
}
