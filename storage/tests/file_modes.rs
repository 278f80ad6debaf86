//! The database and its sidecars are readable by their owner only, whatever the umask.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use spandrel_storage::StoreOptions;

use crate::common;

const VARIABLE: &str = "SPANDREL_TEST_FILE_MODES";

/// The umask belongs to the process, so each has a child that a shell gives it to.
#[test]
fn modes_are_0600_under_each_umask() {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return record(Path::new(&path));
    }
    for umask in ["000", "022", "077", "177", "777"] {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new("sh")
            .args(["-c", "umask \"$1\" && exec \"$2\" --exact \"$3\""])
            .args(["sh", umask])
            .arg(std::env::current_exe().unwrap())
            .arg(common::this_test())
            .env(VARIABLE, folder.path().join("p.db"))
            .status()
            .unwrap();
        assert!(status.success(), "umask {umask}");
    }
}

fn record(path: &Path) {
    let mut store = common::store(path, &StoreOptions::default());
    common::record(&mut store, 10);
    for suffix in ["", "-wal", "-shm"] {
        let mode = common::sidecar(path, suffix).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{suffix}");
    }
    store.close().unwrap();
    assert!(!common::sidecar(path, "-wal").exists());
    assert!(!common::sidecar(path, "-shm").exists());
}
