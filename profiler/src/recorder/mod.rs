//! What every front end does with a span: the core between `tracing`'s callbacks and the ring.
//!
//! Nothing here takes a lock, allocates or calls the system after a thread's first span (and before
//! its locals are destroyed); every loop is bounded. A field's `Debug` runs before anything of the
//! ring is claimed.

mod amend;
mod close;
mod enter_exit;
mod entries;
mod event;
#[cfg(feature = "opentelemetry")]
mod given_ids;
mod kin;
mod memory;
mod new_span;
mod publish;
pub(crate) mod recording;

pub(crate) use self::kin::{FindAncestor, IsRecorded, NO_ANCESTOR, Source};
pub(crate) use self::recording::{DoesNotFit, Recorder, RecorderOptions};
