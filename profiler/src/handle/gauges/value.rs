//! What a gauge can be set to.

use std::time::Duration;

/// A number of any type, `true` or `false` (1 and 0), a [`Duration`] (seconds), or a type of the program's own: what a
/// [`Gauge`](super::Gauge) can be set to. It is kept as an `f64`, so integers beyond 2^53 are rounded.
pub trait GaugeValue {
    /// The number.
    fn to_f64(self) -> f64;
}

macro_rules! numbers {
    ($($number:ty)*) => {
        $(
            impl GaugeValue for $number {
                #[inline]
                fn to_f64(self) -> f64 {
                    self as f64
                }
            }
        )*
    };
}

numbers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64);

impl GaugeValue for bool {
    #[inline]
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self))
    }
}

impl GaugeValue for Duration {
    #[inline]
    fn to_f64(self) -> f64 {
        self.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_it_is_it_is_a_number() {
        assert_eq!([42.to_f64(), (-1_i8).to_f64(), 7_usize.to_f64()], [42.0, -1.0, 7.0]);
        assert_eq!([true.to_f64(), false.to_f64()], [1.0, 0.0]);
        assert_eq!(Duration::from_millis(1_500).to_f64(), 1.5);
        assert_eq!(u64::MAX.to_f64(), 18_446_744_073_709_551_615.0);
    }
}
