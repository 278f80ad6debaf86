//! Environment variables, as settings are read from them.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt::Display;
use std::str::{FromStr, ParseBoolError};

use crate::error::{Error, ErrorKind};

/// Variables, and which of them were there.
pub(super) struct Variables<'a> {
    all: &'a dyn Fn(&str) -> Option<OsString>,
    found: RefCell<Vec<&'static str>>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(all: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { all, found: RefCell::default() }
    }

    /// The value of one. An empty one is none.
    pub(super) fn get(&self, name: &'static str) -> Option<OsString> {
        let value = (self.all)(name).filter(|value| !value.is_empty())?;
        self.found.borrow_mut().push(name);
        Some(value)
    }

    /// Those that were there.
    pub(super) fn found(self) -> Vec<&'static str> {
        self.found.into_inner()
    }

    pub(super) fn number(&self, name: &'static str) -> Result<Option<usize>, Error> {
        self.parse(name, "a whole number")
    }

    pub(super) fn switch(&self, name: &'static str) -> Result<Option<bool>, Error> {
        let switch = self.parse::<Switch>(name, "true or false, or 1 or 0")?;
        Ok(switch.map(|Switch(on)| on))
    }

    pub(super) fn parse<T: FromStr<Err: Display>>(
        &self,
        name: &'static str,
        wanted: &str,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let value = value.to_string_lossy();
        let parsed = value.trim().parse().map_err(|error| {
            let message =
                format!("{name} is \"{value}\" ({error}); set it to {wanted}, or unset it");
            Error::new(ErrorKind::InvalidOption, message)
        })?;
        Ok(Some(parsed))
    }
}

/// `true` or `1`, `false` or `0`.
struct Switch(bool);

impl FromStr for Switch {
    type Err = ParseBoolError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1" => Ok(Self(true)),
            "0" => Ok(Self(false)),
            text => text.parse().map(Self),
        }
    }
}
