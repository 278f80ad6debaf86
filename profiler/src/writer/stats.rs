//! The state of a recording: the ledger, and what the writer says of itself.

use spandrel_storage::SqliteVersion;

use super::state::WriterState;
use crate::recorder::Recorder;
use crate::recorder::stats::Stats;
use crate::recorder::stats_now;

/// The state of a recording now.
pub(crate) fn collect(recorder: &Recorder, writer: &WriterState) -> Stats {
    let (stats, closed) = stats_now::of(recorder, None);
    Stats {
        ring_high_water: writer.high_water(),
        marks: writer.marks.stored(),
        // Marks that were sent during the close are still in the channel.
        marks_dropped: writer.marks.dropped()
            + if closed { writer.marks.waiting() as u64 } else { 0 },
        file_bytes: writer.file_bytes(),
        last_error: writer.last_error(),
        last_refusal: writer.last_refusal(),
        control_error: writer.control_error(),
        is_crash_proof: stats.is_crash_proof
            && writer.crash_proof_error().is_none()
            && !recorder.is_cut(),
        crash_proof_error: writer.crash_proof_error(),
        sqlite: SqliteVersion::linked(),
        writer_cpu: writer.cpu(),
        memory: writer.memory.get(),
        ..stats
    }
}
