//! A function for each target of `fuzz/`: it reads words that anybody may have written, and checks what
//! must hold.
//!
//! The targets call them with `--cfg spandrel_fuzz`, see `scripts/fuzz.sh`; the tests below with each
//! seed. Other builds of the library do not contain this module.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

pub(crate) mod site;
pub(crate) mod words;

#[cfg(all(target_os = "linux", feature = "collected", not(spandrel_loom)))]
pub use crate::writer::fuzz::rings::recovery;
pub use crate::writer::fuzz::{field_words, records};

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls a target with each of its seeds.
    fn seeds(name: &str, target: fn(&[u8])) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/");
        let mut seeds = 0;
        for entry in std::fs::read_dir(format!("{folder}{name}")).unwrap() {
            target(&std::fs::read(entry.unwrap().path()).unwrap());
            seeds += 1;
        }
        assert!(seeds > 0, "no seed of {name}");
        target(&[]);
    }

    #[test]
    fn seeds_of_records() {
        seeds("records", records);
    }

    #[test]
    #[cfg(all(target_os = "linux", feature = "collected", not(any(miri, spandrel_loom))))]
    fn seeds_of_recovery() {
        use crate::writer::fuzz::rings::tests::check;
        seeds("recovery", |data| recovery(data, check));
    }

    #[test]
    fn seeds_of_field_words() {
        seeds("field_words", field_words);
    }
}
