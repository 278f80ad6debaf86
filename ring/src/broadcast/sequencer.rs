//! How producers get sequences, and how consumers learn what is published.
//!
//! [`Single`](super::Single) has one cursor: everything below it is published. [`Multi`](super::Multi) divides sequences by compare-and-swap on
//! its tail, and publishes slot by slot: the stamp of a slot says for which sequence it was published last, so
//! nobody waits for a producer that is behind, and each consumer finds out by itself how far there is no gap.
//!
//! # Sources
//!
//! M. Thompson and others, "Disruptor: High performance alternative to bounded queues", LMAX 2011;
//! `SingleProducerSequencer`, `MultiProducerSequencer` (its `availableBuffer`, a number of the lap for each slot) and
//! `WorkProcessor` of LMAX Disruptor 3. That publication unpublishes what is a lap older, and that a reader copies and
//! looks again: the `mcache` of Firedancer's tango.

use super::error::ClaimError;
use super::stages::Stages;
use crate::size::TooLarge;

/// What a slot says to a reader that wants a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    NotYet,
    Published,
    /// Published, without a value.
    Skipped,
    /// A later lap is there.
    Gone,
}

/// What the sequencers are made from.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub capacity: u64,
    /// Slots of one claim at most.
    pub claim_max: u64,
    pub overwrites: bool,
    /// The first sequence.
    pub begin: u64,
}

/// What is to be claimed.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub slots: u64,
    /// Not round the end of the ring; what is left there is skipped.
    pub contiguous: bool,
}

/// What a producer has claimed, and neither published nor dropped. A claim borrows its producer: found again by that one,
/// it was forgotten.
pub trait InHand: Default + Send + Sync + std::fmt::Debug + 'static {
    fn pick_up(&mut self, first: u64, slots: u64);
    fn put_down(&mut self);
    /// The first slot and how many, if a claim was forgotten.
    fn forgotten(&mut self) -> Option<(u64, u64)>;
}

/// How many producers there may be: [`Single`](super::Single) or [`Multi`](super::Multi).
///
/// Nobody else implements it: its methods take what has no name elsewhere.
pub trait Producers: Sized + Send + Sync + std::fmt::Debug + 'static {
    #[doc(hidden)]
    type InHand: InHand;
    /// Whether a producer may wait for another one to publish.
    #[doc(hidden)]
    const WAIT_FOR_EACH_OTHER: bool;
    #[doc(hidden)]
    fn new(sizes: Sizes) -> Result<Self, TooLarge>;
    /// Claims `slots`, which are no more than `claim_max`. Sets `skipped` if anything was published that
    /// has no value. A claim beyond [`LAST`](super::work::LAST) finds the ring closed.
    #[doc(hidden)]
    fn claim(&self, stages: &Stages, wanted: Wanted, skipped: &mut bool)
    -> Result<u64, ClaimError>;
    #[doc(hidden)]
    fn publish(&self, first: u64, slots: u64);
    /// Gives up slots of a claim. Says whether anybody sees that.
    #[doc(hidden)]
    fn abandon(&self, first: u64, slots: u64) -> bool;
    /// The end of what is published without a gap from a sequence on, up to which everything is; `most` slots
    /// farther at most, or any number.
    #[doc(hidden)]
    fn published(&self, from: u64, most: u64) -> u64;
    /// Whether a slot that is published may have no value; false while none had.
    #[doc(hidden)]
    fn has_skipped(&self) -> bool;
    /// Whether a slot that is published has no value.
    #[doc(hidden)]
    fn is_skipped(&self, sequence: u64) -> bool;
    #[doc(hidden)]
    fn look(&self, sequence: u64) -> Look;
    /// Everything that is claimed, or for [`Single`](crate::broadcast::Single) published, is below.
    #[doc(hidden)]
    fn tail(&self) -> u64;
    /// Nothing at or above this can have been written to.
    #[doc(hidden)]
    fn begun(&self) -> u64;
    /// Slots that are claimed, from the first one on that is not published.
    #[doc(hidden)]
    fn pending(&self) -> Option<std::ops::Range<u64>>;
    #[doc(hidden)]
    fn close(&self);
    /// Where the last claim ends, once the ring is closed.
    #[doc(hidden)]
    fn end(&self) -> Option<u64>;
}
