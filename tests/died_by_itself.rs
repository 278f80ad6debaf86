//! A process whose ring lies in a file ends within a span, while others record: by `abort`, by `_exit`, or because the
//! system kills it for the memory that it takes. All that was published is recovered, and the span is there as crashed.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use spandrel::recover::recover;
use spandrel_tests::killing::{self, End, LIMIT, Tally, Witness, audit, program};
use spandrel_tests::prelude::*;

/// A program may take so much.
const MEMORY: u64 = 256 << 20;
const GROUP: &str = "SPANDREL_TEST_GROUP";

#[test]
fn who_aborts_within_a_span() {
    end_within_a_span("aborts", |status| status.signal() == Some(libc::SIGABRT));
}

#[test]
fn who_exits_within_a_span_without_a_word() {
    end_within_a_span("exits", |status| status.code() == Some(3));
}

#[test]
fn who_takes_more_memory_than_there_is() {
    end_within_a_span("takes all memory", |status| status.signal() == Some(libc::SIGKILL));
}

fn end_within_a_span(how: &str, is_so: fn(ExitStatus) -> bool) {
    let role = child::role();
    if role.as_deref() == Some(how) {
        if let Some(group) = std::env::var_os(GROUP) {
            std::fs::write(Path::new(&group).join("cgroup.procs"), "0").unwrap();
        }
        let builder = Profiler::builder().database(program::path()).crash_proof(true);
        let builder = builder.partitions(2).flush_interval(Duration::from_millis(20));
        return program::run(builder, End::of(how));
    }
    if !killing::is_in_own_folder(role.as_deref()) {
        return;
    }
    let _limit = time_limit(120);
    let group = match (End::of(how) == End::TakesAllMemory).then(MemoryGroup::make).transpose() {
        Ok(group) => group,
        Err(why) => return skipped(format_args!("no limit for the memory of a program: {why}")),
    };
    let mut tally = Tally::default();
    // By the layer, and by the subscriber.
    for n in 0..2 {
        let scratch = scratch();
        let witness_path = scratch.path("witness");
        let witness = Witness::at(&witness_path);
        let mut plan = program::plan(how, scratch.db(), &witness_path, n).quiet();
        if let Some(group) = &group {
            plan = plan.env(GROUP, &group.0);
        }
        let status = plan.start().finish_within(LIMIT).expect("it ends");
        assert!(is_so(status), "{status}");
        let [ring] = &*recover(scratch.db(), false).unwrap().rings else { panic!("one ring") };
        assert!(ring.open.iter().any(|open| open.name == "work"), "{ring:?}");
        let db = Database::open(scratch.db());
        let ended_in = "SELECT count(*) FROM spans WHERE name = 'work' AND status = 'crashed'
            AND fields ->> 'thread' = 0 AND fields ->> 'n' = ";
        assert_eq!(db.count(&format!("{ended_in}{}", program::BEFORE_END)), 1);
        tally.add(&audit::look(&db, &n.to_string(), witness));
    }
    tally.assert_sound();
}

/// A group of processes that may take [`MEMORY`], below our own.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn make() -> Result<Self, String> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").map_err(|it| it.to_string())?;
        // Number, controllers, path; the one of version 2 has no controllers, as it has all of them.
        let is_version_2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let (controller, folder, limit) = match is_version_2 {
            true => ("0::/", "/sys/fs/cgroup", "memory.max"),
            false => (":memory:/", "/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        };
        let found = groups.lines().find_map(|line| Some(line.split_once(controller)?.1));
        let Some(path) = found else { return Err("it has no group".to_owned()) };
        let name = format!("spandrel-test-{}", std::process::id());
        let group = Path::new(folder).join(path).join(name);
        std::fs::create_dir(&group).map_err(|it| format!("{}: {it}", group.display()))?;
        let group = Self(group);
        std::fs::write(group.0.join(limit), MEMORY.to_string()).map_err(|it| it.to_string())?;
        Ok(group)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        _ = std::fs::remove_dir(&self.0);
    }
}
