//! The terminal while the screen is ours, and how it gets back to what it was: at the end, on an error,
//! on a panic of any thread, and while the program is suspended.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write as _};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};

use crate::failure::Failure;

/// Whether the view uses the terminal: then a panic has to restore it first.
static IS_OURS: AtomicBool = AtomicBool::new(false);

/// The screen; the terminal is as it was when this is dropped.
#[derive(Debug)]
pub(crate) struct Screen {
    pub(crate) terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    /// Whether there is a terminal to take.
    pub(crate) fn check() -> Result<(), Failure> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(Failure::usage("--live needs a terminal, for input and output")
                .hint("`spandrel top` prints the table once"));
        }
        if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
            return Err(Failure::usage(
                "--live needs a terminal that can move its cursor (TERM=dumb)",
            )
            .hint("`spandrel top` prints the table once"));
        }
        Ok(())
    }

    pub(crate) fn new() -> Result<Self, Failure> {
        give_back_on_panic();
        let failure = |error: io::Error| {
            give_back();
            Failure::usage(format!("the terminal cannot be used: {error}"))
        };
        take_over().map_err(failure)?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stdout()));
        let terminal = Terminal::new(backend).map_err(failure)?;
        Ok(Self { terminal })
    }

    /// Gives the terminal back for as long as `away` takes.
    pub(crate) fn leave_for(&mut self, away: impl FnOnce()) -> io::Result<()> {
        give_back();
        away();
        take_over()?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take_over() -> io::Result<()> {
    // Before, so that what fails half-way is undone.
    IS_OURS.store(true, Ordering::Relaxed); // Relaxed: the flag guards no other memory.
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, DisableLineWrap, Hide)
}

/// Once for each time it was taken. There is nothing to do about a terminal that is gone.
fn give_back() {
    if IS_OURS.swap(false, Ordering::Relaxed) {
        let _gone = execute!(io::stdout(), EnableLineWrap, LeaveAlternateScreen, Show);
        let _gone = disable_raw_mode();
        let _gone = io::stdout().flush();
    }
}

/// A panic is told on the terminal as it was, where it can be read.
fn give_back_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
    });
}

#[cfg(test)]
#[path = "terminal_tests.rs"]
mod tests;
