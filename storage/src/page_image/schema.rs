//! The first page: it makes the pages a database with tables.
//!
//! The tables have exactly the columns of those in the file, from `schema.sql`: SQLite copies rows
//! unchanged only between tables whose columns agree.

use std::sync::LazyLock;

use super::page::FIRST;

/// Definitions of the tables, without comments: SQLite reads them with each image.
pub(super) static SPAN: LazyLock<String> = LazyLock::new(|| definition("span"));
pub(super) static EVENT: LazyLock<String> = LazyLock::new(|| definition("event"));
pub(super) static ENTRY: LazyLock<String> = LazyLock::new(|| definition("entry"));

/// How many pages of an image SQLite keeps while it copies them; each is read only once. By default it
/// would keep 2 MB.
pub(crate) const PAGES_IN_CACHE: u32 = 4;

/// The statement of `schema.sql` that makes the table; empty when there is none.
fn definition(table: &str) -> String {
    let code = |line: &'static str| line.split_once("--").map_or(line, |(code, _)| code).trim();
    let schema: String = crate::schema::schema().lines().map(code).collect();
    let start = format!("CREATE TABLE {table} (");
    schema
        .split(';')
        .find(|statement| statement.starts_with(&start))
        .map(str::to_owned)
        .unwrap_or_default()
}

/// <https://sqlite.org/fileformat2.html#the_database_header>
pub(super) fn header(page_size: usize, pages: u32) -> [u8; FIRST] {
    let mut header = [0; FIRST];
    header[..16].copy_from_slice(b"SQLite format 3\0");
    // One means 65,536, which does not fit.
    let size = u16::try_from(page_size).unwrap_or(1);
    header[16..18].copy_from_slice(&size.to_be_bytes());
    // Rollback mode for reading and writing; then the fractions of payload, which are constants.
    header[18..24].copy_from_slice(&[1, 1, 0, 64, 32, 32]);
    let mut number = |at: usize, number: u32| {
        header[at..at + 4].copy_from_slice(&number.to_be_bytes());
    };
    const CHANGES: u32 = 1;
    const FORMAT_WITH_ZERO_AND_ONE: u32 = 4;
    const UTF_8: u32 = 1;
    number(24, CHANGES);
    number(28, pages);
    number(40, 1);
    number(44, FORMAT_WITH_ZERO_AND_ONE);
    number(48, PAGES_IN_CACHE);
    number(56, UTF_8);
    // The number of pages is valid only if this equals the number of changes.
    number(92, CHANGES);
    header
}
