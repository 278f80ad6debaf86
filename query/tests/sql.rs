//! SQL that somebody typed reads, and does nothing else, whatever it says.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use spandrel_query::sql::{
    Sql, SqlEnd, SqlError, SqlErrorKind, SqlLimits, SqlParameters, SqlRows, SqlValue,
};
use spandrel_storage::StoreOptions;
use tempfile::TempDir;

use crate::common::{self, store};

#[derive(Default)]
struct Taken {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
    rows_wanted: Option<usize>,
}

impl SqlRows for Taken {
    fn columns(&mut self, names: &[String]) -> ControlFlow<()> {
        self.names = names.to_vec();
        ControlFlow::Continue(())
    }

    fn row(&mut self, values: &[SqlValue<'_>]) -> ControlFlow<()> {
        self.rows.push(values.iter().map(|value| format!("{value:?}")).collect());
        match self.rows_wanted {
            Some(wanted) if self.rows.len() >= wanted => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// A profile with two runs of a thousand spans, closed in order.
fn profile() -> (TempDir, PathBuf) {
    let (folder, path) = common::place();
    for _ in 0..2 {
        let mut store = store(&path, &StoreOptions::default());
        common::record(&mut store, 1_000);
        store.end_run(1_700_000_009_000_000_000, "{}").unwrap();
        store.close().unwrap();
    }
    (folder, path)
}

fn limits() -> SqlLimits {
    SqlLimits { timeout: Duration::from_secs(60), ..SqlLimits::default() }
}

fn ask(path: &Path, limits: SqlLimits, text: &str) -> Result<(SqlEnd, Taken), SqlError> {
    let mut taken = Taken::default();
    let parameters = SqlParameters { run_id: 2, from_ns: 0, until_ns: i64::MAX };
    let end = Sql::open(path, limits).unwrap().run(text, Some(&parameters), &mut taken)?;
    Ok((end, taken))
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

#[test]
fn queries_are_answered() {
    let (_folder, path) = profile();
    let (end, taken) = ask(
        &path,
        limits(),
        "with recursive n(i) as (values(1) union all select i + 1 from n where i < 3)
         select i, name, 1.5 as half, null, x'01' as bytes from n, callsite order by i desc; -- end",
    )
    .unwrap();
    assert_eq!(end, SqlEnd::Complete);
    assert_eq!(taken.names, ["i", "name", "half", "null", "bytes"]);
    let first = ["Integer(3)", "Text(\"work\")", "Real(1.5)", "Null", "Blob([1])"];
    assert_eq!((taken.rows.len(), taken.rows[0].as_slice()), (3, &first.map(String::from)[..]));
    for allowed in [
        "select * from top",
        "select * from spans limit 1",
        "select count(*) from span where run_id = :run and start_ns between :from_ns and :until_ns",
        "pragma table_info(span)",
        "select * from pragma_table_info('span')",
        "select * from pragma_function_list",
        "pragma page_count",
        "explain query plan select * from span where id = 7",
        "select value from json_each('[1,2]')",
        "values (1), (2)",
        "select name from sqlite_schema",
        "select group_concat(id) over (order by id rows 2 preceding) from span limit 3",
    ] {
        ask(&path, limits(), allowed).unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
    let (_, none) = ask(&path, limits(), "select id from span where false").unwrap();
    assert_eq!((none.names.len(), none.rows.len()), (1, 0));
}

/// What could be tried: a statement a line, and some that are no lines.
fn attempts() -> impl Iterator<Item = &'static str> {
    let odd = ["/* */ ; -- \n", "", "SELECT 1\0; DELETE FROM span"];
    include_str!("sql_attempts.txt").lines().chain(odd)
}

#[test]
fn nothing_but_reading_is_possible() {
    let (folder, path) = profile();
    let before = files(folder.path());
    for attempt in attempts() {
        let Err(error) = ask(&path, limits(), attempt) else { panic!("{attempt}: went through") };
        let kinds = [SqlErrorKind::Refused, SqlErrorKind::Usage];
        assert!(kinds.contains(&error.kind()), "{attempt}: {:?}: {error}", error.kind());
        let text = error.to_string();
        assert!(!text.is_empty() && text.len() < 600, "{attempt}: {text}");
    }
    assert_eq!(
        files(folder.path()).keys().len(),
        before.keys().len(),
        "files were made or deleted"
    );
    assert!(files(folder.path()) == before, "the profile was changed");
}

#[test]
fn what_takes_too_much_is_ended() {
    let (folder, path) = profile();
    let before = files(folder.path());
    let short = SqlLimits { timeout: Duration::from_millis(50), ..limits() };
    for bomb in [
        "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i FROM n) SELECT i FROM n",
        "SELECT count(*) FROM span a, span b, span c, span d",
        "SELECT a.id FROM span a, span b, span c WHERE a.id + b.id + c.id < 0",
    ] {
        let error = ask(&path, short, bomb).err().expect(bomb);
        assert_eq!(error.kind(), SqlErrorKind::Timeout, "{bomb}: {error}");
    }
    for bomb in [
        "SELECT randomblob(1000000000)",
        "SELECT zeroblob(1000000000)",
        "SELECT hex(zeroblob(1000000))",
        "SELECT printf('%.*c', 1000000000, 'x')",
        "SELECT printf('%1000000000d', 1)",
        "SELECT replace(hex(zeroblob(100000)), '0', hex(zeroblob(100000)))",
        "SELECT group_concat(hex(zeroblob(10000))) FROM span",
        "SELECT json_group_array(hex(zeroblob(10000))) FROM span",
        "WITH RECURSIVE n(s) AS (VALUES('x') UNION ALL SELECT s || s FROM n) SELECT length(s) FROM n",
        "WITH RECURSIVE n(b) AS (SELECT randomblob(500000) UNION ALL SELECT randomblob(500000) FROM n)
         SELECT b FROM n ORDER BY b",
        "WITH RECURSIVE n(b) AS (SELECT randomblob(500000) UNION SELECT randomblob(500000) FROM n)
         SELECT count(*) FROM n",
    ] {
        if bomb.contains("printf") && rusqlite::version_number() < 3_050_000 {
            continue; // it made such a text as long as it might be
        }
        let error = ask(&path, limits(), bomb).err().expect(bomb);
        assert_eq!(error.kind(), SqlErrorKind::TooLarge, "{bomb}: {error}");
    }
    // What would take long, or a deep stack, to compile.
    for text in [
        format!("SELECT 1{}", ";".repeat(90_000)),
        format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("SELECT 1{}", " + 1".repeat(20_000)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(5_000)),
        format!("SELECT {}", "1,".repeat(40_000)),
        format!("SELECT '{}'", "x".repeat(200_000)),
        format!("SELECT 'a' LIKE '{}'", "%a".repeat(2_000)),
        format!("SELECT {}", "-".repeat(90_000)),
        "SELECT ".to_owned() + &"not ".repeat(20_000) + "1",
    ] {
        match ask(&path, limits(), &text) {
            Ok((end, taken)) => {
                assert_eq!((end, taken.rows.len()), (SqlEnd::Complete, 1), "{text:.20}");
                assert!(text.starts_with("SELECT 1;"), "{text:.20}");
            }
            Err(error) => assert!(error.to_string().len() < 600, "{error}"),
        }
    }
    assert!(files(folder.path()) == before, "the profile was changed");
    // And the process is as well as before.
    assert_eq!(ask(&path, limits(), "select * from runs").unwrap().1.rows.len(), 2);
}

#[test]
fn rows_and_bytes_are_cut_and_it_is_said() {
    let (_folder, path) = profile();
    let rows = |rows_max, bytes_max| {
        let limits = SqlLimits { rows_max, bytes_max, ..limits() };
        let (end, taken) = ask(&path, limits, "select id from span limit 100").unwrap();
        (end, taken.rows.len())
    };
    assert_eq!(rows(None, None), (SqlEnd::Complete, 100));
    assert_eq!(rows(Some(100), None), (SqlEnd::Complete, 100));
    assert_eq!(rows(Some(99), None), (SqlEnd::RowsCut, 99));
    assert_eq!(rows(Some(0), None), (SqlEnd::RowsCut, 0));
    assert_eq!(rows(None, Some(80)), (SqlEnd::BytesCut, 10));
    let mut taken = Taken { rows_wanted: Some(3), ..Taken::default() };
    let mut sql = Sql::open(&path, limits()).unwrap();
    let end = sql.run("select id from span", None, &mut taken).unwrap();
    assert_eq!((end, taken.rows.len()), (SqlEnd::Broken, 3));
    // The same connection goes on after anything.
    sql.run("select nope", None, &mut Taken::default()).unwrap_err();
    sql.run("delete from span", None, &mut Taken::default()).unwrap_err();
    let mut again = Taken::default();
    assert_eq!(sql.run("select 1", None, &mut again).unwrap(), SqlEnd::Complete);
    assert_eq!(again.rows, [["Integer(1)"]]);
}

#[test]
fn an_error_points_at_its_place() {
    let (_folder, path) = profile();
    let error = ask(&path, limits(), "select id,\n  nope from span").err().unwrap();
    assert_eq!(error.to_string(), "no such column: nope\n2:3 |   nope from span\n        ^");
    let error = ask(&path, limits(), "select 1 from from").err().unwrap();
    assert!(error.to_string().ends_with("              ^"), "{error}");
    let error = ask(&path, limits(), "attach 'x' as y").err().unwrap();
    assert_eq!(error.to_string(), "ATTACH or VACUUM is refused: queries only read");
    let error = ask(&path, limits(), "pragma user_version = 1").err().unwrap();
    assert!(
        error.to_string().starts_with("PRAGMA user_version with a value is refused"),
        "{error}"
    );
}

#[test]
fn a_recording_goes_on_while_it_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.db");
    let mut store = store(&path, &StoreOptions::default());
    common::record(&mut store, 100);
    let mut sql = Sql::open(&path, limits()).unwrap();
    for asked in 1..=3_u64 {
        let mut taken = Taken::default();
        sql.run("select count(*) from span", None, &mut taken).unwrap();
        assert_eq!(taken.rows, [[format!("Integer({})", asked * 100)]]);
        common::record(&mut store, 100);
    }
    // No transaction is left open: the log can be emptied to its end.
    store.checkpoint(true).unwrap();
    let wal = common::sidecar(&path, "-wal");
    assert_eq!(fs::metadata(wal).unwrap().len(), 0);
    drop(sql);
    store.close().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Words of SQL in any order: answered or refused, and the file is as it was.
    #[test]
    fn no_text_changes_the_file(words in proptest::collection::vec(word(), 0..12)) {
        static PROFILE: std::sync::OnceLock<(TempDir, PathBuf)> = std::sync::OnceLock::new();
        let (folder, path) = PROFILE.get_or_init(profile);
        let before = files(folder.path());
        let short = SqlLimits { timeout: Duration::from_millis(200), ..limits() };
        let _either = ask(path, short, &words.join(" "));
        prop_assert!(files(folder.path()) == before);
    }
}

fn word() -> impl Strategy<Value = String> {
    let words: Vec<String> =
        attempts().flat_map(|text| text.split(' ')).map(String::from).collect();
    prop_oneof![
        6 => proptest::sample::select(words),
        2 => proptest::sample::select(attempts().collect::<Vec<_>>()).prop_map(String::from),
        1 => any::<String>(),
    ]
}
