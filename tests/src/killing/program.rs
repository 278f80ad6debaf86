//! The program that is killed: four threads at full speed, each with a span around all that it does.

#![allow(unsafe_code)] // ways to end

use std::path::PathBuf;

use spandrel::{Profiler, ProfilerBuilder};
use tracing::{info, info_span};

use super::witness::{self, Witness};
use crate::child;
use crate::recording::Front;
use crate::scratch::within;

pub const THREADS: usize = 4;
/// Steps of the program.
pub const BUILDS: u64 = 1;
pub const RECORDS: u64 = 2;
pub const CLOSES: u64 = 3;
pub const IS_CLOSED: u64 = 4;
/// So many spans may be on their way: each takes two slots, and one in eight has an event.
const IN_FLIGHT_MAX: u64 = 20_000;
/// Each thread of a program that closes makes so many; one that ends by itself does so at this number.
pub const BEFORE_END: u64 = 3_000;
/// One number in so many has an event.
pub const PER_EVENT: u64 = 8;

/// Where the path of the database, or of the folder for ring files, is said to a program; its label; and by what it records.
pub const PATH: &str = "SPANDREL_TEST_PATH";
pub const LABEL: &str = "SPANDREL_TEST_LABEL";
const FRONT: &str = "SPANDREL_TEST_FRONT";

/// How a program ends that nobody kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It does not.
    Never,
    /// It closes the profiler, and waits to be killed.
    Closes,
    /// Within a span of its first thread: by `abort`,
    Aborts,
    /// by `_exit(3)`,
    Exits,
    /// or as it takes more memory than it may have.
    TakesAllMemory,
}

impl End {
    /// As the role of a program says.
    pub fn of(role: &str) -> Self {
        match role {
            "closes" => Self::Closes,
            "aborts" => Self::Aborts,
            "exits" => Self::Exits,
            "takes all memory" => Self::TakesAllMemory,
            _ => Self::Never,
        }
    }

    fn is_within_a_span(self) -> bool {
        !matches!(self, Self::Never | Self::Closes)
    }

    fn come(self) {
        match self {
            Self::Never | Self::Closes => {}
            Self::Aborts => std::process::abort(),
            // SAFETY: ends the process.
            Self::Exits => unsafe { libc::_exit(3) },
            Self::TakesAllMemory => {
                let mut taken = Vec::new();
                loop {
                    taken.push(vec![1_u8; 1 << 20]);
                    std::hint::black_box(&taken);
                }
            }
        }
    }
}

/// A program to be started, which records at this path, by the layer or by the subscriber in turn.
pub fn plan(
    role: &str,
    path: &std::path::Path,
    witness_path: &std::path::Path,
    n: u64,
) -> child::Plan {
    let front = std::env::var(FRONT).unwrap_or_else(|_| {
        let front = if n.is_multiple_of(2) { "layer" } else { "subscriber" };
        front.into()
    });
    let plan = child::plan(role).env(PATH, path).env(witness::PATH, witness_path);
    plan.env(LABEL, n.to_string()).env(FRONT, front)
}

/// In the program: where it records.
pub fn path() -> PathBuf {
    PathBuf::from(std::env::var_os(PATH).expect("it was told where"))
}

/// In the program: records until it is killed, or ends as it is told to.
pub fn run(builder: ProfilerBuilder, end: End) {
    run_and_close(builder, end, || ());
}

/// The same, with something to do before the profiler is closed.
pub fn run_and_close(builder: ProfilerBuilder, end: End, before: impl FnOnce()) {
    let witness = Witness::of_this_process();
    let front = match std::env::var(FRONT).as_deref() {
        Ok("subscriber") => Front::Subscriber,
        _ => Front::Layer,
    };
    witness.say_step(BUILDS);
    let profiler = builder.label(std::env::var(LABEL).unwrap_or_default()).build().unwrap();
    assert_eq!(profiler.stats().crash_proof_error, None);
    witness.say_step(RECORDS);
    let dispatch = front.dispatch(&profiler);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (dispatch, profiler) = (&dispatch, &profiler);
            scope.spawn(move || within(dispatch, || work(profiler, witness, thread, end)));
        }
    });
    before();
    witness.say_step(CLOSES);
    profiler.close().unwrap();
    witness.say_step(IS_CLOSED);
    // Until it is killed.
    child::listen();
}

fn work(profiler: &Profiler, witness: Witness, thread: usize, end: End) {
    let outer = info_span!("outer", thread).entered();
    witness.say_outer(thread, 1);
    for n in 0..if end == End::Closes { BEFORE_END } else { u64::MAX } {
        // What is dropped cannot be missing.
        while n % 64 == 0 && profiler.stats().in_flight > IN_FLIGHT_MAX {
            std::thread::yield_now();
        }
        witness.say_begun(thread, n + 1);
        info_span!("work", thread, n).in_scope(|| {
            if n % PER_EVENT == 0 {
                info!(thread, n, "inside");
            }
            if end.is_within_a_span() && (thread, n) == (0, BEFORE_END) {
                end.come();
            }
        });
        witness.say_published(thread, n + 1);
    }
    witness.say_outer(thread, 2);
    drop(outer);
}
