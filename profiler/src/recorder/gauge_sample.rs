//! Records of the values of gauges. One is one slot, and never takes the room of spans.

use super::Recorder;
use super::losses::Kind;
use super::record::GaugeSample;

impl Recorder {
    /// Records a value of a gauge, as it is now.
    pub(crate) fn record_gauge(&self, number: u32, value: f64, version: u64, updates: u64) {
        let at = self.clock.ticks();
        let sample = GaugeSample { number, at, value: value.to_bits(), version, updates };
        // If there is no room, that is counted.
        _ = self.publish_if_spare(Kind::Gauge, sample.words());
    }
}
