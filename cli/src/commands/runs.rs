//! `spandrel runs`: the recordings in a file.

use clap::Args;

use crate::arguments::{Context, Shared, group};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Cell, Column, Table, View};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) shared:
        Shared<{ group::DB | group::ROWS | group::UTC | group::VERBOSE | group::EMPTY }>,
}

pub(crate) fn run(_: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let reader = context.wanted.reader()?;
    let mut table = Table::new(vec![
        Column::right("run", "run"),
        Column::left("label", "label"),
        Column::left("started_unix_ns", "start"),
        Column::right("length_ns", "length").drop_rank(8),
        Column::right("spans", "spans"),
        Column::right("events", "events").drop_rank(9),
        Column::right("entries", "entries").hidden(),
        Column::right("dropped", "dropped"),
        Column::right("pruned", "pruned").hidden(),
        Column::left("complete", "complete"),
        Column::left("uuid", "uuid").hidden(),
        Column::left("program", "program").hidden(),
        Column::left("host", "host").hidden(),
        Column::right("pid", "pid").hidden(),
    ]);
    for run in reader.runs()?.iter().rev() {
        table.push(vec![
            Cell::Number(run.id),
            run.info.label.clone().map_or(Cell::Null, Cell::Text),
            context.output.moment(run.info.started_unix_ns),
            Cell::Ns(run.length_ns()),
            Cell::Count(run.spans),
            Cell::Count(run.events),
            Cell::Count(run.entries),
            Cell::Count(run.dropped()),
            Cell::Count(run.pruned()),
            Cell::Bool(run.is_complete()),
            Cell::Text(run.info.uuid.clone()),
            Cell::Text(run.info.program.clone()),
            Cell::Text(run.info.host.clone()),
            Cell::Number(i64::from(run.info.pid)),
        ]);
    }
    context.output.show(View::new("runs", None, table), 0)
}
