//! The threads of a profile, each with its columns, as they have been put by.

use super::super::error::ExportError;
use super::super::out::Out;
use super::super::source::Source;
use super::super::text::{self, integer, json, key, unsigned};
use super::{COLUMNS, Firefox, NO_THREAD};

/// There are no samples, hence no stacks.
pub(super) const EMPTY_TABLES: &[u8] = br#""stackTable":{"frame":[],"prefix":[],"length":0},"frameTable":{"address":[],"inlineDepth":[],"category":[],"subcategory":[],"func":[],"nativeSymbol":[],"innerWindowID":[],"line":[],"column":[],"length":0},"funcTable":{"name":[],"isJS":[],"relevantForJS":[],"resource":[],"source":[],"lineNumber":[],"columnNumber":[],"length":0},"resourceTable":{"lib":[],"name":[],"host":[],"type":[],"length":0},"nativeSymbols":{"libIndex":[],"address":[],"name":[],"functionSize":[],"length":0},"sources":{"uuid":[],"filename":[],"length":0}"#;

impl Firefox {
    pub(super) fn write_threads(
        &mut self,
        source: &Source<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), ExportError> {
        let mut threads: Vec<_> = self.threads.iter().collect();
        threads.sort_by_key(|(_, row)| row.number);
        for (thread, row) in threads {
            let to = &mut out.buffer;
            to.extend_from_slice(if row.number == 0 { b"\n{" } else { b",\n{" });
            to.extend_from_slice(b"\"processType\":\"default\",\"processStartupTime\":0");
            to.extend_from_slice(b",\"processShutdownTime\":null,\"registerTime\":");
            text::scaled(to, row.from_ns.max(0), 6);
            to.extend_from_slice(b",\"unregisterTime\":null,\"pausedRanges\":[]");
            to.extend_from_slice(b",\"showMarkersInTimeline\":true,\"isMainThread\":");
            to.extend_from_slice(if row.number == 0 { b"true" } else { b"false" });
            key(to, "name");
            json(to, &row.name);
            key(to, "processName");
            json(to, &source.run.info.program);
            to.extend_from_slice(b",\"pid\":\"");
            unsigned(to, source.run.info.pid.into());
            to.extend_from_slice(b"\",\"tid\":\"");
            integer(to, if *thread == NO_THREAD { 0 } else { *thread });
            to.extend_from_slice(b"\",\"samples\":{\"stack\":[],\"time\":[],\"weight\":null,");
            to.extend_from_slice(
                b"\"weightType\":\"samples\",\"length\":0},\"markers\":{\"length\":",
            );
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
