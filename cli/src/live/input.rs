//! A line that is typed: a filter, which is in force meanwhile, or the label of a mark.

use spandrel_query::Filter;

use super::app::{App, Effect};
use super::keys::Action;
use super::page::Row;
use crate::output::text;

pub(super) const TYPED_MAX: usize = 512;

/// A line of text that is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) of: InputOf,
    pub(crate) text: String,
    /// Why it cannot be taken as it stands.
    pub(crate) fault: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputOf {
    Filter,
    Mark,
}

/// Which rows are in the table.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowFilter {
    pub(crate) text: String,
    filter: Filter,
}

impl RowFilter {
    /// Understands a filter, if it is one that names can pass.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let filter = Filter::parse(text).map_err(|error| match error.hint() {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        })?;
        match filter.term_beyond_callsite() {
            Some(term) => Err(format!(
                "`{}` asks single spans; the table has names: name target module file level",
                text::clean(term)
            )),
            None => Ok(Self { text: text.trim().to_owned(), filter }),
        }
    }

    pub(super) fn has(&self, row: &Row) -> bool {
        self.filter.is_empty()
            || row.callsites.iter().any(|callsite| self.filter.matches_callsite(callsite))
    }
}

impl App {
    pub(super) fn edit(&mut self, action: Action) -> Effect {
        let Some(input) = &mut self.input else { return Effect::Nothing };
        match action {
            Action::Type(letter) if input.text.len() + letter.len_utf8() <= TYPED_MAX => {
                input.text.push(letter);
            }
            Action::Erase => {
                input.text.pop();
            }
            Action::EraseWord => {
                let kept = input.text.trim_end();
                let kept = kept.rfind(char::is_whitespace).map_or(0, |at| at + 1);
                input.text.truncate(kept);
            }
            Action::EraseAll => input.text.clear(),
            Action::Cancel => return self.cancel(),
            Action::Accept => return self.accept(),
            _ => {}
        }
        self.try_filter();
        Effect::Nothing
    }

    /// A filter is in force while it is typed, as far as it is understood.
    fn try_filter(&mut self) {
        let Some(input) = &mut self.input else { return };
        if input.of == InputOf::Filter {
            match RowFilter::parse(&input.text) {
                Ok(chosen) => (self.filter, input.fault) = (chosen, None),
                Err(fault) => input.fault = Some(fault),
            }
            self.arrange();
        }
    }

    fn cancel(&mut self) -> Effect {
        if self.input.take().is_some_and(|input| input.of == InputOf::Filter) {
            self.filter = std::mem::take(&mut self.filter_before);
            self.arrange();
        }
        Effect::Nothing
    }

    fn accept(&mut self) -> Effect {
        match self.input.take() {
            Some(input) if input.fault.is_some() => self.input = Some(input),
            Some(input) if input.of == InputOf::Mark && !input.text.trim().is_empty() => {
                self.message = Some("asking the recording for a mark ...".into());
                return Effect::Mark(input.text.trim().to_owned());
            }
            _ => {}
        }
        Effect::Nothing
    }
}
