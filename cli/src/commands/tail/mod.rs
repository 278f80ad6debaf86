//! `spandrel tail`: spans as they are committed.
//!
//! What "each once" means, and how late spans are found, is told in
//! [`spandrel_query::follow`]. Between two looks there are 100 ms, and a look at a file that
//! nobody has changed takes some microseconds.

mod interrupt;
mod line;

use std::io::Write;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use spandrel_query::OrderRows as _;
use spandrel_query::follow::{Follow, Polled};
use spandrel_query::{Event, EventMatcher, Filter, Matcher, Reader, Run, Span, SpanRef};

use self::interrupt::Interrupt;
use self::line::Lines;
use super::prelude::*;
use crate::output::{Stream, ignore_broken_pipe};
use crate::recorder::now_unix_ns;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// After the file was found unchanged this many times, it is checked whether the recorder is alive.
const QUIET_LOOKS: u32 = 20;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel tail -w 'name~http dur>20ms'        slow requests, as they end\n  \
    spandrel tail -n 20 --events                 the last 20 spans first; events, too\n  \
    spandrel tail --events -w 'level<=warn or dur>1s'\n  \
    spandrel tail -f ndjson | jq .duration_ns\n  \
    spandrel tail --follow-runs                  goes on when the program is started again\n\n\
Spans come when they are committed, about half a second after their end; each comes once. It ends with\n\
the run, with Ctrl-C, or when the reader of the pipe goes away, always with exit code 0.\n\n\
--where holds for events, too, by what they have themselves: name, target, level, module, file, thread,\n\
start, parent (the span around), fields, and the message as field.message. An event has no duration, no\n\
status and the like: a condition on those is false for it. has:error is an event of level ERROR.")]
pub(crate) struct Arguments {
    /// Also show events; --where applies to what they have: name, target, level, thread, fields
    #[arg(long)]
    events: bool,
    /// Continue with the next run when this one ends
    #[arg(long)]
    follow_runs: bool,
    #[command(flatten)]
    pub(super) shared: Shared<
        {
            group::DB
                | group::RUN
                | group::FILTER
                | group::LIMIT
                | group::FORMAT
                | group::OUTPUT
                | group::LOOK
                | group::UTC
                | group::EMPTY
        },
    >,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let wanted = &context.wanted;
    let lines = Lines::new(&context.output)?;
    let interrupt = Interrupt::listen()
        .map_err(|source| Failure::cannot_read(format!("cannot listen for Ctrl-C: {source}")))?;
    let profile = wanted.profile()?;
    if arguments.events
        && let Some(line) = beyond_events(&profile.filter)
    {
        context.output.say(&line);
    }
    profile.unmeasured().iter().for_each(|note| context.output.say(note));
    let mut tail = Tail {
        lines,
        out: context.output.stream(false)?,
        matcher: profile.filter.matcher(),
        event_matcher: profile.filter.event_matcher(),
        interrupt,
        context,
        events: arguments.events,
        seen: 0,
        matched: 0,
        missed: 0,
        lag_ns: None,
        began: Instant::now(),
    };
    let ended = tail.follow(&profile, arguments.follow_runs)?;
    tail.finish(ended)
}

/// Conditions that are about spans only.
fn beyond_events(filter: &Filter) -> Option<String> {
    let terms = filter.terms_beyond_events();
    let terms: Vec<String> = terms.into_iter().map(text::clean).collect();
    (!terms.is_empty()).then(|| format!("false for each event: {}", terms.join(", ")))
}

/// Why nothing more comes of a run, if nothing does.
fn over(run_id: i64, latest: Option<&Run>) -> Option<String> {
    match latest {
        Some(run) if run.has_crashed() => Some(format!(
            "run {run_id}: its process has died, and all that it had recorded is here; {} open then",
            text::counted_with(run.unfinished, "span", text::WAS)
        )),
        Some(run) if run.ended_unix_ns.is_none() => None,
        _ => Some(format!("run {run_id} has ended")),
    }
}

/// The same of one without an end, whose process is gone. Nothing as long as a collector is about to store the rest.
fn gone(reader: &Reader, run: &Run) -> Option<String> {
    let pid = run.info.pid;
    match crate::rings::of_run(reader.path(), run) {
        Some(left) if left.comes => None,
        Some(left) => {
            let rest = left.line();
            let rest = rest.strip_prefix("! ").unwrap_or(&rest);
            Some(format!("run {} has no end: {rest}", run.id))
        }
        None => {
            Some(format!("process {pid} is gone and has not ended run {}: it was killed", run.id))
        }
    }
}

enum Ended {
    Interrupted,
    ReaderGone,
    Run(String),
}

struct Tail<'a> {
    lines: Lines,
    out: Stream<'a>,
    matcher: Matcher,
    event_matcher: EventMatcher,
    interrupt: Interrupt,
    context: &'a Context,
    events: bool,
    seen: u64,
    matched: u64,
    missed: u64,
    lag_ns: Option<i64>,
    began: Instant,
}

impl Tail<'_> {
    fn follow(&mut self, profile: &Profile, follow_runs: bool) -> Result<Ended, Failure> {
        let mut follow = Follow::new(&profile.reader, profile.run.id, self.events)?;
        if self.write(|tail| tail.header())?.is_break() || self.last(profile, &follow)?.is_break() {
            return Ok(Ended::ReaderGone);
        }
        let mut run = profile.run.clone();
        let mut newer: Option<Reader> = None;
        loop {
            let reader = newer.as_ref().unwrap_or(&profile.reader);
            let why = match self.run(reader, &mut follow, &run)? {
                Ended::Run(why) => why,
                other => return Ok(other),
            };
            self.missed += follow.missed();
            if !follow_runs {
                return Ok(Ended::Run(why));
            }
            self.context.output.say(&format!("{why}; waiting for the next run"));
            let Some((reader, next)) = self.next_run(run.id)? else {
                return Ok(Ended::Interrupted);
            };
            self.context.output.say(&format!("run {} has begun", next.id));
            follow = Follow::from_start(&reader, next.id, self.events)?;
            (newer, run) = (Some(reader), next);
        }
    }

    /// Follows one run to its end.
    fn run(&mut self, reader: &Reader, follow: &mut Follow, run: &Run) -> Result<Ended, Failure> {
        let mut quiet = 0;
        // Looks since something of the run has come; and whether it was told why nothing does.
        let (mut without, mut is_told) = (0, false);
        loop {
            if self.interrupt.is_set() {
                return Ok(Ended::Interrupted);
            }
            // Before the poll, so that the poll reads everything.
            let is_changed = follow.is_changed(reader)?;
            let latest = reader.run(run.id)?;
            let over = over(run.id, latest.as_ref());
            let is_over = over.is_some();
            without += 1;
            if is_changed || is_over {
                quiet = 0;
                let seen = self.seen;
                if self.show_all(reader, follow, latest.as_ref().unwrap_or(run))?.is_break() {
                    return Ok(Ended::ReaderGone);
                }
                if self.seen > seen {
                    (without, is_told) = (0, false);
                }
            } else {
                quiet += 1;
            }
            if let Some(why) = over {
                return Ok(Ended::Run(why));
            }
            if quiet % QUIET_LOOKS == QUIET_LOOKS - 1
                && crate::recorder::is_alive(run) == Some(false)
                && let Some(why) = gone(reader, latest.as_ref().unwrap_or(run))
            {
                return Ok(Ended::Run(why));
            }
            if without % QUIET_LOOKS == QUIET_LOOKS - 1 && !is_told {
                let left = crate::rings::of_run(reader.path(), latest.as_ref().unwrap_or(run));
                if let Some(left) = left.filter(|left| !left.comes) {
                    is_told = true;
                    self.context.output.say(&left.line());
                }
            }
            self.interrupt.wait(PAUSE);
        }
    }

    fn show_all(
        &mut self,
        reader: &Reader,
        follow: &mut Follow,
        run: &Run,
    ) -> Result<ControlFlow<()>, Failure> {
        loop {
            let polled = follow.poll(reader)?;
            if self.show(&polled, run)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if !polled.more || self.interrupt.is_set() {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    fn show(&mut self, polled: &Polled, run: &Run) -> Result<ControlFlow<()>, Failure> {
        let started = run.info.started_unix_ns;
        if let Some(end_ns) =
            polled.spans.iter().filter_map(|span| SpanRef::from(span).end_ns()).max()
        {
            self.lag_ns = Some(now_unix_ns().saturating_sub(started.saturating_add(end_ns)).max(0));
        }
        self.write(|tail| {
            let mut events = polled.events.iter().peekable();
            for span in &polled.spans {
                let end_ns = SpanRef::from(span).end_ns().unwrap_or(span.start_ns);
                while let Some(event) = events.next_if(|event| event.at_ns <= end_ns) {
                    tail.event(event, started)?;
                }
                tail.seen += 1;
                if tail.matcher.matches(&SpanRef::from(span)) {
                    tail.matched += 1;
                    tail.lines.span(&mut tail.out, span, (started, run.length_ns()))?;
                }
            }
            events.try_for_each(|event| tail.event(event, started))
        })
    }

    fn event(&mut self, event: &Event, started: i64) -> std::io::Result<()> {
        self.seen += 1;
        if !self.event_matcher.matches(event) {
            return Ok(());
        }
        self.matched += 1;
        self.lines.event(&mut self.out, event, started)
    }

    fn header(&mut self) -> std::io::Result<()> {
        self.lines.header(&mut self.out)
    }

    /// The last matching spans from before.
    fn last(&mut self, profile: &Profile, follow: &Follow) -> Result<ControlFlow<()>, Failure> {
        let wanted = self.context.output.limit.unwrap_or(0);
        let mut last: Vec<Span> = Vec::new();
        if wanted > 0 {
            follow.before(&profile.reader, |span| {
                if self.matcher.matches(&SpanRef::from(&span)) {
                    last.push(span);
                }
                if last.len() < wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
        }
        last.order_by_key(|span| (SpanRef::from(span).end_ns(), span.id));
        let started = profile.run.info.started_unix_ns;
        self.write(|tail| {
            let times = (started, profile.run.length_ns());
            last.iter().try_for_each(|span| tail.lines.span(&mut tail.out, span, times))
        })
    }

    /// Writes and flushes; `Break` if nobody reads any more.
    fn write(
        &mut self,
        write: impl FnOnce(&mut Self) -> std::io::Result<()>,
    ) -> Result<ControlFlow<()>, Failure> {
        let written = write(self).and_then(|()| self.out.flush());
        let is_gone = written.is_err();
        ignore_broken_pipe(written)
            .map_err(|source| Failure::cannot_read(format!("cannot write the output: {source}")))?;
        Ok(if is_gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Waits for a newer run than this one; the file may be another one by then.
    fn next_run(&self, run_id: i64) -> Result<Option<(Reader, Run)>, Failure> {
        let mut looks = 0_u32;
        loop {
            // Opening a file includes checking it, so this is not done with each look.
            if looks.is_multiple_of(5)
                && let Ok(reader) = self.context.wanted.reader()
                && let Some(run) = reader.latest_run()?
                && run.id != run_id
            {
                return Ok(Some((reader, run)));
            }
            looks += 1;
            if self.interrupt.is_set() {
                return Ok(None);
            }
            self.interrupt.wait(PAUSE);
        }
    }

    fn finish(self, ended: Ended) -> Result<Exit, Failure> {
        let Self { out, context, seen, matched, missed, lag_ns, began, .. } = self;
        if matches!(ended, Ended::ReaderGone) {
            return Ok(Exit::Ok);
        }
        out.finish()?;
        let took = i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX);
        let mut line = format!(
            "{} matched of {} in {}",
            text::count(matched),
            text::count(seen),
            text::duration_in_words(took)
        );
        if let Some(lag_ns) = lag_ns {
            line.push_str(&format!(
                "; the newest came {} after its end",
                text::duration_in_words(lag_ns)
            ));
        }
        if missed > 0 {
            let missed = text::count(missed);
            line.push_str(&format!(
                "; ! {missed} came too late, or were deleted, and are not shown"
            ));
        }
        if let Ended::Run(why) = ended {
            line = format!("{why}. {line}");
        }
        context.output.say(&line);
        Ok(if context.output.fail_empty && matched == 0 { Exit::NothingMatched } else { Exit::Ok })
    }
}
