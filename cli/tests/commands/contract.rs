//! Exit codes, pipes, colours, and files that are not what they should be.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use super::fixture::{bare, profile, run, spandrel, text};

#[test]
fn each_exit_code_has_its_reason() {
    let none = tempfile::tempdir().unwrap();
    let missing = none.path().join("no.db");
    let missing = missing.to_str().unwrap();
    for (words, expected) in [
        (&["top"][..], 0),
        (&["--help"], 0),
        (&["--version"], 0),
        (&["doctor", "--run", "1", "--strict"], 1),
        (&["top", "--no-such-option"], 2),
        (&["no-such-command"], 2),
        (&["top", "-w", "dur>>>"], 2),
        (&["sql", "delete from span"], 2),
        (&["sql", "select 1", "-w", "x"], 2),
        (&["sql", "--timeout", "soon", "select 1"], 2),
        (
            &[
                "sql",
                "--timeout",
                "30ms",
                "with recursive n(i) as (values(1) union all select i from n) select count(*) from n",
            ],
            3,
        ),
        (&["top", "--db", missing], 3),
        (&["top", "--run", "77"], 3),
        (&["sql", "select 1 where false", "--fail-empty"], 4),
        (&["sql", "-f", "csv", "select 1 where false", "--fail-empty"], 4),
        (&["top", "--run", "1", "--strict"], 5),
        (&["sql", "-f", "csv", "select 1", "--strict"], 5),
        (&["mark", "x"], 6),
        (&["mark", ""], 2),
        (&["mark", "x", "--begin", "--end"], 2),
        (&["prune"], 2),
        (&["prune", "--runs", "0"], 2),
        (&["prune", "--keep", "long"], 2),
        (&["tail", "-f", "json"], 2),
    ] {
        let (out, err, code) = run(&mut spandrel(words));
        assert_eq!(code, expected, "{words:?}: {out}{err}");
        if code != 0 && code != 4 && code != 5 && code != 1 {
            assert!(err.starts_with("error:"), "{words:?}: {err}");
        }
        assert!(!err.contains("panicked"), "{err}");
    }
    assert_eq!(fs::read_dir(none.path()).unwrap().count(), 0, "a typo made a file");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let endless =
        "with recursive n(i) as (values(1) union all select i + 1 from n) select i from n";
    for words in [&["sql", "-f", "csv", endless][..], &["sql", "-f", "ndjson", endless], &["guide"]]
    {
        let mut command = spandrel(words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut start = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut start).unwrap();
        // The pipe is closed by now.
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
        assert_eq!(output.status.code(), Some(0), "{words:?}");
    }
}

#[test]
fn colours_are_asked_for_or_not_there() {
    let has = |words: &[&str], variable: Option<(&str, &str)>| {
        let mut command = spandrel(words);
        command.envs(variable);
        run(&mut command).0.contains('\u{1b}')
    };
    let table = ["top", "-f", "table"];
    assert!(!has(&table, None), "a pipe");
    assert!(has(&["top", "-f", "table", "--color", "always"], None));
    assert!(has(&["top", "-f", "table", "--color", "always"], Some(("NO_COLOR", "1"))));
    assert!(has(&table, Some(("CLICOLOR_FORCE", "1"))));
    assert!(!has(&["top", "-f", "table", "--color", "never"], Some(("CLICOLOR_FORCE", "1"))));
    assert!(!has(&table, Some(("NO_COLOR", "1"))));
    assert!(!has(&table, Some(("TERM", "dumb"))));
    assert!(!has(&["top", "--color", "always", "-f", "plain"], None));
    let mut posix = spandrel(&["top"]);
    posix.env("LC_ALL", "C");
    assert!(run(&mut posix).0.is_ascii());
}

#[test]
fn a_file_that_is_none_of_ours_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let ours = fs::read(profile()).unwrap();
    let mut newer = ours.clone();
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    let mut foreign = ours.clone();
    foreign[68..72].copy_from_slice(&[0; 4]);
    let mut corrupt = ours.clone();
    let page = u16::from_be_bytes([ours[16], ours[17]]) as usize;
    corrupt[page..page + 2_000].fill(0xA5);
    let files = [
        file("text.db", b"no database at all"),
        file("empty.db", b""),
        file("newer.db", &newer),
        file("foreign.db", &foreign),
        file("corrupt.db", &corrupt),
        file("cut.db", &ours[..ours.len() / 2]),
        folder.path().to_path_buf(),
    ];
    let listed = || fs::read_dir(folder.path()).unwrap().count();
    let before = listed();
    for path in &files {
        let bytes = fs::read(path).ok();
        for command in
            [&["top"][..], &["sql", "select 1"], &["tail"], &["doctor"], &["prune", "--runs", "1"]]
        {
            let (out, err, code) = run(bare(command).arg("--db").arg(path));
            assert_eq!(code, 3, "{path:?} {command:?}: {out}{err}");
            assert!(err.starts_with("error:") && err.contains(path.to_str().unwrap()), "{err}");
        }
        assert!(bytes == fs::read(path).ok(), "{path:?} was changed");
    }
    assert_eq!(listed(), before, "files were made");
}

#[test]
fn a_copy_can_be_read_from_a_folder_with_spaces_where_nobody_may_write() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("read only, with spaces");
    fs::create_dir(&inner).unwrap();
    let copy = inner.join("a copy.db");
    fs::copy(profile(), &copy).unwrap();
    set_read_only(&copy, true);
    set_read_only(&inner, true);
    for words in [&["top"][..], &["sql", "select * from runs"], &["tail", "-n", "2"], &["doctor"]] {
        text(&copy, words);
    }
    // The newest profile of a folder is found without a name.
    let (out, err, code) = run(bare(&["runs", "-f", "tsv"]).current_dir(&inner));
    assert_eq!((out.lines().count(), code), (3, 0), "{out}{err}");
    set_read_only(&inner, false);
}

fn set_read_only(path: &Path, read_only: bool) {
    let mut permissions = fs::metadata(path).unwrap().permissions();
    permissions.set_readonly(read_only);
    #[cfg(unix)]
    if !read_only {
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o700);
    }
    fs::set_permissions(path, permissions).unwrap();
}

#[test]
fn shells_and_manuals_know_every_command() {
    let commands = ["top", "sql", "tail", "doctor", "mark", "prune", "guide", "check", "man"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, err, code) = run(&mut bare(&["completions", shell]));
        assert_eq!(code, 0, "{err}");
        assert!(script.contains("SPANDREL_COMPLETE"), "{shell} does not ask: {script}");
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let (_, err, code) = run(bare(&["man", "-o"]).arg(&pages));
    assert_eq!(code, 0, "{err}");
    for command in commands {
        let page = fs::read_to_string(pages.join(format!("spandrel-{command}.1"))).unwrap();
        assert!(page.contains(&format!("spandrel-{command}")), "{page:.300}");
    }
    let (page, _, _) = run(&mut bare(&["man"]));
    assert!(page.contains(".TH spandrel 1"), "{page:.300}");
}
