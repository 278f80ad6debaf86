//! Comparisons with fields.

use std::borrow::Cow;

use super::error::Fault;
use super::field_path::PathValue;
use super::lexer::{Value, unescape};
use super::number::Number;
use super::operator::Operator;
use super::pattern::Pattern;
use super::search::Search;

/// What the value of a field is compared with.
#[derive(Debug, Clone)]
pub(super) struct FieldTest {
    operator: Operator,
    /// The value, if it is not in quotes and reads as a number.
    number: Option<Number>,
    against: Against,
}

#[derive(Debug, Clone)]
enum Against {
    Pattern(Pattern),
    Search(Search),
    Order { text: String, quoted: bool },
}

impl FieldTest {
    pub(super) fn new(operator: Operator, value: &Value<'_>) -> Result<Self, Fault> {
        let number = if value.quoted { None } else { Number::parse(value.raw) };
        let against = if operator.is_search() {
            Against::Search(Search::new(value)?)
        } else if operator.is_order() {
            let mut text = String::new();
            unescape(value, |c| text.push(c.unwrap_or('*')))?;
            Against::Order { text, quoted: value.quoted }
        } else {
            Against::Pattern(Pattern::whole(value)?)
        };
        Ok(Self { operator, number, against })
    }

    pub(super) fn is_search(&self) -> bool {
        self.operator.is_search()
    }

    pub(super) fn holds(&self, found: &PathValue<'_>) -> bool {
        let negative = self.operator.is_negative();
        match &self.against {
            Against::Order { text, quoted } => self.order_holds(found, text, *quoted),
            Against::Search(search) => {
                text_of(found).is_some_and(|text| search.is_match(&text) != negative)
            }
            Against::Pattern(pattern) => match (found, self.number) {
                (PathValue::Number(left), Some(right)) => {
                    left.compare(right).is_some_and(|order| self.operator.holds(order))
                }
                _ => text_of(found).is_some_and(|text| pattern.matches(&text) != negative),
            },
        }
    }

    fn order_holds(&self, found: &PathValue<'_>, text: &str, quoted: bool) -> bool {
        let number = match found {
            PathValue::Number(number) if !quoted => Some(*number),
            // Much of what is recorded as text is a number: all that is recorded with `%`.
            PathValue::Text(text) if !quoted => Number::parse(text),
            _ => None,
        };
        let order = match (found, number, self.number) {
            (_, Some(left), Some(right)) => left.compare(right),
            (PathValue::Text(left), None, None) => Some(left.as_ref().cmp(text)),
            _ => None,
        };
        order.is_some_and(|order| self.operator.holds(order))
    }
}

fn text_of<'a>(found: &'a PathValue<'_>) -> Option<Cow<'a, str>> {
    Some(match found {
        PathValue::Null => "null".into(),
        PathValue::Bool(true) => "true".into(),
        PathValue::Bool(false) => "false".into(),
        PathValue::Number(number) => number.to_text().into(),
        PathValue::Text(text) => text.as_ref().into(),
        PathValue::Nested => return None,
    })
}
