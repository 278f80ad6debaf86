//! `spandrel export otlp --to https://...`: which receivers are trusted, and what is said of the others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "given/mod.rs"]
mod given;
#[path = "receiver/mod.rs"]
mod receiver;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use given::{profile, said, spandrel};
use receiver::{Receiver, serve};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// Of an authority that only these tests know, and of a server and client that it vouches for: `localhost`,
/// 127.0.0.1, from 2020 to 2120. Made with `openssl ca`.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/receiver/tls").join(name)
}

/// A receiver with the certificate of that server; one that asks who sends, if it is to.
fn receiver(asks_who: bool) -> Receiver {
    receiver_with("server.pem", "server.key", asks_who)
}

fn receiver_with(certificate: &str, key: &str, asks_who: bool) -> Receiver {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificates = |name| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(file(name)).unwrap().map(Result::unwrap).collect()
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match asks_who {
        false => builder.with_no_client_auth(),
        true => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates("ca.pem"));
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_file(file(key)).unwrap();
    let config = Arc::new(builder.with_single_cert(certificates(certificate), key).unwrap());
    Receiver::over([], move |stream, shared| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        serve(&mut stream, shared);
        // Whoever closes with something unread takes back the alert that says why.
        let _ = stream.sock.read_to_end(&mut Vec::new());
    })
}

/// Sends three spans there, with these variables; exit code and what is said.
fn send(to: &str, variables: &[(&str, &str)]) -> (i32, String) {
    let folder = profile(3);
    let mut command = spandrel(folder.path(), &["otlp", "--to", to, "--retry-for", "0s"]);
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(name);
    }
    for (name, value) in variables {
        // A file of the tests by its name.
        let path = file(value);
        command.env(name, if path.exists() { path } else { value.into() });
    }
    said(command)
}

fn at(receiver: &Receiver, host: &str) -> String {
    format!("https://{host}:{}", receiver.address.port())
}

const TRUSTED: (&str, &str) = ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem");

#[test]
fn a_receiver_with_an_unknown_certificate_gets_nothing_and_the_way_out_is_said() {
    let receiver = receiver(false);
    let (code, text) = send(&at(&receiver, "localhost"), &[]);
    assert_eq!(code, 3, "{text}");
    let first = format!("error: cannot send to {}/v1/traces: ", at(&receiver, "localhost"));
    assert!(text.starts_with(&first) && text.contains("UnknownIssuer"), "{text}");
    assert!(text.contains("no span arrived\n"), "{text}");
    assert!(text.contains("hint: OTEL_EXPORTER_OTLP_CERTIFICATE=FILE names"), "{text}");
    assert!(receiver.requests().is_empty());
}

#[test]
fn a_receiver_whose_authority_is_named_gets_all() {
    let receiver = receiver(false);
    for (host, name) in [
        ("localhost", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        ("127.0.0.1", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"),
    ] {
        let (code, text) = send(&at(&receiver, host), &[(name, "ca.pem")]);
        assert_eq!(code, 0, "{text}");
        assert!(text.starts_with("sent 3 spans (1 request, "), "{text}");
    }
    assert_eq!(receiver.requests().len(), 2);
}

/// As with OpenSSL; the systems of Apple and Windows have stores of their own.
#[cfg(all(unix, not(target_vendor = "apple")))]
#[test]
fn authorities_of_the_system_can_be_named_in_its_own_way() {
    let receiver = receiver(false);
    let (code, text) = send(&at(&receiver, "localhost"), &[("SSL_CERT_FILE", "ca.pem")]);
    assert_eq!((code, receiver.requests().len()), (0, 1), "{text}");
    // A system without any.
    let none = [("SSL_CERT_FILE", "/nowhere/at/all"), ("SSL_CERT_DIR", "/nowhere/at/all")];
    let (code, text) = send(&at(&receiver, "localhost"), &none);
    assert_eq!((code, receiver.requests().len()), (3, 1), "{text}");
    assert!(text.contains("hint: OTEL_EXPORTER_OTLP_CERTIFICATE=FILE names"), "{text}");
    let (code, text) = send(&at(&receiver, "localhost"), &[none[0], none[1], TRUSTED]);
    assert_eq!((code, receiver.requests().len()), (0, 2), "{text}");
}

/// As `openssl req -x509` makes it, which other programs take.
#[test]
fn a_receiver_that_is_its_own_authority_is_told_apart() {
    let receiver = receiver_with("ca.pem", "ca.key", false);
    let (code, text) = send(&at(&receiver, "localhost"), &[TRUSTED]);
    assert_eq!((code, receiver.requests().len()), (3, 0), "{text}");
    assert!(text.contains("hint: the receiver's certificate is made for an authority"), "{text}");
    let own = receiver_with("own.pem", "server.key", false);
    let (code, text) = send(&at(&own, "localhost"), &[(TRUSTED.0, "own.pem")]);
    assert_eq!((code, own.requests().len()), (0, 1), "{text}");
}

#[test]
fn a_receiver_that_asks_who_sends_is_told() {
    let receiver = receiver(true);
    let to = at(&receiver, "localhost");
    let (code, text) = send(&to, &[TRUSTED]);
    assert_eq!((code, receiver.requests().len()), (3, 0), "{text}");
    assert!(text.contains("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"), "{text}");
    let us = [
        TRUSTED,
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "server.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "server.key"),
    ];
    let (code, text) = send(&to, &us);
    assert_eq!((code, receiver.requests().len()), (0, 1), "{text}");
}

#[test]
fn what_is_wrong_with_a_file_is_said_before_anything_is_sent() {
    let receiver = receiver(false);
    let to = at(&receiver, "localhost");
    for (variables, says) in [
        (&[("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem")][..], "cannot read /nowhere.pem: "),
        (
            &[("OTEL_EXPORTER_OTLP_CERTIFICATE", "server.key")],
            "has no certificate in the format PEM",
        ),
        (
            &[
                ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "server.pem"),
                ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "ca.pem"),
            ],
            "has no key in the format PEM",
        ),
        (
            &[("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "server.pem")],
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        ),
    ] {
        let (code, text) = send(&to, variables);
        assert!(code != 0 && text.contains(says), "{says}: {text}");
        assert!(!text.contains("trying again"), "{text}");
    }
    assert!(receiver.requests().is_empty());
}

#[test]
fn https_where_there_is_none_is_said() {
    // As servers answer what is no HTTP.
    let receiver = Receiver::over([], |mut stream, _| {
        stream.read_exact(&mut [0; 16]).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
        // Until the other side has gone.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (code, text) = send(&at(&receiver, "127.0.0.1"), &[TRUSTED]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("a receiver without TLS is http://"), "{text}");
}
