//! What a command found, on its way to people and programs. Everything is printed here, except the
//! full-screen view (`live/terminal.rs`) and exports that stream to the standard output
//! (`commands/export/write.rs`).

mod background_writer;
mod escaping_writer;
mod fit;
mod format;
mod human;
mod progress;
mod sink;
mod stream;
mod structured;
mod table;
pub(crate) mod text;
mod unmeasured;
mod view;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use spandrel_export::is_formula;

pub(crate) use self::background_writer::BackgroundWriter;
pub(crate) use self::escaping_writer::EscapingWriter;
pub(crate) use self::format::{AnyFormat, ColorChoice, Format, ending};
pub(crate) use self::progress::Progress;
pub(crate) use self::sink::{Destination, NewDatabase, ignore_broken_pipe};
pub(crate) use self::stream::Stream;
pub(crate) use self::structured::no_formula;
pub(crate) use self::table::{Cell, Column, Table, table_of};
pub(crate) use self::unmeasured::{unmeasured, unmeasured_by};
pub(crate) use self::view::{Header, View, largest, summed};

use self::human::RenderOptions;
use crate::arguments::Help;
use crate::exit::Exit;
use crate::failure::Failure;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// How to show what was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Output {
    pub(crate) format: Option<Format>,
    /// A file; `None`: the standard output.
    pub(crate) path: Option<PathBuf>,
    /// Whether the standard output was asked for.
    pub(crate) is_standard: bool,
    /// Whether texts must not be taken for formulas.
    pub(crate) spreadsheet: bool,
    pub(crate) color: ColorChoice,
    pub(crate) ascii: bool,
    pub(crate) utc: bool,
    pub(crate) pager: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    pub(crate) limit: Option<usize>,
    pub(crate) sort: Option<String>,
    pub(crate) columns: Vec<String>,
    pub(crate) fail_empty: bool,
    pub(crate) strict: bool,
}

impl Output {
    /// The format from `--format`, or from the name of the file, or else one that suits the reader: a person
    /// at a terminal or a program.
    pub(crate) fn format(&self) -> Format {
        let default = if self.is_terminal() { Format::Table } else { Format::Plain };
        let of_name = || self.path.as_deref().and_then(Format::of_file_name);
        self.format.or_else(of_name).unwrap_or(default)
    }

    fn is_terminal(&self) -> bool {
        self.path.is_none() && io::stdout().is_terminal()
    }

    pub(crate) fn is_separated(&self) -> bool {
        matches!(self.format(), Format::Csv | Format::Tsv)
    }

    /// Refuses `--spreadsheet` where there are no separated values.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if !self.spreadsheet || self.is_separated() {
            return Ok(());
        }
        let failure = Failure::usage("--spreadsheet is for separated values");
        Err(failure.hint("it goes with --format csv or --format tsv"))
    }

    /// Programs get the texts of a profile unchanged; a terminal never does.
    pub(crate) fn is_to_be_cleaned(&self) -> bool {
        self.is_terminal() && !self.format().is_human_readable()
    }

    /// Whether what people read has colours.
    pub(crate) fn is_coloured(&self) -> bool {
        let wanted = match self.path {
            Some(_) => self.color == ColorChoice::Always,
            None => self.color.is_on(&io::stdout()),
        };
        self.format() == Format::Table && wanted
    }

    /// Whether only ASCII may be written.
    pub(crate) fn is_ascii(&self) -> bool {
        self.ascii || !is_utf8()
    }

    /// Columns of the terminal; 100 where there is none.
    pub(crate) fn width(&self) -> usize {
        let of_terminal = || terminal_size::terminal_size().map(|(width, _)| width.0.into());
        if self.is_terminal() { of_terminal().unwrap_or(100) } else { 100 }
    }

    /// Whether a column is shown that is hidden by default, by its key.
    pub(crate) fn wants(&self, key: &str) -> bool {
        let is_key = |asked: &String| asked.split(':').next() == Some(key);
        let is_asked = self.sort.iter().chain(&self.columns).any(is_key);
        is_asked || !self.format().is_human_readable()
    }

    /// Rows to show: those that were asked for, or the command's default; `None`: all.
    pub(crate) fn limit(&self, default: usize) -> Option<usize> {
        Some(self.limit.unwrap_or(default)).filter(|limit| *limit > 0)
    }

    /// Shows a view. Rows are sorted, selected and cut as was asked for; `limit` is the number of rows
    /// for people by default; 0: all.
    pub(crate) fn show(&self, mut view: View, limit: usize) -> Result<Exit, Failure> {
        if self.columns.first().is_some_and(|first| first == "help") {
            view = columns_of(&view);
        } else {
            if let Some(by) = &self.sort {
                view.table.sort(by)?;
            }
            view.table.truncate(self.limit.unwrap_or(limit));
            view.table.select(&self.columns)?;
            // If rows or columns were chosen, they have to be shown.
            let chooses_rows = self.limit.is_some() && !view.drawing_is_limited;
            let wants_all = self.verbose && view.verbose_is_table;
            if chooses_rows || wants_all || self.sort.is_some() || !self.columns.is_empty() {
                view.drawing = None;
            }
        }
        let unmeasured = self.unmeasured(&view);
        let is_new = |note: &String| !view.notes.contains(note);
        if let Some(note) = unmeasured.filter(is_new) {
            view.notes.push(note);
        }
        self.write(&self.render(&mut view)?)?;
        self.say_aside(&view);
        let is_incomplete = view.header.as_ref().is_some_and(|header| !header.is_complete());
        Ok(self.exit(is_incomplete, view.table.total == 0))
    }

    /// How a command ends that has worked, according to the options about failing.
    pub(crate) fn exit(&self, is_incomplete: bool, is_empty: bool) -> Exit {
        match () {
            () if self.strict && is_incomplete => Exit::Incomplete,
            () if self.fail_empty && is_empty => Exit::NothingMatched,
            () => Exit::Ok,
        }
    }

    /// Why what was asked for is not there, as it was not measured.
    fn unmeasured(&self, view: &View) -> Option<String> {
        let header = view.header.as_ref()?;
        let sorted_by = view.table.sorted_by.and_then(|at| view.table.columns.get(at));
        let chosen = if self.columns.is_empty() { &[] } else { view.table.columns.as_slice() };
        let mut asked = sorted_by.into_iter().chain(chosen);
        let mut of_columns = || asked.any(|column| unmeasured::is_needed_by(&column.key));
        header.unmeasured.clone().or_else(|| {
            let of_run = unmeasured(header.run())?;
            (view.needs_busy_times || of_columns()).then(|| of_run.to_owned())
        })
    }

    /// Formats with rows only have no room for this, so it is said on the standard error.
    fn say_aside(&self, view: &View) {
        if !matches!(self.format(), Format::Csv | Format::Tsv | Format::Ndjson) {
            return;
        }
        let missing = view.header.as_ref().and_then(Header::missing);
        let formulas = (self.is_separated() && !self.spreadsheet).then(|| formulas(&view.table));
        let formulas = formulas.flatten();
        let unmeasured = self.unmeasured(view);
        let missing = missing.into_iter().chain(human::cut(&view.table));
        for line in missing.chain(formulas).chain(unmeasured) {
            self.say(&self.human_readable(&line));
        }
    }

    fn render(&self, view: &mut View) -> Result<Vec<u8>, Failure> {
        let broken =
            |error: String| Failure::cannot_read(format!("cannot write the rows: {error}"));
        let format = self.format();
        Ok(match format {
            Format::Json => {
                structured::json(view).map_err(|error| broken(error.to_string()))?.into()
            }
            Format::Ndjson => structured::ndjson(&view.table).into(),
            Format::Csv => structured::separated(&view.table, b',', self.spreadsheet)
                .map_err(|error| broken(error.to_string()))?,
            Format::Tsv => structured::separated(&view.table, b'\t', self.spreadsheet)
                .map_err(|error| broken(error.to_string()))?,
            Format::Table | Format::Plain | Format::Md => {
                let page = human::render(
                    view,
                    RenderOptions {
                        format,
                        quiet: self.quiet,
                        all_columns: self.verbose,
                        chosen: !self.columns.is_empty(),
                        width: (format == Format::Table && self.is_terminal())
                            .then(|| self.width()),
                    },
                );
                self.human_readable(&page).into_bytes()
            }
            Format::Github | Format::Junit => {
                let message = format!("{} has no such format", view.command);
                return Err(Failure::usage(message).hint("`spandrel check` has: github and junit"));
            }
        })
    }

    /// Takes out styles and characters that the reader cannot show.
    pub(crate) fn human_readable(&self, page: &str) -> String {
        let mut page = if self.is_coloured() {
            page.into()
        } else {
            anstream::adapter::strip_str(page).to_string()
        };
        if self.is_ascii() {
            page = text::ascii(&page);
        }
        page
    }

    /// Writes a whole page to where it was asked for.
    pub(crate) fn write(&self, page: &[u8]) -> Result<(), Failure> {
        match &self.path {
            Some(path) => self.write_to(path, page),
            None => {
                let pager = self.pager && self.format() == Format::Table;
                let failure = |source: io::Error| {
                    Failure::cannot_read(format!("cannot write the output: {source}"))
                };
                if self.is_to_be_cleaned() {
                    let is_json = self.format().is_json();
                    let mut out = EscapingWriter::new(io::stdout().lock(), is_json);
                    return ignore_broken_pipe(out.write_all(page).and_then(|()| out.flush()))
                        .map_err(failure);
                }
                sink::print(page, pager).map_err(failure)
            }
        }
    }

    /// Writes a whole page to a file, and says so.
    pub(crate) fn write_to(&self, path: &Path, page: &[u8]) -> Result<(), Failure> {
        let mut file = Destination::new(path)?;
        file.write_all(page).map_err(|source| Failure::cannot_write(path, &source))?;
        let bytes = text::bytes(file.complete()?);
        self.say(&format!("wrote {} ({bytes})", path.display()));
        Ok(())
    }

    /// A moment in local time, with the zone.
    pub(crate) fn moment(&self, unix_ns: i64) -> Cell {
        let zone = if self.utc { TimeZone::UTC } else { TimeZone::system() };
        let shown = Timestamp::from_nanosecond(unix_ns.into()).map_or_else(
            |_| unix_ns.to_string(),
            |moment| {
                let moment = moment.to_zoned(zone);
                let format = if moment.offset().is_zero() { "UTC" } else { "%:z" };
                moment.strftime(&format!("%Y-%m-%d %H:%M:%S {format}")).to_string()
            },
        );
        Cell::Shown(shown, unix_ns.into())
    }

    /// Prints something for people that is not the output.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            self.warn(line);
        }
    }

    /// Tells people, even with --quiet, that there is less than they asked for.
    pub(crate) fn warn(&self, line: &str) {
        if self.is_ascii() { complain(&text::ascii(line)) } else { complain(line) }
    }

    pub(crate) fn failure(&self, failure: &Failure) -> Exit {
        let mut text = format!("{ERROR}error:{ERROR:#} {}", clean_lines(&failure.message));
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("\n{HINT}hint:{HINT:#} {}", clean_lines(hint)));
        }
        if !self.color.is_on(&io::stderr()) {
            text = anstream::adapter::strip_str(&text).to_string();
        }
        self.warn(&text);
        failure.exit
    }
}

/// A note on texts that a spreadsheet would take for formulas.
fn formulas(table: &Table) -> Option<String> {
    let is_formula =
        |cell: &&Cell| matches!(cell.value(), Value::String(text) if is_formula(&text));
    formulas_of(table.rows.iter().flatten().filter(is_formula).count() as u64)
}

/// The same for `count` texts.
pub(crate) fn formulas_of(count: u64) -> Option<String> {
    let texts = text::counted(count, "text");
    let look = text::agree(count, "looks like a formula", "look like formulas");
    (count > 0).then(|| format!("{texts} {look}; for a spreadsheet, use --spreadsheet"))
}

/// Messages can have several lines, for example to point at a position in another.
fn clean_lines(message: &str) -> String {
    message.lines().map(text::clean).collect::<Vec<_>>().join("\n")
}

/// One line on the standard error. If that fails, nobody can be told.
fn complain(line: &str) {
    let _gone = writeln!(io::stderr(), "{line}");
}

/// Messages of clap: help and version go to the standard output, everything else is wrong usage.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // If the reader has gone away, that is no failure.
    let _gone = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() }
}

/// Shows the help of a command.
pub(crate) fn help(help: &Help) -> ExitCode {
    let text = help.text(ColorChoice::Auto.is_on(&io::stdout()));
    // If the reader has gone away, that is no failure.
    let _gone = io::Write::write_all(&mut io::stdout().lock(), text.as_bytes());
    Exit::Ok.into()
}

/// Whether the locale can show more than ASCII, by the rules of the C library.
fn is_utf8() -> bool {
    let set = |key: &&str| env::var(key).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set);
    // If nothing is set, as in many containers: present-day terminals can.
    locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// The columns that a view has, as a view.
fn columns_of(view: &View) -> View {
    let table = table_of! {
        for column in &view.table.columns, {}
        Column::left("column", "column") => Cell::from(column.key.as_str()),
        Column::left("title", "title") => Cell::from(column.title.as_str()),
        Column::right("shown", "shown") => Cell::Bool(column.shown),
    };
    View::new(view.command, None, table)
}
