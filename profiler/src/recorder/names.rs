//! What the numbers in records mean, for whoever reads them when this process is gone.
//!
//! A callsite or a thread gets its number in cold code, once. Where the ring lies in a file, its name is appended there
//! before anybody has the number: so a record that is published has all its names. Without a file nothing is done.

#[cfg(feature = "crash-proof")]
use std::sync::Arc;

#[cfg(feature = "crash-proof")]
use spandrel_ring::file::RingFile;
use tracing_core::Metadata;

use crate::recorder::entry_rules::RuleOf;
#[cfg(feature = "crash-proof")]
use crate::recorder::fields::FIELDS_MAX;
#[cfg(feature = "crash-proof")]
use crate::recorder::ring_file::layout::names;

/// Where names are appended, if anywhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    #[cfg(feature = "crash-proof")]
    file: Option<Arc<RingFile>>,
}

impl Names {
    /// In this file.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn in_file(file: &Arc<RingFile>) -> Self {
        Self { file: Some(Arc::clone(file)) }
    }

    /// A callsite is about to get this number. `false` if there is no room for its name: then nobody may use the number.
    #[cold]
    pub(crate) fn add_callsite(
        &self,
        number: u32,
        metadata: &Metadata<'_>,
        entries: RuleOf,
    ) -> bool {
        #[cfg(feature = "crash-proof")]
        if let Some(file) = &self.file {
            let numbers = [
                u64::from(number),
                level_number(metadata),
                u64::from(!metadata.is_span()),
                metadata.line().map_or(0, |line| u64::from(line) + 1),
                entries.bits(),
                u64::from(metadata.file().is_some()),
                u64::from(metadata.module_path().is_some()),
            ];
            // On the stack: nothing is allocated after a thread's first span. Records know no more fields than that.
            let mut texts = [""; 4 + FIELDS_MAX];
            texts[..4].copy_from_slice(&[
                metadata.name(),
                metadata.target(),
                metadata.file().unwrap_or_default(),
                metadata.module_path().unwrap_or_default(),
            ]);
            let mut len = 4;
            for (to, field) in texts[4..].iter_mut().zip(metadata.fields().iter()) {
                *to = field.name();
                len += 1;
            }
            return file.names().append(names::CALLSITE, &numbers, &texts[..len]).is_ok();
        }
        _ = (number, metadata, entries);
        true
    }

    /// The same for a thread.
    #[cold]
    pub(crate) fn add_thread(&self, number: u32, os_id: u64, name: Option<&str>) -> bool {
        #[cfg(feature = "crash-proof")]
        if let Some(file) = &self.file {
            // The last quarter is for callsites: a thread without a number of its own is recorded, a span of a callsite
            // without a name is not.
            let (used, room) = file.names().used();
            if used > room / 4 * 3 {
                return false;
            }
            let numbers = [u64::from(number), os_id, u64::from(name.is_some())];
            let texts = [name.unwrap_or_default()];
            return file.names().append(names::THREAD, &numbers, &texts).is_ok();
        }
        _ = (number, os_id, name);
        true
    }
}

#[cfg(feature = "gauges")]
impl Names {
    /// The same for a gauge.
    #[cold]
    pub(crate) fn add_gauge(&self, number: u32, name: &str) -> bool {
        #[cfg(feature = "crash-proof")]
        if let Some(file) = &self.file {
            // The last quarter is for callsites, as with threads.
            let (used, room) = file.names().used();
            return used <= room / 4 * 3
                && file.names().append(names::GAUGE, &[number.into()], &[name]).is_ok();
        }
        _ = (number, name);
        true
    }
}

/// 1 is ERROR, 5 is TRACE.
#[cfg(feature = "crash-proof")]
fn level_number(metadata: &Metadata<'_>) -> u64 {
    use tracing_core::Level;
    match *metadata.level() {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}
