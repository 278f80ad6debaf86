//! Members that are added to the JSON objects in the row of a run: its settings, and its report.
//!
//! A run may be in several profiles: where the file was renamed while it was recorded into, or one collector went on where
//! another one, with another profile, had ended. Each then says what it does not have, so that nobody takes a part for
//! the whole.

use crate::recorder::losses::PerKind;

/// In settings: what profiles have that this run was stored into before; in a report: what others have.
const ELSEWHERE: &str = "elsewhere";

/// The object with one more member; as it is if it is no object.
pub(super) fn with_member(object: &str, name: &str, value: &str) -> String {
    let Some(members) = object.trim_end().strip_suffix('}') else { return object.to_owned() };
    let comma = if members.trim_start() == "{" { "" } else { "," };
    format!("{members}{comma}\"{name}\":{value}}}")
}

/// Settings or a report that says how much of the run is in other profiles; nothing more where that is nothing.
pub(super) fn with_elsewhere(object: &str, stored: PerKind) -> String {
    if stored == PerKind::default() {
        return object.to_owned();
    }
    let [spans, events, links, entries, gauges] = stored;
    let value = format!(
        r#"{{"spans":{spans},"events":{events},"links":{links},"entries":{entries},"gauges":{gauges}}}"#
    );
    with_member(object, ELSEWHERE, &value)
}

/// The report of a run that goes on in another file.
pub(super) fn going_on(report: &str) -> String {
    with_member(report, "goes_on", "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_added_to_an_object_and_to_nothing_else() {
        for (before, members) in [("{}", 0), (r#"{"a":{"b":1}}"#, 1), ("{ \"c\": 2 } ", 1)] {
            let all: serde_json::Value =
                serde_json::from_str(&with_member(before, "d", "[1]")).unwrap();
            assert_eq!(all["d"][0], 1);
            assert_eq!(all.as_object().unwrap().len(), members + 1);
        }
        assert_eq!(with_member("no object", "d", "1"), "no object");
        assert_eq!(with_elsewhere("{}", [0; 5]), "{}");
        let said: serde_json::Value =
            serde_json::from_str(&going_on(&with_elsewhere("{}", [1, 2, 3, 4, 5]))).unwrap();
        assert_eq!(said["elsewhere"]["spans"], 1);
        assert_eq!(said["elsewhere"]["gauges"], 5);
        assert_eq!((&said["elsewhere"]["entries"], &said["goes_on"]), (&4.into(), &true.into()));
    }
}
