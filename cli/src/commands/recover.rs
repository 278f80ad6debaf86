//! `spandrel recover`: what a process that has died has left in its ring file, moved into the profile.

#[cfg(feature = "crash-proof")]
mod collected;

use std::path::PathBuf;

#[cfg(feature = "crash-proof")]
use std::path::Path;

#[cfg(feature = "crash-proof")]
use spandrel_query::OrderRows as _;

use super::prelude::*;
#[cfg(feature = "crash-proof")]
use super::record::in_a_shell;

#[derive(Debug, Args)]
#[command(
    after_long_help = "A program that records with SPANDREL_CRASH_PROOF=1 keeps what it records in a \
    file in memory until it is in\nthe profile. If it dies, all of that is still there, and what was open \
    at that moment. This moves it into\nthe profile: what was open gets the status crashed, and the run its \
    ledger. The next recording into the profile\ndoes the same by itself. Programs that live are left \
    alone.\n\nExit code 3: ring files of programs that have died were left where they are, as their reasons say,\nor somebody has emptied them.\n\nExamples:\n  \
    spandrel recover --dry-run\n  \
    spandrel recover\n  \
    spandrel recover --ring FILE.ring --db new.db    what `spandrel doctor` finds, and nobody comes for\n  \
    spandrel sql --recipe unfinished             what was open"
)]
pub(crate) struct Arguments {
    /// Only say what would be moved
    #[arg(long)]
    dry_run: bool,
    /// Recover this ring file, whose own profile is gone, into the new profile that --db names
    #[arg(long, value_name = "RING", conflicts_with = "dry_run")]
    ring: Option<PathBuf>,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::DB | group::PAGE }>,
}

/// Open spans that are named.
#[cfg(feature = "crash-proof")]
const OPEN_SHOWN: usize = 20;

#[cfg(not(feature = "crash-proof"))]
pub(crate) fn run(_: &Arguments, _: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("this build knows no ring files: it is without the feature crash-proof"))
}

#[cfg(feature = "crash-proof")]
pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    use spandrel::recover::{Recovered, RingOwner, recover, rings};

    if let Some(ring) = &arguments.ring {
        return recover_one(ring, context);
    }
    let path = context.wanted.path()?;
    // Says what is wrong with the profile, if anything is.
    let runs = context.wanted.reader()?.runs()?;
    let (rings, stored) = rings(&path).map_err(failed)?;
    let collected = collected::of(&path, &runs);
    let Recovered { rings: done, refused, .. } =
        match rings.iter().any(|ring| ring.owner == RingOwner::Dead) {
            true => recover(&path, arguments.dry_run).map_err(failed)?,
            // Nothing is opened for writing where nothing waits.
            false => Recovered::default(),
        };
    // What was refused at the first look and is there still, and what later; most of it both times.
    let still = rings.iter().filter(|ring| ring.path.exists());
    let mut why: Vec<_> = still.filter_map(|ring| ring.refused.clone()).collect();
    why.extend(refused.iter().map(ToString::to_string));
    why.order_by(Ord::cmp);
    why.dedup();
    let shown = text::clean(&path.display().to_string());
    let mut lines = Vec::new();
    if done.is_empty() && why.is_empty() && stored.is_empty() && collected.is_empty() {
        let how = if arguments.dry_run { " (looked only)" } else { "" };
        lines.push(format!("{shown}: no process that has died has left anything here{how}"));
    }
    for ring in &done {
        lines.extend(said(&shown, ring, arguments.dry_run));
    }
    for ring in &rings {
        let pid = ring.pid;
        lines.extend(match (ring.owner, &ring.refused) {
            (_, Some(_)) => None,
            (RingOwner::Alive, None) => Some(format!("process {pid} lives, and is left alone")),
            (RingOwner::Dead, None) => None,
            _ => Some(format!(
                "! {}: whether process {pid} lives cannot be told from here; recover it where it ran",
                text::clean(&ring.path.display().to_string())
            )),
        });
    }
    lines.extend(stored.iter().map(|ring| {
        let path = text::clean(&ring.path.display().to_string());
        let what = if ring.path.exists() { "and it can be removed" } else { "and it was removed" };
        format!(
            "{path}: all that it has is in run {} already: nobody needs it, {what}",
            ring.run_id
        )
    }));
    lines.extend(collected.iter().flat_map(collected::Waiting::lines));
    lines.extend(why.iter().map(|why| format!("! {}", text::clean(why))));
    let is_unknown = |ring: &spandrel::recover::WaitingRing| {
        !matches!(ring.owner, RingOwner::Alive | RingOwner::Dead)
    };
    let is_left = !why.is_empty()
        || rings.iter().any(is_unknown)
        || collected.iter().any(collected::Waiting::is_left);
    let more = [
        ("stored_already", stored.iter().map(stored_members).collect()),
        ("collected", collected.iter().map(collected::Waiting::members).collect()),
    ];
    let crashed = done.iter().map(|ring| ring.crashed).fold(0, u64::saturating_add);
    if !arguments.dry_run && crashed > 0 {
        let name = text::clean(&in_a_shell(&path));
        lines.push(format!("what was open: spandrel sql --recipe unfinished --db {name}"));
    }
    let shown = show(context, &lines, arguments.dry_run, (&done, &why), more)?;
    Ok(if is_left { Exit::CannotRead } else { shown })
}

#[cfg(feature = "crash-proof")]
fn stored_members(ring: &spandrel::recover::StoredRing) -> serde_json::Value {
    json!({ "path": ring.path.display().to_string(), "pid": ring.pid, "run": ring.run_id })
}

/// One ring file, into a profile of its own.
#[cfg(feature = "crash-proof")]
fn recover_one(ring: &Path, context: &Context) -> Result<Exit, Failure> {
    let Some(path) = &context.wanted.db else {
        return Err(Failure::usage("no profile is named").hint("--db NEW.db"));
    };
    let recovered = spandrel::recover::recover_ring(ring, path).map_err(failed)?;
    let shown = text::clean(&path.display().to_string());
    let why: Vec<_> = recovered.refused.iter().map(ToString::to_string).collect();
    let mut lines: Vec<String> =
        recovered.rings.iter().flat_map(|ring| said(&shown, ring, false)).collect();
    if lines.is_empty() && why.is_empty() {
        lines.push(format!("{shown}: nothing is in the ring file"));
    }
    lines.extend(why.iter().map(|why| format!("! {}", text::clean(why))));
    show(context, &lines, false, (&recovered.rings, &why), [])?;
    Ok(if why.is_empty() { Exit::Ok } else { Exit::CannotRead })
}

#[cfg(feature = "crash-proof")]
fn show(
    context: &Context,
    lines: &[String],
    dry_run: bool,
    (rings, why): (&[spandrel::recover::Recovery], &[String]),
    more: impl IntoIterator<Item = (&'static str, Vec<serde_json::Value>)>,
) -> Result<Exit, Failure> {
    let mut view = View::new("recover", None, Table::new(Vec::new()));
    view.drawing = Some(lines.iter().map(|line| format!("{line}\n")).collect());
    view.extra.insert("dry_run".into(), json!(dry_run));
    view.extra.insert("rings".into(), rings.iter().map(members).collect());
    view.extra.insert("refused".into(), json!(why));
    let more = more.into_iter().map(|(name, values)| (name.to_owned(), values.into()));
    view.extra.extend(more);
    context.output.show(view, 0)
}

#[cfg(feature = "crash-proof")]
fn failed(error: spandrel::Error) -> Failure {
    use spandrel::{ErrorKind, StorageErrorKind};

    let failure = Failure::cannot_read(error.to_string());
    match error.kind() {
        ErrorKind::Storage(StorageErrorKind::InUse | StorageErrorKind::Busy) => {
            failure.hint("whoever records into it has recovered it when he began, or does so when he begins again")
        }
        _ => failure,
    }
}

/// A ring in a few lines.
#[cfg(feature = "crash-proof")]
fn said(path: &str, ring: &spandrel::recover::Recovery, dry_run: bool) -> Vec<String> {
    let program = std::path::Path::new(&ring.program);
    let program = program.file_name().map(|name| text::clean(&name.to_string_lossy()));
    let what = if dry_run { "would be moved" } else { "moved" };
    let run = ring.run_id.map_or(String::new(), |run| format!(" into run {run}"));
    let mut parts = vec![text::counted(ring.spans, "span"), text::counted(ring.events, "event")];
    if ring.entries > 0 {
        parts.push(format!(
            "{} {}",
            text::count(ring.entries),
            text::agree(ring.entries, "entry", "entries")
        ));
    }
    let mut lines = vec![format!(
        "{path}: process {} ({}) {}: {} {what}{run}; {} open then",
        ring.pid,
        program.unwrap_or_default(),
        if ring.was_closed { "could not store all before it was closed" } else { "has died" },
        parts.join(" and "),
        text::counted_with(ring.crashed, "span", text::WAS),
    )];
    if !dry_run {
        let ledger = &ring.ledger;
        lines.push(format!(
            "the run: recorded {} = stored {} + dropped {}",
            text::count(ledger.recorded),
            text::count(ledger.stored),
            ledger.dropped
        ));
    }
    if ring.elsewhere > 0 {
        lines.push(format!(
            "! that is a part of the run: another profile has {} of it, or tells of them",
            text::counted(ring.elsewhere, "span")
        ));
    }
    for span in ring.open.iter().take(OPEN_SHOWN) {
        lines.push(format!(
            "  open for at least {:>10}   s{} {} on {}",
            text::duration(span.age_ns),
            span.id,
            text::clean(&span.name),
            text::clean(&span.thread)
        ));
    }
    let more = ring.crashed.saturating_sub(OPEN_SHOWN as u64);
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    if ring.damaged > 0 {
        lines.push(format!(
            "! {} in the ring file {} not as a recorder writes it, and counted as damaged",
            text::counted(ring.damaged, "place"),
            text::agree(ring.damaged, "is", "are")
        ));
    }
    if ring.torn > 0 {
        lines.push(format!(
            "! {} just recording a field then: the fields are left out",
            text::counted_with(ring.torn, "span", text::WAS)
        ));
    }
    lines
}

#[cfg(feature = "crash-proof")]
fn members(ring: &spandrel::recover::Recovery) -> serde_json::Value {
    let ledger = |ledger: &spandrel::Ledger| {
        let dropped: serde_json::Map<_, _> = ledger
            .dropped
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(reason, n)| (reason.as_str().to_owned(), json!(n)))
            .collect();
        json!({ "recorded": ledger.recorded, "stored": ledger.stored, "dropped_by": dropped })
    };
    json!({
        "path": ring.ring.display().to_string(), "pid": ring.pid, "program": ring.program,
        "was_closed": ring.was_closed,
        "run": ring.run_id, "spans": ring.spans, "events": ring.events, "links": ring.links,
        "entries": ring.entries, "crashed": ring.crashed, "torn": ring.torn,
        "damaged": ring.damaged, "spans_ledger": ledger(&ring.ledger),
        "events_ledger": ledger(&ring.events_ledger), "elsewhere": ring.elsewhere,
        "open": ring.open.iter().map(|span| json!({
            "id": span.id, "parent_id": span.parent_id, "name": span.name,
            "target": span.target, "thread": span.thread, "age_ns": span.age_ns,
            "entries": span.entries,
        })).collect::<Vec<_>>(),
    })
}
