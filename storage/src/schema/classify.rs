//! Which of a file's definitions are ours, which are harmless, and which would run.
//!
//! A definition that somebody else made is SQL that runs in the process that writes to the table, or
//! reads it: a trigger, a CHECK, a generated column, an index on an expression. So the tables of a
//! profile have to be those that we make, token by token. Besides, there may be tables, views and
//! indexes of others, which no statement of ours touches; and a column without a constraint, and an
//! index on plain columns, may be added to ours, because neither evaluates anything.

use std::sync::LazyLock;

use super::tokens::{Token, tokens};
use super::{TABLES, schema};
use crate::indexes::INDEXES;

/// Tables that SQLite itself keeps in a file, and its statements for them.
const OF_SQLITE: [(&str, &str); 3] = [
    ("sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)"),
    ("sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"),
    ("sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"),
];
/// An index of files of version 1.
const SPAN_ROOT: &str = "CREATE INDEX span_root ON span (run_id, start_ns) WHERE parent_id IS NULL";
/// Column types that accept any value without changing it.
const PLAIN_TYPES: [&str; 6] = ["INTEGER", "INT", "REAL", "TEXT", "BLOB", "ANY"];

/// A row of `sqlite_schema`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    /// The table or view that it belongs to.
    pub(crate) table: &'a str,
    pub(crate) sql: Option<&'a str>,
}

/// What an object means for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Made by us, or by SQLite.
    Ours,
    /// Made by others, and no statement of ours evaluates anything in it.
    Harmless,
    /// Runs with each write to a table of ours, but not when reading.
    RunsOnWrites,
    /// Runs with any access to the table, or it is not known what it does.
    Runs,
}

static STATEMENTS: LazyLock<Vec<Vec<Token<'static>>>> = LazyLock::new(|| {
    let all = tokens(schema()).unwrap_or_default();
    all.split(|token| *token == Token::Sign(b';')).map(<[Token<'_>]>::to_vec).collect()
});

/// The statement of `schema.sql` that makes it.
fn made_by_us(kind: &str, name: &str) -> Option<&'static [Token<'static>]> {
    let made = STATEMENTS.iter().find(|tokens| match tokens.as_slice() {
        [create, what, named, ..] => {
            create.is_word("CREATE") && what.is_word(kind) && named.is_word(name)
        }
        _ => false,
    });
    made.map(Vec::as_slice)
}

fn is_table_of_ours(name: &str) -> bool {
    TABLES.iter().any(|table| table.eq_ignore_ascii_case(name))
}

/// Judges a row of the schema.
pub(crate) fn nature(object: &Object<'_>) -> Nature {
    let tokens = object.sql.map(tokens);
    let Some(found) = tokens else {
        // Indexes that come from a UNIQUE or a PRIMARY KEY: the definition of the table is checked.
        let of_table = object.kind == "index" && object.name.starts_with("sqlite_autoindex_");
        return if of_table { Nature::Ours } else { Nature::Runs };
    };
    let Some(found) = found else {
        return if object.kind == "view" { Nature::Harmless } else { Nature::Runs };
    };
    match object.kind {
        "table" => table(object.name, &found),
        "index" => index(object, &found),
        "trigger" if is_table_of_ours(object.table) => Nature::RunsOnWrites,
        "view" => match made_by_us("VIEW", object.name) {
            Some(ours) if ours == found => Nature::Ours,
            _ => Nature::Harmless,
        },
        "trigger" => Nature::Harmless,
        _ => Nature::Runs,
    }
}

fn table(name: &str, found: &[Token<'_>]) -> Nature {
    if is_table_of_ours(name) {
        let ours = made_by_us("TABLE", name).is_some_and(|ours| is_table(ours, found));
        return if ours { Nature::Ours } else { Nature::Runs };
    }
    if name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_")) {
        let as_sqlite = |(known, sql): &(&str, &str)| {
            known.eq_ignore_ascii_case(name) && tokens(sql).is_some_and(|tokens| tokens == found)
        };
        return if OF_SQLITE.iter().any(as_sqlite) { Nature::Ours } else { Nature::Runs };
    }
    match found {
        [create, table, ..] if create.is_word("CREATE") && table.is_word("TABLE") => {
            Nature::Harmless
        }
        // A virtual table.
        _ => Nature::RunsOnWrites,
    }
}

/// Whether a table has our columns and constraints in our order, and apart from those only columns
/// without any constraint.
fn is_table(ours: &[Token<'_>], found: &[Token<'_>]) -> bool {
    let (Some(ours), Some(found)) = (Parts::of(ours), Parts::of(found)) else { return false };
    if ours.before != found.before || ours.after != found.after {
        return false;
    }
    // Files of earlier versions lack the last columns of some tables.
    let may_lack =
        |item: &&[Token<'_>]| item.first().is_some_and(is_since_3) || is_count_since_3(item);
    let mut wanted = ours.items.iter().copied().peekable();
    for item in &found.items {
        let is_lacked = |next: &&[Token<'_>]| may_lack(next) && !is_item(next, item);
        if !is_plain_column(item) {
            while wanted.next_if(is_lacked).is_some() {}
        }
        match wanted.peek() {
            Some(next) if is_item(next, item) => drop(wanted.next()),
            _ if is_plain_column(item) => {}
            _ => return false,
        }
    }
    wanted.all(|item| may_lack(&item))
}

/// Whether it is a count of entries that earlier versions did not have. Spans have always had a column
/// of this name, without a default.
fn is_count_since_3(item: &[Token<'_>]) -> bool {
    let names = [
        "entries",
        "dropped_entries",
        "pruned_entries",
        "entries_recorded",
        "entries_stored",
        "entries_dropped",
    ];
    let named = |column: &Token<'_>| names.iter().any(|name| column.is_word(name));
    item.first().is_some_and(named) && item.iter().any(|token| token.is_word("DEFAULT"))
}

fn is_since_3(column: &Token<'_>) -> bool {
    [
        "batch_id",
        "last_batch_id",
        "first_entry_ns",
        "longest_entry_ns",
        "last_exit_ns",
        "longest_thread_id",
        "self_busy_ns",
    ]
    .iter()
    .any(|name| column.is_word(name))
}

/// Whether it is this column or constraint of ours, in its present form or in an older one. In version 1
/// busy time was never NULL; up to version 2 keys did not say NOT NULL, and entries were called polls.
fn is_item(ours: &[Token<'_>], found: &[Token<'_>]) -> bool {
    let not_null = [Token::Word("NOT"), Token::Word("NULL")];
    let or_more = |one: &[Token<'_>], other: &[Token<'_>]| {
        other.strip_prefix(one).is_some_and(|rest| rest == not_null)
    };
    let busy_time = [Token::Word("busy_ns"), Token::Word("INTEGER")];
    let key = ["id", "INTEGER", "PRIMARY", "KEY"].map(Token::Word);
    let entries = ["entries", "INTEGER", "NOT", "NULL"].map(Token::Word);
    let polls = ["polls", "INTEGER", "NOT", "NULL"].map(Token::Word);
    ours == found
        || ours == entries && found == polls
        || ours == busy_time && or_more(&busy_time, found)
        || found == key && or_more(&key, ours)
}

fn is_plain_column(item: &[Token<'_>]) -> bool {
    // A word that begins a constraint is not the name of a column, unless it is quoted.
    match item {
        [Token::Word(_) | Token::Quoted(_), Token::Word(kind)] => {
            PLAIN_TYPES.iter().any(|plain| plain.eq_ignore_ascii_case(kind))
        }
        _ => false,
    }
}

/// `CREATE TABLE name (` items `) ...`.
struct Parts<'a, 't> {
    before: &'a [Token<'t>],
    items: Vec<&'a [Token<'t>]>,
    after: &'a [Token<'t>],
}

impl<'a, 't> Parts<'a, 't> {
    fn of(tokens: &'a [Token<'t>]) -> Option<Self> {
        let open = tokens.iter().position(|token| *token == Token::Sign(b'('))?;
        let (mut depth, mut items, mut start) = (0, Vec::new(), open + 1);
        for (at, token) in tokens.iter().enumerate().skip(open) {
            match token {
                Token::Sign(b'(') => depth += 1,
                Token::Sign(b')') => depth -= 1,
                Token::Sign(b',') if depth == 1 => {
                    items.push(tokens.get(start..at)?);
                    start = at + 1;
                }
                _ => {}
            }
            if depth == 0 {
                items.push(tokens.get(start..at)?);
                let (before, after) = (tokens.get(..open)?, tokens.get(at + 1..)?);
                return Some(Self { before, items, after });
            }
        }
        None
    }
}

fn index(object: &Object<'_>, found: &[Token<'_>]) -> Nature {
    let by_optimize = INDEXES.iter().map(|(_, sql)| *sql);
    let known = by_optimize.chain([SPAN_ROOT]).filter_map(tokens).any(|ours| ours == found);
    if known || made_by_us("INDEX", object.name).is_some_and(|ours| ours == found) {
        return Nature::Ours;
    }
    if !is_table_of_ours(object.table) || is_plain_index(object.table, found) {
        return Nature::Harmless;
    }
    Nature::RunsOnWrites
}

/// `CREATE INDEX name ON table (column, column DESC ...)`: it evaluates and refuses nothing.
fn is_plain_index(table: &str, found: &[Token<'_>]) -> bool {
    let Some(Parts { before, items, after }) = Parts::of(found) else { return false };
    let [create, index, _name, on, of] = before else { return false };
    let is_column = |name: &Token<'_>| {
        let columns = made_by_us("TABLE", table).and_then(Parts::of).map(|parts| parts.items);
        let mut names = columns.iter().flatten().filter_map(|item| item.first());
        matches!(name, Token::Word(_)) && names.any(|column| column == name)
    };
    let is_plain = |item: &&[Token<'_>]| match *item {
        [column] => is_column(column),
        [column, order] => is_column(column) && (order.is_word("ASC") || order.is_word("DESC")),
        _ => false,
    };
    create.is_word("CREATE")
        && index.is_word("INDEX")
        && on.is_word("ON")
        && matches!(of, Token::Word(_) | Token::Quoted(_))
        && after.is_empty()
        && items.iter().all(is_plain)
}
