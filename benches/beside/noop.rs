//! The same above a layer that does nothing: what `tracing-subscriber` takes for any layer.
//! For scripts/instructions.sh: `beside_noop SPANS`.

use std::process::ExitCode;

use spandrel_benches::{ExtensionsLayer, NoopLayer, record_under};
use tracing_subscriber::layer::SubscriberExt;

fn main() -> ExitCode {
    record_under(tracing_subscriber::registry().with(NoopLayer).with(ExtensionsLayer))
}
