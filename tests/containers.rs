//! Ring files and containers: process namespaces that share a folder, numbers of processes that mean another one, files of
//! other users, and a small `/dev/shm`. Each works, or is refused with the way out.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use spandrel::recover::{RingOwner, recover, waiting};
use spandrel_query::Reader;
use spandrel_tests::prelude::*;
use tempfile::TempDir;

const SPANS: u64 = 700;

/// How a namespace of processes is made: as root of a container, or of a user namespace where this user may. None, and said
/// aloud, where nobody may.
fn namespace() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [
        &["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"],
        &["unshare", "-Urpm", "--fork", "--kill-child", "--mount-proc"],
    ];
    let is_possible = |way: &&&[&str]| {
        let mut command = Command::new(way[0]);
        command.args(&way[1..]).args(["sh", "-c", "mount -t tmpfs none /mnt"]);
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let way = WAYS.iter().find(is_possible);
    if way.is_none() {
        skipped(format_args!("no process namespace can be made here ({})", WAYS[1].join(" ")));
    }
    way.copied()
}

/// A folder that containers share: profiles, and a folder of ring files.
fn shared() -> TempDir {
    tempfile::Builder::new().prefix("spandrel-containers-").tempdir_in("/dev/shm").unwrap()
}

fn plan(folder: &Path, role: &str, database: &Path) -> child::Plan {
    child::plan(role).env("XDG_RUNTIME_DIR", folder).env("SPANDREL_TEST_PATH", database)
}

fn builder() -> ProfilerBuilder {
    let path = std::env::var("SPANDREL_TEST_PATH").unwrap();
    let builder = Profiler::builder().database(path).flush_interval(Duration::from_secs(3_600));
    builder.ring_capacity(1 << 14).partitions(1).max_open_spans(256).crash_proof(true)
}

/// In the child: spans that stay in the ring.
fn record() {
    let profiler = builder().build().unwrap();
    assert_eq!(profiler.stats().crash_proof_error, None);
    let dispatch = dispatch(&profiler);
    within(&dispatch, || (0..SPANS).for_each(|n| info_span!("work", n).in_scope(|| ())));
    child::say(std::process::id());
    // Whoever was to be killed, and hears that nobody speaks any more, waits for that.
    while child::listen().is_none() {
        std::thread::park();
    }
    // It lives: more comes.
    within(&dispatch, || info_span!("more").in_scope(|| ()));
    profiler.close().unwrap();
}

/// Recovers as the program does that has this folder of rings. Returns how many spans came out, of how many files, and why
/// files were refused.
fn recovered(folder: &Path, database: &Path) -> String {
    let mut child = plan(folder, "recover", database).start();
    let said = child.hear().unwrap();
    child.succeed();
    said
}

/// The same, when it is found that the owner is dead.
fn recovered_when_dead(folder: &Path, database: &Path) -> String {
    loop {
        let said = recovered(folder, database);
        if !said.starts_with("[Alive]") {
            return said;
        }
    }
}

fn recover_here() {
    let path = PathBuf::from(std::env::var_os("SPANDREL_TEST_PATH").unwrap());
    let owners: Vec<_> = waiting(&path).unwrap().iter().map(|ring| ring.owner).collect();
    let mut done = recover(&path, true).unwrap();
    // It may die just now: then the next look says so.
    if !done.rings.is_empty() && !owners.contains(&RingOwner::Alive) {
        done = recover(&path, false).unwrap();
    }
    let spans: Vec<_> = done.rings.iter().map(|ring| ring.spans).collect();
    let refused: Vec<_> = done.refused.iter().map(ToString::to_string).collect();
    child::say(format_args!("{owners:?} {spans:?} {}", refused.join("; ")).to_string().trim_end());
}

fn stored(database: &Path) -> u64 {
    let reader = Reader::open(database).unwrap();
    let run = reader.run(1).unwrap().unwrap();
    assert!(reader.contradictions(1).unwrap().is_empty());
    run.spans
}

fn rings(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("spandrel")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

const ALIVE: &str = "[Alive] []";

#[test]
fn an_owner_in_another_namespace_lives_whatever_its_number_means_here() {
    alone!();
    match child::role().as_deref() {
        Some("record") => return record(),
        Some(_) => return recover_here(),
        None => {}
    }
    let _limit = time_limit(60);
    let Some(namespace) = namespace() else { return };
    let folder = shared();
    let databases = ["a.db", "b.db"].map(|name| folder.path().join(name));
    let mut children = databases.each_ref().map(|database| {
        // Each is process 1 in its own namespace, and the second one finds the file of the first.
        let mut child = plan(folder.path(), "record", database).under(namespace).start();
        assert_eq!(child.hear().as_deref(), Some("1"));
        child
    });
    for database in &databases {
        assert_eq!(recovered(folder.path(), database), ALIVE);
    }
    assert_eq!(rings(folder.path()).len(), 2);
    children[0].kill();
    // The namespace's end is not waited for by anybody here: the lock says when it has come.
    assert_eq!(recovered_when_dead(folder.path(), &databases[0]), format!("[Dead] [{SPANS}]"));
    assert_eq!(stored(&databases[0]), SPANS);
    // From a third one, which has a process 1 itself.
    let mut third = plan(folder.path(), "recover", &databases[1]).under(namespace).start();
    third.expect(ALIVE);
    third.succeed();
    let [_, mut second] = children;
    second.tell("go on");
    second.succeed();
    assert_eq!(stored(&databases[1]), SPANS + 1);
    assert!(rings(folder.path()).is_empty());
}

#[test]
fn one_that_is_dead_and_not_waited_for_is_recovered() {
    alone!();
    match child::role().as_deref() {
        Some("record") => return record(),
        Some(_) => return recover_here(),
        None => {}
    }
    let _limit = time_limit(60);
    let folder = shared();
    let database = folder.path().join("p.db");
    let mut child = plan(folder.path(), "record", &database).start();
    let pid = child.hear().unwrap();
    // By another process, so that nobody waits for it.
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    while !state().contains(") Z ") {
        std::thread::yield_now();
    }
    // Other threads of it may take a moment more.
    assert_eq!(recovered_when_dead(folder.path(), &database), format!("[Dead] [{SPANS}]"));
    assert!(state().contains(") Z "), "still nobody has");
    assert_eq!(stored(&database), SPANS);
    child.kill();
}

/// In a namespace of its own, where numbers can be chosen: another process gets that of the dead one.
fn use_its_number_again() {
    let database = PathBuf::from(std::env::var_os("SPANDREL_TEST_PATH").unwrap());
    let folder = database.parent().unwrap();
    let mut first = plan(folder, "record", &database).start();
    let pid: u32 = first.hear().unwrap().parse().unwrap();
    assert_eq!(recovered(folder, &database), ALIVE);
    first.kill();
    let last = "/proc/sys/kernel/ns_last_pid";
    if let Err(error) = std::fs::write(last, (pid - 1).to_string()) {
        return child::say(format_args!("skipped: {last}: {error}"));
    }
    let mut again = Command::new("sleep").arg("1000").spawn().unwrap();
    let is_it = again.id() == pid;
    let said = recovered(folder, &database);
    again.kill().unwrap();
    again.wait().unwrap();
    child::say(format_args!("{is_it} {said}"));
}

#[test]
fn a_process_that_has_the_number_of_the_dead_one_is_not_taken_for_it() {
    alone!();
    match child::role().as_deref() {
        Some("record") => return record(),
        Some("recover") => return recover_here(),
        Some(_) => return use_its_number_again(),
        None => {}
    }
    let _limit = time_limit(60);
    let Some(namespace) = namespace() else { return };
    let folder = shared();
    let database = folder.path().join("p.db");
    let mut child = plan(folder.path(), "again", &database).under(namespace).start();
    let said = child.hear().unwrap();
    if said.starts_with("skipped") {
        return skipped(format_args!("{said}"));
    }
    assert_eq!(said, format!("true [Dead] [{SPANS}]"));
    child.succeed();
    assert_eq!(stored(&database), SPANS);
}

#[test]
fn what_is_another_users_or_a_link_is_refused_with_the_way_out() {
    alone!();
    match child::role().as_deref() {
        Some("record") => return record(),
        Some(_) => return recover_here(),
        None => {}
    }
    let _limit = time_limit(60);
    let folder = shared();
    let database = folder.path().join("p.db");
    let mut child = plan(folder.path(), "record", &database).start();
    child.hear().unwrap();
    child.kill();
    let [ring] = rings(folder.path()).try_into().unwrap();
    // A link in its place leads nowhere.
    let aside = folder.path().join("aside");
    std::fs::rename(&ring, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &ring).unwrap();
    let said = recovered(folder.path(), &database);
    assert!(said.contains("it is a link") && said.contains("put the file itself there"), "{said}");
    std::fs::remove_file(&ring).unwrap();
    std::fs::rename(&aside, &ring).unwrap();
    match std::os::unix::fs::chown(&ring, Some(12_345), None) {
        Err(error) => skipped(format_args!("no file can be given away here: {error}")),
        Ok(()) => {
            let said = recovered(folder.path(), &database);
            let way_out = "do this as user 12345, or remove it";
            assert!(said.contains("belongs to user 12345") && said.contains(way_out), "{said}");
            std::os::unix::fs::chown(&ring, Some(nobody_but_us(&database)), None).unwrap();
        }
    }
    assert_eq!(recovered(folder.path(), &database), format!("[Dead] [{SPANS}]"));
    assert_eq!(stored(&database), SPANS);
}

/// The user of this process, who has made this file.
fn nobody_but_us(ours: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    ours.metadata().unwrap().uid()
}

/// In a container whose `/dev/shm` has 64 MiB, as it has by default: one recording of the usual size finds room.
fn in_little_memory() {
    let folder = PathBuf::from(std::env::var_os("SPANDREL_TEST_PATH").unwrap());
    let of = |name: &str| Profiler::builder().database(folder.join(name)).crash_proof(true);
    let first = of("first.db").build().unwrap();
    assert_eq!(first.stats().crash_proof_error, None);
    let second = of("second.db").build().unwrap();
    let why = second.stats().crash_proof_error.unwrap();
    assert!(why.contains("/dev/shm/spandrel-") && why.contains("has no room for"), "{why}");
    assert!(why.contains("make the ring smaller, or the file system larger"), "{why}");
    assert!(why.contains("--shm-size") && !second.stats().is_crash_proof, "{why}");
    // With a smaller ring there is room.
    let third = of("third.db").ring_capacity(1 << 14).max_open_spans(1_024).build().unwrap();
    assert_eq!(third.stats().crash_proof_error, None);
    for profiler in [first, second, third] {
        within(&dispatch(&profiler), || {
            (0..SPANS).for_each(|n| info_span!("work", n).in_scope(|| ()));
        });
        let report = profiler.close().unwrap();
        assert_eq!((report.stored, report.dropped.total()), (SPANS, 0), "{report}");
    }
    let full = Profiler::builder().collected("/dev/shm/rings").ring_capacity(1 << 21).build();
    let why = full.map(drop).unwrap_err().to_string();
    assert!(why.contains("has no room for") && why.contains("--shm-size"), "{why}");
    child::say("done");
}

#[test]
fn where_shared_memory_is_small_it_is_used_or_the_way_out_is_said() {
    alone!();
    if child::role().is_some() {
        return in_little_memory();
    }
    let _limit = time_limit(60);
    let Some(namespace) = namespace() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=64m,mode=1777 tmpfs /dev/shm
        if [ -d /run/user ]; then mount -t tmpfs -o size=4k tmpfs /run/user; fi
        exec \"$@\"";
    let wrapper: Vec<&str> = namespace.iter().copied().chain(["sh", "-c", script, "sh"]).collect();
    let plan =
        child::plan("little").without("XDG_RUNTIME_DIR").without("SPANDREL_TEST_CRASH_PROOF");
    let mut child = plan.env("SPANDREL_TEST_PATH", folder.path()).under(&wrapper).start();
    child.expect("done");
    child.succeed();
    let db = Database::open(&folder.path().join("second.db"));
    let report: String = db.value("SELECT report FROM run");
    assert!(report.contains("does not outlive its process"), "the profile says so: {report}");
}
