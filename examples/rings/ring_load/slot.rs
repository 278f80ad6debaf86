//! What is in a slot: whose it is, which one, bytes that go with both, and a checksum.

use crate::arguments::Load;

const NUMBER_AT: usize = 4;
const BODY_AT: usize = 12;
const CRC: usize = 4;

/// What a writer makes of each of its numbers.
#[derive(Debug, Clone, Copy)]
pub struct Content {
    writer: usize,
    verify: bool,
    spoilt: Option<u64>,
}

impl Content {
    pub fn new(load: &Load, writer: usize) -> Self {
        Self { writer, verify: load.verify, spoilt: load.spoilt }
    }

    /// Fills a slot. All of its bytes are others with each number, so that one of which a part is of an earlier lap shows.
    pub fn fill(&self, bytes: &mut [u8], number: u64) {
        let (head, body) = bytes.split_at_mut(BODY_AT);
        head[..NUMBER_AT].copy_from_slice(&(self.writer as u32).to_le_bytes());
        head[NUMBER_AT..].copy_from_slice(&number.to_le_bytes());
        let word = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
        let (words, rest) = body.as_chunks_mut::<8>();
        words.fill(word);
        rest.copy_from_slice(&word[..rest.len()]);
        if self.verify {
            let end = bytes.len() - CRC;
            let (sealed, crc) = bytes.split_at_mut(end);
            crc.copy_from_slice(&crc32fast::hash(sealed).to_le_bytes());
        }
        if self.spoilt == Some(number) {
            bytes[BODY_AT - 1] ^= 1;
        }
    }
}

/// Writer and number of a slot.
pub fn head(bytes: &[u8]) -> Option<(usize, u64)> {
    let writer = bytes.first_chunk().map(|it| u32::from_le_bytes(*it) as usize)?;
    let number = bytes.get(NUMBER_AT..)?.first_chunk().map(|it| u64::from_le_bytes(*it))?;
    Some((writer, number))
}

/// Whether it ends with the checksum of what is before.
pub fn is_whole(bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk()
        .is_some_and(|(sealed, crc)| crc32fast::hash(sealed) == u32::from_le_bytes(*crc))
}

#[test]
fn a_slot_is_whole_until_any_of_its_bytes_is_another_one() {
    for slot_bytes in [crate::arguments::SLOT_BYTES_MIN, 17, 64, 1_001] {
        let load = Load { slot_bytes, ..Load::default() };
        let content = Content::new(&load, 3);
        let mut bytes = vec![0; slot_bytes];
        content.fill(&mut bytes, 8);
        let before = bytes.clone();
        content.fill(&mut bytes, 9);
        assert_eq!((head(&bytes), is_whole(&bytes)), (Some((3, 9)), true));
        for at in 0..bytes.len() {
            bytes[at] ^= 0x10;
            assert!(!is_whole(&bytes), "byte {at} of {slot_bytes}");
            bytes[at] ^= 0x10;
        }
        if slot_bytes > 16 {
            // Torn: its second half is that of the slot before.
            let half = slot_bytes / 2;
            bytes[half..].copy_from_slice(&before[half..]);
            assert!(!is_whole(&bytes), "half of it is old");
        }
    }
}
