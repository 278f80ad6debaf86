//! Ids as a recording gives them: in blocks to threads, so that they grow with time, nearly.

const BLOCK: u64 = 64;
/// A block that is older is given up.
const BLOCK_NS: i64 = 10_000_000;

#[derive(Debug, Clone, Copy, Default)]
struct Block {
    next: u64,
    end: u64,
    until_ns: i64,
}

#[derive(Debug)]
pub struct Ids {
    next: u64,
    blocks: Vec<Block>,
}

impl Ids {
    pub fn new(first: u64, threads: u32) -> Self {
        Self { next: first, blocks: vec![Block::default(); threads as usize] }
    }

    pub fn take(&mut self, thread: u32, now_ns: i64) -> u64 {
        let block = &mut self.blocks[thread as usize];
        if block.next == block.end || now_ns > block.until_ns {
            let end = self.next + BLOCK;
            *block = Block { next: self.next, end, until_ns: now_ns + BLOCK_NS };
            self.next = end;
        }
        block.next += 1;
        block.next - 1
    }
}
