//! Whether the process that records a run is alive, as far as can be told from outside.

use std::time::{SystemTime, UNIX_EPOCH};

use spandrel_query::Run;

/// Nanoseconds since the Unix epoch.
pub(crate) fn now_unix_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// How a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It was closed.
    Ended,
    /// It has no end, and its process is there.
    Live,
    /// It has no end, and its process is gone.
    Killed,
    /// Likewise, and what the process had left behind was recovered.
    Crashed,
    /// It was closed, and has no end here: what it recorded last is in a ring file.
    Closed,
    /// It has no end; its process is on another machine, or none can be asked about.
    NotEnded,
}

impl State {
    pub(crate) fn of(run: &Run) -> Self {
        match is_alive(run) {
            _ if run.ended_unix_ns.is_some() => Self::Ended,
            _ if run.has_crashed() => Self::Crashed,
            Some(true) => Self::Live,
            Some(false) => Self::Killed,
            None => Self::NotEnded,
        }
    }

    /// The same, given what ring files have of its runs: they say whether it was closed.
    pub(crate) fn with(run: &Run, left: &[crate::rings::Left]) -> Self {
        let closed = left.iter().any(|left| left.was_closed && left.run == run.info.uuid);
        match Self::of(run) {
            Self::Live | Self::Killed | Self::NotEnded if closed => Self::Closed,
            state => state,
        }
    }

    /// What programs read.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Live => "live",
            Self::Killed => "killed",
            Self::Crashed => "crashed",
            Self::Closed => "closed",
            Self::NotEnded => "not_ended",
        }
    }
}

/// Whether the process of a run is there; `None` if it ran elsewhere, where nobody can ask.
#[cfg(unix)]
pub(crate) fn is_alive(run: &Run) -> Option<bool> {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};

    if rustix::system::uname().nodename().to_str() != Ok(run.info.host.as_str()) {
        return None;
    }
    let pid = Pid::from_raw(i32::try_from(run.info.pid).ok()?)?;
    match test_kill_process(pid) {
        Ok(()) | Err(Errno::PERM) => Some(is_program(run)),
        Err(Errno::SRCH) => Some(false),
        Err(_) => None,
    }
}

#[cfg(not(unix))]
pub(crate) fn is_alive(_run: &Run) -> Option<bool> {
    None
}

/// Whether it is still the same program, where Linux tells: a number is given out again. One that was
/// built anew while it ran is the same; one that has ended, and for which nobody has waited yet, is none.
#[cfg(unix)]
fn is_program(run: &Run) -> bool {
    let pid = run.info.pid;
    if std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| has_ended(&stat)) {
        return false;
    }
    std::fs::read_link(format!("/proc/{pid}/exe")).map_or(true, |program| {
        let program = program.to_string_lossy();
        program.strip_suffix(" (deleted)").unwrap_or(&program) == run.info.program
    })
}

/// The state stands behind the name, in which there may be anything: see proc_pid_stat(5).
#[cfg(unix)]
fn has_ended(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X', 'x']))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::commands::test_profile;

    #[test]
    fn a_process_is_there_gone_another_one_or_elsewhere() {
        let (_folder, reader) = test_profile::profile([test_profile::Span::new("a", 1)]);
        let mut run = reader.runs().unwrap().remove(0);
        run.ended_unix_ns = None;
        run.info.host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        run.info.pid = std::process::id();
        run.info.program = std::env::current_exe().unwrap().to_string_lossy().into_owned();
        assert_eq!(State::of(&run), State::Live);
        run.info.host.push_str(".elsewhere");
        assert_eq!(State::of(&run), State::NotEnded);
        run.info.host.truncate(run.info.host.len() - ".elsewhere".len());
        // No system of ours has so many processes.
        run.info.pid = i32::MAX as u32;
        assert_eq!(State::of(&run), State::Killed);
        run.info.pid = u32::MAX;
        assert_eq!(State::of(&run), State::NotEnded);
        #[cfg(target_os = "linux")]
        {
            // Killed, and nobody has waited for it.
            let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            run.info.pid = child.id();
            run.info.program = std::fs::read_link(format!("/proc/{}/exe", child.id()))
                .unwrap()
                .to_string_lossy()
                .into_owned();
            assert_eq!(State::of(&run), State::Live);
            child.kill().unwrap();
            // The link to its program goes a moment before it is a zombie.
            let stat = format!("/proc/{}/stat", child.id());
            while !has_ended(&std::fs::read_to_string(&stat).unwrap()) {
                std::thread::yield_now();
            }
            assert_eq!(State::of(&run), State::Killed);
            child.wait().unwrap();
            run.info.pid = std::process::id();
            run.info.program = "/bin/another".into();
            assert_eq!(State::of(&run), State::Killed);
        }
        run.report = Some(r#"{"crashed":true}"#.into());
        assert_eq!(State::of(&run), State::Crashed);
        run.ended_unix_ns = Some(1);
        assert_eq!(State::of(&run), State::Ended);
    }
}
