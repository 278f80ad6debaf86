//! Settings from environment variables.

use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use tracing_core::LevelFilter;

use super::builder::{Arguments, ProfilerBuilder, VARIABLE_PREFIX};
use super::misspelt::nearest;
use super::variables::Variables;
use crate::error::{Error, ErrorKind};
use crate::recorder::entry_rules::NotRules;

/// All variables that are read here.
const SETTINGS: [&str; 26] = [
    "SPANDREL_DB",
    "SPANDREL_COLLECT",
    "SPANDREL_LABEL",
    "SPANDREL_COMMIT",
    "SPANDREL_RING_CAPACITY",
    "SPANDREL_PARTITIONS",
    "SPANDREL_BATCH_SIZE",
    "SPANDREL_FLUSH_INTERVAL_MS",
    "SPANDREL_MAX_OPEN_SPANS",
    "SPANDREL_MAX_FIELD_BYTES",
    "SPANDREL_MAX_BYTES",
    "SPANDREL_MAX_AGE_S",
    "SPANDREL_EVENTS",
    "SPANDREL_SPANS",
    "SPANDREL_FILTER",
    "SPANDREL_BUSY_TIME",
    "SPANDREL_STATUS_RULES",
    "SPANDREL_ENTRIES",
    "SPANDREL_ARGS",
    "SPANDREL_REDACT",
    "SPANDREL_CONTROL",
    "SPANDREL_LIVE_READERS",
    "SPANDREL_CRASH_PROOF",
    "SPANDREL_SIGNAL_HANDLER",
    "SPANDREL_GAUGE_INTERVAL_MS",
    "SPANDREL_PROCESS_GAUGES",
];
/// Variables that the command line and the tests of spandrel read. They are set, too, when those start a
/// program.
const OTHERS: [&str; 6] = [
    "SPANDREL_PAGER",
    "SPANDREL_COMPLETE",
    "SPANDREL_CHROMIUM",
    "SPANDREL_HOT_PATH",
    "SPANDREL_STRESS_SECONDS",
    "SPANDREL_WRITE_BOOK",
];
const TESTS: &str = "SPANDREL_TEST_";

/// Settings of a database, which a program that is collected does not write; and where it is.
const OF_DATABASE: [&str; 8] = [
    "SPANDREL_DB",
    "SPANDREL_BATCH_SIZE",
    "SPANDREL_FLUSH_INTERVAL_MS",
    "SPANDREL_MAX_BYTES",
    "SPANDREL_MAX_AGE_S",
    "SPANDREL_CONTROL",
    "SPANDREL_LIVE_READERS",
    "SPANDREL_CRASH_PROOF",
];

/// One line about settings that have no effect.
pub(crate) fn tell_unused(variable: impl Fn(&str) -> Option<OsString>) -> Option<String> {
    let from = Variables::new(&variable);
    let is_set = |name: &&'static str| from.get(name).is_some();
    if is_set(&"SPANDREL_COLLECT") {
        let unused: Vec<_> = OF_DATABASE.into_iter().filter(is_set).collect();
        let (says, names) = (if unused.len() == 1 { "says" } else { "say" }, unused.join(", "));
        return (!unused.is_empty()).then(|| {
            format!(
                "beside SPANDREL_COLLECT, {names} {says} nothing: it is the collector that writes the database"
            )
        });
    }
    // What else is set says how to record. This one promises that it is kept.
    let is_promised = || !matches!(from.switch("SPANDREL_CRASH_PROOF"), Ok(None | Some(false)));
    (!is_set(&"SPANDREL_DB") && is_promised()).then(|| {
        "without SPANDREL_DB, SPANDREL_CRASH_PROOF says nothing: this process is not recorded"
            .into()
    })
}

/// One line about variables that look like settings and are none: they may be misspelt.
pub(crate) fn tell_unknown(names: impl Iterator<Item = String>) -> Option<String> {
    let is_known =
        |name: &str| SETTINGS.contains(&name) || OTHERS.contains(&name) || name.starts_with(TESTS);
    let mut unknown: Vec<_> =
        names.filter(|name| name.starts_with(VARIABLE_PREFIX) && !is_known(name)).collect();
    unknown.sort_unstable();
    let ends = || SETTINGS.iter().filter_map(|name| name.strip_prefix(VARIABLE_PREFIX));
    let told: Vec<_> = unknown
        .iter()
        .map(|name| match nearest(&name[VARIABLE_PREFIX.len()..], ends()) {
            Some(near) => format!("{name} (did you mean {VARIABLE_PREFIX}{near}?)"),
            None => name.clone(),
        })
        .collect();
    match &told[..] {
        [] => None,
        [one] => Some(format!("{one} is no setting, and is ignored")),
        more => Some(format!("{} are no settings, and are ignored", more.join(", "))),
    }
}

/// The settings from the environment; `None` if none says where to record to.
pub(crate) fn builder(
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<ProfilerBuilder>, Error> {
    let from = Variables::new(&variable);
    let Some(mut builder) = somewhere(&from)? else { return Ok(None) };
    if let Some(label) = from.get("SPANDREL_LABEL") {
        builder = builder.label(label.to_string_lossy());
    }
    if let Some(commit) = from.get("SPANDREL_COMMIT") {
        builder = builder.commit(commit.to_string_lossy());
    }
    if let Some(may_install) = from.switch("SPANDREL_SIGNAL_HANDLER")? {
        // Without ring files there is none anyway.
        #[cfg(feature = "crash-proof")]
        {
            builder = builder.signal_handler(may_install);
        }
        _ = may_install;
    }
    if let Some(slots) = from.number("SPANDREL_RING_CAPACITY")? {
        builder = builder.ring_capacity(slots);
    }
    if let Some(partitions) = from.number("SPANDREL_PARTITIONS")? {
        builder = builder.partitions(partitions);
    }
    if let Some(spans) = from.number("SPANDREL_MAX_OPEN_SPANS")? {
        builder = builder.max_open_spans(spans);
    }
    if let Some(bytes) = from.number("SPANDREL_MAX_FIELD_BYTES")? {
        builder = builder.max_field_bytes(bytes);
    }
    let levels = "off, error, warn, info, debug or trace";
    if let Some(level) = from.parse::<LevelFilter>("SPANDREL_EVENTS", levels)? {
        builder = builder.events(level);
    }
    if let Some(level) = from.parse::<LevelFilter>("SPANDREL_SPANS", levels)? {
        builder = builder.spans(level);
    }
    if let Some(filter) = from.get("SPANDREL_FILTER") {
        builder = builder.filter(filter.to_string_lossy());
        // Checked here, where the name of the variable is known.
        builder.rule().map_err(|error| error.about("SPANDREL_FILTER"))?;
    }
    if let Some(measured) = from.switch("SPANDREL_BUSY_TIME")? {
        builder = builder.busy_time(measured);
    }
    if let Some(are_applied) = from.switch("SPANDREL_STATUS_RULES")? {
        builder = builder.status_rules(are_applied);
    }
    if let Some(rules) = from.get("SPANDREL_ENTRIES") {
        let wrong = |error: NotRules| {
            Error::new(ErrorKind::InvalidOption, format!("SPANDREL_ENTRIES: {error}"))
        };
        builder.entries = rules.to_string_lossy().parse().map_err(wrong)?;
    }
    let kinds = "redacted, off or whole";
    if let Some(kept) = from.parse::<Arguments>("SPANDREL_ARGS", kinds)? {
        builder = builder.arguments(kept);
    }
    if let Some(names) = from.get("SPANDREL_REDACT") {
        builder = builder.redact_fields(names.to_string_lossy().split(','));
    }
    if let Some(ms) = from.number("SPANDREL_GAUGE_INTERVAL_MS")? {
        builder.gauge_interval = Duration::from_millis(ms as u64);
    }
    if let Some(are_recorded) = from.switch("SPANDREL_PROCESS_GAUGES")? {
        builder.process_gauges = with_gauges(are_recorded)?;
    }
    builder.variables = from.found();
    Ok(Some(builder))
}

/// Whether the process is watched; an error if it should be, and cannot.
fn with_gauges(are_recorded: bool) -> Result<bool, Error> {
    if are_recorded && cfg!(not(feature = "gauges")) {
        let message = "SPANDREL_PROCESS_GAUGES is set, and this program was built without gauges: give its dependency on \
                       spandrel the feature `gauges`, or unset the variable";
        return Err(Error::new(ErrorKind::InvalidOption, message));
    }
    Ok(are_recorded)
}

/// A builder that knows where to record to. Whoever names the folder of a collector may have named a profile for the
/// command, too.
fn somewhere(from: &Variables<'_>) -> Result<Option<ProfilerBuilder>, Error> {
    match from.get("SPANDREL_COLLECT") {
        Some(folder) => collected(folder).map(Some),
        None => in_database(from),
    }
}

#[cfg(feature = "collected")]
fn collected(folder: OsString) -> Result<ProfilerBuilder, Error> {
    Ok(ProfilerBuilder::default().collected(folder))
}

#[cfg(not(feature = "collected"))]
fn collected(_: OsString) -> Result<ProfilerBuilder, Error> {
    let message = "SPANDREL_COLLECT is set, and this program was built without that: give its dependency on spandrel \
                   the feature `collected`, or unset the variable";
    Err(Error::new(ErrorKind::InvalidOption, message))
}

#[cfg(feature = "database")]
use super::database::variables::builder as in_database;

#[cfg(not(feature = "database"))]
fn in_database(from: &Variables<'_>) -> Result<Option<ProfilerBuilder>, Error> {
    if from.get("SPANDREL_DB").is_none() {
        return Ok(None);
    }
    let message = "SPANDREL_DB is set, and this program was built without a database: set SPANDREL_COLLECT to a folder, \
                   and run `spandrel collect FOLDER -o FILE`";
    Err(Error::new(ErrorKind::InvalidOption, message))
}

impl FromStr for Arguments {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "redacted" => Ok(Self::Redacted),
            "off" | "omitted" | "false" | "0" => Ok(Self::Omitted),
            "whole" => Ok(Self::Whole),
            _ => Err("not known"),
        }
    }
}

#[cfg(test)]
#[cfg(feature = "database")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::redact::Secrecy;

    fn from<'a>(
        variables: &'a [(&'a str, &'a str)],
    ) -> impl Fn(&str) -> Option<OsString> + use<'a> {
        move |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
        }
    }

    #[test]
    fn without_a_database_nothing_is_recorded() {
        assert!(builder(from(&[("SPANDREL_LABEL", "x")])).unwrap().is_none());
        assert!(builder(from(&[("SPANDREL_DB", "")])).unwrap().is_none());
    }

    #[test]
    fn every_variable_is_a_setting() {
        let variables = [
            ("SPANDREL_DB", "a.db"),
            ("SPANDREL_LABEL", "a label"),
            ("SPANDREL_COMMIT", "a1b2c3d"),
            ("SPANDREL_RING_CAPACITY", "128"),
            ("SPANDREL_PARTITIONS", "3"),
            ("SPANDREL_BATCH_SIZE", "10"),
            ("SPANDREL_FLUSH_INTERVAL_MS", "20"),
            ("SPANDREL_MAX_OPEN_SPANS", "30"),
            ("SPANDREL_MAX_FIELD_BYTES", "40"),
            ("SPANDREL_EVENTS", "debug"),
            ("SPANDREL_SPANS", "trace"),
            ("SPANDREL_FILTER", "h2=off"),
            ("SPANDREL_MAX_BYTES", "50"),
            ("SPANDREL_MAX_AGE_S", "60"),
            ("SPANDREL_BUSY_TIME", "false"),
            ("SPANDREL_STATUS_RULES", "0"),
            ("SPANDREL_ENTRIES", "off,a::b=all"),
            ("SPANDREL_CONTROL", "0"),
            ("SPANDREL_LIVE_READERS", "0"),
            ("SPANDREL_ARGS", "off"),
            ("SPANDREL_REDACT", "card,!key"),
            ("SPANDREL_CRASH_PROOF", if cfg!(feature = "crash-proof") { "1" } else { "0" }),
            ("SPANDREL_SIGNAL_HANDLER", "false"),
            ("SPANDREL_GAUGE_INTERVAL_MS", "70"),
            ("SPANDREL_PROCESS_GAUGES", if cfg!(feature = "gauges") { "1" } else { "0" }),
        ];
        let builder = builder(from(&variables)).unwrap().unwrap();
        assert_eq!(builder.entries.to_string(), "off,a::b=all");
        let names = |of: &[&'static str]| of.iter().copied().collect::<BTreeSet<_>>();
        let others =
            SETTINGS.map(|name| if name == "SPANDREL_COLLECT" { "SPANDREL_DB" } else { name });
        assert_eq!(names(&builder.variables), names(&others), "and of all it is told");
        assert_eq!(variables.len(), SETTINGS.len() - 1);
        assert_eq!(builder.database.path.to_str(), Some("a.db"));
        assert_eq!(builder.label.as_deref(), Some("a label"));
        assert_eq!(builder.commit.as_deref(), Some("a1b2c3d"));
        assert_eq!((builder.ring_slots(), builder.partitions), (128, 3));
        assert_eq!(builder.database.batch_size, 10);
        assert_eq!(builder.database.flush_interval, Duration::from_millis(20));
        assert_eq!(builder.database.crash_proof, cfg!(feature = "crash-proof"));
        #[cfg(feature = "crash-proof")]
        assert!(!builder.signal_handler);
        assert_eq!((builder.max_open_spans, builder.max_field_bytes), (30, 40));
        assert_eq!((builder.spans, builder.events), (LevelFilter::TRACE, LevelFilter::DEBUG));
        assert_eq!(builder.filter, "h2=off");
        assert_eq!(builder.database.store.max_bytes, Some(50));
        assert_eq!(builder.database.store.max_age, Some(Duration::from_secs(60)));
        assert_eq!((builder.busy_time, builder.database.control), (false, false));
        assert!(!builder.status_rules);
        assert_eq!(builder.gauge_interval, Duration::from_millis(70));
        assert_eq!(builder.process_gauges, cfg!(feature = "gauges"));
        assert!(!builder.database.store.live_readers);
        assert_eq!(builder.arguments, Arguments::Omitted);
        let secrecy = |name| builder.redaction.secrecy(name);
        assert_eq!((secrecy("card"), secrecy("key")), (Secrecy::All, Secrecy::None));
    }

    #[test]
    #[cfg(not(feature = "crash-proof"))]
    fn what_the_program_was_built_without_is_refused_with_the_way_out() {
        let builder = builder(from(&[("SPANDREL_DB", "a.db"), ("SPANDREL_CRASH_PROOF", "true")]));
        let error = builder.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert!(error.to_string().contains("the feature `crash-proof`, or unset"), "{error}");
    }

    #[test]
    fn settings_without_effect_are_told_of() {
        let told =
            |names: &[&str]| tell_unused(|name| names.contains(&name).then(|| OsString::from("1")));
        assert_eq!(told(&["SPANDREL_DB", "SPANDREL_MAX_BYTES", "SPANDREL_CRASH_PROOF"]), None);
        assert_eq!(told(&["SPANDREL_COLLECT", "SPANDREL_LABEL"]), None);
        let line = told(&["SPANDREL_MAX_AGE_S", "SPANDREL_COLLECT", "SPANDREL_CONTROL"]).unwrap();
        assert!(
            line.contains("SPANDREL_COLLECT, SPANDREL_MAX_AGE_S, SPANDREL_CONTROL say nothing"),
            "{line}"
        );
        let line = told(&["SPANDREL_DB", "SPANDREL_COLLECT", "SPANDREL_LABEL"]).unwrap();
        assert!(line.contains("SPANDREL_COLLECT, SPANDREL_DB says nothing"), "{line}");
        assert!(OF_DATABASE.iter().all(|name| SETTINGS.contains(name)));
    }

    #[test]
    fn what_is_to_outlive_the_process_and_has_nowhere_to_go_is_told_of() {
        let told = |variables: &[(&str, &str)]| tell_unused(from(variables));
        let line = told(&[("SPANDREL_CRASH_PROOF", "1"), ("SPANDREL_DB", "")]).unwrap();
        assert!(
            line.starts_with("without SPANDREL_DB, SPANDREL_CRASH_PROOF says nothing"),
            "{line}"
        );
        // It has never been looked at, so it is not refused either.
        assert_eq!(told(&[("SPANDREL_CRASH_PROOF", "yes")]), Some(line));
        assert_eq!(told(&[("SPANDREL_CRASH_PROOF", "false")]), None);
        assert_eq!(told(&[("SPANDREL_LABEL", "x"), ("SPANDREL_FILTER", "a=off")]), None);
    }

    #[test]
    #[cfg(feature = "collected")]
    fn the_folder_of_a_collector_takes_the_place_of_a_database() {
        let variables = [
            ("SPANDREL_DB", "a.db"),
            ("SPANDREL_COLLECT", "/dev/shm/x"),
            ("SPANDREL_MAX_BYTES", "1"),
        ];
        let builder = builder(from(&variables)).unwrap().unwrap();
        assert_eq!(builder.collected.as_deref(), Some(std::path::Path::new("/dev/shm/x")));
        assert_eq!(builder.database.store.max_bytes, None, "it is the collector's");
        assert_eq!(builder.variables, ["SPANDREL_COLLECT"]);
    }

    #[test]
    #[cfg(not(feature = "collected"))]
    fn a_collector_is_refused_with_the_way_out_where_the_program_was_built_without() {
        let builder = builder(from(&[("SPANDREL_DB", "a.db"), ("SPANDREL_COLLECT", "x")]));
        let error = builder.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert!(error.to_string().contains("the feature `collected`, or unset"), "{error}");
    }

    #[test]
    fn a_misspelt_variable_is_told_of() {
        let told = |names: &[&str]| tell_unknown(names.iter().map(|name| (*name).to_owned()));
        for name in SETTINGS.into_iter().chain(OTHERS).chain(["SPANDREL_TEST_X", "HOME", "SPAN"]) {
            assert_eq!(told(&[name]), None, "{name}");
        }
        for (name, near) in [
            ("SPANDREL_SPAN", "SPANDREL_SPANS"),
            ("SPANDREL_FILTERS", "SPANDREL_FILTER"),
            ("SPANDREL_FLUSH_INTERVAL", "SPANDREL_FLUSH_INTERVAL_MS"),
            ("SPANDREL_EVENT", "SPANDREL_EVENTS"),
            ("SPANDREL_MAX_AGE", "SPANDREL_MAX_AGE_S"),
        ] {
            let line = format!("{name} (did you mean {near}?) is no setting, and is ignored");
            assert_eq!(told(&[name]), Some(line));
        }
        assert_eq!(
            told(&["SPANDREL_SPAN", "PATH", "SPANDREL_FOO_AND_MORE"]).as_deref(),
            Some(
                "SPANDREL_FOO_AND_MORE, SPANDREL_SPAN (did you mean SPANDREL_SPANS?) are no \
                 settings, and are ignored"
            )
        );
    }

    #[test]
    fn a_variable_out_of_range_is_named_and_no_other() {
        for (name, value, least) in [
            ("SPANDREL_RING_CAPACITY", "0", "from 1 to"),
            ("SPANDREL_PARTITIONS", "65", "from 1 to"),
            ("SPANDREL_BATCH_SIZE", "0", "from 1 to"),
            ("SPANDREL_MAX_OPEN_SPANS", "0", "from 1 to"),
            ("SPANDREL_MAX_FIELD_BYTES", "99999999", "from 0 to"),
            ("SPANDREL_FLUSH_INTERVAL_MS", "0", "at least 1 ms"),
        ] {
            let builder = builder(from(&[("SPANDREL_DB", "a.db"), (name, value)]));
            let error = builder.unwrap().unwrap().build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOption);
            let message = error.to_string();
            assert!(message.starts_with(name) && message.contains(least), "{message}");
        }
        let error = ProfilerBuilder::default().ring_capacity(0).build().unwrap_err();
        assert!(error.to_string().starts_with("ring_capacity is 0"), "{error}");
        // Settings that take too much memory, from variables and from methods.
        let variables = [("SPANDREL_DB", "a.db"), ("SPANDREL_RING_CAPACITY", "4294967296")];
        let builder = builder(from(&variables)).unwrap().unwrap();
        let error = builder.build().unwrap_err();
        assert!(error.to_string().starts_with("SPANDREL_RING_CAPACITY is"), "{error}");
    }

    #[test]
    fn a_variable_that_makes_no_sense_is_named() {
        let names = [
            "SPANDREL_BATCH_SIZE",
            "SPANDREL_EVENTS",
            "SPANDREL_SPANS",
            "SPANDREL_FILTER",
            "SPANDREL_MAX_BYTES",
            "SPANDREL_ENTRIES",
            "SPANDREL_CONTROL",
            "SPANDREL_ARGS",
        ];
        for name in names {
            let error = builder(from(&[("SPANDREL_DB", "a.db"), (name, "many=")])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOption);
            assert!(error.to_string().contains(name) && error.to_string().contains("many="));
        }
    }
}

#[cfg(test)]
#[cfg(not(feature = "database"))]
mod tests_without_database {
    use super::*;

    #[test]
    fn only_the_folder_of_a_collector_says_where_to_record_to() {
        let with = |known: &'static [&str]| {
            move |name: &str| known.contains(&name).then(|| OsString::from("/dev/shm/x"))
        };
        assert!(builder(with(&["SPANDREL_LABEL"])).unwrap().is_none());
        let built = builder(with(&["SPANDREL_DB", "SPANDREL_COLLECT", "SPANDREL_LABEL"]));
        let built = built.unwrap().unwrap();
        assert_eq!(built.collected.as_deref(), Some(std::path::Path::new("/dev/shm/x")));
        assert_eq!(built.label.as_deref(), Some("/dev/shm/x"));
        let error = builder(with(&["SPANDREL_DB"])).unwrap_err();
        assert!(error.to_string().contains("set SPANDREL_COLLECT to a folder"), "{error}");
        let error = ProfilerBuilder::default().build().unwrap_err();
        assert!(error.to_string().starts_with("there is nowhere to record to"), "{error}");
    }
}
