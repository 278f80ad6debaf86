//! Types that may be copied while somebody else writes them, word by word.

#![allow(unsafe_code)] // a promise about types, which is checked field by field

/// Plain old data: a slot that readers may copy while a producer overwrites it.
///
/// Whole numbers, floating-point numbers and arrays of these are; [`plain!`](crate::plain) declares structs that are.
///
/// # Safety
///
/// Any bytes are a value of it, and it has no padding.
pub unsafe trait Plain: Copy + Send + Sync + 'static {}

macro_rules! numbers {
    ($($number:ty)*) => {
        $(
            // SAFETY: a number has no padding, and any bits are one.
            unsafe impl Plain for $number {}
        )*
    };
}

numbers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);

// SAFETY: an array is its elements, one after the other.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// Declares structs that are [`Plain`].
///
/// That each field is plain and nothing lies between them is checked where the macro is used, so it is safe to use
/// anywhere.
///
/// ```
/// spandrel_ring::plain! {
///     /// A measurement.
///     #[derive(Debug, Default, PartialEq)]
///     pub struct Sample {
///         /// When, in nanoseconds.
///         pub at_ns: u64,
///         /// What.
///         pub value: f64,
///     }
/// }
/// ```
///
/// A struct with padding does not compile:
///
/// ```compile_fail
/// spandrel_ring::plain! {
///     struct Padded { small: u8, large: u64 }
/// }
/// ```
///
/// Nor does one with fields of which not all bytes are values:
///
/// ```compile_fail
/// spandrel_ring::plain! {
///     struct Flag { is_set: bool }
/// }
/// ```
#[macro_export]
macro_rules! plain {
    ($($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty),* $(,)?
    })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy)]
            #[repr(C)]
            $vis struct $name {
                $($(#[$field_meta])* $field_vis $field: $type),*
            }
            // SAFETY: all fields are plain, and as large together as the struct: nothing lies between them.
            unsafe impl $crate::broadcast::Plain for $name {}
            const _: () = {
                $($crate::broadcast::is_plain::<$type>();)*
                let fields = 0 $(+ ::core::mem::size_of::<$type>())*;
                assert!(fields == ::core::mem::size_of::<$name>(), "the struct has padding");
            };
        )*
    };
}

/// Compiles for what is [`Plain`]; for [`plain!`](crate::plain).
#[doc(hidden)]
pub const fn is_plain<T: Plain>() {}
