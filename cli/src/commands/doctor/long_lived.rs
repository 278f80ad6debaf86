//! Long-lived spans that count by their lifetime: those that wait, and those whose entries were not
//! recorded.

use serde_json::Value;
use spandrel_query::{LongByLifetime, MostlyWaiting};

use super::advice::{Finding, Severity};
use super::facts::Facts;
use crate::commands::prelude::*;

/// The default of the setting, if a recording does not say.
const DEFAULT: &str = "long-lived";

/// A name whose self time is waiting.
pub(super) fn waiting(facts: &Facts) -> Option<Finding> {
    Some(finding_of(facts.waiting.as_ref()?, &facts.settings))
}

/// The same, without other facts.
pub(super) fn told_of(found: &MostlyWaiting, profile: &Profile) -> Finding {
    finding_of(found, &settings_of(profile))
}

/// The same for programs.
pub(super) fn json(found: Option<&MostlyWaiting>) -> Value {
    found.map_or(Value::Null, |found| {
        json!({
            "name": found.name, "target": found.target, "spans": found.spans, "open_ns": found.open_ns,
            "busy_ns": found.busy_ns, "self_ns": found.self_ns, "self_share": found.self_share,
        })
    })
}

fn settings_of(profile: &Profile) -> Value {
    serde_json::from_str(&profile.run.info.settings).unwrap_or(Value::Null)
}

fn finding_of(found: &MostlyWaiting, settings: &Value) -> Finding {
    let mean_ns = found.open_ns as f64 / found.spans.max(1) as f64;
    let evidence = format!(
        "{} of {} {} {} of the self time, and that is waiting: open for {} on average, a thread was inside for \
         {} of it",
        text::counted(found.spans, "span"),
        text::clean(&found.name),
        text::agree(found.spans, "has", "have"),
        text::share(found.self_share),
        text::duration_in_words(mean_ns as i64),
        text::share(found.busy_ns as f64 / found.open_ns.max(1) as f64)
    );
    // A user who has asked for all entries may think that each of them is a call.
    let but = match set(settings).split(',').next() {
        Some("all") => " (`all` without a name makes calls only of what lives long)",
        _ => "",
    };
    let advice = format!(
        "they count by their lifetime: `spandrel top --sort self_busy_ns` ranks without the waiting, and in the next \
         recording {} makes each entry a call{but}",
        rule(&found.name, settings)
    );
    Severity::Warning.finding("waiting", evidence, advice)
}

/// The setting that makes entries of a name calls, added to the present one.
fn rule(name: &str, settings: &Value) -> String {
    let method = format!(".entries_of({name:?}, Entries::All)");
    // Characters that cannot be in a text of rules.
    let is_plain = |c: char| !c.is_control() && !matches!(c, ',' | '=');
    if !name.chars().all(is_plain) || name.trim() != name || name.is_empty() {
        return method;
    }
    let rules = match set(settings) {
        DEFAULT => format!("{name}=all"),
        others => format!("{others},{name}=all"),
    };
    format!("{method} or SPANDREL_ENTRIES={}", text::shell(&rules))
}

fn set(settings: &Value) -> &str {
    settings.get("entries").and_then(Value::as_str).unwrap_or(DEFAULT)
}

/// Names that would count by their entries if those had been recorded. Reads the rows of the run only if
/// the settings say that some entries were not.
pub(super) fn by_lifetime(profile: &Profile) -> Result<Option<Finding>, Failure> {
    let settings = settings_of(profile);
    let Some(why) = not_recorded(&settings) else { return Ok(None) };
    let found = profile.reader.long_by_lifetime(profile.run.id)?;
    Ok(told(&found, why, set(&settings)))
}

/// Why entries were not recorded, for all spans or for some.
fn not_recorded(settings: &Value) -> Option<Why> {
    let is_off = |rule: &str| rule == "off" || rule.ends_with("=off");
    if settings.get("busy_time") == Some(&Value::Bool(false)) {
        return Some(Why::BusyTime);
    }
    set(settings).split(',').any(is_off).then_some(Why::Entries)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Entries,
    BusyTime,
}

fn told(found: &[LongByLifetime], why: Why, set: &str) -> Option<Finding> {
    let most = found.first()?;
    let (mut spans, mut entries) = (0_u64, 0_u64);
    for one in found {
        spans = spans.saturating_add(one.spans);
        entries = entries.saturating_add(one.entries);
    }
    let others = match found.len() - 1 {
        0 => String::new(),
        more => format!(" and {}", text::counted(more as u64, "more name")),
    };
    let evidence = format!(
        "{} of {}{others} {} entered again and again ({} times), and {} by {} lifetime, waiting included",
        text::counted(spans, "span"),
        text::clean(&most.name),
        text::agree(spans, "was", "were"),
        text::count(entries),
        text::agree(spans, "counts", "count"),
        text::agree(spans, "its", "their")
    );
    let advice = match why {
        Why::Entries => format!(
            "their entries were not recorded, by SPANDREL_ENTRIES={}: without `off`, each entry of what \
             lives long is a call; `spandrel top --sort busy_ns` ranks by time inside",
            text::shell(set)
        ),
        Why::BusyTime => {
            "their entries were not recorded, as times inside were not measured: with \
                          SPANDREL_BUSY_TIME=true each entry of what lives long is a call"
                .to_owned()
        }
    };
    Some(Severity::Warning.finding("entries", evidence, advice))
}
