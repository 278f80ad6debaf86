//! What the fields of a span say of its status.
//!
//! | field | says |
//! |---|---|
//! | `otel.status_code` | `ok` or `error`, in any case: the last word |
//! | `otel.status_description`, `otel.status_message` | that it has failed, without a code |
//! | `error` | that it has failed, or, if it is `false` or empty, that it has not |
//! | `http.response.status_code`, `http.status_code` | that it has failed, from 500 on |
//! | `rpc.grpc.status_code` | that it has failed, unless 0; see [`GRPC_FAILURES_OF_SERVERS`] |
//!
//! The last value of each counts. All but `error` are conventions of OpenTelemetry: the rules, which can be
//! switched off.
//!
//! The writer looks at a span's words. What those do not have in full was looked at when it was recorded:
//! it stands in the flags of the open span, and behind the words of its record, in [padding](StatusHints::word)
//! that says so. So a span without such fields costs nothing, and what is cut changes no status.

use tracing_core::Metadata;

use crate::recorder::fields::{self, Fields, Value};

/// The field that tells that a span has failed, unless its value is false or empty.
pub(crate) const ERROR: &str = "error";

/// The gRPC codes that are a server's fault, by OpenTelemetry's conventions: UNKNOWN, DEADLINE_EXCEEDED,
/// UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS. A span with `otel.kind = "server"` has failed
/// with these only; all other spans have failed with any code except 0.
const GRPC_FAILURES_OF_SERVERS: [i128; 6] = [2, 4, 12, 13, 14, 15];

/// gRPC's codes by name, without `_`.
const GRPC_NAMES: [&str; 17] = [
    "ok",
    "cancelled",
    "unknown",
    "invalidargument",
    "deadlineexceeded",
    "notfound",
    "alreadyexists",
    "permissiondenied",
    "resourceexhausted",
    "failedprecondition",
    "aborted",
    "outofrange",
    "unimplemented",
    "internal",
    "unavailable",
    "dataloss",
    "unauthenticated",
];

/// What a field tells about its span's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Code,
    Error,
    Http,
    Grpc,
    Kind,
    Description,
}

impl Role {
    /// The role of a field with this name, if it has one.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            ERROR => Self::Error,
            "otel.status_code" => Self::Code,
            "otel.status_description" | "otel.status_message" => Self::Description,
            "otel.kind" => Self::Kind,
            "http.response.status_code" | "http.status_code" => Self::Http,
            "rpc.grpc.status_code" => Self::Grpc,
            _ => return None,
        })
    }

    /// Whether a field with this name may have a role: checks its length, so that most names need not be
    /// compared.
    #[inline(always)]
    pub(crate) fn may_be_of(name: &str) -> bool {
        /// A bit for each length that a name with a role has.
        const LENGTHS: u32 = 1 << 5 | 1 << 9 | 1 << 16 | 1 << 19 | 1 << 20 | 1 << 23 | 1 << 25;
        name.len() < 32 && LENGTHS >> name.len() & 1 != 0
    }

    /// The position of its two bits in [`StatusHints`]; the description has only one.
    const fn shift(self) -> u32 {
        match self {
            Self::Code => 0,
            Self::Error => 2,
            Self::Http => 4,
            Self::Grpc => 6,
            Self::Kind => 8,
            Self::Description => 10,
        }
    }

    const fn mask(self) -> u16 {
        match self {
            Self::Description => 1 << self.shift(),
            _ => 3 << self.shift(),
        }
    }
}

// The values of a role's bits; 0 is nothing.
const FINE: u16 = 1;
const FAILS: u16 = 2;
/// For gRPC codes: a failure of callers, not of servers.
const FAILS_CALLERS: u16 = 3;
/// For `otel.status_code`: it was reset.
const UNSET: u16 = 3;
const SERVER: u16 = 2;

/// Whether an event looks like those of `#[instrument(err)]`, which tell what a function has returned:
/// it has a field `error`, and nothing else.
#[inline]
pub(crate) fn may_be_of_instrument(event: &Metadata<'_>) -> bool {
    event.fields().len() == 1 && event.fields().iter().all(|field| field.name() == ERROR)
}

/// Whether such an event comes from the `#[instrument(err)]` that has made this span, whatever its
/// level.
pub(crate) fn is_of_instrument(event: &Metadata<'_>, span: &Metadata<'_>) -> bool {
    event.line().is_some()
        && event.line() == span.line()
        && event.file() == span.file()
        && event.module_path() == span.module_path()
}

/// A value, as far as it may tell a status.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HintValue<'a> {
    Bool(bool),
    Number(i128),
    /// The available bytes of a text, and whether those are all.
    Text(&'a [u8], bool),
    /// Anything else.
    Other,
}

/// What the fields of a span tell: for each role, the last value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StatusHints(u16);

/// How many bits it has.
pub(crate) const STATUS_HINT_BITS: u32 = 11;
/// Longest text that is looked at in full; of longer ones, only the first bytes.
const TEXT_BYTES_MAX: usize = 32;

impl StatusHints {
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits as u16 & ((1 << STATUS_HINT_BITS) - 1))
    }

    pub(crate) fn bits(self) -> u64 {
        self.0.into()
    }

    pub(crate) fn is_nothing(self) -> bool {
        self.0 == 0
    }

    fn of(self, role: Role) -> u16 {
        (self.0 & role.mask()) >> role.shift()
    }

    /// The bits of all roles that tell something.
    pub(crate) fn fields(self) -> u64 {
        let roles =
            [Role::Code, Role::Error, Role::Http, Role::Grpc, Role::Kind, Role::Description];
        let said = roles.into_iter().filter(|role| self.of(*role) != 0);
        said.fold(0, |bits, role| bits | u64::from(role.mask()))
    }

    /// Whether the field `error` tells something.
    pub(crate) fn has_error(self) -> bool {
        self.of(Role::Error) != 0
    }

    /// What both tell; the later one counts.
    pub(crate) fn then(self, later: Self) -> Self {
        Self(self.0 & !(later.fields() as u16) | later.0)
    }

    /// A value has come.
    pub(crate) fn tell(&mut self, role: Role, told: HintValue<'_>) {
        let says = match role {
            Role::Code => code(told),
            Role::Error => error(told),
            Role::Http => {
                if number(told).is_some_and(|status| status >= 500) {
                    FAILS
                } else {
                    FINE
                }
            }
            Role::Grpc => grpc(told),
            Role::Kind => {
                if is_word(told, "server") {
                    SERVER
                } else {
                    FINE
                }
            }
            Role::Description => u16::from(error(told) == FAILS),
        };
        self.0 = self.0 & !role.mask() | says << role.shift();
    }

    /// Whether the span has failed. `marked`: an event in it tells so, and its field `error` has not
    /// been recorded since. `rules`: whether the rules apply, which can be switched off.
    pub(crate) fn has_failed(self, marked: bool, rules: bool) -> bool {
        if rules {
            match self.of(Role::Code) {
                FINE => return false,
                FAILS => return true,
                _ if self.of(Role::Description) != 0 => return true,
                _ => {}
            }
        }
        let by_rule = || {
            let is_server = self.of(Role::Kind) == SERVER;
            let grpc = self.of(Role::Grpc);
            self.of(Role::Http) == FAILS || grpc == FAILS || grpc == FAILS_CALLERS && !is_server
        };
        match self.of(Role::Error) {
            _ if marked => true,
            0 => rules && by_rule(),
            error => error == FAILS,
        }
    }

    /// As a word of padding, which readers of fields skip.
    pub(crate) fn word(self) -> u64 {
        // In padding, the bits of the field index and of the flags are free; but not the lowest flag,
        // which means a cut.
        let bits = self.bits();
        fields::padding(1) | bits & 0xFF | (bits >> 8) << 17
    }

    /// What a word of padding tells; nearly always nothing.
    fn of_padding(header: u64) -> Self {
        Self::from_bits(header & 0xFF | (header >> 17 & 0x7F) << 8)
    }

    /// What the field words of a record tell, for fields with these roles.
    pub(crate) fn in_words(roles: &[(u8, Role)], mut words: &[u64]) -> Self {
        let (mut said, mut behind) = (Self::default(), Self::default());
        while let [header, ..] = words {
            if fields::is_padding(*header) {
                behind = behind.then(Self::of_padding(*header));
            } else if let Some((_, role)) =
                roles.iter().find(|(index, _)| *index == fields::index_of(*header))
            {
                said.tell_value(*role, words);
            }
            words = words.get(fields::len_of(*header)..).unwrap_or_default();
        }
        said.then(behind)
    }

    fn tell_value(&mut self, role: Role, words: &[u64]) {
        let Some(field) = Fields::new(words).next() else { return };
        match field.value {
            // It was looked at when it was recorded.
            Value::Missing => {}
            Value::Bool(value) => self.tell(role, HintValue::Bool(value)),
            Value::I64(n) => self.tell(role, HintValue::Number(n.into())),
            Value::U64(n) => self.tell(role, HintValue::Number(n.into())),
            Value::I128(n) => self.tell(role, HintValue::Number(n)),
            Value::U128(n) => {
                self.tell(role, HintValue::Number(i128::try_from(n).unwrap_or(i128::MAX)))
            }
            Value::F64(x) => self.tell(role, of_float(x)),
            Value::Str(words, len) | Value::Bytes(words, len) => {
                let mut bytes = [0; TEXT_BYTES_MAX];
                for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
                    *to = word.to_le_bytes();
                }
                let at_hand = len.min(TEXT_BYTES_MAX);
                let is_whole = at_hand == len && !field.is_cut();
                self.tell(role, HintValue::Text(&bytes[..at_hand], is_whole));
            }
        }
    }
}

/// A float; a whole number counts as one.
pub(crate) fn of_float<'a>(x: f64) -> HintValue<'a> {
    let is_whole = x.fract() == 0.0 && x.abs() < 9e15;
    if is_whole { HintValue::Number(x as i128) } else { HintValue::Other }
}

/// Whether a text in the field `error` says that nothing has failed: it is empty, or the `Debug` text of
/// `false`, `None` or `""`.
fn says_no_error(text: &[u8]) -> bool {
    matches!(text, b"" | b"false" | b"None" | b"\"\"")
}

fn error(told: HintValue<'_>) -> u16 {
    match told {
        HintValue::Bool(false) => FINE,
        HintValue::Text(text, true) if says_no_error(text) => FINE,
        _ => FAILS,
    }
}

fn code(told: HintValue<'_>) -> u16 {
    match told {
        _ if is_word(told, "ok") => FINE,
        _ if is_word(told, "error") => FAILS,
        _ => UNSET,
    }
}

fn grpc(told: HintValue<'_>) -> u16 {
    match number(told).or_else(|| grpc_by_name(told)) {
        // No code at all.
        None | Some(0) => FINE,
        Some(code) => {
            let is_servers = GRPC_FAILURES_OF_SERVERS.contains(&code)
                || usize::try_from(code).is_ok_and(|code| code >= GRPC_NAMES.len());
            if is_servers { FAILS } else { FAILS_CALLERS }
        }
    }
}

fn grpc_by_name(told: HintValue<'_>) -> Option<i128> {
    let text = unquoted(told)?;
    let is_name = |name: &&str| {
        let letters = text.iter().filter(|byte| **byte != b'_').map(u8::to_ascii_lowercase);
        letters.eq(name.bytes())
    };
    GRPC_NAMES.iter().position(is_name).and_then(|code| i128::try_from(code).ok())
}

/// A number, or the number at the beginning of a text such as `503 Service Unavailable`.
fn number(told: HintValue<'_>) -> Option<i128> {
    /// No status code has more digits.
    const DIGITS_MAX: usize = 9;
    match told {
        HintValue::Number(n) => Some(n),
        HintValue::Text(text, _) => {
            let text = text.strip_prefix(b"\"").unwrap_or(text);
            let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
            let digits: usize = digits.count();
            std::str::from_utf8(text.get(..digits.min(DIGITS_MAX))?).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// Whether a text is this word, in upper or lower case, also with quotation marks around it.
fn is_word(told: HintValue<'_>, word: &str) -> bool {
    unquoted(told).is_some_and(|text| text.eq_ignore_ascii_case(word.as_bytes()))
}

fn unquoted(told: HintValue<'_>) -> Option<&[u8]> {
    let HintValue::Text(text, true) = told else { return None };
    let inner = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    Some(inner.unwrap_or(text))
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;

    const NAMES: [&str; 8] = [
        ERROR,
        "otel.kind",
        "otel.status_code",
        "otel.status_description",
        "otel.status_message",
        "http.response.status_code",
        "http.status_code",
        "rpc.grpc.status_code",
    ];

    fn text(text: &str) -> HintValue<'_> {
        HintValue::Text(text.as_bytes(), true)
    }

    fn said(fields: &[(Role, HintValue<'_>)]) -> StatusHints {
        let mut said = StatusHints::default();
        fields.iter().for_each(|(role, told)| said.tell(*role, *told));
        said
    }

    #[test]
    fn no_name_with_a_role_is_passed_over() {
        for name in NAMES {
            assert!(Role::may_be_of(name) && Role::of(name).is_some(), "{name}");
        }
        for name in
            ["errors", "status", "http.request.method", "", "a.name.that.is.far.too.long.for.it"]
        {
            assert_eq!(Role::of(name), None, "{name}");
        }
    }

    #[test]
    fn padding_says_all_that_was_said_and_is_padding() {
        for bits in 0..1 << STATUS_HINT_BITS {
            let said = StatusHints::from_bits(bits);
            let words = [fields::padding(2), u64::MAX, said.word()];
            assert!(fields::is_padding(said.word()) && !fields::is_cut(said.word()));
            assert_eq!(fields::len_of(said.word()), 1);
            assert_eq!(Fields::new(&words).next(), None);
            assert_eq!(StatusHints::in_words(&[(0, Role::Error)], &words), said);
        }
    }

    #[test]
    fn what_is_said_later_takes_the_place_of_what_was_said_of_the_same_field() {
        let first =
            said(&[(Role::Error, HintValue::Bool(true)), (Role::Http, HintValue::Number(503))]);
        let later = said(&[(Role::Error, text("None")), (Role::Grpc, text("\"NotFound\""))]);
        let both = said(&[
            (Role::Error, HintValue::Bool(false)),
            (Role::Http, HintValue::Number(500)),
            (Role::Grpc, HintValue::Number(5)),
        ]);
        assert_eq!(first.then(later), both);
        assert_eq!(both.then(StatusHints::default()), both);
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (told, number_of) in [
            (HintValue::Number(-1), Some(-1)),
            (of_float(503.0), Some(503)),
            (of_float(503.5), None),
            (of_float(f64::NAN), None),
            (text("503"), Some(503)),
            (text("\"503\""), Some(503)),
            (text("503 Service Unavailable"), Some(503)),
            (text("12345678901234567890"), Some(123_456_789)),
            (text("five hundred"), None),
            (text(""), None),
            (HintValue::Bool(true), None),
        ] {
            assert_eq!(number(told), number_of, "{told:?}");
        }
        for (code, name) in [(0, "Ok"), (4, "DEADLINE_EXCEEDED"), (16, "Unauthenticated")] {
            assert_eq!(grpc_by_name(text(name)), Some(code), "{name}");
        }
    }

    #[test]
    fn a_status_that_the_program_sets_comes_before_rules() {
        let http = (Role::Http, HintValue::Number(503));
        let (no_error, error) =
            ((Role::Error, HintValue::Bool(false)), (Role::Error, HintValue::Bool(true)));
        let (ok, failed) = ((Role::Code, text("OK")), (Role::Code, text("Error")));
        let message = (Role::Description, text("refused"));
        for (fields, marked, with_rules, without) in [
            (&[][..], false, false, false),
            (&[], true, true, true),
            (&[http], false, true, false),
            (&[http, no_error], false, false, false),
            (&[http, no_error], true, true, true),
            (&[http, ok], true, false, true),
            (&[error, ok], false, false, true),
            (&[no_error, failed], false, true, false),
            (&[message], false, true, false),
            (&[message, ok], false, false, false),
            (&[(Role::Description, text("")), no_error], false, false, false),
        ] {
            let said = said(fields);
            assert_eq!(said.has_failed(marked, true), with_rules, "{fields:?}, marked {marked}");
            assert_eq!(said.has_failed(marked, false), without, "{fields:?}, marked {marked}");
        }
    }
}
