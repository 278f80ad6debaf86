//! `spandrel merge`: the log that a recording has left behind, merged into its profile.

use spandrel_storage::merge;

use super::prelude::*;

#[derive(Debug, Args)]
#[command(
    after_long_help = "A recording that was killed, or closed while somebody read its file, is two \
    files: the profile and its\nlog, with -wal behind the name. This makes one of them and changes \
    nothing else. The profile must not be\nrecorded into meanwhile, nor its log be read.\n\nExamples:\n  \
    spandrel merge\n  \
    spandrel merge --db copied/profile.db"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) shared: Shared<{ group::DB | group::PAGE }>,
}

pub(crate) fn run(_: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let path = context.wanted.path()?;
    let done = merge(&path)?;
    let mut view = View::new("merge", None, Table::new(Vec::new()));
    let shown = path.display();
    let what = match done.log_bytes {
        0 => format!("{shown}: there is no log to merge"),
        log_bytes => format!(
            "{shown}: merged a log of {}, {} → {}",
            text::bytes(log_bytes),
            text::bytes(done.bytes_before),
            text::bytes(done.bytes_after)
        ),
    };
    view.drawing = Some(format!("{}\n", text::clean(&what)));
    view.extra.insert("log_bytes".into(), json!(done.log_bytes));
    view.extra.insert("bytes_before".into(), json!(done.bytes_before));
    view.extra.insert("bytes_after".into(), json!(done.bytes_after));
    context.output.show(view, 0)
}
