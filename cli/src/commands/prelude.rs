//! What nearly every command needs.

pub(super) use clap::Args;
pub(super) use clap_complete::engine::ArgValueCompleter;
pub(super) use serde_json::json;

pub(super) use super::completions::candidates;
pub(super) use crate::arguments::{Context, Shared, group};
pub(super) use crate::exit::Exit;
pub(super) use crate::failure::Failure;
pub(super) use crate::output::{Cell, Column, Table, View, table_of, text};
pub(super) use crate::profile::Profile;
