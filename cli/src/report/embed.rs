//! How data come into a page and never become markup.
//!
//! The document stands in a `<script type="application/json">`, a block of data that no browser runs.
//! The one thing that could end it is the text of an end tag; with `<`, `>` and `&` as JSON escapes
//! there is no such text, whatever a span is called. Large documents are compressed, and base64 has
//! none of these characters either.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miniz_oxide::deflate::compress_to_vec_zlib;
use ring::digest::{SHA256, digest};
use serde::Serialize;

/// Data that stand between two tags.
#[derive(Debug)]
pub(crate) struct Embedded {
    /// The text between the tags.
    pub text: String,
    /// `json`, or `deflate` for base64 of JSON compressed as zlib does it.
    pub encoding: &'static str,
}

/// Encodes data; JSON of more than `plain_bytes` is compressed.
///
/// # Errors
///
/// When the data cannot be JSON.
pub(crate) fn embed(
    data: &impl Serialize,
    plain_bytes: usize,
) -> Result<Embedded, serde_json::Error> {
    let json = escape_json(&serde_json::to_string(data)?);
    Ok(if json.len() <= plain_bytes {
        Embedded { text: json, encoding: "json" }
    } else {
        let packed = compress_to_vec_zlib(json.as_bytes(), 9);
        Embedded { text: STANDARD.encode(packed), encoding: "deflate" }
    })
}

/// JSON without any character that means something to a parser of HTML or of scripts. They stand in
/// strings only, where an escape means the same.
fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') {
            let _infallible = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Text for between two tags, or between the quotes of an attribute.
pub(crate) fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\0' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// What a content security policy calls an inline script or style: its hash.
pub(crate) fn policy_hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use miniz_oxide::inflate::decompress_to_vec_zlib;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_hash_is_the_one_that_browsers_compute() {
        // The example of the specification: https://www.w3.org/TR/CSP2/#script-src-hash-usage
        assert_eq!(
            policy_hash("alert('Hello, world.');"),
            "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
        );
    }

    #[test]
    fn html_text_is_escaped() {
        assert_eq!(
            escape_html("</title><img src=x onerror=\"a&'\">"),
            "&lt;/title&gt;&lt;img src=x onerror=&quot;a&amp;&#39;&quot;&gt;"
        );
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup_and_all_of_it_comes_back(
            texts in proptest::collection::vec(
                prop_oneof![
                    any::<String>(),
                    Just("</script><img src=x onerror=alert(1)>".to_owned()),
                    Just("<!--<script>]]>\u{2028}\u{2029}\u{202e}\u{1b}[31m&lt;\\u003c".to_owned()),
                ],
                0..8,
            ),
        ) {
            let plain = embed(&texts, usize::MAX).unwrap();
            prop_assert_eq!(plain.encoding, "json");
            let bad = ['<', '>', '&', '\u{2028}', '\u{2029}'];
            prop_assert!(!plain.text.contains(bad), "{}", plain.text);
            prop_assert_eq!(&serde_json::from_str::<Vec<String>>(&plain.text).unwrap(), &texts);

            let packed = embed(&texts, 0).unwrap();
            prop_assert_eq!(packed.encoding, "deflate");
            prop_assert!(!packed.text.contains(bad));
            let bytes = decompress_to_vec_zlib(&STANDARD.decode(&packed.text).unwrap()).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Vec<String>>(&bytes).unwrap(), texts);
        }
    }
}
