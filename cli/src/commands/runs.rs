//! `spandrel runs`: the recordings in a file.

use std::path::Path;

use serde_json::Value;
use spandrel_query::Run;

use super::prelude::*;
use crate::open_rings::collected_from;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) shared:
        Shared<{ group::DB | group::ROWS | group::UTC | group::VERBOSE | group::EMPTY }>,
}

pub(crate) fn run(_: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let reader = context.wanted.reader()?;
    let runs = reader.runs()?;
    // Those of a collector are of whatever programs there were.
    let are_of_several = runs.iter().any(|run| collected_from(run).is_some());
    let table = table_of! {
        for run in runs.iter().rev(), {}
        Column::right("run", "run") => Cell::Number(run.id),
        Column::left("label", "label") => run.info.label.clone().into(),
        Column::left("started_unix_ns", "start") => context.output.moment(run.info.started_unix_ns),
        Column::right("length_ns", "length").drop_rank(8) => Cell::Ns(run.length_ns()),
        Column::right("spans", "spans") => Cell::Count(run.spans),
        Column::right("events", "events").drop_rank(9) => Cell::Count(run.events),
        Column::right("entries", "entries").hidden() => Cell::Count(run.entries),
        Column::right("dropped", "dropped") => Cell::Count(run.dropped()),
        Column::right("pruned", "pruned").hidden() => Cell::Count(run.pruned()),
        Column::left("complete", "complete") => Cell::Bool(run.is_complete()),
        Column::left("uuid", "uuid").hidden() => run.info.uuid.as_str().into(),
        Column::left("program", "program").shown_if(are_of_several) => program(run),
        Column::left("host", "host").hidden() => run.info.host.as_str().into(),
        Column::right("pid", "pid").shown_if(are_of_several) => Cell::Number(i64::from(run.info.pid)),
    };
    context.output.show(View::new("runs", None, table), 0)
}

/// Its name for people, its whole path for programs.
fn program(run: &Run) -> Cell {
    let path = &run.info.program;
    let name = Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy());
    Cell::Shown(name.into_owned(), Value::String(path.clone()))
}
