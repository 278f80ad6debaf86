//! Writes the threads of a profile, each with its columns, from the spool.

use super::super::error::ExportError;
use super::super::out::Out;
use super::super::source::Source;
use super::super::text::{self, integer, key, member, unsigned};
use super::call_tree::Samples;
use super::{BESIDE, COLUMNS, Firefox, NO_THREAD, PATHS};
use spandrel_query::OrderRows as _;

impl Firefox<'_> {
    pub(super) fn write_threads(
        &mut self,
        source: &Source<'_>,
        samples: &Samples,
        out: &mut Out<'_>,
    ) -> Result<(), ExportError> {
        let mut threads: Vec<_> = self.threads.iter().collect();
        threads.order_by_key(|(_, row)| row.number);
        for (thread, row) in threads {
            let to = &mut out.buffer;
            to.extend_from_slice(if row.number == 0 { b"\n{" } else { b",\n{" });
            to.extend_from_slice(b"\"processType\":\"unknown\",\"processStartupTime\":0");
            to.extend_from_slice(b",\"processShutdownTime\":null,\"registerTime\":");
            let from_ns = if row.from_ns == i64::MAX { 0 } else { row.from_ns.max(0) };
            text::scaled(to, from_ns, 6);
            to.extend_from_slice(b",\"unregisterTime\":null,\"pausedRanges\":[]");
            to.extend_from_slice(b",\"showMarkersInTimeline\":true,\"isMainThread\":");
            to.extend_from_slice(if row.number == 0 { b"true" } else { b"false" });
            member(to, "name", &row.name);
            member(to, "processName", &source.run.info.program);
            to.extend_from_slice(b",\"pid\":\"");
            unsigned(to, source.run.info.pid.into());
            to.extend_from_slice(b"\",\"tid\":\"");
            match *thread {
                NO_THREAD => to.extend_from_slice(b"marks"),
                PATHS => to.extend_from_slice(b"paths"),
                BESIDE => to.extend_from_slice(b"async"),
                thread => integer(to, thread),
            }
            to.extend_from_slice(b"\",\"samples\":");
            if *thread == PATHS {
                samples.write(to)
            } else {
                Samples::default().write(to)
            }
            to.extend_from_slice(b",\"markers\":{\"length\":");
            unsigned(to, row.markers);
            for (at, column) in COLUMNS.iter().enumerate() {
                key(&mut out.buffer, column);
                out.buffer.push(b'[');
                let stream = row.number * COLUMNS.len() as u32 + at as u32;
                self.spool.write(stream, out)?;
                out.buffer.push(b']');
            }
            out.buffer.extend_from_slice(b"}}");
        }
        Ok(())
    }
}
