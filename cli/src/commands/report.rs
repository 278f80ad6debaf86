//! `spandrel report`: the whole profile as one page that opens offline.

use std::path::{Path, PathBuf};

use spandrel_query::OrderRows as _;
use spandrel_query::compare::SampleSet;
use spandrel_query::{By, Columns};

use super::prelude::*;
use super::sides::Side;
use crate::report::{self, Asked, Baseline, Finding, TRACES_MAX};

/// Slowest traces that are shown without asking.
const TRACES: usize = 10;
/// For how many names the report explains why some of their spans are slow: this many with the most time,
/// and this many with the most self time.
const NAMES: usize = 2;

#[derive(Debug, Args)]
#[command(
    after_help = "-n: slowest traces [default: 10, at most 100]; -o: the page [default: named after the\n\
        profile]. Charts are drawn by the page itself; it loads nothing from anywhere.",
    after_long_help = "Examples:\n  \
        spandrel report                               profile.html from the newest profile here\n  \
        spandrel report -o slow.html --since 30s -n 50\n  \
        spandrel report --baseline latest~1           with what changed since the run before\n  \
        spandrel report --baseline main.db --title 'after the index'"
)]
pub(crate) struct Arguments {
    /// Title of the page [default: the label of the run]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Show what changed since another run, or since the run of another profile
    #[arg(long, value_name = "FILE|RUN")]
    baseline: Option<String>,
    #[command(flatten)]
    pub(super) shared:
        Shared<{ group::SPANS | group::LIMIT | group::OUTPUT | group::LOOK | group::FAIL }>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let profile = context.wanted.profile()?;
    let traces = context.output.limit.unwrap_or(TRACES);
    if traces > TRACES_MAX {
        let message = format!("a page shows at most {TRACES_MAX} traces, not {traces}");
        return Err(Failure::usage(message).hint("`spandrel slow` lists any number of spans"));
    }
    let side = arguments.baseline.as_deref().map(|text| Side::parse(text, &context.wanted));
    let side = side.transpose()?;
    profile.unmeasured().iter().for_each(|note| context.output.say(note));
    profile.passed_over_everything()?.iter().for_each(|note| context.output.say(note));
    let path = match &context.output.path {
        Some(path) => path.clone(),
        None if context.output.is_standard => "-".into(),
        None => name_for(profile.reader.path()),
    };
    report::write(&path, &context.output, || {
        // Before the baseline is read: with many names both need memory, and this way not at the same
        // time.
        let findings = findings(&profile)?;
        let baseline = side.map(|side| baseline(&side, &profile, context)).transpose()?;
        let asked = Asked {
            findings,
            title: arguments.title.as_deref(),
            // 0: as many as there may be.
            traces: if traces == 0 { TRACES_MAX } else { traces },
            baseline,
        };
        report::report(&profile, &asked)
    })
}

/// The notes of `top`, what blocked the executor, and what `explain` finds for the names with the most
/// time.
fn findings(profile: &Profile) -> Result<Vec<Finding>, Failure> {
    let (groups, notes) = super::top::in_words(profile)?;
    let of_all = |note: String| {
        let text = note.strip_prefix("note: ").unwrap_or(&note).to_owned();
        Finding { text, ..Finding::default() }
    };
    let mut findings: Vec<Finding> = notes.into_iter().map(of_all).collect();
    findings.extend(super::stalls::findings(profile)?);
    let mut names: Vec<&str> = Vec::new();
    let mut by_total: Vec<_> = groups.iter().collect();
    by_total.order_by_key(|group| std::cmp::Reverse(group.sum_ns));
    // Those that wait for most, and those that do most.
    for group in by_total.into_iter().take(NAMES).chain(groups.iter().take(NAMES)) {
        if !names.contains(&group.callsite.name.as_str()) {
            names.push(&group.callsite.name);
        }
    }
    for name in names {
        let about = Some(name.to_owned());
        let next = format!("spandrel explain {}", text::shell(&text::clean(name)));
        let sentences = super::explain::sentences(profile, name)?;
        let last = sentences.len();
        findings.extend(sentences.into_iter().zip(1..).map(|(text, at)| Finding {
            text,
            about: about.clone(),
            next: (at == last).then(|| next.clone()),
        }));
    }
    Ok(findings)
}

fn baseline(side: &Side, profile: &Profile, context: &Context) -> Result<Baseline, Failure> {
    let mut after = SampleSet::new();
    let pass = profile.pass(Columns::Numbers);
    after.add_run(&profile.reader, &profile.run, &pass, &profile.filter)?;
    Ok(Baseline {
        words: side.title(),
        before: side.samples(&context.wanted, &By::Name)?,
        after,
        is_complete: side.is_complete(),
    })
}

/// `profile.html` in the current folder, wherever the profile is.
fn name_for(profile: &Path) -> PathBuf {
    Path::new(profile.file_name().unwrap_or(profile.as_os_str())).with_extension("html")
}
