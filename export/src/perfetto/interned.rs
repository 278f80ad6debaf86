//! Strings that are written once and referred to by number.

use std::collections::HashMap;
use std::hash::Hash;

use super::super::proto::{message, string, unsigned};
use spandrel_query::Callsite;
use spandrel_storage::internals::FastHashMap;

/// Keys that are interned at most; further ones are written in full. Field names come from the source of a program,
/// so there are few; but a profile is untrusted.
const KEYS_MAX: usize = 65_536;

/// The strings of one sequence of packets.
#[derive(Default)]
pub(super) struct Interned {
    callsites: FastHashMap<i64, Numbers>,
    names: HashMap<String, u64>,
    categories: HashMap<String, u64>,
    keys: HashMap<String, u64>,
    /// `InternedData` for the next packet.
    new: Vec<u8>,
}

/// The numbers of a callsite's strings.
#[derive(Clone, Copy)]
struct Numbers {
    name: u64,
    category: u64,
    location: Option<u64>,
}

/// The number of a string, and whether it is new.
fn number<K: Hash + Eq>(numbers: &mut HashMap<K, u64>, key: K) -> (u64, bool) {
    let next = numbers.len() as u64 + 1;
    let number = *numbers.entry(key).or_insert(next);
    (number, number == next)
}

/// `EventName`, `EventCategory` and `DebugAnnotationName` all have the number first, then the text.
fn entry(out: &mut Vec<u8>, field: u32, number: u64, text: &str) {
    message(out, field, |out| {
        unsigned(out, 1, number);
        string(out, 2, text);
    });
}

impl Interned {
    /// Writes name, category and source location of a track event.
    pub(super) fn callsite(&mut self, callsite: &Callsite, name: &str, out: &mut Vec<u8>) {
        let numbers = match self.callsites.get(&callsite.id) {
            Some(numbers) => *numbers,
            None => self.intern(callsite),
        };
        unsigned(out, 3, numbers.category);
        if name == callsite.name {
            unsigned(out, 10, numbers.name);
        } else {
            string(out, 23, name);
        }
        if let Some(location) = numbers.location {
            unsigned(out, 34, location);
        }
    }

    fn intern(&mut self, callsite: &Callsite) -> Numbers {
        let (category, is_new) = number(&mut self.categories, callsite.target.to_string());
        if is_new {
            entry(&mut self.new, 1, category, &callsite.target);
        }
        let (name, is_new) = number(&mut self.names, callsite.name.clone());
        if is_new {
            entry(&mut self.new, 2, name, &callsite.name);
        }
        let location = callsite.file.as_ref().map(|file| {
            let number = self.callsites.len() as u64 + 1;
            message(&mut self.new, 4, |out| {
                unsigned(out, 1, number);
                string(out, 2, file);
                if let Some(module) = &callsite.module {
                    string(out, 3, module);
                }
                if let Some(line) = callsite.line {
                    unsigned(out, 4, line.into());
                }
            });
            number
        });
        let numbers = Numbers { name, category, location };
        self.callsites.insert(callsite.id, numbers);
        numbers
    }

    /// Writes the name of a `DebugAnnotation`.
    pub(super) fn key(&mut self, key: &str, out: &mut Vec<u8>) {
        if let Some(number) = self.keys.get(key) {
            unsigned(out, 1, *number);
        } else if self.keys.len() < KEYS_MAX {
            let (number, _) = number(&mut self.keys, key.to_owned());
            entry(&mut self.new, 3, number, key);
            unsigned(out, 1, number);
        } else {
            string(out, 10, key);
        }
    }

    /// Writes `TracePacket.interned_data`, if there is anything new.
    pub(super) fn write_new(&mut self, out: &mut Vec<u8>) {
        if !self.new.is_empty() {
            message(out, 12, |out| out.append(&mut self.new));
        }
    }
}
