//! What is open is read from ring files: of programs that live, are stopped, or have died, alone or many in a folder.
//! Nothing that is shown was not so.
#![cfg(target_os = "linux")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use spandrel::recover::{
    IdsInProfile, OpenInRing, OpenLook, OpenRings, RingOpen, RingOwner, recover,
};
use spandrel_query::Reader;
use spandrel_tests::prelude::*;
use spandrel_tests::system;
use tempfile::TempDir;

/// A folder in memory for ring files.
fn in_memory() -> TempDir {
    let ours = Permissions::from_mode(0o700);
    let mut builder = tempfile::Builder::new();
    builder.prefix("spandrel-open-").permissions(ours).tempdir_in("/dev/shm").unwrap()
}

fn fields(span: &OpenInRing) -> serde_json::Value {
    span.fields.as_deref().map_or(serde_json::Value::Null, |it| serde_json::from_str(it).unwrap())
}

/// The one ring of a profile.
fn look(rings: &mut OpenRings) -> RingOpen {
    let OpenLook { rings, refused, .. } = rings.look().unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    let [ring] = rings.try_into().unwrap();
    assert_eq!((ring.damaged, ring.turned), (0, 0));
    ring
}

/// In the child: a request, a payment in it on another thread, and one that has ended.
fn record_until_killed() {
    let _limit = time_limit(120);
    let builder = small(Path::new(&std::env::var("SPANDREL_TEST_PATH").unwrap()));
    // Nobody but the ring file knows: the writer looks once an hour.
    let builder = builder.flush_interval(Duration::from_secs(3_600)).redact_fields(["pin"]);
    let profiler = builder.crash_proof(true).build().unwrap();
    assert_eq!(profiler.stats().crash_proof_error, None);
    let dispatch = dispatch(&profiler);
    within(&dispatch, || {
        drop(info_span!("over").entered());
        let request = info_span!("request", order = 4_711, pin = "1234", late = field::Empty);
        let _inside = request.enter();
        request.record("late", "recorded later");
        let long = "x".repeat(700);
        let payment = info_span!("payment", long);
        std::thread::scope(|scope| {
            let payment = &payment;
            let (dispatch, profiler) = (&dispatch, &profiler);
            let pay = move || within(dispatch, || payment.in_scope(|| park(profiler)));
            std::thread::Builder::new().name("payments".into()).spawn_scoped(scope, pay).unwrap();
        });
    });
}

fn park(profiler: &Profiler) {
    assert_eq!(profiler.stats().recorded, 1);
    child::say("open");
    child::listen();
}

/// A profile, and a child that records into it, with ring files in a folder of its own.
fn start(scratch: &Scratch, memory: &Path) -> child::Child {
    let plan = child::plan("record").env("SPANDREL_TEST_PATH", scratch.db());
    let mut child = plan.env("XDG_RUNTIME_DIR", memory).start();
    child.expect("open");
    child
}

/// In a process of its own that looks for ring files in `memory`.
fn alone(body: fn(&Scratch, &Path)) {
    match child::role().as_deref() {
        Some("record") => record_until_killed(),
        Some(_) => {
            let memory = std::env::var_os("XDG_RUNTIME_DIR").unwrap();
            body(&scratch_for(120), Path::new(&memory));
        }
        None => {
            let _limit = time_limit(120);
            let memory = in_memory();
            child::plan("look").env("XDG_RUNTIME_DIR", memory.path()).start().succeed();
        }
    }
}

fn assert_request(ring: &RingOpen) {
    let [request, payment] = &ring.spans[..] else { panic!("{ring:?}") };
    assert_eq!((request.name.as_str(), payment.name.as_str()), ("request", "payment"));
    assert_eq!((request.parent_id, payment.parent_id), (0, request.id));
    assert_eq!(payment.root_id, request.id);
    let expected =
        serde_json::json!({ "order": 4_711, "pin": "[redacted]", "late": "recorded later" });
    assert_eq!(fields(request), expected, "secrets stay out of it");
    assert_eq!(fields(payment)["long"], "x".repeat(700));
    assert_eq!((request.entries, payment.entries), (1, 1));
    assert_eq!(request.thread, payment.thread, "who made it, and not who is inside");
    // Of one that has died, the last thing that is known of it may be that this began.
    let least = i64::from(ring.owner == RingOwner::Alive);
    assert!(request.age_ns >= payment.age_ns && payment.age_ns >= least, "{ring:?}");
    assert!(!request.are_fields_left_out && !payment.are_fields_left_out);
}

#[test]
fn a_program_that_is_stopped_is_looked_at() {
    alone(|scratch, memory| {
        let mut child = start(scratch, memory);
        system::stop(child.id() as i32).unwrap();
        let mut rings = OpenRings::of_profile(scratch.db()).unwrap();
        let before = Instant::now();
        let first = look(&mut rings);
        let between = Instant::now();
        assert_request(&first);
        assert_eq!((first.owner, first.pid), (RingOwner::Alive, child.id().into()));
        spin(Duration::from_millis(5));
        let again = Instant::now();
        let second = look(&mut rings);
        assert_request(&second);
        // It ages by as much as time passes, though it does nothing.
        let aged = Duration::from_nanos((second.seen_ns - first.seen_ns) as u64);
        assert!(aged >= again - between && aged <= before.elapsed(), "{aged:?}");
        // To the millisecond: the rate of its counter is known the better, the longer it runs.
        let is_near = |one: i64, other: i64| (one - other).abs() < 1_000_000;
        for (one, other) in first.spans.iter().zip(&second.spans) {
            assert_eq!(one.id, other.id);
            assert!(is_near(one.start_ns, other.start_ns), "{one:?} {other:?}");
            let older = other.age_ns - one.age_ns;
            assert!(is_near(older, second.seen_ns - first.seen_ns), "{one:?} {other:?}");
            assert!(other.busy_ns >= one.busy_ns, "a thread is inside");
        }
        child.kill();
    });
}

#[test]
fn what_was_open_at_a_death_is_known_up_to_the_last_sign_of_life() {
    alone(|scratch, memory| {
        let mut child = start(scratch, memory);
        let mut rings = OpenRings::of_profile(scratch.db()).unwrap();
        let alive = look(&mut rings);
        child.kill();
        let dead = look(&mut rings);
        assert_request(&dead);
        assert_eq!(dead.owner, RingOwner::Dead);
        assert_eq!((&dead.run, dead.started_unix_ns), (&alive.run, alive.started_unix_ns));
        let ids = |ring: &RingOpen| ring.spans.iter().map(|it| it.id).collect::<Vec<_>>();
        assert_eq!(ids(&dead), ids(&alive));
        // Not to the nanosecond: the process may have read its clocks once more, and its ticks have another length since.
        for (dead, alive) in dead.spans.iter().zip(&alive.spans) {
            assert!(dead.start_ns.abs_diff(alive.start_ns) < 100_000_000, "{dead:?} {alive:?}");
        }
        assert!(dead.seen_ns >= dead.spans[1].start_ns);
        assert_eq!(dead, look(&mut rings), "it does not go on");
        // A recovery says the same.
        let done = recover(scratch.db(), false).unwrap();
        let open = &done.rings[0].open;
        assert_eq!(
            open.iter().map(|span| (span.id, span.age_ns)).collect::<Vec<_>>(),
            dead.spans.iter().map(|span| (span.id, span.age_ns)).collect::<Vec<_>>()
        );
        assert!(rings.look().unwrap().rings.is_empty(), "then it is in the profile");
    });
}

/// Text of some words, of one letter: a value that was just being overwritten has two.
fn value(turn: u64) -> String {
    let letter = char::from(b'a' + (turn % 26) as u8);
    letter.to_string().repeat(40)
}

/// Each thread opens spans one after the other, and says which are open for certain, and which may be.
#[derive(Default)]
struct Said {
    opening: AtomicU64,
    closed: AtomicU64,
}

/// Ends threads also where the test has failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_is_shown_was_open_and_whole_however_fast_spans_come_and_go() {
    const THREADS: usize = 4;
    let scratch = scratch_for(600);
    let rings = in_memory();
    let profiler = Profiler::builder().collected(rings.path()).ring_capacity(1 << 12).partitions(2);
    let profiler = profiler.max_open_spans(64).build().unwrap();
    let dispatch = dispatch(&profiler);
    let said: [Said; THREADS] = Default::default();
    let stop = AtomicBool::new(false);
    let (mut shown, mut with_late, mut left_out) = (0_u64, 0_u64, 0_u64);
    std::thread::scope(|scope| {
        for (thread, said) in said.iter().enumerate() {
            let (dispatch, stop) = (&dispatch, &stop);
            scope.spawn(move || {
                within(dispatch, || {
                    for n in 1_u64.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        said.opening.store(n, Ordering::SeqCst);
                        let check = n.wrapping_mul(thread as u64 + 3);
                        let span = info_span!("outer", thread, n, check, late = field::Empty);
                        let _inside = span.enter();
                        let inner = info_span!("inner", thread, n, check, late = field::Empty);
                        for turn in 0..n % 5 {
                            inner.record("late", value(turn));
                            inner.in_scope(|| span.record("late", value(n + turn)));
                        }
                        drop(inner);
                        drop(_inside);
                        drop(span);
                        said.closed.store(n, Ordering::SeqCst);
                    }
                });
            });
        }
        let _at_the_end = Stop(&stop);
        let mut looked_at = OpenRings::of_folder(rings.path());
        let mut looks = 0;
        // However slow the machine is, something is shown. (As it was run: SPANDREL_TEST_ROUNDS=10000.)
        while looks < rounds(500) || shown == 0 {
            looks += 1;
            let closed = said.each_ref().map(|said| said.closed.load(Ordering::SeqCst));
            let look = looked_at.look().unwrap();
            let opening = said.each_ref().map(|said| said.opening.load(Ordering::SeqCst));
            assert!(look.refused.is_empty(), "{:?}", look.refused);
            let [ring] = look.rings.try_into().unwrap();
            assert_eq!(ring.damaged, 0, "{ring:?}");
            for span in &ring.spans {
                shown += 1;
                let fields = fields(span);
                left_out += u64::from(span.are_fields_left_out);
                if span.are_fields_left_out {
                    assert_eq!(fields, serde_json::json!({ "$truncated": { "*": null } }));
                    continue;
                }
                let [thread, n, check] =
                    ["thread", "n", "check"].map(|it| fields[it].as_u64().unwrap());
                assert_eq!(check, n.wrapping_mul(thread + 3), "{span:?}");
                let thread = thread as usize;
                assert!(n > closed[thread] && n <= opening[thread], "{n} was not open: {span:?}");
                assert_eq!(span.parent_id != 0, span.name == "inner", "{span:?}");
                assert_eq!(span.name == "outer", span.parent_id == 0);
                assert!(span.age_ns >= 0 && span.busy_ns.is_none_or(|busy| busy >= 0));
                if let Some(late) = fields["late"].as_str() {
                    with_late += 1;
                    let letter = late.chars().next().unwrap();
                    assert!(
                        late.len() == 40 && late.chars().all(|it| it == letter),
                        "torn: {late}"
                    );
                }
            }
        }
    });
    assert!(shown > 0 && with_late <= shown, "{shown} {with_late} {left_out}");
    drop(scratch);
    profiler.close().unwrap();
}

#[test]
fn a_folder_has_the_open_spans_of_each_program_and_their_profile_finds_it() {
    let (scratch, rings) = (scratch_for(120), in_memory());
    let programs: Vec<(Profiler, Span, Dispatch)> = (0..3)
        .map(|program| {
            let builder = Profiler::builder().collected(rings.path()).ring_capacity(1 << 12);
            let profiler = builder.partitions(2).max_open_spans(64).build().unwrap();
            let dispatch = dispatch(&profiler);
            let open = within(&dispatch, || info_span!("open", program));
            (profiler, open, dispatch)
        })
        .collect();
    let mut looked_at = OpenRings::of_folder(rings.path());
    let numbers = |look: &OpenLook| -> Vec<u64> {
        assert!(look.refused.is_empty());
        let spans = look.rings.iter().flat_map(|ring| &ring.spans);
        let mut all: Vec<u64> =
            spans.map(|span| fields(span)["program"].as_u64().unwrap()).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(numbers(&looked_at.look().unwrap()), [0, 1, 2]);
    // A collector drains them, and its profile says where they are.
    let mut ids = Vec::new();
    let (stop, folder, db) = (AtomicBool::new(false), rings.path(), scratch.db());
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            let options = spandrel::collect::CollectOptions::default();
            spandrel::collect::collect(
                folder,
                db,
                &options,
                || stop.load(Ordering::Relaxed),
                |_| (),
            )
        });
        let _at_the_end = Stop(&stop);
        for (profiler, _, dispatch) in &programs {
            within(dispatch, || drop(info_span!("over")));
            profiler.flush(Duration::from_secs(60)).unwrap();
        }
        let reader = Reader::open(db).unwrap();
        for run in reader.runs().unwrap() {
            let settings: serde_json::Value = serde_json::from_str(&run.info.settings).unwrap();
            let canonical = folder.canonicalize().unwrap();
            assert_eq!(settings["collected_from"], canonical.to_str().unwrap());
            let look = looked_at.look().unwrap();
            let ring = look.rings.iter().find(|ring| ring.run == run.info.uuid).unwrap();
            ids.push(IdsInProfile::of_run(run.first_id, &[]).of(ring.spans[0].id));
        }
        stop.store(true, Ordering::Relaxed);
        collecting.join().unwrap().unwrap();
    });
    assert_eq!(numbers(&looked_at.look().unwrap()), [0, 1, 2]);
    // One that has closed has nothing open.
    programs[1].0.close().unwrap();
    let look = looked_at.look().unwrap();
    assert_eq!(look.rings.iter().filter(|ring| ring.was_closed).count(), 1);
    assert_eq!(numbers(&look), [0, 2]);
    // In the profile they have the ids that were told.
    [0, 2].iter().for_each(|n: &usize| drop(programs[*n].0.close().unwrap()));
    let mut options = spandrel::collect::CollectOptions::default();
    options.once = true;
    spandrel::collect::collect(folder, db, &options, || false, |_| ()).unwrap();
    let stored: Vec<i64> = Database::open(db).rows(
        "SELECT id FROM spans WHERE name = 'open' AND status = 'unfinished' ORDER BY id",
        [],
        |row| row.get(0),
    );
    assert_eq!(stored, ids.iter().map(|id| *id as i64).collect::<Vec<_>>());
    drop(programs);
}

#[test]
fn without_a_ring_file_there_is_nothing_and_no_error() {
    let scratch = scratch_for(60);
    let profiler = small(scratch.db()).build().unwrap();
    let open = within(&dispatch(&profiler), || info_span!("open"));
    let look = OpenRings::of_profile(scratch.db()).unwrap().look().unwrap();
    assert!(look.rings.is_empty() && look.refused.is_empty(), "{look:?}");
    assert!(OpenRings::of_profile(&scratch.path("none.db")).is_err());
    let mut nowhere = OpenRings::of_folder(&scratch.path("none"));
    assert!(nowhere.look().unwrap().rings.is_empty());
    drop(open);
    profiler.close().unwrap();
}

/// A profile that has another path by now: its folder was renamed, or it was reached by another one.
#[test]
fn a_ring_is_found_by_the_file_where_the_path_of_its_profile_is_another_one() {
    alone(|scratch, memory| {
        let before = scratch.path("before");
        std::fs::create_dir(&before).unwrap();
        let plan = child::plan("record").env("SPANDREL_TEST_PATH", before.join("p.db"));
        let mut child = plan.env("XDG_RUNTIME_DIR", memory).start();
        child.expect("open");
        let after = scratch.path("after");
        std::fs::rename(&before, &after).unwrap();
        // Another profile at the old path, and one whose number may be that of a deleted one, have none of it.
        let moved = after.join("p.db");
        let mut rings = OpenRings::of_profile(&moved).unwrap();
        assert_request(&look(&mut rings));
        child.kill();
        assert_request(&look(&mut rings));
        let done = recover(&moved, true).unwrap();
        assert_eq!((done.rings.len(), done.rings[0].crashed), (1, 2));
        let done = recover(&moved, false).unwrap();
        assert_eq!((done.rings.len(), done.rings[0].crashed), (1, 2));
        let db = Database::open(&moved);
        assert_eq!(db.count("SELECT count(*) FROM spans WHERE status = 'crashed'"), 2);
    });
}

#[test]
fn a_file_that_has_got_the_number_of_a_deleted_profile_has_none_of_its_rings() {
    alone(|scratch, memory| {
        let mut child = start(scratch, memory);
        child.kill();
        let ring =
            std::fs::read_dir(memory.join("spandrel")).unwrap().next().unwrap().unwrap().path();
        // As if its number had been given to another file: the same file, without the run.
        let db = scratch.path("other.db");
        std::fs::rename(scratch.db(), &db).unwrap();
        for ending in ["-wal", "-shm", "-control"] {
            _ = std::fs::remove_file(scratch.path(&format!("profile.db{ending}")));
        }
        std::fs::write(&db, "").unwrap();
        small(&db).build().unwrap().close().unwrap();
        assert_eq!(recover(&db, false).unwrap().rings, []);
        assert!(OpenRings::of_profile(&db).unwrap().look().unwrap().rings.is_empty());
        assert!(ring.exists(), "it waits for its own");
    });
}
