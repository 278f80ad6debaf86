//! The arguments of a command line without their secrets, as far as these can be recognised.
//!
//! Secrets are values behind secret names, in all common notations, passwords in URLs, and what looks
//! like a key. A secret that looks like a word, and stands alone, cannot be recognised.

use super::names::{REDACTED, Redaction};
use super::pairs::{is_of_name, is_secret, without_pairs};
use super::urls::without_users;

/// The beginnings of keys of well-known services.
const PREFIXES: [&str; 14] = [
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "sk-",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "eyJ",
    "-----BEGIN",
];
/// So many letters and digits in a row, mixed, are not a word.
const RANDOM_CHARS: usize = 24;

/// The arguments in the form in which they may be stored.
pub(crate) fn redacted(
    arguments: impl IntoIterator<Item = String>,
    redaction: &Redaction,
) -> Vec<String> {
    let mut is_value = false;
    let mut redacted = Vec::new();
    for argument in arguments {
        let is_option = argument.starts_with('-') && argument.len() > 1;
        if is_value && !(is_option && is_name(argument.trim_start_matches('-'))) {
            redacted.push(keep_number(&argument));
            is_value = false;
            continue;
        }
        let name = argument.trim_start_matches('-');
        is_value = is_option && is_secret(name, redaction);
        redacted.push(one(&argument, is_option, redaction));
    }
    redacted
}

/// A value after `-p`, which may be a port.
fn keep_number(value: &str) -> String {
    let is_number = value.len() <= 5 && value.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { value.to_owned() } else { REDACTED.to_owned() }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.chars().all(is_of_name)
}

fn one(argument: &str, is_option: bool, redaction: &Redaction) -> String {
    let dashes = argument.len() - argument.trim_start_matches(['-', '/']).len();
    // Everything after the name is hidden.
    if let Some((name, _)) = argument.split_once('=')
        && is_name(&name[dashes..])
        && is_secret(&name[dashes..], redaction)
    {
        return format!("{name}={REDACTED}");
    }
    // `-pSECRET`, as in some database clients; but `-p8080` is a port.
    if let (true, Some(value)) = (is_option, argument.strip_prefix("-p"))
        && !value.is_empty()
        && !value.bytes().all(|byte| byte.is_ascii_digit())
    {
        return format!("-p{REDACTED}");
    }
    let without_users = without_users(argument, false, false);
    let text = without_pairs(without_users.as_deref().unwrap_or(argument), redaction);
    without_keys(&text)
}

/// Hides keys of well-known services, and what is too long and mixed to be a word.
fn without_keys(text: &str) -> String {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let len = rest[start..].find(|letter| !is_part(letter)).unwrap_or(rest.len() - start);
        let (before, part) = (&rest[..start], &rest[start..start + len]);
        kept.push_str(before);
        let is_key = PREFIXES.iter().any(|prefix| part.len() >= 16 && part.starts_with(prefix));
        let is_random = |run: &str| {
            run.len() >= RANDOM_CHARS
                && run.bytes().any(|byte| byte.is_ascii_digit())
                && run.bytes().any(|byte| byte.is_ascii_alphabetic())
        };
        let is_secret = is_key || part.split(['_', '-']).any(is_random);
        kept.push_str(if is_secret { REDACTED } else { part });
        rest = &rest[start + len..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Vec<String> {
        redacted(arguments.iter().map(|&argument| argument.to_owned()), &Redaction::default())
    }

    #[test]
    fn no_secret_is_left() {
        for arguments in [
            &["--password=hunter2"][..],
            &["--password", "hunter2"],
            &["--password", "-hunter2!"],
            &["-p", "hunter2"],
            &["-phunter2"],
            &["--db-password=a b&hunter2"],
            &["DB_PASSWORD=hunter2"],
            &["PGPASSWORD=hunter2"],
            &["--clientsecret", "hunter2"],
            &["/password=hunter2"],
            &["--token", "hunter2", "serve"],
            &["--api-key=hunter2"],
            &["--secret.key:hunter2"],
            &["postgres://admin:hunter2@db/prod"],
            &["postgres://admin:hu/hunter2@db/prod"],
            &["--url=https://hunter2@github.com/x.git"],
            &["https://host/path?a=1&token=hunter2&b=2"],
            &["-H", "Authorization: Bearer hunter2"],
            &["--header=Cookie: a=b; hunter2"],
            &["host=db password=hunter2 user=me"],
            &["Server=db;Password='hunter2';User=me"],
            &[r#"{"user":"me","password":"hunter2"}"#],
            &["from redis://:hunter2@a and redis://:hunter2@b"],
            &["ghp_hunter2hunter2hunter2"],
            &["--with", "hunter2aB3dE5fG7hI9jK1lM3nO5"],
        ] {
            let redacted = of(arguments);
            assert_eq!(redacted.len(), arguments.len());
            let text = redacted.join(" ");
            assert!(!text.contains("hunter2") && text.contains(REDACTED), "{arguments:?}: {text}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let plain = [
            "serve",
            "--port",
            "8080",
            "-p",
            "8080",
            "-p8080",
            "--mode=fast",
            "--exact",
            "-",
            "the_run_row_tells_of_the_program_and_its_settings",
            "--nocapture",
            "",
            "--",
            "https://host:8080/a/b?c=d@e",
            "a:b",
            "target/debug/deps/run_row-0a1b2c3d4e5f6789",
            "--cache-key=17",
            "\u{1f980}=\u{1f980}",
            "12:30:00",
            "caf\u{e9}: au lait",
        ];
        assert_eq!(of(&plain), plain);
        let words = of(&["--token", "x", "serve", "--password-file=a", "--password", "--verbose"]);
        assert_eq!(words[2], "serve");
        assert_eq!(words[5], "--verbose");
        assert_eq!(
            of(&["postgres://admin:x@db:5432/prod?sslmode=require"]),
            ["postgres://admin:[redacted]@db:5432/prod?sslmode=require"]
        );
    }
}
