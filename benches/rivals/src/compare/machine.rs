//! Where and when it was measured.

use std::process::Command;

use crate::recorder::Result;

#[derive(Debug)]
pub struct Machine {
    pub processor: String,
    pub processors: usize,
    pub kernel: String,
    pub compiler: String,
    pub date: String,
    /// Load average over a minute, before the first measurement.
    pub load: String,
}

impl Machine {
    pub fn look() -> Result<Self> {
        let processor = std::fs::read_to_string("/proc/cpuinfo")?;
        let processor = processor
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
        let load = std::fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            processor: processor.to_owned(),
            processors: std::thread::available_parallelism()?.get(),
            kernel: said_by(Command::new("uname").arg("-sr"))?,
            compiler: said_by(Command::new("rustc").arg("--version"))?,
            date: said_by(Command::new("date").arg("+%Y-%m-%d"))?,
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        })
    }
}

fn said_by(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
