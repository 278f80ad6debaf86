//! Completions as a shell asks for them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::fixture::{NASTY, bare, profile, run};

/// What is proposed for the last word of a line, by bash itself where it is there.
fn proposed(folder: &Path, line: &[&str]) -> Vec<String> {
    let mut command = bare(&["--"]);
    command.args(line).current_dir(folder);
    command.env("SPANDREL_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    command.env("_CLAP_COMPLETE_INDEX", (line.len() - 1).to_string());
    command.env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "false");
    let (out, err, code) = run(&mut command);
    assert_eq!((err.as_str(), code), ("", 0), "{line:?}");
    out.lines().map(str::to_owned).collect()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(profile(), folder.path().join("shop.db")).unwrap();
    folder
}

#[test]
fn names_runs_traces_and_fields_are_those_of_the_profile() {
    let folder = folder();
    let here = |line: &[&str]| proposed(folder.path(), line);
    assert_eq!(here(&["spandrel", "hist", ""])[..2], ["db.query", "http.request"]);
    for command in ["slow", "hist", "explain"] {
        assert_eq!(here(&["spandrel", command, "ht"]), ["http.request"], "{command}");
    }
    assert_eq!(here(&["spandrel", "flame", "--root", "d"]), ["db.query"]);
    assert_eq!(here(&["spandrel", "top", "--run", "l"]), ["latest", "latest~1"]);
    assert_eq!(here(&["spandrel", "top", "--run", ""]), ["latest", "latest~1", "2", "1"]);
    assert_eq!(here(&["spandrel", "tree", "t79"])[0], "t796");
    assert_eq!(here(&["spandrel", "top", "-w", "fi"]), ["file=", "field.route=", "field.shard="]);
    assert_eq!(here(&["spandrel", "top", "-w", "na"]), ["name="]);
    assert_eq!(here(&["spandrel", "comp"]), ["completions"]);
}

#[test]
fn the_profile_is_the_one_of_the_line_or_of_the_environment() {
    let elsewhere = tempfile::tempdir().unwrap();
    let db = profile().to_str().unwrap();
    let there = |line: &[&str]| proposed(elsewhere.path(), line);
    assert_eq!(there(&["spandrel", "--db", db, "slow", "ht"]), ["http.request"]);
    assert_eq!(there(&["spandrel", "slow", "--db", "=", db, "ht"]).len(), 0, "one word too many");
    let mut command = bare(&["--", "spandrel", "slow", "ht"]);
    command.current_dir(elsewhere.path()).env("SPANDREL_DB", db);
    command.env("SPANDREL_COMPLETE", "fish");
    let (out, err, _) = run(&mut command);
    assert_eq!((out.as_str(), err.as_str()), ("http.request\tshop\n", ""));
}

#[test]
fn what_is_wrong_is_silent_and_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.db");
    fs::write(&text, "no database").unwrap();
    let none = folder.path().join("none.db");
    for db in [&text, &none, &folder.path().to_path_buf()] {
        let line = ["spandrel", "--db", db.to_str().unwrap(), "hist", "x"];
        assert_eq!(proposed(folder.path(), &line), [""; 0], "{db:?}");
    }
    assert_eq!(proposed(folder.path(), &["spandrel", "hist", "x"]), [""; 0]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn nothing_that_a_shell_would_obey_is_proposed() {
    let folder = folder();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let mut command = bare(&["--", "spandrel", "hist", ""]);
        command.current_dir(folder.path()).env("SPANDREL_COMPLETE", shell);
        command.env("_CLAP_COMPLETE_INDEX", "2").env("_CLAP_IFS", "\n");
        let (out, _, _) = run(&mut command);
        assert!(out.contains("http.request"), "{shell}: {out:?}");
        let is_clean = !out.contains('\u{1b}') && !out.contains('\u{202e}');
        assert!(is_clean && !out.contains(NASTY) && !out.contains("DROP"), "{shell}: {out:?}");
    }
}

/// The script in a real bash: its function, called as bash calls it.
#[test]
fn bash_gets_names_from_the_script() {
    if Command::new("bash").arg("--version").output().is_err() {
        return; // no bash here
    }
    let folder = folder();
    let program = Path::new(env!("CARGO_BIN_EXE_spandrel")).parent().unwrap();
    let script = r#"
        PATH="$PROGRAM:$PATH"
        source <(spandrel completions bash)
        complete -p spandrel
        COMP_WORDS=(spandrel slow ht); COMP_CWORD=2; COMP_TYPE=9
        _clap_complete_spandrel spandrel ht slow
        printf '<%s>\n' "${COMPREPLY[@]}"
    "#;
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", script]).current_dir(folder.path());
    command.env("PROGRAM", program).env_remove("SPANDREL_DB");
    let (out, err, code) = run(&mut command);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("_clap_complete_spandrel spandrel"), "{out}");
    assert!(out.ends_with("<http.request>\n"), "{out}{err}");
}
