//! How the room for the fields of one span or event is shared out among them.
//!
//! A callsite declares all fields that can ever come, late ones included. So each of them is promised
//! a few words from the beginning, and what is promised to a field that has not come yet is not given
//! to another one: a long first value does not take away what an `error` at the end needs.
//!
//! ```text
//!  +-----------------------+------------------------------------+-------------------------------+
//!  | in use                | free for whoever comes             | promised: `each` a field that |
//!  |                       |                                    | has not come yet              |
//!  +-----------------------+------------------------------------+-------------------------------+
//! ```
//!
//! All promises together take half of the room at most (or a word each, if there is no more than
//! that), and one value half of it, unless it is that of the only field there is.

/// Most words that are promised to one field: enough for 112 bytes of text, even if it has to be cut.
const EACH_MAX: usize = 16;

/// The shares of one span or event.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shares {
    /// Words for all fields together.
    room: usize,
    /// Most words of one value.
    most: usize,
    /// Words that are promised to each field.
    each: usize,
    /// How many fields there can be.
    fields: usize,
}

impl Shares {
    /// For so many fields, with so many words for all of them.
    pub(crate) fn new(room: usize, fields: usize) -> Self {
        let fields = fields.max(1);
        let most = if fields == 1 { room } else { room / 2 };
        let each = (room / (2 * fields)).clamp((room / fields).min(1), EACH_MAX);
        Self { room, most, each, fields }
    }

    /// How many fields there can be.
    pub(crate) fn fields(&self) -> usize {
        self.fields
    }

    /// For the same fields, with so many words.
    pub(crate) fn with_room(&self, room: usize) -> Self {
        Self::new(room, self.fields)
    }

    /// What is promised to so many fields.
    fn promised(&self, fields: usize) -> usize {
        self.each * fields
    }

    /// How many words a value may take if `used` words are in use, and so many fields have come,
    /// including its own.
    pub(crate) fn of_value(&self, used: usize, came: usize) -> usize {
        let promised = self.promised(self.fields.saturating_sub(came));
        self.most.min(self.room.saturating_sub(used + promised))
    }
}

/// Which fields have come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Came {
    bits: [u64; 4],
    count: usize,
}

impl Came {
    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Notes a value of the field with this index. It may not be the first one.
    #[inline]
    pub(crate) fn add(&mut self, index: u8) {
        let word = &mut self.bits[usize::from(index / 64)];
        let bit = 1 << (index % 64);
        self.count += usize::from(*word & bit == 0);
        *word |= bit;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_first_value_leaves_room_for_all_others() {
        for (room, fields) in [(512, 2), (512, 32), (512, 256), (84, 10), (25, 4), (8, 3)] {
            let shares = Shares::new(room, fields);
            let mut used = shares.of_value(0, 1);
            assert!(used <= room / 2 && used >= shares.promised(1), "{used} of {room}");
            for came in 2..=fields {
                let share = shares.of_value(used, came);
                assert!(share >= shares.promised(1), "field {came} of {fields} in {room}: {share}");
                used += share;
            }
            assert!(used <= room);
        }
    }

    #[test]
    fn the_only_field_has_all_the_room() {
        assert_eq!(Shares::new(512, 1).of_value(0, 1), 512);
        assert_eq!(Shares::new(0, 0).of_value(0, 1), 0);
    }

    proptest! {
        #[test]
        fn who_takes_no_more_than_its_share_breaks_no_promise(
            room in 0..4096_usize,
            fields in 1..256_usize,
            wanted in prop::collection::vec(0..4096_usize, 1..256),
        ) {
            let shares = Shares::new(room, fields);
            let mut used = 0;
            for (n, wanted) in wanted.into_iter().take(fields).enumerate() {
                used += wanted.min(shares.of_value(used, n + 1));
                prop_assert!(used + shares.promised(fields - n - 1) <= room);
            }
        }
    }
}
