//! Runs every measurement of every recorder, in turns, and says what came out.

mod callgrind;
mod figures;
mod headline;
mod machine;
mod page;
mod process;
mod table;
mod text;

use std::path::PathBuf;

use figures::{Figures, Key};
use machine::Machine;

use crate::case::Case;
use crate::measure::Job;
use crate::recorder::{Entry, Result};
use crate::recorders;

/// How much is measured.
#[derive(Debug)]
struct Plan {
    rounds: usize,
    /// Two lengths, whose difference is counted.
    counted: [u64; 2],
    in_a_loop: u64,
    singly: u64,
    burst: u64,
}

const FULL: Plan = Plan {
    rounds: 5,
    counted: [2_000, 12_000],
    in_a_loop: 200_000,
    singly: 300_000,
    burst: 500_000,
};
/// To see that everything runs; the figures say little.
const QUICK: Plan =
    Plan { rounds: 1, counted: [500, 1_500], in_a_loop: 20_000, singly: 20_000, burst: 50_000 };

/// Measures everything.
pub fn run(options: &[&str]) -> Result<()> {
    let (mut plan, mut check, mut write) = (FULL, false, None);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match *option {
            "--quick" => plan = QUICK,
            "--check" => check = true,
            "--rounds" => plan.rounds = options.next().ok_or("--rounds needs a number")?.parse()?,
            "--write" => write = Some(PathBuf::from(options.next().ok_or("--write needs a file")?)),
            other => return Err(format!("there is no option {other}").into()),
        }
    }
    let machine = Machine::look()?;
    let mut figures = Figures::default();
    count_instructions(&plan, &mut figures)?;
    for round in 0..plan.rounds {
        for job in jobs(&plan) {
            eprintln!("rivals: round {} of {}: {}", round + 1, plan.rounds, job.name());
            for entry in in_turns(round) {
                job.measure(entry, round, &mut figures)?;
            }
        }
    }

    let headline = headline::Headline::of(&figures)?;
    let page = page::text(&machine, &plan, &figures, &headline);
    print!("{page}");
    if let Some(path) = write {
        std::fs::write(&path, &page).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if check { headline.check(&figures) } else { Ok(()) }
}

/// Everything that is measured in each round but instructions, which do not vary.
fn jobs(plan: &Plan) -> Vec<Measurement> {
    let mut jobs: Vec<_> = Case::ALL
        .into_iter()
        .map(|case| Measurement { job: Job::Loop(plan.in_a_loop), case, key: Key::Loop(case) })
        .collect();
    let spans = plan.burst;
    jobs.extend([
        Measurement { job: Job::Singly(plan.singly), case: Case::NoFields, key: Key::Singly },
        Measurement {
            job: Job::Burst { spans, enlarged: false },
            case: Case::Tree,
            key: Key::Burst,
        },
        Measurement {
            job: Job::Burst { spans, enlarged: true },
            case: Case::Tree,
            key: Key::EnlargedBurst,
        },
    ]);
    jobs
}

struct Measurement {
    job: Job,
    case: Case,
    key: Key,
}

impl Measurement {
    fn name(&self) -> String {
        format!("{} {}", self.job.arguments().join(" "), self.case)
    }

    fn measure(&self, entry: &'static Entry, round: usize, figures: &mut Figures) -> Result<()> {
        let has_no_size = self.key == Key::EnlargedBurst && !entry.has_queue_size;
        if has_no_size || !entry.cases.contains(&self.case) {
            return Ok(());
        }
        for (name, value) in process::measure(entry, self.case, self.job)? {
            figures.add(entry, self.key, &name, round, value);
        }
        Ok(())
    }
}

/// All recorders, each round beginning with another, so that none is always first.
fn in_turns(round: usize) -> impl Iterator<Item = &'static Entry> {
    let all = recorders::ALL;
    all.iter().copied().cycle().skip(round % all.len()).take(all.len())
}

fn count_instructions(plan: &Plan, figures: &mut Figures) -> Result<()> {
    if !callgrind::is_installed() {
        eprintln!("rivals: SKIPPED, valgrind is not installed: instructions are not counted");
        return Ok(());
    }
    for case in Case::ALL {
        eprintln!("rivals: instructions: {case}");
        for entry in recorders::ALL.iter().filter(|entry| entry.cases.contains(&case)) {
            let each = callgrind::instructions_per_span(entry, case, plan.counted)?;
            figures.add(entry, Key::Instructions(case), "each", 0, each);
        }
    }
    Ok(())
}
