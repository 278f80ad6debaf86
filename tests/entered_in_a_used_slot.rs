//! A span that outlives its parent, and is entered inside a later span that got the parent's slot, is there inside
//! another span than its parent: the entry is recorded, and its time is not that span's own.

use spandrel::scope;
use spandrel_tests::prelude::*;

/// Calls of `tick`, so that slots are used again, and again by the thread itself.
const TICKS: u64 = 6;
/// In this one the task is made.
const MADE: u64 = 3;

fn tick(kind: &str, n: u64, inside: impl FnOnce()) {
    match kind {
        "scope" => {
            let _tick = scope!("tick", n);
            inside();
        }
        "plain scope" => {
            let _tick = scope!("tick");
            inside();
        }
        _ => info_span!("tick", n).in_scope(inside),
    }
}

#[test]
fn a_task_inside_what_got_its_parents_slot_is_not_that_ones_own_time() {
    alone!();
    let Some(role) = child::role() else {
        for front in ["subscriber", "layer"] {
            for kind in ["span", "scope", "plain scope"] {
                // Entered inside its parent, or not there.
                for first in ["at once", "later"] {
                    child::plan(&format!("{front},{kind},{first}")).start().succeed();
                }
            }
        }
        return;
    };
    let [front, kind, first] = *role.split(',').collect::<Vec<_>>() else { panic!("{role}") };
    let (scratch, profiler) = recording_for(60);
    match front {
        "subscriber" => profiler.subscriber().init().unwrap(),
        _ => tracing_subscriber::registry().with(profiler.layer()).init(),
    }
    let mut task = Span::none();
    for n in 0..TICKS {
        tick(kind, n, || {
            if n == MADE {
                task = info_span!("task");
            }
            if n > MADE || n == MADE && first == "at once" {
                task.in_scope(|| ());
            }
        });
    }
    drop(task);
    let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
    let ticks = "SELECT id FROM spans WHERE name = 'tick' ORDER BY id";
    let ticks: Vec<i64> = db.rows(ticks, [], |row| row.get(0));
    assert_eq!(db.span("task").parent_id, Some(ticks[MADE as usize]), "{role}");
    let around = "SELECT around_id FROM entry ORDER BY id";
    let around: Vec<i64> = db.rows(around, [], |row| row.get(0));
    assert_eq!(around, ticks[MADE as usize + 1..], "{role}");
    // Their own time is what they lasted without the task's entry.
    for id in around {
        let (own, inside) = db.rows(
            "SELECT s.self_ns, s.duration_ns - e.duration_ns FROM spans s JOIN entry e ON e.around_id = s.id
             WHERE s.id = ?1",
            [id],
            |row| Ok::<(i64, i64), _>((row.get(0)?, row.get(1)?)),
        )[0];
        assert!(own <= inside, "{role}: {own} ns are its own, of at most {inside}");
    }
}
