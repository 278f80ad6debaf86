//! One profile with all that exporters get wrong, for every viewer to open.

use crate::profile::{Given, NASTY_FIELDS, SpanSpec, names, threads};

/// A moment in the middle of the run, whose neighbours a double can tell in microseconds.
const NOON: i64 = 3_600_000_000_001;

/// An asynchronous request whose children overlap, run on other threads, follow from each other, have no
/// length, never end, end with it to the nanosecond, outlive it; beside others that have its names.
pub fn given() -> Given {
    let span = |parent, name, thread, start: i64, duration_ns, fields: Option<&str>| SpanSpec {
        parent,
        orphan: false,
        start_ns: NOON + start,
        duration_ns,
        name,
        thread,
        fields: fields.map(str::to_owned),
    };
    let some = Some(NASTY_FIELDS);
    let spans = vec![
        span(None, 0, 0, 0, Some(1_000), some),
        // Siblings that overlap, on other threads; one has a child.
        span(Some(0), 1, 1, 100, Some(500), None),
        span(Some(0), 1, 2, 300, Some(500), Some("{\"shard\":7}")),
        span(Some(2), 2, 0, 400, Some(100), None),
        // Without length, at the begin, inside, and at the end of the parent; of its name.
        span(Some(0), 0, 0, 0, Some(0), some),
        span(Some(0), 3, 0, 850, Some(0), None),
        span(Some(0), 0, 0, 1_000, Some(0), None),
        // One after the other without a gap, of one name, and the last ends with the parent.
        span(Some(0), 4, 0, 860, Some(40), None),
        span(Some(0), 4, 0, 900, Some(40), None),
        span(Some(0), 4, 0, 940, Some(60), None),
        span(Some(9), 4, 0, 950, Some(50), None),
        // Outlives its parent; and a child of that.
        span(Some(0), 5, 1, 700, Some(900), some),
        span(Some(11), 6, 1, 1_100, Some(10), None),
        // Never ends, and what is in it; one of that never ends either.
        span(None, 7, 2, 1_200, None, some),
        span(Some(13), 8, 2, 1_300, Some(50), None),
        span(Some(13), 9, 2, 1_400, None, None),
        span(Some(15), 10, 0, 1_450, Some(50), some),
        // Of no parent that is stored.
        SpanSpec { orphan: true, ..span(None, 11, 1, 2_000, Some(1), None) },
        // In the row where others ended, at that nanosecond.
        span(None, 0, 0, 1_500, Some(500), None),
        span(Some(18), 0, 0, 1_500, Some(500), None),
        span(None, 0, 0, 2_000, Some(333_333_333), None),
    ];
    Given {
        // What follows and what is followed; a link backwards, to itself, and of what has no length.
        links: vec![(2, 1), (18, 0), (18, 2), (20, 18), (1, 2), (3, 3), (5, 0), (13, 12)],
        events: vec![
            (Some(0), NOON + 10, "nul\0 in it".to_owned()),
            (Some(13), NOON + 1_300, "CpuProfile".to_owned()),
            (None, NOON + 1_000, String::new()),
        ],
        marks: vec![
            (NOON + 5, None, "deploy \"1\"".into()),
            (NOON + 7, Some(NOON + 20), "section\n".into()),
            (NOON + 9, Some(NOON + 30), "section\n".into()),
            (NOON + 20, Some(NOON + 20), "empty".into()),
        ],
        losses: vec![(NOON + 3, NOON + 9, 12), (NOON + 4, NOON + 4, 1)],
        spans,
        entries: Vec::new(),
        names: names(),
        threads: threads(),
    }
}
