//! Folded stacks: inferno reads them, and the sums are those of the profile.

use std::collections::BTreeMap;

use inferno::flamegraph::{Options, from_lines};
use proptest::prelude::*;
use spandrel_storage::export::{Format, Settings};
use spandrel_storage::query::Weight;
use spandrel_tests_exports::{Given, SpanSpec, forests};

fn sum(folded: &str) -> i128 {
    folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<i128>().unwrap()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn inferno_draws_what_was_stored(mut given in forests()) {
        // Sums past the ends of integers are cut; they are not what this is about.
        given.spans.iter_mut().for_each(|span| {
            span.duration_ns = span.duration_ns.map(|ns| ns.min(1_000_000_000));
        });
        let made = given.make();
        let (bytes, _) = made.export(Format::Folded);
        let folded = String::from_utf8(bytes).unwrap();
        let all = 0..made.given.spans.len();
        let expected: i128 =
            all.filter_map(|at| made.given.self_ns(at)).map(i128::from).sum();
        prop_assert_eq!(sum(&folded), expected);
        if folded.is_empty() {
            return Ok(());
        }
        let mut svg = Vec::new();
        let mut options = Options::default();
        options.count_name = "ns".to_owned();
        from_lines(&mut options, folded.lines(), &mut svg).unwrap();
        let svg = String::from_utf8(svg).unwrap();
        let total = format!("total_samples=\"{expected}\"");
        prop_assert!(svg.contains(&total) && svg.trim_end().ends_with("</svg>"), "{} {}", total, svg);
    }
}

#[test]
fn paths_are_those_of_the_names() {
    let span = |parent, name, duration_ns| SpanSpec {
        parent,
        name,
        duration_ns: Some(duration_ns),
        ..SpanSpec::default()
    };
    let made = Given {
        spans: vec![span(None, 0, 20), span(Some(0), 1, 10), span(Some(0), 1, 4), span(None, 0, 2)],
        names: vec!["request".into(), "db;query".into()],
        threads: vec![None],
        ..Given::default()
    }
    .make();
    let read = |weight| {
        let (bytes, _) = made.export_as(&Settings::new(Format::Folded).weight(weight));
        let folded = String::from_utf8(bytes).unwrap();
        let pair = |line: &str| {
            let (path, count) = line.rsplit_once(' ').unwrap();
            (path.to_owned(), count.parse::<i64>().unwrap())
        };
        folded.lines().map(pair).collect::<BTreeMap<_, _>>()
    };
    let map = |pairs: [(&str, i64); 2]| pairs.map(|(path, n)| (path.to_owned(), n)).into();
    assert_eq!(read(Weight::SelfTime), map([("request", 11), ("request;db_query", 7)]));
    assert_eq!(read(Weight::Calls), map([("request", 2), ("request;db_query", 2)]));
    assert_eq!(read(Weight::Wall), map([("request", 8), ("request;db_query", 14)]));
}
