//! Where a scope stands in the code, and whether it is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tracing_core::callsite::DefaultCallsite;
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, Interest, LevelFilter, Metadata, dispatcher};

use super::guard::{self, Scope};
use super::values::{ScopeFields, ScopeValues};
use super::{ancestor, ordinary};
use crate::front::front_end::FoundFrontEnd;
use crate::recorder::Recorder;
use crate::recorder::answers::{Before, Kept, KeptAnswer};
use crate::recorder::callsites::CallsiteNumber;
use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::fields::FIELDS_MAX;
use crate::recorder::record::CALLSITE_LOW_MAX;
use crate::recorder::scope_owner::{self, Current, NOBODY, SEVERAL};
use crate::recorder::sites::Answer;

/// What a [`scope!`](crate::scope) is made of that does not change: a static variable of its own.
///
/// Made by the macro; nobody else needs it.
#[derive(Debug)]
pub struct Site {
    /// For whom its scopes are recorded by fast paths, where the subscriber is [that of all threads](scope_owner::is_global),
    /// if they are.
    kept: KeptAnswer,
    /// That they are not recorded there: since which change.
    below: AtomicU32,
    #[doc(hidden)]
    pub callsite: DefaultCallsite,
    metadata: &'static Metadata<'static>,
}

/// A scope that is wanted, or may be: its values are looked at now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The fast paths take it, if that is still so when the values are there.
    Kept,
    /// Somebody has to be asked, who has not refused it so far.
    Perhaps,
    /// The subscriber, which decides each time, was asked: it is.
    Enabled,
}

impl Wanted {
    /// The same now, where the thread may have another subscriber since. `is_found` as in [`Site::enter`].
    #[doc(hidden)]
    #[inline(always)]
    #[must_use]
    pub fn here(self, is_found: impl Fn(&Dispatch) -> bool) -> Self {
        let is_kept = self != Self::Kept || dispatcher::get_default(is_found);
        if is_kept { self } else { Self::Perhaps }
    }
}

/// Who takes a scope.
enum Way {
    Nobody,
    /// Our front end.
    Directly(Arc<Recorder>, CallsiteNumber),
    /// Whoever there is, as any span of `tracing`.
    AsSpan,
}

impl Site {
    /// For the macro.
    #[cfg(not(spandrel_loom))]
    #[doc(hidden)]
    #[must_use]
    pub const fn new(metadata: &'static Metadata<'static>) -> Self {
        Self {
            kept: KeptAnswer::new(),
            below: AtomicU32::new(0),
            callsite: DefaultCallsite::new(metadata),
            metadata,
        }
    }

    /// Opens a scope without fields. `is_found` is [`is_found`](scope_owner::is_found), in a closure of the caller's own: so all of
    /// it is in the caller's code. Where threads have subscribers of their own it takes registers, which a function of
    /// ours would save each time, also where there are none.
    #[doc(hidden)]
    #[inline(always)]
    pub fn enter(&'static self, is_found: impl Fn(&Dispatch) -> bool) -> Scope {
        if self.kept_answer().is_none() {
            return if scope_owner::look().owner == NOBODY {
                Scope::NONE
            } else {
                self.enter_otherwise()
            };
        }
        if dispatcher::get_default(is_found) { self.enter_kept() } else { self.enter_otherwise() }
    }

    /// The same where the thread has the subscriber of all, if it is kept there.
    #[inline(never)]
    fn enter_kept(&'static self) -> Scope {
        if let Some(kept) = self.kept.get()
            && let Some(scope) = guard::open_outside(kept)
        {
            return scope;
        }
        self.enter_inside()
    }

    /// The same where the thread is in a span.
    #[inline(never)]
    fn enter_inside(&'static self) -> Scope {
        if let Some(kept) = self.kept.get()
            && let Some(scope) = guard::open_inside(kept)
        {
            return scope;
        }
        self.enter_otherwise()
    }

    /// Whether to look at the values of one with fields.
    #[doc(hidden)]
    #[inline(always)]
    pub fn begin(&'static self, is_found: impl Fn(&Dispatch) -> bool) -> Option<Wanted> {
        if scope_owner::look().owner == NOBODY {
            return None;
        }
        match self.kept_answer() {
            Some(_) if dispatcher::get_default(is_found) => Some(Wanted::Kept),
            _ => self.begin_otherwise(),
        }
    }

    /// Opens one that is wanted, with these values of its fields, in their order.
    #[doc(hidden)]
    #[inline(always)]
    pub fn enter_with(&'static self, wanted: Wanted, values: impl ScopeValues + Copy) -> Scope {
        // Looked at again: what the values are made of is code of the user's, which may have changed a filter.
        if wanted == Wanted::Kept
            && let Some(kept) = self.kept.get()
            && let Some(scope) = guard::open_with_fields(kept, self.metadata, values)
        {
            return scope;
        }
        // A copy, or they would lie in memory on the fast path, too.
        let shown = values;
        self.ask_and_enter(wanted, &shown)
    }

    /// For whom the fast paths record it where the thread has the subscriber of all, if they do. What was answered rests on
    /// that it is always wanted, of which `tracing` tells nobody when it changes.
    #[inline(always)]
    fn kept_answer(&'static self) -> Option<Kept> {
        self.kept.get().filter(|_| self.callsite.interest().is_always())
    }

    /// The same for whoever has not looked whether it has.
    fn kept_here(&'static self) -> Option<Kept> {
        self.kept_answer().filter(|_| scope_owner::is_global())
    }

    #[inline(never)]
    fn enter_otherwise(&'static self) -> Scope {
        if let Some(kept) = self.kept_here()
            && guard::renew_ids(kept.owner)
            && let Some(scope) = guard::open_anywhere(kept)
        {
            return scope;
        }
        match self.begin_otherwise() {
            Some(wanted) => self.ask_and_enter(wanted, &()),
            None => Scope::NONE,
        }
    }

    /// What is not wanted here may be so a moment later without a word to us.
    #[inline(never)]
    fn begin_otherwise(&'static self) -> Option<Wanted> {
        let now = scope_owner::look();
        let is_below = self.below.load(Ordering::Relaxed) == now.change;
        let is_off = now.owner == NOBODY
            || *self.metadata.level() > LevelFilter::current()
            || is_below && scope_owner::is_global();
        if is_off {
            return None;
        }
        match self.callsite.interest() {
            interest if interest.is_never() => None,
            // Once, as it may remember what it has answered until the span is made.
            interest if interest.is_sometimes() => {
                let is_enabled =
                    dispatcher::get_default(|dispatch| dispatch.enabled(self.metadata));
                is_enabled.then_some(Wanted::Enabled)
            }
            _ => Some(Wanted::Perhaps),
        }
    }

    /// Asks `tracing` who records on this thread, and that one whether the scope is kept.
    #[cold]
    #[inline(never)]
    fn ask_and_enter(&'static self, wanted: Wanted, values: &dyn ScopeValues) -> Scope {
        let can_keep = scope_owner::can_keep(&self.kept);
        let before = self.kept.before();
        let now = scope_owner::ask();
        let interest = self.callsite.interest();
        if interest.is_never() {
            return Scope::NONE;
        }
        // Outside of `get_default`: the values' own code may use `tracing`.
        match dispatcher::get_default(|dispatch| {
            self.ask(now, &interest, dispatch, can_keep.then_some(before))
        }) {
            Way::Nobody => Scope::NONE,
            Way::Directly(recorder, number) => self.enter_directly(&recorder, number, values),
            Way::AsSpan => {
                let is_enabled = wanted == Wanted::Enabled || interest.is_always();
                let index = ordinary::enter(self.metadata, is_enabled, values);
                index.map_or(Scope::NONE, Scope::ordinary)
            }
        }
    }

    /// Keeps the answer in place of what was kept `before`, if that can be.
    fn ask(
        &self,
        now: Current,
        interest: &Interest,
        dispatch: &Dispatch,
        before: Option<Before>,
    ) -> Way {
        if now.owner == NOBODY || dispatch.is::<NoSubscriber>() {
            return Way::Nobody;
        }
        // What is not ours, or not alone, or not seen, or sees not all, has to be told as always.
        let Some(front) = FoundFrontEnd::of(dispatch) else { return Way::AsSpan };
        let Some(recorder) = front.recorder else { return Way::AsSpan };
        let is_simple = now.owner != SEVERAL
            && front.layer == 0
            && front.filter.hears_all()
            && interest.is_always();
        if !is_simple {
            return Way::AsSpan;
        }
        let is_global = now.owner == recorder.id && scope_owner::find_global(dispatch);
        let answer = front.filter.answer(self.metadata);
        let Answer::Kept(number) = answer else {
            if is_global && answer != Answer::Full {
                // Relaxed: nothing is found by it.
                self.below.store(now.change, Ordering::Relaxed);
            }
            recorder.refuse_scope(answer);
            return Way::Nobody;
        };
        // Its spans may end before what they are parents of.
        recorder.set_has_subscriber();
        let is_fast = number <= CALLSITE_LOW_MAX
            && self.metadata.fields().len() <= FIELDS_MAX
            && recorder.fast_owner() == recorder.id
            && !recorder.records_all(number);
        if is_global
            && is_fast
            && let (Some(owner), Some(before)) = (now.recorder(), before)
        {
            self.kept.keep(before, owner, number);
        }
        Way::Directly(Arc::clone(recorder), number)
    }

    fn enter_directly(
        &self,
        recorder: &Arc<Recorder>,
        number: CallsiteNumber,
        values: &dyn ScopeValues,
    ) -> Scope {
        let visit: &mut dyn FnMut(&mut FieldBuffer) =
            &mut |buffer| values.add_to(0, &mut ScopeFields::of_visitor(buffer, self.metadata));
        let slot = recorder.open_scope(number, self.metadata, &ancestor::nearest_recorded, visit);
        slot.map_or(Scope::NONE, |slot| Scope::general(slot, recorder.id))
    }
}
