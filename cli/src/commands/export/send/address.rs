//! The address of a receiver: which path it has, and which part of it can be printed.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ureq::http::{HeaderName, HeaderValue, Uri};

use crate::failure::Failure;

/// What is appended to the address of a receiver.
const PATH: &str = "/v1/traces";

/// The address of a receiver's traces, from the address of the receiver.
pub(super) fn with_path(url: &str) -> String {
    let (base, query) = match url.split_once('?') {
        Some((base, query)) => (base, format!("?{query}")),
        None => (url, String::new()),
    };
    let base = if base.ends_with("://") { base } else { base.trim_end_matches('/') };
    let path = if base.ends_with(PATH) { "" } else { PATH };
    format!("{base}{path}{query}")
}

/// An address, taken apart.
pub(super) struct Address {
    /// All of it but `user:password@`.
    pub(super) url: String,
    /// Without the query, in which keys are given, too.
    pub(super) shown: String,
    /// `user:password@` as a header.
    pub(super) credentials: Option<(HeaderName, HeaderValue)>,
}

impl Address {
    pub(super) fn of(url: &str, of: &str) -> Result<Self, Failure> {
        let hint = "such as http://localhost:4318 or https://otlp.example.com";
        let wrong = |what: &str| Failure::usage(format!("{of}: {what}")).hint(hint);
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let Some(scheme @ ("http" | "https")) = scheme.as_deref() else {
            return Err(wrong("the address has to begin with http:// or https://"));
        };
        let uri: Uri = url.parse().map_err(|_| wrong("this is no address"))?;
        let Some(authority) = uri.authority().filter(|_| uri.host().is_some_and(|h| !h.is_empty()))
        else {
            return Err(wrong("the address names no host"));
        };
        let (user, host) = match authority.as_str().rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority.as_str()),
        };
        let credentials = user.map(|user| {
            let encoded = BASE64_STANDARD.encode(decoded(user));
            secret(&format!("Basic {encoded}"))
                .map(|value| (ureq::http::header::AUTHORIZATION, value))
                .ok_or_else(|| wrong("user and password cannot be sent"))
        });
        let path = uri.path();
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self {
            url: format!("{scheme}://{host}{path}{query}"),
            shown: format!("{scheme}://{host}{path}"),
            credentials: credentials.transpose()?,
        })
    }
}

/// The value of a header that is not to be printed; `None` if it cannot be one.
pub(super) fn secret(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Percent-decoded; unchanged where that gives no text.
pub(super) fn decoded(text: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.map_or_else(|_| text.to_owned(), Cow::into_owned)
}
