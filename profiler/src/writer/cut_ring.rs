//! What the writer does when somebody has cut the ring file short.
//!
//! What lies behind the end of the file is gone, and its owner has zeros there. A record may have been put together of
//! them, and published where the file still is. So the writer looks at the file after it has drained, before it makes rows of
//! that: what was drained before a look that found the file whole is as it was recorded. From the first look that does
//! not, nothing more is taken out of the ring, what was drained is given up, and the ring is closed.

use super::Writer;
use super::raw::add;
use crate::recorder::losses::{DropReason, Kind, PerKind};

impl Writer {
    /// Gives the ring up, once.
    pub(super) fn lose_ring(&mut self) {
        if self.keeping.lose() {
            return;
        }
        self.room.close();
        self.recorder.close_ring();
        self.show_account();
        let taken = self.account.taken;
        let mut lost = PerKind::default();
        for batch in [&mut self.raw, &mut self.next] {
            add(&mut lost, batch.take(batch.piece(usize::MAX), &mut self.chunks));
            batch.clear(&mut self.chunks);
        }
        self.account.drop_many(lost, DropReason::FileRemoved);
        let published = self.recorder.ring.published();
        self.show_account();
        // Who waits for what is lost hears that it is closed.
        self.waiting.retain(|waiting| matches!(waiting.done, super::Done::Request { .. }));
        self.waiting.iter_mut().for_each(|waiting| waiting.targets.fill(0));
        let gone = |kind: Kind| {
            let kind = kind as usize;
            lost[kind] + published[kind].saturating_sub(taken[kind])
        };
        self.state.set_crash_proof_error(format!(
            "{}: at least {} spans and {} events; whoever did that should leave the file alone, it goes with close()",
            self.recorder.tell_cut(),
            gone(Kind::Span),
            gone(Kind::Event)
        ));
    }
}
