//! Collected programs that fork, panic or abort; and a collector whose profile is too large, is deleted, or whose folder is
//! not there.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use spandrel::collect::{CollectOptions, Collecting, collect};
use spandrel_query::Reader;
use spandrel_tests::collecting::{
    Collector, LONG, assert_has, assert_no_files, collect_once, record, request, rings, small_in,
};
use spandrel_tests::prelude::*;
use spandrel_tests::system;

const RINGS: &str = "SPANDREL_TEST_RINGS";

fn folder_of_child() -> PathBuf {
    std::env::var_os(RINGS).map(PathBuf::from).expect("the parent names it")
}

/// The ledger of a run, of which nothing may be missing, and what the profile itself says of it.
fn assert_is_whole(database: &Path, run: i64) {
    let reader = Reader::open(database).unwrap();
    let row = reader.run(run).unwrap().unwrap();
    assert_eq!(row.dropped(), 0, "{row:?}");
    let found = reader.contradictions(run).unwrap();
    assert!(found.is_empty(), "{found:?}");
}

/// In the child: forks in the middle of a recording.
fn fork_while_recording() {
    let profiler = small_in(&folder_of_child()).build().unwrap();
    let dispatch = dispatch(&profiler);
    within(&dispatch, || {
        (0..100).for_each(request);
        // Not entered: what comes meanwhile is in no other span.
        let around = info_span!("around the fork");
        let forked = system::fork(|| {
            (0..500).for_each(|n| info_span!("child", n).in_scope(|| info!("child")));
            let flushed = profiler.flush(LONG).unwrap_err().kind();
            i32::from(flushed != ErrorKind::Forked)
        });
        (100..200).for_each(request);
        assert_eq!(system::wait(forked.unwrap()).unwrap(), 0, "how the child has ended");
        drop(around);
    });
    let report = profiler.close().unwrap();
    assert_eq!(report.recorded, 801);
}

#[test]
fn of_a_program_that_forks_the_parent_is_collected_alone() {
    alone!();
    if child::role().is_some() {
        return fork_while_recording();
    }
    for is_collected_meanwhile in [false, true] {
        let (scratch, rings) = (scratch_for(60), rings());
        let collector =
            is_collected_meanwhile.then(|| Collector::start(rings.path(), scratch.db()));
        child::plan("fork").env(RINGS, rings.path()).start().succeed();
        match collector {
            Some(collector) => _ = collector.stop(),
            None => _ = collect_once(rings.path(), scratch.db()),
        }
        assert_has(scratch.db(), 1, 0..200);
        assert_is_whole(scratch.db(), 1);
        let db = Database::open(scratch.db());
        assert_eq!(db.count("SELECT count(*) FROM spans WHERE name = 'around the fork'"), 1);
        assert_eq!(db.count("SELECT count(*) FROM spans WHERE name = 'child'"), 0);
        assert_eq!(db.count("SELECT count(*) FROM run WHERE ended_unix_ns IS NOT NULL"), 1);
        assert_no_files(rings.path());
    }
}

/// In the child: leaves a child that lives longer.
fn fork_and_be_killed() {
    let profiler = small_in(&folder_of_child()).build().unwrap();
    within(&dispatch(&profiler), || {
        (0..100).for_each(request);
        let _open = info_span!("charge", order = 4_711).entered();
        let forked = system::fork(|| {
            // Its copy of the lock, of the mapping and of the descriptor is there as long as it is.
            system::close_stdout().map_or(1, |()| system::sleep_until_killed(60))
        });
        child::say(forked.unwrap());
        child::listen();
    });
}

#[test]
fn a_program_that_is_killed_is_dead_though_a_child_of_it_lives() {
    alone!();
    if child::role().is_some() {
        return fork_and_be_killed();
    }
    let (scratch, rings) = (scratch_for(60), rings());
    let mut program = child::plan("fork and be killed").env(RINGS, rings.path()).start();
    let forked: i32 = program.hear().unwrap().parse().unwrap();
    program.kill();
    let (done, told) = collect_once(rings.path(), scratch.db());
    system::kill(forked).expect("it lives until now");
    assert_eq!((done.ended, done.going_on), (1, 0), "{told:?}");
    assert!(matches!(told.last(), Some(Collecting::Ended { crashed: true, .. })), "{told:?}");
    assert_has(scratch.db(), 1, 0..100);
    assert_is_whole(scratch.db(), 1);
    let crashed = "SELECT fields ->> 'order' FROM spans WHERE status = 'crashed'";
    assert_eq!(Database::open(scratch.db()).value::<i64>(crashed), 4_711);
}

/// In the child: panics, and the hook ends the process at once, as in a program that is built so.
fn abort_in_a_panic() {
    let profiler = small_in(&folder_of_child()).build().unwrap();
    within(&dispatch(&profiler), || {
        (0..100).for_each(request);
        let unwound = std::panic::catch_unwind(|| {
            let _span = info_span!("unwound").entered();
            std::panic::resume_unwind(Box::new("not told of"));
        });
        assert!(unwound.is_err());
        std::panic::set_hook(Box::new(|_| std::process::abort()));
        let _open = info_span!("charge", order = 4_711).entered();
        assert_eq!(1, 2, "this program ends here");
    });
}

#[test]
fn a_program_that_panics_leaves_what_has_unwound_and_what_was_open_when_it_aborted() {
    alone!();
    if child::role().is_some() {
        return abort_in_a_panic();
    }
    let (scratch, rings) = (scratch_for(60), rings());
    let mut program = child::plan("panic").env(RINGS, rings.path()).quiet().start();
    assert!(!program.finish().success());
    let (done, told) = collect_once(rings.path(), scratch.db());
    assert_eq!((done.ended, done.going_on), (1, 0), "{told:?}");
    assert_has(scratch.db(), 1, 0..100);
    assert_is_whole(scratch.db(), 1);
    let db = Database::open(scratch.db());
    let status = |name: &str| -> String {
        db.value(&format!("SELECT status FROM spans WHERE name = '{name}'"))
    };
    assert_eq!((&*status("unwound"), &*status("charge")), ("panicked", "crashed"));
    assert_no_files(rings.path());
}

#[test]
fn a_size_limit_is_kept_while_programs_go_on_and_their_ledgers_stay_exact() {
    alone!();
    const MAX: u64 = 1 << 20;
    /// What one commit may bring.
    const BATCH: u64 = 1 << 20;
    let (scratch, rings) = (scratch_for(240), rings());
    let mut options = CollectOptions::default();
    options.store.max_bytes = Some(MAX);
    let collector = Collector::start_with(rings.path(), scratch.db(), options);
    let bytes = || scratch.db().metadata().unwrap().len();
    let programs = [0, 1].map(|n| {
        small_in(rings.path()).ring_capacity(1 << 15).label(n.to_string()).build().unwrap()
    });
    for round in 0..12 {
        for profiler in &programs {
            record(profiler, round * 400..(round + 1) * 400);
            profiler.flush(LONG).unwrap();
            assert!(bytes() <= MAX + BATCH, "{} bytes in round {round}", bytes());
        }
    }
    for profiler in programs {
        let report = profiler.close().unwrap();
        assert_eq!((report.recorded, report.dropped.total()), (19_200, 0));
    }
    let (done, told) = collector.stop();
    assert_eq!((done.ended, done.going_on), (2, 0), "{told:?}");
    assert!(bytes() <= MAX + BATCH, "{} bytes", bytes());
    let ended = told.iter().filter_map(|told| match told {
        Collecting::Ended { spans, .. } => Some((spans.recorded, spans.stored)),
        _ => None,
    });
    assert_eq!(ended.collect::<Vec<_>>(), [(19_200, 19_200); 2], "what is deleted was stored");
    let db = Database::open(scratch.db());
    let left = "SELECT (SELECT count(*) FROM span WHERE run_id = r.id) = spans - pruned_spans
                  AND spans = 19200 FROM run AS r ORDER BY id";
    assert_eq!(db.rows::<bool>(left, [], |row| row.get(0)), [true, true]);
    assert!(db.count("SELECT sum(pruned_spans) FROM run") > 10_000);
    assert!(db.count("SELECT count(*) FROM span") > 1_000, "the newest are there");
    for run in [1, 2] {
        assert_is_whole(scratch.db(), run);
    }
}

#[test]
fn a_profile_that_is_deleted_ends_the_collector_and_the_next_one_goes_on() {
    alone!();
    let (scratch, rings) = (scratch_for(120), rings());
    let profiler = small_in(rings.path()).build().unwrap();
    let collector = Collector::start(rings.path(), scratch.db());
    record(&profiler, 0..100);
    profiler.flush(LONG).unwrap();
    std::fs::remove_file(scratch.db()).unwrap();
    record(&profiler, 100..200);
    let error = collector.end().unwrap_err().to_string();
    assert!(error.contains("deleted or renamed") && error.contains("profile.db"), "{error}");
    // What was not stored when it was deleted is in the ring still.
    let other = scratch.path("another.db");
    let collector = Collector::start(rings.path(), &other);
    profiler.flush(LONG).unwrap();
    record(&profiler, 200..300);
    profiler.close().unwrap();
    let (done, told) = collector.stop();
    assert_eq!(done.ended, 1, "{told:?}");
    let Some(Collecting::Ended { spans, .. }) = told.last() else { panic!("{told:?}") };
    assert_eq!(spans.recorded, spans.stored + spans.dropped.total());
    assert_has(&other, 1, 100..300);
}

#[test]
fn a_folder_that_is_not_there_is_made_for_its_user_alone() {
    alone!();
    let (scratch, rings) = (scratch_for(60), rings());
    let folder = rings.path().join("rings of a shop");
    let mut options = CollectOptions::default();
    options.once = true;
    // On a thread of its own, as nothing is recorded of one that has collected.
    let once = || collect(&folder, scratch.db(), &options, || false, |_| ()).unwrap_err();
    let error = std::thread::scope(|scope| scope.spawn(once).join().unwrap());
    assert!(error.to_string().contains("there is no such folder"), "{error}");
    assert!(!folder.exists() && !scratch.db().exists(), "nothing is made where nothing can come");

    let collector = Collector::start(&folder, scratch.db());
    let profiler = loop {
        // Whoever is first makes it.
        if folder.exists() {
            break small_in(&folder).build().unwrap();
        }
        std::thread::yield_now();
    };
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    record(&profiler, 0..50);
    profiler.flush(LONG).unwrap();
    profiler.close().unwrap();
    let (done, told) = collector.stop();
    assert_eq!(done.ended, 1);
    assert!(matches!(&told[0], Collecting::FolderMade { path } if *path == folder), "{told:?}");
    assert_has(scratch.db(), 1, 0..50);
}
