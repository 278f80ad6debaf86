//! Builds the message `Profile` of pprof.

use std::collections::HashMap;
use std::io::{self, Write};

use super::super::proto::{bytes, message, signed, unsigned, varint};
use spandrel_query::OrderRows as _;

/// The numbers of members of `Profile`.
mod field {
    pub(super) const SAMPLE_TYPE: u32 = 1;
    pub(super) const SAMPLE: u32 = 2;
    pub(super) const MAPPING: u32 = 3;
    pub(super) const LOCATION: u32 = 4;
    pub(super) const FUNCTION: u32 = 5;
    pub(super) const STRING_TABLE: u32 = 6;
    pub(super) const TIME_NANOS: u32 = 9;
    pub(super) const DURATION_NANOS: u32 = 10;
    pub(super) const COMMENT: u32 = 13;
    pub(super) const DEFAULT_SAMPLE_TYPE: u32 = 14;
}

/// The only mapping: the program.
const MAPPING: u64 = 1;

/// A builder of the message.
pub(super) struct Profile {
    /// All but samples and texts, encoded.
    parts: Vec<u8>,
    samples: Vec<u8>,
    texts: Texts,
    /// The numbers of locations by their content; the function of a location has the same number.
    locations: HashMap<[i64; 4], u64>,
}

/// A stack and its values.
pub(super) struct Sample<'a> {
    /// Numbers of locations, the leaf first.
    pub(super) stack: &'a [u64],
    pub(super) values: &'a [i64],
    pub(super) labels: [(&'static str, &'a str); 2],
}

impl Profile {
    /// A profile with these types of values; `first` is shown first.
    pub(super) fn new(types: &[(&str, &str)], first: &str) -> Self {
        let mut this = Self {
            parts: Vec::new(),
            samples: Vec::new(),
            texts: Texts::default(),
            locations: HashMap::new(),
        };
        // The first text has to be the empty one.
        this.texts.number("");
        for (what, unit) in types {
            let [what, unit] = [what, unit].map(|text| this.texts.number(text));
            message(&mut this.parts, field::SAMPLE_TYPE, |out| {
                signed(out, 1, what);
                signed(out, 2, unit);
            });
        }
        let first = this.texts.number(first);
        signed(&mut this.parts, field::DEFAULT_SAMPLE_TYPE, first);
        this
    }

    /// The mapping: the program, without need for symbolization.
    pub(super) fn program(&mut self, path: &str) {
        let path = self.texts.number(path);
        message(&mut self.parts, field::MAPPING, |out| {
            unsigned(out, 1, MAPPING);
            signed(out, 5, path);
            // It has functions, file names and line numbers.
            [7, 8, 9].into_iter().for_each(|known| unsigned(out, known, 1));
        });
    }

    pub(super) fn times(&mut self, from_unix_ns: i64, length_ns: i64) {
        signed(&mut self.parts, field::TIME_NANOS, from_unix_ns);
        signed(&mut self.parts, field::DURATION_NANOS, length_ns);
    }

    pub(super) fn comment(&mut self, text: &str) {
        let text = self.texts.number(text);
        signed(&mut self.parts, field::COMMENT, text);
    }

    /// The number of a location, which is made if there is none like it.
    pub(super) fn location(&mut self, name: &str, system: &str, file: &str, line: u32) -> u64 {
        let [name, system, file] = [name, system, file].map(|text| self.texts.number(text));
        let next = self.locations.len() as u64 + 1;
        let number = *self.locations.entry([name, system, file, line.into()]).or_insert(next);
        if number != next {
            return number;
        }
        message(&mut self.parts, field::FUNCTION, |out| {
            unsigned(out, 1, number);
            signed(out, 2, name);
            signed(out, 3, system);
            signed(out, 4, file);
            signed(out, 5, line.into());
        });
        message(&mut self.parts, field::LOCATION, |out| {
            unsigned(out, 1, number);
            unsigned(out, 2, MAPPING);
            message(out, 4, |out| {
                unsigned(out, 1, number);
                signed(out, 2, line.into());
            });
        });
        number
    }

    pub(super) fn sample(&mut self, sample: &Sample<'_>) {
        let labels = sample.labels.map(|(key, text)| [key, text].map(|t| self.texts.number(t)));
        message(&mut self.samples, field::SAMPLE, |out| {
            message(out, 1, |out| sample.stack.iter().for_each(|location| varint(out, *location)));
            message(out, 2, |out| {
                sample.values.iter().for_each(|value| varint(out, *value as u64))
            });
            for [key, text] in labels {
                message(out, 3, |out| {
                    signed(out, 1, key);
                    signed(out, 2, text);
                });
            }
        });
    }

    /// Writes all of it.
    pub(super) fn write(self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.parts)?;
        out.write_all(&self.samples)?;
        let mut text = Vec::new();
        for one in self.texts.in_order() {
            text.clear();
            bytes(&mut text, field::STRING_TABLE, one.as_bytes());
            out.write_all(&text)?;
        }
        Ok(())
    }
}

/// Texts by number, in the order in which they were met.
#[derive(Debug, Default)]
struct Texts(HashMap<String, i64>);

impl Texts {
    fn number(&mut self, text: &str) -> i64 {
        if let Some(number) = self.0.get(text) {
            return *number;
        }
        let next = self.0.len() as i64;
        self.0.insert(text.to_owned(), next);
        next
    }

    fn in_order(self) -> impl Iterator<Item = String> {
        let mut texts: Vec<_> = self.0.into_iter().collect();
        texts.order_by_key(|(_, number)| *number);
        texts.into_iter().map(|(text, _)| text)
    }
}
