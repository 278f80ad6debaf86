//! The fields of a span or an event, as every JSON document has them: an object, or null.

use serde_json::{Map, Value, json};

/// The fields; those that are no JSON object are a field by themselves.
pub(super) fn of(text: Option<&str>) -> Option<Map<String, Value>> {
    let text = text?;
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Some(fields),
        _ => Some(Map::from_iter([("fields".to_owned(), Value::from(text))])),
    }
}

pub(super) fn value(text: Option<&str>) -> Value {
    json!(of(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_an_object_whatever_was_recorded() {
        assert_eq!(value(None), Value::Null);
        assert_eq!(value(Some(r#"{"a":1}"#)), json!({"a": 1}));
        for text in ["7", "[1]", "{\"a\":", ""] {
            assert_eq!(value(Some(text)), json!({ "fields": text }));
        }
    }
}
