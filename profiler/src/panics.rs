//! Panics of others end with us.
//!
//! What a panic carries may be any value, and its own `Drop` may panic. So what was caught is dropped
//! only if it is a text, which it is but for `panic_any` and `resume_unwind`; else it is leaked.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something has panicked. What it said went to the panic hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Runs `f`. No panic comes out of this, whatever it carries.
#[inline]
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(f)).map_err(discard)
}

/// Gets rid of what a panic has carried, without a panic.
#[cold]
pub(crate) fn discard(payload: Box<dyn Any + Send>) -> Panicked {
    if payload.is::<&'static str>() || payload.is::<String>() {
        drop(payload);
    } else {
        // Not dropped under a guard: a value of which two parts panic while they are dropped ends
        // the process.
        std::mem::forget(payload);
    }
    Panicked
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn whatever_a_panic_carries_stays_here() {
        assert_eq!(catch(|| 7), Ok(7));
        assert_eq!(catch(|| panic!("a text")), Err::<(), _>(Panicked));
        assert_eq!(catch(|| panic!("a number: {}", 7)), Err::<(), _>(Panicked));
        assert_eq!(catch(|| panic_any(Bomb)), Err::<(), _>(Panicked));
        assert_eq!(catch(|| panic_any((Bomb, Bomb))), Err::<(), _>(Panicked));
    }
}
