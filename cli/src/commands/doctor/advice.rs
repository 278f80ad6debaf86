//! From facts to findings. Names of settings are those of `spandrel::ProfilerBuilder` and of its
//! environment variables.

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::output::text;
use crate::profile::LARGE;

/// How bad it is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Data are missing.
    Problem,
    /// Data may go missing, or figures mislead.
    Warning,
    /// It could be better.
    Hint,
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Hint => "hint",
        }
    }

    pub(super) fn finding(
        self,
        topic: &'static str,
        evidence: String,
        advice: impl Into<String>,
    ) -> Finding {
        Finding { severity: self, topic, evidence, advice: advice.into() }
    }
}

/// A finding, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) topic: &'static str,
    pub(super) evidence: String,
    pub(super) advice: String,
}

/// If the ring was so full, it may overflow the next time.
const RING_SHARE: f64 = 0.5;
/// If a log is so long, a reader has kept it.
const LOG_BYTES: u64 = 64 << 20;
/// If a commit takes so long, the disk is slow or busy.
const BATCH_NS: u64 = 250_000_000;
const FILE_BYTES: u64 = 2_000_000_000;
const CALLSITES: i64 = 2_000;
const THREADS: i64 = 1_000;

pub(super) fn all(facts: &Facts) -> Vec<Finding> {
    let mut findings = losses(facts);
    findings.extend(marks(facts));
    findings.extend(requests(facts));
    findings.extend(writer(facts));
    findings.extend(levels(facts));
    findings.extend(super::ends::all(facts));
    findings.extend(file(facts));
    findings.extend(super::misleading::all(facts));
    findings
}

/// A finding for each reason of drops.
fn losses(facts: &Facts) -> Vec<Finding> {
    let mut reasons: BTreeMap<&str, (u64, i64, i64)> = BTreeMap::new();
    let has_entries = facts.losses.iter().any(|loss| loss.entries > 0);
    let (one, many) = match has_entries {
        true => ("span, event or entry", "spans, events and entries"),
        false => ("span or event", "spans and events"),
    };
    for loss in &facts.losses {
        let entry = reasons.entry(&loss.reason).or_insert((0, loss.from_ns, loss.to_ns));
        entry.0 = entry.0.saturating_add(loss.total());
        entry.1 = entry.1.min(loss.from_ns);
        entry.2 = entry.2.max(loss.to_ns);
    }
    // Rows of losses may tell of more than the row of the run counts: what is lost is a part of all that was recorded.
    let lost = reasons.values().map(|(lost, ..)| *lost).fold(0, u64::saturating_add);
    let all = facts.rows.saturating_add(facts.dropped.max(lost)).max(1);
    let found = reasons.into_iter().map(|(reason, (lost, from_ns, to_ns))| {
        let evidence = format!(
            "{} {} dropped ({}), {reason}, from +{} to +{}",
            text::count(lost),
            text::agree(lost, one, many),
            text::share(lost as f64 / all as f64),
            text::duration_in_words(from_ns),
            text::duration_in_words(to_ns)
        );
        Severity::Problem.finding("losses", evidence, way_out(reason, facts))
    });
    found.collect()
}

/// Marks that were lost. There are no rows for them: the report counts them.
fn marks(facts: &Facts) -> Option<Finding> {
    let lost = facts.marks_dropped;
    let why = match &facts.last_refusal {
        Some(error) => format!("and so it was here: {error}"),
        None => "set fewer at a time".to_owned(),
    };
    (lost > 0).then(|| {
        Severity::Problem.finding("marks",
            format!("{} dropped", text::counted_with(lost, "mark", text::WAS)),
            format!(
                "1,024 can wait for the writer, and those that wait for a database that refuses them \
                 to the end are lost; {why}"
            ),
        )
    })
}

/// The recording takes no requests, because its file for them could not be made.
fn requests(facts: &Facts) -> Option<Finding> {
    facts.control_fault.as_ref().map(|why| {
        Severity::Warning.finding("requests",
            format!("the recording cannot be asked for marks and the like: {why}"),
            "it goes on and loses nothing; take what is named away, and within a minute it makes another \
             file for requests, the profile's name with -ctl",
        )
    })
}

fn way_out(reason: &str, facts: &Facts) -> String {
    let four_times =
        |key: &str, default: u64| facts.setting(key).unwrap_or(default).saturating_mul(4);
    match reason {
        "ring_full" if facts.settings.get("collected").is_some() => format!(
            "the ring overflows where nobody collects: start `spandrel collect` before the program, and again when it has \
             ended; beside one, record fewer spans, by SPANDREL_SPANS or SPANDREL_FILTER, or set SPANDREL_RING_CAPACITY={}",
            four_times("ring_capacity", 262_144)
        ),
        "ring_full" => format!(
            "record fewer spans, by SPANDREL_SPANS or SPANDREL_FILTER, or give the ring more room: \
             .ring_capacity({0}) or SPANDREL_RING_CAPACITY={0}",
            four_times("ring_capacity", 65_536)
        ),
        "contended" => "give more threads a partition of their own: .partitions(n) or \
                        SPANDREL_PARTITIONS=n, n being the number of busy threads"
            .into(),
        "open_spans_full" => format!(
            "more spans are open at once than there are slots: .max_open_spans({0}) or \
             SPANDREL_MAX_OPEN_SPANS={0}; or spans are never closed: `spandrel sql --recipe unfinished`",
            four_times("max_open_spans", 16_384)
        ),
        "callsites_full" => "spans are made by more places in the source than the table holds; \
                             filter targets that you do not need"
            .into(),
        "reentrant" => "a field's Debug makes spans of its own; those are not recorded".into(),
        "already_shutdown" => "spans ended during or after close(); close the profiler after the \
                               threads and the runtime have ended"
            .into(),
        "store_error" => match &facts.last_refusal {
            Some(error) => format!("the database refused: {error}"),
            // A recording by an older spandrel, or one that ran out of time.
            None => "the disk was full, another connection held a lock, a reader kept the \
                     write-ahead log, or the time for closing had run out; Stats::last_error says \
                     which while it is so"
                .into(),
        },
        "row_refused" => "rows were there already, or broke a rule that somebody has added to the \
                          tables; let nobody else write into the file"
            .into(),
        "file_removed" => {
            "the file, its log or its ring file was deleted, renamed or cut short while it was recorded \
                           into: keep others away from it, limit the profile's size by SPANDREL_MAX_BYTES, and \
                           start a program anew whose ring file was"
                .into()
        }
        "writer_panic" => "the writer met an error of its own; please report it with the \
                           program's standard error"
            .into(),
        "damaged" => {
            "the ring file of a process that had died was not as a recorder writes it; keep \
                      others away from its folder"
                .into()
        }
        "abandoned" => "the process died while it was publishing these; nothing can be done".into(),
        _ => "this reason is one of a newer spandrel; upgrade this command".into(),
    }
}

fn number(number: i64) -> String {
    text::count(number.unsigned_abs())
}

/// How well the writer kept up.
fn writer(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let high = facts.stats.iter().map(|stat| stat.ring_high_water).max().unwrap_or(0);
    if let Some(capacity) = facts.setting("ring_capacity").filter(|capacity| *capacity > 0) {
        let share = high as f64 / capacity as f64;
        if share >= RING_SHARE && facts.losses.iter().all(|loss| loss.reason != "ring_full") {
            findings.push(Severity::Warning.finding(
                "ring",
                format!(
                    "{} of {} {} in use at once ({})",
                    text::count(high),
                    text::counted(capacity, "slot"),
                    text::agree(high, "was", "were"),
                    text::share(share)
                ),
                format!(
                    "give it more room before it overflows: SPANDREL_RING_CAPACITY={}",
                    capacity.saturating_mul(2)
                ),
            ));
        }
    }
    let slowest = facts.stats.iter().map(|stat| stat.largest_batch_ns).max().unwrap_or(0);
    if slowest >= BATCH_NS {
        let ns = i64::try_from(slowest).unwrap_or(i64::MAX);
        findings.push(Severity::Warning.finding(
            "commits",
            format!("the longest commit took {}", text::duration_in_words(ns)),
            "the disk is slow or busy: record to a local disk (SPANDREL_DB), or give the ring more \
             room for that long (SPANDREL_RING_CAPACITY)",
        ));
    }
    if facts.clock == "monotonic" {
        findings.push(Severity::Hint.finding(
            "clock",
            "spans were stamped by the system's monotonic clock".into(),
            "the processor's counter was not usable, as in some virtual machines; each span costs \
             some 100 ns more, its times are right",
        ));
    }
    if facts.callsites > CALLSITES {
        findings.push(Severity::Hint.finding(
            "callsites",
            format!("{} places in the source make spans or events", number(facts.callsites)),
            "SPANDREL_FILTER, as in `h2=off`, leaves out targets that you do not need",
        ));
    }
    if facts.threads > THREADS {
        findings.push(Severity::Hint.finding(
            "threads",
            format!("{} threads made spans", number(facts.threads)),
            "threads that live for one task cost more to record than those of a pool",
        ));
    }
    findings
}

/// What levels and filters have excluded.
fn levels(facts: &Facts) -> Vec<Finding> {
    let Some((kept, below)) = facts.callsites_shown else { return Vec::new() };
    let settings = "SPANDREL_SPANS, SPANDREL_EVENTS and SPANDREL_FILTER, or .spans(level), \
                    .events(level) and .filter(targets), say what is kept";
    match (kept, below) {
        // Nobody was left to count them.
        (0, 0) if facts.rows.saturating_add(facts.dropped) > 0 => Vec::new(),
        (0, 0) => {
            vec![Severity::Warning.finding("levels",
            "no callsite was enabled: the recording was shown no span and no event".into(),
            "install the profiler's layer() or subscriber() before the first span is made, as in \
             `registry().with(profiler.layer()).init()`",
        )]
        }
        (0, below) => vec![Severity::Warning.finding(
            "levels",
            format!(
                "no callsite was enabled: {} {} below the level or filtered out",
                text::count(below),
                text::agree(below, "is", "are")
            ),
            settings,
        )],
        (_, 0) => Vec::new(),
        (_, below) => vec![Severity::Hint.finding(
            "levels",
            format!(
                "{} {} below the level or filtered out",
                text::counted(below, "callsite"),
                text::agree(below, "was", "were")
            ),
            settings,
        )],
    }
}

fn file(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(ns) = facts.log_kept_for_ns().filter(|_| facts.log_bytes < LOG_BYTES) {
        findings.push(Severity::Warning.finding("log",
            format!(
                "nothing of the write-ahead log ({}) has come into the file for {}",
                text::bytes(facts.log_bytes),
                text::duration_in_words(ns)
            ),
            "somebody reads in a transaction that stays open: end that reader; at 256 MiB the writer \
             has to wait",
        ));
    }
    if facts.log_bytes >= LOG_BYTES && !facts.ended {
        findings.push(Severity::Warning.finding("log",
            format!("the write-ahead log has {}", text::bytes(facts.log_bytes)),
            "somebody reads in a transaction that stays open, so that the log cannot be emptied; at \
             256 MiB the writer has to wait: end that reader",
        ));
    }
    let limit = facts.setting("max_bytes").filter(|limit| *limit > 0);
    let is_over = facts.ended || facts.recorder_gone;
    // While a recording runs, one batch more than the limit is normal.
    let most = |limit: u64| if is_over { limit } else { limit.saturating_add(limit / 4) };
    if let Some(limit) = limit.filter(|limit| facts.file_bytes > most(*limit)) {
        findings.push(Severity::Warning.finding("size",
            format!(
                "the file has {}, and its limit is {}",
                text::bytes(facts.file_bytes),
                text::bytes(limit)
            ),
            if is_over {
                "there was no time to shorten it, a reader was in the way, or the limit is less than \
                 the tables need: `spandrel prune --max-bytes`"
            } else {
                "it was larger at the start and gets smaller with each batch, or a reader keeps its \
                 log: end that reader"
            },
        ));
    }
    if is_over && facts.log_bytes > 0 {
        findings.push(Severity::Warning.finding(
            "log",
            format!("the log ({}) is not merged", text::bytes(facts.log_bytes)),
            "the profile and its -wal belong together: copy both files, or make one of them: \
             `spandrel merge`",
        ));
    }
    let is_limited = ["max_bytes", "max_age_s"].iter().any(|key| facts.setting(key).is_some());
    if facts.file_bytes >= FILE_BYTES && !is_limited {
        findings.push(Severity::Hint.finding(
            "size",
            format!("the file has {}, and nothing limits it", text::bytes(facts.file_bytes)),
            "SPANDREL_MAX_BYTES or SPANDREL_MAX_AGE_S while it is recorded, `spandrel prune` after",
        ));
    }
    if facts.stored >= LARGE && is_over && !facts.has_indexes {
        findings.push(Severity::Hint.finding("indexes",
            format!("the file has {} and not all indexes", text::counted(facts.stored, "span")),
            "`spandrel optimize` makes them: `slow`, `tree` and windows of time are quick then, and \
             the file larger by about half",
        ));
    }
    if facts.schema_is_older() {
        findings.push(Severity::Hint.finding(
            "schema",
            format!("the file has schema version {}", facts.schema),
            "the next recording into it upgrades it; it can be read as it is",
        ));
    }
    if let Some(caution) = facts.sqlite_caution() {
        findings.push(Severity::Warning.finding("sqlite",
            caution,
            "until then, open the file for reading only while it is recorded; what links which is in \
             the book: Beside another SQLite",
        ));
    }
    if facts.open_to_others != 0 {
        findings.push(Severity::Hint.finding(
            "permissions",
            format!("others may use the file (mode has {:03o})", facts.open_to_others),
            "fields of spans can hold what is not for everybody: chmod 600",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use spandrel_query::{Loss, WriterStat};

    use super::*;

    #[test]
    fn every_reason_of_the_profiler_has_a_way_out() {
        let facts = Facts::default();
        let unknown = way_out("unheard of", &facts);
        for reason in spandrel::DropReason::ALL {
            let way = way_out(reason.as_str(), &facts);
            assert_ne!(way, unknown, "{}", reason.as_str());
        }
        assert!(way_out("ring_full", &facts).contains("SPANDREL_RING_CAPACITY=262144"));
        let settings = serde_json::json!({ "collected": "/dev/shm/shop" });
        let collected = Facts { settings, ..Facts::default() };
        assert!(way_out("ring_full", &collected).contains("start `spandrel collect` before"));
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        let facts = Facts { ended: true, schema: 99, ..Facts::default() };
        assert_eq!(all(&facts), []);
    }

    #[test]
    fn each_fact_brings_its_finding() {
        let topics = |facts: Facts| -> Vec<&str> {
            all(&Facts { schema: 99, ..facts }).iter().map(|finding| finding.topic).collect()
        };
        assert_eq!(topics(Facts { recorder_gone: true, ..Facts::default() }), ["end"]);
        assert_eq!(topics(Facts { unfinished: 1, ..Facts::default() }), ["unfinished"]);
        let crashed =
            Facts { unfinished: 1, crashed: true, recorder_gone: true, ..Facts::default() };
        assert_eq!(topics(crashed), ["end"]);
        assert_eq!(topics(Facts { cut: 1, ..Facts::default() }), ["fields"]);
        assert_eq!(topics(Facts { log_unplaced: 1, ..Facts::default() }), ["log records"]);
        assert_eq!(topics(Facts { log_bytes: LOG_BYTES, ..Facts::default() }), ["log"]);
        assert_eq!(topics(Facts { file_bytes: FILE_BYTES, ..Facts::default() }), ["size"]);
        let large =
            |ended, has_indexes| Facts { stored: LARGE, ended, has_indexes, ..Facts::default() };
        assert_eq!(topics(large(true, false)), ["indexes"]);
        assert!(topics(large(true, true)).is_empty() && topics(large(false, false)).is_empty());
        assert_eq!(topics(Facts { open_to_others: 0o44, ..Facts::default() }), ["permissions"]);
        assert_eq!(topics(Facts { clock: "monotonic".into(), ..Facts::default() }), ["clock"]);
        assert_eq!(topics(Facts { earlier_killed: 2, ..Facts::default() }), ["runs"]);
        assert_eq!(topics(Facts { threads: THREADS + 1, ..Facts::default() }), ["threads"]);
        assert_eq!(topics(Facts { callsites: CALLSITES + 1, ..Facts::default() }), ["callsites"]);
        let recorded_with = |version: &str| Facts {
            settings: serde_json::json!({ "sqlite": version }),
            ..Facts::default()
        };
        assert_eq!(topics(recorded_with("3.51.2")), ["sqlite"]);
        assert!(topics(recorded_with("3.51.3")).is_empty());
        for shown in [(0, 0), (0, 3), (5, 3)] {
            let facts = Facts { callsites_shown: Some(shown), ..Facts::default() };
            assert_eq!(topics(facts), ["levels"]);
        }
        assert!(topics(Facts { callsites_shown: Some((5, 0)), ..Facts::default() }).is_empty());
        assert_eq!(topics(Facts { report_timed_out: true, ..Facts::default() }), ["end"]);
        assert_eq!(topics(Facts { marks_dropped: 1, ..Facts::default() }), ["marks"]);
        assert_eq!(topics(Facts { last_error: Some("x".into()), ..Facts::default() }), ["error"]);
        let settings = serde_json::json!({ "max_bytes": 1_000 });
        let sized = |file_bytes, ended| {
            let settings = settings.clone();
            topics(Facts { settings, file_bytes, ended, ..Facts::default() })
        };
        assert_eq!((sized(1_001, true), sized(1_001, false)), (vec!["size"], vec![]));
        assert_eq!((sized(1_000, true), sized(1_300, false)), (vec![], vec!["size"]));
    }

    #[test]
    fn a_log_that_a_reader_keeps_is_told_of_before_the_writer_has_to_wait() {
        let rows = |figures: &[(i64, u64, u64)]| -> Vec<_> {
            let row = |(second, wal_bytes, file_bytes): &(i64, u64, u64)| WriterStat {
                at_ns: second * 1_000_000_000,
                wal_bytes: *wal_bytes,
                file_bytes: *file_bytes,
                ..WriterStat::default()
            };
            figures.iter().map(row).collect()
        };
        let kept = |figures: &[(i64, u64, u64)], ended| {
            let stats = rows(figures);
            let found = all(&Facts { stats, ended, schema: 99, ..Facts::default() });
            found.iter().any(|finding| finding.topic == "log")
        };
        const MIB: u64 = 1 << 20;
        let grows = [(1, MIB, 9), (2, 4 * MIB, 9), (3, 7 * MIB, 9), (5, 12 * MIB, 9)];
        assert!(kept(&grows, false));
        assert!(!kept(&grows, true), "it is over");
        let merged = [(1, MIB, 9), (2, 4 * MIB, 9), (3, 7 * MIB, 10), (5, 12 * MIB, 11)];
        assert!(!kept(&merged, false));
        let short = [(1, MIB, 9), (2, 4 * MIB, 9), (3, 5 * MIB, 9), (5, 6 * MIB, 9)];
        assert!(!kept(&short, false), "merged at the next commit");
        assert!(!kept(&[], false));
    }

    #[test]
    fn a_disk_that_stays_full_is_told_once_and_not_by_more_time() {
        let full = Some("p.db: commit: the disk is full; free some space".to_owned());
        let lost = |reason: &str| {
            let mut loss = Loss::default();
            (loss.reason, loss.spans) = (reason.into(), 5);
            loss
        };
        let facts = |reason| Facts {
            losses: vec![lost(reason)],
            last_error: full.clone(),
            last_refusal: full.clone(),
            report_timed_out: true,
            ended: true,
            schema: 99,
            ..Facts::default()
        };
        let told = |reason| {
            let texts = all(&facts(reason)).into_iter().map(|it| it.evidence + "; " + &it.advice);
            let texts: Vec<String> = texts.collect();
            (texts.iter().filter(|text| text.contains("disk is full")).count(), texts.join("\n"))
        };
        let (times, text) = told("store_error");
        assert!(times == 1 && !text.contains("give it more"), "{text}");
        let (times, text) = told("ring_full");
        assert!(times == 1 && text.contains("give it more"), "{text}");
    }

    #[test]
    fn what_was_lost_is_a_share_of_all_that_was_recorded() {
        let mut loss = Loss::default();
        (loss.reason, loss.spans, loss.events) = ("ring_full".into(), 10, 15);
        let facts = Facts { losses: vec![loss], rows: 75, dropped: 25, ..Facts::default() };
        let [found] = &*losses(&facts) else { panic!("one reason") };
        assert!(
            found.evidence.starts_with("25 spans and events dropped (25.0%)"),
            "{}",
            found.evidence
        );
    }

    /// The row of the run may count less than the rows of losses do: of a ring file that was cut, say.
    #[test]
    fn no_more_is_lost_than_was_recorded() {
        let lost = |reason: &str, spans| {
            let mut loss = Loss::default();
            (loss.reason, loss.spans) = (reason.into(), spans);
            loss
        };
        let losses_of = |dropped| Facts {
            losses: vec![lost("file_removed", 300), lost("ring_full", 100)],
            rows: 100,
            dropped,
            ..Facts::default()
        };
        for dropped in [0, 200, 400] {
            let found = losses(&losses_of(dropped));
            let evidence: Vec<&str> = found.iter().map(|one| one.evidence.as_str()).collect();
            assert!(
                evidence[0].starts_with("300 spans and events dropped (60.0%)"),
                "{evidence:?}"
            );
            assert!(
                evidence[1].starts_with("100 spans and events dropped (20.0%)"),
                "{evidence:?}"
            );
        }
    }

    #[test]
    fn a_run_with_rows_was_shown_something() {
        let facts = |rows, callsites_shown| Facts { rows, callsites_shown, ..Facts::default() };
        assert_eq!(levels(&facts(0, Some((0, 0)))).len(), 1);
        assert_eq!(levels(&facts(3, Some((0, 0)))).len(), 0);
        assert_eq!(levels(&facts(3, None)).len(), 0);
    }

    #[test]
    fn the_reason_behind_a_loss_is_the_one_that_the_store_gave() {
        let last_refusal = Some("p.db: another connection holds a lock; try again".to_owned());
        let facts = Facts { last_refusal, ..Facts::default() };
        let way = way_out("store_error", &facts);
        assert!(way.contains("another connection holds a lock") && !way.contains("disk"), "{way}");
    }
}
