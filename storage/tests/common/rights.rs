//! Apart from the rest, which tests of other crates use, too: it needs `nix`.

/// For a child of a test: root may do anything, and becomes nobody. Not before the child runs, since its program may lie in
/// a folder that only root can enter.
pub fn be_nobody() {
    if nix::unistd::Uid::effective().is_root() {
        nix::unistd::setuid(nix::unistd::Uid::from_raw(65_534)).unwrap();
    }
}
