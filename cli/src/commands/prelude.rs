//! What nearly every command needs.

pub(super) use crate::arguments::{Context, Shared, group};
pub(super) use crate::exit::Exit;
pub(super) use crate::failure::Failure;
pub(super) use crate::output::{Cell, Column, Table, View, table_of, text};
pub(super) use crate::profile::Profile;
