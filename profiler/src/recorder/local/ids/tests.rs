//! Tests of ids that each thread takes in blocks.

use super::super::owned::set_up;
use super::*;
use crate::recorder::recording::RecorderOptions;

#[test]
fn ids_of_whoever_is_in_no_change_are_those_of_the_block() {
    let (recorder, _consumer) = Recorder::new(&RecorderOptions::small());
    let token = set_up(&recorder).unwrap();
    assert_eq!(token.next_id_of_idle(0), None);
    assert!(token.renew_ids(&recorder, 0) && !token.renew_ids(&recorder, 0));
    let first = token.next_id(&recorder, 0);
    for id in first + 1..first + ID_BLOCK {
        let next =
            if id.is_multiple_of(2) { token.next_id_of_idle(0) } else { token.next_id_of_block(0) };
        assert_eq!(next, Some(id));
    }
    // Nobody has what was looked for behind the last one, however often.
    for _ in 0..3 {
        assert_eq!(token.next_id_of_idle(0), None);
        assert_eq!(token.next_id_of_block(0), None);
    }
    let later = recorder.take_ids(1);
    assert_eq!(token.next_id(&recorder, 0), later + 1);
    assert_eq!(token.next_id_of_idle(ID_BLOCK_TICKS + 1), None);
    assert!(token.renew_ids(&recorder, ID_BLOCK_TICKS + 1));
    assert_eq!(token.next_id_of_idle(ID_BLOCK_TICKS + 1), Some(later + 1 + ID_BLOCK));
}

#[test]
fn nobody_takes_a_block_for_a_thread_that_has_turned_to_another_profiler() {
    let (recorder, _consumer) = Recorder::new(&RecorderOptions::small());
    let (other, _other_consumer) = Recorder::new(&RecorderOptions::small());
    let token = set_up(&recorder).unwrap();
    set_up(&other).unwrap();
    assert!(!token.renew_ids(&recorder, 0));
    assert_eq!(token.next_id_of_idle(0), None);
}
