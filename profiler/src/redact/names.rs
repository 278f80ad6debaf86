//! Which names are secret, and what is stored in place of their values.
//!
//! A name is split into words: at everything that is no letter or digit, and at capitals inside it. It
//! is secret if it contains words of the list side by side, as `db.password`, `apiKey` and
//! `X-Auth-Token` do, or if one of its words ends like few other words, as `PGPASSWORD` does. It is not
//! secret if a word follows that only describes the secret, as in `token_count`, nor if it is known to
//! mean something else, as `cache_key`.

/// What is stored in place of a value.
pub(crate) const REDACTED: &str = "[redacted]";

/// Secret names.
const SECRETS: [&str; 17] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "passkey",
    "secret",
    "secretkey",
    "apikey",
    "accesskey",
    "privatekey",
    "authtoken",
    "bearer",
    "jwt",
    "otp",
    "cvv",
    "ssn",
];
/// Secret names under which a number is not secret: it is a count, or an index.
const SECRET_TEXTS: [&str; 16] = [
    "token",
    "key",
    "api_key",
    "access_key",
    "private_key",
    "secret_key",
    "signing_key",
    "encryption_key",
    "master_key",
    "auth_key",
    "authorization",
    "cookie",
    "credential",
    "cred",
    "set_cookie",
    "session_token",
];

/// Ends of words that were run together, as in `pgpassword`, `clientsecret` and `accesstoken`; no other
/// words end like this.
const ENDS: [&str; 6] = ["password", "passwd", "passphrase", "secret", "token", "apikey"];

/// Names with such words that mean something else.
const HARMLESS: [&str; 26] = [
    "cache_key",
    "primary_key",
    "foreign_key",
    "partition_key",
    "sort_key",
    "routing_key",
    "row_key",
    "group_key",
    "map_key",
    "index_key",
    "lookup_key",
    "idempotency_key",
    "dedup_key",
    "shard_key",
    "ordering_key",
    "object_key",
    "bucket_key",
    "message_key",
    "hash_key",
    "range_key",
    "join_key",
    "public_key",
    "key_id",
    "key_press",
    "key_code",
    "key_down",
];

/// Last words of names that only describe a secret.
const ABOUT: [&str; 19] = [
    "count", "len", "length", "size", "type", "kind", "name", "total", "limit", "budget", "ttl",
    "age", "expiry", "expires", "valid", "present", "found", "ms", "seconds",
];

/// Which values under a name are secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Secrecy {
    /// None.
    #[default]
    None,
    /// All except numbers and booleans.
    Texts,
    /// All.
    All,
}

/// Words side by side, in lower case.
type Phrase = Vec<String>;

/// Knows which names are secret.
#[derive(Debug, Clone)]
pub(crate) struct Redaction {
    secrets: Vec<(Phrase, Secrecy)>,
    harmless: Vec<Phrase>,
    /// What was [added](Redaction::add), as it was given.
    added: Vec<String>,
}

impl Default for Redaction {
    fn default() -> Self {
        let secrets = SECRETS.iter().map(|name| (words(name), Secrecy::All));
        let texts = SECRET_TEXTS.iter().map(|name| (words(name), Secrecy::Texts));
        Self {
            secrets: secrets.chain(texts).collect(),
            harmless: HARMLESS.iter().map(|name| words(name)).collect(),
            added: Vec::new(),
        }
    }
}

impl Redaction {
    /// What was added, so that whoever adds the same to a new one knows the same names.
    #[cfg(feature = "crash-proof")]
    pub(crate) fn added(&self) -> &[String] {
        &self.added
    }

    /// Adds a name. With `!` before it, the name is not secret; `!*` forgets all names.
    pub(crate) fn add(&mut self, name: &str) {
        self.added.push(name.to_owned());
        let name = name.trim();
        match name.strip_prefix('!').map(str::trim) {
            Some("*") => self.secrets.clear(),
            Some(name) => self.harmless.extend(Some(words(name)).filter(|words| !words.is_empty())),
            None => {
                let phrase = words(name);
                self.harmless.retain(|harmless| *harmless != phrase);
                let secret = (phrase, Secrecy::All);
                self.secrets.extend(Some(secret).filter(|(phrase, _)| !phrase.is_empty()));
            }
        }
    }

    /// Whether there are secrets at all, and this word was not declared harmless.
    pub(super) fn may_hide(&self, word: &str) -> bool {
        let is_harmless = self.harmless.iter().any(|phrase| phrase.iter().eq([word]));
        !self.secrets.is_empty() && !is_harmless
    }

    /// Which values under this name are secret.
    pub(crate) fn secrecy(&self, name: &str) -> Secrecy {
        let words = words(name);
        let harmless: Vec<_> =
            self.harmless.iter().flat_map(|phrase| matches(&words, phrase)).collect();
        let is_about = words.last().is_some_and(|last| ABOUT.contains(&last.as_str()));
        let mut secrecy = Secrecy::None;
        for (phrase, of) in &self.secrets {
            let is_meant = |found: &std::ops::Range<usize>| {
                let covers = |known: &std::ops::Range<usize>| {
                    known.start <= found.start && known.end >= found.end
                };
                let is_of_something_else = harmless.iter().any(covers);
                let is_about_it = is_about && found.end < words.len();
                !is_of_something_else && !is_about_it
            };
            if matches(&words, phrase).any(|found| is_meant(&found)) {
                secrecy = secrecy.max(*of);
            }
        }
        secrecy
    }
}

/// Where a phrase is found among words.
fn matches(words: &[String], phrase: &[String]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let len = phrase.len();
    words
        .windows(len.max(1))
        .enumerate()
        .filter(move |(_, window)| {
            len > 0 && window.iter().zip(phrase).all(|(word, wanted)| is_word(word, wanted))
        })
        .map(move |(at, _)| at..at + len)
}

/// Whether it is this word, or its plural; for some words, whether it ends with it.
fn is_word(word: &str, wanted: &str) -> bool {
    let is_end = |word: &str| word == wanted || (ENDS.contains(&wanted) && word.ends_with(wanted));
    is_end(word) || word.strip_suffix('s').is_some_and(is_end)
}

/// The words of a name, in lower case.
pub(super) fn words(name: &str) -> Phrase {
    let mut words: Phrase = Vec::new();
    let mut word = String::new();
    let letters: Vec<char> = name.chars().collect();
    for (at, &letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at)).copied().unwrap_or('_');
        let after = letters.get(at + 1).copied().unwrap_or('_');
        let is_hump = letter.is_uppercase() && (before.is_lowercase() || after.is_lowercase());
        let changes = letter.is_numeric() != before.is_numeric();
        if (is_hump || changes || !letter.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_into_words() {
        assert_eq!(words("db.userPassword2"), ["db", "user", "password", "2"]);
        assert_eq!(words("X-APIKey"), ["x", "api", "key"]);
        assert_eq!(words("HTTPServer__name"), ["http", "server", "name"]);
        assert_eq!(words("--"), [""; 0]);
    }

    #[test]
    fn names_of_secrets_are_told_from_others() {
        let redaction = Redaction::default();
        for name in [
            "password",
            "PASSWORD",
            "db.password",
            "userPassword",
            "old_passwords",
            "pwd",
            "secret",
            "client-secret",
            "password_hash",
            "secret_id",
            "otp",
            "PGPASSWORD",
            "dbpasswd",
            "mysql.userpasswords",
            "clientsecret",
        ] {
            assert_eq!(redaction.secrecy(name), Secrecy::All, "{name}");
        }
        for name in [
            "token",
            "tokens",
            "accessToken",
            "x-api-key",
            "api_key",
            "apiKeys",
            "key",
            "ssh.key",
            "http.request.header.authorization",
            "Cookie",
            "set-cookie",
            "credentials",
            "accesstoken",
            "csrftokens",
        ] {
            assert_eq!(redaction.secrecy(name), Secrecy::Texts, "{name}");
        }
        for name in [
            "",
            "user",
            "tokenizer",
            "keyboard",
            "monkey",
            "secretary",
            "cache_key",
            "primary_key",
            "idempotencyKey",
            "token_count",
            "password_len",
            "key_size",
            "n",
            "passed",
            "token.ttl",
            "public_key",
            "accesstoken_count",
            "passwordless",
            "tokens_used_total",
            "error",
        ] {
            assert_eq!(redaction.secrecy(name), Secrecy::None, "{name}");
        }
        assert_eq!(redaction.secrecy("cache_key_secret"), Secrecy::All);
        assert_eq!(redaction.secrecy("cache_key.api_key"), Secrecy::Texts);
    }

    #[test]
    fn the_list_can_be_changed() {
        let mut redaction = Redaction::default();
        for name in ["card number", "!key", "cache_key", " ", "!", "!session token"] {
            redaction.add(name);
        }
        for (name, secrecy) in [
            ("cardNumber", Secrecy::All),
            ("customer.card_number", Secrecy::All),
            ("card", Secrecy::None),
            ("key", Secrecy::None),
            ("api_key", Secrecy::Texts),
            ("cache_key", Secrecy::All),
            ("session_token", Secrecy::None),
            ("password", Secrecy::All),
        ] {
            assert_eq!(redaction.secrecy(name), secrecy, "{name}");
        }
        redaction.add("!*");
        redaction.add("token_count");
        assert_eq!(redaction.secrecy("password"), Secrecy::None);
        assert_eq!(redaction.secrecy("token_count"), Secrecy::All);
    }
}
