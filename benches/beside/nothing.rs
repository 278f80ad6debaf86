//! Spans under a layer that keeps its state in `Extensions`, which is alone.
//! For scripts/instructions.sh: `beside_nothing SPANS`.

use std::process::ExitCode;

use spandrel_benches::{ExtensionsLayer, record_under};
use tracing_subscriber::layer::SubscriberExt;

fn main() -> ExitCode {
    record_under(tracing_subscriber::registry().with(ExtensionsLayer))
}
