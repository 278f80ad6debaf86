//! How much of the run the table is about.

/// A second, the interval of the rollups.
pub(crate) const SECOND_NS: i64 = 1_000_000_000;

/// The last so and so long, or all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Window {
    TenSeconds,
    #[default]
    Minute,
    FiveMinutes,
    Whole,
}

impl Window {
    pub(crate) const ALL: [Self; 4] =
        [Self::TenSeconds, Self::Minute, Self::FiveMinutes, Self::Whole];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TenSeconds => "10s",
            Self::Minute => "1m",
            Self::FiveMinutes => "5m",
            Self::Whole => "whole run",
        }
    }

    /// Its length; `None` for the whole run.
    pub(crate) fn length_ns(self) -> Option<i64> {
        match self {
            Self::TenSeconds => Some(10 * SECOND_NS),
            Self::Minute => Some(60 * SECOND_NS),
            Self::FiveMinutes => Some(300 * SECOND_NS),
            Self::Whole => None,
        }
    }

    /// Rollups are added up by blocks of this length and kept so: the longer, the less there is to
    /// merge each second, and the more of it is read again while the newest block fills.
    pub(crate) fn block_ns(self) -> i64 {
        match self {
            Self::TenSeconds => SECOND_NS,
            Self::Minute => 5 * SECOND_NS,
            Self::FiveMinutes => 20 * SECOND_NS,
            Self::Whole => 10 * SECOND_NS,
        }
    }

    /// Where the window that ends at a moment begins: at the start of a block.
    pub(crate) fn start_ns(self, until_ns: i64) -> i64 {
        let from = self.length_ns().map_or(0, |length| until_ns.saturating_sub(length));
        floor(from, self.block_ns()).max(0)
    }

    /// How far one step through time goes.
    pub(crate) fn step_ns(self) -> i64 {
        self.length_ns().map_or(60 * SECOND_NS, |length| length / 10)
    }
}

/// The multiple of `unit` at or before `ns`.
pub(crate) fn floor(ns: i64, unit: i64) -> i64 {
    ns.div_euclid(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_with_a_block() {
        let second = SECOND_NS;
        assert_eq!(Window::Minute.start_ns(63 * second + 1), 0);
        assert_eq!(Window::Minute.start_ns(66 * second), 5 * second);
        assert_eq!(Window::TenSeconds.start_ns(66 * second + 5), 56 * second);
        assert_eq!(Window::Whole.start_ns(1_000 * second), 0);
        for window in Window::ALL {
            assert_eq!(window.start_ns(0), 0);
            assert!(window.start_ns(i64::MAX) >= 0 && window.start_ns(i64::MIN) == 0);
        }
    }
}
