//! A browser without a window, for looking at pages. Where there is none, tests say SKIPPED.

use std::env;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;

/// How often a page may be opened before it must be ready.
const TRIES: usize = 5;

/// What a browser made of a page.
pub struct Seen {
    /// The page after its script has run.
    pub dom: String,
    /// What was written on the console.
    pub console: Vec<String>,
}

pub struct Browser {
    program: PathBuf,
    folder: TempDir,
    dark: bool,
}

impl Browser {
    /// The browser of this machine: `$SPANDREL_CHROMIUM`, or one by its usual names.
    pub fn find() -> Option<Self> {
        let named = env::var_os("SPANDREL_CHROMIUM").map(PathBuf::from);
        let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
        let path = env::var_os("PATH").unwrap_or_default();
        let folders: Vec<_> = env::split_paths(&path).collect();
        let usual =
            names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let program = named.into_iter().chain(usual).find(|path| path.is_file());
        if program.is_none() {
            // What `println` writes is hidden by the harness when the test passes.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: no Chromium here; install it, or set SPANDREL_CHROMIUM to its path"
            );
        }
        let folder = tempfile::tempdir().unwrap();
        Some(Self { program: program?, folder, dark: false })
    }

    /// As on a system that is set to dark.
    pub fn dark(self) -> Self {
        Self { dark: true, ..self }
    }

    fn run(&self, page: &str, more: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command
            .arg("--headless=new")
            // Inside containers there is no sandbox to be had, and the page is ours.
            .args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .args(["--enable-logging=stderr", "--v=0", "--window-size=1280,900"])
            .arg("--virtual-time-budget=6000")
            .arg(format!("--user-data-dir={}", self.folder.path().join("user").display()));
        if self.dark {
            command.arg("--force-dark-mode");
        }
        command.args(more).arg(page).output().unwrap()
    }

    /// Opens a report by its file and the part behind `#`.
    ///
    /// On a busy machine the browser may think that the page is done before it has drawn its first frame,
    /// and is then asked again.
    pub fn open(&self, page: &Path, hash: &str) -> Seen {
        let mut seen = self.open_once(page, hash);
        for _ in 1..TRIES {
            if seen.dom.contains("data-ready=") || seen.dom.contains("data-failed") {
                break;
            }
            seen = self.open_once(page, hash);
        }
        seen
    }

    /// Opens a page that does not say when it is ready.
    pub fn open_once(&self, page: &Path, hash: &str) -> Seen {
        let out = self.run(&format!("file://{}#{hash}", page.display()), &["--dump-dom"]);
        let said = String::from_utf8_lossy(&out.stderr);
        let is_console = |line: &&str| line.contains("CONSOLE");
        Seen {
            dom: String::from_utf8_lossy(&out.stdout).into_owned(),
            console: said.lines().filter(is_console).map(str::to_owned).collect(),
        }
    }

    /// A picture of a page, as the bytes of a PNG.
    pub fn picture(&self, page: &Path, hash: &str) -> Vec<u8> {
        let file = self.folder.path().join("picture.png");
        let shot = format!("--screenshot={}", file.display());
        self.run(&format!("file://{}#{hash}", page.display()), &[&shot]);
        std::fs::read(file).unwrap()
    }
}

/// A server that notices whether anybody comes, and has nothing for whoever does.
pub struct Doorbell {
    port: u16,
    rang: Arc<AtomicBool>,
}

impl Doorbell {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let rang = Arc::new(AtomicBool::new(false));
        let bell = rang.clone();
        thread::spawn(move || {
            for visitor in listener.incoming() {
                bell.store(true, Ordering::Release); // Release: pairs with the Acquire in `rang`.
                drop(visitor);
            }
        });
        Self { port, rang }
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Whether somebody has come since the last time.
    pub fn rang(&self) -> bool {
        self.rang.swap(false, Ordering::Acquire) // Acquire: pairs with the Release of the thread.
    }
}
