//! Folded stacks: inferno, speedscope and the Firefox profiler read them, and the sums are those of the profile.

use std::collections::BTreeMap;

use inferno::flamegraph::{Options, from_lines};
use proptest::prelude::*;
use spandrel_export::{Format, Settings};
use spandrel_query::Weight;
use spandrel_tests_exports::firefox::{self, Loaded};
use spandrel_tests_exports::speedscope::import;
use spandrel_tests_exports::{Given, Made, SpanSpec, entangled, forests, shown};

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

/// What of each name is in the profile, as its paths have them.
fn by_name(made: &Made, of: impl Fn(usize) -> i64) -> BTreeMap<String, i64> {
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for index in 0..made.given.spans.len() {
        let name: String = made.name(index).chars().map(shown::in_folded).collect();
        let name = if name.is_empty() { "(no name)".to_owned() } else { name };
        *sums.entry(name).or_default() += of(index);
    }
    sums
}

#[test]
fn speedscope_and_firefox_find_what_each_name_has_for_itself() {
    let mut given = entangled::given();
    // Each name has some time of its own.
    for name in 0..given.names.len() {
        let span = SpanSpec { duration_ns: Some(100), name, ..SpanSpec::default() };
        given.spans.push(SpanSpec { parent: Some(0), ..span.clone() });
        given.spans.push(span);
    }
    let made = given.make();
    let file = made.folder.path().join("a.folded");
    std::fs::write(&file, made.export(Format::Folded).0).unwrap();
    if let Some((profiles, _)) = import(&file) {
        let frames = profiles[0].frames.iter().map(|frame| (frame.name.clone(), frame.own as i64));
        let found: BTreeMap<_, _> = frames.filter(|(name, _)| name != "(missing parent)").collect();
        assert_eq!(found, by_name(&made, |index| made.given.self_ns(index).unwrap_or(0)));
    }
    // Firefox makes a sample of each unit, so that nanoseconds would be too many.
    let settings = Settings::new(Format::Folded).weight(Weight::Calls);
    std::fs::write(&file, made.export_as(&settings).0).unwrap();
    let Some(program) = firefox::program() else { return };
    let loaded = Loaded::new(&program, &file, made.folder.path());
    let functions =
        loaded.ask(&["thread", "functions", "--json", "--include-idle", "--limit", "0"]);
    let mut found: BTreeMap<String, i64> = BTreeMap::new();
    for function in functions["functions"].as_array().unwrap() {
        let name = function["name"].as_str().unwrap();
        found.insert(name.to_owned(), function["selfSamples"].as_i64().unwrap());
    }
    found.remove("(missing parent)");
    assert_eq!(found, by_name(&made, |index| made.given.spans[index].duration_ns.map_or(0, |_| 1)));
}
