//! Code of the program that is called once an interval, to set gauges.

use std::fmt;

use super::value::GaugeValue;

/// See [`Profiler::sample`](crate::Profiler::sample).
pub(super) type Sampler = Box<dyn FnMut(&mut Samples<'_>) + Send>;

/// Where a function that [`Profiler::sample`](crate::Profiler::sample) has called once an interval sets gauges.
pub struct Samples<'a>(&'a mut dyn FnMut(&str, f64));

impl<'a> Samples<'a> {
    /// `record` gets each name with its value.
    pub(super) fn new(record: &'a mut dyn FnMut(&str, f64)) -> Self {
        Self(record)
    }

    /// Sets the gauge of this name, which is recorded at once.
    pub fn set(&mut self, name: &str, value: impl GaugeValue) {
        (self.0)(name, value.to_f64());
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
