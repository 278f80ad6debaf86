//! What a ring has to do here, and how each one does it.

mod rivals;
mod spandrel;

pub use rivals::{Crossbeam, DisruptorBroadcast, DisruptorMulti, DisruptorSingle, Rtrb, Tango};
pub use spandrel::{SpandrelMulti, SpandrelPartitions, SpandrelSingle};

/// 64 bytes.
pub type Item = [u64; 8];

pub const CAPACITY: usize = 16_384;

/// One end of a ring.
pub trait Push: Send + 'static {
    /// Publishes so many items, which begin with this number, or none.
    fn push(&mut self, first: u64, burst: usize) -> bool;
}

/// The other end.
pub trait Pull: Send + 'static {
    /// Looks at what is there, and says how many.
    fn pull(&mut self, look: impl FnMut(&Item)) -> usize;
}

/// Both ends, as many as asked for.
pub trait Contender {
    const NAME: &str;
    fn ends(producers: usize, consumers: usize) -> (Vec<impl Push>, Vec<impl Pull>);
}

#[inline(always)]
fn item(number: u64) -> Item {
    [number; 8]
}
