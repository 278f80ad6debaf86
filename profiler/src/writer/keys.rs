//! The names of a callsite's fields, ready to be written.

use crate::json_string::push_string;
use crate::memory_use::MemoryUse;
use crate::redact::{Address, Secrecy};

/// Most keys are no longer than this; so many bytes are always written, whatever the length.
pub(super) const HEAD: usize = 24;

/// A field's name as a key of an object: `,"name":`.
#[derive(Debug)]
pub(super) struct Key {
    /// The first bytes, padded with zeros, and then all others.
    head: [u8; HEAD],
    rest: Box<[u8]>,
    len: usize,
    /// Index of the first field of the same name, nearly always this one: a name that a callsite has
    /// twice becomes one key.
    first: usize,
    /// A bit for that field; none if the index is too large.
    bit: u64,
    /// Whether its values may be stored.
    secrecy: Secrecy,
    /// Whether its texts hold addresses, which may have secrets in them.
    address: Address,
}

/// The bit of the field with this index.
#[inline]
pub(super) fn bit(field: usize) -> u64 {
    if field < u64::BITS as usize { 1 << field } else { 0 }
}

impl Key {
    fn new(name: &str, first: usize, secrecy: Secrecy) -> Self {
        let mut text = String::from(",");
        push_string(&mut text, name);
        text.push(':');
        let (head, rest) = text.as_bytes().split_at(text.len().min(HEAD));
        let mut padded = [0; HEAD];
        padded[..head.len()].copy_from_slice(head);
        let (len, bit, address) = (text.len(), bit(first), Address::of(name));
        Self { head: padded, rest: rest.into(), len, first, bit, secrecy, address }
    }

    #[inline(always)]
    pub(super) fn head(&self) -> &[u8; HEAD] {
        &self.head
    }

    #[inline(always)]
    pub(super) fn bit(&self) -> u64 {
        self.bit
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.rest
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn secrecy(&self) -> Secrecy {
        self.secrecy
    }

    #[inline(always)]
    pub(super) fn address(&self) -> Address {
        self.address
    }

    #[inline(always)]
    pub(super) fn first(&self) -> usize {
        self.first
    }
}

/// The keys of a callsite.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Vec<Key>,
    /// For values of a field that the callsite does not have.
    unknown: Key,
    /// The room that all keys together take.
    bytes: usize,
    /// The bits of those fields whose values may not all be stored.
    secrets: u64,
}

impl Keys {
    /// Memory that the keys take.
    pub(super) fn memory(&self) -> MemoryUse {
        MemoryUse::of(&self.keys)
            + MemoryUse::whole(self.keys.iter().map(|key| key.rest.len()).sum())
    }

    /// For fields with these names, and what `secrecy` says of each.
    pub(super) fn new(names: &[&str], secrecy: impl Fn(&str) -> Secrecy) -> Self {
        let first = |name| names.iter().position(|other| *other == name).unwrap_or(0);
        let keys: Vec<_> =
            names.iter().map(|name| Key::new(name, first(*name), secrecy(name))).collect();
        let unknown = Key::new("?", usize::MAX, Secrecy::None);
        let bytes = keys.iter().chain([&unknown]).map(|key| key.len.max(HEAD)).sum();
        let secrets = keys.iter().filter(|key| key.secrecy != Secrecy::None);
        let secrets = secrets.fold(0, |bits, key| bits | key.bit);
        Self { keys, unknown, bytes, secrets }
    }

    #[inline]
    pub(super) fn get(&self, field: usize) -> Option<&Key> {
        self.keys.get(field)
    }

    pub(super) fn get_or_unknown(&self, field: usize) -> &Key {
        self.keys.get(field).unwrap_or(&self.unknown)
    }

    /// The bits of those fields whose values may not all be stored.
    #[inline(always)]
    pub(super) fn secrets(&self) -> u64 {
        self.secrets
    }

    /// Whether values of a field may be stored.
    pub(super) fn secrecy(&self, field: usize) -> Secrecy {
        self.keys.get(field).map_or(Secrecy::None, Key::secrecy)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
