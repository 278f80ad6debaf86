//! Time: raw ticks on the application's threads, nanoseconds in the writer.
//!
//! The processor's counter is read where the kernel itself trusts it: on x86-64 the time-stamp counter, if it is
//! invariant and the kernel's own clock source, on aarch64 the virtual counter, if it is that. A system's monotonic
//! clock serves elsewhere. A recorded
//! span carries raw ticks. The writer turns them into nanoseconds on a [`Timeline`]: straight
//! pieces between anchors, each a pair of readings of both clocks, renewed about once a second.
//! The pieces join without a step and are never changed afterwards, so that a parent that began an
//! hour ago still encloses its child to the nanosecond.
//!
//! # When the counter jumps
//!
//! After the machine has slept, or was moved to another host, the counter may go on from another
//! number: a higher one, or a lower one. Two readings of both clocks, one before and one after, tell how
//! far it has jumped, though not when. Where the numbers that it has passed over, or that come a second
//! time, can be told from those of the time between the readings, every moment is known as exactly as
//! before, also the length of a span that was open meanwhile. Where they cannot, these rules hold:
//!
//! * the numbers between two readings that are farther apart than the time between them, but not by
//!   more than that time again, are spread evenly over it;
//! * a number that the counter has shown twice means the later time, unless the span that
//!   has begun then has ended before: that one has begun at the earlier time, and if there is none
//!   either, when it ended; one that it has yet to show a second time means the earlier time;
//! * the time inside such a span is never more than the span lasted; an entry during which the counter
//!   went back counts as no time.
//!
//! The time that the machine has slept is no part of a span if the system's monotonic clock does not
//! count it; Linux's does not.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spandrel_ring::timestamp;

#[cfg(feature = "crash-proof")]
use crate::recorder::ring_file::pieces::{PieceSaid, Pieces};

/// Where ticks come from.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    has_counter: bool,
    /// Zero of the run in the monotonic clock.
    origin: Instant,
    /// The same moment in ticks.
    origin_ticks: u64,
}

impl Clock {
    /// Chooses the clock of this machine and sets its zero to now.
    pub(crate) fn start() -> Self {
        Self::with_source(timestamp::AVAILABLE && kernel_trusts_counter())
    }

    /// That of another process that runs on this machine since it was started, of what its ring file's header says; `None`
    /// if it is not a clock that this process can read.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn of_another(kind: u64, anchors: &[u64; 8]) -> Option<Self> {
        use crate::recorder::ring_file::layout::{anchors, clock};
        let has_counter = kind != clock::MONOTONIC;
        if has_counter && Self::start().anchors().0 != kind {
            return None;
        }
        let since = spandrel_ring::file::monotonic_ns()
            .checked_sub(anchors[anchors::ORIGIN_MONOTONIC_NS])?;
        let origin = Instant::now().checked_sub(Duration::from_nanos(since))?;
        Some(Self { has_counter, origin, origin_ticks: anchors[anchors::ORIGIN_TICKS] })
    }

    fn with_source(has_counter: bool) -> Self {
        let mut clock = Self { has_counter, origin: Instant::now(), origin_ticks: 0 };
        if has_counter {
            let (ticks, ns) = clock.read_both();
            clock.origin += Duration::from_nanos(ns as u64);
            clock.origin_ticks = ticks;
        }
        clock
    }

    /// Now, in ticks of an unknown rate.
    #[inline(always)]
    pub(crate) fn ticks(&self) -> u64 {
        if self.has_counter { timestamp::read() } else { self.monotonic_ns() as u64 }
    }

    /// Whether ticks are the processor's counter, so that [`timestamp::read`] is as good.
    pub(crate) fn is_counter(&self) -> bool {
        self.has_counter
    }

    /// The name in column `run.clock`.
    pub(crate) fn name(&self) -> &'static str {
        match self.has_counter {
            true if cfg!(target_arch = "aarch64") => "cntvct",
            true => "tsc",
            false => "monotonic",
        }
    }

    /// Zero of the run in the system's time (wall clock). The best of several tries: an interruption
    /// between the two readings makes it too late, nothing makes it too early.
    pub(crate) fn origin_unix(&self) -> Duration {
        let read = || {
            let since_origin = self.origin.elapsed();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            #[cfg(test)]
            let now = now.saturating_sub(tests::SLOW_BY.get());
            now.saturating_sub(since_origin)
        };
        (0..8).map(|_| read()).min().unwrap_or_default()
    }

    /// The kind of this clock and what turns its ticks into times, as a ring file's header has them.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn anchors(&self) -> (u64, [u64; 8]) {
        use crate::recorder::ring_file::layout::{anchors, clock};
        let kind = match self.name() {
            "tsc" => clock::TSC,
            "cntvct" => clock::CNTVCT,
            _ => clock::MONOTONIC,
        };
        let since = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut words = [0; 8];
        words[anchors::ORIGIN_TICKS] = self.origin_ticks;
        let unix = u64::try_from(self.origin_unix().as_nanos());
        words[anchors::ORIGIN_UNIX_NS] = unix.unwrap_or(u64::MAX);
        let monotonic = spandrel_ring::file::monotonic_ns();
        words[anchors::ORIGIN_MONOTONIC_NS] = monotonic.saturating_sub(since);
        (kind, words)
    }

    fn monotonic_ns(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    /// Both clocks at the same moment: ticks, and nanoseconds since the start of the run. The best of
    /// several tries: an interruption between the readings spoils one.
    fn read_both(&self) -> (u64, i64) {
        if !self.has_counter {
            let ns = self.monotonic_ns();
            return (ns as u64, ns);
        }
        let mut best = (u64::MAX, 0, 0);
        for _ in 0..8 {
            let before = timestamp::read();
            let ns = self.monotonic_ns();
            let width = timestamp::read().wrapping_sub(before);
            if width < best.0 {
                best = (width, before.wrapping_add(width / 2), ns);
            }
        }
        (best.1, best.2)
    }
}

/// Whether Linux uses the counter as its own clock. On x86-64 the kernel compares it with other clocks
/// and gives it up when it drifts; there the processor must call it invariant, too. On aarch64 it always
/// is.
fn kernel_trusts_counter() -> bool {
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let counter = if cfg!(target_arch = "aarch64") { "arch_sys_counter" } else { "tsc" };
    if !std::fs::read_to_string(source).is_ok_and(|name| name.trim() == counter) {
        return false;
    }
    cfg!(target_arch = "aarch64")
        || std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| {
            text.lines().find(|line| line.starts_with("flags")).is_some_and(|flags| {
                let has = |flag| flags.split_ascii_whitespace().any(|word| word == flag);
                has("constant_tsc") && has("nonstop_tsc")
            })
        })
}

/// A straight piece of the timeline; it ends at the `ticks` of the next one.
#[derive(Debug, Clone, Copy)]
struct Piece {
    ticks: u64,
    ns: i64,
    rate: Rate,
}

impl Piece {
    #[inline(always)]
    fn at(&self, ticks: u64) -> i64 {
        self.ns.saturating_add(self.rate.ns(ticks.saturating_sub(self.ticks)))
    }

    /// The same for ticks from its own up to [`in_range`](Self::in_range): the sum does not overflow.
    #[inline(always)]
    fn at_in_range(&self, ticks: u64) -> i64 {
        self.ns.wrapping_add(self.rate.ns_in_range(ticks.wrapping_sub(self.ticks)))
    }

    /// Up to these ticks nanoseconds fit into `i64`: 292 years.
    fn in_range(&self) -> u64 {
        self.ticks.saturating_add(self.rate.ticks(i64::MAX - self.ns.max(0)))
    }
}

/// The piece that was used last. Most moments are close to the one before.
#[derive(Debug, Clone, Copy)]
struct Recent {
    piece: Piece,
    /// Where it ends.
    end: u64,
    /// The same, or the end of its [range](Piece::in_range).
    end_in_range: u64,
}

impl Recent {
    fn new(piece: Piece, end: u64) -> Self {
        Self { piece, end, end_in_range: end.min(piece.in_range()) }
    }
}

/// Nanoseconds a tick, in units of 2^-40: a multiplication and a shift. Exact for a clock that ticks in
/// nanoseconds. For others, off by a nanosecond after a quarter of an hour; pieces are shorter than that
/// in the first weeks, and their ends are measured anew anyway.
#[derive(Debug, Clone, Copy)]
struct Rate(u64);

/// One nanosecond a tick is 2 to the power of this.
pub(crate) const RATE_SHIFT: u32 = 40;

impl Rate {
    /// From any positive rate. The rate of a real clock does not overflow.
    fn new(ns_per_tick: f64) -> Self {
        Self((ns_per_tick * (1_u64 << RATE_SHIFT) as f64).round() as u64)
    }

    #[inline(always)]
    fn ns(self, ticks: u64) -> i64 {
        // A damaged record of a slow counter may have more ticks than 292 years.
        let ns = (u128::from(ticks) * u128::from(self.0)) >> RATE_SHIFT;
        i64::try_from(ns).unwrap_or(i64::MAX)
    }

    /// The same if it is known that there are not so many ticks.
    #[inline(always)]
    fn ns_in_range(self, ticks: u64) -> i64 {
        ((u128::from(ticks) * u128::from(self.0)) >> RATE_SHIFT) as i64
    }

    /// How many ticks take so many nanoseconds.
    fn ticks(self, ns: i64) -> u64 {
        let ns = u128::from(ns.max(0).cast_unsigned());
        u64::try_from((ns << RATE_SHIFT) / u128::from(self.0.max(1))).unwrap_or(u64::MAX)
    }

    /// The rate at which so many ticks take so many nanoseconds.
    fn stretched(self, ns: i64, ticks: u64) -> Self {
        if ticks == 0 { self } else { Self::new(ns as f64 / ticks as f64) }
    }
}

/// The time between two restarts of the counter.
#[derive(Debug, Clone, Copy)]
struct Era {
    /// The index of its first piece.
    first: usize,
    /// The last ticks that may belong to it; for the newest era, those of the last reading.
    last_ticks: u64,
}

/// Turns ticks into nanoseconds since the start of the run.
#[derive(Debug)]
pub(crate) struct Timeline {
    clock: Clock,
    /// Never empty; in the order of ticks within an era. In the first half hour there is a piece each
    /// second; then they become longer and longer, so that a year needs some 20,000.
    pieces: Vec<Piece>,
    /// Never empty; the newest one last.
    eras: Vec<Era>,
    /// The last time that both clocks were read.
    reading: (u64, i64),
    /// What the counter would have shown at the start of the run, if it had not jumped since.
    origin_ticks: u64,
    /// Whether it has jumped.
    has_jumped: bool,
    recent: Cell<Recent>,
    /// Where pieces are kept for whoever reads when this process is gone.
    #[cfg(feature = "crash-proof")]
    kept: Option<Pieces>,
    /// It is that of a process that is gone: no clock is asked.
    #[cfg(feature = "crash-proof")]
    is_dead: bool,
}

/// The first rate is measured over at least this long.
const FIRST_PIECE: Duration = Duration::from_millis(10);
const PIECE_NS_MIN: i64 = 1_000_000_000;
const PIECES_PER_UPTIME: i64 = 2048;
/// A difference between the clocks that cannot be drift: the machine was suspended, or moved to another
/// host.
const STEP_NS: i64 = 1_000_000;
/// But if it is less than this part of the time between two readings, it may be drift.
const DRIFT_PART: i64 = 256;
/// How much faster or slower than measured a piece may run, to meet the clock again.
const STEERING_MAX: f64 = 0.0005;
/// How much later than the last reading ticks may be, if they can only belong to the newest era.
const AHEAD_NS: i64 = 60_000_000_000;
/// The same if they may belong to an older era: far more than the counters of two processors differ by.
/// What is converted was drained before that reading.
const SKEW_NS: i64 = 1_000_000;
/// Most eras that are told apart. With more restarts the counter is of little use anyway.
const ERAS_MAX: usize = 64;

impl Timeline {
    /// Measures the rate of the ticks.
    ///
    /// # Blocking
    ///
    /// Until the clock has run for 10 ms.
    pub(crate) fn start(clock: Clock) -> Self {
        if clock.has_counter {
            while let Some(rest) = FIRST_PIECE.checked_sub(clock.origin.elapsed())
                && !rest.is_zero()
            {
                std::thread::sleep(rest);
            }
        }
        let reading = clock.read_both();
        Self::new(clock, reading)
    }

    fn new(clock: Clock, (ticks, ns): (u64, i64)) -> Self {
        let ns_per_tick = rate(ticks.saturating_sub(clock.origin_ticks), ns);
        let first = Piece { ticks: clock.origin_ticks, ns: 0, rate: Rate::new(ns_per_tick) };
        Self {
            origin_ticks: clock.origin_ticks,
            clock,
            pieces: vec![first],
            eras: vec![Era { first: 0, last_ticks: ticks }],
            reading: (ticks, ns),
            has_jumped: false,
            recent: Cell::new(Recent::new(first, u64::MAX)),
            #[cfg(feature = "crash-proof")]
            kept: None,
            #[cfg(feature = "crash-proof")]
            is_dead: false,
        }
    }

    /// From now on its pieces are kept there, too.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn keep_in(&mut self, pieces: Pieces) {
        self.kept = Some(pieces);
        self.keep(self.last());
    }

    /// Keeps the newest piece.
    #[cfg(feature = "crash-proof")]
    fn keep(&mut self, piece: Piece) {
        let Some(kept) = &mut self.kept else { return };
        let newest = self.eras.len() - 1;
        let begins_era = newest > 0 && self.eras[newest].first + 1 == self.pieces.len();
        let era_ended = if begins_era { self.eras[newest - 1].last_ticks } else { 0 };
        let Piece { ticks, ns, rate } = piece;
        kept.keep(PieceSaid { ticks, ns, rate: rate.0, era_ended });
    }

    /// The timeline of a process that is gone, of the clock's origin and of the pieces that it has kept; ticks before them
    /// are on a straight line from the origin. A process that was killed before it had any has none: then
    /// `ns_per_tick` is asked. What is [now](Self::now_ns) it has to be [told](Self::end_at).
    #[cfg(feature = "crash-proof")]
    pub(crate) fn of_dead(
        has_counter: bool,
        origin_ticks: u64,
        kept: &[PieceSaid],
        ns_per_tick: impl FnOnce() -> f64,
    ) -> Self {
        let clock = Clock { has_counter, origin: Instant::now(), origin_ticks };
        let mut pieces = Vec::with_capacity(kept.len() + 1);
        let mut eras = vec![Era { first: 0, last_ticks: u64::MAX }];
        match kept.first() {
            // From the origin to the first that is there, if no era has ended between the two.
            Some(first) if first.ticks > origin_ticks && first.ns > 0 => {
                let rate = Rate::new(rate(first.ticks - origin_ticks, first.ns));
                pieces.push(Piece { ticks: origin_ticks, ns: 0, rate });
            }
            Some(_) => {}
            None => {
                let rate = if has_counter { ns_per_tick() } else { 1.0 };
                pieces.push(Piece { ticks: origin_ticks, ns: 0, rate: Rate::new(rate) });
            }
        }
        for (n, piece) in kept.iter().enumerate() {
            if piece.era_ended > 0 && n > 0 {
                eras.last_mut().into_iter().for_each(|era| era.last_ticks = piece.era_ended);
                eras.push(Era { first: pieces.len(), last_ticks: u64::MAX });
            }
            pieces.push(Piece { ticks: piece.ticks, ns: piece.ns, rate: Rate(piece.rate) });
        }
        let last = pieces[pieces.len() - 1];
        // What was recorded after the last piece is within a second of it, or much later where nothing was: there is no
        // reading that would bound it.
        Self {
            origin_ticks,
            clock,
            reading: (last.ticks, last.ns),
            has_jumped: eras.len() > 1,
            recent: Cell::new(Recent::new(last, u64::MAX)),
            pieces,
            eras,
            kept: None,
            is_dead: true,
        }
    }

    /// The last moment of a process that is gone, as far as it is known.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn end_at(&mut self, ticks: u64) {
        let (last_ticks, last_ns) = self.reading;
        let ns = self.find_in(self.eras.len() - 1, ticks.max(last_ticks));
        self.reading = (ticks.max(last_ticks), ns.max(last_ns));
        self.newest().last_ticks = self.reading.0;
        self.recent.set(Recent::new(self.last(), self.end()));
    }

    /// Whether the counter has ever jumped, so that ticks cannot be subtracted from each other.
    #[inline]
    pub(crate) fn has_jumped(&self) -> bool {
        self.has_jumped
    }

    fn last(&self) -> Piece {
        self.pieces[self.pieces.len() - 1]
    }

    fn newest(&mut self) -> &mut Era {
        let last = self.eras.len() - 1;
        &mut self.eras[last]
    }

    /// Reads both clocks. Begins a new piece if the last one has become long enough, or if the counter
    /// has jumped. All ticks that were converted so far are before the new piece; those that are
    /// converted next were taken before.
    pub(crate) fn renew(&mut self) {
        #[cfg(feature = "crash-proof")]
        if self.is_dead {
            return;
        }
        if self.clock.has_counter {
            let (ticks, ns) = self.clock.read_both();
            self.renew_at(ticks, ns);
        }
    }

    fn renew_at(&mut self, ticks: u64, ns: i64) {
        let (last_ticks, last_ns) = self.reading;
        // The monotonic clock itself never goes back.
        let passed_ns = (ns - last_ns).max(0);
        let passed = self.last().rate.ticks(passed_ns);
        let jump = i128::from(ticks) - i128::from(last_ticks) - i128::from(passed);
        let jump_ns = self.last().rate.ns(u64::try_from(jump.unsigned_abs()).unwrap_or(u64::MAX));
        let has_stood = jump < 0 && ticks >= last_ticks;
        if jump_ns > STEP_NS.max(passed_ns / DRIFT_PART) && !has_stood {
            self.jump(jump, passed, (ticks, ns));
        } else {
            self.go_on(ticks, ns);
        }
        self.reading = (ticks, ns.max(last_ns));
        self.newest().last_ticks = ticks;
        if self.eras.len() > 1 {
            self.recent.set(Recent::new(self.last(), self.end()));
        }
    }

    /// Begins a new piece if the last one has become long enough.
    fn go_on(&mut self, ticks: u64, ns: i64) {
        let last = self.last();
        let length = PIECE_NS_MIN.max(ns / PIECES_PER_UPTIME);
        if ns - last.ns < length || ticks <= last.ticks {
            return;
        }
        let predicted = last.at(ticks);
        let error = ns - predicted;
        let measured = rate(ticks.wrapping_sub(self.origin_ticks), ns);
        let piece = if error > STEP_NS {
            Piece { ticks, ns, rate: Rate::new(measured) }
        } else {
            let steering = (error as f64 / length as f64).clamp(-STEERING_MAX, STEERING_MAX);
            Piece { ticks, ns: predicted, rate: Rate::new(measured * (1.0 + steering)) }
        };
        self.push(piece);
    }

    /// The counter has jumped by so many ticks since the last reading, in addition to the `passed` ones.
    #[cold]
    fn jump(&mut self, jump: i128, passed: u64, (ticks, ns): (u64, i64)) {
        let (last_ticks, _) = self.reading;
        let (before, rate) = (self.last().at(last_ticks), self.last().rate);
        // Not back, even if the pieces were ahead of the clock.
        let ns = ns.max(before);
        self.has_jumped = true;
        self.origin_ticks = self.origin_ticks.wrapping_add(jump as u64);
        if jump < 0 {
            self.newest().last_ticks = last_ticks.saturating_add(passed);
            if self.eras.len() == ERAS_MAX {
                self.eras.remove(0);
            }
            self.eras.push(Era { first: self.pieces.len(), last_ticks: ticks });
        } else if jump <= i128::from(passed) {
            let slow = rate.stretched(ns - before, ticks - last_ticks);
            self.push(Piece { ticks: last_ticks, ns: before, rate: slow });
            return self.push(Piece { ticks, ns, rate });
        }
        // As if it had jumped right after the last reading. Ticks from before are smaller, or belong to
        // another era.
        let start = ticks.saturating_sub(passed);
        self.push(Piece { ticks: start, ns: ns - rate.ns(ticks - start), rate });
    }

    fn push(&mut self, piece: Piece) {
        self.pieces.push(piece);
        #[cfg(feature = "crash-proof")]
        self.keep(piece);
        self.recent.set(Recent::new(piece, self.end()));
    }

    /// The end of the newest piece, as far as the counter is known to have come.
    fn end(&self) -> u64 {
        if self.eras.len() == 1 { u64::MAX } else { self.ahead(SKEW_NS) }
    }

    /// The ticks so long after the last reading.
    fn ahead(&self, ns: i64) -> u64 {
        self.reading.0.saturating_add(self.last().rate.ticks(ns))
    }

    /// Ticks of a second, as far as it is known.
    pub(crate) fn ticks_per_second(&self) -> u64 {
        self.last().rate.ticks(1_000_000_000)
    }

    /// How many ticks so many nanoseconds are, at the present rate.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn ticks_of(&self, ns: i64) -> u64 {
        self.last().rate.ticks(ns)
    }

    /// Nanoseconds since the start of the run.
    #[inline]
    pub(crate) fn ns(&self, ticks: u64) -> i64 {
        let Recent { piece, end, .. } = self.recent.get();
        if piece.ticks <= ticks && ticks < end { piece.at(ticks) } else { self.find(ticks) }
    }

    /// The same for several moments in their order, where those before the last one are as of
    /// [`start_ns`](Self::start_ns). `None` if they are not all in the piece that was used last.
    #[inline]
    pub(crate) fn all_ns<const N: usize>(&self, ticks: [u64; N]) -> Option<[i64; N]> {
        let Recent { piece, end_in_range, .. } = self.recent.get();
        let is_in_order = ticks.is_sorted();
        let is_here = ticks.first()? >= &piece.ticks && ticks.last()? < &end_in_range;
        (is_in_order && is_here).then(|| ticks.map(|ticks| piece.at_in_range(ticks)))
    }

    /// The same for the start of something that ended at `end_ns`; never later than that.
    #[inline]
    pub(crate) fn start_ns(&self, ticks: u64, end_ns: i64) -> i64 {
        let ns = self.ns(ticks);
        if ns <= end_ns { ns } else { self.find_before(ticks, end_ns) }
    }

    #[cold]
    fn find(&self, ticks: u64) -> i64 {
        let newest = self.eras.len() - 1;
        let begins = |era: usize| self.pieces[self.eras[era].first].ticks;
        let is_of = |era: usize, last: u64| begins(era) <= ticks && ticks <= last;
        if is_of(newest, self.end()) {
            return self.find_in(newest, ticks);
        }
        if let Some(era) = (0..newest).rev().find(|era| is_of(*era, self.eras[*era].last_ticks)) {
            return self.find_in(era, ticks);
        }
        // Ticks of no era are a little late; or they are before the first piece (a reading on another
        // processor, some ns early), and mean the beginning.
        if ticks < begins(newest) {
            return self.find_in(0, ticks);
        }
        self.find_in(newest, ticks.min(self.ahead(AHEAD_NS)))
    }

    #[cold]
    fn find_before(&self, ticks: u64, end_ns: i64) -> i64 {
        let older =
            (0..self.eras.len() - 1).rev().filter(|era| ticks <= self.eras[*era].last_ticks);
        older.map(|era| self.find_in(era, ticks)).find(|ns| *ns <= end_ns).unwrap_or(end_ns)
    }

    fn find_in(&self, era: usize, ticks: u64) -> i64 {
        let first = self.eras[era].first;
        let end = self.eras.get(era + 1).map_or(self.pieces.len(), |next| next.first);
        let pieces = &self.pieces[first..end];
        let after = pieces.partition_point(|piece| piece.ticks <= ticks);
        let piece = pieces[after.saturating_sub(1)];
        if era + 1 == self.eras.len() {
            // If the counter has jumped, this piece does not end where the next one begins.
            let end = pieces.get(after).map_or_else(|| self.end(), |next| next.ticks);
            self.recent.set(Recent::new(piece, end));
        }
        piece.at(ticks)
    }

    /// The length of so many ticks, at the present rate.
    #[inline]
    pub(crate) fn length_ns(&self, ticks: u64) -> i64 {
        self.last().rate.ns(ticks)
    }

    /// Now; never earlier than the last reading. Right even if the counter has jumped since: nothing
    /// renews the timeline while nothing is recorded.
    pub(crate) fn now_ns(&self) -> i64 {
        #[cfg(feature = "crash-proof")]
        if self.is_dead {
            return self.reading.1;
        }
        let (by_ticks, ns) = (self.last().at(self.clock.ticks()), self.clock.monotonic_ns());
        let agree = by_ticks.abs_diff(ns) <= STEP_NS.unsigned_abs();
        (if agree { by_ticks } else { ns }).max(self.reading.1)
    }
}

fn rate(ticks: u64, ns: i64) -> f64 {
    if ticks == 0 || ns <= 0 { 1.0 } else { ns as f64 / ticks as f64 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    thread_local! {
        /// By how much the system's time is slow when a test asks for the start of a run on this thread.
        pub(crate) static SLOW_BY: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    fn timeline(ns_per_tick: f64) -> Timeline {
        let clock = Clock { has_counter: true, origin: Instant::now(), origin_ticks: 1_000 };
        Timeline::new(clock, (1_000 + 1_000_000_000, (1e9 * ns_per_tick) as i64))
    }

    #[test]
    fn ticks_beyond_the_end_of_time_are_its_end_and_no_negative_moment() {
        // As 25 MHz on aarch64.
        let piece = Piece { ticks: 0, ns: 7, rate: Rate::new(40.0) };
        assert_eq!(piece.at(1_000), 40_007);
        assert_eq!(piece.at(u64::MAX), i64::MAX);
    }

    #[test]
    fn moments_beyond_the_end_of_time_are_what_each_is_alone() {
        let timeline = timeline(40.0);
        let end = i64::MAX as u64 / 40;
        let mut together = 0;
        for last in
            [S as u64, end - 2_000, end, end + 1_001, end + 9_999, u64::MAX / 3, u64::MAX - 1]
        {
            let ticks = [last - 9, last];
            if let Some(all) = timeline.all_ns(ticks) {
                assert_eq!(all, ticks.map(|ticks| timeline.ns(ticks)), "{last}");
                together += 1;
            }
        }
        assert!(together >= 2, "{together}");
    }

    #[test]
    fn ticks_agree_with_the_monotonic_clock() {
        for has_counter in [false, timestamp::AVAILABLE && kernel_trusts_counter()] {
            let timeline = Timeline::start(Clock::with_source(has_counter));
            let before = timeline.clock.monotonic_ns();
            let now = timeline.now_ns();
            let after = timeline.clock.monotonic_ns();
            let slack = 50_000; // 5 % of a millisecond would be far outside
            assert!(before - slack <= now && now <= after + slack, "{before} {now} {after}");
        }
    }

    #[test]
    fn a_drifting_counter_is_steered_back_and_never_runs_backwards() {
        // The counter is 0.4 per mille slower than first measured.
        let mut timeline = timeline(0.4);
        let true_ns = |ticks: u64| ((ticks - 1_000) as f64 * 0.4 * 1.0004) as i64;
        let mut last = (0, 0);
        for second in 1..600_u64 {
            let ticks = 1_000 + second * 2_500_000_000;
            let early = timeline.ns(ticks - 700);
            timeline.renew_at(ticks, true_ns(ticks));
            assert_eq!(timeline.ns(ticks - 700), early, "converted ticks never change");
            let now = (ticks, timeline.ns(ticks));
            assert!(now.1 > last.1);
            last = now;
        }
        assert!((last.1 - true_ns(last.0)).abs() < 2_000, "{last:?} {}", true_ns(last.0));
    }

    #[test]
    fn a_counter_that_stood_still_is_set_forward() {
        let mut timeline = timeline(1.0);
        timeline.renew_at(2_000_001_000, 2_000_000_000);
        timeline.renew_at(4_000_001_000, 64_000_000_000);
        assert_eq!(timeline.ns(4_000_001_000), 64_000_000_000);
        assert_eq!(timeline.ns(2_500_001_000), 2_500_000_000);
    }

    /// A second in nanoseconds; the counter's ticks are nanoseconds, too.
    const S: i64 = 1_000_000_000;

    /// A counter of nanoseconds that begins at 1,000 s, as after an uptime, and is read once a second.
    fn read_for(seconds: i64) -> Timeline {
        let clock =
            Clock { has_counter: true, origin: Instant::now(), origin_ticks: 1_000 * S as u64 };
        let mut timeline = Timeline::new(clock, (1_001 * S as u64, S));
        for second in 2..=seconds {
            timeline.renew_at((1_000 + second) as u64 * S as u64, second * S);
        }
        timeline
    }

    #[test]
    fn times_go_on_where_they_were_when_the_counter_restarts_lower() {
        let mut timeline = read_for(60);
        let ticks = |second: f64| (second * 1e9) as u64;
        let before =
            [1_000.0, 1_030.25, 1_060.0].map(|second| (second, timeline.ns(ticks(second))));
        // 0.4 s after the last reading the machine sleeps. The counter starts at zero, and is read after
        // 0.3 s.
        timeline.renew_at(ticks(0.3), 60 * S + S / 10 * 7);
        assert!(timeline.now_ns() >= 60 * S);
        for (second, ns) in before {
            assert_eq!(timeline.ns(ticks(second)), ns, "{second} s: what was converted stays");
        }
        assert_eq!(timeline.ns(ticks(1_060.4)), 60 * S + S / 10 * 4, "the last moment before");
        assert_eq!(timeline.ns(0), 60 * S + S / 10 * 4, "the first one after");
        let mut last = timeline.ns(ticks(0.3));
        for step in 1..5_000 {
            // Beyond the numbers that the counter has shown before.
            let second = f64::from(step) * 0.7;
            timeline.renew_at(ticks(0.3 + second), 60 * S + S / 10 * 7 + (second * 1e9) as i64);
            let now = timeline.ns(ticks(0.3 + second));
            assert!((now - last - S / 10 * 7).abs() < 1_000, "step {step}: {last}, then {now}");
            last = now;
        }
    }

    #[test]
    fn a_span_that_was_open_while_the_counter_restarted_has_its_true_length() {
        let mut timeline = read_for(60);
        timeline.renew_at(S as u64 / 10 * 3, 60 * S + S / 10 * 7);
        timeline.renew_at(S as u64 * 5, 65 * S + S / 10 * 4);
        let (start, end) = (1_050 * S as u64, 2 * S as u64);
        let end = timeline.ns(end);
        assert_eq!(end, 62 * S + S / 10 * 4);
        assert_eq!(timeline.start_ns(start, end), 50 * S);
        // Another one, which ends before those numbers mean anything in the new era.
        assert_eq!(timeline.start_ns(S as u64, timeline.ns(S as u64 * 2)), 61 * S + S / 10 * 4);
        assert!(timeline.has_jumped());
    }

    #[test]
    fn several_moments_at_once_are_what_each_is_alone() {
        let (early, late) = (1_001 * S as u64, 1_059 * S as u64);
        let mut jumped = read_for(60);
        jumped.renew_at(S as u64 / 10 * 3, 60 * S + S / 10 * 7);
        for timeline in [read_for(60), jumped] {
            let (mut together, mut apart) = (0, 0);
            for first in (early..late).step_by(S as usize / 10).chain([0, 7, S as u64]) {
                // In the piece that was used last, or in another one.
                let been = if first % 3 == 0 { early } else { first };
                _ = timeline.ns(been);
                for ticks in [[first, first, first + 7], [first, first + 9, first + 8]] {
                    let Some([start, middle, end]) = timeline.all_ns(ticks) else {
                        apart += 1;
                        continue;
                    };
                    together += 1;
                    assert!(ticks.is_sorted(), "{ticks:?}");
                    assert_eq!(end, timeline.ns(ticks[2]), "{ticks:?}");
                    assert_eq!(middle, timeline.start_ns(ticks[1], end), "{ticks:?}");
                    assert_eq!(start, timeline.start_ns(ticks[0], middle), "{ticks:?}");
                }
            }
            let has_jumped = timeline.has_jumped();
            assert!(apart > 580 && (has_jumped || together > 300), "{together}, {apart}");
        }
    }

    #[test]
    fn a_number_that_came_twice_means_no_time_that_was_not_over() {
        let mut timeline = read_for(60);
        // It restarts only 20 s lower: all numbers come a second time.
        timeline.renew_at(1_041 * S as u64, 61 * S);
        for second in 2..10_i64 {
            timeline.renew_at((1_040 + second) as u64 * S as u64, (60 + second) * S);
        }
        let end = timeline.ns(1_043 * S as u64);
        assert_eq!(end, 63 * S);
        assert_eq!(timeline.start_ns(1_042 * S as u64, end), 62 * S, "the later time");
        assert_eq!(timeline.start_ns(1_048 * S as u64, end), 48 * S, "it was not over");
        assert_eq!(timeline.start_ns(u64::MAX, end), end);
    }

    #[test]
    fn what_was_drained_after_the_counter_restarted_a_little_lower_is_not_of_the_future() {
        let mut timeline = read_for(60);
        let ticks = |second: f64| (second * 1e9) as u64;
        // It goes back 10 s at 60.5 s, which is noticed at 61 s; what was recorded before is converted
        // then.
        timeline.renew_at(ticks(1_051.0), 61 * S);
        assert_eq!(timeline.ns(ticks(1_060.25)), 60 * S + S / 4);
        assert_eq!(timeline.start_ns(ticks(1_060.2), timeline.ns(ticks(1_050.75))), 60 * S + S / 5);
        // Then forward, by 5 s at 62.5 s.
        timeline.renew_at(ticks(1_052.0), 62 * S);
        timeline.renew_at(ticks(1_058.0), 63 * S);
        assert_eq!(timeline.ns(ticks(1_052.25)), 62 * S + S / 4);
        assert_eq!(timeline.ns(ticks(1_057.75)), 62 * S + S / 4 * 3);
        // A number after the last reading means that time, unless an older era has it.
        assert_eq!(timeline.ns(ticks(1_065.0)), 70 * S);
        timeline.renew_at(ticks(1_060.25), 65 * S + S / 4);
        assert_eq!(timeline.ns(ticks(1_060.25)), 65 * S + S / 4);
    }

    #[test]
    fn now_is_now_though_the_counter_has_jumped_since_it_was_last_read() {
        // The real counter is hours away from these numbers.
        for uptime in [0, 60] {
            let mut timeline = read_for(60);
            timeline.clock.origin = Instant::now().checked_sub(Duration::from_secs(61)).unwrap();
            timeline.renew_at((1_060 - uptime) as u64 * S as u64, 60 * S);
            let before = timeline.clock.monotonic_ns();
            let now = timeline.now_ns();
            assert!(before <= now && now <= timeline.clock.monotonic_ns(), "{before}, {now}");
        }
    }

    #[test]
    fn a_jump_forward_adds_nothing_to_a_span() {
        let mut timeline = read_for(60);
        // Moved to a host whose counter is a day ahead, half a second after the last reading.
        let ahead = 86_400 * S as u64;
        let early = 1_060 * S as u64 + S as u64 / 4;
        assert_eq!(timeline.ns(early), 60 * S + S / 4);
        for second in 61..200_i64 {
            timeline.renew_at(ahead + (1_000 + second) as u64 * S as u64, second * S);
        }
        assert_eq!(timeline.ns(early), 60 * S + S / 4, "it stays");
        let late = ahead + 1_060 * S as u64 + S as u64 / 4 * 3;
        assert_eq!(timeline.ns(late), 60 * S + S / 4 * 3);
        let end = timeline.ns(ahead + 1_150 * S as u64);
        assert_eq!((end, timeline.start_ns(1_055 * S as u64, end)), (150 * S, 55 * S));
    }

    #[test]
    fn a_small_jump_forward_is_spread_evenly() {
        let mut timeline = read_for(60);
        timeline.renew_at(1_061 * S as u64 + S as u64 / 2, 61 * S);
        timeline.renew_at(1_062 * S as u64 + S as u64 / 2, 62 * S);
        let mut last = timeline.ns(1_059 * S as u64);
        for tenth in 1..35 {
            let now = timeline.ns(1_059 * S as u64 + tenth * (S as u64 / 10));
            assert!(now > last && now - last <= S / 10 + 1, "tenth {tenth}: {last}, then {now}");
            last = now;
        }
        assert!((timeline.ns(1_062 * S as u64 + S as u64 / 2) - 62 * S).abs() < 10);
    }

    #[test]
    fn a_counter_that_restarts_again_and_again_never_makes_time_go_back() {
        let mut timeline = read_for(60);
        let mut last = 60 * S;
        for restart in 0..1_000_i64 {
            for tenth in 1..=3 {
                let ns = 60 * S + (restart * 3 + tenth) * (S / 10);
                timeline.renew_at((tenth * (S / 10)) as u64, ns);
                let now = timeline.ns((tenth * (S / 10)) as u64);
                assert!(now > last && (now - ns).abs() < 1_000, "{restart}: {last}, then {now}");
                last = now;
            }
        }
        assert!(timeline.eras.len() <= ERAS_MAX);
    }

    #[test]
    fn ticks_before_the_run_are_its_start() {
        assert_eq!(timeline(0.4).ns(17), 0);
    }
}
