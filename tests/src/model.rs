//! A plain layer with a mutex and vectors, to compare with.
//!
//! It takes what `tracing` tells it and keeps everything, with no thought for speed: what it says
//! is easy to believe. Parents come from the `Registry`. Two of them, one below and one above the
//! profiler's layer, enclose each of the profiler's readings of the clock. One that has a filter around it
//! stands beside one that has none, which knows what an event was in.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::ThreadId;
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// A field's value as the database should show it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number, in digits.
    Digits(String),
    /// A finite number, compared bit by bit.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A JSON string.
    Text(String),
}

impl Value {
    /// Whether the JSON text `raw` says the same.
    pub fn is(&self, raw: &str) -> bool {
        match self {
            Self::Digits(digits) => digits == raw,
            Self::Float(number) => {
                raw.parse::<f64>().is_ok_and(|found| found.to_bits() == number.to_bits())
            }
            Self::Bool(value) => raw == if *value { "true" } else { "false" },
            Self::Text(text) => serde_json::from_str::<String>(raw).is_ok_and(|raw| raw == *text),
        }
    }
}

/// The fields of a span or event.
pub type Values = BTreeMap<&'static str, Value>;

/// A span as the model has seen it.
#[derive(Debug, Clone)]
pub struct ModelSpan {
    /// What the registry calls it while it is open.
    pub id: u64,
    pub name: &'static str,
    pub level: Level,
    /// Index of the parent in the recording.
    pub parent: Option<usize>,
    pub fields: Values,
    pub thread: ThreadId,
    pub created: Instant,
    pub closed: Option<Instant>,
    pub panicked: bool,
    pub error: bool,
    /// How often a thread entered it that was not inside it already.
    pub entries: u64,
    /// From entering to leaving, by thread.
    pub stretches: HashMap<ThreadId, Vec<(Instant, Instant)>>,
    /// Threads that are inside: since when, and how deep.
    pub inside: HashMap<ThreadId, (Instant, u64)>,
}

impl ModelSpan {
    /// What column `status` should say.
    pub fn status(&self) -> &'static str {
        match (self.closed, self.panicked, self.error) {
            (None, ..) => "unfinished",
            (_, true, _) => "panicked",
            (.., true) => "error",
            _ => "ok",
        }
    }
}

/// An event as the model has seen it.
#[derive(Debug, Clone)]
pub struct ModelEvent {
    pub at: Instant,
    pub level: Level,
    pub span: Option<usize>,
    pub message: Option<String>,
    pub fields: Values,
}

/// Everything that the model has seen.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    pub spans: Vec<ModelSpan>,
    pub events: Vec<ModelEvent>,
    pub links: Vec<(usize, usize)>,
    open: HashMap<u64, usize>,
}

/// The layer; its clones share one recording.
#[derive(Debug, Clone, Default)]
pub struct Model {
    recording: Arc<Mutex<Recording>>,
    /// That of a model which sees all spans, if this one does not.
    all: Option<Arc<Mutex<Recording>>>,
}

impl Model {
    /// One that a filter hides spans from, beside one without, which is told of everything before it.
    pub fn beside(all: &Self) -> Self {
        Self { recording: Arc::default(), all: Some(Arc::clone(&all.recording)) }
    }

    /// What it has seen so far.
    pub fn recording(&self) -> Recording {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Recording> {
        lock(&self.recording)
    }

    /// The nearest one that this model has seen among a span and its ancestors.
    fn nearest(&self, id: &Id) -> Option<Id> {
        let Some(all) = &self.all else { return Some(id.clone()) };
        let all = lock(all);
        let mut index = all.index(id);
        let ids = std::iter::from_fn(|| {
            let span = &all.spans[index?];
            index = span.parent;
            Some(Id::from_u64(span.id))
        });
        let seen = self.lock();
        ids.into_iter().find(|id| seen.index(id).is_some())
    }
}

fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl ModelSpan {
    /// The number that a test gave it in its field `n`.
    pub fn n(&self) -> i64 {
        number(&self.fields)
    }
}

impl ModelEvent {
    /// The number that a test gave it in its field `n`.
    pub fn n(&self) -> i64 {
        number(&self.fields)
    }
}

fn number(fields: &Values) -> i64 {
    match fields.get("n") {
        Some(Value::Digits(digits)) => digits.parse().expect("digits"),
        other => panic!("field n is {other:?}"),
    }
}

impl Recording {
    fn open(&mut self, id: &Id) -> Option<&mut ModelSpan> {
        let index = *self.open.get(&id.into_u64())?;
        Some(&mut self.spans[index])
    }

    fn index(&self, id: &Id) -> Option<usize> {
        self.open.get(&id.into_u64()).copied()
    }
}

impl Model {
    /// A span with this parent was created at `created`.
    pub fn new_span(
        &self,
        attributes: &Attributes<'_>,
        id: &Id,
        parent: Option<Id>,
        created: Instant,
    ) {
        let mut fields = Visitor::default();
        attributes.record(&mut fields);
        let mut recording = self.lock();
        let parent = parent.and_then(|parent| recording.index(&parent));
        let index = recording.spans.len();
        recording.open.insert(id.into_u64(), index);
        recording.spans.push(ModelSpan {
            id: id.into_u64(),
            name: attributes.metadata().name(),
            level: *attributes.metadata().level(),
            parent,
            error: fields.0.contains_key("error"),
            fields: fields.0,
            thread: std::thread::current().id(),
            created,
            closed: None,
            panicked: false,
            entries: 0,
            stretches: HashMap::new(),
            inside: HashMap::new(),
        });
    }

    /// Fields were recorded.
    pub fn record(&self, id: &Id, values: &Record<'_>) {
        let mut fields = Visitor::default();
        values.record(&mut fields);
        if let Some(span) = self.lock().open(id) {
            span.error |= fields.0.contains_key("error");
            span.fields.extend(fields.0);
        }
    }

    /// A span follows from another one.
    pub fn follows_from(&self, id: &Id, follows: &Id) {
        let mut recording = self.lock();
        if let (Some(id), Some(follows)) = (recording.index(id), recording.index(follows)) {
            recording.links.push((id, follows));
        }
    }

    /// An event happened in this span.
    pub fn event(&self, event: &Event<'_>, span: Option<Id>) {
        let mut fields = Visitor::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").map(|message| match message {
            Value::Text(text) => text,
            other => panic!("a message that is no text: {other:?}"),
        });
        let mut recording = self.lock();
        let level = *event.metadata().level();
        let span = span.and_then(|id| recording.index(&id));
        if let (Some(span), Level::ERROR) = (span, level) {
            recording.spans[span].error = true;
        }
        let at = Instant::now();
        recording.events.push(ModelEvent { at, level, span, message, fields: fields.0 });
    }

    /// The calling thread enters a span.
    pub fn enter(&self, id: &Id) {
        let thread = std::thread::current().id();
        if let Some(span) = self.lock().open(id) {
            let (_, depth) = span.inside.entry(thread).or_insert_with(|| (Instant::now(), 0));
            *depth += 1;
            if *depth == 1 {
                span.entries += 1;
            }
        }
    }

    /// The calling thread leaves a span.
    pub fn exit(&self, id: &Id) {
        let thread = std::thread::current().id();
        if let Some(span) = self.lock().open(id)
            && let Some((since, depth)) = span.inside.get_mut(&thread)
        {
            *depth -= 1;
            if *depth == 0 {
                let stretch = (*since, Instant::now());
                span.stretches.entry(thread).or_default().push(stretch);
                span.inside.remove(&thread);
            }
        }
    }

    /// A span closes.
    pub fn close(&self, id: &Id) {
        let mut recording = self.lock();
        if let Some(span) = recording.open(id) {
            span.closed = Some(Instant::now());
            span.panicked = std::thread::panicking();
            recording.open.remove(&id.into_u64());
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Model {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context.span(id).and_then(|span| span.parent()).map(|parent| parent.id());
        self.new_span(attributes, id, parent, Instant::now());
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.record(id, values);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        self.follows_from(id, follows);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let current = context.current_span();
        let within = if event.is_contextual() { current.id() } else { event.parent() };
        self.event(event, within.and_then(|id| self.nearest(id)));
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.enter(id);
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        self.exit(id);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.close(&id);
    }
}

#[derive(Default)]
struct Visitor(Values);

impl Visitor {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name(), value);
    }
}

impl Visit for Visitor {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(
            field,
            if value.is_finite() {
                Value::Float(value)
            } else {
                // Written out as the contract has it: NaN, inf, -inf.
                Value::Text(value.to_string())
            },
        );
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Digits(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::Digits(value.to_string()));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.put(field, Value::Digits(value.to_string()));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field, Value::Digits(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::Text(value.to_owned()));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        let mut hex = String::new();
        for byte in value {
            write!(hex, "{byte:02x}").expect("a string takes everything");
        }
        self.put(field, Value::Text(hex));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            write!(text, ": {error}").expect("a string takes everything");
            source = error.source();
        }
        self.put(field, Value::Text(text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::Text(format!("{value:?}")));
    }
}
