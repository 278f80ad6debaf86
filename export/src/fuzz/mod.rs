//! What is done with bytes from elsewhere, and what must hold then: a function for each target of `fuzz/`.
//!
//! The targets call them with `--cfg spandrel_fuzz`, see `scripts/fuzz.sh`; the tests below with each
//! seed. Nothing of it is in a library that is built otherwise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod control;
mod fields;
mod filter;
mod histogram;
mod profile;
mod time;

pub use self::control::control;
pub use self::fields::fields;
pub use self::filter::filter;
pub use self::histogram::histogram;
pub use self::profile::profile;
pub use self::time::time;

/// A folder of this process; on Linux in memory, as each input writes files.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("spandrel-fuzz-");
    builder.tempdir_in(memory).or_else(|_| builder.tempdir()).unwrap()
}

/// An input that is taken apart from the front; zeros and empty texts behind its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn u64(&mut self) -> u64 {
        let mut word = [0; 8];
        let bytes = self.bytes(8);
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    }

    /// A number of any magnitude.
    fn i64(&mut self) -> i64 {
        let shift = self.byte() % 64;
        (self.u64() as i64) >> shift
    }

    /// Up to a line end, which is left out.
    fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == b'\n').unwrap_or(self.0.len());
        let line = self.bytes(end);
        self.bytes(1);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls each target with each of its seeds.
    macro_rules! seeds {
        ($($test:ident: $target:ident,)*) => {
            $(#[test]
            fn $test() {
                let name = stringify!($target);
                let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/");
                let seeds = std::fs::read_dir(format!("{folder}{name}")).unwrap();
                let called = seeds.map(|entry| $target(&std::fs::read(entry.unwrap().path()).unwrap()));
                assert!(called.count() > 0, "no seed of {name}");
                $target(&[]);
            })*
        };
    }

    seeds! {
        seeds_of_histogram: histogram,
        seeds_of_filter: filter,
        seeds_of_time: time,
        seeds_of_fields: fields,
        seeds_of_control: control,
        seeds_of_profile: profile,
    }
}
