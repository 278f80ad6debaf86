//! All but spans: events, marks, losses, and the state of the writer.

use super::super::error::ExportError;
use super::super::proto::{message, signed, string, unsigned};
use super::super::source::{Counters, Source};
use super::annotations::{of_event, of_fields};
use super::interned::Interned;
use super::{Kind, Perfetto, Sequence, track_event};

fn annotation(
    key: &str,
    interned: &mut Interned,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) {
    message(out, 4, |out| {
        interned.key(key, out);
        write(out);
    });
}

pub(super) fn events(
    source: &mut Source<'_>,
    perfetto: &mut Perfetto<'_, '_, '_>,
) -> Result<u64, ExportError> {
    let Perfetto { out, tracks, interned, .. } = perfetto;
    source.events(|event| {
        let track = tracks.events(&event.thread, &mut out.buffer);
        let when = (Sequence::Others, event.at_ns);
        track_event(&mut out.buffer, interned, when, (Kind::Instant, track), |out, interned| {
            interned.callsite(&event.callsite, &event.name(), out);
            of_event(event, interned, out);
        });
        Ok(out.flush_if_large()?)
    })
}

/// A slice on a track of its own, as they may overlap; tracks of one name are drawn as one.
fn region(
    perfetto: &mut Perfetto<'_, '_, '_>,
    (track_name, name): (&str, &str),
    (from_ns, to_ns): (i64, Option<i64>),
    write: impl FnOnce(&mut Vec<u8>, &mut Interned),
) -> Result<(), ExportError> {
    let Perfetto { out, tracks, interned, .. } = perfetto;
    let track = tracks.below_process(track_name, false, &mut out.buffer);
    let to_ns = to_ns.filter(|to| *to > from_ns);
    let kind = if to_ns.is_some() { Kind::Begin } else { Kind::Instant };
    let when = (Sequence::Others, from_ns);
    track_event(&mut out.buffer, interned, when, (kind, track), |out, interned| {
        string(out, 22, track_name); // categories
        string(out, 23, name);
        write(out, interned);
    });
    if let Some(to_ns) = to_ns {
        let when = (Sequence::Others, to_ns);
        track_event(&mut out.buffer, interned, when, (Kind::End, track), |_, _| ());
    }
    Ok(out.flush_if_large()?)
}

pub(super) fn marks(
    source: &Source<'_>,
    perfetto: &mut Perfetto<'_, '_, '_>,
) -> Result<u64, ExportError> {
    let marks = source.marks()?;
    for mark in &marks {
        let times = (mark.at_ns, mark.until_ns);
        region(perfetto, ("marks", &mark.label), times, |out, interned| {
            if let Some(fields) = &mark.fields {
                of_fields(fields, interned, out);
            }
        })?;
    }
    Ok(marks.len() as u64)
}

pub(super) fn losses(
    source: &Source<'_>,
    perfetto: &mut Perfetto<'_, '_, '_>,
) -> Result<(), ExportError> {
    for loss in source.losses()? {
        let name = format!("lost: {}", loss.reason);
        let times = (loss.from_ns, Some(loss.to_ns));
        region(perfetto, ("losses", &name), times, |out, interned| {
            annotation("spans", interned, out, |out| unsigned(out, 3, loss.spans));
            annotation("events", interned, out, |out| unsigned(out, 3, loss.events));
            annotation("entries", interned, out, |out| unsigned(out, 3, loss.entries));
        })?;
    }
    Ok(())
}

pub(super) fn counters(
    source: &Source<'_>,
    perfetto: &mut Perfetto<'_, '_, '_>,
) -> Result<(), ExportError> {
    let counters = source.counters()?;
    if counters.is_empty() {
        return Ok(());
    }
    let Perfetto { out, tracks, interned, .. } = perfetto;
    let tracks = Counters::NAMES.map(|name| tracks.below_process(name, true, &mut out.buffer));
    for sample in counters {
        for (track, (_, value)) in tracks.into_iter().zip(sample.values()) {
            let when = (Sequence::Others, sample.at_ns);
            track_event(&mut out.buffer, interned, when, (Kind::Counter, track), |out, _| {
                signed(out, 30, i64::try_from(value).unwrap_or(i64::MAX));
            });
        }
        out.flush_if_large()?;
    }
    Ok(())
}
