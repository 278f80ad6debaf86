//! Programs that were told to record into a folder, and that go on when the one that has started them has ended.

use std::fs;
use std::path::Path;

/// Whether there are any: by their environment, as they got it. Only of this user's, and where the system tells (Linux).
pub(super) fn are_left(folder: &Path) -> bool {
    let variable =
        [b"SPANDREL_COLLECT=".as_slice(), folder.as_os_str().as_encoded_bytes()].concat();
    let is_told = |process: &Path| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == variable)
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.map(|entry| entry.path()).any(|process| is_told(&process))
}
