//! What is in a profile of a program that was killed, beside what its witness saw.

use std::fmt;

use super::program::{CLOSES, PER_EVENT, RECORDS, THREADS};
use super::witness::Witness;
use crate::database::Database;

/// What became of programs that were killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// So many were killed, and so many of them before there was a run.
    pub killed: u64,
    pub early: u64,
    /// Collectors that were killed.
    pub collectors: u64,
    /// Spans and events that the witnesses saw published.
    pub witnessed: u64,
    /// Those that are stored, and how many of them came out of the ring afterwards.
    pub stored: u64,
    pub recovered: u64,
    /// What was open, and is stored so.
    pub crashed: u64,
    pub faults: Faults,
}

/// None of these may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// A witness saw it published, and it is not there.
    pub missing: u64,
    /// It is there more than once.
    pub twice: u64,
    /// It is there, and was never begun.
    pub invented: u64,
    /// Spans that were open and are not there as such, or were not and are.
    pub open_wrong: u64,
    /// Runs whose ledger is not what is stored, or that contradict themselves.
    pub ledger_wrong: u64,
    pub unsound_files: u64,
    /// Whoever did not end.
    pub hangs: u64,
    pub rings_left: u64,
}

impl Tally {
    /// Of one that was killed, where whoever looked has not come back.
    pub fn hung() -> Self {
        Self { killed: 1, faults: Faults { hangs: 1, ..Faults::default() }, ..Self::default() }
    }

    pub fn add(&mut self, other: &Self) {
        let Self { killed, early, collectors, witnessed, stored, recovered, crashed, faults } =
            *other;
        self.killed += killed;
        self.early += early;
        self.collectors += collectors;
        self.witnessed += witnessed;
        self.stored += stored;
        self.recovered += recovered;
        self.crashed += crashed;
        let ours = &mut self.faults;
        ours.missing += faults.missing;
        ours.twice += faults.twice;
        ours.invented += faults.invented;
        ours.open_wrong += faults.open_wrong;
        ours.ledger_wrong += faults.ledger_wrong;
        ours.unsound_files += faults.unsound_files;
        ours.hangs += faults.hangs;
        ours.rings_left += faults.rings_left;
    }

    /// That nothing was wrong, and that there was something that could have been.
    pub fn assert_sound(&self) {
        assert_eq!(self.faults, Faults::default(), "{self}");
        assert!(self.witnessed > 0 && self.stored >= self.witnessed, "{self}");
        assert!(self.crashed > 0 || self.killed < 3, "nothing was ever open: {self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { killed, early, collectors, witnessed, stored, recovered, crashed, faults } =
            self;
        write!(f, "{killed} programs killed ({early} before there was a run)")?;
        if *collectors > 0 {
            write!(f, ", {collectors} collectors killed")?;
        }
        write!(f, "; {witnessed} spans and events witnessed, {stored} stored")?;
        if *recovered > 0 {
            write!(f, " ({recovered} spans out of rings)")?;
        }
        let Faults {
            missing,
            twice,
            invented,
            open_wrong,
            ledger_wrong,
            unsound_files,
            hangs,
            rings_left,
        } = faults;
        write!(
            f,
            ", {crashed} crashed; missing {missing}, twice {twice}, invented {invented}, open wrong {open_wrong}, \
             ledgers wrong {ledger_wrong}, unsound files {unsound_files}, hangs {hangs}, ring files left {rings_left}"
        )
    }
}

/// Tells what is wrong, where whoever looks for the fault sees it.
fn complain(run: &str, what: fmt::Arguments<'_>) {
    eprintln!("run {run}: {what}");
}

/// Whether the file is sound.
pub fn is_sound(db: &Database) -> bool {
    db.value::<String>("PRAGMA integrity_check") == "ok"
}

/// Looks at the run of this label, which has been recovered or collected to its end.
pub fn look(db: &Database, label: &str, witness: Witness) -> Tally {
    let mut tally = Tally { killed: 1, ..Tally::default() };
    let published = |thread: usize| {
        let numbers = witness.published(thread);
        numbers + numbers.div_ceil(PER_EVENT)
    };
    tally.witnessed = (0..THREADS).map(published).sum();
    let run: Vec<i64> = db.rows("SELECT id FROM run WHERE label = ?1", [label], |row| row.get(0));
    match run[..] {
        [run] => {
            look_at_numbers(db, label, run, witness, &mut tally);
            look_at_open_spans(db, label, run, witness, &mut tally);
            look_at_ledger(db, label, run, &mut tally);
        }
        // Killed before the profile was told of it.
        [] => {
            tally.early = 1;
            tally.faults.missing = tally.witnessed;
            if witness.step() >= RECORDS {
                complain(label, format_args!("its profiler was built, and it is not there"));
                tally.faults.ledger_wrong += 1;
            }
        }
        _ => {
            complain(label, format_args!("is there as {run:?}"));
            tally.faults.twice += 1;
        }
    }
    tally
}

/// Spans that had closed, and events: each number once.
fn look_at_numbers(db: &Database, label: &str, run: i64, witness: Witness, tally: &mut Tally) {
    let spans = format!(
        "SELECT fields ->> 'thread', fields ->> 'n' FROM spans
         WHERE run_id = {run} AND name = 'work' AND duration_ns IS NOT NULL"
    );
    let events =
        format!("SELECT fields ->> 'thread', fields ->> 'n' FROM event WHERE run_id = {run}");
    for (what, sql, each) in [("spans", spans, 1), ("events", events, PER_EVENT)] {
        let mut times: [Vec<u32>; THREADS] = Default::default();
        let rows: Vec<(i64, i64)> = db.rows(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
        for (thread, n) in rows {
            let (Some(of), true) =
                (times.get_mut(thread as usize), (n as u64).is_multiple_of(each))
            else {
                complain(label, format_args!("{what}: thread {thread}, number {n}"));
                tally.faults.invented += 1;
                continue;
            };
            let at = n as usize / each as usize;
            if of.len() <= at {
                of.resize(at + 1, 0);
            }
            of[at] += 1;
        }
        for (thread, times) in times.iter().enumerate() {
            let begun = witness.begun(thread).div_ceil(each) as usize;
            let published = witness.published(thread).div_ceil(each) as usize;
            let has = |n: usize| times.get(n).is_some_and(|times| *times > 0);
            let missing = (0..published).filter(|n| !has(*n)).count();
            let twice = times.iter().filter(|times| **times > 1).count();
            let invented = (begun..times.len()).filter(|n| has(*n)).count();
            if missing + twice + invented > 0 {
                let of = format!("of {published} {what} of thread {thread}, {begun} begun,");
                complain(
                    label,
                    format_args!("{of} {missing} missing, {twice} twice, {invented} invented"),
                );
            }
            tally.faults.missing += missing as u64;
            tally.faults.twice += twice as u64;
            tally.faults.invented += invented as u64;
            tally.stored += times.iter().filter(|times| **times > 0).count() as u64;
        }
    }
}

/// What was open is there without an end, and nothing else is.
fn look_at_open_spans(db: &Database, label: &str, run: i64, witness: Witness, tally: &mut Tally) {
    let is_closing = witness.step() >= CLOSES;
    for thread in 0..THREADS {
        let of = |name: &str, what: &str| {
            db.count(&format!(
                "SELECT count(*) FROM spans WHERE run_id = {run} AND name = '{name}' AND {what}
                 AND fields ->> 'thread' = {thread}"
            ))
        };
        let crashed = of("outer", "status = 'crashed' AND duration_ns IS NULL");
        let ended = of("outer", "duration_ns IS NOT NULL");
        let outer = witness.outer(thread);
        let is_right = match outer {
            0 => crashed <= 1 && ended == 0,
            1 => (crashed, ended) == (1, 0),
            _ if is_closing => (crashed, ended) == (0, 1),
            _ => crashed + ended == 1,
        };
        let working = of("work", "status = 'crashed' AND duration_ns IS NULL");
        let others = of("work", "duration_ns IS NULL AND status <> 'crashed'");
        let begun = witness.begun(thread) - witness.published(thread);
        if !is_right || working > begun || others > 0 {
            let outers = format!("{crashed} outer crashed and {ended} ended, state {outer};");
            let works = format!("{working} crashed and {others} open otherwise, {begun} begun");
            complain(label, format_args!("thread {thread}: {outers} {works}"));
            tally.faults.open_wrong += 1;
        }
        tally.crashed += crashed + working;
    }
}

/// Nothing was lost, and the run says so.
fn look_at_ledger(db: &Database, label: &str, run: i64, tally: &mut Tally) {
    let mut is_wrong = |what: fmt::Arguments<'_>| {
        complain(label, what);
        tally.faults.ledger_wrong += 1;
    };
    let found = spandrel_query::Reader::open(db.path()).unwrap().contradictions(run).unwrap();
    if !found.is_empty() {
        return is_wrong(format_args!("{found:?}"));
    }
    let report: Option<String> = db.value(&format!("SELECT report FROM run WHERE id = {run}"));
    let report: serde_json::Value = serde_json::from_str(&report.unwrap_or("{}".into())).unwrap();
    let stored = db.count(&format!("SELECT count(*) FROM span WHERE run_id = {run}"));
    let told = db.count(&format!("SELECT spans FROM run WHERE id = {run}"));
    // A thread that was killed between its claim and its publication has lost what the witness did not see published.
    let lost: Vec<(String, i64, i64)> = db.rows(
        &format!("SELECT reason, spans, events FROM loss WHERE run_id = {run}"),
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    );
    let abandoned: i64 = lost.iter().map(|(_, spans, events)| spans + events).sum();
    let others = lost.iter().any(|(reason, ..)| reason != "abandoned");
    if told != stored || others || abandoned > THREADS as i64 {
        return is_wrong(format_args!("{stored} stored, {told} by the run; lost {lost:?}"));
    }
    let lost: u64 = lost.iter().map(|(_, spans, _)| spans.cast_unsigned()).sum();
    // A run that was killed before anything was recorded has no report.
    if stored > 0 {
        let spans = &report["spans"];
        let expected = [("stored", stored), ("recorded", stored + lost), ("dropped", lost)];
        if expected.iter().any(|(what, number)| spans[*what] != *number) {
            is_wrong(format_args!("{stored} stored, {lost} lost, and the report says {report}"));
        }
    }
}
