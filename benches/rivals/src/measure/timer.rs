//! How long a piece of work took: by the clock on the wall, and of the processor's time that the thread
//! had, which leaves out what others took of it.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The sum over the pieces.
#[derive(Debug, Default)]
pub struct Timer {
    spans: u64,
    processor: Duration,
    wall: Duration,
}

impl Timer {
    /// Times a piece, which says how many spans it made.
    pub fn time(&mut self, work: impl FnOnce() -> u64) {
        let (wall, processor) = (Instant::now(), thread_time());
        self.spans += work();
        self.processor += thread_time().saturating_sub(processor);
        self.wall += wall.elapsed();
    }

    /// Prints the means.
    pub fn print(&self) {
        let each = |time: Duration| time.as_nanos() as f64 / self.spans as f64;
        println!("mean_ns {}", each(self.processor));
        println!("wall_ns {}", each(self.wall));
    }
}

/// Processor time of this thread since it began.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // The clock begins at zero.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
