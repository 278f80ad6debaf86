//! Where a span or an event comes from, as members of a JSON object that viewers show as a list.

use super::text::{self, key, member, unsigned};
use spandrel_query::Callsite;

/// Writes `,"target":…,"level":…`, and, as `source`, `"file:line"`.
pub(super) fn members(out: &mut Vec<u8>, callsite: &Callsite, source: &str) {
    member(out, "target", &*callsite.target);
    member(out, "level", &*callsite.level);
    if let Some(file) = &callsite.file {
        key(out, source);
        out.push(b'"');
        text::json_inner(out, file);
        if let Some(line) = callsite.line {
            out.push(b':');
            unsigned(out, line.into());
        }
        out.push(b'"');
    }
}
