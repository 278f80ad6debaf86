//! The parts of a request, which are the same in both encodings: JSON and protocol buffers.

use super::super::fields::Value;

/// An encoding.
pub(super) trait WireFormat {
    /// Between the elements of a list.
    const SEPARATOR: &'static [u8];

    /// An element of the list of attributes that is member `list` of its message.
    fn attribute(out: &mut Vec<u8>, list: u32, name: &str, value: &Value<'_>);

    /// An event, kept until its span is written.
    fn event(out: &mut Vec<u8>, event: &EventParts<'_>);

    /// A link, kept until its span is written.
    fn link(out: &mut Vec<u8>, link: &Ids);

    /// An element of the list of spans.
    fn span(out: &mut Vec<u8>, span: &SpanParts<'_>);

    /// A whole request, of the attributes of its resource and the list of its spans.
    fn request(out: &mut Vec<u8>, resource: &[u8], spans: &[u8]);
}

/// Field numbers of lists of attributes.
pub(super) mod list {
    pub(in super::super) const OF_RESOURCE: u32 = 1;
    pub(in super::super) const OF_EVENT: u32 = 3;
    pub(in super::super) const OF_SPAN: u32 = 9;
}

/// The ids of a span in OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) trace: [u64; 2],
    pub(super) span: u64,
}

/// An event.
pub(super) struct EventParts<'a> {
    pub(super) at_unix_ns: u64,
    pub(super) name: &'a str,
    /// Encoded attributes.
    pub(super) attributes: &'a [u8],
    pub(super) dropped_attributes: u32,
}

/// A span. Lists are encoded already.
pub(super) struct SpanParts<'a> {
    pub(super) ids: Ids,
    pub(super) parent: Option<u64>,
    pub(super) name: &'a str,
    pub(super) kind: u8,
    pub(super) start_unix_ns: u64,
    pub(super) end_unix_ns: u64,
    pub(super) attributes: &'a [u8],
    pub(super) dropped_attributes: u32,
    pub(super) events: &'a [Vec<u8>],
    pub(super) dropped_events: u32,
    pub(super) links: &'a [Vec<u8>],
    pub(super) dropped_links: u32,
    pub(super) status: Status<'a>,
}

/// How a span ended: 0 not said, 1 ok, 2 error; and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Status<'a> {
    pub(super) code: u8,
    pub(super) message: &'a str,
}
