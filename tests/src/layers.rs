//! Layers that stand beside the profiler's.

use tracing::Subscriber;
use tracing_subscriber::Layer;

/// Wants everything, so that spans exist which are filtered out for others.
#[derive(Debug, Clone, Copy)]
pub struct SeesAll;

impl<S: Subscriber> Layer<S> for SeesAll {}
