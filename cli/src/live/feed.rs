//! The thread that reads, so that a key is answered at once however long a read takes.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;
use spandrel_storage::AnswerState;

use super::page::{Ask, Page};
use super::source::{Missing, Source};
use crate::control_request::ask;
use crate::failure::Failure;
use crate::output::text;

/// From the beginning of a read to that of the next one.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a recording may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Orders of the terminal.
#[derive(Debug)]
pub(crate) enum Order {
    Read(Ask),
    Mark(String),
}

/// News from the thread.
#[derive(Debug)]
pub(crate) enum News {
    Page(Box<Page>),
    /// There is nothing to show at the moment, and why.
    Missing(String),
    /// What became of a mark.
    Told(String),
}

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Feed {
    orders: Option<Sender<Order>>,
    pub(crate) news: Receiver<News>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// Reads once, to find out errors without a terminal, such as a file that is not a profile. Then
    /// goes on reading on a separate thread.
    pub(crate) fn start(mut source: Source, ask: Ask) -> Result<Self, Failure> {
        let first = match source.read(&ask) {
            Ok(page) => News::Page(Box::new(page)),
            Err(Missing::Wait(why)) => News::Missing(why),
            Err(Missing::Failed(failure)) => return Err(failure),
        };
        let (orders, taken) = channel();
        let (tell, news) = channel();
        // The receiver is below.
        let _told = tell.send(first);
        let thread = thread::Builder::new()
            .name("reader".into())
            .spawn(move || read_on(&mut source, ask, &taken, &tell))
            .map_err(|error: io::Error| {
                Failure::cannot_read(format!("cannot start a thread: {error}"))
            })?;
        Ok(Self { orders: Some(orders), news, thread: Some(thread) })
    }

    /// Sends an order; `false` if the thread has ended.
    pub(crate) fn order(&self, order: Order) -> bool {
        self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that was reported.
            let _ended = thread.join();
        }
    }
}

fn read_on(source: &mut Source, mut ask: Ask, orders: &Receiver<Order>, tell: &Sender<News>) {
    let mut next = Instant::now() + PERIOD;
    loop {
        match orders.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Order::Read(wanted)) => {
                ask = wanted;
                // If there are several orders to read, only the last one is carried out.
                while let Ok(order) = orders.try_recv() {
                    match order {
                        Order::Read(wanted) => ask = wanted,
                        Order::Mark(label) => {
                            let _gone = tell.send(News::Told(mark(source, &label)));
                        }
                    }
                }
            }
            Ok(Order::Mark(label)) => {
                let _gone = tell.send(News::Told(mark(source, &label)));
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        next = Instant::now() + PERIOD;
        let news = match source.read(&ask) {
            Ok(page) => News::Page(Box::new(page)),
            Err(Missing::Wait(why)) => News::Missing(why),
            Err(Missing::Failed(failure)) => News::Missing(failure.message),
        };
        if tell.send(news).is_err() {
            return;
        }
    }
}

/// Asks the recording for a mark, and says what became of it.
fn mark(source: &Source, label: &str) -> String {
    let Some(path) = source.path() else {
        return "no mark: there is no profile".into();
    };
    let arguments = json!({ "label": label }).to_string();
    match ask(path, "mark", &arguments, ANSWER_WITHIN) {
        Ok(answer) if answer.state == AnswerState::Done => format!("marked \"{label}\""),
        Ok(answer) => format!("no mark: {}", text::clean(&answer.result)),
        Err(failure) => format!("no mark: {}", text::clean(&failure.message)),
    }
}
