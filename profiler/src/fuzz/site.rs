//! Callsites that the targets record with.

use tracing_core::callsite::{Callsite, Identifier};
use tracing_core::field::FieldSet;
use tracing_core::metadata::Kind;
use tracing_core::{Interest, Level, Metadata};

/// The fields of both; one name comes twice.
pub(crate) const NAMES: [&str; 5] = ["message", "error", "a", "b\"\u{e9}", "a"];

/// A callsite that is not registered anywhere.
#[derive(Debug)]
pub(crate) struct Site(Kind);

pub(crate) static SITE: Site = Site(Kind::EVENT);
pub(crate) static SPAN_SITE: Site = Site(Kind::SPAN);

static EVENT: Metadata<'static> = metadata(&SITE, Kind::EVENT);
static SPAN: Metadata<'static> = metadata(&SPAN_SITE, Kind::SPAN);

const fn metadata(site: &'static Site, kind: Kind) -> Metadata<'static> {
    let fields = FieldSet::new(&NAMES, Identifier(site));
    Metadata::new("made", "made", Level::INFO, Some("made.rs"), Some(1), None, fields, kind)
}

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        if self.0 == Kind::SPAN { &SPAN } else { &EVENT }
    }
}

impl Site {
    /// The same as `Callsite::metadata`, but `'static`.
    pub(crate) fn metadata(&'static self) -> &'static Metadata<'static> {
        if self.0 == Kind::SPAN { &SPAN } else { &EVENT }
    }
}
