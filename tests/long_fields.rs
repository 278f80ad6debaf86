//! Values that are too long are cut at a character's boundary, and fields for which there is no room are
//! left out; both are named: `"$truncated": {"field": bytes it had}`, `null` for a number, and
//! `"*": null` where there is no room even for names.

use spandrel_tests::prelude::*;

fn record(max_field_bytes: usize, body: impl FnOnce()) -> (Database, u64) {
    let scratch = scratch();
    let profiler = small(scratch.db()).max_field_bytes(max_field_bytes).build().unwrap();
    within(&dispatch(&profiler), body);
    let report = profiler.close().unwrap();
    (ledger::check_complete(scratch.db(), &report), report.stats.cut)
}

#[test]
fn a_long_text_is_cut_at_a_boundary_and_its_length_kept() {
    let _limit = time_limit(60);
    // One to four bytes a character, so that a cut falls inside one for most lengths.
    for character in ["x", "\u{e9}", "\u{65e5}", "\u{1f980}"] {
        for limit in [64, 100, 101, 102, 103, 1_000, 4_096] {
            let text = format!("a{}", character.repeat(10_000));
            let (db, cut) = record(limit, || {
                drop(info_span!("long", text = text.as_str()));
                drop(info_span!("shown", text = %text));
                info!(text = text.as_str(), "short");
                info!("{text}");
                drop(info_span!("short", text = "short"));
            });
            assert_eq!(cut, 4);
            for name in ["long", "shown"] {
                let fields = db.span(name).fields;
                let stored = fields.text("text");
                assert!(text.starts_with(&stored), "{stored}");
                // The only field has all the room.
                assert!(stored.len() <= limit && stored.len() + 40 >= limit, "{}", stored.len());
                assert_eq!(fields.cut().get("text"), Some(&Some(text.len() as u64)));
            }
            let event = db.event("short");
            assert!(text.starts_with(&event.fields.text("text")));
            assert_eq!(event.fields.cut().get("text"), Some(&Some(text.len() as u64)));
            let long =
                db.events().into_iter().find(|event| event.message.as_deref() != Some("short"));
            let long = long.unwrap();
            assert!(text.starts_with(long.message.as_deref().unwrap()));
            assert_eq!(long.fields.cut().get("message"), Some(&Some(text.len() as u64)));
            assert_eq!(db.span("short").fields.cut().len(), 0);
        }
    }
}

#[test]
fn a_value_that_just_fits_is_not_cut() {
    let _limit = time_limit(60);
    let texts: Vec<_> = (0..300).map(|length| "y".repeat(length)).collect();
    let (db, cut) = record(200, || {
        for (n, text) in texts.iter().enumerate() {
            drop(info_span!("text", text = text.as_str(), n));
            drop(info_span!("bytes", bytes = text.as_bytes(), n));
        }
    });
    let mut marked = 0;
    for span in db.spans() {
        marked += u64::from(!span.fields.cut().is_empty());
        // `n` comes after the text, which does not take all the room.
        let n = span.fields.number("n") as usize;
        let (name, unit) = if span.name == "text" { ("text", 1) } else { ("bytes", 2) };
        let stored = span.fields.text(name).len() / unit;
        match span.fields.cut().get(name) {
            Some(original) => {
                assert_eq!(*original, Some(n as u64));
                assert!(stored < n);
            }
            None => assert_eq!(stored, n),
        }
    }
    assert_eq!(marked, cut);
    let whole = "SELECT count(*) FROM span WHERE fields NOT LIKE '%$truncated%'";
    assert!(db.count(whole) >= 2 * 80, "what is far below the limit is whole");
}

#[test]
fn whole_fields_that_do_not_fit_are_left_out_and_marked() {
    let _limit = time_limit(60);
    let text = "z".repeat(1_000);
    let (db, cut) = record(64, || {
        drop(info_span!(
            "full",
            first = 1,
            text = text.as_str(),
            second = text.as_str(),
            third = 3,
            fourth = 4.5
        ));
    });
    assert_eq!(cut, 1);
    let fields = db.span("full").fields;
    assert_eq!(fields.number("first"), 1);
    let marks = fields.cut();
    // Eight words, of which each field has one for sure: it has a small number, or is named.
    assert_eq!((marks["text"], marks["second"], marks.get("*")), (Some(1_000), Some(1_000), None));
    for name in ["text", "second", "third", "fourth"] {
        let marked = marks.contains_key(name);
        assert!(fields.raw(name).is_some() || marked, "{name} is silently missing: {fields:?}");
    }
}

#[test]
fn no_room_for_fields_at_all() {
    let _limit = time_limit(60);
    let (db, cut) = record(0, || {
        drop(info_span!("work", n = 1));
        drop(info_span!("plain"));
        info!(n = 1, "said");
    });
    assert_eq!(cut, 2);
    assert_eq!(db.span("work").fields.names(), [""; 0]);
    assert_eq!(db.span("work").fields.cut().get("*"), Some(&None));
    assert_eq!(db.span("plain").fields.cut().len(), 0);
    assert_eq!(db.events().len(), 1);
}

#[test]
fn late_records_that_do_not_fit_are_marked_too() {
    let _limit = time_limit(60);
    let text = "z".repeat(150);
    let (db, _) = record(200, || {
        let span = info_span!("late", text = text.as_str(), other = field::Empty, n = 1);
        span.record("other", text.as_str());
        span.record("n", 2);
    });
    let fields = db.span("late").fields;
    let marks = fields.cut();
    // A half of the room at most for each, and something for both.
    for name in ["text", "other"] {
        assert!(
            text.starts_with(&fields.text(name)) && fields.text(name).len() >= 16,
            "{fields:?}"
        );
        assert_eq!(marks[name], Some(150));
    }
    assert_eq!(fields.number("n"), 2);
}

#[test]
fn sixty_four_megabytes_are_cut_like_anything_else() {
    let _limit = time_limit(60);
    let text = "m".repeat(64 << 20);
    struct Long<'a>(&'a str);
    impl std::fmt::Debug for Long<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            // In pieces, as derived code does.
            (0..self.0.len() / 4_096).try_for_each(|at| f.write_str(&self.0[at * 4_096..][..4_096]))
        }
    }
    let (db, cut) = record(4_096, || {
        drop(info_span!("text", value = text.as_str()));
        drop(info_span!("bytes", value = text.as_bytes()));
        drop(info_span!("debug", value = ?Long(&text)));
        info!("{text}");
    });
    assert_eq!(cut, 4);
    for name in ["text", "bytes", "debug"] {
        let fields = db.span(name).fields;
        assert_eq!(fields.cut().get("value"), Some(&Some(64 << 20)), "{name}");
        assert!((3_000..=8_192).contains(&fields.text("value").len()), "{name}");
    }
    let size = db.count("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
    assert!(size < 1 << 20, "{size} bytes");
}
