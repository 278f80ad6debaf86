//! `RUSTFLAGS="--cfg spandrel_loom" cargo test -p spandrel --release --lib loom_models`

use loom::sync::Arc;
use loom::thread;
use tracing_core::callsite::{Callsite, Identifier};
use tracing_core::field::FieldSet;
use tracing_core::metadata::Kind;
use tracing_core::{Interest, Level};

use super::*;
use crate::recorder::callsites::Callsites;
use crate::recorder::tally::Tally;

type Met = &'static Metadata<'static>;

struct Nowhere;
static NOWHERE: Nowhere = Nowhere;

impl Callsite for Nowhere {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &MADE[0]
    }
}

const fn made(name: &'static str) -> Metadata<'static> {
    let fields = FieldSet::new(&[], Identifier(&NOWHERE));
    Metadata::new(name, "models", Level::INFO, None, None, None, fields, Kind::SPAN)
}

/// The first table has room for two of them.
static MADE: [Metadata<'static>; 4] = [made("0"), made("1"), made("2"), made("3")];

/// The parts of a filter and a recorder that callsites need.
struct Program {
    fast: FastSites,
    sites: Sites,
    callsites: Callsites,
    tally: Tally,
}

impl Program {
    fn new() -> Arc<Self> {
        let fast = fast_sites();
        let sites = Sites::new(Some(fast.clone()));
        Arc::new(Self { fast, sites, callsites: Callsites::default(), tally: Tally::default() })
    }

    /// As `Filter::meet` does for a callsite that is kept.
    fn enter(&self, metadata: Met) {
        let site = self.sites.find_or_enter(metadata).unwrap();
        let number = site.number().or_else(|| self.callsites.add(metadata));
        self.decide(site, Answer::Kept(number.unwrap()));
    }

    /// As `Filter::decide` does.
    fn decide(&self, site: &Site, answer: Answer) {
        let before = site.set_answer(answer);
        self.tally.count(before.map(Answer::is_kept), answer.is_kept());
        self.sites.set_fast(site.metadata, answer);
    }

    /// As `Filter::answer` does.
    fn meet(&self, metadata: Met) {
        // This thread enters the callsite once, if it is not there, or if the other thread that enters it
        // has not answered yet. After that there is an answer.
        let mut entered = 0;
        for _ in 0..3 {
            if !self.check(metadata) {
                self.enter(metadata);
                entered += 1;
            }
        }
        assert!(entered <= 1, "entered {entered} times");
    }

    /// Whether the general path finds an answer. What either path finds must belong to this callsite, and
    /// this thread must be able to look its number up.
    fn check(&self, metadata: Met) -> bool {
        if let Some(number) = first_probe(&self.fast, metadata).plain() {
            self.check_number(metadata, (number >> UPPER_SHIFT) as CallsiteNumber);
        }
        let Some(site) = self.sites.find(metadata) else { return false };
        assert!(std::ptr::eq(site.metadata, metadata));
        let Some(answer) = site.answer() else { return false };
        let Answer::Kept(number) = answer else { panic!("{answer:?}") };
        self.check_number(metadata, number);
        true
    }

    fn check_number(&self, metadata: Met, number: CallsiteNumber) {
        let known = self.callsites.metadata(number);
        assert!(known.is_some_and(|known| std::ptr::eq(known, metadata)), "{number}: {known:?}");
    }
}

fn at_the_same_time(
    program: &Arc<Program>,
    other: impl FnOnce(&Program) + 'static,
    mine: impl FnOnce(&Program),
) {
    let theirs = Arc::clone(program);
    let thread = thread::spawn(move || other(&theirs));
    mine(program);
    thread.join().unwrap();
}

#[test]
fn two_threads_meet_one_callsite() {
    loom::model(|| {
        let program = Program::new();
        at_the_same_time(&program, |them| them.meet(&MADE[0]), |us| us.meet(&MADE[0]));
        assert!(program.check(&MADE[0]));
        let entered: Vec<_> = program.sites.all().collect();
        assert_eq!(entered.len(), 1, "{entered:?}");
        assert!(matches!(entered[0].answer(), Some(Answer::Kept(_))));
        assert_eq!(program.tally.get(), (1, 0));
    });
}

#[test]
fn one_thread_enters_a_callsite_that_another_one_looks_for() {
    loom::model(|| {
        let program = Program::new();
        let look = |us: &Program| {
            // A callsite that was found once is always found.
            let found = us.check(&MADE[0]);
            assert!(us.check(&MADE[0]) || !found);
        };
        at_the_same_time(&program, |them| them.enter(&MADE[0]), look);
        assert!(program.check(&MADE[0]));
    });
}

/// The number goes on to a third thread, the writer, which has nothing to do with the one that gave it.
#[test]
fn a_number_is_known_to_whoever_gets_it_from_one_that_has_found_it() {
    loom::model(|| {
        let program = Program::new();
        let record = Arc::new(AtomicU64::new(0));
        let (theirs, published) = (Arc::clone(&program), Arc::clone(&record));
        let finder = thread::spawn(move || {
            let answer = theirs.sites.find(&MADE[0]).and_then(Site::answer);
            if let Some(Answer::Kept(number)) = answer {
                // As a record is published in the ring.
                published.store(u64::from(number) + 1, Ordering::Release);
            }
        });
        let entering = Arc::clone(&program);
        let enterer = thread::spawn(move || entering.enter(&MADE[0]));
        if let Some(number) = record.load(Ordering::Acquire).checked_sub(1) {
            program.check_number(&MADE[0], number as CallsiteNumber);
        }
        finder.join().unwrap();
        enterer.join().unwrap();
    });
}

/// One thread enters a callsite, another one switches it off and on, and a third one gets the right number
/// on the fast path, or none.
#[test]
fn a_callsite_that_was_switched_on_again_has_its_number() {
    loom::model(|| {
        let program = Program::new();
        // So that the number is not what an entry has before.
        program.callsites.add(&MADE[3]).unwrap();
        let entering = Arc::clone(&program);
        let enterer = thread::spawn(move || entering.enter(&MADE[0]));
        let switching = Arc::clone(&program);
        let switcher = thread::spawn(move || {
            for site in switching.sites.all() {
                let Some(number) = site.number() else { continue };
                for answer in [Answer::Below, Answer::Kept(number)] {
                    switching.decide(site, answer);
                }
            }
        });
        if let Some(number) = first_probe(&program.fast, &MADE[0]).plain() {
            program.check_number(&MADE[0], (number >> UPPER_SHIFT) as CallsiteNumber);
        }
        enterer.join().unwrap();
        switcher.join().unwrap();
        assert!(program.check(&MADE[0]));
        assert_eq!(program.tally.get(), (1, 0));
    });
}

#[test]
fn a_table_grows_while_another_thread_looks() {
    loom::model(|| {
        let program = Program::new();
        program.enter(&MADE[0]);
        program.enter(&MADE[1]);
        let look = |us: &Program| {
            us.check(&MADE[2]);
            assert!(us.check(&MADE[0]));
            assert!(us.check(&MADE[1]));
        };
        at_the_same_time(&program, |them| them.enter(&MADE[2]), look);
        assert!(program.sites.tables[1].get().is_some());
        assert!(MADE[..3].iter().all(|metadata| program.check(metadata)));
    });
}

#[test]
fn two_threads_make_a_table_grow() {
    loom::model(|| {
        let program = Program::new();
        program.enter(&MADE[0]);
        program.enter(&MADE[1]);
        at_the_same_time(&program, |them| them.enter(&MADE[2]), |us| us.enter(&MADE[3]));
        assert!(MADE.iter().all(|metadata| program.check(metadata)));
        assert_eq!(program.sites.all().count(), 4);
    });
}

/// The first table is full and grows while two threads meet the same callsite: there must be only one
/// entry for it.
#[test]
fn two_threads_meet_one_callsite_where_a_table_grows() {
    loom::model(|| {
        let program = Program::new();
        program.enter(&MADE[0]);
        program.enter(&MADE[1]);
        at_the_same_time(&program, |them| them.enter(&MADE[2]), |us| us.enter(&MADE[2]));
        assert!(MADE[..3].iter().all(|metadata| program.check(metadata)));
        assert_eq!(program.sites.all().count(), 3);
        assert_eq!(program.tally.get(), (3, 0));
    });
}
