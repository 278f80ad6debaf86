//! The profile of `said/never_entered.md`.

use std::path::Path;

use spandrel::Profiler;
use tracing::info_span;

use super::fixture::record;

pub fn write(folder: &Path) {
    record(&folder.join("recorded.db"), Profiler::builder(), |_| {
        let _held = info_span!("held");
        let job = info_span!("job");
        for number in 0..30 {
            info_span!(parent: &job, "step", number).in_scope(|| drop(info_span!("idle")));
        }
        drop(info_span!("alone").entered());
    });
}
