//! Where an export goes: a file that appears when it is complete, or the standard output.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(unix)]
use std::sync::{Mutex, PoisonError};

use spandrel_export::{self, ExportError, Format, Settings, Written};

use super::watch::Watch;
use crate::commands::prelude::*;
use crate::output::{BackgroundWriter, Destination, EscapingWriter, NewDatabase};
#[cfg(unix)]
use crate::signals;

/// Calls `export` with a flag that is set when somebody wants this program to end. `export` has to check
/// it: the program ends only after `export` has returned, so that no half-written file is left.
pub(super) fn guarded<T>(
    export: impl FnOnce(&Arc<AtomicBool>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    {
        let wish = Arc::new(Mutex::new(None));
        let act = {
            let (stop, wish) = (stop.clone(), wish.clone());
            move |new: signals::Wish| {
                if stop.swap(true, Ordering::Relaxed) {
                    signals::give_in(new); // this was reported already
                }
                *wish.lock().unwrap_or_else(PoisonError::into_inner) = Some(new);
            }
        };
        let guard = signals::guard(act)
            .map_err(|source| Failure::cannot_read(format!("signals: {source}")))?;
        let exported = export(&stop);
        drop(guard);
        if exported.is_err()
            && let Some(wish) = *wish.lock().unwrap_or_else(PoisonError::into_inner)
        {
            signals::give_in(wish);
        }
        exported
    }
    #[cfg(not(unix))]
    export(&stop)
}

/// Writes the profile where it was asked for.
pub(super) fn write(
    profile: &Profile,
    settings: &Settings,
    context: &Context,
    stop: &AtomicBool,
) -> Result<Written, Failure> {
    let mut watch = Watch::new(profile, context);
    let mut source = profile.source().watched_by(|rows| {
        watch.show(rows);
        if stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let Some(path) = &context.output.path else {
        let written = with_background_writer(standard_output(settings.format), |out| {
            spandrel_export::export(&mut source, settings, &mut Stoppable { out, stop })
        });
        return match written.map(|(written, _)| written) {
            // The reader has gone away: it has seen enough.
            Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Ok(Written::default())
            }
            written => written.map_err(|error| failure(error, Path::new("the standard output"))),
        };
    };
    let written = if settings.format == Format::Sqlite {
        let database = NewDatabase::new(path)?;
        let written = spandrel_export::copy(&mut source, &database.until_complete())
            .map_err(|error| failure(error, path))?;
        database.complete()?;
        written
    } else {
        let (written, file) = with_background_writer(Destination::new(path)?, |out| {
            spandrel_export::export(&mut source, settings, &mut Stoppable { out, stop })
        })
        .map_err(|error| failure(error, path))?;
        file.complete()?;
        written
    };
    Ok(written)
}

/// Control characters of a profile must not reach a terminal.
fn standard_output(format: Format) -> Box<dyn Write + Send> {
    match io::stdout().is_terminal() {
        true => Box::new(EscapingWriter::new(io::stdout(), format.is_json())),
        false => Box::new(io::stdout()),
    }
}

/// Exports, and writes meanwhile.
fn with_background_writer<W: Write + Send + 'static>(
    out: W,
    export: impl FnOnce(&mut BackgroundWriter<W>) -> Result<Written, ExportError>,
) -> Result<(Written, W), ExportError> {
    let mut out = BackgroundWriter::new(out).map_err(ExportError::Write)?;
    let written = export(&mut out)?;
    Ok((written, out.finish().map_err(ExportError::Write)?))
}

fn failure(error: ExportError, path: &Path) -> Failure {
    match error {
        ExportError::Profile(error) => error.into(),
        ExportError::Write(source) => Failure::cannot_write(path, &source),
        other => Failure::cannot_read(other.to_string()),
    }
}

/// A writer that fails when somebody wants this program to end.
struct Stoppable<'a, W> {
    out: W,
    stop: &'a AtomicBool,
}

impl<W: Write> Write for Stoppable<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("the export was stopped"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
