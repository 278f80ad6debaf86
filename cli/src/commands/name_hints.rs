//! Hints for commands about spans of a name, if there are none.

use std::collections::BTreeMap;

use spandrel_query::{Subject, nearest};

use super::prelude::*;

/// Names that are proposed at most.
const PROPOSED_MAX: usize = 3;
/// Targets that are named at most.
const TARGETS_MAX: usize = 5;

/// Why no span of a name was found; another name may have been meant.
pub(super) fn unknown(profile: &Profile, name: &str) -> Result<Option<String>, Failure> {
    let top = profile.reader.top(profile.run.id, usize::MAX)?;
    let names: Vec<&str> = top.iter().map(|row| row.callsite.name.as_str()).collect();
    if names.contains(&name) {
        return Ok(None); // but none that was asked for
    }
    let shown = text::clean(name);
    let near = nearest(name, names.iter().copied(), PROPOSED_MAX);
    let near: Vec<String> = near.into_iter().map(text::clean).collect();
    Ok(Some(if near.is_empty() {
        format!("no closed span is named {shown:?}; `spandrel top -n 0` lists the names")
    } else {
        format!("no closed span is named {shown:?}; did you mean {}?", near.join(", or "))
    }))
}

/// A note on which targets have spans of a name, if there are several and none was chosen.
pub(super) fn ambiguous_names(profile: &Profile, name: &str) -> Result<Option<String>, Failure> {
    if profile.filter.subjects().contains(&Subject::Target) {
        return Ok(None);
    }
    let mut targets: BTreeMap<String, u64> = BTreeMap::new();
    for top in profile.reader.top_named(profile.run.id, name)? {
        *targets.entry(top.callsite.target.to_string()).or_insert(0) += top.calls;
    }
    let Some(most) = targets.iter().max_by_key(|(_, calls)| **calls).map(|(target, _)| target)
    else {
        return Ok(None);
    };
    if targets.len() < 2 {
        return Ok(None);
    }
    let shown = targets.iter().take(TARGETS_MAX);
    let mut shown: Vec<String> = shown
        .map(|(target, calls)| format!("{} ({})", text::clean(target), text::count(*calls)))
        .collect();
    let more = targets.len().saturating_sub(TARGETS_MAX);
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    let filter = text::shell(&format!("target={}", spandrel_query::quote(most)));
    Ok(Some(format!(
        "{} is the name of spans of {} targets, which are taken together: {}. -w {} keeps one, \
         --by target tells them apart",
        text::clean(name),
        targets.len(),
        shown.join(", "),
        text::clean(&filter)
    )))
}

/// How to go on from the list of names, with the first one as an example.
pub(super) fn choose(table: &Table, command: &str) -> Option<String> {
    let at = table.columns.iter().position(|column| column.key == "name")?;
    let Some(Cell::Text(name)) = table.rows.first()?.get(at) else { return None };
    Some(format!("choose one: `spandrel {command} {}`", text::clean(&text::shell(name))))
}
