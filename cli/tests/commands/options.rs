//! No command accepts an option and ignores it: each one changes something, or is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{iter, thread};

use spandrel::Profiler;
use spandrel_storage::{Store, StoreOptions};
use tempfile::TempDir;

use super::fixture::{bare, profile, run, spandrel};

/// How many commands are tried at once.
const AT_ONCE: usize = 3;

/// What several commands take.
const SHARED: [&str; 19] = [
    "db",
    "run",
    "since",
    "until",
    "between",
    "where",
    "limit",
    "sort",
    "columns",
    "format",
    "output",
    "color",
    "ascii",
    "utc",
    "no-pager",
    "quiet",
    "verbose",
    "fail-empty",
    "strict",
];

/// Of a check that passes whatever was dropped.
const RULES: &str = "[[rule]]\nmetric = \"unfinished\"\nmax = 0\n\n[[rule]]\nspan = \"http.request\"\nmetric = \"calls\"\nmax = 1000\n";

/// Each command with what it needs to do something.
const COMMANDS: [(&str, &[&str]); 29] = [
    ("top", &[]),
    ("open", &["--db", "sub/open.db", "--run", "1"]),
    ("slow", &[]),
    ("stalls", &["--blocking", "1us"]),
    ("tree", &[]),
    ("diff", &["1", "2"]),
    ("explain", &["http.request", "--sel", "p85.."]),
    ("flame", &[]),
    ("hist", &["http.request"]),
    ("gauges", &[]),
    ("export", &["ndjson"]),
    ("load", &["--rate", "500", "--for", "40ms", "--threads", "1"]),
    ("record", &[]),
    ("collect", &["rings", "--once"]),
    ("report", &[]),
    ("tail", &["-n", "3"]),
    ("runs", &[]),
    (
        "sql",
        &[
            "select id from span where run_id = :run and start_ns between :from_ns and :until_ns - 1",
        ],
    ),
    ("info", &[]),
    ("merge", &[]),
    ("recover", &[]),
    ("optimize", &[]),
    ("check", &["--rules", "rules.toml"]),
    ("doctor", &[]),
    ("mark", &["x"]),
    ("prune", &["--runs", "1"]),
    ("guide", &[]),
    ("completions", &["bash"]),
    ("man", &[]),
];

/// Runs it in a folder of its own with `shop.db` and, below, `sub/other.db`: what is said, how it ends, and
/// which files there are then. Nothing that differs between two runs of the same.
fn outcome(words: &[&str]) -> (String, i32, BTreeMap<String, Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("sub/other.db");
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let rings = folder.path().join("rings");
    std::fs::create_dir(&rings).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&rings, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    std::fs::copy(profile(), folder.path().join("shop.db")).unwrap();
    std::fs::copy(templates(), &other).unwrap();
    let open = folder.path().join("sub/open.db");
    std::fs::copy(super::open::profile(), open).unwrap();
    let empty = folder.path().join("sub/empty.db");
    std::fs::copy(templates().with_file_name("empty.db"), &empty).unwrap();
    std::fs::write(folder.path().join("rules.toml"), RULES).unwrap();
    let live = (words[0] == "mark").then(|| {
        std::fs::remove_file(folder.path().join("shop.db")).unwrap();
        Profiler::builder().database(folder.path().join("live.db")).build().unwrap()
    });
    let mut command = bare(words);
    command.env("TZ", "America/New_York").env("PATH", "/usr/bin:/bin").current_dir(&folder);
    let (out, err, code) = run(&mut command);
    drop(live);
    // The name of a file that is not there yet.
    let err = err.split(" at path ").next().unwrap_or_default();
    let mut said = out + "\n--- aside\n" + err;
    // What is measured differs each time, and whether a busy machine keeps the pace; not how it is said.
    let mut code = code;
    if words[0] == "load" {
        let (is_document, is_plain) = (said.starts_with('{'), said.is_ascii());
        let is_coloured = said.contains('\u{1b}');
        let is_failure = said.contains("error:");
        said = format!(
            "{is_document} {is_plain} {is_coloured} {is_failure} {}",
            said.contains("wrote")
        );
        code = if code == 1 { 0 } else { code };
    }
    said = said.replace(folder.path().to_str().unwrap(), "");
    if let Some((before, _)) = said.split_once(" matched of ") {
        said = before.to_owned();
    }
    let files = files(folder.path(), folder.path());
    (said, code, files)
}

/// A profile with another run.
fn templates() -> &'static Path {
    static OTHER: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let made = OTHER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        super::check::write_runs(&path, &[60]);
        let empty = Store::open(path.with_file_name("empty.db"), &StoreOptions::default());
        empty.unwrap().close().unwrap();
        (folder, path)
    });
    &made.1
}

fn files(folder: &Path, all: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, all));
        } else {
            let name = path.strip_prefix(all).unwrap().display().to_string();
            // A profile differs in times; that it is there says enough, or that it has changed.
            let bytes = std::fs::read(&path).unwrap();
            let is_page = path.extension().is_none_or(|end| end != "db");
            found.insert(name, if is_page { bytes } else { Vec::new() });
        }
    }
    found
}

/// A line without an option, and what is put behind it to give the option.
fn lines(command: &str, option: &str) -> (Vec<String>, Vec<String>) {
    let own = COMMANDS.iter().find(|(name, _)| *name == command).unwrap().1;
    let mut base: Vec<&str> = [&[command], own].concat();
    let program = ["--", "sh", "-c", "cp shop.db \"$SPANDREL_DB\""];
    let takes_format =
        !["collect", "record", "report", "guide", "completions", "man"].contains(&command);
    let more: &[&str] = match option {
        "db" => &["--db", "sub/other.db"],
        "run" => &["--run", "1"],
        "since" if command == "sql" => &["--since", "+5s"],
        "since" => &["--since", "+5s"],
        "until" => &["--until", "+5s"],
        "between" => &["--between", "+1s..+2s"],
        "where" if command == "tail" => &["-w", "has:error"],
        "where" => &["-w", "dur>5ms"],
        "limit" => &["-n", "1"],
        "sort" => match command {
            "top" => &["--sort", "calls:asc"],
            "slow" | "stalls" => &["--sort", "start_ns:asc"],
            "tree" => &["--sort", "duration_ns:asc"],
            "diff" => &["--sort", "name:desc"],
            "explain" => &["--sort", "difference:asc"],
            "flame" => &["--sort", "width_ns:asc"],
            "hist" => &["--sort", "count:asc"],
            "gauges" => &["--sort", "last:asc"],
            "open" => &["--sort", "age_ns:asc"],
            _ => &["--sort", "run:asc"],
        },
        "columns" => match command {
            "tree" | "slow" | "stalls" | "top" | "diff" | "flame" | "open" => {
                &["--columns", "name"]
            }
            "explain" => &["--columns", "field"],
            "hist" => &["--columns", "count"],
            "gauges" => &["--columns", "gauge"],
            _ => &["--columns", "run"],
        },
        "format" if command == "tail" => &["-f", "ndjson"],
        "format" => &["-f", "json"],
        "output" if command == "report" => &["-o", "out.html"],
        "output" => &["-o", "out.txt"],
        "color" => &["--color", "always"],
        "ascii" => &["--ascii"],
        "utc" => &["--utc"],
        "quiet" => &["-q"],
        "verbose" => &["-v"],
        "fail-empty" => &["--fail-empty"],
        "strict" => &["--strict"],
        other => panic!("{command} --{other} is no option of this test"),
    };
    match (option, command) {
        ("color", "runs") => base = vec!["runs", "-n", "1", "-f", "table"],
        ("ascii", "runs") => base = vec!["runs", "--sort", "run:asc"],
        ("color" | "ascii", "report") => base.extend(["-o", "n\u{f6}/x.html"]),
        ("quiet", "report") => base.extend(["-o", "out.html"]),
        ("color" | "ascii", "man") => base.extend(["-o", "sub/other.db/\u{f6}"]),
        // Messages are coloured and written in ASCII, too.
        ("color" | "ascii", _) if !takes_format || ["export", "check"].contains(&command) => {
            base.extend(["-o", "n\u{f6}/x.ndjson"]);
        }
        ("color", "tail") => base.extend(["-f", "table", "--run", "1", "-w", "has:error"]),
        (
            "color" | "ascii",
            "merge" | "recover" | "optimize" | "mark" | "prune" | "load" | "sql" | "open",
        ) => {
            base.extend(["-o", "n\u{f6}/x"]);
        }
        ("ascii", "tail") => base.extend(["-o", "n\u{f6}/x"]),
        ("color", _) => base.extend(["-f", "table"]),
        ("quiet", _) if command != "record" => base.extend(["-o", "out.txt"]),
        ("verbose", "sql") => base = vec!["sql", "--recipes"],
        ("run", "open") => base = vec!["open", "--db", "sub/open.db"],
        ("fail-empty", "open") => base = vec!["open"],
        ("fail-empty", "sql") => base = vec!["sql", "select 1 where false"],
        ("fail-empty", "runs") => base = vec!["runs", "--db", "sub/empty.db"],
        ("limit", "tail") => base = vec!["tail"],
        ("format", "export") => base = vec!["export"],
        ("fail-empty", "gauges") => base = vec!["gauges", "--since", "+9900ms"],
        ("fail-empty", "record") => {}
        ("fail-empty", "flame" | "report") => base.extend(["-w", "dur>1h"]),
        ("fail-empty", _) => base.extend(["-w", "dur>1h"]),
        ("strict", "record" | "diff" | "sql") => {}
        ("strict", "check") => base.extend(["--run", "1"]),
        ("strict", _) => base.extend(["--run", "1"]),
        ("utc", "tail" | "runs" | "info") => {}
        ("utc", "diff") => base = vec!["diff", "2", "2", "--since", "10:53:25"],
        ("utc", _) => base.extend(["--since", "10:53:25"]),
        ("limit", "report") => {}
        _ => {}
    }
    let mut with: Vec<&str> = [&base[..], more].concat();
    if command == "record" {
        let program = if option == "fail-empty" { &["--", "true"][..] } else { &program };
        base.extend(program);
        with.extend(program);
    }
    let owned = |words: Vec<&str>| words.into_iter().map(String::from).collect();
    (owned(base), owned(with))
}

/// The long options of a command's help.
fn options(command: &str) -> BTreeSet<String> {
    let (help, err, code) = run(&mut bare(&[command, "--help"]));
    assert_eq!(code, 0, "{err}");
    let found = help.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line
            .strip_prefix('-')
            .filter(|line| !line.starts_with('-'))
            .map_or(line, |line| line.split_once(", ").map_or("", |(_, long)| long));
        let long = line.strip_prefix("--")?;
        Some(long.split([' ', '=']).next().unwrap_or(long).to_owned())
    });
    found.collect()
}

#[test]
fn each_command_is_tried_here() {
    let (help, _, _) = run(&mut bare(&["--help"]));
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed: Vec<&str> = listed.map_while(|line| line.split_whitespace().next()).collect();
    let tried = COMMANDS.map(|(name, _)| name).into_iter().chain(["help"]);
    assert_eq!(listed, tried.collect::<Vec<_>>());
}

/// How many options a command takes and how many it refuses, and those that it ignores.
fn tried(command: &str, own: &[&str]) -> (usize, usize, Vec<String>) {
    let (mut taken, mut refused, mut faults) = (0, 0, Vec::new());
    let mut known_outcomes = BTreeMap::new();
    let known = options(command);
    for option in SHARED {
        if !known.contains(option) {
            let value = ["db", "run", "since", "until", "between", "where", "limit", "sort"];
            let takes = [&value[..], &["columns", "format", "output", "color"]].concat();
            let long = format!("--{option}");
            let given = if takes.contains(&option) {
                vec![long.as_str(), "1"]
            } else {
                vec![long.as_str()]
            };
            let (out, err, code) = run(&mut spandrel(&[&[command], &given[..], own].concat()));
            assert_eq!(code, 2, "{command} --{option}: {out}{err}");
            let expected = format!("error: `spandrel {command}` takes no --{option}\nhint: ");
            assert!(err.starts_with(&expected), "{err}");
            refused += 1;
        } else if option != "no-pager" {
            let (base, with) = lines(command, option);
            let [base_words, with_words] =
                [&base, &with].map(|words| words.iter().map(String::as_str).collect::<Vec<_>>());
            let (before, again) = known_outcomes
                .entry(base.clone())
                .or_insert_with(|| (outcome(&base_words), outcome(&base_words)))
                .clone();
            let after = outcome(&with_words);
            if before.0 != again.0 {
                faults.push(format!("{base:?} differs: {}{}", before.0, again.0));
            } else if before == after {
                faults.push(format!("{base:?} and {with:?} say the same:\n{}", after.0));
            } else if after.1 == 2 {
                faults.push(format!("{with:?} makes no sense: {}", after.0));
            }
            taken += 1;
        }
    }
    (taken, refused, faults)
}

#[test]
fn each_shared_option_changes_something_or_is_refused() {
    let next = AtomicUsize::new(0);
    let try_commands = || {
        let commands = iter::from_fn(|| COMMANDS.get(next.fetch_add(1, Ordering::Relaxed)));
        commands.map(|(command, own)| tried(command, own)).collect::<Vec<_>>()
    };
    // A command may wait, and processors are free meanwhile.
    let all: Vec<_> = thread::scope(|scope| {
        let threads = [(); AT_ONCE].map(|()| scope.spawn(try_commands));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(all.len(), COMMANDS.len());
    let (taken, refused) = all.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let faults: Vec<_> = all.into_iter().flat_map(|one| one.2).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(taken > 150 && refused > 100, "{taken} taken, {refused} refused");
}

/// In a terminal of one line, where everything goes through a pager.
#[cfg(unix)]
#[test]
fn each_command_that_can_be_paged_takes_no_for_an_answer() {
    use std::os::unix::fs::PermissionsExt;

    use super::fixture::in_terminal;

    let folder = tempfile::tempdir().unwrap();
    let pager = folder.path().join("pager");
    std::fs::write(&pager, "#!/bin/sh\necho through the pager\nexec cat\n").unwrap();
    std::fs::set_permissions(&pager, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(folder.path().join("rules.toml"), RULES).unwrap();
    let live = Profiler::builder().database(folder.path().join("live.db")).build().unwrap();
    let shown = |words: &[&str]| {
        let copy = folder.path().join("shop.db");
        std::fs::copy(profile(), &copy).unwrap();
        let (said, _) = in_terminal(words, (1, 200), |command| {
            command.cwd(folder.path());
            command.env("SPANDREL_PAGER", &pager);
            command.env("SPANDREL_DB", if words[0] == "mark" { "live.db" } else { "shop.db" });
        });
        said.contains("through the pager")
    };
    let mut paged = 0;
    for (command, own) in COMMANDS {
        if options(command).contains("no-pager") {
            let words = match command {
                "export" | "open" => vec![command],
                _ => [&[command], own].concat(),
            };
            assert!(shown(&words), "{words:?} is not paged");
            assert!(
                !shown(&[&words[..], &["--no-pager"]].concat()),
                "{words:?} --no-pager is paged"
            );
            paged += 1;
        }
    }
    live.close().unwrap();
    assert!(paged > 15);
}
