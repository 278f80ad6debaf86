//! How a buffer works, and what of that can change while it does.

use std::fmt;
use std::time::Duration;

use super::pool::{BYTES_MAX, ITEMS_MAX};

/// A batch of all that waits in a partition, however much it is.
pub const ALL: usize = usize::MAX;

const PARTITIONS_MAX: usize = 1024;

/// What becomes of a batch whose processor has run out of time: it cannot be stopped, and may still succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AfterTimeOut {
    /// It is set aside as a dead letter in doubt, and its partition goes on. It is not given to the processor again, so
    /// nothing is processed twice. If the attempt succeeds after all, the letter is gone, and it counts as processed.
    #[default]
    SetAside,
    /// It is tried again like one that has failed, while the attempt that hangs may still succeed: then it is
    /// processed twice, if that was not before the next attempt began. For processors that may do things twice.
    Retry,
}

/// How a buffer works. The first eight can be [changed](super::Queue::change) while it does.
///
/// ```
/// use std::time::Duration;
/// use spandrel_ring::buffer::{Options, OptionsError};
///
/// let mut options = Options::new().batch_size(500).interval(Duration::from_millis(200)).tries(3);
/// options.set("backoff_ms", "50")?; // from a file, or the environment
/// assert_eq!(
///     options.set("batch_sise", "9").unwrap_err().to_string(),
///     "there is no option \"batch_sise\": take one of batch_size, interval_ms, time_out_ms, tries, backoff_ms, \
///      backoff_max_ms, after_time_out, dead_letters_max, partitions, workers, hung_max, capacity, capacity_bytes, \
///      versions_max, name",
/// );
/// # Ok::<(), OptionsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub(crate) batch_size: usize,
    pub(crate) interval: Duration,
    pub(crate) time_out: Duration,
    pub(crate) tries: u32,
    pub(crate) backoff: Duration,
    pub(crate) backoff_max: Duration,
    pub(crate) after_time_out: AfterTimeOut,
    pub(crate) dead_letters_max: usize,
    pub(crate) partitions: usize,
    pub(crate) workers: usize,
    pub(crate) hung_max: usize,
    pub(crate) capacity: usize,
    pub(crate) capacity_bytes: u64,
    pub(crate) versions_max: Option<usize>,
    pub(crate) name: String,
}

impl Default for Options {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            batch_size: 100,
            interval: Duration::from_secs(1),
            time_out: Duration::from_secs(60),
            tries: 5,
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            after_time_out: AfterTimeOut::SetAside,
            dead_letters_max: ALL,
            partitions: processors.min(64),
            workers: 1,
            hung_max: 4,
            capacity: 65_536,
            capacity_bytes: BYTES_MAX,
            versions_max: None,
            name: "buffer".to_owned(),
        }
    }
}

impl Options {
    /// The defaults, which stand with each of the methods.
    pub fn new() -> Self {
        Self::default()
    }

    /// A batch has at most so many items, and is due when so many wait in a partition: 100. [`ALL`]: all that waits
    /// there, when the interval is over.
    pub fn batch_size(mut self, items: usize) -> Self {
        self.batch_size = items;
        self
    }

    /// What waits is due after this time, however little it is: 1 second.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// An attempt that takes longer has failed: 60 seconds. `Duration::MAX`: never. It holds for attempts that begin after
    /// a change.
    pub fn time_out(mut self, time_out: Duration) -> Self {
        self.time_out = time_out;
        self
    }

    /// After so many attempts that failed a batch is a dead letter: 5.
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }

    /// The second attempt comes so long after the first, and each further one after twice the time: 100 ms.
    pub fn backoff(mut self, backoff: Duration) -> Self {
        self.backoff = backoff;
        self
    }

    /// But at most after so long: 10 seconds. A change holds for what waits already, too.
    pub fn backoff_max(mut self, backoff_max: Duration) -> Self {
        self.backoff_max = backoff_max;
        self
    }

    /// What becomes of a batch whose processor has run out of time: it is set aside.
    pub fn after_time_out(mut self, what: AfterTimeOut) -> Self {
        self.after_time_out = what;
        self
    }

    /// So many items are kept as dead letters, and the oldest letters dropped and counted: all of them are kept, and
    /// take of the capacity until they are [taken](super::Queue::dead_letters).
    pub fn dead_letters_max(mut self, items: usize) -> Self {
        self.dead_letters_max = items;
        self
    }

    /// So many partitions: one for each processor, 64 at most. Order is kept in each, and each has a lock.
    pub fn partitions(mut self, partitions: usize) -> Self {
        self.partitions = partitions;
        self
    }

    /// So many batches are processed at once, of different partitions: 1.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// While so many attempts are overdue, none is begun: 4. Each holds a thread that nobody can end. There are never
    /// more than this and the workers.
    pub fn hung_max(mut self, attempts: usize) -> Self {
        self.hung_max = attempts;
        self
    }

    /// So many items have room, waiting, in flight and as dead letters: 65,536.
    pub fn capacity(mut self, items: usize) -> Self {
        self.capacity = items;
        self
    }

    /// So many bytes of them: 64 GiB, which is the most. An item counts with what the buffer needs for it, and what
    /// [`weigh`](super::QueueBuilder::weigh) says of it.
    pub fn capacity_bytes(mut self, bytes: u64) -> Self {
        self.capacity_bytes = bytes;
        self
    }

    /// Of maps: so many versions are remembered of keys of which nothing waits and nothing is in flight, in equal shares of
    /// the partitions: as many as the capacity. What was processed longest ago is forgotten first, and counted.
    pub fn versions_max(mut self, versions: usize) -> Self {
        self.versions_max = Some(versions);
        self
    }

    /// What the threads are called: `buffer`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the option of this name, as in a file or in the environment. Times are whole milliseconds; `max`
    /// is the largest value.
    ///
    /// # Errors
    ///
    /// If there is no such option, or the value is none. Nothing has changed then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), OptionsError> {
        let number = || match value.trim() {
            "max" => Ok(u64::MAX),
            digits => digits.parse().map_err(|_| OptionsError::Value {
                name: name.to_owned(),
                value: value.to_owned(),
                wanted: "a whole number, or `max`",
            }),
        };
        let items = || number().map(|items| usize::try_from(items).unwrap_or(usize::MAX));
        let time = || match number() {
            Ok(u64::MAX) => Ok(Duration::MAX),
            other => other.map(Duration::from_millis),
        };
        match name {
            "batch_size" => self.batch_size = items()?,
            "interval_ms" => self.interval = time()?,
            "time_out_ms" => self.time_out = time()?,
            "tries" => self.tries = u32::try_from(number()?).unwrap_or(u32::MAX),
            "backoff_ms" => self.backoff = time()?,
            "backoff_max_ms" => self.backoff_max = time()?,
            "after_time_out" => {
                self.after_time_out = match value.trim() {
                    "set_aside" => AfterTimeOut::SetAside,
                    "retry" => AfterTimeOut::Retry,
                    _ => {
                        return Err(OptionsError::Value {
                            name: name.to_owned(),
                            value: value.to_owned(),
                            wanted: "`set_aside` or `retry`",
                        });
                    }
                }
            }
            "dead_letters_max" => self.dead_letters_max = items()?,
            "partitions" => self.partitions = items()?,
            "workers" => self.workers = items()?,
            "hung_max" => self.hung_max = items()?,
            "capacity" => self.capacity = items()?,
            "capacity_bytes" => self.capacity_bytes = number()?,
            "versions_max" => self.versions_max = Some(items()?),
            "name" => value.clone_into(&mut self.name),
            _ => return Err(OptionsError::Unknown(name.to_owned())),
        }
        Ok(())
    }

    /// Whether it can be so.
    pub(crate) fn check(&self, kind: Kind) -> Result<(), OptionsError> {
        let range = |name, value: u64, least: u64, most: u64| {
            let is_within = (least..=most).contains(&value);
            is_within.then_some(()).ok_or(OptionsError::Range { name, value, least, most })
        };
        range("batch_size", self.batch_size as u64, 1, u64::MAX)?;
        range("tries", self.tries.into(), 1, u32::MAX.into())?;
        range("partitions", self.partitions as u64, 1, PARTITIONS_MAX as u64)?;
        range("workers", self.workers as u64, 1, self.partitions as u64)?;
        range("hung_max", self.hung_max as u64, 1, 1024)?;
        range("capacity", self.capacity as u64, 1, ITEMS_MAX as u64)?;
        range("capacity_bytes", self.capacity_bytes, 16, BYTES_MAX)?;
        let contradiction = |what| Err(OptionsError::Contradiction(what));
        if self.interval.is_zero() || self.time_out.is_zero() {
            return contradiction(
                "`interval` and `time_out` are longer than 0: take 1 ms for what is to be at once",
            );
        }
        if self.batch_size > self.capacity && self.batch_size != ALL {
            return contradiction(
                "a batch of `batch_size` items would never be full, since `capacity` is smaller: take `ALL`, or a larger capacity",
            );
        }
        if self.backoff > self.backoff_max {
            return contradiction("`backoff` is longer than `backoff_max`: raise the latter");
        }
        if kind == Kind::Queue && self.versions_max.is_some() {
            return contradiction("`versions_max` is for maps: a queue has no versions");
        }
        Ok(())
    }

    /// Whether a buffer that works like this can work like that.
    pub(crate) fn check_change(&self, to: &Self) -> Result<(), OptionsError> {
        let fixed = [
            ("partitions", self.partitions == to.partitions),
            ("workers", self.workers == to.workers),
            ("hung_max", self.hung_max == to.hung_max),
            ("capacity", self.capacity == to.capacity),
            ("capacity_bytes", self.capacity_bytes == to.capacity_bytes),
            ("versions_max", self.versions_max == to.versions_max),
            ("name", self.name == to.name),
        ];
        match fixed.iter().find(|(_, is_same)| !is_same) {
            Some((name, _)) => Err(OptionsError::Fixed(name)),
            None => Ok(()),
        }
    }

    /// How long after so many attempts the next one begins.
    pub(crate) fn backoff_after(&self, attempts: u32) -> Duration {
        let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(doubled).min(self.backoff_max)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Queue,
    Map,
}

/// Why a buffer cannot work like that.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionsError {
    /// There is no option of this name.
    Unknown(String),
    /// The text is no value of this option.
    Value {
        /// The option.
        name: String,
        /// The text.
        value: String,
        /// What would be one.
        wanted: &'static str,
    },
    /// A number is too small or too large.
    Range {
        /// The option.
        name: &'static str,
        /// What was asked for.
        value: u64,
        /// The smallest that would do.
        least: u64,
        /// The largest that would do.
        most: u64,
    },
    /// Two options cannot both be so.
    Contradiction(&'static str),
    /// This option cannot change while the buffer works.
    Fixed(&'static str),
}

const NAMES: &str = "batch_size, interval_ms, time_out_ms, tries, backoff_ms, backoff_max_ms, after_time_out, dead_letters_max, \
                     partitions, workers, hung_max, capacity, capacity_bytes, versions_max, name";

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(f, "there is no option {name:?}: take one of {NAMES}")
            }
            Self::Value { name, value, wanted } => {
                write!(f, "{value:?} is no value of the option `{name}`: take {wanted}")
            }
            Self::Range { name, value, least, most } => {
                write!(f, "the option `{name}` cannot be {value}: take {least} to {most}")
            }
            Self::Contradiction(what) => f.write_str(what),
            Self::Fixed(name) => write!(
                f,
                "the option `{name}` cannot change while the buffer works: close it, and make another one"
            ),
        }
    }
}

impl std::error::Error for OptionsError {}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_and_says_what_could() {
        let options = Options::new;
        for (refused, said) in [
            (options().batch_size(0), "`batch_size` cannot be 0: take 1 to"),
            (options().tries(0), "`tries` cannot be 0"),
            (options().partitions(0), "`partitions` cannot be 0: take 1 to 1024"),
            (options().partitions(1025), "`partitions` cannot be 1025"),
            (options().partitions(2).workers(3), "`workers` cannot be 3: take 1 to 2"),
            (options().workers(0), "`workers` cannot be 0"),
            (options().hung_max(0), "`hung_max` cannot be 0"),
            (options().capacity(0), "`capacity` cannot be 0"),
            (options().capacity_bytes(15), "`capacity_bytes` cannot be 15: take 16 to"),
            (options().capacity_bytes(BYTES_MAX + 1), "`capacity_bytes` cannot be"),
            (options().interval(Duration::ZERO), "longer than 0"),
            (options().time_out(Duration::ZERO), "longer than 0"),
            (options().capacity(9).batch_size(10), "would never be full"),
            (options().backoff(Duration::from_secs(11)), "raise the latter"),
            (options().versions_max(1), "is for maps"),
        ] {
            let error = refused.check(Kind::Queue).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(options().capacity(9).batch_size(9).check(Kind::Queue), Ok(()));
        assert_eq!(options().capacity(9).batch_size(ALL).check(Kind::Queue), Ok(()));
        assert_eq!(options().versions_max(1).check(Kind::Map), Ok(()));
    }

    #[test]
    fn each_option_is_set_by_its_name() {
        let mut set = Options::new();
        for name in NAMES.split(',').map(str::trim) {
            let value = match name {
                "after_time_out" => "retry",
                "time_out_ms" => "max",
                _ => "7",
            };
            let before = set.clone();
            set.set(name, value).unwrap();
            assert_ne!(set, before, "{name}");
            let bad = if name == "name" { continue } else { "-1" };
            let error = set.set(name, bad).unwrap_err();
            assert!(error.to_string().starts_with("\"-1\" is no value of the option"), "{error}");
        }
        let seven = Duration::from_millis(7);
        let wanted = Options::new()
            .batch_size(7)
            .interval(seven)
            .time_out(Duration::MAX)
            .tries(7)
            .backoff(seven)
            .backoff_max(seven)
            .after_time_out(AfterTimeOut::Retry)
            .dead_letters_max(7)
            .partitions(7)
            .workers(7)
            .hung_max(7)
            .capacity(7)
            .capacity_bytes(7)
            .versions_max(7)
            .name("7");
        assert_eq!(set, wanted);
        assert_eq!(set.set("sise", "1"), Err(OptionsError::Unknown("sise".into())));
    }

    #[test]
    fn what_is_fixed_cannot_change() {
        let now = Options::new();
        let (partitions, seven) = (now.partitions, Duration::from_secs(7));
        for (to, name) in [
            (now.clone().partitions(partitions + 1), "partitions"),
            (now.clone().workers(7), "workers"),
            (now.clone().hung_max(7), "hung_max"),
            (now.clone().capacity(7), "capacity"),
            (now.clone().capacity_bytes(77), "capacity_bytes"),
            (now.clone().versions_max(7), "versions_max"),
            (now.clone().name("7"), "name"),
        ] {
            assert_eq!(now.check_change(&to), Err(OptionsError::Fixed(name)));
        }
        let to = now.clone().batch_size(7).interval(seven).time_out(seven).tries(7).backoff(seven);
        let to = to.backoff_max(seven).after_time_out(AfterTimeOut::Retry).dead_letters_max(7);
        assert_eq!(now.check_change(&to), Ok(()));
    }

    #[test]
    fn the_backoff_doubles_up_to_its_bound() {
        let options = Options::new();
        let waits: Vec<u128> =
            (1..9).map(|attempts| options.backoff_after(attempts).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
        assert_eq!(options.backoff_after(u32::MAX), options.backoff_max);
    }
}
