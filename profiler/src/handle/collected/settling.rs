//! What a recording does once, soon after it has begun, on a thread that ends then: it measures the rate of the clock's
//! ticks, and has `tracing` ask about callsites again when the program has installed its subscriber.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::recorder::clock::Timeline;
use crate::recorder::installed::TIMES;
use crate::recorder::{Recorder, local};

/// The first pause between two looks whether there is a subscriber.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// The longest one: a program may never install any.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Starts the thread.
pub(super) fn start(recorder: &Arc<Recorder>) -> Result<(), Error> {
    let recorder = Arc::clone(recorder);
    let thread = std::thread::Builder::new().name("spandrel-settle".into());
    let started = thread.spawn(move || {
        local::mute_current_thread();
        settle(&recorder);
    });
    started.map(drop).map_err(|error| {
        let message = format!("cannot start the thread that looks for a subscriber: {error}");
        Error::new(ErrorKind::Thread, message).with_source(error)
    })
}

fn settle(recorder: &Recorder) {
    recorder.set_ticks_per_second(Timeline::start(recorder.clock.clone()).ticks_per_second());
    let (mut pause, mut rebuilt) = (PAUSE_MIN, 0);
    while rebuilt < TIMES && !recorder.ring.is_closed() {
        // Other people's layers may panic when they are asked; nothing of ours is half done then.
        if recorder.rebuild_interest() != Ok(false) {
            rebuilt += 1;
            // A while later once more.
            pause = PAUSE_MAX;
        }
        if rebuilt < TIMES {
            std::thread::sleep(pause);
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
