//! `spandrel top --live`: the table of names while the program runs, in the terminal.
//!
//! ```text
//!   feed (a thread) -- page a second --> app (the state) --> draw --> terminal
//!        ^                                  ^   |
//!        +---- what to read (ask) ----------|---+
//!                                         keys
//! ```
//!
//! The table comes from the rollups alone, so that it costs the same for any number of spans; what looks
//! at spans looks at a bounded number of them. Nothing is held open in the file between two reads. A
//! finished run is shown in the same way: its last window, and the arrows move through time.

mod app;
mod columns;
mod draw;
mod export;
mod feed;
mod folder;
mod hang_up;
mod health;
mod input;
mod keys;
mod page;
mod rows;
mod signals;
mod source;
mod subject_reader;
mod sums;
mod terminal;
#[cfg(test)]
pub(crate) mod test_pages;
mod window;

use std::env;
use std::io;
use std::path::Path;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use self::app::{App, Effect, View};
use self::columns::ColumnName;
use self::draw::Appearance;
use self::feed::{Feed, News, Order};
use self::input::RowFilter;
use self::signals::Signals;
use self::source::Source;
use self::terminal::Screen;
use crate::arguments::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// How long a signal may wait.
const PATIENCE: Duration = Duration::from_millis(100);

/// Shows the table until somebody has seen enough; of a folder of ring files, what is open.
pub(crate) fn run(context: &Context, folder: Option<&Path>) -> Result<Exit, Failure> {
    let mut app = start(context)?;
    if folder.is_some() {
        refuse_profile(context)?;
        (app.has_only_open, app.view) = (true, View::Open);
    }
    let zone = context.wanted.zone();
    let appearance = Appearance {
        has_colours: context.output.is_coloured(),
        is_ascii: context.output.is_ascii(),
    };
    let source = match folder {
        Some(folder) => Source::of_folder(folder),
        None => Source::new(context.wanted.clone())?,
    };
    let failure =
        |error: io::Error| Failure::cannot_read(format!("cannot listen to signals: {error}"));
    let signals = Signals::new().map_err(failure)?;
    Screen::check()?;
    hang_up::watch().map_err(|error| {
        Failure::cannot_read(format!("the terminal cannot be watched: {error}"))
    })?;
    let feed = Feed::start(source, app.ask())?;
    let mut screen = Screen::new()?;
    let ended = watch(&mut screen, &feed, &signals, &mut app, appearance, &zone);
    drop(screen);
    if let Some(signal) = ended? {
        signals::end_by(signal);
    }
    Ok(Exit::Ok)
}

/// A folder of ring files has no runs and no names to choose from.
fn refuse_profile(context: &Context) -> Result<(), Failure> {
    let (wanted, output) = (&context.wanted, &context.output);
    if wanted.run.is_none() && wanted.filter.is_none() && output.sort.is_none() {
        return Ok(());
    }
    Err(Failure::usage("of a folder of ring files only what is open is shown")
        .hint("without --run, --where and --sort"))
}

/// The state before anything was read, as the command line wants it.
fn start(context: &Context) -> Result<App, Failure> {
    let (wanted, output) = (&context.wanted, &context.output);
    if wanted.since.is_some() || wanted.until.is_some() || wanted.between.is_some() {
        return Err(Failure::usage("--live shows the present; it takes no window of time")
            .hint("the arrow keys go back in it, and 1 2 3 4 choose how much is shown"));
    }
    let is_page = output.path.is_some()
        || output.is_standard
        || output.spreadsheet
        || output.format.is_some()
        || output.limit.is_some()
        || !output.columns.is_empty()
        || !output.pager
        || output.quiet
        || output.verbose
        || output.fail_empty
        || output.strict;
    if is_page {
        return Err(Failure::usage(
            "--live takes no option about what is printed, and none about when to fail",
        )
        .hint("`spandrel top` without --live prints; the key e exports a row"));
    }
    let mut app = App::default();
    if let Some(sort) = &output.sort {
        let (name, order) = sort.split_once(':').unwrap_or((sort, "desc"));
        let known = ColumnName::named(name).filter(|_| ["asc", "desc"].contains(&order));
        app.sort = known.ok_or_else(|| {
            let titles = ColumnName::ALL.map(ColumnName::title).join(", ");
            Failure::usage(format!("--live cannot sort by {sort:?}"))
                .hint(format!("there are {titles}, with :asc or :desc"))
        })?;
        app.is_reversed = (order == "asc") != (app.sort == ColumnName::Name);
    }
    if let Some(text) = &wanted.filter {
        let fault = |fault| Failure::usage(format!("--where: {fault}"));
        app.filter = RowFilter::parse(text).map_err(fault)?;
    }
    Ok(app)
}

/// The loop. Ends with the signal that ended it, if one did.
fn watch(
    screen: &mut Screen,
    feed: &Feed,
    signals: &Signals,
    app: &mut App,
    appearance: Appearance,
    zone: &TimeZone,
) -> Result<Option<i32>, Failure> {
    let failure =
        |error: io::Error| Failure::cannot_read(format!("the terminal cannot be used: {error}"));
    let mut is_due = true;
    loop {
        is_due |= hear(feed, app)?;
        let clock = Timestamp::now().to_zoned(zone.clone()).strftime("%H:%M:%S").to_string();
        if is_due || app.clock != clock {
            app.clock = clock;
            screen
                .terminal
                .draw(|frame| draw::draw(frame.buffer_mut(), app, appearance))
                .map_err(failure)?;
            is_due = false;
        }
        let mut has_input = event::poll(PATIENCE).map_err(failure)?;
        while has_input {
            is_due = true;
            match answer(&event::read().map_err(failure)?, feed, app) {
                Effect::Quit => return Ok(None),
                Effect::Suspend => screen.leave_for(signals::stop).map_err(failure)?,
                Effect::Redraw => screen.terminal.clear().map_err(failure)?,
                _ => {}
            }
            has_input = event::poll(Duration::ZERO).map_err(failure)?;
        }
        if let Some(signal) = signals.end() {
            return Ok(Some(signal));
        }
        if signals.is_suspend() {
            screen.leave_for(signals::stop).map_err(failure)?;
            is_due = true;
        } else if signals.has_resumed() {
            // Stopped by a signal that nobody can catch: the shell has used the terminal meanwhile.
            screen.leave_for(|| ()).map_err(failure)?;
            is_due = true;
        }
    }
}

/// Takes what was read; `true` if there is something new.
fn hear(feed: &Feed, app: &mut App) -> Result<bool, Failure> {
    let mut is_new = false;
    loop {
        match feed.news.try_recv() {
            Ok(News::Page(page)) => {
                let (was, ask) = (app.until_ns, app.ask());
                // A page that was asked for before a key is of something else.
                if page.window == ask.window {
                    app.take(page);
                }
                if app.until_ns != was {
                    feed.order(Order::Read(app.ask()));
                }
            }
            Ok(News::Missing(why)) => app.missing = Some(why),
            Ok(News::Told(told)) => app.message = Some(told),
            Err(TryRecvError::Empty) => return Ok(is_new),
            Err(TryRecvError::Disconnected) => {
                return Err(Failure::cannot_read("the thread that reads the profile has ended"));
            }
        }
        is_new = true;
    }
}

/// Answers a key.
fn answer(event: &Event, feed: &Feed, app: &mut App) -> Effect {
    let Event::Key(key) = event else { return Effect::Nothing };
    if key.kind == KeyEventKind::Release {
        return Effect::Nothing;
    }
    let Some(action) = keys::action(key, app.input.is_some()) else { return Effect::Nothing };
    let effect = app.apply(action);
    match &effect {
        Effect::Read => {
            feed.order(Order::Read(app.ask()));
        }
        Effect::Mark(label) => {
            feed.order(Order::Mark(label.clone()));
        }
        Effect::Export => app.message = Some(export_row(app)),
        _ => {}
    }
    effect
}

fn export_row(app: &App) -> String {
    let (Some(page), Some(row)) = (&app.page, app.row()) else {
        return "there is no row to export".into();
    };
    let path = env::current_dir().unwrap_or_default().join(Path::new(export::FILE));
    match export::append(&path, &export::line(page, row)) {
        Ok(()) => format!("appended {} to {}", row.key.name, path.display()),
        Err(error) => format!("cannot append to {}: {error}", path.display()),
    }
}
