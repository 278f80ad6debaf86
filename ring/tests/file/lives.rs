//! Whether an owner lives: seen from beside it, by a parent that has not asked for it, from another namespace.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use spandrel_ring::file::{FileSettings, Liveness, Reader, RingFile};

use crate::{Folder, Running, elsewhere};

#[test]
#[ignore = "run by the others in a process of its own"]
fn child() {
    let Some(folder) = Folder::given() else { return };
    let _file = RingFile::create::<[u64; 1]>(&folder.ring(), &FileSettings::default()).unwrap();
    println!("\nmade");
    loop {
        std::thread::park();
    }
}

#[test]
#[ignore = "run by the others in a process of its own"]
fn looks() {
    let Some(folder) = Folder::given() else { return };
    println!("\nlooked: {:?}", Reader::open(&folder.ring()).unwrap().liveness().unwrap());
}

fn owner(folder: &Folder) -> Running {
    made_by(folder.command("lives::child"))
}

fn made_by(mut command: Command) -> Running {
    let mut child = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "made"), "it has ended before");
    child
}

#[test]
fn an_owner_lives_until_it_is_killed_also_if_nobody_has_waited_for_it() {
    let folder = Folder::new();
    let mut child = owner(&folder);
    let reader = Reader::open(&folder.ring()).unwrap();
    assert_eq!(reader.owner().pid, u64::from(child.0.id()));
    assert!(reader.owner().is_locked && reader.owner().pid_namespace != 0);
    assert_eq!(reader.liveness().unwrap(), Liveness::Alive);
    child.0.kill().unwrap();
    // Ended, and not waited for: its number is still its own.
    // SAFETY: numbers.
    let mut ended: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let pid = child.0.id();
    // SAFETY: a child of ours, which is left to be waited for.
    let waited =
        unsafe { libc::waitid(libc::P_PID, pid, &raw mut ended, libc::WEXITED | libc::WNOWAIT) };
    assert_eq!(waited, 0);
    assert!(std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z "));
    assert_eq!(reader.liveness().unwrap(), Liveness::Dead);
    child.0.wait().unwrap();
    assert_eq!(reader.liveness().unwrap(), Liveness::Dead);
}

#[test]
fn whoever_has_made_it_here_lives_as_long_as_he_keeps_it() {
    let folder = Folder::new();
    let file = RingFile::create::<[u64; 1]>(&folder.ring(), &FileSettings::default()).unwrap();
    let reader = Reader::open(&folder.ring()).unwrap();
    assert_eq!(reader.liveness().unwrap(), Liveness::Alive);
    drop(file);
    // Nothing more comes. (A child that another test makes meanwhile has the lock until it executes its program.)
    while reader.liveness().unwrap() != Liveness::Dead {
        std::thread::yield_now();
    }
}

/// Makes the file, and becomes another program when it is told to.
#[test]
#[ignore = "run by the others in a process of its own"]
fn executes() {
    let Some(folder) = Folder::given() else { return };
    let _file = RingFile::create::<[u64; 1]>(&folder.ring(), &FileSettings::default()).unwrap();
    println!("\nmade");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let mut other = Command::new("sh");
    panic!("{}", other.args(["-c", "echo other; exec cat"]).exec());
}

#[test]
fn a_program_that_has_become_another_one_is_gone() {
    let folder = Folder::new();
    let mut command = folder.command("lives::executes");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "made"));
    let reader = Reader::open(&folder.ring()).unwrap();
    assert_eq!(reader.liveness().unwrap(), Liveness::Alive);
    let mut to_child = child.0.stdin.take().unwrap();
    writeln!(to_child, "go").unwrap();
    assert!(lines.any(|line| line.unwrap() == "other"));
    // It has the same number, and began at the same time.
    assert!(child.0.try_wait().unwrap().is_none());
    assert_eq!(reader.liveness().unwrap(), Liveness::Dead);
}

/// Makes the file, and closes its descriptor as somebody does who closes all that there are.
#[test]
#[ignore = "run by the others in a process of its own"]
fn closes() {
    let Some(folder) = Folder::given() else { return };
    let _file = RingFile::create::<[u64; 1]>(&folder.ring(), &FileSettings::default()).unwrap();
    let is_ring = |number: &libc::c_int| {
        let link = std::fs::read_link(format!("/proc/self/fd/{number}"));
        link.is_ok_and(|link| link == folder.ring())
    };
    let number = (0..1_024).find(is_ring).unwrap();
    // SAFETY: a number; the file is not used by it any more, as this process is killed.
    assert_eq!(unsafe { libc::close(number) }, 0);
    println!("\nmade");
    loop {
        std::thread::park();
    }
}

#[test]
fn a_program_that_has_closed_its_descriptor_lives_as_long_as_it_has_the_memory() {
    let folder = Folder::new();
    let mut child = made_by(folder.command("lives::closes"));
    let reader = Reader::open(&folder.ring()).unwrap();
    assert_eq!(reader.liveness().unwrap(), Liveness::Alive);
    child.kill();
    assert_eq!(reader.liveness().unwrap(), Liveness::Dead);
}

#[test]
fn one_drains_at_a_time() {
    let folder = Folder::new();
    let _file = RingFile::create::<[u64; 1]>(&folder.ring(), &FileSettings::default()).unwrap();
    let first = Reader::open_to_drain(&folder.ring()).unwrap();
    let second = Reader::open_to_drain(&folder.ring()).unwrap();
    assert!(first.lock_to_drain().unwrap() && first.lock_to_drain().unwrap());
    assert!(!second.lock_to_drain().unwrap());
    drop(first);
    assert!(second.lock_to_drain().unwrap());
    assert!(Reader::open(&folder.ring()).unwrap().lock_to_drain().is_err(), "for reading only");
}

#[test]
#[ignore = "run by the others in a process of its own"]
fn drains() {
    let Some(folder) = Folder::given() else { return };
    let reader = Reader::open_to_drain(&folder.ring()).unwrap();
    assert!(reader.lock_to_drain().unwrap());
    println!("\nmade");
    loop {
        std::thread::park();
    }
}

#[test]
fn who_drains_can_be_told_by_somebody_who_only_looks() {
    let folder = Folder::new();
    let _file = RingFile::create::<[u64; 1]>(&folder.ring(), &FileSettings::default()).unwrap();
    let looks = Reader::open(&folder.ring()).unwrap();
    let told = || (looks.is_drained().unwrap(), looks.drained_by());
    // The owner has a lock of its own in the same file.
    assert_eq!(told(), (false, None));
    let own = Reader::open_to_drain(&folder.ring()).unwrap();
    assert!(own.lock_to_drain().unwrap());
    let known = |pid| if cfg!(target_os = "linux") { Some(pid) } else { None };
    assert_eq!(told(), (true, known(std::process::id())));
    drop(own);
    // Another test may be about to start a program: until that is executed, it has our descriptors.
    while looks.is_drained().unwrap() {
        std::thread::yield_now();
    }
    let mut child = made_by(folder.command("lives::drains"));
    assert_eq!(told(), (true, known(child.0.id())));
    child.kill();
    assert_eq!(told(), (false, None), "also of one that was killed nothing is left");
}

/// What somebody sees for whom the owner has another number, or none.
fn seen_elsewhere(folder: &Folder) -> Option<String> {
    let output = elsewhere(folder, "lives::looks")?.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("looked: ").map(str::to_owned))
}

#[test]
fn from_another_namespace_the_lock_tells() {
    let folder = Folder::new();
    let mut child = owner(&folder);
    let Some(seen) = seen_elsewhere(&folder) else { return };
    assert_eq!(seen, "Alive");
    child.kill();
    assert_eq!(seen_elsewhere(&folder).as_deref(), Some("Dead"));
}

/// Two containers whose folders others see: in each the owner is process 1.
#[test]
fn the_same_number_in_two_namespaces_is_two_processes() {
    let folders = [Folder::new(), Folder::new()];
    let mut owners = Vec::new();
    for folder in &folders {
        let Some(command) = elsewhere(folder, "lives::child") else { return };
        owners.push(made_by(command));
    }
    let [first, second] = &folders;
    let opened = folders.each_ref().map(|folder| Reader::open(&folder.ring()).unwrap());
    let [one, other] = opened.each_ref().map(Reader::owner);
    assert_eq!((one.pid, other.pid), (1, 1));
    assert_ne!(one.pid_namespace, other.pid_namespace);
    let seen = |at: usize| opened[at].liveness().unwrap();
    assert_eq!([seen(0), seen(1)], [Liveness::Alive, Liveness::Alive]);
    // From a third one, which has a process 1 itself.
    let alive = Some("Alive");
    assert_eq!(
        (seen_elsewhere(first).as_deref(), seen_elsewhere(second).as_deref()),
        (alive, alive)
    );
    owners[0].kill();
    // What was in the namespace is killed then, and nobody here can wait for that.
    while seen(0) == Liveness::Alive {
        std::thread::yield_now();
    }
    assert_eq!([seen(0), seen(1)], [Liveness::Dead, Liveness::Alive]);
    assert_eq!(
        (seen_elsewhere(first).as_deref(), seen_elsewhere(second).as_deref()),
        (Some("Dead"), alive)
    );
}
