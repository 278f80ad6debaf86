//! `--by`: what groups have in common; how it is written, and the columns for it.

use serde_json::Value;
use spandrel_query::{By, Callsite, Group, Key};

use crate::failure::did_you_mean;
use crate::output::{Cell, Column, text};

/// What `--by` takes, beside `field.NAME`.
pub(in crate::commands) const KNOWN: [&str; 5] = ["name", "target", "level", "callsite", "thread"];

/// What `(no such field)` is for people: spans without it.
pub(super) const ABSENT: &str = "(no such field)";

/// Reads a value of `--by`.
pub(super) fn parse(text: &str) -> Result<By, String> {
    match text {
        "name" => Ok(By::Name),
        "target" => Ok(By::Target),
        "level" => Ok(By::Level),
        "callsite" => Ok(By::Callsite),
        "thread" => Ok(By::Thread),
        other => match other.strip_prefix("field.") {
            Some(name) if !name.is_empty() => Ok(By::Field(name.to_owned())),
            _ => {
                let near = did_you_mean(other, KNOWN);
                Err(format!("{near}there are name, target, level, callsite, thread and field.NAME"))
            }
        },
    }
}

/// Writes it back as a value of `--by`.
pub(super) fn written(by: &By) -> String {
    match by {
        By::Target => "target".into(),
        By::Level => "level".into(),
        By::Callsite => "callsite".into(),
        By::Thread => "thread".into(),
        By::Field(name) => format!("field.{name}"),
        _ => "name".into(),
    }
}

/// The columns that name the group of a row. `has_ambiguous_names`: some groups differ only in the
/// target.
pub(super) fn columns(by: &By, has_ambiguous_names: bool) -> Vec<Column> {
    match by {
        By::Target => vec![Column::left("target", "target")],
        By::Level => vec![Column::left("level", "level")],
        By::Thread => vec![Column::left("thread", "thread")],
        By::Field(name) => vec![Column::left("value", &text::clean(name))],
        By::Callsite => {
            let target = Column::left("target", "target").drop_rank(9);
            vec![target, Column::left("name", "span"), Column::left("place", "place")]
        }
        _ => {
            let target =
                Column::left("target", "target").drop_rank(if has_ambiguous_names { 0 } else { 9 });
            vec![target, Column::left("name", "span")]
        }
    }
}

/// The cells of those columns.
pub(super) fn cells(by: &By, key: &Key, callsite: &Callsite) -> Vec<Cell> {
    let key = match key {
        Key::Value(value) => Cell::Text(value.clone()),
        Key::NoField => Cell::Shown(ABSENT.into(), Value::Null),
        _ => Cell::Text("(others)".into()),
    };
    match by {
        By::Name => vec![Cell::Text(callsite.target.to_string()), key],
        By::Callsite => {
            let place = callsite.file.as_ref().map(|file| match callsite.line {
                Some(line) => format!("{file}:{line}"),
                None => file.to_string(),
            });
            let target = Cell::Text(callsite.target.to_string());
            vec![target, key, place.map_or(Cell::Null, Cell::Text)]
        }
        _ => vec![key],
    }
}

/// The cells for a group: marked if its calls are entries, with the column for programs that says so.
pub(super) fn of_group(by: &By, group: &Group) -> Vec<Cell> {
    let mut cells = cells(by, &group.key, &group.callsite);
    let at = if matches!(by, By::Name | By::Callsite) { 1 } else { 0 };
    if let Some(cell) = cells.get_mut(at).filter(|_| group.counted.has_entries()) {
        *cell = marked(cell);
    }
    cells.push(Cell::Text(group.counted.as_str().into()));
    cells
}

/// The column behind those of a group: whether lifetimes count, or entries.
pub(super) fn counted() -> Column {
    Column::left("by", "by").hidden()
}

/// A name with the mark for long-lived spans.
pub(super) fn marked(cell: &Cell) -> Cell {
    Cell::Shown(format!("{} {}", cell.text(), text::LONG), cell.value())
}

/// The meaning of the mark, if any group has it.
pub(super) fn legend<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Option<String> {
    let mut groups = groups.into_iter();
    groups.any(|group| group.counted.has_entries()).then(|| text::LONG_MEANS.to_owned())
}

/// A note on calls of a name that are known only by their sum, and so are not drawn.
pub(super) fn summed_only(name: &str, summed: u64, calls: u64) -> Option<String> {
    (summed > 0).then(|| {
        let (calls, name) = (text::counted(calls, "call"), text::clean(name));
        let (summed, are) = (text::count(summed), text::agree(summed, "is", "are"));
        format!(
            "note: of {calls} of {name}, {summed} {are} known by their sum only: no bar and no percentile \
             has them"
        )
    })
}

/// The same if calls are compared; for all names together if none is given.
pub(super) fn left_out(name: Option<&str>, summed: u64) -> Option<String> {
    (summed > 0).then(|| {
        let left = text::counted(summed, "more call");
        let name = name.map_or_else(|| "what lives long".into(), text::clean);
        let are = text::agree(summed, "is", "are");
        format!("note: {left} of {name} {are} known by their sum only, and not among them")
    })
}

/// The note for the group with most calls that are not drawn.
pub(super) fn summed_most(groups: &[Group]) -> Option<String> {
    let group = groups.iter().max_by_key(|group| group.summed_only())?;
    let name = match &group.key {
        Key::Value(value) => value,
        _ => ABSENT,
    };
    summed_only(name, group.summed_only(), group.calls)
}

/// A group in words, for a heading.
pub(super) fn in_words(by: &By, group: &Group) -> String {
    let value = match &group.key {
        Key::Value(value) => text::clean(value),
        Key::NoField => return format!("without {}", text::clean(&written(by))),
        _ => "all others".into(),
    };
    let name = written(by);
    let name = name.strip_prefix("field.").unwrap_or(&name);
    format!("{}={value}", text::clean(name))
}

/// Whether some rows differ only in the target.
pub(super) fn has_ambiguous_names(groups: &[Group]) -> bool {
    let mut names = std::collections::HashSet::new();
    groups.iter().any(|group| !names.insert((&group.callsite.name, group.counted)))
}
