//! Events of spans. An event of level ERROR that says what failed becomes an exception of OpenTelemetry:
//! <https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/>.

use std::borrow::Cow;

use super::super::fields::Value;
use super::super::source::EventRef;
use super::attributes::{Attributes, Fields, shortened};
use super::wire::{EventParts, WireFormat, list};
use spandrel_query::event_name;

/// Bytes of the attributes of one event at most.
const BYTES_MAX: usize = 256 * 1024;

const MESSAGE: &str = "exception.message";

/// Fields that turn an event into an exception.
const EXCEPTION: [&str; 3] = [MESSAGE, "exception.type", "exception.stacktrace"];

/// Fields that hold the error, as `#[instrument(err)]` and `tracing::error!(error = &e)` name them.
const ERROR: [&str; 2] = ["error", "err"];

/// Appends an event. Returns the message of an exception, and whether it is one.
pub(super) fn event<W: WireFormat>(
    event: &EventRef<'_>,
    at_unix_ns: u64,
    out: &mut Vec<u8>,
) -> Option<String> {
    let mut fields = Fields::of(event.fields);
    let exception = exception(event, &mut fields);
    let name: Cow<'_, str> = match exception {
        Some(_) => Cow::Borrowed("exception"),
        None => event.name(),
    };
    let mut list_of_them = Vec::new();
    let mut attributes = Attributes::<W>::new(&mut list_of_them, list::OF_EVENT, BYTES_MAX);
    attributes.of_callsite(&event.callsite, &fields);
    let name = match shortened(&name) {
        Cow::Borrowed(name) => Cow::Borrowed(name),
        Cow::Owned(short) => {
            text(&mut attributes, "message", event.message, &fields);
            Cow::Owned(short)
        }
    };
    if exception.is_some() {
        text(&mut attributes, "message", event.message, &fields);
        text(&mut attributes, "spandrel.name", event_name(&event.callsite.name), &fields);
    }
    attributes.fields(&fields);
    let dropped_attributes = attributes.dropped;
    W::event(
        out,
        &EventParts { at_unix_ns, name: &name, attributes: &list_of_them, dropped_attributes },
    );
    exception
}

/// If the event is an exception: its message, which is then removed from the fields.
fn exception<'a>(event: &EventRef<'a>, fields: &mut Fields<'a>) -> Option<String> {
    if *event.callsite.level != *"ERROR" {
        return None;
    }
    if let Some(said) = fields.text(MESSAGE) {
        return Some(said.to_owned());
    }
    if let Some(key) = ERROR.into_iter().find(|key| fields.text(key).is_some()) {
        let said = fields.text(key).unwrap_or_default().to_owned();
        for (name, _) in &mut fields.members {
            if name == key {
                *name = Cow::Borrowed(MESSAGE);
            }
        }
        return Some(said);
    }
    if !EXCEPTION.iter().any(|key| fields.has(key)) {
        return None;
    }
    let said = event.message.unwrap_or_default();
    if !said.is_empty() && !fields.has(MESSAGE) {
        fields.members.push((Cow::Borrowed(MESSAGE), Value::Text(Cow::Borrowed(said))));
    }
    Some(said.to_owned())
}

/// Writes a text of the event that is no field, if there is one.
fn text<W: WireFormat>(
    attributes: &mut Attributes<'_, W>,
    name: &str,
    text: Option<&str>,
    beside: &Fields<'_>,
) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        attributes.conventional(name, &Value::Text(Cow::Borrowed(text)), beside);
    }
}
