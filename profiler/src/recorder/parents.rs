//! Which recorded span something belongs to, where there are spans that are not recorded.
//!
//! A layer is not shown all spans that a thread is in: a per-layer filter around it keeps some from it, its own
//! rule others, and some were dropped. What is opened or said inside belongs to the nearest ancestor that is
//! recorded; the registry knows the ancestors. It is asked where it must be:
//!
//! * in a layer that hears of all spans, if the innermost span is one that it has not recorded. Entering such a
//!   span leaves a mark in the thread's chain (see [`Detailed::unrecorded`]), so that the fast paths give up;
//! * in any other layer, always.

use std::sync::Arc;

use super::Recorder;
use crate::recorder::local::{self, Detailed, ThreadToken, Within};
use crate::recorder::open_spans::SpanSlot;

/// Whether a span with this key is recorded.
pub(crate) type IsRecorded<'a> = &'a dyn Fn(u64) -> bool;

/// Finds the key of the nearest recorded one among a parent, named or contextual, and its ancestors.
pub(crate) type FindAncestor<'a> = &'a dyn Fn(IsRecorded<'_>) -> Option<u64>;

/// Of a front end that makes up the keys itself: what it has not recorded has no key of its own, and so
/// no ancestors.
pub(crate) const NO_ANCESTOR: FindAncestor<'static> = &|_| None;

/// Whom a new span or an event comes from. One word, so that it is no more to hand on than a number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) layer: u16,
    /// Whether that hears of all spans which the thread enters.
    pub(crate) hears_all: bool,
}

impl Source {
    /// One that does.
    pub(crate) fn hearing_all(layer: u16) -> Self {
        Self { layer, hears_all: true }
    }
}

impl Recorder {
    /// The span that something belongs to which names none.
    #[inline]
    pub(super) fn contextual(
        &self,
        token: ThreadToken,
        source: Source,
        ancestor: FindAncestor<'_>,
    ) -> Option<&SpanSlot> {
        let Source { layer, hears_all } = source;
        if hears_all {
            // Mostly it is a span of the thread's own, or none.
            if token.is_outside() {
                return None;
            }
            if layer == 0
                && let Some(span) = self.open.get(local::innermost_own())
                && !span.is_closed()
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

    /// The span that something belongs to which names the one with this key.
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

    /// A thread enters a span of a layer that is not recorded.
    pub(super) fn enter_unrecorded(&self, token: ThreadToken, layer: u16, key: u64) {
        // A direct layer's have no keys; this one is of a span that has ended. Of others there is a mark for
        // each entry: if it is one too many, because the thread was inside, the registry knows better.
        if !self.open.is_direct(layer) {
            token.push_detailed(Detailed::unrecorded(layer, key));
        }
    }

    /// A thread leaves the innermost span of a layer, if that is this one and not recorded: says whether that was
    /// so. The general case is one of [`exit_slow`](Self::exit_slow).
    pub(crate) fn exit_unrecorded(self: &Arc<Self>, layer: u16, key: u64) -> bool {
        // Inside another callback it is ignored, as the entry was.
        local::get(self).is_ok_and(|token| token.pop_unrecorded(layer, key))
    }
}
