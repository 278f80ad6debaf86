//! `spandrel sql`: a query of one's own, which reads and does nothing else.
//!
//! What a query can do and take is decided by [`spandrel_query::sql`]. Rows for programs are
//! written as they come, so that a result may be larger than the memory.

mod recipes;
mod rows;

use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use spandrel_query::parse_duration_ns;
use spandrel_query::sql::{
    Sql, SqlEnd, SqlError, SqlErrorKind, SqlLimits, SqlParameters, SqlRows, limit_process_memory,
};

pub(super) use self::rows::Collected;
use self::rows::Written;
use super::prelude::*;
use crate::output::{Format, formulas_of};

/// Rows that people see without asking.
const ROWS: u64 = 1_000;
/// Rows and bytes that a JSON document holds without asking; the streaming formats have no limit.
const DOCUMENT_ROWS: u64 = 100_000;
const DOCUMENT_BYTES: u64 = 64 << 20;
/// A query is not longer than this.
const QUERY_BYTES: u64 = 100_000;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel sql 'select name, calls, max_ms from top order by max_ms desc'\n  \
    spandrel sql --recipes                       queries to begin with\n  \
    spandrel sql --recipe percentiles --since 30s\n  \
    spandrel sql --schema                        the tables and views, each column with a comment\n  \
    spandrel sql -f csv -o spans.csv 'select * from span where run_id = :run'\n  \
    spandrel sql < query.sql\n\n\
The views for people are: spans, top, slow, roots, open_spans, events, losses, runs. The parameters\n\
:run, :from_ns and :until_ns stand for the run and the window of --run and --since.\n\n\
A query reads and can do nothing else: the file is opened read-only, and whatever writes, attaches,\n\
loads or sets something is refused, and so is a second statement. While it runs, the log of a live\n\
recording grows; hence the limit on time.")]
pub(crate) struct Arguments {
    /// The query ('-' or nothing = read it from standard input)
    query: Option<String>,
    /// Print the tables and views, with a comment on each column
    #[arg(long, conflicts_with_all = ["query", "recipes", "recipe"])]
    schema: bool,
    /// List ready-made queries
    #[arg(long, conflicts_with_all = ["query", "recipe"])]
    recipes: bool,
    /// Run a ready-made query
    #[arg(long, value_name = "NAME", conflicts_with = "query")]
    recipe: Option<String>,
    /// Print the query of --recipe instead of running it
    #[arg(long, requires = "recipe")]
    show: bool,
    /// Time limit for the query
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: String,
    /// Maximum number of rows to read (0 = all) [default: 1000 for people, 100000 for json, otherwise all]
    #[arg(long, value_name = "ROWS")]
    max_rows: Option<u64>,
    #[command(flatten)]
    pub(super) shared: Shared<
        {
            group::DB
                | group::RUN
                | group::WINDOW
                | group::LIMIT
                | group::PAGE
                | group::VERBOSE
                | group::FAIL
        },
    >,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let output = &context.output;
    if arguments.schema {
        output.write(spandrel_storage::schema().as_bytes())?;
        return Ok(Exit::Ok);
    }
    if arguments.recipes {
        return list(context);
    }
    let query = match &arguments.recipe {
        Some(name) => recipes::find(name)?.sql.to_owned(),
        None => typed(arguments.query.as_deref())?,
    };
    if arguments.show {
        output.write(query.as_bytes())?;
        return Ok(Exit::Ok);
    }
    let path = context.wanted.path()?;
    let limits = limits(arguments, context)?;
    let parameters = parameters(&query, context)?;
    // This process does nothing else than this query.
    limit_process_memory(limits.memory_bytes_max)?;
    let mut sql = Sql::open(&path, limits)?;
    match output.format() {
        Format::Csv | Format::Tsv | Format::Ndjson => {
            stream(&mut sql, &query, parameters.as_ref(), &path, context)
        }
        _ => show(&mut sql, &query, parameters.as_ref(), context),
    }
}

fn list(context: &Context) -> Result<Exit, Failure> {
    let table = table_of! {
        for recipe in recipes::ALL, {}
        Column::left("recipe", "recipe") => recipe.name.into(),
        Column::left("about", "about") => recipe.about().into(),
        Column::left("sql", "sql").hidden() => recipe.sql.into(),
    };
    let mut view = View::new("sql", None, table);
    view.notes.push("`spandrel sql --recipe NAME` runs one, with --show it is printed".into());
    context.output.show(view, 0)
}

/// The query as it was typed, or from the standard input.
fn typed(query: Option<&str>) -> Result<String, Failure> {
    match query {
        Some(query) if query != "-" => return Ok(query.to_owned()),
        None if io::stdin().is_terminal() => {
            let failure = Failure::usage("there is no query");
            return Err(failure.hint("`spandrel sql --recipes` lists some to begin with"));
        }
        _ => {}
    }
    let mut query = String::new();
    let read = io::stdin().lock().take(QUERY_BYTES + 1).read_to_string(&mut query);
    read.map_err(|source| Failure::usage(format!("cannot read the query: {source}")))?;
    Ok(query)
}

fn limits(arguments: &Arguments, context: &Context) -> Result<SqlLimits, Failure> {
    let timeout = parse_duration_ns(&arguments.timeout)
        .map_err(|error| Failure::usage(format!("--timeout: {error}")))?;
    let (rows, bytes) = match context.output.format() {
        Format::Csv | Format::Tsv | Format::Ndjson => (0, None),
        Format::Json => (DOCUMENT_ROWS, Some(DOCUMENT_BYTES)),
        _ => (ROWS, Some(DOCUMENT_BYTES)),
    };
    let asked = context.output.limit.map(|limit| limit as u64);
    let rows = arguments.max_rows.or(asked).unwrap_or(rows);
    Ok(SqlLimits {
        timeout: Duration::from_nanos(u64::try_from(timeout).unwrap_or_default()),
        rows_max: (rows > 0).then_some(rows),
        bytes_max: bytes.filter(|_| arguments.max_rows != Some(0)),
        ..SqlLimits::default()
    })
}

/// The run and the window, if the query asks for them.
fn parameters(query: &str, context: &Context) -> Result<Option<SqlParameters>, Failure> {
    if ![":run", ":from_ns", ":until_ns"].iter().any(|name| query.contains(name)) {
        return Ok(None);
    }
    let profile = context.wanted.profile()?;
    Ok(Some(SqlParameters {
        run_id: profile.run.id,
        from_ns: profile.window.from_ns.unwrap_or(i64::MIN),
        until_ns: profile.window.until_ns.unwrap_or(i64::MAX),
    }))
}

/// All rows at once, for people or as a document.
fn show(
    sql: &mut Sql,
    query: &str,
    parameters: Option<&SqlParameters>,
    context: &Context,
) -> Result<Exit, Failure> {
    let mut rows = Collected::default();
    let end = sql.run(query, parameters, &mut rows)?;
    let table = rows.table();
    let read = table.total;
    let mut view = View::new("sql", None, table);
    let (is_complete, dropped) = missing(context)?;
    let is_cut = end != SqlEnd::Complete;
    view.extra.extend([
        ("complete".to_owned(), json!(is_complete)),
        ("dropped".to_owned(), json!(dropped)),
        ("truncated".to_owned(), json!(is_cut)),
        ("total".to_owned(), if is_cut { Value::Null } else { json!(read) }),
    ]);
    if let Some(cut) = cut(end, read) {
        view.notes.push(cut.clone());
        if context.output.format() == Format::Json || context.output.quiet {
            context.output.warn(&cut);
        }
    }
    if dropped > 0 {
        let what = text::agree(dropped, "span or event", "spans and events");
        let (were, dropped) = (text::agree(dropped, "was", "were"), text::count(dropped));
        view.notes.push(format!("! {dropped} {what} of this file {were} dropped: `spandrel runs`"));
    }
    let exit = context.output.show(view, 0)?;
    Ok(if context.output.strict && !is_complete { Exit::Incomplete } else { exit })
}

/// Row by row.
fn stream(
    sql: &mut Sql,
    query: &str,
    parameters: Option<&SqlParameters>,
    path: &Path,
    context: &Context,
) -> Result<Exit, Failure> {
    let output = &context.output;
    let is_live = path.with_file_name(wal_name(path)).exists();
    let mut rows = Written::new(output.stream(is_live)?, output.format(), output.spreadsheet);
    let end = sql.run(query, parameters, &mut rows as &mut dyn SqlRows);
    let formulas = if output.spreadsheet { 0 } else { rows.formulas };
    // What came before an error is shown, too, but never as a file that looks whole.
    let read = match &end {
        Err(_) if output.path.is_some() => 0,
        _ => rows.finish()?,
    };
    if let Some(cut) = cut(end?, read) {
        output.warn(&cut);
    }
    formulas_of(formulas).iter().for_each(|note| output.say(note));
    let is_incomplete = output.strict && !missing(context)?.0;
    Ok(match () {
        () if is_incomplete => Exit::Incomplete,
        () if output.fail_empty && read == 0 => Exit::NothingMatched,
        () => Exit::Ok,
    })
}

fn wal_name(path: &Path) -> std::ffi::OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push("-wal");
    name
}

/// Whether nothing of the file's runs is missing, and how much was dropped.
fn missing(context: &Context) -> Result<(bool, u64), Failure> {
    let reader = context.wanted.reader()?;
    let runs = reader.runs()?.into_iter().map(|run| context.wanted.looked_at(&reader, run));
    let runs = runs.collect::<Result<Vec<_>, Failure>>()?;
    let dropped = runs.iter().map(|run| run.dropped());
    Ok((runs.iter().all(|run| run.is_complete()), dropped.fold(0, u64::saturating_add)))
}

/// A clear note if there are more rows than were read.
fn cut(end: SqlEnd, read: u64) -> Option<String> {
    let rows = text::counted(read, "row");
    match end {
        SqlEnd::RowsCut => Some(format!("! cut after {rows}; --max-rows 0 reads all")),
        SqlEnd::BytesCut => {
            Some(format!("! cut after {rows} for their size; --max-rows 0 reads all"))
        }
        _ => None,
    }
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        match error.kind() {
            SqlErrorKind::Usage => {
                Self::usage(error.to_string()).hint("`spandrel sql --schema` shows what there is")
            }
            SqlErrorKind::Refused => Self::usage(error.to_string()),
            SqlErrorKind::Timeout => {
                Self::cannot_read(error.to_string()).hint("--timeout 60s gives it more time")
            }
            _ => Self::cannot_read(error.to_string()),
        }
    }
}
