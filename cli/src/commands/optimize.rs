//! `spandrel optimize`: indexes for a profile whose recording has ended.

use spandrel_query::{drop_indexes, optimize};

use super::prelude::*;

#[derive(Debug, Args)]
#[command(
    after_long_help = "Makes `slow`, `tree` and windows of time fast in profiles of millions of spans; \
    the file grows by about\nhalf. The next recording into the file removes the indexes again.\n\nExamples:\n  \
    spandrel optimize\n  \
    spandrel optimize --drop          take the indexes away"
)]
pub(crate) struct Arguments {
    /// Remove the indexes again
    #[arg(long)]
    drop: bool,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::DB | group::PAGE }>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let path = context.wanted.path()?;
    let done = if arguments.drop {
        drop_indexes(&path)?
    } else {
        let mut progress = context.output.progress();
        optimize(&path, move |now| {
            progress.show(|| format!("making {} {:.0}%", now.index, now.share * 100.0));
        })?
    };
    let table = table_of! {
        for name in &done.changed, {}
        Column::left("index", "index") => Cell::from(&**name),
        Column::left("for", "for") => purpose(name).into(),
    };
    let mut view = View::new("optimize", None, table);
    let bytes = [done.bytes_before, done.bytes_after];
    let [before, after] = bytes.map(text::bytes);
    let what = match (done.changed.len(), arguments.drop) {
        (0, false) => format!("{}: nothing to make, all indexes are there", path.display()),
        (0, true) => format!("{}: there are no indexes to take away", path.display()),
        (_, false) => format!("{}: made these indexes, {before} → {after}", path.display()),
        (_, true) => format!(
            "{}: took these indexes away; the next recording uses their room ({after})",
            path.display()
        ),
    };
    if done.changed.is_empty() {
        view.drawing = Some(format!("{}\n", text::clean(&what)));
    } else {
        view.preamble.push(text::clean(&what));
    }
    view.extra.insert("dropped_indexes".into(), json!(arguments.drop));
    view.extra.insert("bytes_before".into(), json!(done.bytes_before));
    view.extra.insert("bytes_after".into(), json!(done.bytes_after));
    context.output.show(view, 0)
}

/// What an index is for.
pub(super) fn purpose(name: &str) -> &'static str {
    match name {
        "span_zone" => "windows of time",
        "span_path" => "flame",
        "span_by_duration" => "slow",
        "root_by_duration" => "the slowest traces",
        "span_by_root" => "tree",
        "event_by_span" => "tree --events",
        _ => "-",
    }
}
