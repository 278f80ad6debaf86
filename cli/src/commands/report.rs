//! `spandrel report`: the whole profile as one page that opens offline.

use std::path::{Path, PathBuf};

use clap::Args;
use spandrel_storage::{Reader, Run};

use crate::arguments::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::{Asked, Baseline, TRACES_MAX, Weight, write};

/// Slowest traces that are shown without asking.
const TRACES: usize = 10;

#[derive(Debug, Args)]
#[command(after_help = "-n is the number of slowest traces [default: 10, at most 100].\n\
    Without -o the page is named after the profile.")]
pub(crate) struct Arguments {
    /// The title of the page [default: the label of the run]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Compare with the latest run of another profile, or with another run of this one
    #[arg(long, value_name = "FILE|RUN")]
    baseline: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let profile = context.wanted.profile()?;
    let traces = context.output.limit.unwrap_or(TRACES);
    if traces > TRACES_MAX {
        let message = format!("a page shows at most {TRACES_MAX} traces, not {traces}");
        return Err(Failure::usage(message).hint("`spandrel slow` lists any number of them"));
    }
    let baseline = arguments.baseline.as_deref().map(|wanted| Other::find(wanted, &profile.reader));
    let baseline = baseline.transpose()?;
    let asked = Asked {
        command: "report",
        title: arguments.title.as_deref(),
        weight: Weight::SelfTime,
        // 0: as many as there may be.
        traces: if traces == 0 { TRACES_MAX } else { traces },
        baseline: baseline.as_ref().map(|other| Baseline {
            reader: other.reader.as_ref().unwrap_or(&profile.reader),
            run: &other.run,
            words: other.words.clone(),
        }),
    };
    let path = context.output.path.clone().unwrap_or_else(|| name_for(profile.reader.path()));
    write(&profile, &asked, &path, &context.output)
}

/// `profile.html` in the current folder, for a profile wherever it is.
fn name_for(profile: &Path) -> PathBuf {
    let name = Path::new(profile.file_name().unwrap_or(profile.as_os_str()));
    name.with_extension("html")
}

/// The baseline: a run, and its file if it is another one.
struct Other {
    reader: Option<Reader>,
    run: Run,
    words: String,
}

impl Other {
    /// A file of that name, or else a run of the profile.
    fn find(wanted: &str, profile: &Reader) -> Result<Self, Failure> {
        if Path::new(wanted).exists() {
            let reader = Reader::open(wanted)?;
            let run = reader.latest_run()?.ok_or_else(|| {
                Failure::cannot_read(format!("the baseline {wanted} holds no run"))
            })?;
            let words = format!("{wanted}, {}", words(&run));
            return Ok(Self { reader: Some(reader), run, words });
        }
        let run = find_run(wanted, profile)?;
        let words = words(&run);
        Ok(Self { reader: None, run, words })
    }
}

fn words(run: &Run) -> String {
    match &run.info.label {
        Some(label) => format!("run {} \"{label}\"", run.id),
        None => format!("run {}", run.id),
    }
}

fn find_run(wanted: &str, profile: &Reader) -> Result<Run, Failure> {
    let runs = profile.runs()?;
    let back = match wanted.strip_prefix("latest") {
        Some("") => Some(0),
        Some(back) => back.strip_prefix('~').and_then(|back| back.parse::<usize>().ok()),
        None => None,
    };
    let found = match back {
        Some(back) => runs.iter().rev().nth(back),
        None => runs
            .iter()
            .rev()
            .find(|run| run.id.to_string() == wanted || run.info.label.as_deref() == Some(wanted)),
    };
    found.cloned().ok_or_else(|| {
        Failure::usage(format!(
            "the baseline {wanted:?} is neither a file nor a run of the profile"
        ))
        .hint("`spandrel runs` lists the runs")
    })
}
