//! Profiles with known rows, and the programs that read exports of them.

pub mod blocks;
pub mod by_thread;
pub mod desk;
pub mod entangled;
pub mod firefox;
pub mod nasty;
pub mod node;
pub mod perfetto;
pub mod profile;
/// A receiver of OTLP, that of the tests of the command.
#[path = "../../../cli/tests/receiver/mod.rs"]
pub mod receiver;
pub mod shop;
pub mod shown;
pub mod speedscope;
pub mod trace_events;

pub use self::desk::Desk;
pub use self::nasty::nasty;
pub use self::profile::{Given, Made, SpanSpec, forests};
