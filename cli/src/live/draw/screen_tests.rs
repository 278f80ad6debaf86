use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use spandrel_query::{Reader, Span};
use spandrel_storage::Error;

use super::*;
use crate::commands::test_profile as profile;
use crate::commands::tree::TraceAnalysis;
use crate::live::keys::Action;
use crate::live::page::{Coverage, Detail, Page, Point, Row, State, SubjectData};
use crate::live::subject_reader::{self, Part};
use crate::live::test_pages::{open_spans, page, row};

const SIZES: [(u16, u16); 7] = [(80, 24), (120, 40), (20, 5), (300, 80), (1, 1), (3, 2), (40, 8)];

/// Draws once and gives the buffer.
fn drawn(app: &mut App, size: (u16, u16), appearance: Appearance) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(frame.buffer_mut(), app, appearance)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(app: &mut App, size: (u16, u16)) -> Vec<String> {
    let buffer = drawn(app, size, Appearance { has_colours: true, is_ascii: false });
    let cells = |y| (0..size.0).map(move |x| (x, y));
    (0..size.1)
        .map(|y| cells(y).map(|at| buffer[at].symbol()).collect::<String>())
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn shown(page: Box<Page>) -> App {
    let mut app = App { clock: "14:05:33".into(), ..App::default() };
    app.take(page);
    app
}

fn three() -> App {
    shown(page(
        vec![row("db.query", 2_000), row("db.begin", 100), row("render", 900)],
        SubjectData::Table,
    ))
}

fn spans() -> (tempfile::TempDir, Reader, Vec<Span>) {
    let child = |name, parent, ns| profile::Span {
        parent: Some(parent),
        fields: r#"{"shard":7}"#.into(),
        ..profile::Span::new(name, ns)
    };
    let (folder, reader) = profile::profile([
        profile::Span { self_ns: 1_000_000, ..profile::Span::new("http.request", 5_000_000) },
        child("db.query", 0, 3_000_000),
        child("render", 0, 1_000_000),
    ]);
    let mut spans = Vec::new();
    reader.spans(1, |span| spans.push(span)).unwrap();
    (folder, reader, spans)
}

/// All of the run, as a view of the live table reads it.
fn of_whole<T>(reader: &Reader, read: fn(&Reader, &Part<'_>) -> Result<T, Error>) -> T {
    let run = reader.latest_run().unwrap().unwrap();
    read(reader, &Part { run: &run, from_ns: 0, until_ns: i64::MAX, is_end: true, open_now: None })
        .unwrap()
}

fn stalls() -> SubjectData {
    let (_folder, reader) = crate::live::test_pages::stalls();
    SubjectData::Stalls(Box::new(of_whole(&reader, subject_reader::stalls)))
}

fn gauges() -> SubjectData {
    let gauge = |name: &str, values: &[f64]| {
        let mut gauge = spandrel_query::Gauge::default();
        gauge.name = name.into();
        gauge.trend = values.iter().map(|value| Some(*value)).collect();
        (gauge.last, gauge.samples) = (values.last().copied(), values.len() as u64);
        gauge.min = values.iter().copied().reduce(f64::min);
        gauge.max = values.iter().copied().reduce(f64::max);
        gauge
    };
    let mut none = gauge("not a number", &[]);
    none.trend = vec![None; 60];
    let rising: Vec<f64> = (0..60).map(f64::from).collect();
    let hostile = "\u{1b}[2J\u{202e}".repeat(20);
    SubjectData::Gauges(vec![
        gauge("queue_depth", &rising),
        gauge("process.resident_bytes", &[1e6; 60]),
        gauge(&hostile, &[f64::MIN, f64::INFINITY, f64::MAX]),
        none,
    ])
}

#[test]
fn each_gauge_has_a_line_with_its_last_value_and_its_trend() {
    let mut app = shown(page(Vec::new(), gauges()));
    app.apply(Action::Gauges);
    let seen = lines(&mut app, (200, 12));
    let text = seen.join("\n");
    let of = |name: &str| seen.iter().find(|line| line.contains(name)).expect(&text);
    let depth = of("queue_depth");
    assert!(depth.trim_start().starts_with("59 ") && depth.ends_with("0 .. 59"), "{text}");
    assert!(depth.contains("▁▁▁▁▁▂▂") && depth.contains("▇▇▇█████"), "{text}");
    assert!(of("process.resident_bytes").contains("MB"), "{text}");
    assert!(of("not a number").trim_start().starts_with("- "), "{text}");
    // Without room for its ends, the newest part of the trend.
    let narrow = lines(&mut app, (40, 12)).join("\n");
    assert!(narrow.contains("▇█████") && !narrow.contains("0 .. 59"), "{narrow}");
}

/// What held its executor in front, before the one that called it, and no other thread.
#[test]
fn what_blocked_the_executor_is_a_name_a_line() {
    let mut app = shown(page(Vec::new(), stalls()));
    app.apply(Action::Stalls);
    let lines = lines(&mut app, (120, 12));
    let at = |wanted: &str| lines.iter().position(|line| line.contains(wanted));
    let text = lines.join("\n");
    let handle = &lines[at("handle").expect(&text)];
    for part in ["100.00 ms", "s1", "on worker-1", "in it parse 90.0%", "+0.00 µs"] {
        assert!(handle.contains(part), "{part}: {text}");
    }
    assert!(at("parse  ") < at("handle") && at("parse  ").is_some(), "{text}");
    assert!(at("hash").is_none() && at("harmless").is_none(), "{text}");
    assert!(text.contains("all 4 spans of the window"), "{text}");
}

#[test]
fn without_busy_times_nobody_is_told_that_nothing_blocked() {
    let nothing = || SubjectData::Stalls(Box::default());
    let mut app = shown(page(Vec::new(), nothing()));
    app.apply(Action::Stalls);
    assert!(lines(&mut app, (120, 12)).iter().any(|line| line.trim() == "none"));
    let mut untimed = page(Vec::new(), nothing());
    untimed.health.run.info.settings = r#"{"busy_time":false}"#.into();
    let mut app = shown(untimed);
    app.apply(Action::Stalls);
    let text = lines(&mut app, (120, 12)).join("\n");
    assert!(text.contains("record with busy_time(true)") && !text.contains("none"), "{text}");
}

/// Entries are no spans.
#[test]
fn spans_and_entries_that_were_looked_at_are_told_apart() {
    let (_folder, path) = crate::live::test_pages::long_lived();
    let reader = Reader::open(&path).unwrap();
    let blocked = of_whole(&reader, subject_reader::stalls);
    let text = super::flame::coverage_text(&blocked.coverage);
    assert_eq!(text, "all 401 spans and 400 entries of the window");
}

fn detail(spans: Vec<Span>) -> SubjectData {
    let one = row("db.query", 2_000);
    SubjectData::Detail(Box::new(Detail {
        key: one.key.clone(),
        points: (0..60)
            .map(|at| Point {
                at_ns: at * 1_000_000_000,
                calls: at as u64,
                max_ns: one.sums.max_ns,
                histogram: one.sums.histogram.clone(),
            })
            .collect(),
        slowest: spans,
        coverage: Coverage {
            spans: 50_000,
            entries: 0,
            from_ns: Some(7_000_000_000),
            is_all: false,
        },
        open: open_spans(),
    }))
}

fn tree(reader: &Reader, span: &Span) -> SubjectData {
    let found = TraceAnalysis::around(reader, span.root_id, span.id, 100).unwrap();
    SubjectData::Tree(span.into(), found.map(Box::new))
}

#[test]
fn a_detail_opens_the_tree_of_a_trace_and_esc_comes_back() {
    let (_folder, reader, spans) = spans();
    let of_detail = || page(vec![row("db.query", 2_000)], detail(spans.clone()));
    let mut app = shown(of_detail());
    app.apply(Action::Enter);
    app.take(of_detail());
    let whole = lines(&mut app, (80, 14));
    assert!(whole[13].contains("Enter tree"), "{}", whole[13]);
    // Without a selection it is the slowest.
    app.apply(Action::Enter);
    assert_eq!(app.view, View::Tree(row("db.query", 1).key, (&spans[0]).into()));
    assert!(lines(&mut app, (80, 14)).iter().any(|line| line.contains("reading ...")));
    app.apply(Action::Back);
    assert!(matches!(app.view, View::Detail(_)));
    // Down to the second of the slow spans, which is shown as selected.
    app.take(of_detail());
    for _ in 0..80 {
        lines(&mut app, (80, 14));
        if app.picked == Some((&spans[1]).into()) {
            break;
        }
        app.apply(Action::Move(1));
    }
    let top = app.top;
    let second = format!("s{:<9} t{:<9}", spans[1].id, spans[1].root_id);
    let buffer = drawn(&mut app, (80, 14), Appearance { has_colours: true, is_ascii: false });
    let y = lines(&mut app, (80, 14)).iter().position(|line| line.contains(second.trim())).unwrap();
    let is_reversed = buffer[(2, y as u16)].modifier.contains(ratatui::style::Modifier::REVERSED);
    assert!(is_reversed && top > 0, "{y} {top}");
    assert_eq!(app.apply(Action::Enter), crate::live::app::Effect::Read);
    app.take(page(vec![row("db.query", 2_000)], tree(&reader, &spans[1])));
    let drawn = lines(&mut app, (80, 14));
    let text = drawn.join("\n");
    assert!(drawn[1].contains("trace t1 of s2  db.query"), "{text}");
    for part in ["http.request", "render", "critical path", "5.00 ms", "3.00 ms", "◄ s2"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    app.apply(Action::Back);
    app.take(of_detail());
    lines(&mut app, (80, 14));
    assert_eq!((app.top, app.picked), (top, Some((&spans[1]).into())), "where one was");
    // Elsewhere the selection is out of sight, and nothing is selected.
    app.apply(Action::First);
    lines(&mut app, (80, 14));
    app.apply(Action::Screen(1));
    lines(&mut app, (80, 14));
    let top = app.top;
    assert!(app.picked.is_none() && top > 0, "{top}");
    app.apply(Action::Enter);
    app.take(page(vec![row("db.query", 2_000)], tree(&reader, &spans[0])));
    lines(&mut app, (80, 14));
    app.apply(Action::Back);
    app.take(of_detail());
    lines(&mut app, (80, 14));
    assert_eq!((app.top, app.picked), (top, None), "where one was");
    app.apply(Action::Back);
    assert_eq!(app.view, View::Table);
}

#[test]
fn the_selection_of_a_detail_is_always_in_sight() {
    let (_folder, _reader, spans) = spans();
    let mut app = shown(page(vec![row("db.query", 2_000)], detail(spans)));
    app.apply(Action::Enter);
    let ways = [Action::Move(1), Action::Move(-1), Action::Screen(1), Action::Screen(-1)];
    for size in [(80, 24), (40, 10), (110, 40)] {
        for at in 0..200_usize {
            let action = [Action::Last, Action::First][at % 7 % 2];
            let action = if at % 31 == 0 { action } else { ways[at * at / 3 % ways.len()] };
            app.apply(action);
            drawn(&mut app, size, Appearance::default());
            let seen = app.top..app.top + app.lines_shown;
            let line = app.picks.iter().find(|(_, key)| Some(*key) == app.picked);
            assert_eq!(line.is_some(), app.picked.is_some());
            assert!(line.is_none_or(|(line, _)| seen.contains(line)), "{at} {size:?}");
        }
        app.apply(Action::First);
        (0..100).for_each(|_| {
            drawn(&mut app, size, Appearance::default());
            app.apply(Action::Move(1));
        });
        let last = app.picks.last().map(|(_, key)| *key);
        assert_eq!(app.picked, last, "whoever goes on comes to the last");
        app.apply(Action::First);
    }
}

#[test]
fn a_selection_stays_in_sight_when_lines_move_or_the_terminal_shrinks() {
    let (_folder, _reader, spans) = spans();
    let with = |rows: Vec<Row>| page(rows, detail(spans.clone()));
    let mut app = shown(with(vec![row("db.query", 2_000)]));
    app.apply(Action::Enter);
    for _ in 0..80 {
        drawn(&mut app, (80, 24), Appearance::default());
        if app.picked.is_some() {
            break;
        }
        app.apply(Action::Move(1));
    }
    let picked = app.picked.unwrap();
    let is_in_sight = |app: &mut App, size: (u16, u16)| {
        let buffer = drawn(app, size, Appearance { has_colours: true, is_ascii: false });
        assert_eq!(app.picked, Some(picked));
        let is_selected =
            |y: &u16| buffer[(2, *y)].modifier.contains(ratatui::style::Modifier::REVERSED);
        let line: Vec<u16> = (0..size.1).filter(is_selected).collect();
        let text = lines(app, size).join("\n");
        assert!(line.len() == 1, "{line:?} {size:?}\n{text}");
        let selected = text.lines().nth(line[0].into()).unwrap();
        assert!(selected.contains("5.00 ms  busy"), "{selected}\n{text}");
    };
    for size in [(80, 24), (80, 8), (40, 12), (200, 60), (80, 7)] {
        is_in_sight(&mut app, size);
    }
    // The name has no spans in the window any more, and then has some again: the list moves up and down.
    for rows in [Vec::new(), vec![row("db.query", 2_000)], Vec::new()] {
        app.take(with(rows));
        is_in_sight(&mut app, (80, 10));
    }
}

/// Whatever there is no room for goes to the next line, or is left out; no figure ends in the middle.
#[test]
fn no_figure_is_cut_on_eighty_columns() {
    let (_folder, reader, mut spans) = spans();
    for span in &mut spans {
        (span.duration_ns, span.busy_ns) = (Some(59_990_000_000), Some(58_880_000_000));
    }
    let mut large = row("db.query", 59_990_000);
    large.sums.calls = 123_456_789;
    large.sums.errors = 12_345_678;
    large.rate = 1_234_567.0;
    large.sums.self_ns = 359_990_000_000_000;
    let mut long = large.clone();
    long.key.name = "a name of a span that is longer than most names are".into();
    long.trend = vec![u64::MAX / 64; 60];
    let mut shown_detail = detail(spans.clone());
    if let SubjectData::Detail(detail) = &mut shown_detail {
        detail.points.iter_mut().for_each(|point| point.calls = 1_234_567_890);
        detail.open.iter_mut().for_each(|open| open.span.callsite = spans[0].callsite.clone());
    }
    let all = [
        (None, SubjectData::Table),
        (Some(Action::Enter), shown_detail),
        (Some(Action::Open), SubjectData::Open(subject_reader::lines(false, open_spans(), &[]))),
        (Some(Action::Stalls), stalls()),
        (Some(Action::Gauges), gauges()),
        (Some(Action::Enter), tree(&reader, &spans[0])),
    ];
    for (key, subject) in all {
        let is_tree = matches!(subject, SubjectData::Tree(..));
        let mut page = page(vec![large.clone(), long.clone()], subject);
        page.health.dropped = ["ring_full", "contended", "too_large", "after_close", "io_error"]
            .map(|reason| (reason.to_owned(), 123_456_789))
            .to_vec();
        page.health.run.spans = u64::MAX / 4;
        let mut app = shown(page);
        key.map(|key| app.apply(key));
        if is_tree {
            app.view = View::Tree(large.key.clone(), (&spans[0]).into());
        }
        let mut seen = lines(&mut app, (80, 24));
        app.apply(Action::Last);
        seen.extend(lines(&mut app, (80, 24)));
        for line in seen {
            let cut = line.trim_end().strip_suffix('…').unwrap_or_default();
            let in_a_figure = cut.ends_with(|c: char| c.is_ascii_digit() || c == ',' || c == '.');
            assert!(!in_a_figure, "{line}");
            let cells = line.split("  ").map(str::trim);
            let is_figure = |cell: &&str| cell.starts_with(|c: char| c.is_ascii_digit());
            for cell in cells.filter(is_figure) {
                assert!(
                    !cell.ends_with('…') || cell.contains("=") || cell.contains('{'),
                    "{cell}: {line}"
                );
            }
        }
    }
    let mut help = three();
    help.apply(Action::Help);
    for _ in 0..6 {
        let seen = lines(&mut help, (80, 24));
        assert!(seen.iter().all(|line| !line.ends_with('…')), "{seen:?}");
        help.apply(Action::Screen(1));
    }
    // And all are there, with their units.
    let mut app = shown(page(vec![large], detail(spans)));
    app.apply(Action::Enter);
    let text = lines(&mut app, (80, 60)).join("\n");
    for part in ["calls 123,456,789", "self 99h 59m", "errors 12,345,678", "  to 2.00 ms"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn reasons_of_losses_are_named_whole_or_counted() {
    let reasons = ["ring_full", "contended", "too_large", "already_shutdown", "store_error"];
    let mut page = page(vec![row("a", 1)], SubjectData::Table);
    page.health.dropped = reasons.map(|reason| (reason.to_owned(), 123_456_789)).to_vec();
    let mut app = shown(page);
    for columns in 40..200 {
        let line = lines(&mut app, (columns, 24))[1].clone();
        assert!(line.starts_with(" ! 617,283,945 lost (100.0%)"), "{columns} {line}");
        assert!(!line.ends_with('…'), "{columns} {line}");
        let named = reasons.iter().filter(|reason| line.contains(&format!("{reason} 123,456,789")));
        let counted = match named.count() {
            5 => continue,
            4 => "1 reason".to_owned(),
            named => format!("{} reasons", 5 - named),
        };
        assert!(line.contains(&counted), "{columns} {line}");
    }
}

/// A figure of which the end is missing is another one, and nothing says so.
#[test]
fn figures_are_whole_or_not_there_however_narrow_the_terminal() {
    let (_folder, reader, _spans) = spans();
    let mut flame = of_whole(&reader, subject_reader::flame);
    flame.coverage =
        Coverage { spans: 50_000, entries: 0, from_ns: Some(7_654_000_000), is_all: false };
    let mut open = open_spans();
    for (at, open) in open.iter_mut().enumerate() {
        let long = "storefront inventory cache handlers place order".repeat(1 + at);
        let mut callsite = open.span.callsite.as_ref().clone();
        callsite.name.clone_from(&long);
        open.span.callsite = callsite.into();
        let mut thread = open.span.thread.as_ref().clone();
        thread.name = Some(long);
        open.span.thread = thread.into();
        open.span.id = 123_456_789_012 + at as u64;
        open.span.busy_ns = Some(987_600_000);
    }
    for (key, subject) in [
        (Action::Open, SubjectData::Open(subject_reader::lines(false, open, &[]))),
        (Action::Flame, SubjectData::Flame(Box::new(flame))),
        (Action::Stalls, stalls()),
    ] {
        let mut app = shown(page(vec![row("db.query", 2_000)], subject));
        app.apply(key);
        let figures = |lines: Vec<String>| -> Vec<String> {
            let words = lines.iter().skip(2).flat_map(|line| line.split_whitespace());
            let is_figure = |word: &&str| word.contains(|c: char| c.is_ascii_digit());
            words.filter(is_figure).map(str::to_owned).collect()
        };
        let whole = figures(lines(&mut app, (400, 24)));
        assert!(whole.len() > 8, "{whole:?}");
        for columns in 50..130 {
            let drawn = lines(&mut app, (columns, 24));
            let text = drawn.join("\n");
            for figure in figures(drawn) {
                let is_cut_field = figure.starts_with('{') && figure.ends_with('…');
                assert!(whole.contains(&figure) || is_cut_field, "{columns} {figure}\n{text}");
            }
        }
    }
}

#[test]
fn eighty_columns_by_twenty_four() {
    let mut app = three();
    let lines = lines(&mut app, (80, 24));
    let head = &lines[0];
    for part in ["checkout", "● rec", "10,120 spans/s", "dropped 0", "ring 3%", "lag 41 ms"] {
        assert!(head.contains(part), "{part}: {head}");
    }
    assert!(head.ends_with("14:05:33"), "{head}");
    assert!(lines[1].contains("3 names") && lines[1].ends_with("sort: self ▼  window 1m"));
    assert!(lines[2].contains("rate/s") && lines[2].contains("self▼"), "{}", lines[2]);
    assert!(lines[3].contains("db.query") && lines[3].contains("2.00 ms"), "{}", lines[3]);
    assert!(lines[4].contains("render") && lines[5].contains("db.begin"));
    assert!(lines[23].contains("Enter detail") && lines[23].contains("q quit"), "{}", lines[23]);
}

#[test]
fn more_columns_appear_where_there_is_room() {
    let mut app = three();
    let narrow = lines(&mut app, (80, 24));
    assert!(!narrow[2].contains("target") && !narrow[2].contains("max"));
    for size in [(120, 40), (300, 80)] {
        let wide = lines(&mut app, size);
        assert!(wide[2].contains("max") && wide[2].contains("trend 60s"), "{}", wide[2]);
    }
    let widest = lines(&mut app, (300, 80));
    assert!(widest[2].contains("target") && widest[3].contains("shop::db"), "{}", widest[3]);
}

#[test]
fn a_tiny_terminal_shows_what_it_can() {
    let mut app = three();
    let lines = lines(&mut app, (20, 5));
    assert!(lines[0].contains("● rec"), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("db.query")), "{lines:?}");
}

#[test]
fn every_view_fits_every_size() {
    let (_folder, reader, spans) = spans();
    let rows = || vec![row("db.query", 2_000), row(&"x".repeat(5_000), 1)];
    for size in SIZES {
        for (key, subject) in [
            (None, SubjectData::Table),
            (Some(Action::Enter), detail(spans.clone())),
            (
                Some(Action::Open),
                SubjectData::Open(subject_reader::lines(false, open_spans(), &[])),
            ),
            (
                Some(Action::Flame),
                SubjectData::Flame(Box::new(of_whole(&reader, subject_reader::flame))),
            ),
            (Some(Action::Stalls), stalls()),
            (Some(Action::Gauges), gauges()),
            (Some(Action::Help), SubjectData::Table),
            (Some(Action::Filter), SubjectData::Table),
            (Some(Action::Mark), SubjectData::Table),
            (Some(Action::Flame), SubjectData::Table),
            (Some(Action::Enter), tree(&reader, spans.last().unwrap())),
        ] {
            let mut page = page(rows(), subject);
            page.health.dropped = vec![("ring_full".into(), 12_031)];
            let mut app = shown(page);
            app.apply(key.unwrap_or(Action::First));
            app.missing = Some("profile.db is gone".into());
            for action in [Action::Last, Action::Screen(-1), Action::First] {
                drawn(&mut app, size, Appearance::default());
                app.apply(action);
            }
        }
        let missing = Some("profile.db is not there yet".into());
        let mut waiting = App { missing, ..App::default() };
        drawn(&mut waiting, size, Appearance::default());
    }
}

#[test]
fn what_was_lost_is_told_in_red() {
    let mut page = page(vec![row("a", 1)], SubjectData::Table);
    page.health.dropped = vec![("ring_full".into(), 12_031), ("contended".into(), 2)];
    let mut app = shown(page);
    let lines = lines(&mut app, (80, 24));
    assert!(lines[0].contains("dropped 12,033"), "{}", lines[0]);
    assert!(lines[1].contains("! 12,033 lost") && lines[1].contains("ring_full 12,031"));
    let buffer = drawn(&mut app, (80, 24), Appearance { has_colours: true, is_ascii: false });
    assert_eq!(buffer[(1, 1)].bg, Color::Indexed(124));
}

#[test]
fn a_hostile_name_stays_in_its_cell() {
    let nasty = "a\x1b[2Jb\u{9b}31m\r\n\t\u{202e}漢字\u{200b}👨‍👩‍👧";
    let mut hostile = row(nasty, 9_000);
    hostile.key.target = nasty.into();
    let mut page = page(vec![hostile, row("b", 1)], SubjectData::Table);
    page.health.run.info.label = Some(nasty.into());
    page.health.dropped = vec![(nasty.into(), 1)];
    let mut app = shown(page);
    for size in SIZES {
        for view in [Action::First, Action::Enter] {
            app.apply(view);
            let buffer = drawn(&mut app, size, Appearance { has_colours: true, is_ascii: false });
            for cell in &buffer.content {
                let bad = |c: char| c.is_control() || c == '\u{202e}';
                assert!(!cell.symbol().chars().any(bad), "{:?}", cell.symbol());
            }
        }
        app.apply(Action::Back);
    }
}

#[test]
fn ascii_and_no_colours_are_just_that() {
    let (_folder, _reader, spans) = spans();
    let mut page = page(vec![row("dé漢", 1), row("db.query", 2_000)], detail(spans));
    page.health.dropped = vec![("ring_full".into(), 3)];
    let mut app = shown(page);
    for action in [Action::First, Action::Enter, Action::Help] {
        app.apply(action);
        let buffer = drawn(&mut app, (120, 40), Appearance { has_colours: false, is_ascii: true });
        for cell in &buffer.content {
            assert!(cell.symbol().is_ascii(), "{:?}", cell.symbol());
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
        }
    }
}

#[test]
fn an_empty_run_and_a_missing_file_say_so() {
    let mut app = shown(page(Vec::new(), SubjectData::Table));
    assert!(lines(&mut app, (80, 24))[4].contains("no span ended in this window"));
    let missing = "profile.db is not there yet; it is shown when a recording makes it";
    let mut app = App { missing: Some(missing.into()), ..App::default() };
    assert!(lines(&mut app, (80, 24))[2].contains("profile.db is not there yet"));
    let mut app = three();
    app.missing = Some("profile.db is gone".into());
    let lines = lines(&mut app, (80, 24));
    assert!(lines[1].contains("not up to date: profile.db is gone"), "{}", lines[1]);
    assert!(lines.iter().any(|line| line.contains("db.query")), "the last page stays");
}

#[test]
fn five_thousand_names_scroll() {
    let rows = (0..5_000).map(|at| row(&format!("name {at:04}"), 10_000 - at)).collect();
    let mut app = shown(page(rows, SubjectData::Table));
    let first = lines(&mut app, (80, 24));
    assert!(first[1].contains("5,000 names") && first[3].contains("name 0000"));
    app.apply(Action::Last);
    let last = lines(&mut app, (80, 24));
    assert!(last[22].contains("name 4999"), "{last:?}");
    app.apply(Action::Screen(-1));
    let before = lines(&mut app, (80, 24));
    assert!(before.iter().any(|line| line.contains("name 4980")), "{before:?}");
}

#[test]
fn states_have_words_and_not_only_colours() {
    for (state, word) in [
        (State::Recording, "● rec"),
        (State::Silent(12_000_000_000), "silent for 12.00 s"),
        (State::Ended, "■ ended"),
        (State::Crashed, "! died, all stored"),
        (State::Killed, "! killed"),
        (State::Unknown, "? not ended"),
    ] {
        let mut page = page(vec![row("a", 1)], SubjectData::Table);
        page.health.state = state;
        assert!(lines(&mut shown(page), (80, 24))[0].contains(word));
    }
}

#[test]
fn open_spans_stand_under_their_threads_and_what_hangs_is_marked() {
    let lines_of = subject_reader::lines(false, open_spans(), &[]);
    assert_eq!(lines_of.len(), 3);
    let mut app = shown(page(Vec::new(), SubjectData::Open(lines_of)));
    app.apply(Action::Open);
    let lines = lines(&mut app, (80, 24));
    assert!(lines[2].contains("3 open") && lines[2].contains("! 2 stalled"), "{lines:?}");
    assert!(lines[3].contains("worker-1"), "{lines:?}");
    assert!(lines[4].contains("1m 40s !") && lines[4].contains("http.request"), "{lines:?}");
    assert!(lines[5].contains("  db.query") && lines[5].contains(r#"{"shard":7}"#), "{lines:?}");
    assert!(lines[6].contains("worker-2") && !lines[7].contains('!'), "{lines:?}");
}

#[test]
fn a_detail_has_bars_time_and_slow_spans() {
    let (_folder, _reader, spans) = spans();
    let mut app = shown(page(vec![row("db.query", 2_000)], detail(spans)));
    app.apply(Action::Enter);
    let page = lines(&mut app, (100, 60)).join("\n");
    for part in [
        "durations",
        "◄ p50 p95 p99",
        "p99 over time, +0.00 µs to +59.00 s",
        "slowest, in the last 50,000 spans of the window, from +7.00 s",
        "open now: 3",
        r#"{"shard":7}"#,
    ] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
}

#[test]
fn a_flame_has_roots_on_top() {
    let (_folder, reader, _) = spans();
    let flame = of_whole(&reader, subject_reader::flame);
    let mut app = shown(page(Vec::new(), SubjectData::Flame(Box::new(flame))));
    app.apply(Action::Flame);
    let lines = lines(&mut app, (100, 24));
    assert!(lines[2].contains("5.00 ms in all; all 3 spans"), "{lines:?}");
    assert!(lines[3].contains("http.request") && lines[3].contains("100.0%"), "{lines:?}");
    assert!(lines[4].contains("db.query") && lines[4].contains("render"), "{lines:?}");
}

#[test]
fn a_filter_that_fits_no_callsite_and_a_long_text_are_shown_by_their_ends() {
    let mut app = three();
    app.apply(Action::Filter);
    "name=nothing and dur>1s".chars().for_each(|letter| {
        app.apply(Action::Type(letter));
    });
    let shown = lines(&mut app, (120, 24));
    assert!(shown[1].contains("/name=nothing and dur>1s_"), "{}", shown[1]);
    assert!(shown[1].contains("`dur>1s` asks single spans"), "{}", shown[1]);
    (0..300).for_each(|_| {
        app.apply(Action::Type('x'));
    });
    assert!(lines(&mut app, (40, 24))[1].ends_with("xx_"));
}

#[test]
fn what_waits_in_a_ring_file_is_said_with_the_command_that_stores_it() {
    let mut page = page(vec![row("a", 1)], SubjectData::Table);
    page.health.state = State::Killed;
    let command = "`spandrel recover --db shop.db`";
    let ring = format!("/run/user/1000/spandrel/{}.ring", "7".repeat(80));
    let left =
        format!("! process 4121 (shop) has died: 12 spans wait in its ring file {ring}: {command}");
    page.health.left = Some(left);
    let lines = lines(&mut shown(page), (80, 24));
    assert!(lines[0].contains("! died, not all stored"), "{lines:?}");
    let banner: String = lines[1..6].join("").split_whitespace().collect();
    for part in ["12 spans wait", &ring, command] {
        assert!(banner.contains(&part.replace(' ', "")), "{part}: {lines:?}");
    }
    assert!(lines.iter().any(|line| line.contains("sort:")), "{lines:?}");
}

#[test]
fn of_a_run_that_is_over_the_open_spans_say_how_it_ended() {
    let said = |state, unfinished| {
        let mut page = page(vec![row("a", 1)], SubjectData::Open(Vec::new()));
        page.health.state = state;
        (page.health.run.id, page.health.run.unfinished) = (7, unfinished);
        let mut app = shown(page);
        app.view = View::Open;
        lines(&mut app, (80, 24)).join("\n")
    };
    let died = said(State::Crashed, 2);
    assert!(
        died.contains("run 7 is over: its process died, and all that it had recorded is stored"),
        "{died}"
    );
    assert!(died.contains("2 spans were open then: `spandrel sql --recipe unfinished`"), "{died}");
    assert!(!died.contains("0 open"), "{died}");
    let ended = said(State::Ended, 0);
    assert!(
        ended.contains("run 7 has ended") && ended.contains("nothing was open then"),
        "{ended}"
    );
}
