//! `spandrel report` and `spandrel flame --html`: a profile as one page that opens offline.
//!
//! [`collect`] makes a bounded document of a profile, [`page`] puts it into a page with the script that
//! draws it. What the page shows is decided in Rust, how it looks in `web/`.

mod bounds;
mod collect;
mod data;
mod embed;
mod page;

use std::io::Write as _;
use std::path::Path;

pub(crate) use self::bounds::TRACES as TRACES_MAX;
pub(crate) use self::collect::{Asked, Baseline, Weight};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Destination, Output, text};
use crate::profile::Profile;

/// Writes a page about the profile; nobody sees it before it is complete.
pub(crate) fn write(
    profile: &Profile,
    asked: &Asked<'_>,
    path: &Path,
    output: &Output,
) -> Result<Exit, Failure> {
    // First, so that a long look at the profile is not for nothing.
    let mut file = Destination::new(path)?;
    let document = collect::collect(&profile.reader, &profile.run, asked)?;
    let page = page::page(&document)
        .map_err(|error| Failure::cannot_read(format!("cannot make the page: {error}")))?;
    file.write_all(page.as_bytes()).map_err(|source| Failure::cannot_write(path, &source))?;
    let bytes = file.complete()?;
    let lost = match document.dropped {
        0 => String::new(),
        dropped => format!("; {} spans and events were lost, as it says", text::count(dropped)),
    };
    output.say(&format!(
        "wrote {} ({}, opens offline{lost})",
        text::clean(&path.display().to_string()),
        text::bytes(bytes)
    ));
    Ok(match () {
        () if output.strict && !document.complete => Exit::Incomplete,
        () if output.fail_empty && document.run.spans == 0 => Exit::NothingMatched,
        () => Exit::Ok,
    })
}
