//! How far a consumer is behind.

/// A consumer, and how far it is behind the producers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Lag {
    /// The name of its stage.
    pub stage: String,
    /// Which one of its stage; a number that is given again when it has left. None of a [stage that is
    /// held](super::Builder::held_stage) and has no consumer.
    pub place: Option<usize>,
    /// Slots that are claimed and that it has not given back.
    pub slots: u64,
    /// The same in per cent of the ring: at 100 producers find it full.
    pub per_cent: f64,
}

impl Lag {
    pub(crate) fn new(
        stage: &str,
        place: Option<usize>,
        gate: u64,
        tail: u64,
        capacity: u64,
    ) -> Self {
        let slots = tail.saturating_sub(gate);
        let per_cent = slots as f64 * 100.0 / capacity as f64;
        Self { stage: stage.to_owned(), place, slots, per_cent }
    }
}
