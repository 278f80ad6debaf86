//! `tracing-opentelemetry` into the SDK's batch processor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter,
};
use tracing::subscriber;
use tracing_subscriber::layer::SubscriberExt;

use crate::case::Case;
use crate::recorder::{Arrived, Entry, Recorder, Result, Setup};

pub const ENTRY: Entry = Entry {
    name: "tracing-opentelemetry",
    packages: &["tracing-opentelemetry", "opentelemetry_sdk"],
    setting: "batch processor, an exporter that only counts; no location, thread, target, level, busy \
        time, context activation or error fields; `force_flush`, `shutdown`. Enlarged: \
        `max_queue_size`",
    keeps: "every span as `SpanData` with fields and parent, for an exporter, which is not part of the \
        figure; no busy time in this setting; losses are said in a log line at most",
    cases: &Case::ALL,
    has_queue_size: true,
    install,
};

fn install(setup: &Setup<'_>) -> Result<Box<dyn Recorder>> {
    let exported = Arc::new(AtomicU64::new(0));
    let mut config = BatchConfigBuilder::default();
    if let Some(spans) = setup.queue {
        config = config.with_max_queue_size(spans);
    }
    let processor = BatchSpanProcessor::builder(Counting(Arc::clone(&exported)))
        .with_batch_config(config.build())
        .build();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("rivals"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_error_fields_to_exceptions(false)
        .with_error_records_to_exceptions(false)
        .with_error_events_to_exceptions(false)
        .with_error_events_to_status(false);
    subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;
    Ok(Box::new(OpenTelemetry { provider, exported }))
}

struct OpenTelemetry {
    provider: SdkTracerProvider,
    exported: Arc<AtomicU64>,
}

/// Counts what it is given, and throws it away.
#[derive(Debug)]
struct Counting(Arc<AtomicU64>);

impl SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        // Relaxed: read only after the provider has answered a flush.
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Recorder for OpenTelemetry {
    fn rest(&mut self, _: u64) -> Result<()> {
        Ok(self.provider.force_flush()?)
    }

    fn close(&mut self) -> Result<()> {
        Ok(self.provider.shutdown_with_timeout(Duration::from_secs(60))?)
    }

    fn arrived(&mut self) -> Result<Option<Arrived>> {
        Ok(Some(Arrived::uncounted(self.exported.load(Ordering::Relaxed))))
    }
}
