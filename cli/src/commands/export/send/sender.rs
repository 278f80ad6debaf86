//! The thread that sends, request by request in the order of spans, until one is not taken.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::backoff::{Backoff, chance};
use super::post::{Outcome, Poster, Why};
use super::queue::{Exit, Waiting};

/// How many tries are reported as they happen; further ones are counted.
const TOLD_MAX: u64 = 8;

/// Different warnings of a receiver that are kept.
const WARNINGS_MAX: usize = 3;

/// A request to end is noticed within this time.
const SLICE: Duration = Duration::from_millis(50);

/// The state of the requests so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    /// Spans of requests that were taken, those that were rejected included.
    pub(super) spans: u64,
    pub(super) rejected: u64,
    pub(super) bytes: u64,
    /// Times that a request was sent again.
    pub(super) again: u64,
    pub(super) warnings: Vec<String>,
    pub(super) failed: Option<Failed>,
    /// Everything was sent, and nothing more will come.
    pub(super) is_complete: bool,
}

/// The request that was not taken. None was sent after it.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) why: Why,
    pub(super) spans: u64,
    pub(super) first_span: u64,
    /// How often it was sent.
    pub(super) tries: u64,
}

/// News from the thread.
#[derive(Debug)]
pub(super) enum News {
    /// A line for people.
    Line(String),
    /// Nothing for now.
    None,
    /// It has ended.
    End,
}

/// The thread, from outside.
#[derive(Debug)]
pub(super) struct Sender {
    tally: Arc<Mutex<Tally>>,
    news: Receiver<String>,
}

impl Sender {
    /// Starts it. It is left to itself when this program ends.
    pub(super) fn start(
        poster: Poster,
        requests: Exit,
        patience: Duration,
        stop: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let tally = Arc::default();
        let (tell, news) = mpsc::channel();
        let mut work = Work { poster, patience, stop, tally: Arc::clone(&tally), tell };
        thread::Builder::new().name("spandrel-sender".into()).spawn(move || work.all(&requests))?;
        Ok(Self { tally, news })
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The next news: what is there, or what comes within a moment.
    pub(super) fn news(&self, wait: bool) -> News {
        match self.news.recv_timeout(if wait { SLICE } else { Duration::ZERO }) {
            Ok(line) => News::Line(line),
            Err(RecvTimeoutError::Timeout) => News::None,
            Err(RecvTimeoutError::Disconnected) => News::End,
        }
    }
}

/// The thread, from inside.
struct Work {
    poster: Poster,
    patience: Duration,
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    tell: mpsc::Sender<String>,
}

impl Work {
    fn all(&mut self, requests: &Exit) {
        while let Some(waiting) = requests.take() {
            let body = match requests.body(&waiting) {
                Ok(body) => body,
                Err(error) => {
                    let what = format!("the request cannot be read back: {error}");
                    return self.fail(&waiting, Why { what, ..Why::default() }, 0);
                }
            };
            if self.one(&waiting, &body).is_none() {
                return;
            }
        }
        self.tally().is_complete = true;
    }

    /// Sends a request until it is taken; `None` if it is not.
    fn one(&self, waiting: &Waiting, body: &[u8]) -> Option<()> {
        let (mut backoff, began) = (Backoff::new(self.patience), Instant::now());
        let mut tries = 0;
        let mut may_be_there = false;
        while !self.is_stopped() {
            tries += 1;
            let (why, wait) = match self.poster.post(body) {
                Outcome::Taken(taken) => {
                    let mut tally = self.tally();
                    tally.requests += 1;
                    tally.spans += waiting.spans;
                    tally.rejected += taken.rejected.min(waiting.spans);
                    tally.bytes += body.len() as u64;
                    let warning = taken.message.filter(|new| !tally.warnings.contains(new));
                    if tally.warnings.len() < WARNINGS_MAX {
                        tally.warnings.extend(warning);
                    }
                    return Some(());
                }
                Outcome::Again { why, after } => {
                    let wait = backoff.next(began.elapsed(), after, chance());
                    (self.patient(why, after, wait), wait)
                }
                Outcome::Never(why) => (why, None),
            };
            may_be_there |= why.is_unknown;
            let Some(wait) = wait else {
                self.fail(waiting, Why { is_unknown: may_be_there, ..why }, tries);
                return None;
            };
            self.tell_of(&why, wait);
            self.wait(wait);
        }
        None
    }

    /// Why there is no further try, if none was wanted.
    fn patient(&self, why: Why, after: Option<Duration>, wait: Option<Duration>) -> Why {
        let hint = match (wait, after) {
            (None, Some(after)) => {
                format!("it asks for a try in {} s: --retry-for waits longer", after.as_secs())
            }
            (None, None) => "--retry-for waits longer for it".to_owned(),
            _ => return why,
        };
        Why { hint: why.hint.or(Some(hint)), ..why }
    }

    fn tell_of(&self, why: &Why, wait: Duration) {
        let mut tally = self.tally();
        tally.again += 1;
        if tally.again > TOLD_MAX {
            return;
        }
        let seconds = wait.as_secs_f64();
        // Nobody may listen any more.
        let _gone = self.tell.send(format!("{}; trying again in {seconds:.1} s", why.what));
    }

    fn wait(&self, wait: Duration) {
        let until = Instant::now() + wait;
        while !self.is_stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(SLICE));
        }
    }

    fn fail(&self, waiting: &Waiting, why: Why, tries: u64) {
        let (spans, first_span) = (waiting.spans, waiting.first_span);
        self.tally().failed = Some(Failed { why, spans, first_span, tries });
    }

    fn is_stopped(&self) -> bool {
        // Relaxed: nothing is read that was written before it.
        self.stop.load(Ordering::Relaxed)
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
