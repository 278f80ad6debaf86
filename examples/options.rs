//! A command line, taken apart: `--name value`, `--name=value` and `--name`.

#![allow(dead_code)] // Each example uses a part.

use std::fmt::Display;
use std::str::FromStr;

/// The words of a command line. [`next`](Self::next) goes to the next option; the other methods are
/// about that one.
pub struct Options<I> {
    words: I,
    name: String,
    joined: Option<String>,
}

impl<I: Iterator<Item = String>> Options<I> {
    pub fn new(words: I) -> Self {
        Self { words, name: String::new(), joined: None }
    }

    /// The name of the next option.
    pub fn next(&mut self) -> Option<String> {
        let word = self.words.next()?;
        (self.name, self.joined) = match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        Some(self.name.clone())
    }

    /// Its value, which is said to be `form` if there is none.
    pub fn value(&mut self, form: &str) -> Result<String, String> {
        let value = self.joined.take().or_else(|| self.words.next());
        value.ok_or_else(|| format!("{} needs {form}", self.name))
    }

    /// Its value as a number, or whatever else can be read like one.
    pub fn number<T: FromStr>(&mut self) -> Result<T, String> {
        let text = self.value("a number")?;
        text.parse().map_err(|_| format!("{} {text}: give a number", self.name))
    }

    /// The same within limits.
    pub fn number_within<T>(&mut self, least: T, most: T) -> Result<T, String>
    where
        T: FromStr + PartialOrd + Display,
    {
        let value = self.number()?;
        if least <= value && value <= most {
            return Ok(value);
        }
        Err(format!("{} {value}: give a number from {least} to {most}", self.name))
    }

    /// Refuses a value.
    pub fn flag(&self) -> Result<bool, String> {
        match &self.joined {
            Some(_) => Err(format!("{} takes no value", self.name)),
            None => Ok(true),
        }
    }
}
