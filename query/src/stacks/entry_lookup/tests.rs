use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::reader::Reader;
use crate::test_profile::{TestProfile, cases};
use crate::{Filter, Scan, StackTree, Stacks, Weight};
use spandrel_storage::{EntryRow, SpanRow};

/// So long is a step: a slice has a few.
const STEP_NS: i64 = 130_000_000;
/// Ids of the spans that live long.
const LONG: [u64; 3] = [1, 2, 3];

/// What a thread does next: enters one of those that live long, opens a span of its own, or leaves.
#[derive(Debug, Clone, Copy)]
enum Step {
    Enter(usize),
    Open,
    Leave,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        (0..LONG.len()).prop_map(Step::Enter),
        Just(Step::Open),
        Just(Step::Leave),
        Just(Step::Leave),
    ];
    vec(one, 0..60)
}

/// Where a thread is.
struct Level {
    name: String,
    /// Of the span, or the one that lives long.
    id: u64,
    is_entry: bool,
    from_ns: i64,
    inside_ns: i64,
}

/// What threads did: the rows in the order of their ends, and self times by path.
#[derive(Default)]
struct Program {
    spans: Vec<(i64, SpanRow)>,
    entries: Vec<(i64, EntryRow)>,
    paths: BTreeMap<String, i64>,
    /// Sum of what was in nothing else.
    outermost_ns: i64,
}

impl Program {
    fn run(&mut self, steps: &[Step], thread: u32, (own, long): (i64, i64)) {
        let mut levels: Vec<Level> = Vec::new();
        let mut at_ns = i64::from(thread) * 7;
        let ends = std::iter::repeat_n(Step::Leave, steps.len());
        for step in steps.iter().copied().chain(ends) {
            at_ns += STEP_NS;
            let level = |name: String, id, is_entry| Level {
                name,
                id,
                is_entry,
                from_ns: at_ns,
                inside_ns: 0,
            };
            match step {
                Step::Enter(which) => {
                    let id = LONG[which];
                    // What is inside already is not entered once more.
                    if !levels.iter().any(|level| level.is_entry && level.id == id) {
                        levels.push(level("long ⟳".into(), id, true));
                    }
                }
                Step::Open => {
                    let id = 10 + (at_ns / STEP_NS) as u64 * 2 + u64::from(thread);
                    levels.push(level("own".into(), id, false));
                }
                Step::Leave => self.leave(&mut levels, thread, (own, long), at_ns),
            }
        }
    }

    fn leave(&mut self, levels: &mut Vec<Level>, thread: u32, sites: (i64, i64), at_ns: i64) {
        let path: Vec<&str> = levels.iter().map(|level| level.name.as_str()).collect();
        let path = path.join(";");
        let Some(Level { id, is_entry, from_ns, inside_ns, .. }) = levels.pop() else { return };
        let duration_ns = at_ns - from_ns;
        let self_ns = duration_ns - inside_ns;
        *self.paths.entry(path).or_default() += self_ns;
        match levels.last_mut() {
            Some(outer) => outer.inside_ns += duration_ns,
            None => self.outermost_ns += duration_ns,
        }
        let around_id = levels.last().map_or(0, |level| level.id);
        if is_entry {
            let row = EntryRow {
                id: 0,
                span_id: id,
                callsite_id: sites.1,
                thread_id: thread.into(),
                start_ns: from_ns,
                duration_ns,
                around_id,
                self_ns: Some(self_ns),
                earlier_entries: 0,
                earlier_ns: 0,
            };
            self.entries.push((at_ns, row));
        } else {
            let row = TestProfile::span(id, sites.0, from_ns, duration_ns);
            let thread_id = thread.into();
            let row = SpanRow { parent_id: around_id, thread_id, self_ns: Some(self_ns), ..row };
            self.spans.push((at_ns, row));
        }
    }
}

fn paths(tree: &StackTree) -> BTreeMap<String, i64> {
    let mut paths = BTreeMap::new();
    for (at, node) in tree.nodes().iter().enumerate().filter(|(_, node)| node.sums.calls > 0) {
        let path: Vec<_> = tree.path(at).iter().map(|frame| frame.name().to_owned()).collect();
        *paths.entry(path.join(";")).or_default() += node.sums.self_ns;
    }
    paths
}

fn check(reader: &Reader, program: &Program) -> Result<(), TestCaseError> {
    let mut stacks = Stacks::new(reader, 1).unwrap();
    reader.add_stacks(&Scan::new(1), &mut stacks).unwrap();
    let in_sum = stacks.finish().unwrap();
    let mut stacks = Stacks::new(reader, 1).unwrap();
    reader.scan_calls(&Scan::new(1), &Filter::all(), |span| stacks.add(span)).unwrap();
    for tree in [in_sum, stacks.finish().unwrap()] {
        prop_assert_eq!(&paths(&tree), &program.paths);
        // Whatever makes it wide, nothing is in two places.
        for weight in [Weight::SelfTime, Weight::Busy, Weight::Wall] {
            let widths = tree.widths(weight);
            let roots = tree.nodes().iter().zip(widths).filter(|(node, _)| node.parent.is_none());
            let all: i64 = roots.map(|(_, width)| width).sum();
            prop_assert_eq!(all, program.outermost_ns, "{:?}", weight);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn what_was_done_in_entries_stands_in_them_and_nothing_in_two_places(
        threads in vec(steps(), 2),
        commits in 1_usize..5,
    ) {
        let mut profile = TestProfile::new();
        let (own, long) = (profile.callsite("own", "t", 1), profile.callsite("long", "t", 2));
        let mut program = Program::default();
        for (number, steps) in (0..).zip(&threads) {
            profile.thread(number + 1, None);
            program.run(steps, number + 1, (own, long));
        }
        program.spans.sort_by_key(|(at_ns, _)| *at_ns);
        program.entries.sort_by_key(|(at_ns, _)| *at_ns);
        let end_ns = STEP_NS * 200;
        let mut entries = (10_000..).zip(&program.entries).peekable();
        let mut spans = program.spans.iter().peekable();
        for commit in 1..=commits as i64 {
            let until_ns = end_ns / commits as i64 * commit + commits as i64;
            while let Some((_, span)) = spans.next_if(|(at_ns, _)| *at_ns < until_ns) {
                profile.add(span.clone(), "");
            }
            while let Some((id, (_, entry))) = entries.next_if(|(_, (at_ns, _))| *at_ns < until_ns) {
                profile.entry(EntryRow { id, ..*entry });
            }
            if commit == commits as i64 {
                for id in LONG {
                    profile.add(SpanRow { self_ns: None, entries: 9, ..TestProfile::span(id, long, 0, end_ns) }, "");
                }
            }
            profile.commit();
        }
        check(&profile.reader(), &program)?;
        let mut several = profile.in_small_pages(0);
        for threads in [0, 1, 3] {
            several.read_ahead_by(TestProfile::by_threads(threads));
            check(&several, &program)?;
        }
        crate::optimize(several.path(), |_| ()).unwrap();
        check(&Reader::open(several.path()).unwrap(), &program)?;
    }
}
