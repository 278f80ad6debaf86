//! Where OTLP is sent, and with what: options first, then the variables that OpenTelemetry's own exporters
//! read (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).

use std::time::Duration;

use spandrel_export::OtlpEncoding;
use ureq::http::{HeaderName, HeaderValue};

use super::address::{Address, decoded, secret, with_path};
use crate::failure::Failure;

/// How long a receiver may take for one answer, if nobody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Headers that the body decides.
const OURS: [&str; 4] = ["content-type", "content-encoding", "content-length", "host"];

/// The value of a variable of the environment.
type Variables<'v> = &'v dyn Fn(&str) -> Option<String>;

/// A receiver.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// All of the address.
    pub(super) url: String,
    /// What of it can be said: no password, and no query, in which keys are given.
    pub(super) shown: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) encoding: OtlpEncoding,
    pub(super) gzip: bool,
    pub(super) timeout: Duration,
    /// Files of certificates: of whom to trust, and of who we are, with the key of that.
    pub(super) trusted: Option<String>,
    pub(super) client: Option<(String, String)>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) to: Option<&'a str>,
    pub(super) headers: &'a [String],
    /// JSON; otherwise protocol buffers, unless a variable says JSON.
    pub(super) json: bool,
}

impl Endpoint {
    pub(super) fn new(asked: Asked<'_>, variables: Variables<'_>) -> Result<Self, Failure> {
        let variable = |name: &str| {
            [format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")]
                .into_iter()
                .find_map(|name| {
                    let value = variables(&name)?.trim().to_owned();
                    (!value.is_empty()).then_some((name, value))
                })
        };
        let protocol = variable("PROTOCOL").filter(|_| !asked.json);
        if let (None, Some((name, protocol))) = (asked.to, &protocol)
            && protocol == "grpc"
        {
            let message = format!("{name} is grpc, and this command sends over HTTP");
            let hint = "name the receiver: `--to http://HOST:4318`, where most have OTLP over HTTP";
            return Err(Failure::usage(message).hint(hint));
        }
        let is_json = |(_, protocol): (String, String)| protocol == "http/json";
        let (of, url) = match asked.to {
            Some(url) => ("--to".to_owned(), with_path(url)),
            None => match variable("ENDPOINT") {
                // That one is the whole address.
                Some((name, url)) if name.contains("_TRACES_") => (name, url),
                Some((name, url)) => (name, with_path(&url)),
                None => {
                    let failure = Failure::usage("it is not said where otlp is to be sent");
                    return Err(failure.hint(
                        "`--to http://localhost:4318`, or $OTEL_EXPORTER_OTLP_ENDPOINT; \
                         `spandrel export otlp-json -o FILE` writes a file",
                    ));
                }
            },
        };
        let Address { url, shown, credentials } = Address::of(&url, &of)?;
        let mut headers = Vec::new();
        headers.extend(credentials);
        for (name, list) in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"]
            .into_iter()
            .filter_map(|name| Some((name, variables(name)?)))
        {
            for pair in list.split(',').filter(|pair| !pair.trim().is_empty()) {
                put(&mut headers, header(pair, name, true)?);
            }
        }
        for pair in asked.headers {
            put(&mut headers, header(pair, "--header", false)?);
        }
        let is_plain = |(_, value): (String, String)| value == "none";
        Ok(Self {
            url,
            shown,
            headers,
            encoding: match asked.json || protocol.is_some_and(is_json) {
                true => OtlpEncoding::Json,
                false => OtlpEncoding::Protobuf,
            },
            gzip: !variable("COMPRESSION").is_some_and(is_plain),
            timeout: variable("TIMEOUT").map_or(Ok(TIMEOUT), |(name, ms)| timeout(&name, &ms))?,
            trusted: variable("CERTIFICATE").map(|(_, path)| path),
            client: match (variable("CLIENT_CERTIFICATE"), variable("CLIENT_KEY")) {
                (Some((_, certificate)), Some((_, key))) => Some((certificate, key)),
                (None, None) => None,
                (Some((name, _)), None) => return Err(alone(&name, "CLIENT_KEY")),
                (None, Some((name, _))) => return Err(alone(&name, "CLIENT_CERTIFICATE")),
            },
        })
    }

    pub(super) fn content_type(&self) -> &'static str {
        match self.encoding {
            OtlpEncoding::Json => "application/json",
            _ => "application/x-protobuf",
        }
    }
}

/// `NAME=VALUE`, or `NAME: VALUE`; in variables the value can have `%20` and the like. Values
/// of headers can be secret, so that no message has them.
fn header(pair: &str, of: &str, is_encoded: bool) -> Result<(HeaderName, HeaderValue), Failure> {
    let Some((name, value)) = pair.split_once(['=', ':']) else {
        let failure = Failure::usage(format!("{of}: a header without a value"));
        return Err(failure.hint("--header 'authorization=Bearer TOKEN'"));
    };
    let (name, value) = (name.trim(), value.trim());
    let value = if is_encoded { decoded(value) } else { value.to_owned() };
    let parsed = name.parse::<HeaderName>().ok().zip(secret(&value));
    let Some((name, value)) = parsed else {
        let message = format!("{of}: the header {name:?} cannot be sent");
        return Err(
            Failure::usage(message).hint("letters, digits and - make a name, one line a value")
        );
    };
    if OURS.contains(&name.as_str()) {
        return Err(Failure::usage(format!("{of}: the header {name} is set by what is sent")));
    }
    Ok((name, value))
}

/// One of two variables that make sense together only.
fn alone(name: &str, other: &str) -> Failure {
    let failure = Failure::usage(format!("{name} is set without the other half of it"));
    failure.hint(format!("OTEL_EXPORTER_OTLP_{other}=FILE goes with it"))
}

/// The last one of a name counts.
fn put(headers: &mut Vec<(HeaderName, HeaderValue)>, header: (HeaderName, HeaderValue)) {
    headers.retain(|(name, _)| *name != header.0);
    headers.push(header);
}

fn timeout(name: &str, ms: &str) -> Result<Duration, Failure> {
    match ms.parse() {
        Ok(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        _ => Err(Failure::usage(format!("{name}: {ms:?} is no number of milliseconds"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(to: Option<&str>, given: &[(&str, &str)]) -> Result<Endpoint, String> {
        let asked = Asked { to, headers: &[], json: false };
        let find = |name: &str| Some(given.iter().find(|(there, _)| *there == name)?.1.to_owned());
        Endpoint::new(asked, &find).map_err(|failure| failure.message)
    }

    #[test]
    fn the_path_is_appended_where_the_address_is_that_of_the_receiver() {
        for (to, url) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("https://a.example/otlp", "https://a.example/otlp/v1/traces"),
            ("https://a.example/otlp/v1/traces", "https://a.example/otlp/v1/traces"),
            ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
            ("https://a.example?key=1", "https://a.example/v1/traces?key=1"),
        ] {
            assert_eq!(endpoint(Some(to), &[]).unwrap().url, url);
        }
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:1");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:2/ingest");
        assert_eq!(endpoint(None, &[general]).unwrap().url, "http://general:1/v1/traces");
        assert_eq!(endpoint(None, &[general, traces]).unwrap().url, "http://traces:2/ingest");
        assert_eq!(endpoint(Some("http://x:3"), &[traces]).unwrap().url, "http://x:3/v1/traces");
    }

    #[test]
    fn no_secret_is_shown() {
        let of = endpoint(Some("https://me:p%40ss@a.example/otlp?key=k3y"), &[]).unwrap();
        assert_eq!(of.shown, "https://a.example/otlp/v1/traces");
        assert_eq!(of.url, "https://a.example/otlp/v1/traces?key=k3y");
        let (name, value) = &of.headers[0];
        assert_eq!(
            (name.as_str(), value.to_str().unwrap()),
            ("authorization", "Basic bWU6cEBzcw==")
        );
        assert!(!format!("{of:?}").contains("bWU6"), "{of:?}");
        let asked = Asked { to: Some("http://x"), headers: &["k ey=s3cret".into()], json: false };
        let failure = Endpoint::new(asked, &|_| None).unwrap_err();
        assert!(!failure.message.contains("s3cret"), "{failure}");
    }

    #[test]
    fn headers_come_from_variables_and_options_and_the_last_counts() {
        let given = [
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=one,x=a%20b=c,"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "API-KEY=two"),
        ];
        let find = |name: &str| Some(given.iter().find(|(there, _)| *there == name)?.1.to_owned());
        let headers = ["authorization: Bearer a:b=c".to_owned(), "x=y".to_owned()];
        let asked = Asked { to: Some("http://x"), headers: &headers, json: false };
        let got = Endpoint::new(asked, &find).unwrap().headers;
        let got: Vec<_> = got.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(got, [("api-key", "two"), ("authorization", "Bearer a:b=c"), ("x", "y")]);
        let asked = Asked { headers: &["Content-Type=text/plain".into()], ..asked };
        assert!(
            Endpoint::new(asked, &find).unwrap_err().message.contains("is set by what is sent")
        );
    }

    #[test]
    fn the_other_variables_are_heeded() {
        let to = Some("http://x");
        let of = endpoint(to, &[]).unwrap();
        assert_eq!((of.encoding, of.gzip, of.timeout), (OtlpEncoding::Protobuf, true, TIMEOUT));
        let of = endpoint(
            to,
            &[
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"),
            ],
        )
        .unwrap();
        assert_eq!(
            (of.encoding, of.gzip, of.timeout.as_millis()),
            (OtlpEncoding::Json, false, 250)
        );
        assert_eq!(of.trusted.as_deref(), Some("ca.pem"));
    }

    #[test]
    fn what_is_no_address_is_said() {
        for (to, given, says) in [
            (None, ("x", "y"), "it is not said where"),
            (Some("localhost:4318"), ("x", "y"), "has to begin with http:// or https://"),
            (Some("ftp://a"), ("x", "y"), "has to begin with http:// or https://"),
            (Some("http://"), ("x", "y"), "this is no address"),
            (Some("http://a b"), ("x", "y"), "this is no address"),
            (Some("http://x"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"), "no number of milliseconds"),
            (None, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "sends over HTTP"),
        ] {
            let message = endpoint(to, &[given]).unwrap_err();
            assert!(message.contains(says), "{to:?} {message}");
        }
    }
}
