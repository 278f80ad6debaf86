//! From tokens to an expression, by recursive descent.

use std::ops::Range;

use super::BYTES_MAX;
use super::error::{Fault, FilterError};
use super::expression::Expression;
use super::lexer::{Lexer, SpannedToken, Token};
use super::term::Term;

/// Deeper ones are refused: each level takes some of the stack.
const DEPTH_MAX: usize = 64;

pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    if text.len() > BYTES_MAX {
        let message = format!("the filter is too long: {} bytes of {BYTES_MAX}", text.len());
        let fault = Fault::new(BYTES_MAX..BYTES_MAX, message);
        return Err(fault.hint("use a regular expression for many alternatives").of(text));
    }
    expression(text).map_err(|fault| fault.of(text))
}

fn expression(text: &str) -> Result<Expression, Fault> {
    let mut lexer = Lexer::new(text);
    let next = lexer.next()?;
    if next.is_none() {
        return Ok(Expression::All(Vec::new()));
    }
    let mut parser = Parser { end: text.len(), lexer, next, depth: 0 };
    let expression = parser.any()?;
    match parser.next {
        None => Ok(expression),
        Some(placed) => {
            let fault = Fault::new(placed.span, "a parenthesis closes that was not opened");
            Err(fault.hint("leave it out, or put the text into quotes"))
        }
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    next: Option<SpannedToken<'a>>,
    /// Where the text ends.
    end: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn advance(&mut self) -> Result<Option<SpannedToken<'a>>, Fault> {
        let following = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.next, following))
    }

    fn next_is(&self, token: &Token<'_>) -> bool {
        self.next.as_ref().is_some_and(|placed| placed.token == *token)
    }

    /// Alternatives.
    fn any(&mut self) -> Result<Expression, Fault> {
        let mut parts = vec![self.all()?];
        while self.next_is(&Token::Or) {
            self.advance()?;
            parts.push(self.all()?);
        }
        Ok(Expression::any(parts))
    }

    /// Terms side by side.
    fn all(&mut self) -> Result<Expression, Fault> {
        let mut parts = vec![self.one()?];
        loop {
            match self.next.as_ref().map(|placed| &placed.token) {
                None | Some(Token::Or | Token::Close) => return Ok(Expression::all(parts)),
                Some(Token::And) => {
                    self.advance()?;
                }
                Some(_) => {}
            }
            parts.push(self.one()?);
        }
    }

    fn one(&mut self) -> Result<Expression, Fault> {
        let Some(SpannedToken { token, span }) = self.advance()? else {
            return Err(missing(self.end..self.end, "the filter ends where a term should follow"));
        };
        match token {
            Token::Not => {
                let inner = self.deeper(span, Self::one)?;
                Ok(Expression::Not(Box::new(inner)))
            }
            Token::Open => {
                let inner = self.deeper(span.clone(), Self::any)?;
                if !self.next_is(&Token::Close) {
                    let fault = Fault::new(span, "the parenthesis is not closed");
                    return Err(fault.hint("add a ) where it ends"));
                }
                self.advance()?;
                Ok(inner)
            }
            Token::Text(value) => Ok(Expression::Term(Term::of_text(&value)?)),
            Token::Comparison { key, operator, value } => {
                Ok(Expression::Term(Term::of_comparison(key, span.start, operator, &value)?))
            }
            Token::Or => Err(missing(span, "there is no term before `or`")),
            Token::And => Err(missing(span, "there is no term before `and`")),
            Token::Close => Err(missing(span, "there is no term before the parenthesis")),
        }
    }

    fn deeper(
        &mut self,
        span: Range<usize>,
        inner: impl FnOnce(&mut Self) -> Result<Expression, Fault>,
    ) -> Result<Expression, Fault> {
        if self.depth == DEPTH_MAX {
            let fault = Fault::new(span, format!("nested deeper than {DEPTH_MAX} levels"));
            return Err(fault.hint("leave out some of the parentheses"));
        }
        self.depth += 1;
        let expression = inner(self);
        self.depth -= 1;
        expression
    }
}

fn missing(span: Range<usize>, message: &str) -> Fault {
    Fault::new(span, message).hint("write a term such as `dur>10ms`, or a text in quotes")
}
