//! What a scope is in, where that is not recorded: the registry knows.

use tracing_core::dispatcher;
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::front::ancestry::nearest;
use crate::recorder::IsRecorded;

/// The key of the nearest recorded one among the span of `tracing`'s that the thread is in, and its ancestors. `None` also
/// where the registry is somebody else's.
pub(super) fn nearest_recorded(is_recorded: IsRecorded<'_>) -> Option<u64> {
    dispatcher::get_default(|dispatch| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        let current = tracing_core::Subscriber::current_span(registry);
        nearest(registry.span(current.id()?)?.scope(), is_recorded)
    })
}
