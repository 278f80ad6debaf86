//! `spandrel guide`: a page for people and programs that meet spandrel for the first time.

use super::prelude::*;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) shared: Shared<{ group::OUTPUT | group::LOOK | group::PAGER }>,
}

pub(crate) fn run(_: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let page = context.output.human_readable(include_str!("guide.md"));
    context.output.write(page.as_bytes())?;
    Ok(Exit::Ok)
}
