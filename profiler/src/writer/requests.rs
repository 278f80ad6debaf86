//! Requests of other processes to the recording, through the file beside its profile.
//!
//! The writer looks for requests between rounds, and answers each one when it is committed. It never
//! waits for the file, and whatever is wrong with the file does not disturb the recording: then nobody
//! can ask, and the ledger says why, until the file is made anew.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spandrel_storage::{
    AnswerState, Control, Error, ErrorKind, Location, MarkRow, Request, Store, mark_label,
};

use super::renewal::Renewal;
use super::{Waiting, Writer, WriterState};
use crate::redact::{Redaction, redacted_object};
use crate::writer::control::Flush;

/// At least so long is between two looks ...
const INTERVAL: Duration = Duration::from_millis(20);
/// ... but if there are more requests than one look takes, so many times the length of the look:
/// somebody who floods the file gets a quarter of the writer's time.
const PAUSE: u32 = 3;
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// If another process has locked the file for longer than this, the ledger says so.
const BUSY_MAX: Duration = Duration::from_secs(1);
/// Requests that may wait to be committed.
const WAITING_MAX: usize = 64;
/// Answers that may wait to be written: those to the requests that a look refuses, and those to all that
/// wait.
const UNSENT_MAX: usize = 4 * WAITING_MAX;
/// Sections that other processes may have begun and not yet ended.
const SECTIONS_MAX: usize = 64;

/// Whom to tell that something is committed.
#[derive(Debug)]
pub(super) enum Done {
    /// A thread that waits for a flush.
    Thread(Flush),
    /// A request, and what to answer.
    Request { id: i64, result: String },
}

/// The requests to this recording.
#[derive(Debug)]
pub(crate) struct Requests {
    /// Whether requests are allowed.
    wanted: bool,
    control: Option<Control>,
    next_look: Instant,
    /// Since when another process has locked the file.
    busy_since: Option<Instant>,
    /// Answers that could not be written yet.
    unsent: VecDeque<(i64, AnswerState, String)>,
    /// Sections that have begun and not ended.
    sections: Vec<MarkRow>,
    /// When the file is made anew, after it was damaged.
    renewal: Renewal,
}

impl Requests {
    pub(crate) fn begin(wanted: bool, store: &Store, state: &WriterState) -> Self {
        let mut requests = Self {
            wanted,
            control: None,
            next_look: Instant::now() + INTERVAL,
            busy_since: None,
            unsent: VecDeque::new(),
            sections: Vec::new(),
            renewal: Renewal::default(),
        };
        requests.begin_file(store, state);
        requests
    }

    /// Makes the file; or, if requests are not allowed, removes one that a killed recorder has left.
    fn begin_file(&mut self, store: &Store, state: &WriterState) {
        let made = if self.wanted {
            Control::create(store).map(Some)
        } else {
            Control::remove(store).map(|()| None)
        };
        self.busy_since = None;
        match made {
            Ok(control) => {
                state.set_control_error(None);
                self.control = control;
                self.renewal.begun(Instant::now());
            }
            Err(error) => self.lose_file(error.to_string(), state),
        }
    }

    /// Nobody can ask until the file is made anew.
    fn lose_file(&mut self, why: String, state: &WriterState) {
        // This also removes the file, unless it is somebody else's.
        self.control = None;
        if self.wanted {
            self.renewal.harmed(Instant::now());
        }
        state.set_control_error(Some(why));
    }

    /// Checks whether the file is there and whole.
    fn check_file(&mut self) -> Result<(), Error> {
        let Some(control) = &mut self.control else { return Ok(()) };
        match control.location()? {
            Location::InPlace => control.check(),
            _ => Err(control.is_gone()),
        }
    }

    /// Returns the requests since the last look. First writes answers that could not be written before.
    fn look(&mut self, state: &WriterState) -> Vec<Request> {
        self.send_answers(state);
        let polled = self.control.as_mut().map(Control::poll);
        self.outcome(polled, state).unwrap_or_default()
    }

    fn answer(&mut self, id: i64, how: AnswerState, result: impl Into<String>) {
        if self.unsent.len() == UNSENT_MAX {
            // The oldest: nobody waits that long.
            self.unsent.pop_front();
        }
        self.unsent.push_back((id, how, result.into()));
    }

    fn send_answers(&mut self, state: &WriterState) {
        if self.unsent.is_empty() {
            return;
        }
        let answers = self.unsent.iter().map(|(id, how, result)| (*id, *how, result.as_str()));
        let sent = self.control.as_mut().map(|control| control.answer_all(answers));
        if self.outcome(sent, state).is_some() {
            self.unsent.clear();
        }
    }

    /// When to look before the usual time, because there are more requests.
    pub(super) fn hurry(&self) -> Option<Instant> {
        let control = self.control.as_ref()?;
        control.has_more().then_some(self.next_look)
    }

    /// Notes that a look, which began then, is over.
    fn looked(&mut self, began: Instant, now: Instant) {
        self.next_look = began + INTERVAL;
        if self.control.as_ref().is_some_and(Control::has_more) {
            let pause = (now - began).saturating_mul(PAUSE).clamp(PAUSE_MIN, INTERVAL);
            self.next_look = now + pause;
        }
    }

    /// Notes the outcome of an access to the file; `None` if it could not be done.
    fn outcome<T>(&mut self, result: Option<Result<T, Error>>, state: &WriterState) -> Option<T> {
        match result? {
            Ok(value) => {
                if self.busy_since.take().is_some_and(|since| since.elapsed() >= BUSY_MAX) {
                    state.set_control_error(None);
                }
                Some(value)
            }
            Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::Full) => {
                if self.busy_since.get_or_insert_with(Instant::now).elapsed() >= BUSY_MAX {
                    state.set_control_error(Some(error.to_string()));
                }
                None
            }
            Err(error) => {
                self.lose_file(error.to_string(), state);
                None
            }
        }
    }

    /// Reads and checks a mark. Remembers the section that it begins.
    fn mark(
        &mut self,
        request: &Request,
        at_ns: i64,
        redaction: &Redaction,
        id: impl FnOnce() -> u64,
    ) -> Result<MarkRow, String> {
        let Some(control) = &self.control else { return Err("the recording has ended".into()) };
        let label = control.argument(request, "label", "text")?.unwrap_or_default();
        let label = mark_label(&label).to_owned();
        if label.is_empty() {
            return Err("the argument label is missing or empty; name the mark".into());
        }
        let fields = control.argument(request, "fields", "object")?.filter(|json| json != "{}");
        let fields = match fields.map(|json| redacted_object(&json, redaction)) {
            Some(None) => return Err("the argument fields is no object that can be read".into()),
            fields => fields.flatten(),
        };
        let until = control.argument(request, "until", "text")?;
        let begun = self.sections.iter().position(|section| section.label == label);
        match (until.as_deref(), begun) {
            (None, _) => Ok(MarkRow { id: id(), at_ns, until_ns: None, label, fields }),
            (Some("begin"), None) if self.sections.len() < SECTIONS_MAX => {
                let section = MarkRow { id: id(), at_ns, until_ns: None, label, fields };
                self.sections.push(section.clone());
                Ok(section)
            }
            (Some("begin"), None) => {
                Err(format!("{SECTIONS_MAX} sections have begun and not ended; end some of them"))
            }
            (Some("begin"), Some(_)) => {
                Err("a section of this name has begun already; end it, or choose another name"
                    .into())
            }
            (Some("end"), Some(_)) if fields.is_some() => {
                Err("fields are given when a section begins; leave them out".into())
            }
            (Some("end"), Some(at)) => {
                let section = self.sections.swap_remove(at);
                Ok(MarkRow { until_ns: Some(at_ns.max(section.at_ns)), ..section })
            }
            (Some("end"), None) => Err("no section of this name has begun".into()),
            (Some(_), _) => Err("the argument until is neither \"begin\" nor \"end\"".into()),
        }
    }
}

impl Writer {
    /// Looks for requests, if it is time.
    pub(super) fn take_requests(&mut self) {
        let began = Instant::now();
        if self.requests.control.is_none() || began < self.requests.next_look {
            return;
        }
        for request in self.requests.look(&self.state) {
            self.carry_out(&request);
        }
        // Refusals are answered at once.
        self.requests.send_answers(&self.state);
        self.requests.looked(began, Instant::now());
    }

    fn carry_out(&mut self, request: &Request) {
        let is_request = |waiting: &&Waiting| matches!(waiting.done, Done::Request { .. });
        let done = if self.waiting.iter().filter(is_request).count() >= WAITING_MAX {
            Err("too many requests wait until the profile can be written; try again later".into())
        } else {
            match request.command.as_str() {
                "mark" => self.mark_asked(request).map(|result| (Vec::new(), result)),
                "flush" => Ok((self.tails(), "{}".to_owned())),
                _ => Err(
                    "not known to this recording, which knows mark and flush; is it older than \
                          the program that asks?"
                        .to_owned(),
                ),
            }
        };
        let id = request.id;
        match done {
            Ok((targets, result)) => {
                let marks = self.marks_so_far();
                let done = Done::Request { id, result };
                self.waiting.push(Waiting { targets, marks, looks: 0, done });
            }
            Err(why) => self.requests.answer(id, AnswerState::Refused, why),
        }
    }

    /// Takes a mark, with the moment at which it was asked for. Returns the answer.
    fn mark_asked(&mut self, request: &Request) -> Result<String, String> {
        // How long ago: the two clocks may have drifted apart since the run began.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_unix_ns = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        let age = now_unix_ns.saturating_sub(request.at_unix_ns).max(0);
        let at_ns = self.converter.timeline.now_ns().saturating_sub(age).max(0);
        let row = self
            .requests
            .mark(request, at_ns, &self.options.redaction, || self.state.marks.take_id())?;
        let until = row.until_ns.map_or("null".to_owned(), |until| until.to_string());
        let result = format!(r#"{{"id":{},"at_ns":{},"until_ns":{until}}}"#, row.id, row.at_ns);
        self.marks.push(row);
        Ok(result)
    }

    /// Tells all those whose records and marks are committed.
    pub(super) fn answer_waiting(&mut self) {
        if !self.is_in_place {
            return;
        }
        let Self { committed, marks, requests, looks_committed, .. } = self;
        let mut requested = false;
        self.waiting.retain_mut(|waiting| {
            let done = *looks_committed >= waiting.looks
                && marks.are_committed(waiting.marks)
                && committed.iter().zip(&waiting.targets).all(|(at, target)| at >= target);
            match &mut waiting.done {
                _ if !done => {}
                Done::Thread(flush) => flush.answer(),
                Done::Request { id, result } => {
                    requested = true;
                    requests.answer(*id, AnswerState::Done, std::mem::take(result));
                }
            }
            !done
        });
        if requested {
            self.requests.send_answers(&self.state);
        }
    }

    /// Answers those waiting requests that will never be committed.
    pub(super) fn fail_requests(&mut self, why: &str, is_lost: impl Fn(&Waiting) -> bool) {
        let requests = &mut self.requests;
        self.waiting.retain(|waiting| match &waiting.done {
            Done::Request { id, .. } if is_lost(waiting) => {
                requests.answer(*id, AnswerState::Failed, why);
                false
            }
            _ => true,
        });
    }

    /// Once a second: checks whether the file is still there and whole. If it was deleted, or somebody
    /// has put other things into it, it is made anew. If somebody has put another file in its place,
    /// that one is left alone until it is gone.
    pub(super) fn look_after_requests(&mut self) {
        let Self { requests, store: Some(_), state, .. } = self else { return };
        match requests.check_file() {
            // A busy file is reported where requests are read.
            Err(error) if !matches!(error.kind(), ErrorKind::Busy | ErrorKind::Full) => {
                requests.lose_file(error.to_string(), state);
            }
            _ => {}
        }
        if requests.control.is_some() || !requests.renewal.is_due(Instant::now()) {
            return;
        }
        let why = state.control_error();
        self.begin_requests_anew();
        if self.requests.control.is_some() {
            let why = why.unwrap_or_default();
            self.state.control_is_well_again(format!("{why}; the file was begun anew"));
        }
    }

    /// Makes another file. Its numbers begin anew, so requests through the old one are not answered.
    pub(super) fn begin_requests_anew(&mut self) {
        self.end_requests();
        if let Some(store) = &self.store {
            self.requests.begin_file(store, &self.state);
        }
    }

    /// Answers the requests that still wait, and removes the file.
    pub(super) fn end_requests(&mut self) {
        let why =
            "the recording has ended, or goes on in another file, and this was not committed yet";
        self.fail_requests(why, |_| true);
        self.requests.send_answers(&self.state);
        self.requests.unsent.clear();
        self.requests.control = None;
    }
}
