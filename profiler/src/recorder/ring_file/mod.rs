//! A recording whose ring lies in a file, and outlives its process: what is where, and how such files are found.
//!
//! The file itself is the ring's (`spandrel_ring::file`, and the page `docs/src/reference/ring-file.md`); here is what the
//! recorder puts into it. Whoever writes and whoever reads take the numbers from [`layout`].

pub(crate) mod layout;
pub(crate) mod place;
