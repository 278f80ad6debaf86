use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use spandrel_storage::{OpenSpan, Reader, Span};

use super::*;
use crate::commands::made as profile;
use crate::live::keys::Action;
use crate::live::look;
use crate::live::made::{page, row};
use crate::live::page::{Detail, Looked, LookedAt, Page, Point, State};

const SIZES: [(u16, u16); 7] = [(80, 24), (120, 40), (20, 5), (300, 80), (1, 1), (3, 2), (40, 8)];

/// Draws once and gives the buffer.
fn drawn(app: &mut App, size: (u16, u16), look: Look) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(frame.buffer_mut(), app, look)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(app: &mut App, size: (u16, u16)) -> Vec<String> {
    let buffer = drawn(app, size, Look { has_colours: true, is_ascii: false });
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
        Looked::Table,
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

fn open_spans() -> Vec<OpenSpan> {
    let folder = tempfile::tempdir().unwrap();
    crate::live::made::open_spans(&folder.path().join("open.db"))
}

fn detail(spans: Vec<Span>) -> Looked {
    let one = row("db.query", 2_000);
    Looked::Detail(Box::new(Detail {
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
        looked: LookedAt { spans: 50_000, from_ns: Some(7_000_000_000), is_all: false },
        open: open_spans(),
    }))
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
    let run = reader.latest_run().unwrap().unwrap();
    let part = look::Part { run: &run, from_ns: 0, until_ns: i64::MAX, is_end: true };
    let rows = || vec![row("db.query", 2_000), row(&"x".repeat(5_000), 1)];
    for size in SIZES {
        for (key, subject) in [
            (None, Looked::Table),
            (Some(Action::Enter), detail(spans.clone())),
            (Some(Action::Open), Looked::Open(look::lines(open_spans(), &[]))),
            (Some(Action::Flame), Looked::Flame(Box::new(look::flame(&reader, &part).unwrap()))),
            (Some(Action::Help), Looked::Table),
            (Some(Action::Filter), Looked::Table),
            (Some(Action::Mark), Looked::Table),
            (Some(Action::Flame), Looked::Table),
        ] {
            let mut page = page(rows(), subject);
            page.health.dropped = vec![("ring_full".into(), 12_031)];
            let mut app = shown(page);
            app.apply(key.unwrap_or(Action::First));
            app.missing = Some("profile.db is gone".into());
            for action in [Action::Last, Action::Screen(-1), Action::First] {
                drawn(&mut app, size, Look::default());
                app.apply(action);
            }
        }
        let missing = Some("profile.db is not there yet".into());
        let mut waiting = App { missing, ..App::default() };
        drawn(&mut waiting, size, Look::default());
    }
}

#[test]
fn what_was_lost_is_told_in_red() {
    let mut page = page(vec![row("a", 1)], Looked::Table);
    page.health.dropped = vec![("ring_full".into(), 12_031), ("contended".into(), 2)];
    let mut app = shown(page);
    let lines = lines(&mut app, (80, 24));
    assert!(lines[0].contains("dropped 12,033"), "{}", lines[0]);
    assert!(lines[1].contains("! 12,033 lost") && lines[1].contains("ring_full 12,031"));
    let buffer = drawn(&mut app, (80, 24), Look { has_colours: true, is_ascii: false });
    assert_eq!(buffer[(1, 1)].bg, Color::Indexed(124));
}

#[test]
fn a_hostile_name_stays_in_its_cell() {
    let nasty = "a\x1b[2Jb\u{9b}31m\r\n\t\u{202e}漢字\u{200b}👨‍👩‍👧";
    let mut hostile = row(nasty, 9_000);
    hostile.key.target = nasty.into();
    let mut page = page(vec![hostile, row("b", 1)], Looked::Table);
    page.health.run.info.label = Some(nasty.into());
    page.health.dropped = vec![(nasty.into(), 1)];
    let mut app = shown(page);
    for size in SIZES {
        for view in [Action::First, Action::Enter] {
            app.apply(view);
            let buffer = drawn(&mut app, size, Look { has_colours: true, is_ascii: false });
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
        let buffer = drawn(&mut app, (120, 40), Look { has_colours: false, is_ascii: true });
        for cell in &buffer.content {
            assert!(cell.symbol().is_ascii(), "{:?}", cell.symbol());
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
        }
    }
}

#[test]
fn an_empty_run_and_a_missing_file_say_so() {
    let mut app = shown(page(Vec::new(), Looked::Table));
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
    let mut app = shown(page(rows, Looked::Table));
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
        (State::Killed, "! killed"),
        (State::Unknown, "? not ended"),
    ] {
        let mut page = page(vec![row("a", 1)], Looked::Table);
        page.health.state = state;
        assert!(lines(&mut shown(page), (80, 24))[0].contains(word));
    }
}

#[test]
fn open_spans_stand_under_their_threads_and_what_hangs_is_marked() {
    let lines_of = look::lines(open_spans(), &[]);
    assert_eq!(lines_of.len(), 3);
    let mut app = shown(page(Vec::new(), Looked::Open(lines_of)));
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
    let run = reader.latest_run().unwrap().unwrap();
    let part = look::Part { run: &run, from_ns: 0, until_ns: i64::MAX, is_end: true };
    let flame = look::flame(&reader, &part).unwrap();
    let mut app = shown(page(Vec::new(), Looked::Flame(Box::new(flame))));
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
