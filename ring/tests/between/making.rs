//! Many processes that come first.

use std::sync::atomic::Ordering;

use spandrel_ring::between::{OpenError, Options, ReadError, Start};

use crate::{Folder, LONG, Running, Value, options, random, until, value, whole};

const CHILDREN: u64 = 5;

#[test]
#[ignore = "run by the others in a process of its own"]
fn child() {
    let Some((folder, _, number)) = Folder::given() else { return };
    let witness = folder.words(CHILDREN as usize);
    witness[number as usize].store(1, Ordering::Release);
    let ring = options().open_or_create(&folder.ring(), LONG).unwrap();
    let mut writer = ring.writer().unwrap().of::<Value>().unwrap();
    writer.send(value(number, 0), LONG).unwrap();
    witness[number as usize].store(2, Ordering::Release);
}

#[test]
fn whoever_comes_first_makes_it_and_all_have_the_same_also_if_some_are_killed_meanwhile() {
    let mut state = 0x9E37_79B9_7F4A_7C15;
    for round in 0..6 {
        let folder = Folder::new();
        let witness = folder.words(CHILDREN as usize);
        let spawn = |number| folder.spawn("making::child", "any", number);
        let mut children: Vec<Running> = (0..CHILDREN).map(spawn).collect();
        let killed = (random(&mut state) % CHILDREN) as usize;
        if round > 0 {
            let step = |at: usize| witness[at].load(Ordering::Acquire);
            until("it makes it", || step(killed) > 0);
            (0..random(&mut state) % 3_000).for_each(|_| std::hint::spin_loop());
            children[killed].kill();
        }
        for (number, child) in children.iter_mut().enumerate() {
            let mut status = None;
            until("all have sent", || {
                status = child.0.try_wait().unwrap();
                status.is_some()
            });
            assert!(status.unwrap().success() || number == killed && round > 0);
        }
        let ring = options().open(&folder.ring()).unwrap();
        let mut reader = ring.reader(Start::Oldest).unwrap().of::<Value>().unwrap();
        let mut seen = Vec::new();
        let end = loop {
            match reader.read(LONG) {
                Ok(value) => seen.push(whole(&value).0),
                Err(why) => break why,
            }
        };
        assert_eq!(end, ReadError::Ended);
        seen.sort_unstable();
        for number in 0..CHILDREN {
            let has_sent = witness[number as usize].load(Ordering::Acquire) == 2;
            let times = seen.iter().filter(|seen| **seen == number).count();
            assert!(times == 1 || !has_sent && number as usize == killed, "{number}: {seen:?}");
        }
    }
}

#[test]
fn a_ring_with_other_options_is_refused_by_name() {
    let folder = Folder::new();
    let path = folder.ring();
    drop(Options::new(16, 8).kind(7).create(&path).unwrap());
    assert!(matches!(Options::new(16, 8).kind(7).create(&path), Err(OpenError::Create(_))));
    for (options, what) in [
        (Options::new(16, 8), "kind"),
        (Options::new(24, 8).kind(7), "size of a slot"),
        (Options::new(16, 4).kind(7), "number of slots"),
        (Options::new(16, 8).kind(7).in_place(), "way to have slots in place"),
    ] {
        let refused = options.open_or_create(&path, LONG).unwrap_err();
        assert!(refused.to_string().contains(what), "{refused}");
    }
    assert!(Options::new(16, 8).kind(7).participants(3).open(&path).is_ok());
}

#[test]
fn what_somebody_else_has_there_is_no_ring_and_stays() {
    let folder = Folder::new();
    let path = folder.ring();
    for text in ["abc", "something else, which is longer than a word"] {
        std::fs::write(&path, text).unwrap();
        let refused = options().open_or_create(&path, std::time::Duration::ZERO).unwrap_err();
        assert!(matches!(refused, OpenError::NoRing), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    // Somebody died who was about to make it.
    std::fs::write(&path, "").unwrap();
    assert!(options().open_or_create(&path, LONG).is_ok());
}
