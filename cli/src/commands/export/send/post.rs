//! One request, sent once, and what became of it.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body, Error};

use super::answer::{self, Taken};
use super::endpoint::Endpoint;
use crate::failure::Failure;

/// What became of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The receiver has it.
    Taken(Taken),
    /// Worth a retry, after the given time if the receiver named one.
    Again { why: Why, after: Option<Duration> },
    /// A retry would get the same answer.
    Never(Why),
}

/// Why it was not taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Why {
    pub(super) what: String,
    pub(super) hint: Option<String>,
    /// Whether it may have been accepted nevertheless: there was no answer.
    pub(super) is_unknown: bool,
}

impl Why {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Sends to one receiver.
pub(super) struct Poster {
    agent: Agent,
    endpoint: Endpoint,
}

impl Poster {
    pub(super) fn new(endpoint: Endpoint) -> Result<Self, Failure> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A redirected POST becomes a GET, which any page answers with 200.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_per_call(Some(endpoint.timeout))
            .user_agent(concat!("spandrel/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls(&endpoint)?)
            .build();
        Ok(Self { agent: Agent::new_with_config(config), endpoint })
    }

    pub(super) fn post(&self, body: &[u8]) -> Outcome {
        let mut request = self.agent.post(&self.endpoint.url);
        for (name, value) in &self.endpoint.headers {
            request = request.header(name, value);
        }
        request = request.header(header::CONTENT_TYPE, self.endpoint.content_type());
        if self.endpoint.gzip {
            request = request.header(header::CONTENT_ENCODING, "gzip");
        }
        match request.send(body) {
            Ok(response) => self.answered(response),
            Err(error) => self.failed(&error),
        }
    }

    fn answered(&self, mut response: Response<Body>) -> Outcome {
        let status = response.status();
        let text = |name| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let kind = text(header::CONTENT_TYPE).unwrap_or_default();
        let after = text(header::RETRY_AFTER);
        let location = text(header::LOCATION);
        let limited = response.body_mut().with_config().limit(answer::BYTES_MAX);
        // If the answer is too long, or ends early, only its status counts.
        let body = limited.read_to_vec().unwrap_or_default();
        let said = format!("it answered {}", named(status));
        if status.is_success() {
            return match answer::taken(&kind, &body) {
                Some(taken) => Outcome::Taken(taken),
                None => Outcome::Never(
                    Why::new(format!("{said} with a page, which no receiver of OTLP does"))
                        .hint("most receive OTLP over HTTP on port 4318"),
                ),
            };
        }
        if status.is_redirection() {
            let to = location.map(|to| format!(" to {to}")).unwrap_or_default();
            let why = Why::new(format!("it answered {}{to}", named(status)));
            return Outcome::Never(why.hint("name that address: what is sent is not redirected"));
        }
        let reason = answer::reason(&kind, &body).map(|reason| format!(": {reason}"));
        let why = Why::new(said + &reason.unwrap_or_default());
        match status.as_u16() {
            429 | 502..=504 => {
                let after = after.and_then(|after| answer::retry_after(&after, Timestamp::now()));
                Outcome::Again { why, after }
            }
            401 | 403 => Outcome::Never(why.hint("--header 'authorization=Bearer TOKEN'")),
            404 | 405 => Outcome::Never(why.hint(
                "`--to` takes the address of the receiver and appends /v1/traces; \
                 $OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is taken as it is",
            )),
            400 | 415 if self.endpoint.gzip => Outcome::Never(
                why.hint("OTEL_EXPORTER_OTLP_COMPRESSION=none sends without gzip, if it is that"),
            ),
            _ => Outcome::Never(why),
        }
    }

    fn failed(&self, error: &Error) -> Outcome {
        let again = |what: String, is_unknown| Outcome::Again {
            why: Why { what, hint: self.of_port(), is_unknown },
            after: None,
        };
        match error {
            Error::Timeout(of) => {
                let long = self.endpoint.timeout.as_secs_f64();
                let is_connecting = matches!(of, ureq::Timeout::Connect | ureq::Timeout::Resolve);
                again(format!("it did not answer within {long} s"), !is_connecting)
            }
            Error::Io(error) => {
                if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
                    return Outcome::Never(of_tls(error));
                }
                let refused = [io::ErrorKind::ConnectionRefused, io::ErrorKind::AddrNotAvailable];
                again(error.to_string(), !refused.contains(&error.kind()))
            }
            Error::ConnectionFailed => again("no connection".into(), false),
            Error::HostNotFound => Outcome::Never(Why::new("there is no such host")),
            Error::Rustls(error) => Outcome::Never(of_tls(error)),
            Error::Protocol(error) => Outcome::Never(
                Why::new(format!("its answer is not HTTP/1.1: {error}"))
                    .hint("is it a port for gRPC? Most have OTLP over HTTP on port 4318"),
            ),
            other => Outcome::Never(Why { is_unknown: true, ..Why::new(other.to_string()) }),
        }
    }

    /// The usual mistake in such an address.
    fn of_port(&self) -> Option<String> {
        let is_grpc = self.endpoint.shown.contains(":4317/");
        is_grpc.then(|| "port 4317 is for gRPC; OTLP over HTTP is on port 4318".to_owned())
    }
}

fn named(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// The TLS handshake failed, and would fail again.
fn of_tls(error: &rustls::Error) -> Why {
    use rustls::AlertDescription::{
        AccessDenied, BadCertificate, CertificateRequired, CertificateUnknown, UnknownCA,
    };
    let what = error.to_string();
    let hint = match error {
        rustls::Error::AlertReceived(
            AccessDenied | BadCertificate | CertificateRequired | CertificateUnknown | UnknownCA,
        ) => {
            "the receiver wants to know who sends: OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=FILE and \
             OTEL_EXPORTER_OTLP_CLIENT_KEY=FILE"
        }
        _ if what.contains("CaUsedAsEndEntity") => {
            "the receiver's certificate is made for an authority, not for a server; make it with \
             basicConstraints=CA:FALSE"
        }
        _ => {
            "OTEL_EXPORTER_OTLP_CERTIFICATE=FILE names the certificates to trust; a receiver without TLS is \
             http://"
        }
    };
    Why::new(what).hint(hint)
}

fn tls(endpoint: &Endpoint) -> Result<TlsConfig, Failure> {
    let roots = match &endpoint.trusted {
        Some(path) => RootCerts::from(certificates(path)?),
        None => RootCerts::PlatformVerifier,
    };
    let client = match &endpoint.client {
        Some((chain, key)) => Some(ClientCert::new_with_certs(&certificates(chain)?, secret(key)?)),
        None => None,
    };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(roots)
        .client_cert(client)
        .build())
}

fn certificates(path: &str) -> Result<Vec<Certificate<'static>>, Failure> {
    let read = read(path)?;
    let items = ureq::tls::parse_pem(&read);
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let all: Vec<_> = items.filter_map(certificate).collect();
    if all.is_empty() {
        return Err(Failure::usage(format!("{path} has no certificate in the format PEM")));
    }
    Ok(all)
}

fn secret(path: &str) -> Result<PrivateKey<'static>, Failure> {
    PrivateKey::from_pem(&read(path)?)
        .map_err(|_| Failure::usage(format!("{path} has no key in the format PEM")))
}

fn read(path: &str) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::cannot_read(format!("cannot read {path}: {error}")))
}
