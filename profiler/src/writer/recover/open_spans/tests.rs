//! Open spans of a process that lives, of its ring file as anybody might have changed it.

use spandrel_ring::file::Reader;

use super::super::left::Left;
use super::*;
use crate::recorder::ring_file::layout::names;

/// What is shown of a ring whose process lives.
fn look(bytes: &[u8]) -> Result<RingOpen, String> {
    let said = |refused: Refused| refused.about(Path::new("ring")).to_string();
    let reader = Reader::new(bytes).map_err(|error| error.to_string())?;
    let view = View::of(Path::new("ring"), reader).map_err(said)?;
    let mut view = view.ok_or("nothing in it")?;
    view.look_at_living(RingOwner::Alive).map_err(said)
}

/// Numbers that are the same each time.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// As often as `SPANDREL_TEST_WORDS` says.
fn rounds() -> u64 {
    std::env::var("SPANDREL_TEST_WORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(400)
}

#[test]
fn what_is_open_is_there_with_its_fields_and_below_its_parent() {
    let left = Left::by(3);
    let found = look(&left.bytes).unwrap();
    assert_eq!((found.damaged, found.turned, found.pid), (0, 0, std::process::id().into()));
    let [open, inner] = &found.spans[..] else { panic!("{found:?}") };
    assert_eq!((open.name.as_str(), inner.name.as_str()), ("open", "inner"));
    assert_eq!((open.parent_id, inner.parent_id), (0, open.id));
    assert_eq!((open.root_id, inner.root_id), (open.id, open.id));
    assert_eq!((open.entries, inner.entries), (1, 1));
    let fields: serde_json::Value = serde_json::from_str(open.fields.as_ref().unwrap()).unwrap();
    assert_eq!(fields, serde_json::json!({ "n": 3, "text": "x".repeat(500) }));
    assert_eq!((&inner.fields, open.are_fields_left_out), (&None, false));
    for span in [open, inner] {
        assert_eq!(span.start_ns + span.age_ns, found.seen_ns);
        assert!(span.busy_ns.unwrap() <= span.age_ns && span.age_ns > 0, "{span:?}");
        assert_eq!(
            (span.level.as_str(), &span.thread_name),
            ("INFO", &std::thread::current().name().map(str::to_owned))
        );
    }
    // The same as a recovery finds.
    let scan = left.scan().unwrap();
    let ids: Vec<u64> = scan.open.iter().map(|left| left.seen.id).collect();
    assert_eq!(ids, [open.id, inner.id]);
    // Its clock has no pieces yet: its rate is better known with each look.
    let again = look(&left.bytes).unwrap();
    assert!(again.spans[0].start_ns.abs_diff(open.start_ns) < 100_000, "{again:?} {found:?}");
}

/// Though no record says that time has passed.
#[test]
fn whoever_is_inside_of_a_span_at_death_was_so_until_the_last_one_began() {
    let scan = Left::by(0).scan().unwrap();
    let [open, inner] = &scan.open[..] else { panic!("{:?}", scan.open) };
    let (entries, until) = (&open.seen.entries, inner.seen.start);
    assert_eq!((entries.count, entries.last), (1, until));
    assert_eq!(entries.busy, until - entries.first);
}

/// Whatever is changed is an error, is counted, or shows something that a recorder may have written.
#[test]
fn words_that_were_changed_are_counted_and_nothing_panics() {
    let left = Left::by(2);
    let (mut random, mut counted, mut refused) = (random(7), 0, 0);
    for _ in 0..rounds() {
        let mut bytes = left.bytes.clone();
        for _ in 0..1 + random() % 8 {
            let at = (random() as usize % (bytes.len() / 8)) * 8;
            bytes[at..at + 8].copy_from_slice(&random().to_ne_bytes());
        }
        match look(&bytes) {
            Ok(found) => {
                counted += found.damaged;
                assert!(found.spans.len() <= 2, "{found:?}");
                assert!(found.spans.iter().all(|span| span.age_ns >= 0 && span.entries < 1 << 48));
            }
            Err(_) => refused += 1,
        }
    }
    // The tables of open spans take most of so small a ring, and are nearly all zero.
    assert!(counted > 0, "{refused} were refused");
}

/// Each word of the slots of what is open, and of what lies beside them.
#[test]
fn each_word_of_an_open_span_may_be_any_other() {
    let left = Left::by(1);
    let before = look(&left.bytes).unwrap();
    let id = before.spans[0].id.to_ne_bytes();
    let slots: Vec<usize> = (0..left.bytes.len() / 8)
        .map(|word| word * 8)
        .filter(|at| left.bytes[*at..at + 8] == id)
        .collect();
    // With those of whatever else runs in this process.
    let (mut shown, mut known) = (0, Vec::new());
    let mut reader = Reader::new(left.bytes.as_slice()).unwrap();
    let is_callsite = |name: &spandrel_ring::file::Name<'_>| name.kind == names::CALLSITE;
    let add = |name: spandrel_ring::file::Name<'_>| {
        known.extend(is_callsite(&name).then(|| name.texts[0].to_string()));
    };
    assert_eq!(reader.names(true, add).unwrap().damaged, 0);
    for at in slots.iter().flat_map(|at| (at.saturating_sub(8)..at + 248).step_by(8)) {
        for other in [0_u64, 1, 1 << 40, 1 << 63, u64::MAX, 0x5555_5555_5555_5555] {
            let mut bytes = left.bytes.clone();
            let Some(word) = bytes.get_mut(at..at + 8) else { continue };
            word.copy_from_slice(&other.to_ne_bytes());
            let Ok(found) = look(&bytes) else { continue };
            shown += found.spans.len();
            for span in &found.spans {
                assert!(known.contains(&span.name), "{span:?}");
                assert!(span.age_ns >= 0 && span.start_ns <= found.seen_ns);
                let fields = span.fields.as_deref().map(serde_json::from_str::<serde_json::Value>);
                assert!(fields.is_none_or(|fields| fields.is_ok_and(|it| it.is_object())));
            }
        }
    }
    assert!(shown > 100, "{shown}");
}

#[test]
fn a_file_that_is_cut_short_shows_what_it_has() {
    let left = Left::by(1);
    let mut random = random(3);
    let step = left.bytes.len() / 200;
    for at in (0..200).map(|n| n * step + random() as usize % step) {
        if let Ok(found) = look(&left.bytes[..at]) {
            assert!(found.spans.len() <= 2);
        }
    }
    assert_eq!(look(&left.bytes).unwrap().spans.len(), 2);
}
