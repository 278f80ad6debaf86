//! The common case of each callback, in as few instructions as can be.
//!
//! Everything unusual is checked before anything is changed (but for a free slot, which is claimed and given
//! up again), and left to the general path in
//! [`recorder`](crate::recorder) by a call in tail position. So nothing is called in the middle, and
//! the compiler neither saves registers nor keeps values on the stack; that alone was a third of
//! the instructions. What both paths do is the same, and tested as the same: whatever happens here
//! may also happen there.
//!
//! One comparison says that a span is the first layer's of this profiler, the calling thread's own,
//! that the thread is outside it (or inside just once), that no other callback is running on it,
//! and that ticks are the time-stamp counter: the span's `head` holds the number of its owner, which
//! no other thread of the process and no other profiler has, beside whether that is inside; and
//! [`fast_thread`](crate::recorder::local::fast_thread) is the thread's number only where all the rest holds. Where there is no
//! span yet, [`get_if_owner`](crate::recorder::local::get_if_owner) does the same; it also tells whether the ring is closed, which
//! matters to a span that begins or ends, and not to one that is entered or left. Where a span ends,
//! a closed ring has no room.

mod close;
mod enter_exit;
mod find;
mod inline_fields;
mod new_span;
mod publish;
mod registers;
mod span_fields;

pub(crate) use self::close::{close_once, close_with, is_panicking};
pub(crate) use self::enter_exit::{enter_at, enter_recorded, exit_innermost, exit_recorded};
pub(crate) use self::find::{AsKey, FindSlot, Hashed, Indexed};
pub(crate) use self::inline_fields::InlineFields;
pub(crate) use self::new_span::{FastPath, parent_in};
pub(crate) use self::publish::{all_entered_into, publish_again, publish_without_times};
