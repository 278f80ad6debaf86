//! Keeps secrets out of the file.
//!
//! The writer looks at the names of fields, once for each field of a callsite. In every text it looks
//! for URLs, which may have a password, or secrets in the query. It does not look into free texts
//! otherwise: the message of an event, the label of a mark, or a structure that is shown with `Debug`.

mod arguments;
mod json;
mod names;
mod pairs;
mod urls;

pub(crate) use self::arguments::redacted as redacted_arguments;
pub(crate) use self::json::redacted as redacted_object;
pub(crate) use self::names::{REDACTED, Redaction, Secrecy};
pub(crate) use self::urls::{Address, Urls};
