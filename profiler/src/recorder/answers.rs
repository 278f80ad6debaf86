//! Answers that are kept until anything changes that they depend on.
//!
//! ```text
//!  who asks                                    who changes something
//!    it is in the list                           the change
//!    A: looks what is kept                       C: counts the change
//!    B: looks how many changes there were        D: goes through the list, and writes the number of the change
//!    asks                                           in place of what is kept
//!    E: keeps the answer, if it is still as at A
//! ```
//!
//! B and C are read-modify-writes of one word, so one of them comes first. If C does, whoever asks is answered by what is so
//! now. If B does, whoever changes something finds the answer in the list; and what it writes there comes before E, which then
//! finds another number than at A, or after E, and takes back what was kept.

use spandrel_ring::Owner;

use super::chunks::Chunks;
use crate::recorder::record::UPPER_SHIFT;
use crate::sync::{AtomicU8, AtomicU64, Ordering};

/// What one site keeps: the recorder in the upper half of a word, and the callsite's number there in the lower one. Or,
/// with zeros in the upper half, the number of a change in the lower one.
#[derive(Debug)]
pub(crate) struct KeptAnswer {
    word: AtomicU64,
    listed: AtomicU8,
}

const NOT_LISTED: u8 = 0;
const BEING_LISTED: u8 = 1;
const LISTED: u8 = 2;

/// Where the number of a change is.
const CHANGE: u64 = u32::MAX as u64;

/// An answer: it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The recorder.
    pub(crate) owner: Owner,
    /// The callsite where it stands in a record.
    pub(crate) callsite: u64,
}

impl Kept {
    /// The answer in a word, if there is one.
    #[inline(always)]
    pub(crate) fn in_word(word: u64) -> Option<Self> {
        Some(Self { owner: Owner::in_word(word)?, callsite: word << UPPER_SHIFT })
    }
}

/// What was kept when somebody began to ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before(u64);

impl KeptAnswer {
    /// Nothing.
    #[cfg(not(spandrel_loom))]
    pub(crate) const fn new() -> Self {
        Self { word: AtomicU64::new(0), listed: AtomicU8::new(NOT_LISTED) }
    }

    #[cfg(spandrel_loom)]
    pub(crate) fn new() -> Self {
        Self { word: AtomicU64::new(0), listed: AtomicU8::new(NOT_LISTED) }
    }

    /// What is kept, if anything is.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<Kept> {
        // Relaxed: a number by which nothing is found but what its own thread has.
        Kept::in_word(self.word.load(Ordering::Relaxed))
    }

    /// A.
    pub(crate) fn before(&self) -> Before {
        // Relaxed: B follows.
        Before(self.word.load(Ordering::Relaxed))
    }

    /// E. The number has no more than 16 bits.
    pub(crate) fn keep(&self, Before(before): Before, owner: Owner, number: u32) {
        if before <= CHANGE {
            let word = owner.with_tag(number).get();
            // Relaxed: as in `get`. It fails where something has changed, or another thread has kept the same.
            _ = self.word.compare_exchange(before, word, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Sees to it that it is in the list. `false` while another thread does, and where there is no room.
    pub(crate) fn is_listed(&'static self, list: &Chunks<&'static Self>) -> bool {
        // Acquire, here and below: pairs with the Release below, by whoever has put it there.
        if self.listed.load(Ordering::Acquire) == LISTED {
            return true;
        }
        let (success, failure) = (Ordering::Relaxed, Ordering::Acquire);
        match self.listed.compare_exchange(NOT_LISTED, BEING_LISTED, success, failure) {
            Ok(_) if list.push(self).is_some() => {
                self.listed.store(LISTED, Ordering::Release);
                true
            }
            Ok(_) => false,
            Err(state) => state == LISTED,
        }
    }
}

/// B: whoever asks afterwards may keep what he is answered.
pub(crate) fn ask(current: &AtomicU64) -> u64 {
    // AcqRel: pairs with that in `change`. Sees what was changed, or lets whoever changes something later see that the
    // answer is in the list.
    current.fetch_add(0, Ordering::AcqRel)
}

/// C and D: something has changed. `next` makes another word of the one of now, with another number.
pub(crate) fn change(
    current: &AtomicU64,
    list: &Chunks<&'static KeptAnswer>,
    next: impl Fn(u64) -> u64,
) {
    // AcqRel: as in `ask`.
    let before = current.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| Some(next(word)));
    // It never refuses.
    let number = before.map_or(0, next) & CHANGE;
    for index in 0..list.len() {
        if let Some(answer) = list.get(index) {
            // Relaxed: nothing is found by it. A read-modify-write: it comes before the compare-and-swap in `keep`, which then
            // fails, or overwrites what that has kept. (Loom lets a plain store come between what that has read and what it
            // writes.)
            _ = answer.word.swap(number, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, spandrel_loom))]
mod loom_models {
    //! `RUSTFLAGS="--cfg spandrel_loom" cargo test -p spandrel --release --lib loom_models`

    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU64 as Setting;
    use loom::thread;

    use super::*;

    struct Program {
        current: AtomicU64,
        list: Chunks<&'static KeptAnswer>,
        answer: &'static KeptAnswer,
        /// What the answer depends on, and is.
        setting: Setting,
    }

    impl Program {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                current: AtomicU64::new(1),
                list: Chunks::default(),
                answer: Box::leak(Box::new(KeptAnswer::new())),
                setting: Setting::new(0),
            })
        }

        /// As `Site::ask`: keeps it only if the setting is this one.
        fn ask(&self, kept: u64) {
            if !self.answer.is_listed(&self.list) {
                return;
            }
            let before = self.answer.before();
            ask(&self.current);
            if self.setting.load(Ordering::Relaxed) == kept {
                let owner = Owner::in_word(7 << 32).unwrap();
                self.answer.keep(before, owner, 3);
            }
        }

        fn change(&self, setting: u64) {
            self.setting.store(setting, Ordering::Relaxed);
            change(&self.current, &self.list, |word| word + 1);
        }

        fn is_kept(&self) -> bool {
            self.answer.get().is_some()
        }
    }

    /// Whoever has changed something finds no answer of before.
    #[test]
    fn no_answer_outlives_what_it_depends_on() {
        loom::model(|| {
            let program = Program::new();
            let asking = {
                let program = Arc::clone(&program);
                thread::spawn(move || program.ask(0))
            };
            program.change(1);
            asking.join().unwrap();
            assert!(!program.is_kept());
        });
    }

    /// The same where it was kept before, and two ask again, and two change something.
    #[test]
    fn nor_does_one_that_is_asked_for_by_two() {
        loom::model(|| {
            let program = Program::new();
            program.ask(0);
            assert!(program.is_kept());
            let spawn = |run: fn(&Program)| {
                let program = Arc::clone(&program);
                thread::spawn(move || run(&program))
            };
            let threads = [spawn(|it| it.ask(0)), spawn(|it| it.change(1))];
            program.ask(0);
            for thread in threads {
                thread.join().unwrap();
            }
            assert!(!program.is_kept());
            // And it is kept again where it is right.
            program.ask(1);
            assert!(program.is_kept());
        });
    }
}
