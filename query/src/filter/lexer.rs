//! From text to tokens.
//!
//! A token is a slice of the text: nothing is unescaped here, since a regular expression takes its
//! escapes as they are. Where a value ends is the same for all: at a space or a closing parenthesis
//! that was not opened inside it, so that `name~^(get|put)$` needs no quotes.

use std::ops::Range;

use super::error::Fault;
use super::operator::Operator;

/// The right side of a comparison, or a text on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value<'a> {
    /// As it stands, without the quotes, with the escapes.
    pub(super) raw: &'a str,
    pub(super) quoted: bool,
    /// Where, with the quotes.
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    Or,
    And,
    Not,
    /// A word or quoted text on its own.
    Text(Value<'a>),
    Comparison {
        key: &'a str,
        operator: Operator,
        value: Value<'a>,
    },
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpannedToken<'a> {
    pub(super) token: Token<'a>,
    pub(super) span: Range<usize>,
}

/// Whether a word on its own joins or turns terms.
pub(super) fn is_keyword(word: &str) -> bool {
    keyword(word).is_some()
}

fn keyword(word: &str) -> Option<Token<'static>> {
    match word {
        "or" | "OR" => Some(Token::Or),
        "and" | "AND" => Some(Token::And),
        "not" | "NOT" => Some(Token::Not),
        _ => None,
    }
}

fn is_operator(c: char) -> bool {
    matches!(c, '=' | '!' | '<' | '>' | '~')
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<SpannedToken<'a>>, Fault> {
        self.skip_space();
        let start = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Ok(None);
        };
        let single = match first {
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '-' => Some(Token::Not),
            _ => None,
        };
        let token = if let Some(token) = single {
            self.at += 1;
            token
        } else if first == '"' {
            Token::Text(self.quoted()?)
        } else {
            self.word_or_comparison()?
        };
        Ok(Some(SpannedToken { token, span: start..self.at }))
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn word_or_comparison(&mut self) -> Result<Token<'a>, Fault> {
        let start = self.at;
        self.key()?;
        let key = &self.text[start..self.at];
        let end = self.at;
        self.skip_space();
        if self.rest().starts_with(is_operator) {
            if key.is_empty() {
                return Err(self.without_key(start));
            }
            return self.comparison(key);
        }
        self.at = end;
        if let Some(keyword) = keyword(key) {
            return Ok(keyword);
        }
        if self.rest().starts_with('(') {
            let fault = Fault::new(end..end + 1, "a parenthesis inside of a word");
            return Err(fault.hint("put the text into quotes, or a space before the parenthesis"));
        }
        if matches!(key, "|" | "||" | "&" | "&&") {
            let word = if key.starts_with('|') { "or" } else { "and" };
            let fault = Fault::new(start..end, format!("`{key}` is no operator of a filter"));
            return Err(fault.hint(format!("write `{word}`")));
        }
        Ok(Token::Text(Value { raw: key, quoted: false, span: start..end }))
    }

    /// Up to a space, a parenthesis or an operator. Parts of the name of a field can be quoted.
    fn key(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(c) = self.rest().chars().next() {
            match c {
                '(' | ')' => break,
                c if c.is_whitespace() || is_operator(c) => break,
                '"' => {
                    let so_far = &self.text[start..self.at];
                    let field = so_far.strip_prefix("has:").unwrap_or(so_far);
                    if !(field.starts_with("field.") && field.ends_with('.')) {
                        let fault = Fault::new(self.at..self.at + 1, "a quote inside of a word");
                        return Err(fault.hint("quote all of it, or write \\\""));
                    }
                    self.skip_quoted()?;
                }
                '\\' => self.skip_escape()?,
                c => self.at += c.len_utf8(),
            }
        }
        Ok(())
    }

    fn without_key(&self, at: usize) -> Fault {
        let not = self.rest().starts_with('!') && Operator::at_start_of(self.rest()).is_none();
        let fault = Fault::new(at..at + 1, "there is no key before the operator");
        fault.hint(if not {
            "write `not` or `-` to turn a term around"
        } else {
            "write KEY OPERATOR VALUE, such as `dur>10ms`, or put the text into quotes"
        })
    }

    fn comparison(&mut self, key: &'a str) -> Result<Token<'a>, Fault> {
        let at = self.at;
        let operators =
            "there are = != ~ !~ < <= > >=; put a text with such characters into quotes";
        let Some(operator) = Operator::at_start_of(self.rest()) else {
            return Err(Fault::new(at..at + 1, "`!` is no operator").hint(operators));
        };
        self.at += operator.as_str().len();
        if !operator.is_search() && self.rest().starts_with(is_operator) {
            let span = at..self.at + 1;
            let wrong = &self.text[span.clone()];
            return Err(Fault::new(span, format!("`{wrong}` is no operator")).hint(operators));
        }
        self.skip_space();
        let value = if self.rest().starts_with('"') { self.quoted()? } else { self.bare()? };
        if value.raw.is_empty() && !value.quoted {
            let operator = operator.as_str();
            let fault =
                Fault::new(value.span, format!("there is no value after `{key}{operator}`"));
            let hint = format!("write one, such as `{key}{operator}\"\"` for an empty text");
            return Err(fault.hint(hint));
        }
        Ok(Token::Comparison { key, operator, value })
    }

    fn bare(&mut self) -> Result<Value<'a>, Fault> {
        let start = self.at;
        let mut open = 0_usize;
        while let Some(c) = self.rest().chars().next() {
            match c {
                c if c.is_whitespace() => break,
                ')' if open == 0 => break,
                '\\' => {
                    self.skip_escape()?;
                    continue;
                }
                '(' => open += 1,
                ')' => open -= 1,
                _ => {}
            }
            self.at += c.len_utf8();
        }
        if open > 0 {
            let fault = Fault::new(start..self.at, "a parenthesis of this value is not closed");
            return Err(fault.hint("put a value with spaces or parentheses into quotes"));
        }
        Ok(Value { raw: &self.text[start..self.at], quoted: false, span: start..self.at })
    }

    fn quoted(&mut self) -> Result<Value<'a>, Fault> {
        let start = self.at;
        self.skip_quoted()?;
        if self.rest().starts_with(|c: char| !(c.is_whitespace() || matches!(c, '(' | ')'))) {
            let fault = Fault::new(self.at..self.at + 1, "the text goes on behind the quote");
            return Err(fault.hint("put a space there, or write \\\" for a quote in the text"));
        }
        let raw = &self.text[start + 1..self.at - 1];
        Ok(Value { raw, quoted: true, span: start..self.at })
    }

    /// From a quote to behind the one that closes it.
    fn skip_quoted(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.at += 1;
        while let Some(c) = self.rest().chars().next() {
            match c {
                '\\' => self.skip_escape()?,
                '"' => {
                    self.at += 1;
                    return Ok(());
                }
                c => self.at += c.len_utf8(),
            }
        }
        Err(Fault::new(start..self.at, "the quote is not closed").hint("add a \" where it ends"))
    }

    fn skip_escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        let Some(escaped) = self.rest().chars().next() else {
            let fault = Fault::new(self.at - 1..self.at, "there is nothing behind the backslash");
            return Err(fault.hint("write \\\\ for a backslash"));
        };
        self.at += escaped.len_utf8();
        Ok(())
    }
}

/// Calls `each` with each letter of the text, its escapes resolved, and with `None` for each star
/// that stands for any text.
pub(super) fn unescape(value: &Value<'_>, mut each: impl FnMut(Option<char>)) -> Result<(), Fault> {
    let mut letters = value.raw.chars();
    while let Some(c) = letters.next() {
        match c {
            '*' => each(None),
            '\\' => match letters.next() {
                Some(c) if c.is_ascii_punctuation() || c == ' ' => each(Some(c)),
                other => {
                    let what = other.map_or_else(String::new, |c| c.to_string());
                    let fault =
                        Fault::new(value.span.clone(), format!("unknown escape `\\{what}`"));
                    let hint = "write \\\\ for a backslash; a regular expression comes after `~`";
                    return Err(fault.hint(hint));
                }
            },
            c => each(Some(c)),
        }
    }
    Ok(())
}
