//! The profiles of `said/unmeasured.md`.

use std::path::Path;

use spandrel::Profiler;
use tracing::info_span;

use super::fixture::record;
use super::said::at;

/// `task`, entered three times each, with a `part` inside of each entry, beside the shop.
pub fn write(folder: &Path) {
    super::fixture::write(&at(folder, "shop"));
    record(&at(folder, "untimed"), Profiler::builder().busy_time(false), |_| {
        for _ in 0..300 {
            let task = info_span!("task");
            (0..3).for_each(|_| task.in_scope(|| drop(info_span!("part").entered())));
        }
    });
}
