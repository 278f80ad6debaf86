//! A recording whose ring lies in a file, and outlives its process: what is where, and how such files are found.
//!
//! The file itself is the ring's (`spandrel_ring::file`, and the page `docs/src/reference/ring-file.md`); here is what the
//! recorder puts into it. Whoever writes and whoever reads take the numbers from [`layout`].

#[cfg(feature = "collected")]
mod collected;
#[cfg(feature = "crash-proof")]
pub(crate) mod dead_names;
#[cfg_attr(not(feature = "crash-proof"), allow(dead_code, reason = "numbers in a file"))]
pub(crate) mod layout;
#[cfg(feature = "crash-proof")]
pub(crate) mod own;
#[cfg(feature = "crash-proof")]
pub(crate) mod pieces;
#[cfg(feature = "crash-proof")]
pub(crate) mod place;
#[cfg_attr(not(feature = "crash-proof"), allow(dead_code, reason = "numbers in a file"))]
pub(crate) mod tables;
#[cfg(all(test, feature = "crash-proof", target_os = "linux", not(any(miri, spandrel_loom))))]
#[cfg(feature = "database")]
mod tests;
