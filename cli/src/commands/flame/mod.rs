//! `spandrel flame`: where the time went, by path from the root.
//!
//! One pass over the spans with flat memory (see `spandrel_query::stacks`), drawn as an
//! icicle: roots on top, children beneath, as wide as their time.

mod icicle;
pub(crate) mod layout;
mod svg;

use std::path::PathBuf;

use clap::ValueEnum;
use spandrel_query::{CountedBy, StackTree, Weight};

use self::layout::Layout;
use super::name_hints;
use super::prelude::*;
use crate::output::ending;
use crate::report;

/// Options about rows: an image or a page has none.
const NOT_DRAWN: [&str; 5] = ["output", "format", "limit", "sort", "columns"];
/// Levels that are drawn without asking.
const DEPTH: u32 = 24;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    spandrel flame                                  self time, all roots\n  \
    spandrel flame --root db.query --weight busy    what is under one name\n  \
    spandrel flame -w field.shard=7 -o flame.svg\n  \
    spandrel flame --min-share 5 -f csv")]
pub(crate) struct Arguments {
    /// Only show what is under spans of this name
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(candidates::names))]
    root: Option<String>,
    /// What the width of a frame stands for
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    weight: Width,
    /// Maximum number of levels (0 = all)
    #[arg(long, value_name = "LEVELS", default_value_t = DEPTH)]
    depth: u32,
    /// Leave out frames below this share of the whole, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = parse_percent)]
    min_share: f64,
    /// Count recursive spans as part of the outermost one
    #[arg(long)]
    collapse_recursion: bool,
    /// Write an SVG image to this file (like -o FILE.svg)
    #[arg(long, value_name = "FILE", conflicts_with_all = NOT_DRAWN)]
    svg: Option<PathBuf>,
    /// Write a page to zoom and search, which opens offline (like -o FILE.html)
    #[arg(long, value_name = "FILE", conflicts_with = "svg", conflicts_with_all = NOT_DRAWN)]
    html: Option<PathBuf>,
    #[command(flatten)]
    pub(super) shared: Shared<{ group::SPANS | group::ROWS | group::VERBOSE | group::FAIL }>,
}

/// What the width of a frame means.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Width {
    /// Self time: up to the last exit, less the union of the children
    #[default]
    #[value(name = "self")]
    SelfTime,
    /// Time inside of spans
    Busy,
    /// Time from open to close
    Wall,
    /// Number of closed spans
    Calls,
}

impl Width {
    pub(crate) fn weight(self) -> Weight {
        match self {
            Self::SelfTime => Weight::SelfTime,
            Self::Busy => Weight::Busy,
            Self::Wall => Weight::Wall,
            Self::Calls => Weight::Calls,
        }
    }

    /// The name for pages and programs.
    fn key(self) -> &'static str {
        match self {
            Self::SelfTime => "self",
            Self::Busy => "busy",
            Self::Wall => "wall",
            Self::Calls => "calls",
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::SelfTime => "self time",
            Self::Busy => "busy time",
            Self::Wall => "time from open to close",
            Self::Calls => "calls",
        }
    }

    /// A width for programs: in nanoseconds, and as a number of calls; one of both is unknown.
    fn cells(self, width: i64) -> [Cell; 2] {
        match self {
            Self::Calls => [Cell::Null, Cell::Count(width.unsigned_abs())],
            _ => [Cell::Ns(width), Cell::Null],
        }
    }

    /// A width for people.
    fn text(self, width: i64) -> String {
        match self {
            Self::Calls => text::count(width.unsigned_abs()),
            _ => text::duration_in_words(width),
        }
    }
}

fn parse_percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("a number from 0 to 100 is wanted".into()),
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    // The name of the file tells its format, unless there is --format.
    let output = &context.output;
    let named = output.path.clone().filter(|_| output.format.is_none());
    let of = |endings: &[&str]| {
        named.clone().filter(|path| ending(path).is_some_and(|end| endings.contains(&end.as_str())))
    };
    let svg = arguments.svg.clone().or_else(|| of(&["svg"]));
    let html = arguments.html.clone().or_else(|| of(&["html", "htm"]));
    let profile = context.wanted.profile()?;
    let mut tree = profile.stacks()?;
    if let Some(name) = &arguments.root {
        tree = tree.rooted_at(name);
    }
    if arguments.collapse_recursion {
        tree = tree.without_recursion();
    }
    if matches!(arguments.weight, Width::Busy) && !tree.has_busy() {
        return Err(Failure::usage("busy time was not measured in this run")
            .hint("--weight self or --weight wall; or record with busy_time(true), the default"));
    }
    let note = match profile.filter.is_empty() {
        true => profile.read_everything(profile.reader.indexes()?.paths),
        false => profile.passed_over_everything()?,
    };
    let beside = note.iter().cloned().chain(profile.unmeasured());
    if html.is_some() || svg.is_some() {
        beside.for_each(|note| context.output.say(&note));
    }
    if let Some(path) = &html {
        let weight = arguments.weight.key();
        return report::write(path, &context.output, || report::flame(&profile, &tree, weight));
    }
    let widths = tree.widths(arguments.weight.weight());
    let layout = Layout::new(&tree, &widths, arguments.depth, arguments.min_share / 100.0);
    let header = profile.header()?;
    if let Some(path) = &svg {
        let drawn = svg::draw(&tree, &layout, arguments.weight, &header.lines());
        output.write_to(path, drawn.as_bytes())?;
        return Ok(output.exit(!header.is_complete(), layout.cells.is_empty()));
    }
    let mut view = View::new("flame", Some(header), table(&tree, &layout, arguments.weight));
    let [ns, calls] = arguments.weight.cells(layout.total).map(|cell| cell.value());
    for (key, value) in [
        ("weight", arguments.weight.key().into()),
        ("root", json!(arguments.root)),
        ("total_width_ns", ns),
        ("total_width_calls", calls),
        ("too_deep", layout.deeper.into()),
        ("too_narrow", layout.narrow.into()),
        ("cut", tree.cut().into()),
        ("missing_parent", tree.orphans().into()),
    ] {
        view.extra.insert(key.into(), value);
    }
    if layout.cells.is_empty() {
        if let Some(name) = &arguments.root {
            view.notes.extend(name_hints::unknown(&profile, name)?);
        }
    } else {
        let width = context.output.width();
        view.drawing = Some(icicle::draw(&tree, &layout, arguments.weight, width));
        view.is_chart = true;
        view.verbose_is_table = true;
        view.notes = notes(&tree, &layout);
    }
    view.notes.extend(note);
    context.output.show(view, 0)
}

fn notes(tree: &StackTree, layout: &Layout) -> Vec<String> {
    let mut notes = Vec::new();
    let mut say = |count: u64, noun: &str, verbs: (&str, &str), what: &str| {
        if count > 0 {
            let verb = text::agree(count, verbs.0, verbs.1);
            notes.push(format!("{} {verb} {what}", text::counted(count, noun)));
        }
    };
    let (are, have) = (("is", "are"), ("has", "have"));
    say(layout.deeper, "path", are, "deeper than is drawn: --depth 0, or --root NAME");
    say(layout.narrow, "path", are, "narrower than --min-share");
    let why = "a parent that is not in the file: dropped, pruned, or still open";
    say(tree.orphans(), "span", have, why);
    say(tree.cut(), "span", are, "in paths too deep, or too many, to tell apart: (cut)");
    say(tree.unfinished(), "unfinished span", have, "no width");
    if layout.cells.iter().any(|cell| {
        let node = tree.nodes().get(cell.node);
        node.is_some_and(|node| node.frame.counted() == Some(CountedBy::Entries))
    }) {
        notes.push(text::LONG_MEANS.into());
    }
    notes
}

fn table(tree: &StackTree, layout: &Layout, weight: Width) -> Table {
    let is_calls = matches!(weight, Width::Calls);
    table_of! {
        for cell in &layout.cells, {
            let Some(node) = tree.nodes().get(cell.node) else { continue };
            let path: Vec<&str> = tree.path(cell.node).iter().map(|frame| frame.name()).collect();
            let name = node.frame.callsite().map_or(node.frame.name(), |callsite| &callsite.name);
            let sums = &node.sums;
            let [width_ns, width_calls] = weight.cells(cell.weight);
        }
        Column::right("depth", "depth") => Cell::Count(cell.depth.into()),
        Column::right("width_ns", "width").shown_if(!is_calls) => width_ns,
        Column::right("width_calls", "width in calls").shown_if(is_calls) => width_calls,
        Column::right("share", "share") => Cell::Share(cell.width),
        Column::right("calls", "calls") => Cell::Count(sums.calls),
        Column::right("errors", "errors").drop_rank(7) => Cell::Count(sums.errors),
        Column::right("unfinished", "unfinished").drop_rank(9) => Cell::Count(sums.unfinished),
        Column::right("self_ns", "self") => Cell::Ns(sums.self_ns),
        Column::right("busy_ns", "busy").drop_rank(6) => Cell::from(sums.busy_ns),
        Column::right("total_ns", "total").drop_rank(5) => Cell::Ns(sums.wall_ns),
        Column::left("name", "span") => Cell::from(name),
        Column::left("by", "calls are").drop_rank(10) =>
            node.frame.counted().map_or(Cell::Null, |counted| counted.as_str().into()),
        Column::left("path", "path").drop_rank(8) => Cell::Text(path.join(";")),
    }
}
