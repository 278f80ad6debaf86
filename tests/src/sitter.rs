//! Somebody in a process of his own who reads a profile and does not end his transaction: a forgotten
//! `BEGIN` in a shell, a cursor that was left standing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::child::{self, Child};
use crate::time_limit;

const PATH: &str = "SPANDREL_TEST_SEEN";

/// The reader, seen from the test. He goes when it is dropped.
#[derive(Debug)]
pub struct Sitter {
    child: Child,
    /// How many spans he sees; `None` if he cannot read, and has it open all the same.
    pub sees: Option<u64>,
}

impl Sitter {
    /// Starts the calling test as a reader of `db` in the role `role`: the test has to call [`sit`] then.
    pub fn start(role: &str, db: &Path) -> Self {
        let mut child = child::plan(role).env(PATH, db).start();
        let sees = child.hear().expect("he has opened it").parse().ok();
        Self { child, sees }
    }

    /// Ends his transaction, and closes.
    pub fn leave(self) {
        self.child.succeed();
    }
}

/// In the child: reads, and keeps what he sees, until the test goes away.
pub fn sit() {
    let _limit = time_limit(120);
    let path = PathBuf::from(std::env::var_os(PATH).expect("set by the test"));
    let reader = Connection::open(path).expect("a profile");
    reader.busy_timeout(Duration::from_secs(10)).expect("a time");
    reader.execute_batch("BEGIN").expect("a transaction");
    let count = "SELECT count(*) FROM span";
    match reader.query_row(count, [], |row| row.get::<_, i64>(0)) {
        Ok(sees) => child::say(sees),
        Err(error) => child::say(error),
    }
    child::listen();
    reader.close().map_err(|(_, error)| error).expect("closed");
}
