//! Code of the program that is called once an interval, to set gauges.

use std::fmt;
use std::sync::Arc;

use super::sampling::Sampling;
use super::value::GaugeValue;

/// See [`Profiler::sample`](crate::Profiler::sample).
pub(super) type Sampler = Box<dyn FnMut(&mut Samples<'_>) + Send>;

/// Where a function that [`Profiler::sample`](crate::Profiler::sample) has called once an interval sets gauges.
pub struct Samples<'a>(&'a Arc<Sampling>);

impl<'a> Samples<'a> {
    pub(super) fn new(sampling: &'a Arc<Sampling>) -> Self {
        Self(sampling)
    }

    /// Sets the gauge of this name, which is recorded at once.
    pub fn set(&mut self, name: &str, value: impl GaugeValue) {
        self.0.sample(name, value.to_f64());
    }
}

impl fmt::Debug for Samples<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples").finish_non_exhaustive()
    }
}

/// Samplers have nothing to show.
pub(super) struct Samplers(pub(super) Vec<Sampler>);

impl fmt::Debug for Samplers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samplers", self.0.len())
    }
}
