//! How fast a ring between processes is, beside one within a process; and frames of a megabyte with a checksum.
//!
//! `cargo run --release -p spandrel-ring --features mapped,broadcast --example between [-- rates | frames | frames SECONDS]`
//!
//! Absolute times of a machine that does other work, too, say little; the ratios within one run do. Each process and thread
//! that finds nothing, or no room, looks again 64 times and then lets others run.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, clippy::expect_used)] // a program that says what it measures

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn main() {
    println!("a ring between processes takes Linux or macOS");
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn main() {
    unix::main();
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
mod unix {
    use std::hint::{black_box, spin_loop};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    use spandrel_ring::between::{Options, ReadError, Start, WriteError};
    use spandrel_ring::broadcast;

    /// With its state a line.
    type Item = [u64; 7];
    const SLOTS: usize = 16_384;
    const ITEMS: u64 = 4_000_000;
    const ROUNDS: usize = 7;
    const LONG: Duration = Duration::from_secs(60);

    const FRAME: usize = 1 << 20;
    const FRAMES: usize = 64;
    const READERS: usize = 5;
    const PER_SECOND: u32 = 24;

    pub(super) fn main() {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match *words {
            ["write", path, items] => write(path.as_ref(), items.parse().unwrap()),
            ["frame-reader", path, checks] => read_frames(path.as_ref(), checks == "checks"),
            ["alone", which, items] => alone(which, items.parse().unwrap()),
            ["rates"] => rates(),
            ["frames"] => frames(5),
            ["frames", seconds] => frames(seconds.parse().unwrap()),
            _ => {
                rates();
                frames(5);
            }
        }
    }

    /// Gone at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let memory = Path::new("/dev/shm");
            let temporary = std::env::temp_dir();
            let parent = if memory.is_dir() { memory } else { &temporary };
            Self(parent.join(format!("spandrel-between-{}", std::process::id())))
        }

        fn ring(&self) -> PathBuf {
            self.0.join("some.ring")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn again(arguments: &[&str]) -> Child {
        Command::new(std::env::current_exe().unwrap()).args(arguments).spawn().unwrap()
    }

    #[derive(Default)]
    struct Backoff(u32);

    impl Backoff {
        fn wait(&mut self) {
            if self.0 < 64 {
                self.0 += 1;
                spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// Looks until all sequences have passed: `look` says how many. Million a second from the first one on.
    fn follow(mut look: impl FnMut() -> u64) -> f64 {
        let mut backoff = Backoff::default();
        let (mut left, mut began) = (ITEMS, None);
        while left > 0 {
            match look() {
                0 => backoff.wait(),
                some => {
                    began.get_or_insert_with(Instant::now);
                    left -= some.min(left);
                    backoff = Backoff::default();
                }
            }
        }
        ITEMS as f64 / began.unwrap().elapsed().as_secs_f64() / 1e6
    }

    fn item(number: u64) -> Item {
        [number; 7]
    }

    fn within_holding() -> f64 {
        let (mut producer, ring) = broadcast::ring::<Item>(SLOTS).build().unwrap();
        let mut consumer = ring.consumer().unwrap();
        let child = std::thread::spawn(move || {
            for number in 0..ITEMS {
                producer.send(item(number), LONG).unwrap();
            }
        });
        let mut sum = 0_u64;
        let rate = follow(|| {
            let Ok(batch) = consumer.try_read() else { return 0 };
            batch.iter().for_each(|item| sum = sum.wrapping_add(item[0]));
            batch.slots() as u64
        });
        black_box(sum);
        child.join().unwrap();
        rate
    }

    fn within_overtaken() -> f64 {
        let (mut producer, ring) = broadcast::ring::<Item>(SLOTS).overwriting().build().unwrap();
        let mut reader = ring.reader();
        let child = std::thread::spawn(move || {
            for number in 0..ITEMS {
                producer.send(item(number), LONG).unwrap();
            }
        });
        let mut sum = 0_u64;
        let rate = follow(|| match reader.try_read() {
            Ok(item) => {
                sum = sum.wrapping_add(item[0]);
                1
            }
            Err(broadcast::ReadError::Overtaken(missed)) => missed,
            Err(_) => 0,
        });
        black_box(sum);
        child.join().unwrap();
        rate
    }

    fn write(path: &Path, items: u64) {
        let ring = Options::of::<Item>(SLOTS).open(path).unwrap();
        let mut writer = ring.writer().unwrap().of::<Item>().unwrap();
        for number in 0..items {
            let mut backoff = Backoff::default();
            while let Err(why) = writer.try_send(item(number)) {
                assert!(matches!(why, WriteError::Full | WriteError::Overrun), "{why}");
                backoff.wait();
            }
        }
    }

    fn between(holds: bool, writers: u64) -> f64 {
        let folder = Folder::new();
        let ring = Options::of::<Item>(SLOTS).create(&folder.ring()).unwrap();
        let reader = if holds { ring.holding_reader() } else { ring.reader(Start::Next) };
        let mut reader = reader.unwrap().of::<Item>().unwrap();
        let items = (ITEMS / writers).to_string();
        let path = folder.ring();
        let spawn = |_| again(&["write", path.to_str().unwrap(), &items]);
        let children: Vec<Child> = (0..writers).map(spawn).collect();
        let mut sum = 0_u64;
        let rate = follow(|| match reader.read_all(|_, item| sum = sum.wrapping_add(item[0])) {
            Ok(read) => read as u64,
            Err(ReadError::Overtaken(missed)) => missed,
            Err(ReadError::Ended) => panic!("a child has failed"),
            Err(_) => 0,
        });
        black_box(sum);
        children.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
        rate
    }

    /// Publishes and reads so many on one thread, in turns of 1,000: for counting instructions.
    fn alone(which: &str, items: u64) {
        let mut sum = 0_u64;
        let turns = items / 1_000;
        if let "within-holding" = which {
            let (mut producer, ring) = broadcast::ring::<Item>(SLOTS).build().unwrap();
            let mut consumer = ring.consumer().unwrap();
            for _ in 0..turns {
                (0..1_000).for_each(|number| _ = producer.try_send(item(number)).unwrap());
                let batch = consumer.try_read().unwrap();
                batch.iter().for_each(|item| sum = sum.wrapping_add(item[0]));
            }
        } else if let "within-overtaken" = which {
            let (mut producer, ring) =
                broadcast::ring::<Item>(SLOTS).overwriting().build().unwrap();
            let mut reader = ring.reader();
            for _ in 0..turns {
                (0..1_000).for_each(|number| _ = producer.try_send(item(number)).unwrap());
                (0..1_000).for_each(|_| sum = sum.wrapping_add(reader.try_read().unwrap()[0]));
            }
        } else {
            let folder = Folder::new();
            let ring = Options::of::<Item>(SLOTS).create(&folder.ring()).unwrap();
            let holds = which == "between-holding";
            let reader = if holds { ring.holding_reader() } else { ring.reader(Start::Next) };
            let mut reader = reader.unwrap().of::<Item>().unwrap();
            let mut writer = ring.writer().unwrap().of::<Item>().unwrap();
            for _ in 0..turns {
                (0..1_000).for_each(|number| _ = writer.try_send(item(number)).unwrap());
                let read = reader.read_all(|_, item| sum = sum.wrapping_add(item[0]));
                assert_eq!(read, Ok(1_000));
            }
        }
        black_box(sum);
    }

    fn rates() {
        type Case = (&'static str, usize, fn() -> f64);
        let cases: [Case; 5] = [
            ("within a process, a consumer holds", 0, within_holding),
            ("between processes, a reader holds", 0, || between(true, 1)),
            ("within a process, a reader is overtaken", 2, within_overtaken),
            ("between processes, a reader is overtaken", 2, || between(false, 1)),
            ("between processes, 4 writers, a reader holds", 1, || between(true, 4)),
        ];
        let mut found = cases.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for ((_, _, case), rates) in cases.iter().zip(&mut found) {
                rates.push(case());
            }
        }
        let medians = found.map(|mut rates: Vec<f64>| {
            rates.sort_by(f64::total_cmp);
            (rates[0], rates[ROUNDS / 2], rates[ROUNDS - 1])
        });
        println!("{ITEMS} values of {} bytes through {SLOTS} slots", size_of::<Item>());
        for ((name, beside, _), (least, median, most)) in cases.iter().zip(medians) {
            let ratio = median / medians[*beside].1;
            println!("{name:<46} {median:>7.1} M/s  {least:>6.1} to {most:>6.1}  x{ratio:.2}");
        }
    }

    /// CRC-32, eight bytes at a time.
    struct Crc([[u32; 256]; 8]);

    impl Crc {
        fn new() -> Self {
            let mut tables = [[0; 256]; 8];
            let step = |sum: u32| sum >> 1 ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 };
            tables[0] = std::array::from_fn(|byte| (0..8).fold(byte as u32, |sum, _| step(sum)));
            for table in 1..8 {
                for byte in 0..256 {
                    let before: u32 = tables[table - 1][byte];
                    tables[table][byte] = before >> 8 ^ tables[0][(before & 0xFF) as usize];
                }
            }
            Self(tables)
        }

        fn of(&self, bytes: &[u8]) -> u32 {
            let (words, rest) = bytes.as_chunks::<8>();
            let of_words = words.iter().fold(u32::MAX, |sum, word| {
                let mixed = u64::from_le_bytes(*word) ^ u64::from(sum);
                (0..8).fold(0, |sum, at| sum ^ self.0[7 - at][(mixed >> (8 * at)) as usize & 0xFF])
            });
            let step = |sum: u32, byte: &u8| sum >> 8 ^ self.0[0][(sum as u8 ^ byte) as usize];
            !rest.iter().fold(of_words, step)
        }
    }

    /// What a reader says of itself, on one line.
    fn read_frames(path: &Path, checks: bool) {
        let ring = Options::new(FRAME, FRAMES).in_place().open(path).unwrap();
        let mut reader = ring.holding_reader().unwrap();
        let crc = Crc::new();
        let (mut frames, mut wrong, mut sum) = (0_u64, 0_u64, 0_u64);
        loop {
            match reader.peek(LONG) {
                Ok(frame) if checks => {
                    let (bytes, said) = frame.split_at(FRAME - 4);
                    wrong += u64::from(crc.of(bytes).to_le_bytes() != said);
                    frames += 1;
                }
                Ok(frame) => {
                    let words = frame.as_chunks::<8>().0;
                    sum = words.iter().fold(sum, |sum, word| sum ^ u64::from_ne_bytes(*word));
                    frames += 1;
                }
                Err(ReadError::Ended) => break,
                Err(why) => panic!("{why}"),
            }
        }
        black_box(sum);
        assert_eq!(wrong, 0, "a frame whose checksum is another one");
        println!("    a reader: {frames} frames, none of them torn");
    }

    fn frames(seconds: u32) {
        // The rate of a camera, each frame with a checksum that all readers look at.
        let wanted = PER_SECOND * seconds;
        let pause = Duration::from_secs(1) / PER_SECOND;
        println!(
            "{PER_SECOND} frames of {FRAME} bytes a second with a checksum, {READERS} readers"
        );
        let took = send_frames(wanted, Some(pause), "checks");
        let percent = f64::from(wanted) / f64::from(PER_SECOND) / took * 100.0;
        println!("    the writer: {percent:.1} % of the rate");
        // As many as there are: a word of each line is written, all of it is read.
        println!("frames of {FRAME} bytes, as many as go through, {READERS} readers");
        let many = seconds * 400;
        let took = send_frames(many, None, "sums");
        let rate = f64::from(many) * FRAME as f64 / took / 1e9;
        println!("    the writer: {rate:.2} GB/s; all readers: {:.2} GB/s", rate * READERS as f64);
    }

    /// Seconds until the last one is published.
    fn send_frames(frames: u32, pause: Option<Duration>, how: &str) -> f64 {
        let folder = Folder::new();
        let path = folder.ring();
        let ring = Options::new(FRAME, FRAMES).in_place().create(&path).unwrap();
        let mut writer = ring.writer().unwrap();
        let spawn = |_| again(&["frame-reader", path.to_str().unwrap(), how]);
        let readers: Vec<Child> = (0..READERS).map(spawn).collect();
        while ring.participants().len() < READERS + 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let crc = Crc::new();
        let began = Instant::now();
        for number in 0..frames {
            let mut claim = writer.claim(LONG).unwrap();
            let frame = claim.as_mut_slice().expect("it is in place");
            frame[..FRAME - 4].fill(number as u8);
            if how == "checks" {
                let sum = crc.of(&frame[..FRAME - 4]).to_le_bytes();
                frame[FRAME - 4..].copy_from_slice(&sum);
            }
            claim.publish().unwrap();
            if let Some(pause) = pause {
                let due = began + pause * (number + 1);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        let took = began.elapsed().as_secs_f64();
        drop(writer);
        readers.into_iter().for_each(|mut reader| assert!(reader.wait().unwrap().success()));
        took
    }
}
