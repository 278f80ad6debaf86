//! A span that is entered inside another one than its parent has that entry recorded, so that its time is the other
//! one's child time; and entries inside the parent, or outside of everything, are told by the span alone.

use std::collections::BTreeMap;
use std::time::Instant;

use proptest::prelude::*;
use spandrel::Entries;
use spandrel_tests::prelude::*;
use tracing::span::EnteredSpan;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A span inside the one that the thread is in, or outside.
    New,
    /// One whose parent is this one.
    NewBelow(usize),
    /// A root, wherever that is.
    NewRoot,
    Enter(usize),
    /// Leaves the innermost one.
    Leave,
    /// A handle is dropped.
    Close(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::New),
        1 => (0_usize..16).prop_map(Step::NewBelow),
        1 => Just(Step::NewRoot),
        6 => (0_usize..16).prop_map(Step::Enter),
        5 => Just(Step::Leave),
        3 => (0_usize..16).prop_map(Step::Close),
    ];
    prop::collection::vec(step, 1..120)
}

/// What the model knows of a span.
#[derive(Debug, Clone)]
struct Made {
    span: Option<Span>,
    parent: Option<usize>,
    /// It was entered elsewhere than inside its parent.
    is_stray: bool,
    inside: usize,
}

#[derive(Default)]
struct Model {
    made: Vec<Made>,
    inside: Vec<(usize, EnteredSpan)>,
    /// Which entries are recorded: the span and the one around it, in the order of their ends.
    recorded: Vec<(usize, usize)>,
}

impl Model {
    fn around(&self) -> Option<usize> {
        self.inside.last().map(|(n, _)| *n)
    }

    fn add(&mut self, span: Span, parent: Option<usize>) {
        self.made.push(Made { span: Some(span), parent, is_stray: false, inside: 0 });
    }

    /// One of those that are open.
    fn choose(&self, choice: usize) -> Option<usize> {
        let open: Vec<_> = (0..self.made.len()).filter(|n| self.made[*n].span.is_some()).collect();
        open.get(choice % open.len().max(1)).copied()
    }

    fn step(&mut self, step: Step) {
        let n = self.made.len();
        match step {
            Step::New => self.add(info_span!("span", n), self.around()),
            Step::NewRoot => self.add(info_span!(parent: None, "span", n), None),
            Step::NewBelow(choice) => {
                if let Some(parent) = self.choose(choice) {
                    let of = self.made[parent].span.clone().unwrap();
                    self.add(info_span!(parent: &of, "span", n), Some(parent));
                }
            }
            Step::Enter(choice) => {
                let Some(n) = self.choose(choice) else { return };
                let around = self.around();
                let made = &mut self.made[n];
                let entered = made.span.clone().unwrap().entered();
                made.inside += 1;
                if made.inside == 1 {
                    made.is_stray |= around != made.parent;
                    self.inside.push((n, entered));
                } else {
                    // Once more: nothing is entered, and nothing left.
                    made.inside -= 1;
                    drop(entered);
                }
            }
            Step::Leave => self.leave(),
            Step::Close(choice) => {
                let Some(n) = self.choose(choice) else { return };
                // Also before its children: what gets its slot then is not taken for their parent.
                if self.made[n].inside == 0 {
                    self.made[n].span = None;
                }
            }
        }
    }

    fn leave(&mut self) {
        let Some((n, entered)) = self.inside.pop() else { return };
        drop(entered);
        self.made[n].inside -= 1;
        if let Some(around) = self.around()
            && self.made[n].is_stray
        {
            self.recorded.push((n, around));
        }
    }
}

/// The entries of the file by the numbers of their spans, in the order of their ends.
fn stored(db: &Database) -> Vec<(usize, usize)> {
    let ids: BTreeMap<i64, usize> =
        db.spans().iter().map(|span| (span.id, span.n() as usize)).collect();
    let sql = "SELECT span_id, around_id FROM entry ORDER BY start_ns + duration_ns, id";
    db.rows(sql, [], |row| {
        let (span, around): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
        Ok((ids[&span], ids[&around.expect("it is inside another one")]))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn an_entry_inside_another_span_than_the_parent_is_recorded(steps in steps()) {
        for front in Front::BOTH {
            let (scratch, profiler) = recording_for(120);
            let mut model = Model::default();
            let began = Instant::now();
            within(&front.dispatch(&profiler), || {
                steps.iter().for_each(|step| model.step(*step));
                while !model.inside.is_empty() {
                    model.leave();
                }
                model.made.clear();
            });
            // Those of a span that has lived for a second are recorded for that: on a machine that stands still.
            let is_quick = began.elapsed() < Duration::from_millis(900);
            let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
            if is_quick {
                prop_assert_eq!(&stored(&db), &model.recorded);
            }
        }
    }
}

/// What was a fifth of the time inside `worker`, which is nobody's parent, is not the worker's own.
#[test]
fn what_a_request_took_inside_the_worker_is_not_the_workers_own_time() {
    for front in Front::BOTH {
        let (scratch, profiler) = recording_for(60);
        within(&front.dispatch(&profiler), || {
            let request = info_span!("request", n = 0);
            info_span!("worker", n = 1).in_scope(|| {
                request.in_scope(|| info_span!("query", n = 2).in_scope(|| ()));
            });
        });
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        let (worker, request) = (db.span("worker"), db.span("request"));
        assert!(request.parent_id.is_none() && request.self_ns.is_some(), "{request:?}");
        assert_eq!(stored(&db), [(0, 1)]);
        let inside: i64 = db.value("SELECT duration_ns FROM entry");
        let work = self_times::works(&db)[&worker.id];
        assert_eq!(worker.self_ns, Some(work.length_ns() - inside));
    }
}

/// A task that is made inside a span and polled outside of it, as executors do: no entry of it is anybody's child time.
#[test]
fn a_task_that_is_polled_outside_of_its_parent_has_no_entries_recorded() {
    for front in Front::BOTH {
        let (scratch, profiler) = recording_for(60);
        within(&front.dispatch(&profiler), || {
            let task = info_span!("spawner", n = 0).in_scope(|| info_span!("task", n = 1));
            (0..50).for_each(|_| task.in_scope(|| ()));
            // And inside another one after all.
            info_span!("other", n = 2).in_scope(|| task.in_scope(|| ()));
            (0..50).for_each(|_| task.in_scope(|| ()));
        });
        let db = ledger::check_complete(scratch.db(), &profiler.close().unwrap());
        assert_eq!(db.span("task").entries, 101);
        assert_eq!(stored(&db), [(1, 2)]);
    }
}

#[test]
fn nothing_is_recorded_where_entries_are_off() {
    for front in Front::BOTH {
        let scratch = scratch_for(60);
        let profiler = small(scratch.db()).entries(Entries::Off).build().unwrap();
        within(&front.dispatch(&profiler), || {
            let request = info_span!("request", n = 0);
            info_span!("worker", n = 1).in_scope(|| request.in_scope(|| ()));
        });
        let (report, _) = ledger::closed(&scratch, &profiler);
        assert_eq!(report.entries.recorded, 0);
    }
}
