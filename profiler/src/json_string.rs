//! Texts as JSON strings.

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        out.push_str(&rest[..at]);
        // Escapes are ASCII.
        out.extend(Escape::new(rest.as_bytes()[at]).bytes().iter().map(|byte| char::from(*byte)));
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// How one byte is written within a JSON string.
pub(crate) struct Escape([u8; 6], usize);

impl Escape {
    pub(crate) fn new(byte: u8) -> Self {
        let short = |letter| Self([b'\\', letter, 0, 0, 0, 0], 2);
        match byte {
            b'"' | b'\\' => short(byte),
            b'\n' => short(b'n'),
            b'\r' => short(b'r'),
            b'\t' => short(b't'),
            0..0x20 => Self([b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), hex(byte)], 6),
            _ => Self([byte, 0, 0, 0, 0, 0], 1),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

/// The lower half of a byte as a digit.
pub(crate) fn hex(byte: u8) -> u8 {
    b"0123456789abcdef"[usize::from(byte & 0xF)]
}
