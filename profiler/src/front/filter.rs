//! Which spans and events a front end records; can be changed while the program runs.
//!
//! A rule is asked about each callsite once; after that, the answer is found without a lock. No code of
//! the user's runs under the lock of the rule, not even an allocator: it is held only to copy or to
//! replace a pointer.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tracing_core::dispatcher::{self, WeakDispatch};
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, callsite};
use tracing_subscriber::filter::Targets;

use crate::mutex::Mutex;
use crate::recorder::Recorder;
use crate::recorder::chunks::Chunks;
use crate::recorder::log_events::{self, is_of_log};
use crate::recorder::rule::{Rule, Verdict};
use crate::recorder::scope_owner;
use crate::recorder::sites::{Answer, FastSites, RuleNumber, Site, Sites};

/// A filter that can be changed while it is in use.
pub(crate) struct Filter {
    /// `None` for a front end of a profiler that is switched off.
    recorder: Option<Arc<Recorder>>,
    present: Mutex<Present>,
    /// The subscriber as `tracing` knows it.
    dispatch: Mutex<Option<WeakDispatch>>,
    sites: Sites,
    /// The rules so far that name targets, each once: a rule is found by its number without a
    /// lock. At most [`RULES_MAX`].
    rules: Chunks<Arc<Rule>>,
    /// Whether the front end hears of all spans that a thread enters. Until this is known, the table of
    /// the fast paths for new spans stays empty, because they take the innermost span that was heard of
    /// for the parent.
    hears_all: AtomicBool,
}

/// Most rules that are kept. If a program sets more, the further ones are looked up under the lock.
const RULES_MAX: usize = 1_024;
/// The number of a rule that is not kept.
const NOT_KEPT: RuleNumber = RuleNumber::MAX;

#[derive(Clone)]
struct Present {
    rule: Arc<Rule>,
    /// The number of the rule in `rules`.
    number: RuleNumber,
    /// What was set by [`Filter::set_targets`], to be returned on request.
    targets: Option<Arc<Targets>>,
    /// Grows with each change.
    generation: u64,
}

impl Filter {
    pub(crate) fn new(
        recorder: Option<&Arc<Recorder>>,
        fast: Option<FastSites>,
        hears_all: bool,
    ) -> Self {
        let off = || Arc::new(Rule::new(LevelFilter::OFF, LevelFilter::OFF));
        let rule = recorder.map_or_else(off, |recorder| Arc::clone(&recorder.rule));
        let rules = Chunks::default();
        let number = keep_rule(&rules, &rule);
        Self {
            recorder: recorder.map(Arc::clone),
            present: Mutex::new(Present { rule, number, targets: None, generation: 0 }),
            dispatch: Mutex::new(None),
            sites: Sites::new(fast),
            rules,
            hears_all: AtomicBool::new(hears_all),
        }
    }

    /// What to do with spans or events of this callsite. Takes a lock only at the first question about
    /// it.
    #[inline]
    pub(crate) fn answer(&self, metadata: &'static Metadata<'static>) -> Answer {
        let known = self.sites.find(metadata).and_then(Site::answer);
        known.unwrap_or_else(|| self.meet(metadata))
    }

    /// The same for one event: a record of the `log` crate is judged by its own target.
    #[inline]
    pub(crate) fn answer_to_event(&self, event: &Event<'_>) -> Answer {
        match self.answer(event.metadata()) {
            Answer::ByTarget(rule) => self.answer_by_target(rule, event),
            answer => answer,
        }
    }

    #[cold]
    fn answer_by_target(&self, rule: RuleNumber, event: &Event<'_>) -> Answer {
        match self.with_rule(rule, |rule| log_events::judge(rule, event)) {
            Some(Verdict::Kept) => {
                let number = self.sites.find(event.metadata()).and_then(Site::number);
                number.map_or(Answer::Full, Answer::Kept)
            }
            Some(Verdict::Marks) => Answer::Marks,
            Some(Verdict::Below) | None => Answer::Below,
        }
    }

    /// Whether something is enabled whose metadata are not those of its callsite, `own`: the metadata of
    /// a record of the `log` crate have the record's target, and its callsite is shared by all records
    /// of that level.
    #[cold]
    pub(crate) fn is_on_once(
        &self,
        metadata: &Metadata<'_>,
        own: &'static Metadata<'static>,
    ) -> bool {
        let is_on = |rule: &Rule| rule.judge(metadata) != Verdict::Below;
        match self.answer(own) {
            Answer::ByTarget(rule) => self.with_rule(rule, is_on).unwrap_or(false),
            // The same answer for all targets.
            answer if is_of_log(own) => answer != Answer::Below,
            _ => self.with_rule(NOT_KEPT, is_on).unwrap_or(false),
        }
    }

    /// Asks the rule with this number; if that was not kept, the present one, under its lock. `None` as
    /// in [`present`](Self::present).
    fn with_rule<T>(&self, number: RuleNumber, ask: impl FnOnce(&Rule) -> T) -> Option<T> {
        match usize::try_from(number).ok().and_then(|number| self.rules.get(number)) {
            Some(rule) => Some(ask(rule)),
            None => self.present().map(|present| ask(&present.rule)),
        }
    }

    /// The present rule. `None` in a forked child if the lock is held for ever there: then nothing is
    /// recorded.
    fn present(&self) -> Option<Present> {
        self.present.lock().map(|present| present.clone())
    }

    #[cold]
    fn meet(&self, metadata: &'static Metadata<'static>) -> Answer {
        let (Some(recorder), Some(present)) = (&self.recorder, self.present()) else {
            return Answer::Below;
        };
        // If another thread has met it meanwhile, the answer is the same.
        let Some(site) = self.sites.find_or_enter(metadata) else { return Answer::Full };
        self.decide_by_present(recorder, present, site)
    }

    /// Asks about a callsite that is met, until the rule that was asked is the present one.
    fn decide_by_present(&self, recorder: &Recorder, mut present: Present, site: &Site) -> Answer {
        let mut again = false;
        loop {
            let answer = self.decide(recorder, &present, site);
            // A thread that replaces the rule looks at all callsites afterwards: either it has found
            // this one, or this thread sees that the rule has changed.
            match self.present() {
                Some(now) if now.generation != present.generation => {
                    present = now;
                    again = true;
                }
                _ => {
                    if again {
                        // A scope may have been told the former answer, after that thread has said that it changes.
                        scope_owner::changed();
                    }
                    return answer;
                }
            }
        }
    }

    /// Asks the rule about a callsite, and stores the answer.
    fn decide(&self, recorder: &Recorder, present: &Present, site: &Site) -> Answer {
        let (metadata, rule) = (site.metadata, &present.rule);
        let number = || site.number().or_else(|| recorder.callsites.add(metadata));
        let answer = match rule.judge(metadata) {
            _ if rule.has_named() && is_of_log(metadata) => {
                // A callsite that may be recorded, or marks spans, always has a number.
                let number = if *metadata.level() <= rule.max_level() { number() } else { None };
                number.map_or(Answer::Below, |number| {
                    site.set_number(number);
                    Answer::ByTarget(present.number)
                })
            }
            Verdict::Kept => number().map_or(Answer::Full, Answer::Kept),
            Verdict::Marks => Answer::Marks,
            Verdict::Below => Answer::Below,
        };
        let before = site.set_answer(answer);
        recorder.tally.count(before.map(Answer::is_kept), answer.is_kept());
        // The fast paths cannot record a first entry.
        let is_usual = match answer {
            Answer::Kept(number) => !recorder.records_all(number),
            _ => true,
        };
        if self.hears_all() && is_usual {
            self.sites.set_fast(metadata, answer);
        }
        answer
    }

    /// Whether the front end hears of all spans that a thread enters.
    #[inline]
    pub(crate) fn hears_all(&self) -> bool {
        // Relaxed: this is found out while the subscriber is built; installing it publishes everything.
        self.hears_all.load(Ordering::Relaxed)
    }

    /// Notes that it does.
    #[cold]
    pub(crate) fn set_hears_all(&self) {
        if !self.hears_all.swap(true, Ordering::Relaxed) {
            self.decide_all();
        }
    }

    /// No callsite is wanted beyond this level.
    pub(crate) fn max_level(&self) -> LevelFilter {
        match (&self.recorder, self.present()) {
            (Some(_), Some(present)) => present.rule.max_level(),
            _ => LevelFilter::OFF,
        }
    }

    /// From now on `tracing` knows the subscriber.
    pub(crate) fn set_dispatch(&self, dispatch: &Dispatch) {
        if let Some(recorder) = &self.recorder {
            recorder.set_has_dispatch();
        }
        let new = Some(dispatch.downgrade());
        let Some(mut known) = self.dispatch.lock() else { return };
        let before = std::mem::replace(&mut *known, new);
        drop(known);
        drop(before); // may free memory
    }

    /// Makes `tracing` ask about all callsites again.
    fn rebuild(&self) {
        let known = self.dispatch.lock();
        let dispatch = known.as_deref().and_then(|known| known.as_ref()?.upgrade());
        drop(known);
        if let Some(dispatch) = dispatch {
            // As long as a program has only one subscriber, `tracing` asks the subscriber of the calling
            // thread, which may have none.
            dispatcher::with_default(&dispatch, callsite::rebuild_interest_cache);
        }
    }

    /// Records exactly what these targets enable.
    pub(crate) fn set_targets(&self, targets: Targets) {
        let rule = Rule::just(&targets);
        self.set(rule, Some(targets));
    }

    /// One level for all targets; events also have the builder's level as a limit.
    pub(crate) fn set_max_level(&self, level: LevelFilter) {
        let events = self.recorder.as_ref().map_or(level, |recorder| recorder.rule.events());
        self.set(Rule::up_to(level, events), None);
    }

    fn set(&self, rule: Rule, targets: Option<Targets>) {
        let (rule, targets) = (Arc::new(rule), targets.map(Arc::new));
        let number = keep_rule(&self.rules, &rule);
        let Some(mut present) = self.present.lock() else { return };
        let generation = present.generation + 1;
        let before =
            std::mem::replace(&mut *present, Present { rule, number, targets, generation });
        drop(present);
        drop(before); // may free memory
        self.decide_all();
    }

    /// Asks the present rule about all callsites that were met.
    fn decide_all(&self) {
        let Some(recorder) = &self.recorder else { return };
        let mut decided = None;
        // If several threads do this at once, the answers of the last rule win.
        while let Some(present) = self.present()
            && decided != Some(present.generation)
        {
            for site in self.sites.all() {
                self.decide(recorder, &present, site);
            }
            decided = Some(present.generation);
        }
        scope_owner::changed();
    }

    fn targets(&self) -> Option<Targets> {
        let present = self.present()?;
        let set = present.targets.as_deref().cloned();
        Some(set.unwrap_or_else(|| present.rule.to_targets()))
    }
}

/// The number of a rule among those that are kept; adds it if it is new. A rule that names no targets
/// needs no number.
fn keep_rule(rules: &Chunks<Arc<Rule>>, rule: &Arc<Rule>) -> RuleNumber {
    if !rule.has_named() {
        return NOT_KEPT;
    }
    let known = (0..rules.len()).find(|index| rules.get(*index) == Some(rule));
    let new = || if rules.len() < RULES_MAX { rules.push(Arc::clone(rule)) } else { None };
    let index = known.or_else(new);
    index.and_then(|index| RuleNumber::try_from(index).ok()).unwrap_or(NOT_KEPT)
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.present().map(|present| present.rule);
        f.debug_tuple("Filter").field(&rule).finish()
    }
}

/// Changes the filter of a [`ProfilerSubscriber`](crate::ProfilerSubscriber) or a [`ProfilerLayer`](crate::ProfilerLayer)
/// while it is installed.
///
/// Made by [`ProfilerSubscriber::filter_handle`](crate::ProfilerSubscriber::filter_handle) and
/// [`ProfilerLayer::filter_handle`](crate::ProfilerLayer::filter_handle). Once the front end is gone, it
/// does nothing.
///
/// ```
/// # #[cfg(feature = "database")] {
/// # let folder = tempfile::tempdir()?;
/// # let profiler = spandrel::Profiler::builder().database(folder.path().join("profile.db")).build()?;
/// use tracing::Level;
///
/// let subscriber = profiler.subscriber().with_max_level(Level::INFO);
/// let filter = subscriber.filter_handle();
/// tracing::subscriber::with_default(subscriber, || {
///     assert!(tracing::debug_span!("query").is_disabled());
///     filter.set("info,my_crate::db=debug".parse::<tracing_subscriber::filter::Targets>()?);
///     assert!(!tracing::debug_span!(target: "my_crate::db", "query").is_disabled());
///     Ok::<(), tracing_subscriber::filter::ParseError>(())
/// })?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FilterHandle(Weak<Filter>);

impl FilterHandle {
    pub(crate) fn new(filter: &Arc<Filter>) -> Self {
        Self(Arc::downgrade(filter))
    }

    /// From now on records exactly what `targets` enables, spans and events alike, whatever the levels
    /// and the filter of the builder say. Spans that are open go on.
    ///
    /// # Blocking
    ///
    /// Takes `tracing`'s own lock on its list of callsites and asks about each of them again. No thread
    /// that records waits for it.
    pub fn set(&self, targets: Targets) {
        if let Some(filter) = self.0.upgrade() {
            filter.set_targets(targets);
            filter.rebuild();
            #[cfg(feature = "log")]
            super::log_records::follow();
        }
    }

    /// The same with one level for all targets;
    /// [`ProfilerBuilder::events`](crate::ProfilerBuilder::events) is a second limit for events.
    pub fn set_max_level(&self, level: impl Into<LevelFilter>) {
        if let Some(filter) = self.0.upgrade() {
            filter.set_max_level(level.into());
            filter.rebuild();
            #[cfg(feature = "log")]
            super::log_records::follow();
        }
    }

    /// The present filter, as far as one level for spans and events can express it; `None` once the
    /// front end is gone.
    #[must_use]
    pub fn targets(&self) -> Option<Targets> {
        self.0.upgrade()?.targets()
    }
}

#[cfg(all(test, not(spandrel_loom)))]
mod tests {
    use super::*;
    use crate::recorder::RecorderOptions;
    use crate::recorder::answers::KeptAnswer;
    use spandrel_ring::Owner;

    /// A thread meets a callsite while another one replaces the rule, and a scope is answered between: what it keeps does not
    /// outlive the answer.
    #[test]
    fn a_scope_keeps_no_answer_of_a_rule_that_is_being_replaced() {
        crate::__scope_site!("here", tracing_core::Level::INFO, "met",);
        static KEPT: KeptAnswer = KeptAnswer::new();
        let (recorder, _consumer) = Recorder::new(&RecorderOptions::small());
        let filter = Filter::new(Some(&recorder), None, true);
        filter.set_max_level(LevelFilter::INFO);
        // The one that meets it has looked at the rule.
        let before = filter.present().unwrap();
        filter.set_max_level(LevelFilter::OFF);
        // It was not there when the other one went through all; and is there for the scope.
        let site = filter.sites.find_or_enter(&META).unwrap();
        assert!(matches!(filter.decide(&recorder, &before, site), Answer::Kept(_)));
        assert!(scope_owner::can_keep(&KEPT));
        let kept = KEPT.before();
        scope_owner::ask();
        let Answer::Kept(number) = filter.answer(&META) else { panic!("it is found") };
        KEPT.keep(kept, Owner::in_word(7 << 32).unwrap(), number);
        assert!(KEPT.get().is_some());
        assert_eq!(filter.decide_by_present(&recorder, before, site), Answer::Below);
        assert!(KEPT.get().is_none());
    }
}
