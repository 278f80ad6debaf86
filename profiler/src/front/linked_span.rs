//! A span for spawned work: linked to the span that has spawned it, and not its child.

/// A span for work that outlives the span that starts it: a task, a thread, a closure for a pool. It is a root that follows
/// from the current span.
///
/// A child keeps its parent open: `Registry` closes a span only when its last child has closed. So a request that
/// spawns an audit and gives the task a child of its own span (`.in_current_span()`, or `info_span!` made
/// before the spawn) seems to last as long as the audit. A linked span lets it close when it is done, and the
/// profile still says where the work came from: `spandrel tree` names what a span follows from, and exports draw
/// arrows or have links.
///
/// It takes the same arguments as `tracing::span!`, except a parent; without a level it is of level INFO. The
/// crate `tracing` has to be a dependency under this name. The current span is the one where the macro is
/// called, so call it before the spawn and not inside the task.
///
/// # Examples
///
/// ```
/// use spandrel::linked_span;
/// use tracing::{Instrument, Level, info_span};
///
/// # fn spawn(future: impl Future<Output = ()> + Send + 'static) { drop(future) }
/// # async fn audit(order: u64) {}
/// let _request = info_span!("request").entered();
/// let order = 17;
///
/// // A task; `spawn` is your runtime's.
/// spawn(audit(order).instrument(linked_span!("audit", order)));
///
/// // A thread, or a closure for rayon or `spawn_blocking`.
/// let span = linked_span!(Level::DEBUG, "resize", order);
/// std::thread::spawn(move || span.in_scope(|| { /* work */ }));
/// ```
#[macro_export]
macro_rules! linked_span {
    (target: $target:expr, $level:expr, $name:expr $(, $($fields:tt)*)?) => {
        $crate::__linked_span!(
            ::tracing::span!(target: $target, parent: ::core::option::Option::None::<::tracing::Id>, $level, $name $(, $($fields)*)?)
        )
    };
    (target: $target:expr, $name:literal $(, $($fields:tt)*)?) => {
        $crate::linked_span!(target: $target, ::tracing::Level::INFO, $name $(, $($fields)*)?)
    };
    ($name:literal $(, $($fields:tt)*)?) => {
        $crate::linked_span!(::tracing::Level::INFO, $name $(, $($fields)*)?)
    };
    ($level:expr, $name:expr $(, $($fields:tt)*)?) => {
        $crate::__linked_span!(
            ::tracing::span!(parent: ::core::option::Option::None::<::tracing::Id>, $level, $name $(, $($fields)*)?)
        )
    };
}

/// Links a span that was just made.
#[doc(hidden)]
#[macro_export]
macro_rules! __linked_span {
    ($span:expr) => {{
        let span = $span;
        span.follows_from(::tracing::Span::current().id());
        span
    }};
}
