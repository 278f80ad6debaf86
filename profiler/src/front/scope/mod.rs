//! Scopes: spans of hot synchronous code that make no detour through `tracing`'s callbacks.
//!
//! ```text
//!  scope!("parse", rows = n)   a static Site, and a guard, the Scope
//!    Site: what it is called, and whether it is kept; asked again when anything changes (recorder/scope_owner.rs)
//!    Scope: opens a slot of the table of open spans when it is made, as a span of the first front end that
//!           its thread has entered; publishes its record when it is dropped
//! ```
//!
//! # Who records it
//!
//! The subscriber of the thread, as for any span of `tracing`; mostly there is one for all threads, and what it has
//! answered is kept. The way without callbacks is open if that has the first front end of the only recorder, which hears of
//! all spans that its threads enter, and no filter beside it that decides each time. In all other cases a scope is a span of
//! `tracing` ([`ordinary`]).
//!
//! # What others see of it
//!
//! It lies in a [direct](crate::recorder::open_spans::free_list) slot, whatever the keys of the front end's spans are, and
//! keeps the key of a free one: nobody finds it by a key, but every one who is inside does, through the thread's chain.

use tracing_core::Dispatch;

use crate::recorder::scope_owner;

mod ancestor;
mod guard;
mod macros;
mod ordinary;
mod site;
mod values;

pub use self::guard::{Scope, none};
pub use self::site::{Site, Wanted};
pub use self::values::{ScopeFields, ScopeValue, ScopeValues, debug_of, display_of};

/// Whether this is the subscriber of all threads that have none of their own, and has one of our front ends.
#[doc(hidden)]
#[inline(always)]
#[must_use]
pub fn is_found(dispatch: &Dispatch) -> bool {
    scope_owner::is_found(dispatch)
}

#[doc(hidden)]
pub use tracing_core::callsite::Identifier;
#[doc(hidden)]
pub use tracing_core::field::FieldSet;
#[doc(hidden)]
pub use tracing_core::{Kind, Level, Metadata};
