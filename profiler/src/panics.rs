//! Catches panics in code of others.
//!
//! A panic may carry any value, whose `Drop` may panic, too. So the value is dropped only if it is a
//! text, which it always is except after `panic_any` and `resume_unwind`; otherwise it is leaked.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something has panicked. The message went to the panic hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Runs `f`. No panic gets out of this, whatever it carries.
#[inline]
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(f)).map_err(discard)
}

/// Gets rid of what a panic has carried, without another panic.
#[cold]
pub(crate) fn discard(payload: Box<dyn Any + Send>) -> Panicked {
    if payload.is::<&'static str>() || payload.is::<String>() {
        drop(payload);
    } else {
        // Dropping it under `catch_unwind` is not enough: if two parts of a value panic while they are
        // dropped, the process ends.
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
