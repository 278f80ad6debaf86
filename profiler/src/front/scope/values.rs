//! Values of a scope's fields.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;

use tracing_core::Metadata;
use tracing_core::field::{Field, Visit};

use crate::front::fast::InlineFields;

/// Where the fields of a scope go, while it is opened.
#[derive(Debug)]
pub struct ScopeFields<'a, 'b> {
    to: To<'a, 'b>,
    metadata: &'static Metadata<'static>,
}

enum To<'a, 'b> {
    /// Into its slot in the table of open spans.
    Slot(InlineFields<'b>),
    /// To whoever is told of them one by one.
    Visitor(&'a mut dyn Visit),
}

impl Debug for To<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slot(_) => "Slot",
            Self::Visitor(_) => "Visitor",
        })
    }
}

impl<'a, 'b> ScopeFields<'a, 'b> {
    #[inline(always)]
    pub(super) fn of_slot(slot: InlineFields<'b>, metadata: &'static Metadata<'static>) -> Self {
        Self { to: To::Slot(slot), metadata }
    }

    /// What they are in the slot.
    #[inline(always)]
    pub(super) fn into_slot(self) -> Option<InlineFields<'b>> {
        match self.to {
            To::Slot(slot) => Some(slot),
            To::Visitor(_) => None,
        }
    }

    pub(super) fn of_visitor(
        visitor: &'a mut dyn Visit,
        metadata: &'static Metadata<'static>,
    ) -> Self {
        Self { to: To::Visitor(visitor), metadata }
    }

    /// The value of the field with this index.
    #[inline(always)]
    fn add<V: ScopeValue + ?Sized>(&mut self, index: usize, value: &V) {
        let metadata = self.metadata;
        let visit = |field: &Field, visitor: &mut dyn Visit| value.visit(field, visitor);
        match &mut self.to {
            To::Slot(slot) => {
                if value.push(&mut ScopeWords(slot), index) {
                    return;
                }
                // A copy, or it would lie in memory on the fast path, too.
                let mut aside = *slot;
                show(metadata, index, &mut aside, &visit);
                *slot = aside;
            }
            To::Visitor(visitor) => show(metadata, index, *visitor, &visit),
        }
    }
}

/// Shows the value of the field with this index to a visitor.
#[cold]
#[inline(never)]
fn show(
    metadata: &'static Metadata<'static>,
    index: usize,
    visitor: &mut dyn Visit,
    visit: &dyn Fn(&Field, &mut dyn Visit),
) {
    if let Some(field) = metadata.fields().iter().nth(index) {
        visit(&field, visitor);
    }
}

/// The values of a scope's fields, in their order.
pub trait ScopeValues {
    /// Adds them, of which the first has this index.
    #[doc(hidden)]
    fn add_to(&self, index: usize, fields: &mut ScopeFields<'_, '_>);
}

impl ScopeValues for () {
    #[inline(always)]
    fn add_to(&self, _: usize, _: &mut ScopeFields<'_, '_>) {}
}

impl<V: ScopeValue + ?Sized, R: ScopeValues> ScopeValues for (&V, R) {
    #[inline(always)]
    fn add_to(&self, index: usize, fields: &mut ScopeFields<'_, '_>) {
        fields.add(index, self.0);
        self.1.add_to(index + 1, fields);
    }
}

/// The words of a scope's fields in its slot.
#[derive(Debug)]
pub struct ScopeWords<'a, 'b>(&'a mut InlineFields<'b>);

/// What a field of a [`scope!`](crate::scope) can be.
///
/// Numbers, truth values and texts, references to them, and what [`Debug`] or [`Display`] shows: `rows = n`, `path = %path`,
/// `why = ?error`.
pub trait ScopeValue {
    /// Puts it where it stays, if it is small and there is room.
    #[doc(hidden)]
    #[inline]
    fn push(&self, _words: &mut ScopeWords<'_, '_>, _index: usize) -> bool {
        false
    }

    /// Shows it to a visitor.
    #[doc(hidden)]
    fn visit(&self, field: &Field, visitor: &mut dyn Visit);
}

macro_rules! whole_numbers {
    ($($number:ty, $wide:ty, $push:ident, $record:ident;)+) => {$(
        impl ScopeValue for $number {
            #[inline(always)]
            fn push(&self, words: &mut ScopeWords<'_, '_>, index: usize) -> bool {
                words.0.$push(index, <$wide>::from(*self))
            }

            fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
                visitor.$record(field, <$wide>::from(*self));
            }
        }
    )+};
}

whole_numbers! {
    u8, u64, push_u64, record_u64;
    u16, u64, push_u64, record_u64;
    u32, u64, push_u64, record_u64;
    u64, u64, push_u64, record_u64;
    i8, i64, push_i64, record_i64;
    i16, i64, push_i64, record_i64;
    i32, i64, push_i64, record_i64;
    i64, i64, push_i64, record_i64;
    f32, f64, push_f64, record_f64;
    f64, f64, push_f64, record_f64;
    bool, bool, push_bool, record_bool;
}

impl ScopeValue for usize {
    #[inline(always)]
    fn push(&self, words: &mut ScopeWords<'_, '_>, index: usize) -> bool {
        words.0.push_u64(index, *self as u64)
    }

    fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
        visitor.record_u64(field, *self as u64);
    }
}

impl ScopeValue for isize {
    #[inline(always)]
    fn push(&self, words: &mut ScopeWords<'_, '_>, index: usize) -> bool {
        words.0.push_i64(index, *self as i64)
    }

    fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
        visitor.record_i64(field, *self as i64);
    }
}

impl ScopeValue for u128 {
    fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
        visitor.record_u128(field, *self);
    }
}

impl ScopeValue for i128 {
    fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
        visitor.record_i128(field, *self);
    }
}

impl ScopeValue for str {
    #[inline(always)]
    fn push(&self, words: &mut ScopeWords<'_, '_>, index: usize) -> bool {
        words.0.push_str(index, self)
    }

    fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
        visitor.record_str(field, self);
    }
}

impl ScopeValue for String {
    #[inline(always)]
    fn push(&self, words: &mut ScopeWords<'_, '_>, index: usize) -> bool {
        self.as_str().push(words, index)
    }

    fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
        visitor.record_str(field, self);
    }
}

macro_rules! pointers {
    ($($pointer:ty;)+) => {$(
        impl<V: ScopeValue + ?Sized> ScopeValue for $pointer {
            #[inline(always)]
            fn push(&self, words: &mut ScopeWords<'_, '_>, index: usize) -> bool {
                (**self).push(words, index)
            }

            fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
                (**self).visit(field, visitor);
            }
        }
    )+};
}

pointers! {
    &V;
    &mut V;
    Box<V>;
    Rc<V>;
    Arc<V>;
}

macro_rules! numbers_in_others {
    ($($number:ty;)+) => {$(
        impl ScopeValue for NonZero<$number> {
            #[inline(always)]
            fn push(&self, words: &mut ScopeWords<'_, '_>, index: usize) -> bool {
                self.get().push(words, index)
            }

            fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
                self.get().visit(field, visitor);
            }
        }
    )+};
}

numbers_in_others! { u8; u16; u32; u64; u128; usize; i8; i16; i32; i64; i128; isize; }

impl<V: ScopeValue + ToOwned + ?Sized> ScopeValue for Cow<'_, V> {
    #[inline(always)]
    fn push(&self, words: &mut ScopeWords<'_, '_>, index: usize) -> bool {
        (**self).push(words, index)
    }

    fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
        (**self).visit(field, visitor);
    }
}

impl ScopeValue for fmt::Arguments<'_> {
    fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
        visitor.record_debug(field, self);
    }
}

macro_rules! errors {
    ($($error:ty;)+) => {$(
        impl ScopeValue for $error {
            fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
                visitor.record_error(field, self);
            }
        }
    )+};
}

errors! {
    dyn Error + 'static;
    dyn Error + Send + 'static;
    dyn Error + Sync + 'static;
    dyn Error + Send + Sync + 'static;
}

/// Without a value the field is left out.
impl<V: ScopeValue> ScopeValue for Option<V> {
    #[inline(always)]
    fn push(&self, words: &mut ScopeWords<'_, '_>, index: usize) -> bool {
        self.as_ref().is_none_or(|value| value.push(words, index))
    }

    fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
        if let Some(value) = self {
            value.visit(field, visitor);
        }
    }
}

/// As `?value` in the macro.
#[derive(Debug)]
pub struct ByDebug<T>(T);

/// As `%value` in the macro.
#[derive(Debug)]
pub struct ByDisplay<T>(T);

#[doc(hidden)]
pub fn debug_of<T: Debug>(value: T) -> ByDebug<T> {
    ByDebug(value)
}

#[doc(hidden)]
pub fn display_of<T: Display>(value: T) -> ByDisplay<T> {
    ByDisplay(value)
}

impl<T: Debug> ScopeValue for ByDebug<T> {
    fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
        visitor.record_debug(field, &self.0);
    }
}

impl<T: Display> ScopeValue for ByDisplay<T> {
    fn visit(&self, field: &Field, visitor: &mut dyn Visit) {
        struct Shown<'a, T>(&'a T);
        impl<T: Display> Debug for Shown<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Display::fmt(self.0, f)
            }
        }
        visitor.record_debug(field, &Shown(&self.0));
    }
}
