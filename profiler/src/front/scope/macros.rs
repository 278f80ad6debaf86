//! The macro.

/// Opens a span of this thread that ends when the guard is dropped, for hot synchronous code: in the profile it is a
/// span like any other, child of the innermost span that the thread is in and parent of whatever begins inside. It takes
/// less than half of the instructions of a span of `tracing` with [our own subscriber](crate::Profiler::subscriber), and a sixth
/// of one with the [layer](crate::Profiler::layer); where nothing records, two loads and two comparisons.
///
/// ```
/// fn parse(lines: &[&str]) -> usize {
///     let _scope = spandrel::scope!("parse", lines = lines.len());
///     lines.iter().map(|line| line.len()).sum()
/// }
/// # assert_eq!(parse(&["a", "b"]), 2);
/// ```
///
/// It goes to the subscriber of its thread, and is kept by that one's levels, targets and filters, as any span.
///
/// # Syntax
///
/// The name is a literal. In front of it may stand `target: "..."` (by default the module) and `level: Level::DEBUG` (by
/// default INFO), behind it fields: `rows = n`, `n` for `n = n`, `path = %path` by `Display`, `error = ?error` by `Debug`.
/// Values are numbers, truth values, texts, errors (`&dyn Error`), references to those, and `Option`s, of which `None` is left
/// out. They are looked at only if the scope is wanted, before it begins.
///
/// ```
/// use tracing::Level;
///
/// # let (path, reason) = ("a", Some(1));
/// let _scope = spandrel::scope!(target: "my_app::db", level: Level::DEBUG, "fetch", %path, why = ?reason, batch.rows = 7);
/// ```
///
/// # What it is not
///
/// Only spandrel hears of it: other layers, the log among them, do not. (But where they have a say in whether it is recorded, or
/// the profiler's layer is not shown all spans, it is a span of `tracing` like any other: a filter around the
/// layer, a second profiler.) Fields cannot be recorded later, nobody can
/// follow from it, and it has no id for `tracing`. The guard stays on its thread; for what is awaited, use
/// [`Instrument`](https://docs.rs/tracing/latest/tracing/trait.Instrument.html).
#[macro_export]
macro_rules! scope {
    (target: $target:expr, level: $level:expr, $name:literal $(, $($fields:tt)*)?) => {
        $crate::__scope!($target, $level, $name, [] [] [] $($($fields)*)?)
    };
    (level: $level:expr, $name:literal $(, $($fields:tt)*)?) => {
        $crate::__scope!(::std::module_path!(), $level, $name, [] [] [] $($($fields)*)?)
    };
    (target: $target:expr, $name:literal $(, $($fields:tt)*)?) => {
        $crate::__scope!($target, $crate::__scope::Level::INFO, $name, [] [] [] $($($fields)*)?)
    };
    ($name:literal $(, $($fields:tt)*)?) => {
        $crate::__scope!(
            ::std::module_path!(), $crate::__scope::Level::INFO, $name, [] [] [] $($($fields)*)?
        )
    };
}

/// Names and values, one after the other; behind them whether any value is more than a variable or a literal.
#[doc(hidden)]
#[macro_export]
macro_rules! __scope {
    // All are there.
    ($target:expr, $level:expr, $name:literal, [] [] []) => {{
        $crate::__scope_site!($target, $level, $name,);
        SITE.enter(|dispatch| $crate::__scope::is_found(dispatch))
    }};
    ($target:expr, $level:expr, $name:literal, [$($field:expr,)+] [$($value:expr,)+] [$($code:ident)?]) => {{
        $crate::__scope_site!($target, $level, $name, $($field,)+);
        match SITE.begin(|dispatch| $crate::__scope::is_found(dispatch)) {
            // What a value is made of lives until the scope is opened, and is made before anything is begun.
            ::std::option::Option::Some(wanted) => match $crate::__scope_values!($($value,)+) {
                values => SITE.enter_with($crate::__scope_wanted!(wanted, $($code)?), values),
            },
            ::std::option::Option::None => $crate::__scope::none(),
        }
    }};
    // A variable, or a literal: nothing of the user's runs for it before the scope is opened.
    ($t:expr, $l:expr, $n:literal, [$($f:tt)*] [$($v:tt)*] [$($c:tt)*] $($name:ident).+ = ?$value:ident $(, $($rest:tt)*)?) => {
        $crate::__scope!(
            $t, $l, $n, [$($f)* ::std::stringify!($($name).+),]
            [$($v)* $crate::__scope::debug_of(&$value),] [$($c)*] $($($rest)*)?
        )
    };
    ($t:expr, $l:expr, $n:literal, [$($f:tt)*] [$($v:tt)*] [$($c:tt)*] $($name:ident).+ = %$value:ident $(, $($rest:tt)*)?) => {
        $crate::__scope!(
            $t, $l, $n, [$($f)* ::std::stringify!($($name).+),]
            [$($v)* $crate::__scope::display_of(&$value),] [$($c)*] $($($rest)*)?
        )
    };
    ($t:expr, $l:expr, $n:literal, [$($f:tt)*] [$($v:tt)*] [$($c:tt)*] $($name:ident).+ = $value:ident $(, $($rest:tt)*)?) => {
        $crate::__scope!(
            $t, $l, $n, [$($f)* ::std::stringify!($($name).+),] [$($v)* $value,] [$($c)*] $($($rest)*)?
        )
    };
    ($t:expr, $l:expr, $n:literal, [$($f:tt)*] [$($v:tt)*] [$($c:tt)*] $($name:ident).+ = $value:literal $(, $($rest:tt)*)?) => {
        $crate::__scope!(
            $t, $l, $n, [$($f)* ::std::stringify!($($name).+),] [$($v)* $value,] [$($c)*] $($($rest)*)?
        )
    };
    // Anything else.
    ($t:expr, $l:expr, $n:literal, [$($f:tt)*] [$($v:tt)*] [$($c:tt)*] $($name:ident).+ = ?$value:expr $(, $($rest:tt)*)?) => {
        $crate::__scope!(
            $t, $l, $n, [$($f)* ::std::stringify!($($name).+),]
            [$($v)* $crate::__scope::debug_of(&$value),] [code] $($($rest)*)?
        )
    };
    ($t:expr, $l:expr, $n:literal, [$($f:tt)*] [$($v:tt)*] [$($c:tt)*] $($name:ident).+ = %$value:expr $(, $($rest:tt)*)?) => {
        $crate::__scope!(
            $t, $l, $n, [$($f)* ::std::stringify!($($name).+),]
            [$($v)* $crate::__scope::display_of(&$value),] [code] $($($rest)*)?
        )
    };
    ($t:expr, $l:expr, $n:literal, [$($f:tt)*] [$($v:tt)*] [$($c:tt)*] $($name:ident).+ = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__scope!(
            $t, $l, $n, [$($f)* ::std::stringify!($($name).+),] [$($v)* $value,] [code] $($($rest)*)?
        )
    };
    ($t:expr, $l:expr, $n:literal, [$($f:tt)*] [$($v:tt)*] [$($c:tt)*] ?$name:ident $(, $($rest:tt)*)?) => {
        $crate::__scope!($t, $l, $n, [$($f)*] [$($v)*] [$($c)*] $name = ?$name $(, $($rest)*)?)
    };
    ($t:expr, $l:expr, $n:literal, [$($f:tt)*] [$($v:tt)*] [$($c:tt)*] %$name:ident $(, $($rest:tt)*)?) => {
        $crate::__scope!($t, $l, $n, [$($f)*] [$($v)*] [$($c)*] $name = %$name $(, $($rest)*)?)
    };
    ($t:expr, $l:expr, $n:literal, [$($f:tt)*] [$($v:tt)*] [$($c:tt)*] $name:ident $(, $($rest:tt)*)?) => {
        $crate::__scope!($t, $l, $n, [$($f)*] [$($v)*] [$($c)*] $name = $name $(, $($rest)*)?)
    };
}

/// Whether it is wanted when its values are there.
#[doc(hidden)]
#[macro_export]
macro_rules! __scope_wanted {
    ($wanted:ident,) => {
        $wanted
    };
    // They are made by code of the user's, which may have given the thread another subscriber.
    ($wanted:ident, code) => {
        $wanted.here(|dispatch| $crate::__scope::is_found(dispatch))
    };
}

/// Each in a pair with the rest.
#[doc(hidden)]
#[macro_export]
macro_rules! __scope_values {
    () => { () };
    ($value:expr, $($rest:expr,)*) => { (&$value, $crate::__scope_values!($($rest,)*)) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __scope_site {
    ($target:expr, $level:expr, $name:literal, $($field:expr,)*) => {
        static META: $crate::__scope::Metadata<'static> = $crate::__scope::Metadata::new(
            $name,
            $target,
            $level,
            ::std::option::Option::Some(::std::file!()),
            ::std::option::Option::Some(::std::line!()),
            ::std::option::Option::Some(::std::module_path!()),
            $crate::__scope::FieldSet::new(
                &[$($field),*],
                $crate::__scope::Identifier(&SITE.callsite),
            ),
            $crate::__scope::Kind::SPAN,
        );
        static SITE: $crate::__scope::Site = $crate::__scope::Site::new(&META);
    };
}
