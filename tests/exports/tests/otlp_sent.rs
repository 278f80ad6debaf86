//! OTLP, sent through a collector: rotel takes what the command sends, and sends it on; what comes out at its
//! other end is what the database says.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use spandrel_export::{Format, OtlpEncoding, Settings, Source, otlp_requests};
use spandrel_query::{Reader, Run};
use spandrel_tests_exports::nasty::{nasty, rows};
use spandrel_tests_exports::profile::STARTED_UNIX_NS;
use spandrel_tests_exports::receiver::Receiver;
use spandrel_tests_exports::{Given, SpanSpec};

/// The command, and rotel's agent; says aloud when one is not there.
fn programs() -> Option<[PathBuf; 2]> {
    let program = |name: &str| {
        let found = std::env::var_os(name).map(PathBuf::from).filter(|path| path.exists());
        if found.is_none() {
            eprintln!("SKIPPED: sending to rotel; scripts/exports.sh gets it, and sets {name}");
        }
        found
    };
    Some([program("SPANDREL_TEST_COMMAND")?, program("SPANDREL_TEST_ROTEL")?])
}

/// A collector that sends on to `to`.
struct Rotel {
    child: Child,
    url: String,
}

impl Rotel {
    fn start(agent: &Path, to: &Receiver, folder: &Path) -> Self {
        // Ports that were free a moment ago.
        let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (http, grpc) = (port(), port());
        let child = Command::new(agent)
            .args(["start", "--otlp-http-endpoint", &http, "--otlp-grpc-endpoint", &grpc])
            .args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"])
            .args(["--otlp-exporter-endpoint", &to.url()])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, url: format!("http://{http}") }
    }

    /// Ends it: it sends on what it has.
    fn end(mut self) {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(kill.success());
        self.child.wait().unwrap();
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill();
    }
}

fn spans(requests: impl Iterator<Item = ExportTraceServiceRequest>) -> BTreeMap<Vec<u8>, Span> {
    let resources = requests.flat_map(|request| request.resource_spans);
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    let mut all = BTreeMap::new();
    for span in scopes.flat_map(|scope| scope.spans) {
        let id = span.span_id.clone();
        assert!(all.insert(id.clone(), span).is_none(), "{id:?} arrived twice");
    }
    all
}

/// What the profile has to say.
fn said(reader: &Reader, run: &Run) -> BTreeMap<Vec<u8>, Span> {
    let mut requests = Vec::new();
    let mut source = Source::new(reader, run);
    let settings = Settings::new(Format::Otlp);
    otlp_requests(&mut source, &settings, OtlpEncoding::Protobuf, &mut |request| {
        requests.push(ExportTraceServiceRequest::decode(&request.body[..]).unwrap());
        Ok(())
    })
    .unwrap();
    spans(requests.into_iter())
}

/// Sends a profile through rotel, and compares what comes out.
fn check(folder: &Path, profile: &Path, run: &Run, format: &str) {
    let Some([command, agent]) = programs() else { return };
    let receiver = Receiver::new([]);
    let rotel = Rotel::start(&agent, &receiver, folder);
    // It may not be there yet, which the command waits for.
    let output = Command::new(command)
        .args(["export", format, "--to", &rotel.url, "--db"])
        .arg(profile)
        .env("NO_PROXY", "*")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.contains("sent "), "{text}");
    rotel.end();
    let requests = receiver.requests().into_iter();
    let arrived = spans(
        requests.map(|request| ExportTraceServiceRequest::decode(&request.body[..]).unwrap()),
    );
    let rows = rows(profile);
    assert_eq!(arrived.len(), rows.len());
    for row in rows {
        let span = &arrived[&row.id.to_be_bytes().to_vec()];
        let unix = |ns: i64| (STARTED_UNIX_NS + ns) as u64;
        let end_ns = row.duration_ns.map_or(run.last_ns, |ns| row.start_ns + ns);
        let times = (span.start_time_unix_nano, span.end_time_unix_nano);
        assert_eq!(times, (unix(row.start_ns), unix(end_ns)), "s{}", row.id);
    }
    let said = said(&Reader::open(profile).unwrap(), run);
    for (id, span) in &arrived {
        assert_eq!(Some(span), said.get(id));
    }
}

#[test]
fn a_nasty_profile_arrives_span_by_span() {
    for format in ["otlp", "otlp-json"] {
        let profile = nasty();
        check(profile.folder.path(), &profile.path, &profile.run, format);
    }
}

#[test]
fn five_thousand_spans_arrive_once() {
    let spans = vec![SpanSpec { duration_ns: Some(1), ..SpanSpec::default() }; 5_001];
    let made =
        Given { spans, names: vec!["n".into()], threads: vec![None], ..Given::default() }.make();
    check(made.folder.path(), &made.path, &made.run, "otlp");
}
