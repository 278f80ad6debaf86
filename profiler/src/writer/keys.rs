//! The names of a callsite's fields, ready to be written.

use super::json::push_string;

/// Most keys are no longer, and are written as a whole, whatever their length.
pub(super) const HEAD: usize = 24;

/// A field's name as a key of an object: `,"name":`.
#[derive(Debug)]
pub(super) struct Key {
    /// The first bytes, filled up with zeros, and all the others.
    head: [u8; HEAD],
    rest: Box<[u8]>,
    len: usize,
    /// Index of the first field of the same name, nearly always this one: a name that a callsite has
    /// twice is one key.
    first: usize,
    /// A bit that says the same, none if the index is too large for that.
    bit: u64,
}

/// The bit of the field with this index.
#[inline]
pub(super) fn bit(field: usize) -> u64 {
    if field < u64::BITS as usize { 1 << field } else { 0 }
}

impl Key {
    fn new(name: &str, first: usize) -> Self {
        let mut text = String::from(",");
        push_string(&mut text, name);
        text.push(':');
        let (head, rest) = text.as_bytes().split_at(text.len().min(HEAD));
        let mut padded = [0; HEAD];
        padded[..head.len()].copy_from_slice(head);
        Self { head: padded, rest: rest.into(), len: text.len(), first, bit: bit(first) }
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

    #[inline(always)]
    pub(super) fn first(&self) -> usize {
        self.first
    }
}

/// The keys of a callsite.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Vec<Key>,
    /// For values of a field that the callsite has not.
    unknown: Key,
    /// The room that all keys take, each once.
    bytes: usize,
}

impl Keys {
    pub(super) fn new(names: &[&str]) -> Self {
        let first = |name| names.iter().position(|other| *other == name).unwrap_or(0);
        let keys: Vec<_> = names.iter().map(|name| Key::new(name, first(*name))).collect();
        let unknown = Key::new("?", usize::MAX);
        let bytes = keys.iter().chain([&unknown]).map(|key| key.len.max(HEAD)).sum();
        Self { keys, unknown, bytes }
    }

    #[inline]
    pub(super) fn get(&self, field: usize) -> Option<&Key> {
        self.keys.get(field)
    }

    pub(super) fn get_or_unknown(&self, field: usize) -> &Key {
        self.keys.get(field).unwrap_or(&self.unknown)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
