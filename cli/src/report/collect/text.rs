//! Text of spans, cut to what a page has room for.

use serde_json::Value;

use crate::report::bounds;

/// The first `chars` characters, with what was left out said at the end.
pub(crate) fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some((at, _)) => {
            let kept = text.get(..at).unwrap_or_default();
            format!("{kept}… ({} bytes in all)", text.len())
        }
    }
}

/// The fields of a span as pairs of text; what is no JSON object is shown as it is.
pub(crate) fn fields(json: Option<&str>) -> Vec<(String, String)> {
    let Some(json) = json else {
        return Vec::new();
    };
    let Ok(Value::Object(object)) = serde_json::from_str(json) else {
        return vec![("fields".to_owned(), cut(json, bounds::VALUE_CHARS))];
    };
    let more = object.len().saturating_sub(bounds::FIELDS);
    let mut pairs: Vec<_> = object
        .iter()
        .take(bounds::FIELDS)
        .map(|(key, value)| {
            let value = match value {
                Value::String(text) => cut(text, bounds::VALUE_CHARS),
                other => cut(&other.to_string(), bounds::VALUE_CHARS),
            };
            (cut(key, bounds::NAME_CHARS), value)
        })
        .collect();
    if more > 0 {
        pairs.push(("…".to_owned(), format!("{more} more fields")));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_at_a_character_and_says_so() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöü", 2), "äö… (6 bytes in all)");
    }

    #[test]
    fn fields_are_pairs_whatever_they_are() {
        assert_eq!(fields(None), vec![]);
        assert_eq!(
            fields(Some(r#"{"a":"x","b":[1,2],"c":null}"#)),
            [("a", "x"), ("b", "[1,2]"), ("c", "null")].map(|(k, v)| (k.into(), v.into()))
        );
        assert_eq!(fields(Some("{broken")), vec![("fields".into(), "{broken".into())]);
        let many: serde_json::Map<_, _> =
            (0..100).map(|n| (format!("k{n}"), Value::from(n))).collect();
        let pairs = fields(Some(&Value::from(many).to_string()));
        assert_eq!(pairs.len(), bounds::FIELDS + 1);
        assert_eq!(pairs.last().unwrap().1, "76 more fields");
    }
}
