//! The standard output. Programs get the text unchanged; a terminal gets no control characters of a
//! profile.

use std::io::{self, Write};

use super::text::is_terminal_control;

/// Output for programs on its way to a terminal: characters that a terminal would obey are escaped,
/// except ends of lines and tabs.
#[derive(Debug)]
pub(crate) struct EscapingWriter<W: Write> {
    out: W,
    /// Whether it is JSON, and has to stay valid.
    is_json: bool,
    /// The beginning of a character whose end has not come yet.
    begun: Vec<u8>,
}

impl<W: Write> EscapingWriter<W> {
    pub(crate) fn new(out: W, is_json: bool) -> Self {
        Self { out, is_json, begun: Vec::new() }
    }

    fn show(&mut self, text: &str) -> io::Result<()> {
        let mut cleaned = String::with_capacity(text.len());
        for character in text.chars() {
            if character == '\n' || character == '\t' || !is_terminal_control(character) {
                cleaned.push(character);
            } else if self.is_json {
                // They are all in the first plane.
                cleaned.push_str(&format!("\\u{:04x}", u32::from(character)));
            } else {
                cleaned.extend(character.escape_default());
            }
        }
        self.out.write_all(cleaned.as_bytes())
    }
}

impl<W: Write> Write for EscapingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut begun = std::mem::take(&mut self.begun);
        begun.extend_from_slice(bytes);
        let mut rest = begun.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.show(text)?;
                    return Ok(bytes.len());
                }
                Err(error) => {
                    let (text, wrong) = rest.split_at(error.valid_up_to());
                    self.show(&String::from_utf8_lossy(text))?;
                    let Some(length) = error.error_len() else {
                        self.begun = wrong.to_vec();
                        return Ok(bytes.len());
                    };
                    self.show("\u{fffd}")?;
                    rest = wrong.get(length..).unwrap_or_default();
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[&[u8]], is_json: bool) -> String {
        let mut cleaned = EscapingWriter::new(Vec::new(), is_json);
        for piece in pieces {
            cleaned.write_all(piece).unwrap();
        }
        String::from_utf8(cleaned.out).unwrap()
    }

    #[test]
    fn nothing_is_obeyed_however_it_is_cut() {
        let text = "a,\u{1b}[31m\tb\u{202e}c\u{9b}\u{e9}\r\n\u{1f600}";
        let expected = "a,\\u{1b}[31m\tb\\u{202e}c\\u{9b}\u{e9}\\r\n\u{1f600}";
        for at in 0..=text.len() {
            let (one, other) = text.as_bytes().split_at(at);
            assert_eq!(shown(&[one, other], false), expected);
        }
        let each: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(shown(&each, false), expected);
        assert_eq!(shown(&[b"a\xff\x9bb"], false), "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn json_stays_json() {
        let shown = shown(&["{\"a\":\"\u{202e}\u{7f}\u{85}\"}\n".as_bytes()], true);
        assert_eq!(shown, "{\"a\":\"\\u202e\\u007f\\u0085\"}\n");
        let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(value["a"], "\u{202e}\u{7f}\u{85}");
    }
}
