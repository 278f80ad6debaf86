//! What the present file holds: so much is lost if the file is.

use spandrel_storage::Recovered;

use crate::recorder::account::Account;
use crate::recorder::losses::{DropReason, PerKind};

/// Stored since the file was opened.
#[derive(Debug, Default)]
pub(super) struct InFile {
    pub(super) stored: PerKind,
    pub(super) unfinished: u64,
}

impl InFile {
    /// Only this is left of it: counts the rest as lost with the file, and returns it.
    pub(super) fn keep_only(&mut self, found: &Recovered, account: &mut Account) -> PerKind {
        let spans = found.spans - found.unfinished.min(found.spans);
        let kept = [spans, found.events, found.links, found.entries, found.gauges];
        let lost = std::array::from_fn(|kind| self.stored[kind].saturating_sub(kept[kind]));
        let unfinished = self.unfinished.saturating_sub(found.unfinished);
        account.forget_stored(lost, unfinished, DropReason::FileRemoved);
        self.stored.iter_mut().zip(lost).for_each(|(stored, lost)| *stored -= lost);
        self.unfinished -= unfinished;
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_found_is_lost_and_nothing_more() {
        let mut account =
            Account { stored: [100, 20, 3, 9, 6], unfinished: 5, ..Account::default() };
        let mut in_file = InFile { stored: [60, 10, 3, 8, 5], unfinished: 4 };
        let mut found = Recovered::default();
        (found.spans, found.unfinished, found.events, found.links) = (41, 1, 10, 7);
        (found.entries, found.gauges) = (6, 3);
        assert_eq!(in_file.keep_only(&found, &mut account), [20, 0, 0, 2, 2]);
        assert_eq!((account.stored, account.unfinished), ([80, 20, 3, 7, 4], 2));
        assert_eq!((in_file.stored, in_file.unfinished), ([40, 10, 3, 6, 3], 1));
        let removed = account.drops()[DropReason::FileRemoved as usize];
        assert_eq!(removed, [23, 0, 0, 2, 2], "with the unfinished ones");
        assert_eq!(in_file.keep_only(&Recovered::default(), &mut account), [40, 10, 3, 6, 3]);
        assert_eq!((account.stored, account.unfinished), ([40, 10, 0, 1, 1], 1));
    }
}
