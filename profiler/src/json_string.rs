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

/// A member of an object, as JSON, from a text that was written here: without spaces.
pub(crate) fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let mut key = String::new();
    push_string(&mut key, name);
    let mut rest = object.strip_prefix('{')?;
    loop {
        let (found, behind) = rest.split_at_checked(value_bytes(rest)?)?;
        let value = behind.strip_prefix(':')?;
        let (value, behind) = value.split_at_checked(value_bytes(value)?)?;
        if found == key {
            return Some(value);
        }
        rest = behind.strip_prefix(',')?;
    }
}

/// How many bytes the value takes with which a text begins.
fn value_bytes(text: &str) -> Option<usize> {
    let (mut depth, mut is_in_string, mut is_escaped) = (0_u32, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_string => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            _ if is_in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' | b':' if depth == 0 => return Some(at),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    (depth == 0 && !is_in_string).then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_whatever_stands_in_front_of_them() {
        let object =
            r#"{"a":"}, \"b\":1\\","n":{"b":[1,{"c":2}],"d":"]"},"b":-3.5e7,"":null,"q\"":true}"#;
        for (name, value) in [
            ("a", Some(r#""}, \"b\":1\\""#)),
            ("n", Some(r#"{"b":[1,{"c":2}],"d":"]"}"#)),
            ("b", Some("-3.5e7")),
            ("", Some("null")),
            ("q\"", Some("true")),
            ("c", None),
            ("d", None),
        ] {
            assert_eq!(member(object, name), value, "{name}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["", "{", "{}", "[1]", "{\"a\"", "{\"a\":", "{\"a\":\"", "{\"b\":{", "}"] {
            assert_eq!(member(text, "a").filter(|value| !value.is_empty()), None, "{text}");
        }
    }
}
