//! Secrets do not reach the file.
//!
//! The writer looks at names, once for each field of a callsite. In every text it looks for URLs, which may
//! have a password or a query with secrets. What else it does not see through are free texts: the
//! message of an event, the label of a mark, and a structure that is shown with `Debug`.

mod arguments;
mod json;
mod names;
mod pairs;
mod urls;

pub(crate) use self::arguments::redacted as redacted_arguments;
pub(crate) use self::json::redacted as redacted_object;
pub(crate) use self::names::{REDACTED, Redaction, Secrecy};
pub(crate) use self::urls::{Address, Urls};
