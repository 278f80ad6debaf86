//! What a console shows on a page: commands behind `$`, and what they say.
//!
//! * Fences are `console` (compared as it stands) or `console,varies` (words are compared, in any order
//!   of lines: figures are of the machine). Further lines of a command begin with `> `.
//! * A line `...` stands for any lines.
//! * A fence whose info ends in `,file=PATH` is a file that the reader makes.
//! * A command must exit with 0 unless the next one is `echo $?`.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Whether these tests are built as a release.
pub const IS_RELEASE: bool = !cfg!(debug_assertions);

/// What a command may need to be taken for hung, in seconds.
const PATIENCE_S: &str = "600";

/// A page with what its commands say now, and what was wrong.
pub struct Played {
    pub page: String,
    pub faults: Vec<String>,
    pub commands: usize,
}

/// Runs what a page shows, in a folder of its own in which `prepare` puts what is there already. What it returns
/// is kept until the end.
pub fn play<Kept>(page: &str, prepare: impl FnOnce(&Path) -> Kept) -> Played {
    let mut desk = Desk::new();
    let _kept = prepare(&desk.at);
    let mut played = Played { page: String::new(), faults: Vec::new(), commands: 0 };
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        played.page.push_str(line);
        played.page.push('\n');
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let mut body = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("```")) {
            body.push(line);
        }
        if info == "console" || info == "console,varies" {
            for step in steps(&body) {
                desk.play(&step, info.ends_with("varies"), &mut played);
            }
        } else {
            if let Some((_, file)) = info.split_once(",file=") {
                desk.write(file, &body);
            }
            body.iter().for_each(|line| played.page.extend([*line, "\n"]));
        }
        // The end of the fence is no beginning.
        played.page.extend(lines.next().map(|end| format!("{end}\n")));
    }
    if desk.status != 0 {
        played.faults.push(format!("the last command exits with {}", desk.status));
    }
    played
}

/// A command as it is written, and what the page says that it says.
struct Step {
    shown: Vec<String>,
    command: String,
    said: String,
}

fn steps(lines: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in lines {
        let step = steps.last_mut();
        if let Some(command) = line.strip_prefix("$ ") {
            let (shown, command) = (vec![(*line).to_owned()], format!("{command}\n"));
            steps.push(Step { shown, command, said: String::new() });
        } else if let (Some(more), Some(step)) = (line.strip_prefix("> "), step) {
            step.shown.push((*line).to_owned());
            step.command.push_str(&format!("{more}\n"));
        } else {
            let step = steps.last_mut().expect("a console begins with a command");
            step.said.push_str(&format!("{line}\n"));
        }
    }
    steps
}

/// A folder with a shell.
struct Desk {
    folder: TempDir,
    /// Where `cd` went.
    at: PathBuf,
    /// Of the command before.
    status: i32,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shims = folder.path().join(".bin");
        fs::create_dir(&shims).unwrap();
        // Ring files of other programs are not for this page.
        fs::create_dir(folder.path().join(".run")).unwrap();
        let cargo = shims.join("cargo");
        fs::write(&cargo, CARGO).unwrap();
        // A package of the reader's is compiled as the repository is, so that most of what it needs is there already.
        fs::create_dir(folder.path().join(".cargo")).unwrap();
        fs::write(folder.path().join(".cargo/config.toml"), development_profile()).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::{PermissionsExt as _, symlink};
            fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
            symlink(env!("CARGO_BIN_EXE_spandrel"), shims.join("spandrel")).unwrap();
            symlink(repository(), folder.path().join("spandrel")).unwrap();
        }
        Self { at: folder.path().to_owned(), folder, status: 0 }
    }

    fn write(&self, file: &str, lines: &[&str]) {
        let path = self.at.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, lines.join("\n") + "\n").unwrap();
    }

    fn play(&mut self, step: &Step, varies: bool, played: &mut Played) {
        let command = step.command.trim();
        if self.status != 0 && command != "echo $?" {
            played
                .faults
                .push(format!("the command before this exits with {}: {command}", self.status));
        }
        played.commands += 1;
        step.shown.iter().for_each(|line| played.page.extend([line, "\n"]));
        if let Some(folder) = command.strip_prefix("cd ") {
            self.at.push(folder);
            assert!(self.at.is_dir(), "{}", self.at.display());
            return;
        }
        if let Some(program) = missing(command) {
            // What `eprintln` writes is hidden by the harness when the test passes.
            let _ = writeln!(std::io::stderr(), "SKIPPED: {program} is not installed: {command}");
            played.page.push_str(&step.said);
            return;
        }
        let says = self.run(command);
        if fits(&step.said, &says, varies) {
            played.page.push_str(&step.said);
        } else {
            played.faults.push(format!("$ {command}\nsays\n{says}and not\n{}", step.said));
            played.page.push_str(&says);
        }
    }

    fn run(&mut self, command: &str) -> String {
        let path = std::env::var("PATH").unwrap();
        let shims = self.folder.path().join(".bin");
        let mut shell = Command::new("timeout");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SPANDREL_") {
                shell.env_remove(name);
            }
        }
        let output = shell
            .args([PATIENCE_S, "bash", "-c"])
            .arg(format!("exec 2>&1 </dev/null; (exit {}); {command}", self.status))
            .current_dir(&self.at)
            .env("PATH", format!("{}:{path}", shims.display()))
            .envs([("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("NO_COLOR", "1"), ("COLUMNS", "100")])
            .env("XDG_RUNTIME_DIR", self.folder.path().join(".run"))
            .env_remove("GITHUB_ACTIONS")
            .envs([("CARGO_TERM_QUIET", "true"), ("CARGO_NET_OFFLINE", "true")])
            .env("BOOK_CARGO", cargo())
            .env("BOOK_REPOSITORY", repository())
            .env("BOOK_TARGET", target())
            .env("BOOK_PROFILE", if IS_RELEASE { "release" } else { "debug" })
            .output()
            .unwrap();
        self.status = output.status.code().unwrap_or(-1);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
    }
}

/// A program that a page uses, and that is not everywhere.
fn missing(command: &str) -> Option<&'static str> {
    let program = ["sqlite3"].into_iter().find(|program| command.starts_with(program))?;
    Command::new(program).arg("--version").output().is_err().then_some(program)
}

/// The tool that builds.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or(env!("CARGO").into())
}

/// What the manifest of the repository says of the profile for development, for cargo's own settings.
fn development_profile() -> String {
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let sections = manifest.split("\n[").filter(|section| section.starts_with("profile.dev"));
    sections.map(|section| format!("[{section}\n")).collect()
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The folder that cargo builds into, which is that of this test.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_spandrel")).ancestors().nth(2).unwrap().to_owned()
}

/// Examples are run where the reader is, as they were built with this test; a new package takes the versions of the
/// repository.
const CARGO: &str = r#"#!/usr/bin/env bash
set -eu
export CARGO_TARGET_DIR=$BOOK_TARGET
if [[ $1 == run && " $* " == *" --example "* ]]; then
    while [[ $1 != --example ]]; do shift; done
    example=$2
    shift 2
    [[ ${1-} != -- ]] || shift
    exec "$BOOK_TARGET/$BOOK_PROFILE/examples/$example" "$@"
fi
"$BOOK_CARGO" "$@"
if [[ $1 == new ]]; then cp "$BOOK_REPOSITORY/Cargo.lock" "${!#}/"; fi
"#;

/// Whether the page says what the command says.
fn fits(said: &str, says: &str, varies: bool) -> bool {
    let lines = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| if varies { words(line) } else { line.trim_end().to_owned() })
            .collect()
    };
    let (mut said, mut says) = (lines(said), lines(says));
    if !varies {
        return elided(&said, &says);
    }
    if said.iter().any(|line| line == "...") {
        return said.iter().all(|line| line == "..." || says.contains(line));
    }
    said.sort();
    says.sort();
    said == says
}

/// A line without what depends on the machine: figures and their units, bars, and the spaces between.
fn words(line: &str) -> String {
    if line == "..." {
        return line.to_owned();
    }
    let is_unit = |word: &str| ["ns", "us", "µs", "ms", "s", "B", "KiB", "MiB"].contains(&word);
    let is_word = |word: &&str| {
        word.chars().any(char::is_alphabetic)
            && !word.chars().any(|c| c.is_ascii_digit())
            && !is_unit(word)
    };
    line.split([' ', '\t', '│', '(', ')', ',']).filter(is_word).collect::<Vec<_>>().join(" ")
}

/// Whether the lines are those, where `...` stands for any.
fn elided(said: &[String], says: &[String]) -> bool {
    match said.split_first() {
        None => says.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=says.len()).any(|from| elided(rest, &says[from..]))
        }
        Some((first, rest)) => says.first() == Some(first) && elided(rest, &says[1..]),
    }
}

#[test]
fn book_consoles_notice_what_is_not_so() {
    let play = |page: &str| play(page, |_| ());
    let page = |said: &str| format!("Text.\n\n```console\n$ printf '1 a\\n2 b\\n'\n{said}```\n");
    let played = play(&page("1 a\n2 b\n"));
    assert_eq!((played.faults.len(), played.commands), (0, 1));
    assert!(play(&page("1 a\n...\n")).faults.is_empty());
    let wrong = play(&page("1 a\n3 b\n"));
    assert_eq!(wrong.faults.len(), 1);
    assert_eq!(wrong.page, page("1 a\n2 b\n"), "what it says now stands in the page");
    let varies = page("7 b\n9 a\n").replace("console", "console,varies");
    assert!(play(&varies).faults.is_empty());
    assert_eq!(play(&varies.replace("7 b", "7 c")).faults.len(), 1);
    assert_eq!(play("```console\n$ false\n```\n").faults.len(), 1, "it fails");
    assert!(play("```console\n$ false\n$ echo $?\n1\n```\n").faults.is_empty());
    let file = "```toml,file=a/b.toml\nx = 1\n```\n\n```console\n$ cat a/b.toml\nx = 1\n```\n";
    assert!(play(file).faults.is_empty());
}
