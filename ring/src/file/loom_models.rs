//! Names that two threads append while somebody reads, or one of them dies.

use loom::sync::Arc;
use loom::thread;

use super::names::{Names, read_names};
use crate::sync::Ordering;
use crate::zeros::Zeros;

/// Two records of this model: three words each, and a header.
const WORDS: usize = 1 + 2 * 4;

/// Which names a reader finds: by copies of the words one after the other, as in a file.
fn seen(names: &Names) -> Vec<u64> {
    let words: Vec<_> = names.words().iter().map(|word| word.load(Ordering::Acquire)).collect();
    let mut seen = Vec::new();
    let read = read_names(&words, false, |name| {
        assert_eq!(name.numbers[1], !name.numbers[0], "half a name");
        seen.push(name.numbers[0]);
    });
    assert_eq!(read.damaged, 0);
    seen
}

#[test]
fn a_name_is_seen_whole_and_once_it_is_appended() {
    loom::model(|| {
        let names = Arc::new(Names::new(Zeros::new(WORDS)));
        let appending = {
            let names = Arc::clone(&names);
            thread::spawn(move || names.append(1, &[7, !7], &[]).unwrap())
        };
        names.append(1, &[8, !8], &[]).unwrap();
        assert!(seen(&names).contains(&8), "it was appended before");
        appending.join().unwrap();
        let mut all = seen(&names);
        all.sort_unstable();
        assert_eq!(all, [7, 8]);
        assert!(names.append(1, &[9, !9], &[]).is_err(), "there is no more room");
    });
}
