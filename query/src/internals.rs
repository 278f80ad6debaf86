//! What the exports are built of, beside what everybody has. No part of what this crate promises: it changes
//! without notice.

pub use crate::fields::{each_field, field_text};
pub use crate::reader::{Contexts, Lineage, Names};
pub use crate::scanning::Predicate;
