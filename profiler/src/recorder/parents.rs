//! Which recorded span something belongs to, if there are spans that are not recorded.
//!
//! A layer does not see all spans that a thread is in: a per-layer filter around it hides some, its own
//! rule excludes others, and some were dropped. What is created or happens inside them belongs to the
//! nearest recorded ancestor; the registry knows the ancestors. It is asked only if necessary:
//!
//! * in a layer that hears of all spans, if it has not recorded the innermost span. Entering such a span
//!   leaves a mark in the thread's chain (see [`Detailed::unrecorded`]), so that the fast paths give up;
//! * in any other layer, always.

use std::sync::Arc;

use super::Recorder;
use crate::recorder::local::{self, Detailed, ThreadToken, Within};
use crate::recorder::open_spans::SpanSlot;

/// Whether a span with this key is recorded.
pub(crate) type IsRecorded<'a> = &'a dyn Fn(u64) -> bool;

/// Finds the nearest recorded span among the parent (named or contextual) and its ancestors. Returns its
/// key.
pub(crate) type FindAncestor<'a> = &'a dyn Fn(IsRecorded<'_>) -> Option<u64>;

/// For front ends that make up the keys: a span that they have not recorded has no key of its own, and
/// so no ancestors.
pub(crate) const NO_ANCESTOR: FindAncestor<'static> = &|_| None;

/// The layer that a new span or an event comes from. It is one word, so passing it on costs no more than
/// a number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) layer: u16,
    /// Whether the layer hears of all spans that the thread enters.
    pub(crate) hears_all: bool,
}

impl Source {
    /// A layer that hears of all spans.
    pub(crate) fn hearing_all(layer: u16) -> Self {
        Self { layer, hears_all: true }
    }
}

impl Recorder {
    /// The parent of something that names no parent.
    #[inline]
    pub(super) fn contextual(
        &self,
        token: ThreadToken,
        source: Source,
        ancestor: FindAncestor<'_>,
    ) -> Option<&SpanSlot> {
        let Source { layer, hears_all } = source;
        if hears_all {
            // Mostly the thread is in a span of its own, or in none.
            if token.is_outside() {
                return None;
            }
            if layer == 0
                && let Some(span) = self.open.get(local::innermost_own())
                && span.is_open()
            {
                return Some(span);
            }
        }
        self.contextual_slow(token, source, ancestor)
    }

    #[inline(never)]
    fn contextual_slow(
        &self,
        token: ThreadToken,
        source: Source,
        ancestor: FindAncestor<'_>,
    ) -> Option<&SpanSlot> {
        if source.hears_all {
            match token.within(&self.open, source.layer) {
                Within::Nothing => return None,
                Within::Span(span) => return Some(span),
                Within::Unrecorded => {
                    // The registry does not know of scopes.
                    let found = self.nearest(token, source.layer, ancestor);
                    let around = found.map_or(0, SpanSlot::id);
                    let scope = (source.layer == 0).then(|| token.scope_in(&self.open, around));
                    return scope.flatten().or(found);
                }
            }
        }
        self.nearest(token, source.layer, ancestor)
    }

    /// The parent of something that names the span with this key.
    pub(super) fn named(
        &self,
        token: ThreadToken,
        layer: u16,
        key: u64,
        ancestor: FindAncestor<'_>,
    ) -> Option<&SpanSlot> {
        let found = token.find(&self.open, layer, key).map(|(_, span)| span);
        found.or_else(|| self.nearest(token, layer, ancestor))
    }

    fn nearest(
        &self,
        token: ThreadToken,
        layer: u16,
        ancestor: FindAncestor<'_>,
    ) -> Option<&SpanSlot> {
        let key = ancestor(&|key| self.open.find(layer, key).is_some())?;
        token.find(&self.open, layer, key).map(|(_, span)| span)
    }

    /// A thread enters a span that this layer has not recorded.
    pub(super) fn enter_unrecorded(&self, token: ThreadToken, layer: u16, key: u64) {
        // A direct layer has keys only for recorded spans: this one has ended. In other layers each such
        // entry leaves a mark. If the mark was not necessary, as the thread was inside already, the
        // registry gives the right answer anyway.
        if !self.open.is_direct(layer) {
            token.push_detailed(Detailed::unrecorded(layer, key));
        }
    }

    /// A thread leaves a span of this layer. If it is the innermost one and not recorded, its mark is
    /// removed, and this returns `true`. All other cases are for [`exit_slow`](Self::exit_slow).
    pub(crate) fn exit_unrecorded(self: &Arc<Self>, layer: u16, key: u64) -> bool {
        // Inside another callback the entry was ignored, and so is this.
        local::get(self).is_ok_and(|token| token.pop_unrecorded(layer, key))
    }
}
