//! The same above the layer of a profiler that is switched off.
//! For scripts/instructions.sh: `beside_absent SPANS`.

use std::process::ExitCode;

use spandrel::Profiler;
use spandrel_benches::{ExtensionsLayer, record_under};
use tracing_subscriber::layer::SubscriberExt;

fn main() -> ExitCode {
    record_under(
        tracing_subscriber::registry().with(Profiler::disabled().layer()).with(ExtensionsLayer),
    )
}
