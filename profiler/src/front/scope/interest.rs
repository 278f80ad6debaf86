//! Whether `tracing` wants the scopes of a site.
//!
//! What `tracing`'s own [`DefaultCallsite`](tracing_core::callsite::DefaultCallsite) keeps, but that it says when it
//! changes: so a site that was answered need not ask for it each time.

use std::sync::atomic::{AtomicU8, Ordering};

use tracing_core::Interest;
use tracing_core::callsite::{self, Callsite};

/// As `tracing` says it; nothing at first.
#[derive(Debug)]
pub(super) struct CallsiteInterest {
    is: AtomicU8,
    registration: AtomicU8,
}

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;
const UNKNOWN: u8 = 3;

const UNREGISTERED: u8 = 0;
const REGISTERING: u8 = 1;
const REGISTERED: u8 = 2;

impl CallsiteInterest {
    pub(super) const fn new() -> Self {
        Self { is: AtomicU8::new(UNKNOWN), registration: AtomicU8::new(UNREGISTERED) }
    }

    /// Says whether it is less than [`always`](Interest::always) now, and was not before.
    pub(super) fn set(&self, interest: &Interest) -> bool {
        let now = match () {
            () if interest.is_never() => NEVER,
            () if interest.is_always() => ALWAYS,
            () => SOMETIMES,
        };
        // Relaxed: what follows, and says so, is ordered: see `scope_owner`.
        self.is.swap(now, Ordering::Relaxed) == ALWAYS && now != ALWAYS
    }

    /// What it is, of this callsite, which is made known to `tracing` if it was not.
    pub(super) fn get(&self, callsite: &'static dyn Callsite) -> Interest {
        // Acquire: whoever finds it registered sees what was said then.
        if self.registration.load(Ordering::Acquire) != REGISTERED && !self.register(callsite) {
            // Another thread is at it: this time it is asked for.
            return Interest::sometimes();
        }
        match self.is.load(Ordering::Relaxed) {
            NEVER => Interest::never(),
            ALWAYS => Interest::always(),
            _ => Interest::sometimes(),
        }
    }

    #[cold]
    #[inline(never)]
    fn register(&self, callsite: &'static dyn Callsite) -> bool {
        let (success, failure) = (Ordering::Relaxed, Ordering::Acquire);
        match self.registration.compare_exchange(UNREGISTERED, REGISTERING, success, failure) {
            Ok(_) => {
                callsite::register(callsite);
                // Release: pairs with the Acquire in `get`.
                self.registration.store(REGISTERED, Ordering::Release);
                true
            }
            Err(state) => state == REGISTERED,
        }
    }
}
