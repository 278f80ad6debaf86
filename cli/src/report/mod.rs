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
pub(crate) use self::collect::{Asked, Baseline, flame, report};
pub(crate) use self::data::{Document, Finding};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Destination, Output, text};

/// Writes a page, which nobody sees before it is complete. `make` is called when it is certain that
/// the file may be written: so a long look at a profile is not for nothing.
pub(crate) fn write(
    path: &Path,
    output: &Output,
    make: impl FnOnce() -> Result<Document, Failure>,
) -> Result<Exit, Failure> {
    let mut file = Destination::new(path)?;
    let document = make()?;
    let page = page::page(&document)
        .map_err(|error| Failure::cannot_read(format!("cannot make the page: {error}")))?;
    file.write_all(page.as_bytes()).map_err(|source| Failure::cannot_write(path, &source))?;
    let bytes = text::bytes(file.complete()?);
    let lost = match document.dropped {
        0 => String::new(),
        dropped => {
            let what = text::agree(dropped, "span or event", "spans and events");
            let were = text::agree(dropped, "was", "were");
            format!("; {} {what} {were} lost, as it says", text::count(dropped))
        }
    };
    let name = text::clean(&path.display().to_string());
    output.say(&format!("wrote {name} ({bytes}, opens offline{lost})"));
    Ok(output.exit(!document.complete, document.run.spans == 0))
}
