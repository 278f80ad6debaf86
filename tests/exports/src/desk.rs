//! A folder with a profile, and the programs that read it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::shop;

/// Python with those programs, named by this variable; `scripts/exports.sh` installs them.
const PYTHON: &str = "SPANDREL_TEST_PYTHON";
/// The command `spandrel`.
const COMMAND: &str = "SPANDREL_TEST_COMMAND";

/// A folder with the profiles, and where the programs are found.
#[derive(Debug)]
pub struct Desk {
    pub folder: TempDir,
    pub python: PathBuf,
    path: String,
}

impl Desk {
    /// Says aloud what is not installed.
    pub fn new() -> Option<Self> {
        let (Some(python), Some(command)) = (std::env::var_os(PYTHON), std::env::var_os(COMMAND))
        else {
            eprintln!("SKIPPED: scripts/exports.sh installs what runs pages, and sets {PYTHON}");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        if !shop::make(folder.path()) {
            return None;
        }
        let shims = folder.path().join(".bin");
        fs::create_dir(&shims).unwrap();
        std::os::unix::fs::symlink(command, shims.join("spandrel")).unwrap();
        let python = PathBuf::from(python);
        let beside = python.parent().unwrap().display();
        let path = format!("{}:{beside}:{}", shims.display(), std::env::var("PATH").unwrap());
        Some(Self { folder, python, path })
    }

    /// A program that finds the others, and none of our settings.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SPANDREL_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.folder.path())
            .env("PATH", &self.path)
            .env("HOME", self.folder.path())
            .envs([("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("NO_COLOR", "1"), ("COLUMNS", "100")]);
        command
    }
}
