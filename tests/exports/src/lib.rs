//! Profiles with known rows, and the programs that read exports of them.

pub mod nasty;
pub mod node;
pub mod perfetto;
pub mod profile;

pub use self::nasty::nasty;
pub use self::profile::{Given, Made, SpanSpec, forests};
