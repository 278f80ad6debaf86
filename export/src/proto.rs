//! Protocol buffers on the wire: <https://protobuf.dev/programming-guides/encoding/>.

/// Appends a number of variable length.
pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn tag(out: &mut Vec<u8>, field: u32, wire_type: u64) {
    varint(out, u64::from(field) << 3 | wire_type);
}

/// A field of type uint64, uint32, bool or enum.
pub(super) fn unsigned(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, 0);
    varint(out, value);
}

/// A field of type int64 or int32.
pub(super) fn signed(out: &mut Vec<u8>, field: u32, value: i64) {
    unsigned(out, field, value as u64);
}

/// A field of type fixed64.
pub(super) fn fixed(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A field of type double.
pub(super) fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    fixed(out, field, value.to_bits());
}

/// A field of type string, with `␀` for NUL: Perfetto's trace processor puts NUL between the texts of its
/// answers, where one of a name would shift all that come after it.
pub(super) fn string(out: &mut Vec<u8>, field: u32, value: &str) {
    if value.contains('\0') {
        return string(out, field, &value.replace('\0', "\u{2400}"));
    }
    tag(out, field, 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

/// A field of type bytes, or a string as it is.
pub(super) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    tag(out, field, 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A field that is a message, which `write` writes.
pub(super) fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, 2);
    let at = out.len();
    // Most are short: one byte for the length is enough.
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    if let (0..0x80, Some(place)) = (length, out.get_mut(at)) {
        *place = length as u8;
        return;
    }
    let mut bytes = Vec::with_capacity(10);
    varint(&mut bytes, length as u64);
    out.splice(at..=at, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_encoding_guide_has_it() {
        let mut out = Vec::new();
        unsigned(&mut out, 1, 150);
        assert_eq!(out, [0x08, 0x96, 0x01]);
        out.clear();
        string(&mut out, 2, "testing");
        assert_eq!(out, b"\x12\x07testing");
        out.clear();
        string(&mut out, 2, "\0-");
        assert_eq!(out, "\x12\x04\u{2400}-".as_bytes());
        out.clear();
        message(&mut out, 3, |out| unsigned(out, 1, 150));
        assert_eq!(out, [0x1a, 0x03, 0x08, 0x96, 0x01]);
        out.clear();
        signed(&mut out, 1, -2);
        assert_eq!(out, [&[0x08, 0xfe][..], &[0xff; 8], &[0x01]].concat());
    }

    #[test]
    fn long_messages_have_long_lengths() {
        for length in [0, 1, 125, 126, 127, 128, 129, 16_383, 16_384, 300_000] {
            let mut out = Vec::new();
            message(&mut out, 15, |out| out.extend(std::iter::repeat_n(7, length)));
            let mut expected = vec![0x7a];
            varint(&mut expected, length as u64);
            expected.extend(std::iter::repeat_n(7, length));
            assert!(out == expected, "{length}");
        }
    }
}
