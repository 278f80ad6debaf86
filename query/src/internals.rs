//! What the exports need beside the public API. No part of the API: it changes without notice.

pub use crate::fields::{each_field, field_text};
pub use crate::reader::{Contexts, Lineage, Names};
pub use crate::scanning::Predicate;
