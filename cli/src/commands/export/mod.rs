//! `spandrel export`: the spans for other programs.
//!
//! The formats are in `spandrel-export`. This file decides which one is meant, and reports the
//! result. `write` writes it to a file or the standard output, and can be stopped; `send` sends it.

mod send;
mod watch;
mod write;

use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use spandrel_export::{Format, LeftOut, Settings, Written};
use spandrel_query::Weight;

use super::Command;
use super::flame::Width;
use super::prelude::*;
use crate::output::{AnyFormat, formulas_of};

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel export -o slow.pftrace --since 30s     the ending tells the format\n  \
    spandrel export chrome -o trace.json            as does a word, or --format\n  \
    spandrel export folded | inferno-flamegraph > flame.svg\n  \
    spandrel export ndjson -w 'dur>10ms' | jq .name\n  \
    spandrel export sqlite -w name=db.query -o queries.db\n  \
    spandrel export otlp --to http://localhost:4318\n\n\
    Without a format and a file: the formats, and what opens them.")]
pub(crate) struct Arguments {
    /// Export format [default: by the ending of the file]
    #[arg(id = "export_format", value_enum, value_name = "FORMAT")]
    format: Option<Name>,
    /// For folded: which time to add up; for pprof: which to show first [default: self]
    #[arg(long, value_enum, value_name = "WHAT")]
    weight: Option<Width>,
    /// For csv and ndjson: a row for each recorded entry, instead of each span
    #[arg(long)]
    entries: bool,
    /// For otlp: service.name [default: $OTEL_SERVICE_NAME or the program]
    #[arg(long, value_name = "NAME")]
    service_name: Option<String>,
    #[command(flatten)]
    sending: send::Options,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::SPANS | group::PAGE | group::FAIL }>,
}

/// A format by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name(Format);

impl ValueEnum for Name {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Name; Format::ALL.len()] = {
            let mut names = [Name(Format::Csv); Format::ALL.len()];
            let mut at = 0;
            while at < names.len() {
                names[at] = Name(Format::ALL[at]);
                at += 1;
            }
            names
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name()).help(self.0.opened_by()))
    }
}

/// Refuses export formats for other commands, which share the option `--format`.
pub(crate) fn only_there(command: &Command, context: &Context) -> Result<(), Failure> {
    match (command, context.any_format) {
        (Command::Export(_), _) => Ok(()),
        (_, Some(AnyFormat::Export(format))) => {
            let name = format.name();
            let message = format!("{name} is a format of `spandrel export`, not of this command");
            Err(Failure::usage(message).hint(format!("spandrel export {name} -o FILE")))
        }
        _ => Ok(()),
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let named =
        [arguments.format.map(|name| name.0), context.any_format.and_then(AnyFormat::of_export)];
    let spreadsheet = context.output.spreadsheet;
    let is_said =
        arguments.sending.is_named() || context.output.path.is_some() || context.output.is_standard;
    if named == [None, None] && !is_said {
        context.output.check()?;
        return list(context);
    }
    let sent = arguments.sending.is_named().then_some(Format::Otlp);
    let format = choose(named, sent, context)?;
    if spreadsheet && format != Format::Csv {
        let failure =
            Failure::usage(format!("--spreadsheet is for csv, not for {}", format.name()));
        return Err(failure.hint("`spandrel export csv --spreadsheet`"));
    }
    let is_sent = arguments.sending.is_sent(format, context)?;
    if arguments.service_name.is_some() && !matches!(format, Format::Otlp | Format::OtlpJson) {
        let message =
            format!("--service-name is for otlp and otlp-json, not for {}", format.name());
        return Err(Failure::usage(message).hint("`spandrel export otlp-json --service-name NAME`"));
    }
    if arguments.entries && !matches!(format, Format::Csv | Format::Ndjson) {
        let message = format!("--entries is for csv and ndjson, not for {}", format.name());
        return Err(Failure::usage(message).hint("`spandrel export csv --entries`"));
    }
    let settings = Settings::new(format)
        .entries(arguments.entries)
        .weight(weight(arguments, format)?)
        .csv_safe(spreadsheet)
        .service_name(service_name(arguments));
    if !is_sent {
        refuse_terminal(format, context)?;
    }
    let profile = context.wanted.profile()?;
    let written = write::guarded(|stop| match is_sent {
        true => send::send(&arguments.sending, &profile, &settings, context, stop),
        false => write::write(&profile, &settings, context, stop),
    })?;
    if let Some(path) = &context.output.path {
        report(path, arguments, (format, &written), context);
    }
    if is_sent || context.output.path.is_some() {
        lost(&profile, context);
    }
    let formulas = if spreadsheet { 0 } else { written.formulas };
    formulas_of(formulas).iter().for_each(|note| context.output.say(note));
    if let Some(note) = left_out(format, &written.left_out) {
        context.output.say(&note);
    }
    profile.unmeasured().iter().for_each(|note| context.output.say(note));
    profile.passed_over_everything()?.iter().for_each(|note| context.output.say(note));
    let is_empty = written.spans == 0 && written.entries == 0;
    Ok(context.output.exit(!profile.run.is_complete(), is_empty))
}

/// What is added up, where that can be chosen.
fn weight(arguments: &Arguments, format: Format) -> Result<Weight, Failure> {
    let name = format.name();
    match (arguments.weight, format) {
        (Some(Width::Wall), Format::Pprof) => {
            let failure = Failure::usage("pprof has no time from open to close");
            Err(failure.hint("it has spans, self and busy time: --weight calls, self or busy"))
        }
        (Some(_), format) if !matches!(format, Format::Folded | Format::Pprof) => {
            let failure =
                Failure::usage(format!("--weight is for folded and pprof, not for {name}"));
            Err(failure.hint("`spandrel export folded --weight busy`"))
        }
        (weight, _) => Ok(weight.unwrap_or_default().weight()),
    }
}

/// As it was given, or as OpenTelemetry's own exporters find it.
fn service_name(arguments: &Arguments) -> Option<String> {
    let of_environment = || env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    arguments.service_name.clone().or_else(of_environment)
}

fn choose(
    named: [Option<Format>; 2],
    sent: Option<Format>,
    context: &Context,
) -> Result<Format, Failure> {
    let names = || Format::ALL.map(Format::name).join(" ");
    let of_file = || {
        let name = context.output.path.as_ref()?.file_name()?.to_str()?;
        Format::of_file_name(name)
    };
    match named {
        [Some(one), Some(other)] if one != other => {
            let message = format!("two formats: {} and --format {}", one.name(), other.name());
            Err(Failure::usage(message).hint("choose one"))
        }
        [_, None] if context.any_format.is_some() => {
            Err(Failure::usage("--format names no format of an export")
                .hint(format!("one of {}", names())))
        }
        [one, other] => one.or(other).or(sent).or_else(of_file).ok_or_else(|| {
            Failure::usage("the name of the file does not say which format is meant")
                .hint(format!("`spandrel export FORMAT -o FILE` with one of {}", names()))
        }),
    }
}

fn refuse_terminal(format: Format, context: &Context) -> Result<(), Failure> {
    let is_database = format == Format::Sqlite;
    let refused = !format.is_text() && (is_database || io::stdout().is_terminal());
    if context.output.path.is_some() || !refused {
        return Ok(());
    }
    let name = format.name();
    let where_to = if is_database { "the standard output" } else { "a terminal" };
    let ending = format.endings().first().unwrap_or(&"");
    Err(Failure::usage(format!("{name} is not text and is not written to {where_to}"))
        .hint(format!("spandrel export {name} -o profile{ending}")))
}

/// Says where the export is, and what opens it.
fn report(
    path: &Path,
    arguments: &Arguments,
    (format, written): (Format, &Written),
    context: &Context,
) {
    let bytes = text::bytes(written.bytes);
    let mut line = format!("wrote {} ({bytes}", path.display());
    let counts = [(written.events, "event"), (written.links, "link")];
    if !arguments.entries {
        line.push_str(&format!(", {}", text::counted(written.spans, "span")));
    }
    for (count, what) in counts {
        if count > 0 {
            line.push_str(&format!(", {}", text::counted(count, what)));
        }
    }
    if written.entries > 0 || arguments.entries {
        let entries = if written.entries == 1 { "entry" } else { "entries" };
        line.push_str(&format!(", {} {entries}", text::count(written.entries)));
    }
    line.push_str(&format!("). Open: {}", format.opened_by()));
    context.output.say(&text::clean(&line));
}

fn lost(profile: &Profile, context: &Context) {
    let run = &profile.run;
    let mut lost = Vec::new();
    for (count, one, more) in [
        (run.dropped_spans, "span", "spans"),
        (run.dropped_events, "event", "events"),
        (run.dropped_entries, "entry", "entries"),
    ] {
        if count > 0 {
            lost.push(format!("{} {}", text::count(count), text::agree(count, one, more)));
        }
    }
    if !lost.is_empty() {
        let are = text::agree(run.dropped(), "is", "are");
        let lost = lost.join(" and ");
        context.output.say(&format!("note: the run lost {lost}, which {are} missing here"));
    }
}

/// A note on what the format has no place for.
fn left_out(format: Format, left_out: &LeftOut) -> Option<String> {
    let counts = [
        (left_out.spans, "unfinished span"),
        (left_out.events, "event"),
        (left_out.links, "link"),
        (left_out.marks, "mark"),
        (left_out.entries, "entry"),
    ];
    let mut listed = String::new();
    let mut counts = counts.into_iter().filter(|(count, _)| *count > 0).peekable();
    while let Some((count, what)) = counts.next() {
        let joint = match (listed.is_empty(), counts.peek()) {
            (true, _) => "",
            (false, Some(_)) => ", ",
            (false, None) => " and ",
        };
        let what = match (what, count) {
            (what, 1) => what.to_owned(),
            ("entry", _) => "entries".to_owned(),
            (what, _) => format!("{what}s"),
        };
        listed.push_str(&format!("{joint}{} {what}", text::count(count)));
    }
    let name = format.name();
    let rows = left_out.entries > 0 && matches!(format, Format::Csv | Format::Ndjson);
    let way_out = if rows { " (entries are rows with --entries)" } else { "" };
    let note = || format!("note: {name} has no place for {listed}: left out here{way_out}");
    (!listed.is_empty()).then(note)
}

/// The formats, and what opens them.
fn list(context: &Context) -> Result<Exit, Failure> {
    let table = table_of! {
        for format in Format::ALL, {
            let ending = format.endings().first().copied().unwrap_or("(--to URL)");
        }
        Column::left("format", "format") => format.name().into(),
        Column::left("ending", "ending") => ending.into(),
        Column::left("opened_by", "opened by") => format.opened_by().into(),
    };
    let mut view = View::new("export", None, table);
    view.notes.push("`spandrel export FORMAT -o FILE` writes one".to_owned());
    context.output.show(view, 0)
}
