//! `spandrel export otlp --to URL`: the spans, sent to a receiver of OTLP over HTTP.
//!
//! ```text
//!  profile ──read, encode, compress──> queue, a file ──sender: a request at a time──> receiver
//! ```
//!
//! The spans that a receiver has accepted are counted, also when it does not accept all: so the sender knows
//! which spans have arrived. <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

mod address;
mod answer;
mod backoff;
mod endpoint;
mod post;
mod queue;
mod sender;

use std::env;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use spandrel_export::{ExportError, Format, Settings, Written, otlp_requests};
use spandrel_query::parse_duration_ns;

use self::endpoint::{Asked, Endpoint};
use self::post::Poster;
use self::queue::{Entrance, queue};
use self::sender::{Failed, News, Sender, Tally};
use super::watch::Watch;
use crate::commands::prelude::*;

#[derive(Debug, Args)]
#[command(next_help_heading = "Sending options (otlp, otlp-json)")]
pub(super) struct Options {
    /// Send to this receiver, at /v1/traces, by default
    /// $OTEL_EXPORTER_OTLP_ENDPOINT
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Header, such as 'authorization=Bearer TOKEN'; also
    /// $OTEL_EXPORTER_OTLP_HEADERS
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// How long to retry if it is not ready (0s = never) [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = length)]
    retry_for: Option<Duration>,
}

/// How long it is tried, if nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

fn length(text: &str) -> Result<Duration, String> {
    let ns = parse_duration_ns(text).map_err(|error| error.to_string())?;
    u64::try_from(ns).map(Duration::from_nanos).map_err(|_| "a time before now".to_owned())
}

impl Options {
    pub(super) fn is_named(&self) -> bool {
        self.to.is_some()
    }

    /// Whether to send instead of writing a file. Refuses options that do not fit together.
    pub(super) fn is_sent(&self, format: Format, context: &Context) -> Result<bool, Failure> {
        let is_sent = self.is_named() || format == Format::Otlp;
        let name = format.name();
        if is_sent && !matches!(format, Format::Otlp | Format::OtlpJson) {
            let failure = Failure::usage(format!("{name} cannot be sent"));
            return Err(failure.hint("`spandrel export otlp --to URL`"));
        }
        if is_sent && (context.output.path.is_some() || context.output.is_standard) {
            let failure = Failure::usage(format!("{name} is sent here, and not written to a file"));
            return Err(failure.hint("`spandrel export otlp-json -o FILE` writes a file"));
        }
        let others =
            [("--header", !self.headers.is_empty()), ("--retry-for", self.retry_for.is_some())];
        match others.into_iter().find(|(_, is_given)| *is_given && !is_sent) {
            Some((option, _)) => Err(Failure::usage(format!("{option} is for what is sent"))
                .hint("`spandrel export otlp --to URL`")),
            None => Ok(is_sent),
        }
    }
}

pub(super) fn send(
    options: &Options,
    profile: &Profile,
    settings: &Settings,
    context: &Context,
    stop: &Arc<AtomicBool>,
) -> Result<Written, Failure> {
    let json = settings.format == Format::OtlpJson;
    let asked = Asked { to: options.to.as_deref(), headers: &options.headers, json };
    let endpoint = Endpoint::new(asked, &|name| env::var(name).ok())?;
    let shown = endpoint.shown.clone();
    let put_by = |error| {
        let folder = env::temp_dir();
        let message = format!("cannot put requests by in {}: {error}", folder.display());
        Failure::cannot_read(message).hint("free some space, or name another folder by $TMPDIR")
    };
    let (entrance, exit) = queue().map_err(put_by)?;
    let poster = Poster::new(endpoint.clone())?;
    let patience = options.retry_for.unwrap_or(PATIENCE);
    let sender = Sender::start(poster, exit, patience, Arc::clone(stop))
        .map_err(|error| Failure::cannot_read(format!("cannot start a thread: {error}")))?;
    let sending = Sending { sender, shown, context, profile };
    let read = sending.read(entrance, &endpoint, settings, stop);
    if matches!(read, Err(ExportError::Profile(_) | ExportError::Spool(_) | ExportError::Write(_)))
    {
        // Relaxed: as where it is read.
        stop.store(true, Ordering::Relaxed);
    }
    sending.wait(stop);
    let tally = sending.sender.tally();
    match (read, &tally.failed) {
        (_, Some(failed)) => Err(sending.not_taken(failed, &tally)),
        (Err(ExportError::Stopped), None) => Err(sending.interrupted(&tally)),
        (Ok(_), None) if !tally.is_complete => Err(sending.interrupted(&tally)),
        (Err(ExportError::Profile(error)), None) => Err(sending.only(error.into(), &tally)),
        (Err(ExportError::Write(error)), None) => Err(sending.only(put_by(error), &tally)),
        (Err(error), None) => Err(sending.only(Failure::cannot_read(error.to_string()), &tally)),
        (Ok(written), None) => sending.taken(&tally).map(|()| written),
    }
}

struct Sending<'a> {
    sender: Sender,
    /// The receiver, as it can be said.
    shown: String,
    context: &'a Context,
    profile: &'a Profile,
}

impl Sending<'_> {
    /// Puts all requests into the queue.
    fn read(
        &self,
        mut entrance: Entrance,
        endpoint: &Endpoint,
        settings: &Settings,
        stop: &AtomicBool,
    ) -> Result<Written, ExportError> {
        let mut watch = Watch::new(self.profile, self.context);
        let mut source = self.profile.source().watched_by(|rows| {
            watch.show(rows);
            match stop.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        otlp_requests(&mut source, settings, endpoint.encoding, &mut |request| {
            self.tell_news();
            let body = if endpoint.gzip { compressed(&request.body)? } else { request.body };
            match entrance.put(&body, request.spans, request.first_span)? {
                true => Ok(()),
                // Nothing more is taken.
                false => Err(ExportError::Stopped),
            }
        })
    }

    fn tell_news(&self) {
        while let News::Line(line) = self.sender.news(false) {
            self.context.output.say(&text::clean(&format!("{}: {line}", self.shown)));
        }
    }

    /// Waits until everything is sent, or until somebody wants this program to end.
    fn wait(&self, stop: &AtomicBool) {
        let (mut progress, began) = (self.context.output.progress(), Instant::now());
        loop {
            match self.sender.news(true) {
                News::Line(line) => {
                    self.context.output.say(&text::clean(&format!("{}: {line}", self.shown)));
                }
                News::None if stop.load(Ordering::Relaxed) => return,
                News::None => progress.show(|| {
                    let spans = text::counted(self.sender.tally().spans, "span");
                    let seconds = began.elapsed().as_secs();
                    format!("sending to {}: {spans} taken, {seconds} s", self.shown)
                }),
                News::End => return,
            }
        }
    }

    /// Everything was sent. Says whether everything was accepted.
    fn taken(&self, tally: &Tally) -> Result<(), Failure> {
        let spans = text::counted(tally.spans, "span");
        let requests = text::counted(tally.requests, "request");
        let bytes = text::bytes(tally.bytes);
        let output = &self.context.output;
        output.say(&text::clean(&format!("sent {spans} ({requests}, {bytes}) to {}", self.shown)));
        if tally.again > 0 {
            let times = text::counted(tally.again, "time");
            output.say(&format!("note: sent again {times}, as it was not ready or not there"));
        }
        let said = tally.warnings.join("; ");
        if tally.rejected > 0 {
            let rejected = text::count(tally.rejected);
            let why = if said.is_empty() { "it did not say why" } else { &said };
            let message = format!("{} rejected {rejected} of {spans}: {why}", self.shown);
            return Err(Failure::cannot_read(message));
        }
        if !said.is_empty() {
            output.say(&text::clean(&format!("note: {} says: {said}", self.shown)));
        }
        Ok(())
    }

    /// A request was not accepted: says what has arrived before, and what has not.
    fn not_taken(&self, failed: &Failed, tally: &Tally) -> Failure {
        let Failed { why, spans, first_span, tries } = failed;
        let times = if *tries > 1 { format!(", {tries} times") } else { String::new() };
        let arrived = arrived(tally);
        let what_arrived = match (why.is_unknown, tally.requests) {
            (true, _) => {
                let these = text::counted(*spans, "span");
                format!("{arrived}; whether {these} from s{first_span} on arrived is not known")
            }
            (false, 0) => arrived,
            (false, _) => format!("{arrived}; s{first_span} and those after it did not"),
        };
        let message = format!("cannot send to {}: {}{times}\n{what_arrived}", self.shown, why.what);
        let failure = Failure::cannot_read(message);
        match &why.hint {
            Some(hint) => failure.hint(hint.clone()),
            None => failure,
        }
    }

    fn interrupted(&self, tally: &Tally) -> Failure {
        let message = format!("stopped; of what was sent to {}, {}", self.shown, arrived(tally));
        self.context.output.warn(&text::clean(&message));
        Failure::cannot_read(message)
    }

    /// Something else went wrong on the way.
    fn only(&self, failure: Failure, tally: &Tally) -> Failure {
        let message = format!("{}\n{} at {}", failure.message, arrived(tally), self.shown);
        Failure { message, ..failure }
    }
}

fn arrived(tally: &Tally) -> String {
    if tally.requests == 0 {
        return "no span arrived".to_owned();
    }
    let requests = text::counted(tally.requests, "request");
    let rejected = match tally.rejected {
        0 => String::new(),
        rejected => format!(", of which {} were rejected,", text::count(rejected)),
    };
    format!("{}{rejected} in {requests} arrived", text::counted(tally.spans, "span"))
}

fn compressed(body: &[u8]) -> Result<Vec<u8>, ExportError> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    Ok(encoder.finish()?)
}
