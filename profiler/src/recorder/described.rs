//! What the source says of a callsite: from its metadata, or from the names in the ring file of a process that is gone.

use tracing_core::Metadata;

use crate::recorder::log_events;

/// A callsite, in words.
#[derive(Debug, Clone)]
pub(crate) struct Described<'a> {
    pub(crate) is_span: bool,
    pub(crate) name: &'a str,
    pub(crate) target: &'a str,
    pub(crate) level: &'static str,
    pub(crate) module: Option<&'a str>,
    pub(crate) file: Option<&'a str>,
    pub(crate) line: Option<u32>,
    pub(crate) fields: Vec<&'a str>,
}

impl<'a> Described<'a> {
    pub(crate) fn of(metadata: &'a Metadata<'_>) -> Self {
        Self {
            is_span: metadata.is_span(),
            name: metadata.name(),
            target: metadata.target(),
            level: metadata.level().as_str(),
            module: metadata.module_path(),
            file: metadata.file(),
            line: metadata.line(),
            fields: metadata.fields().iter().map(|field| field.name()).collect(),
        }
    }

    /// The index of the field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| *field == name)
    }

    /// Whether it is that of `tracing-log` for a level.
    pub(crate) fn is_of_log(&self) -> bool {
        !self.is_span
            && self.target == log_events::LOG_TARGET
            && self.name == log_events::LOG_NAME
            && self.field(log_events::TARGET).is_some()
    }
}
