//! Numbers as decimal text, eight digits at a time.

/// Room that a number needs: its digits, and bytes that are stored behind them.
pub(super) const ROOM: usize = 32;

const EIGHT: u64 = 100_000_000;
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight digits of a number below 10^8, each in a byte, the first one in the lowest.
///
/// All are divided at once, first by 100 and then by 10; in this range the factors give exact quotients
/// (P. Khuong, "How to print integers really fast", 2017).
#[inline(always)]
fn eight_digits(n: u64) -> u64 {
    let fours = (n / 10_000) | ((n % 10_000) << 32);
    let hundreds = (fours * 10_486) >> 20 & 0x0000_007F_0000_007F;
    let pairs = hundreds | (fours - 100 * hundreds) << 16;
    let tens = (pairs * 103) >> 10 & 0x000F_000F_000F_000F;
    tens | (pairs - 10 * tens) << 8
}

#[inline(always)]
fn put_word(to: &mut [u8], at: usize, word: u64) {
    to[at..at + 8].copy_from_slice(&word.to_le_bytes());
}

/// Writes the digits of `n` to the beginning of `to`, which has [`ROOM`], and returns how many there
/// are.
#[inline]
pub(super) fn put_u64(to: &mut [u8], n: u64) -> usize {
    if n < 10 {
        to[0] = b'0' + n as u8;
        return 1;
    }
    if n >= EIGHT {
        return put_long(to, n);
    }
    let digits = eight_digits(n);
    let leading = digits.trailing_zeros() / 8;
    put_word(to, 0, (digits | ZEROS) >> (8 * leading));
    8 - leading as usize
}

/// The same for more than eight digits.
fn put_long(to: &mut [u8], n: u64) -> usize {
    let len = put_u64(to, n / EIGHT);
    put_word(to, len, eight_digits(n % EIGHT) | ZEROS);
    len + 8
}

/// Writes a number that has an exact decimal text of few digits, as most recorded numbers have, to the
/// beginning of `to`, which has [`ROOM`], and returns its length. `None` for all other numbers.
///
/// The text is that of `{:?}`, the shortest one that reads back as `x`. Why: with at most 15 digits `m`
/// and a power of ten up to 10^22, both exact, the quotient `m / 10^d` is rounded once, and that is how
/// `m` with its point is read (W. Clinger, "How to read floating point numbers accurately", 1990). And
/// no two numbers of at most 15 digits read as the same; so a shorter text can differ only by the zeros
/// at its end.
#[inline]
pub(super) fn put_short_decimal(to: &mut [u8], x: f64) -> Option<usize> {
    let positive = x.abs();
    // Smaller and larger numbers have exponents in `{:?}`.
    let (whole, fraction) = if positive < 1e7 && (positive >= 1e-4 || positive == 0.0) {
        split::<EIGHT>(positive)?
    } else if (1e7..1e12).contains(&positive) {
        split::<1_000>(positive)?
    } else {
        return None;
    };
    to[0] = b'-';
    let mut len = usize::from(x.is_sign_negative());
    len += put_u64(&mut to[len..], whole);
    to[len] = b'.';
    let digits = eight_digits(fraction);
    put_word(to, len + 1, digits | ZEROS);
    // The first digit stays, even if it is zero.
    let trailing = (digits | 1).leading_zeros() / 8;
    Some(len + 9 - trailing as usize)
}

/// The part before the point, and eight digits after it, if `x` has at most as many decimals as `SCALE`
/// has zeros.
#[inline(always)]
fn split<const SCALE: u64>(x: f64) -> Option<(u64, u64)> {
    let scaled = (x * SCALE as f64 + 0.5) as i64;
    let (whole, rest) = (scaled.cast_unsigned() / SCALE, scaled.cast_unsigned() % SCALE);
    (scaled as f64 / SCALE as f64 == x).then_some((whole, rest * (EIGHT / SCALE)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(x: f64) -> Option<String> {
        let mut bytes = [0; ROOM];
        let len = put_short_decimal(&mut bytes, x)?;
        Some(String::from_utf8(bytes[..len].to_vec()).unwrap())
    }

    #[test]
    fn every_length_of_number_is_written_as_the_standard_library_does() {
        let powers = (0..20).map(|log| 10_u64.pow(log));
        for n in powers.flat_map(|n| [n - 1, n, n + 1, n / 7 * 3]).chain([0, 99, u64::MAX]) {
            let mut bytes = [0; ROOM];
            let len = put_u64(&mut bytes, n);
            assert_eq!(str::from_utf8(&bytes[..len]), Ok(n.to_string().as_str()));
        }
    }

    #[test]
    fn common_numbers_are_short_decimals() {
        for x in [0.0, -0.0, 0.5, 1.0, -3.25, 0.1, 0.3, 99.9, 1e-4, 12_345.678, 1e11, 0.000_123_45]
        {
            assert_eq!(decimal(x), Some(format!("{x:?}")));
        }
        for x in [1e-5, 1e12, 1e15, 1e300, f64::MAX, f64::MIN_POSITIVE, f64::NAN, f64::INFINITY] {
            assert_eq!(decimal(x), None, "{x:?}");
        }
        assert_eq!(decimal(0.1 + 0.2), None, "17 digits");
    }

    #[test]
    #[ignore = "some seconds; the factors of `eight_digits` over their whole range"]
    fn eight_digits_are_right_up_to_the_last() {
        for n in 0..EIGHT {
            let mut bytes = [0; ROOM];
            let len = put_u64(&mut bytes, n);
            assert_eq!(str::from_utf8(&bytes[..len]).map(str::parse), Ok(Ok(n)));
        }
    }

    proptest! {
        #[test]
        fn a_short_decimal_is_what_the_standard_library_writes(
            m in 0..2_000_000_000_000_000_u64, d in 0..12_i32, x in any::<f64>()
        ) {
            for x in [m as f64 / 10_f64.powi(d), -(m as f64), x, x.fract(), 1.0 / (m as f64)] {
                if let Some(text) = decimal(x) {
                    prop_assert_eq!(text, format!("{x:?}"));
                }
            }
        }
    }
}
