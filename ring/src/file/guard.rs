//! Which files a reader takes: those that a process of the same user has made, and all of which is there.
//!
//! Others may write to the folder in which a ring file is looked for. So a file of somebody else is not read, nor a link
//! to anywhere; and none that says that it is long and has no memory, as its owner has reserved all of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{OpenError, system};

/// Longer is no ring file.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 36;
/// So much may be missing of a short one: file systems count in blocks, and a copy may have none for zeros at its end.
const MISSING_MAX: u64 = 1 << 16;

/// Of a path that cannot be opened, as it is a link.
pub(crate) fn or_link(path: &Path, error: io::Error) -> OpenError {
    let is_link = error.raw_os_error() == Some(libc::ELOOP)
        && path.symlink_metadata().is_ok_and(|found| found.is_symlink());
    if is_link {
        let why = "it is a link, which may lead anywhere; put the file itself there, or remove it";
        return OpenError::Untrusted(why.into());
    }
    error.into()
}

/// A file, and one of our own.
pub(crate) fn check_owner(file: &File) -> Result<(), OpenError> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(OpenError::NoRing);
    }
    check_users(found.uid(), system::user())
}

fn check_users(owner: u32, user: u32) -> Result<(), OpenError> {
    if owner == user {
        return Ok(());
    }
    // Also root, who may read all: he would store under his name what anybody has made up.
    let who = if user == 0 { "root".to_owned() } else { format!("user {user}") };
    Err(OpenError::Untrusted(format!(
        "it belongs to user {owner}, and this process runs as {who}, who takes only files of his own; do this as user \
         {owner}, or remove it"
    )))
}

/// As long as a ring file can be, and with memory for it. `bytes` is what its header says.
pub(crate) fn check_size(file: &File, bytes: u64) -> Result<(), OpenError> {
    let found = file.metadata()?;
    check_lengths(found.len(), bytes, found.blocks().saturating_mul(512))
}

fn check_lengths(len: u64, bytes: u64, there: u64) -> Result<(), OpenError> {
    let most = len.max(bytes);
    if most > FILE_BYTES_MAX {
        return Err(OpenError::Untrusted(format!(
            "it says that it has {most} bytes, and no ring file has more than {FILE_BYTES_MAX}; remove it"
        )));
    }
    if len - len / 16 > there.saturating_add(MISSING_MAX) {
        return Err(OpenError::Untrusted(format!(
            "only {there} of its {len} bytes are on its file system, and whoever records reserves all of them; remove \
             it, or make a copy that has them (cp --sparse=never)"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_user_is_refused_to_everybody() {
        assert!(check_users(1_000, 1_000).is_ok() && check_users(0, 0).is_ok());
        let said = |owner, user| check_users(owner, user).unwrap_err().to_string();
        assert!(
            said(12_345, 1_000)
                .contains("belongs to user 12345, and this process runs as user 1000")
        );
        assert!(
            said(12_345, 0).contains("runs as root") && said(12_345, 0).contains("as user 12345")
        );
    }

    #[test]
    fn a_file_that_is_longer_than_its_memory_is_refused() {
        let mib = 1 << 20;
        for (len, bytes, there) in
            [(50 * mib, 50 * mib, 50 * mib), (mib, 50 * mib, mib), (8_192, 8_192, 0)]
        {
            assert!(check_lengths(len, bytes, there).is_ok(), "{len} {bytes} {there}");
        }
        let said = |len, bytes, there| check_lengths(len, bytes, there).unwrap_err().to_string();
        assert!(said(50 * mib, 50 * mib, 40 * mib).contains("reserves all of them"));
        assert!(said(1 << 40, 1 << 40, 1 << 40).contains("no ring file has more"));
        // A header that says more than there is: the file may grow.
        assert!(said(mib, 1 << 40, mib).contains("no ring file has more"));
    }
}
