//! Files that are not what they should be.

use std::fs;
use std::path::Path;

use super::fixture::{bare, profile, run, text};

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
