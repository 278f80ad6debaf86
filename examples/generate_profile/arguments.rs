//! The command line.

use std::fmt;
use std::path::PathBuf;

use crate::options::Options;

/// How the labels of all our runs begin; what tells our files from others.
pub const LABEL: &str = "generated";

pub const HELP: &str = "\
Writes a profile of a made-up server, without waiting for it to happen.

Usage: cargo run --release --example generate_profile -- [OPTIONS]

Options:
  --spans N           spans that were recorded in each run [default: 10000000]
  --rate N            spans a second of the made-up time [default: 10000]
  --seed N            another seed gives other spans; the same seed the same spans [default: 1]
  --names N           names of spans, 4 to 10000 [default: 40]
  --fields N          fields of each span at most, 0 to 4 [default: 2]
  --threads N         threads of the made-up server, 1 to 1000 [default: 8]
  --slow SHARE        share of the requests that meet a slow query, 0 to 1 [default: 0.05]
  --lose N            spans of each run that are lost for a full ring [default: 0]
  --unfinished N      requests of each run that never come to an end [default: 2]
  --runs N            runs in the file, 1 to 100 [default: 1]
  --slower NAME=F     in the last runs, spans with this name take F times as long; may be repeated
  --slower-runs N     how many runs those are [default: 1]
  --database PATH     the profile database [default: generated.db]
                      One that this program made is replaced; another file is never touched.
  -h, --help          this text

A request is http.request with auth.verify, db.query, render and some of the other names inside.
Queries wait more than they work; the slow ones all have shard=7; one in a hundred fails, with an
event, and is tried again. Beside requests there are batches, whose parts run side by side, and
recursions. Spans that are open when the last one begins are stored as unfinished.

Exit code: 0 written, 1 not, 2 wrong usage.";

#[derive(Debug, Clone)]
pub struct Settings {
    pub spans: u64,
    pub rate: u64,
    pub seed: u64,
    pub names: usize,
    pub fields: usize,
    pub threads: u32,
    pub slow: f64,
    pub lose: u64,
    pub unfinished: u64,
    pub runs: u64,
    pub slower: Vec<(String, f64)>,
    pub slower_runs: u64,
    pub database: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            spans: 10_000_000,
            rate: 10_000,
            seed: 1,
            names: 40,
            fields: 2,
            threads: 8,
            slow: 0.05,
            lose: 0,
            unfinished: 2,
            runs: 1,
            slower: Vec::new(),
            slower_runs: 1,
            database: "generated.db".into(),
        }
    }
}

impl fmt::Display for Settings {
    /// The options that bring the same spans again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spans, rate, seed, names, fields, threads, slow, lose, unfinished, .. } = self;
        write!(f, "--spans {spans} --rate {rate} --seed {seed} --names {names} --fields {fields}")?;
        write!(f, " --threads {threads} --slow {slow} --lose {lose} --unfinished {unfinished}")?;
        self.slower.iter().try_for_each(|(name, factor)| write!(f, " --slower {name}={factor}"))?;
        if self.slower.is_empty() {
            Ok(())
        } else {
            write!(f, " --slower-runs {}", self.slower_runs)
        }
    }
}

/// `None` when help was asked for.
pub fn parse(words: impl Iterator<Item = String>) -> Result<Option<Settings>, String> {
    let mut settings = Settings::default();
    let mut options = Options::new(words);
    while let Some(name) = options.next() {
        match name.as_str() {
            "-h" | "--help" => return Ok(None),
            "--spans" => settings.spans = options.number_within(1, 10_000_000_000)?,
            "--rate" => settings.rate = options.number_within(1, 100_000_000)?,
            "--seed" => settings.seed = options.number()?,
            "--names" => settings.names = options.number_within(4, 10_000)?,
            "--fields" => settings.fields = options.number_within(0, 4)?,
            "--threads" => settings.threads = options.number_within(1, 1_000)?,
            "--slow" => settings.slow = options.number_within(0.0, 1.0)?,
            "--lose" => settings.lose = options.number()?,
            "--unfinished" => settings.unfinished = options.number()?,
            "--runs" => settings.runs = options.number_within(1, 100)?,
            "--slower" => settings.slower.push(slower(&options.value("a name and a factor")?)?),
            "--slower-runs" => settings.slower_runs = options.number_within(1, 100)?,
            "--database" => settings.database = options.value("a path")?.into(),
            _ => {
                return Err(format!(
                    "there is no option {name}; there are --spans, --rate, --seed, --names, \
                     --fields, --threads, --slow, --lose, --unfinished, --runs, --slower, \
                     --slower-runs and --database"
                ));
            }
        }
    }
    if settings.lose > settings.spans / 5 {
        let Settings { lose, spans, .. } = settings;
        return Err(format!("--lose {lose}: lose at most a fifth of the {spans} spans"));
    }
    Ok(Some(settings))
}

fn slower(text: &str) -> Result<(String, f64), String> {
    let (name, factor) = text.rsplit_once('=').unwrap_or((text, ""));
    match factor.parse() {
        Ok(factor) if (0.01..=100.0).contains(&factor) => Ok((name.to_owned(), factor)),
        _ => {
            Err(format!("--slower {text}: give a name and a factor from 0.01 to 100, as in a=1.1"))
        }
    }
}
