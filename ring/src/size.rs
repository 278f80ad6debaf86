//! Sizes that cannot be had.

use std::fmt;

/// A ring or table that is larger than can be allocated. Nothing was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// What it would take, in bytes; none if that is more than can be addressed.
    pub bytes: Option<usize>,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            Some(bytes) => write!(f, "{bytes} bytes of memory cannot be had"),
            None => f.write_str("it is larger than any memory"),
        }
    }
}

impl std::error::Error for TooLarge {}

/// So many values, made one after the other, or none of them. Values without a size count a byte each: they
/// take no memory, but time.
pub(crate) fn try_collect<T>(
    len: usize,
    mut make: impl FnMut() -> T,
) -> Result<Box<[T]>, TooLarge> {
    let mut values = Vec::new();
    let bytes =
        len.checked_mul(size_of::<T>().max(1)).filter(|bytes| *bytes <= isize::MAX as usize);
    if size_of::<T>() == 0 {
        probe(bytes)?;
    }
    values.try_reserve_exact(len).map_err(|_| TooLarge { bytes })?;
    values.extend(std::iter::repeat_with(&mut make).take(len));
    // Has just the length that was reserved, so nothing is allocated again.
    Ok(values.into_boxed_slice())
}

/// Whether so many bytes could be had at once: asked before many small pieces are allocated and touched
/// one after the other, which together are too much.
pub(crate) fn probe(bytes: Option<usize>) -> Result<(), TooLarge> {
    let refused = TooLarge { bytes };
    Vec::<u8>::new().try_reserve_exact(bytes.ok_or(refused)?).map_err(|_| refused)
}

/// The largest power of two that is not larger; 0 of 0.
pub(crate) fn power_of_two_within(n: usize) -> usize {
    n.checked_ilog2().map_or(0, |bits| 1 << bits)
}

/// Sizes for tests, around each power of two. Miri, which ends at what cannot be had, gets small ones.
#[cfg(test)]
pub(crate) fn bits() -> std::ops::Range<u32> {
    0..if cfg!(miri) { 5 } else { 64 }
}
