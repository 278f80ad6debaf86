//! `spandrel man`: the pages of the manual, one for each command.

use std::fs;
use std::io::Write;
use std::path::Path;

use clap::{Args, Command, CommandFactory};

use super::prelude::*;
use crate::output::Destination;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel man | man -l -                      the page of spandrel itself\n  \
    spandrel man -o ~/.local/share/man/man1      all pages, one for each command")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) shared: Shared<{ group::OUTPUT | group::LOOK | group::PAGER }>,
}

pub(crate) fn run(_: &Arguments, context: &Context) -> Result<Exit, Failure> {
    // The names and usage lines of commands are complete only after this.
    let mut command = crate::arguments::Arguments::command();
    command.build();
    let Some(folder) = &context.output.path else {
        context.output.write(&page(command)?)?;
        return Ok(Exit::Ok);
    };
    fs::create_dir_all(folder).map_err(|source| Failure::cannot_write(folder, &source))?;
    let pages = write_all(&command, "spandrel", folder)?;
    context.output.say(&format!("wrote {pages} pages into {}", folder.display()));
    Ok(Exit::Ok)
}

fn write_all(command: &Command, name: &str, folder: &Path) -> Result<usize, Failure> {
    let path = folder.join(format!("{name}.1"));
    let failure = |source: std::io::Error| Failure::cannot_write(&path, &source);
    let mut file = Destination::new(&path)?;
    file.write_all(&page(command.clone())?).map_err(failure)?;
    file.complete()?;
    let mut pages = 1;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        pages += write_all(sub, &format!("{name}-{}", sub.get_name()), folder)?;
    }
    Ok(pages)
}

fn page(command: Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|source| Failure::cannot_read(format!("cannot make the page: {source}")))?;
    Ok(page)
}
