//! Whoever records lives on when another process cuts his ring file short.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use spandrel_ring::RingOptions;
use spandrel_ring::file::{CellTable, FileSettings, Liveness, Reader, RingFile};

use crate::{Folder, Running};

const THREADS: u64 = 4;
const CELLS: usize = 1_000;
const HOW: &str = "SPANDREL_RING_HOW";

fn settings() -> FileSettings<'static> {
    FileSettings {
        // Two threads have partitions of their own, and two share one.
        ring: RingOptions { capacity: 1 << 14, partitions: 2 },
        tables: &[CellTable { cell: 64, cells: CELLS }],
        names_bytes: 1 << 18,
        counters: 512,
        ..FileSettings::default()
    }
}

/// Four threads that touch all of the file, until some time after somebody has cut it.
#[test]
#[ignore = "run by the others in a process of its own"]
fn records() {
    let Some(folder) = Folder::given() else { return };
    let has_signal_handler = std::env::var(HOW).as_deref() != Ok("unguarded");
    let settings = FileSettings { has_signal_handler, ..settings() };
    let file = RingFile::create::<[u64; 7]>(&folder.ring(), &settings).unwrap();
    let (ring, mut consumer) = file.ring::<[u64; 7]>().unwrap();
    let cells = file.cells::<[AtomicU64; 8]>(0).unwrap();
    file.set_recording();
    assert!(!file.look_whether_cut());
    let rounds = AtomicU64::new(0);
    let is_cut = || file.was_cut();
    std::thread::scope(|scope| {
        let (ring, cells, file, rounds) = (&ring, &cells, &file, &rounds);
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut lease = ring.lease();
                // Some more of them behind the cut: all of it was touched then.
                let before = std::iter::repeat_n(true, 1).chain(std::iter::from_fn(|| {
                    rounds.fetch_add(1, Ordering::Relaxed);
                    (!is_cut()).then_some(true)
                }));
                for _ in before.chain(std::iter::repeat_n(false, 50)) {
                    for _ in 0..100 {
                        match &mut lease {
                            Some(lease) => _ = lease.try_publish(0, 1, |_| [thread; 7]),
                            None => _ = ring.try_claim(1).map(|claim| claim.publish()),
                        }
                    }
                    cells.iter().for_each(|cell| _ = cell[3].fetch_add(1, Ordering::Relaxed));
                    _ = file.names().append(1, &[thread], &["text"]);
                    let counters = file.counters().iter().chain(file.drainer());
                    counters.for_each(|word| _ = word.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
        while !file.was_cut() {
            (0..consumer.partitions()).for_each(|at| _ = consumer.drain(at, 1_000, |_| ()));
            if rounds.load(Ordering::Relaxed) > THREADS * 3 {
                rounds.store(0, Ordering::Relaxed);
                println!("\nrecords");
            }
            _ = file.look_whether_cut();
        }
        file.set_closed();
        ring.close();
    });
    assert!(file.look_whether_cut() && ring.try_claim(1).is_err());
    (0..consumer.partitions()).for_each(|at| _ = consumer.drain(at, usize::MAX, |_| ()));
    drop((file, ring, consumer, cells));
    // The process can make another one, and that is whole.
    let other = RingFile::create::<[u64; 7]>(&folder.0.join("other.ring"), &settings).unwrap();
    let (ring, mut consumer) = other.ring::<[u64; 7]>().unwrap();
    ring.try_claim(1).unwrap().publish();
    assert_eq!(consumer.drain(ring.shared_partition(), 10, |_| ()).entries, 1);
    assert!(!other.look_whether_cut());
    println!("\nlives");
}

/// Starts one that records, and cuts its file to these lengths, one after the other. Says what it said at last, and how
/// it ended.
fn cut(how: &str, lengths: impl FnOnce(u64) -> Vec<u64>) -> (String, std::process::ExitStatus) {
    let folder = Folder::new();
    let mut command = folder.command("cut::records");
    command.env(HOW, how).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "records"), "it has ended before");
    let file = File::options().write(true).open(folder.ring()).unwrap();
    let whole = file.metadata().unwrap().len();
    lengths(whole).into_iter().for_each(|length| file.set_len(length).unwrap());
    let said = lines.map(Result::unwrap).filter(|line| ["records", "lives"].contains(&&**line));
    let last = said.last().unwrap_or_default();
    let status = child.0.wait().unwrap();
    // Whoever reads it then says so, or does not take it for a ring file.
    if let Ok(reader) = Reader::open(&folder.ring()) {
        assert_eq!(reader.liveness().unwrap(), Liveness::Dead);
    }
    (last, status)
}

#[test]
fn whoever_records_lives_on_when_his_file_is_cut_short() {
    let lengths: [fn(u64) -> Vec<u64>; 6] = [
        |_| vec![0],
        |whole| vec![whole / 2],
        |_| vec![2_048],
        |whole| vec![whole / 2 + 2_048],
        // Again and again, and longer again.
        |whole| (0..40).map(|turn| if turn % 2 == 0 { 0 } else { whole }).collect(),
        |whole| (0..64).rev().map(|part| whole / 64 * part + 8).collect(),
    ];
    for (case, lengths) in lengths.into_iter().enumerate() {
        let (said, status) = cut("guarded", lengths);
        assert_eq!((said.as_str(), status.code()), ("lives", Some(0)), "case {case}: {status}");
    }
}

#[test]
fn without_the_handler_it_ends_by_the_signal() {
    let (said, status) = cut("unguarded", |_| vec![0]);
    assert_ne!(said, "lives");
    assert_eq!(status.signal(), Some(libc::SIGBUS), "{status}");
}
