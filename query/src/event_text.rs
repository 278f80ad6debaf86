//! What an event says, in one line.

use serde_json::{Map, Value};

/// How `tracing` begins the names of events that were given none: `event src/cart.rs:9`.
const UNNAMED: &str = "event ";

/// The name that somebody gave an event; `None` for one that `tracing` made of file and line.
pub fn event_name(name: &str) -> Option<&str> {
    (!name.is_empty() && !name.starts_with(UNNAMED)).then_some(name)
}

/// What an event says: its name, if it was given one, and its message; without a message its fields, as those
/// of `#[instrument(err)]` are. `None`: nothing but where it is in the source.
pub fn event_text(name: &str, message: Option<&str>, fields: Option<&str>) -> Option<String> {
    let message = message.filter(|message| !message.is_empty());
    let said = match message {
        Some(message) => Some(message.to_owned()),
        None => fields.map(pairs).filter(|pairs| !pairs.is_empty()),
    };
    match (event_name(name), said) {
        (Some(name), Some(said)) => Some(format!("{name}: {said}")),
        (Some(name), None) => Some(name.to_owned()),
        (None, said) => said,
    }
}

/// `error=connection refused attempt=3`.
fn pairs(fields: &str) -> String {
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(fields) else {
        return fields.to_owned();
    };
    let pairs = fields.iter().map(|(key, value)| match value {
        Value::String(value) => format!("{key}={value}"),
        value => format!("{key}={value}"),
    });
    pairs.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_without_a_message_says_its_fields() {
        let unnamed = "event src/cart.rs:9";
        for (name, message, fields, said) in [
            (unnamed, Some("empty"), Some(r#"{"a":1}"#), Some("empty")),
            (unnamed, None, Some(r#"{"error":"no route"}"#), Some("error=no route")),
            (unnamed, Some(""), Some(r#"{"n":7}"#), Some("n=7")),
            (unnamed, None, None, None),
            ("cart.emptied", None, None, Some("cart.emptied")),
            ("cart.emptied", Some("by user"), None, Some("cart.emptied: by user")),
            ("cart.emptied", None, Some(r#"{"n":7}"#), Some("cart.emptied: n=7")),
            (unnamed, None, Some("no json"), Some("no json")),
        ] {
            assert_eq!(event_text(name, message, fields).as_deref(), said);
        }
    }
}
