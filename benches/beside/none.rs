//! The same above `None` of an `Option` of spandrel's layer: `tracing-subscriber`'s own layer that is not there.
//! For scripts/instructions.sh: `beside_none SPANS`.

use std::process::ExitCode;

use spandrel::ProfilerLayer;
use spandrel_benches::{ExtensionsLayer, record_under};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

fn main() -> ExitCode {
    record_under(
        tracing_subscriber::registry().with(None::<ProfilerLayer<Registry>>).with(ExtensionsLayer),
    )
}
