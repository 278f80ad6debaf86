//! A profile that refuses what is stored into it, as its disk is full, or somebody else writes to it: that is tried again
//! for a while, and told once. Nothing is lost by waiting: what is not stored stays in the rings, as far as they have room.

use std::error::Error as _;
use std::time::Duration;

use spandrel_storage::{ErrorKind as StorageErrorKind, RingId, Store};

use super::Collecting;
use crate::error::{Error, ErrorKind};
use crate::writer::recover;

/// The pause after the profile has refused something.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the same is tried again.
const TRIES_MAX: u32 = 150;
/// The same once the collector is to end.
const TRIES_AT_END: u32 = 10;
/// Told of after so many. Who writes to the profile for a moment only is not worth a word.
const TOLD_AFTER: u32 = 2;

/// What the profile says to something that it had refused.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer<'a> {
    /// Not yet, and why.
    Refused(&'a Error),
    Taken,
}

/// Hears the profile's answers, and says whether to try for long.
pub(super) type GoesOn<'a> = dyn FnMut(Answer<'_>) -> bool + 'a;

/// Whether it is a refusal that may be over soon. (That a profile has no ids left is none of the store's: it stays so.)
pub(super) fn may_pass(error: &Error) -> bool {
    use StorageErrorKind::{Busy, Full, WalFull};
    matches!(error.kind(), ErrorKind::Storage(Busy | Full | WalFull))
        && error.source().is_some_and(|source| source.is::<spandrel_storage::Error>())
}

/// How often something was refused.
#[derive(Debug, Default)]
pub(super) struct Tries {
    refused: u32,
    at_end: u32,
}

impl Tries {
    /// Whether to try again what was refused so. Waits for a moment, if it is.
    pub(super) fn again(&mut self, error: &Error, goes_on: &mut GoesOn<'_>) -> bool {
        if !may_pass(error) || self.refused >= TRIES_MAX || self.at_end >= TRIES_AT_END {
            return false;
        }
        self.refused += 1;
        std::thread::sleep(PAUSE);
        self.at_end += u32::from(!goes_on(Answer::Refused(error)));
        true
    }

    /// It has been taken.
    pub(super) fn taken(&self, goes_on: &mut GoesOn<'_>) {
        if self.refused > 0 {
            goes_on(Answer::Taken);
        }
    }
}

/// Whether it is told that the profile refuses what comes.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    in_a_row: u32,
    is_told: bool,
}

impl Refusals {
    /// What there is to tell of this answer.
    pub(super) fn hear(&mut self, answer: Answer<'_>) -> Option<Collecting> {
        match answer {
            Answer::Refused(error) => {
                self.in_a_row += 1;
                let is_new = !self.is_told && self.in_a_row >= TOLD_AFTER;
                self.is_told |= is_new;
                is_new.then(|| Collecting::ProfileRefuses { why: error.to_string() })
            }
            Answer::Taken => {
                self.in_a_row = 0;
                std::mem::take(&mut self.is_told).then_some(Collecting::ProfileTakes)
            }
        }
    }
}

/// Removes a ring file of which nothing is needed. What the profile says of it does no harm if it cannot be deleted just
/// now: a later collector does that.
pub(super) fn remove(
    store: &mut Store,
    path: &std::path::Path,
    ring: &RingId,
) -> Result<(), Error> {
    recover::remove(store, path, ring)
        .or_else(|error| if may_pass(&error) { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_once_and_once_when_it_is_over_and_what_lasts_for_a_moment_is_not() {
        let error = Error::new(ErrorKind::Storage(StorageErrorKind::Full), "p.db: full");
        let (mut refusals, mut told) = (Refusals::default(), Vec::new());
        let answers = [1, 5, 1, 3];
        for count in answers {
            told.extend((0..count).filter_map(|_| refusals.hear(Answer::Refused(&error))));
            told.extend(refusals.hear(Answer::Taken));
        }
        let refuses = Collecting::ProfileRefuses { why: "p.db: full".into() };
        let both = [refuses, Collecting::ProfileTakes];
        assert_eq!(told, [both.clone(), both].concat());
        assert!(!may_pass(&error), "it is not the store that says so");
    }
}
