//! Definitions as sequences of tokens, so that two of them can be compared regardless of white space and
//! comments.
//!
//! SQLite keeps a definition as the text that made it, with its comments; and it changes that text when
//! a table is altered. Equal tokens mean the same to SQLite: a token is taken for a comment here only if
//! SQLite does so, too (`tokenize.c`), and everything else is compared byte by byte, except for the case
//! of words.

/// A word or number, a sign, or something in quotes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Token<'a> {
    Word(&'a str),
    Sign(u8),
    Quoted(&'a str),
}

impl PartialEq for Token<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Word(one), Self::Word(other)) => one.eq_ignore_ascii_case(other),
            (Self::Sign(one), Self::Sign(other)) => one == other,
            (Self::Quoted(one), Self::Quoted(other)) => one == other,
            _ => false,
        }
    }
}

impl Token<'_> {
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found.eq_ignore_ascii_case(word))
    }
}

/// The tokens of a definition; `None` if SQLite might read it differently.
pub(super) fn tokens(sql: &str) -> Option<Vec<Token<'_>>> {
    let bytes = sql.as_bytes();
    if bytes.contains(&0) {
        return None; // where SQLite stops reading
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..)?;
        at += match byte {
            b' ' | b'\t' | b'\n' | 0x0C | b'\r' => 1,
            b'-' if rest.starts_with(b"--") => {
                rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
            }
            b'/' if rest.starts_with(b"/*") => 2 + end_of(rest.get(2..)?, b"*/")?,
            b'\'' | b'"' | b'`' | b'[' => {
                let length = quoted(rest)?;
                tokens.push(Token::Quoted(sql.get(at..at + length)?));
                length
            }
            _ if is_word(byte) => {
                let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
                tokens.push(Token::Word(sql.get(at..at + length)?));
                length
            }
            sign => {
                tokens.push(Token::Sign(sign));
                1
            }
        };
    }
    Some(tokens)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || !byte.is_ascii()
}

/// Where something that ends with `mark` ends.
fn end_of(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    Some(bytes.windows(mark.len()).position(|window| window == mark)? + mark.len())
}

/// The length of something that begins with a quotation mark, including both marks. A doubled mark
/// stands for itself.
fn quoted(bytes: &[u8]) -> Option<usize> {
    let mark = match bytes.first()? {
        b'[' => return Some(1 + end_of(bytes.get(1..)?, b"]")?),
        mark => *mark,
    };
    let mut at = 1;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == mark)? + 1;
        if bytes.get(at) != Some(&mark) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_space_make_no_difference_and_all_else_does() {
        let same = |one, other| tokens(one).unwrap() == tokens(other).unwrap();
        assert!(same("CREATE TABLE t (a INTEGER)", "create  table t(a integer) -- a\n/* b */"));
        assert!(same("a '--' \"/*\" b", "a '--' \"/*\" b -- c"));
        assert!(same("'it''s' x", "'it''s'\tx"));
        assert!(!same("a 'B'", "a 'b'"));
        assert!(!same("a b", "ab"));
        assert!(!same("a -- b\n, c", "a -- b , c"));
        assert!(!same("[a]", "a"));
        assert!(!same("a - -b", "a --b"));
    }

    #[test]
    fn what_has_no_end_is_nothing_to_compare() {
        for open in ["'a", "\"a", "[a", "`a", "/* a", "'a''", "a \0 b"] {
            assert!(tokens(open).is_none(), "{open:?}");
        }
    }
}
