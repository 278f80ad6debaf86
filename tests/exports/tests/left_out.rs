//! Each format writes what was chosen, or counts it as left out.

use proptest::prelude::*;
use spandrel_export::{Format, Written};
use spandrel_tests_exports::{Given, Made, forests};

/// How many spans, events, links and marks a part of the profile has.
type Counts = [usize; 4];

fn chosen(given: &Given, from: Option<i64>) -> Counts {
    let is_after = |at_ns: i64| from.is_none_or(|from| at_ns >= from);
    let has = |at: usize| is_after(given.spans[at].start_ns);
    let has_event = |span: Option<usize>, at_ns| span.is_some_and(has) || is_after(at_ns);
    [
        (0..given.spans.len()).filter(|at| has(*at)).count(),
        given.events.iter().filter(|(span, at_ns, _)| has_event(*span, *at_ns)).count(),
        given.links.iter().filter(|(later, _)| has(*later)).count(),
        given.marks.iter().filter(|mark| is_after(mark.0)).count(),
    ]
}

fn export(made: &Made, format: Format, from: Option<i64>) -> Written {
    if format != Format::Sqlite {
        return made.export_part(format, (from, None), None).1;
    }
    let (path, written) = made.copy_part((from, None), None);
    std::fs::remove_file(path).unwrap();
    written
}

fn check(made: &Made, from: Option<i64>) {
    let chosen = chosen(&made.given, from);
    for format in Format::ALL {
        let written = export(made, format, from);
        let left_out = written.left_out;
        let sums = [
            written.spans + left_out.spans,
            written.events + left_out.events,
            written.links + left_out.links,
        ];
        assert_eq!(sums, [0, 1, 2].map(|at| chosen[at] as u64), "{}", format.name());
        // A copy has all marks, whatever was chosen.
        let marks =
            chosen[3].max(if format == Format::Sqlite { made.given.marks.len() } else { 0 });
        assert_eq!(written.marks + left_out.marks, marks as u64, "{}", format.name());
        let unfinished = made.given.spans.iter().filter(|span| {
            span.duration_ns.is_none() && from.is_none_or(|from| span.start_ns >= from)
        });
        let has_none = matches!(format, Format::Folded | Format::Pprof);
        let expected = if has_none { unfinished.count() as u64 } else { 0 };
        assert_eq!(left_out.spans, expected, "{}", format.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_is_left_out_uncounted(given in forests(), from in proptest::option::of(0_i64..60)) {
        check(&given.make(), from);
    }
}
