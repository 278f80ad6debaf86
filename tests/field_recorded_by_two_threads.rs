//! Several threads record the same field of one span at once: what is stored of it, or seen of it while
//! the span is open, is a value that one of them recorded, and not one made of two.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use spandrel_tests::prelude::*;

/// A text that shows whether it is whole: its length, and one letter throughout.
fn text(letter: u8, len: usize) -> String {
    format!("{len}:{}", String::from_utf8(vec![letter; len]).unwrap())
}

fn check(stored: &str, cut_from: Option<i64>) {
    let (len, letters) = stored.split_once(':').unwrap_or_else(|| panic!("mixed: {stored}"));
    let distinct: BTreeSet<_> = letters.bytes().collect();
    assert!(distinct.len() <= 1, "mixed: {stored}");
    let whole = cut_from.map_or(letters.len(), |bytes| bytes as usize - len.len() - 1);
    assert_eq!(len.parse(), Ok(whole), "not whole: {stored}");
}

/// Checks the values of a field, of which some may be cut, and says so. Returns how many there are.
fn check_all(db: &Database, name: &str) -> usize {
    let sql = format!(
        "SELECT fields ->> '{name}', fields ->> '$.\"$truncated\".{name}' FROM span
         WHERE fields ->> '{name}' IS NOT NULL"
    );
    let stored: Vec<(String, Option<i64>)> =
        db.rows(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
    stored.iter().for_each(|(stored, cut_from)| check(stored, *cut_from));
    stored.len()
}

#[test]
fn a_text_that_two_threads_record_is_stored_whole() {
    let _limit = time_limit(300);
    const THREADS: u8 = 4;
    for (lengths, several) in [(&[100][..], false), (&[3, 17, 40, 100, 250], true)] {
        let (scratch, profiler) = recording();
        let spans = rounds(40);
        within(&dispatch(&profiler), || {
            for n in 0..spans {
                let span = info_span!("shared", n, x = field::Empty, other = field::Empty);
                let start = Barrier::new(THREADS.into());
                std::thread::scope(|scope| {
                    for thread in 0..THREADS {
                        let (span, start) = (&span, &start);
                        scope.spawn(move || {
                            start.wait();
                            for round in 0..200 {
                                let len = lengths[round % lengths.len()];
                                span.record("x", text(b'a' + thread, len).as_str());
                                if several {
                                    span.record("other", text(b'A' + thread, 30).as_str());
                                }
                            }
                        });
                    }
                });
                drop(span);
                profiler.flush(Duration::from_secs(60)).unwrap();
            }
        });
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        assert_eq!(check_all(&db, "x") as u64, spans);
        if several {
            assert_eq!(check_all(&db, "other") as u64, spans);
        } else {
            let cut = "SELECT count(*) FROM span WHERE fields LIKE '%truncated%'";
            assert_eq!(db.count(cut), 0, "nothing was left out");
        }
    }
}

/// The spans are stored as unfinished while their fields are recorded.
#[test]
fn a_text_that_is_recorded_while_the_profiler_closes_is_stored_whole() {
    for _ in 0..rounds(20) {
        let (scratch, profiler) = recording_for(300);
        let dispatch = dispatch(&profiler);
        let spans: Vec<_> = within(&dispatch, || {
            (0..200).map(|_| info_span!("open", x = text(b'x', 100).as_str())).collect()
        });
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (dispatch, spans, done) = (&dispatch, &spans, &done);
                scope.spawn(move || {
                    within(dispatch, || {
                        while !done.load(Ordering::Relaxed) {
                            for span in spans {
                                span.record("x", text(b'a' + thread, 100).as_str());
                            }
                        }
                    });
                });
            }
            let report = profiler.close();
            done.store(true, Ordering::Relaxed);
            assert_eq!(report.unwrap().stats.unfinished, 200);
        });
        let db = Database::open(scratch.db());
        let known = check_all(&db, "x");
        let told = r#"SELECT count(*) FROM span WHERE fields ->> '$."$truncated"' IS NOT NULL"#;
        assert!(known + db.count(told) as usize >= 200, "what is not there is told");
    }
}
