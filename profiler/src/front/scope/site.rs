//! Where a scope stands in the code, and whether it is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tracing_core::callsite::DefaultCallsite;
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, Interest, LevelFilter, Metadata, dispatcher};

use super::guard::{self, Scope};
use super::values::{AnyValues, ScopeFields, ScopeValues};
use super::{ancestor, ordinary};
use crate::front::front_end::FoundFrontEnd;
use crate::recorder::Recorder;
use crate::recorder::callsites::CallsiteNumber;
use crate::recorder::field_buffer::FieldBuffer;
use crate::recorder::fields::FIELDS_MAX;
use crate::recorder::record::{CALLSITE_LOW_MAX, UPPER_SHIFT};
use crate::recorder::scope_owner::{self, Current, NOBODY, SEVERAL};
use crate::recorder::sites::Answer;

/// What a [`scope!`](crate::scope) is made of that does not change: a static variable of its own.
///
/// Made by the macro; nobody else needs it.
#[derive(Debug)]
pub struct Site {
    /// That its scopes are recorded by fast paths where the subscriber is [that of all threads](scope_owner::is_global):
    /// since which change, in the lower half, as [`scope_owner`] counts them, and the callsite's number in the upper 16 bits,
    /// as in a record.
    kept: AtomicU64,
    /// The same where times inside are not measured.
    kept_untimed: AtomicU64,
    /// That they are not recorded there: since which change.
    below: AtomicU32,
    #[doc(hidden)]
    pub callsite: DefaultCallsite,
    metadata: &'static Metadata<'static>,
}

/// Where the number stands.
const NUMBER: u64 = !(u64::MAX >> (u64::BITS - UPPER_SHIFT));

/// A scope that is wanted, or may be: its values are looked at now.
#[derive(Debug)]
pub struct Wanted {
    site: &'static Site,
    /// If it is by the fast paths, for whom; else 0.
    owner: u32,
    number: u64,
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
    #[doc(hidden)]
    #[must_use]
    pub const fn new(metadata: &'static Metadata<'static>) -> Self {
        Self {
            kept: AtomicU64::new(0),
            kept_untimed: AtomicU64::new(0),
            below: AtomicU32::new(0),
            callsite: DefaultCallsite::new(metadata),
            metadata,
        }
    }

    /// Opens a scope without fields.
    #[doc(hidden)]
    #[inline(never)]
    pub fn enter(&'static self) -> Scope {
        if scope_owner::get().owner == NOBODY {
            return Scope::NONE;
        }
        self.enter_for_somebody()
    }

    /// By itself, for it saves registers.
    #[inline(never)]
    fn enter_for_somebody(&'static self) -> Scope {
        // First: nothing has to be kept for later but the site.
        if scope_owner::is_global_here()
            && let Some((owner, number)) = self.usual(&self.kept)
            && let Some(scope) = guard::open_plain::<true, false>(owner, number)
        {
            return scope;
        }
        self.enter_otherwise()
    }

    /// Whether to look at the values of one with fields.
    #[doc(hidden)]
    #[inline(always)]
    pub fn begin(&'static self) -> Option<Wanted> {
        if scope_owner::get().owner == NOBODY {
            return None;
        }
        // In this order: as above.
        if scope_owner::is_global()
            && let Some((owner, number)) = self.usual(&self.kept)
        {
            return Some(Wanted { site: self, owner, number });
        }
        self.begin_otherwise()
    }

    /// Whom the fast paths record this for, and the callsite where it stands in a record, if that is kept and the
    /// thread has the subscriber of all.
    #[inline(always)]
    fn usual(&'static self, kept: &AtomicU64) -> Option<(u32, u64)> {
        let now = scope_owner::get();
        // Relaxed: a number by which nothing is found but what its own thread has.
        let kept = kept.load(Ordering::Relaxed);
        let is_usual = kept as u32 == now.change && self.callsite.interest().is_always();
        is_usual.then_some((now.owner, kept & NUMBER))
    }

    /// The same where times inside are not measured.
    #[inline(never)]
    fn usual_untimed(&'static self) -> Option<(u32, u64)> {
        let usual = self.usual(&self.kept_untimed)?;
        scope_owner::is_global().then_some(usual)
    }

    #[inline(never)]
    fn enter_otherwise(&'static self) -> Scope {
        if let Some((owner, number)) = self.usual(&self.kept)
            && scope_owner::is_global()
            && guard::renew_ids(owner)
            && let Some(scope) = guard::open_plain::<true, true>(owner, number)
        {
            return scope;
        }
        if let Some((owner, number)) = self.usual_untimed()
            && let Some(scope) = guard::open_plain::<false, true>(owner, number)
        {
            return scope;
        }
        match self.begin_otherwise() {
            Some(_) => self.ask_and_enter(&()),
            None => Scope::NONE,
        }
    }

    /// Nothing that has to be asked for: what is not wanted here may be so a moment later without a word to us.
    #[inline(never)]
    fn begin_otherwise(&'static self) -> Option<Wanted> {
        let now = scope_owner::get();
        let is_below = self.below.load(Ordering::Relaxed) == now.change;
        let is_off = now.owner == NOBODY
            || *self.metadata.level() > LevelFilter::current()
            || is_below && scope_owner::is_global();
        (!is_off).then_some(Wanted { site: self, owner: NOBODY, number: 0 })
    }

    /// Asks `tracing` who records on this thread, and that one whether the scope is kept.
    #[cold]
    #[inline(never)]
    fn ask_and_enter(&'static self, values: &dyn ScopeValues) -> Scope {
        if let Some((owner, number)) = self.usual_untimed()
            && let Some(scope) =
                guard::open_with_fields::<false>(owner, number, self.metadata, &AnyValues(values))
        {
            return scope;
        }
        let now = scope_owner::get();
        let interest = self.callsite.interest();
        if interest.is_never() {
            return Scope::NONE;
        }
        // Outside of `get_default`: the values' own code may use `tracing`.
        match dispatcher::get_default(|dispatch| self.ask(now, &interest, dispatch)) {
            Way::Nobody => Scope::NONE,
            Way::Directly(recorder, number) => self.enter_directly(&recorder, number, values),
            Way::AsSpan => {
                let index = ordinary::enter(self.metadata, &interest, values);
                index.map_or(Scope::NONE, Scope::ordinary)
            }
        }
    }

    fn ask(&self, now: Current, interest: &Interest, dispatch: &Dispatch) -> Way {
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
                // Relaxed, here and below: as in `usual`.
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
        if is_global && is_fast {
            let kept = u64::from(number) << UPPER_SHIFT | u64::from(now.change);
            let here = if recorder.busy_time { &self.kept } else { &self.kept_untimed };
            here.store(kept, Ordering::Relaxed);
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

impl Wanted {
    /// Opens it, with these values of its fields, in their order.
    #[doc(hidden)]
    #[inline(always)]
    pub fn enter(self, values: &impl ScopeValues) -> Scope {
        if self.owner != NOBODY
            && let Some(scope) =
                guard::open_with_fields::<true>(self.owner, self.number, self.site.metadata, values)
        {
            return scope;
        }
        self.site.ask_and_enter(values)
    }
}
