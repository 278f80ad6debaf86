//! Spans whose durations mislead: a name nested deep in itself, a span that outlives its work, one that waits and
//! hardly works, a long-lived one that counts by its lifetime.
//!
//! They are looked for without being asked, so that has to be cheap on a profile of any size: only samples of a run
//! are read. What happens all the time is found, what happened once is not.

mod by_lifetime;
mod kept_open;
mod nested;
mod waiting;

pub use self::by_lifetime::LongByLifetime;
pub use self::kept_open::KeptOpen;
pub(super) use self::kept_open::{OUTLIVED_NS_MIN, SOON_NS};
pub use self::nested::NestedInItself;
pub use self::waiting::MostlyWaiting;

use rusqlite::{Connection, OptionalExtension, params};

/// Points of a run at which spans are sampled.
const SAMPLE_POINTS: i64 = 64;

/// The smallest and the largest id of a run.
fn ids(tx: &Connection, run_id: i64) -> rusqlite::Result<Option<(i64, i64)>> {
    let find = "SELECT first_id, last_id FROM run WHERE id = ?1";
    tx.query_row(find, [run_id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Ids from one to the other, evenly spread.
fn starting_points(first: i64, last: i64) -> impl Iterator<Item = i64> {
    let length = i128::from(last) - i128::from(first);
    (0..=SAMPLE_POINTS).map(move |n| {
        let at = i128::from(first) + length * i128::from(n) / i128::from(SAMPLE_POINTS);
        i64::try_from(at).unwrap_or(last)
    })
}

/// The name and the target of a callsite.
fn named(tx: &Connection, callsite_id: i64) -> rusqlite::Result<(String, String)> {
    let find = "SELECT name, target FROM callsite WHERE id = ?1";
    let found =
        tx.query_row(find, params![callsite_id], |row| Ok((row.get(0)?, row.get(1)?))).optional();
    Ok(found?.unwrap_or_default())
}
