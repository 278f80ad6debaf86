//! Who counts as dead: whoever is, and nobody else.

use std::os::unix::process::CommandExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use spandrel_ring::between::{ReadError, Start, WriteError};

use crate::{Folder, options, until, value, whole};

const STEP: usize = 0;
const SAID: usize = 1;
const MOMENT: Duration = Duration::from_millis(50);

fn bytes(number: u64) -> Vec<u8> {
    value(0, number).iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[test]
#[ignore = "run by the others in a process of its own"]
fn child() {
    let Some((folder, role, _)) = Folder::given() else { return };
    let witness = folder.words(2);
    let ring = options().open(&folder.ring()).unwrap();
    let mut writer = ring.writer().unwrap();
    let mut claim = writer.claim(crate::LONG).unwrap();
    claim.write(0, &bytes(7)).unwrap();
    if role == "closes" {
        // SAFETY: all but the three first ones, none of which is used any more.
        assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) }, 0);
    }
    witness[STEP].store(1, Ordering::Release);
    until("it is let go", || witness[STEP].load(Ordering::Acquire) == 2);
    if role == "becomes another program" {
        panic!("{}", std::process::Command::new("sleep").arg("1000").exec());
    }
    let said = match claim.publish() {
        Ok(_) => 1,
        Err(WriteError::Overrun) => 2,
        Err(why) => panic!("{why}"),
    };
    witness[SAID].store(said, Ordering::Release);
    until("it is let go", || witness[STEP].load(Ordering::Acquire) == 3);
}

#[test]
fn a_process_that_is_stopped_with_a_claim_is_passed_over_and_told_when_it_goes_on() {
    let folder = Folder::new();
    let witness = folder.words(2);
    let ring = options().create(&folder.ring()).unwrap();
    let mut reader = ring.reader(Start::Next).unwrap().of::<crate::Value>().unwrap();
    let child = folder.spawn("lives::child", "stopped", 0);
    until("it has claimed", || witness[STEP].load(Ordering::Acquire) == 1);
    child.signal(libc::SIGSTOP);
    let mut writer = ring.writer().unwrap();
    for number in 0..200 {
        writer.send(&bytes(number), crate::LONG).unwrap();
    }
    let counts = ring.counts();
    assert!(counts.passed_over > 0 && counts.dead_claims == 0, "{counts:?}");
    let mut last = None;
    while let Ok(_) | Err(ReadError::Overtaken(_)) =
        reader.try_read().map(|value| last = Some(whole(&value)))
    {}
    assert_eq!(last, Some((0, 199)), "nobody waits for who is stopped");
    child.signal(libc::SIGCONT);
    witness[STEP].store(2, Ordering::Release);
    until("it says what it was told", || witness[SAID].load(Ordering::Acquire) > 0);
    assert_eq!(witness[SAID].load(Ordering::Acquire), 2, "it was overrun");
    witness[STEP].store(3, Ordering::Release);
}

#[test]
fn a_process_that_has_closed_all_its_descriptors_lives() {
    let folder = Folder::new();
    let witness = folder.words(2);
    let ring = options().create(&folder.ring()).unwrap();
    let mut reader = ring.reader(Start::Next).unwrap();
    let mut child = folder.spawn("lives::child", "closes", 0);
    until("it has claimed", || witness[STEP].load(Ordering::Acquire) == 1);
    let mut slot = bytes(0);
    assert_eq!(reader.read(&mut slot, MOMENT), Err(ReadError::TimedOut));
    assert!(ring.participants().iter().all(|it| !it.is_dead));
    witness[STEP].store(2, Ordering::Release);
    assert_eq!(reader.read(&mut slot, crate::LONG), Ok(0));
    assert_eq!(slot, bytes(7));
    child.kill();
    assert_eq!(reader.read(&mut slot, crate::LONG), Err(ReadError::Ended));
}

#[test]
fn a_process_that_has_become_another_program_is_dead() {
    let folder = Folder::new();
    let witness = folder.words(2);
    let ring = options().create(&folder.ring()).unwrap();
    let mut reader = ring.reader(Start::Next).unwrap();
    let mut child = folder.spawn("lives::child", "becomes another program", 0);
    until("it has claimed", || witness[STEP].load(Ordering::Acquire) == 1);
    witness[STEP].store(2, Ordering::Release);
    assert_eq!(reader.read(&mut bytes(0), crate::LONG), Err(ReadError::Ended));
    assert_eq!((ring.counts().dead_claims, reader.without_value()), (1, 1));
    assert!(!child.is_gone());
}

/// A child of `fork` has neither the ring nor its locks, and its parent goes on.
#[test]
fn a_forked_child_holds_nothing_and_writes_nowhere() {
    let folder = Folder::new();
    let ring = options().create(&folder.ring()).unwrap();
    let mut reader = ring.reader(Start::Next).unwrap();
    let mut holding = ring.holding_reader().unwrap();
    let mut writer = ring.writer().unwrap();
    writer.try_send(&bytes(1)).unwrap();
    // SAFETY: the child does no more than what is below, and ends without unwinding.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // Whatever it is told: it comes back, and nobody sees it.
        _ = writer.try_send(&bytes(2));
        _ = reader.try_read(&mut [0; 8]);
        loop {
            // SAFETY: sleeps until it is killed.
            unsafe { libc::pause() };
        }
    }
    assert!(pid > 0);
    let mut slot = bytes(0);
    writer.try_send(&bytes(3)).unwrap();
    drop(writer);
    assert_eq!(reader.read(&mut slot, crate::LONG), Ok(0));
    assert_eq!(reader.read(&mut slot, crate::LONG), Ok(1));
    assert_eq!(slot, bytes(3));
    assert_eq!(holding.read_all(|_, _| ()), Ok(2));
    drop(holding);
    // Its place is free, though the child lives.
    let again = Folder::ring(&folder);
    drop((ring, reader));
    let ring = options().open(&again).unwrap();
    let all: Vec<_> = (0..64).map(|_| ring.writer().unwrap()).collect();
    drop(all);
    // SAFETY: a child of this process's own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    // SAFETY: as above.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}
