//! Ring files that are collected into the profile: it is a collector that moves what is in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use spandrel::recover::{FolderRing, RingOwner, in_folder};
use spandrel_query::Run;

use crate::commands::prelude::*;
use crate::commands::record::in_a_shell;
use crate::open_rings::collected_from;

/// Those of one folder.
pub(super) struct Waiting {
    folder: PathBuf,
    profile: PathBuf,
    rings: u64,
    /// Of them those of programs that have ended.
    pub(super) dead: u64,
    pub(super) has_collector: bool,
    /// Why no collector takes the others, each with its path.
    pub(super) refused: Vec<String>,
}

/// Those of the folders from which the profile was collected, which it does not have to their ends.
pub(super) fn of(profile: &Path, runs: &[Run]) -> Vec<Waiting> {
    let goes_on = |run: &&Run| run.ended_unix_ns.is_none() && !run.has_crashed();
    let is_its_own = |ring: &FolderRing| {
        // One that nobody has looked at is in no other profile.
        ring.looked_ago_ns.is_none()
            || runs.iter().filter(goes_on).any(|run| run.info.uuid == ring.run)
    };
    let folders: BTreeSet<PathBuf> = runs.iter().filter_map(collected_from).collect();
    let waiting = folders.into_iter().filter_map(|folder| {
        // A look at a folder that fails says nothing of the profile.
        let mut rings = in_folder(&folder).ok()?;
        rings.retain(is_its_own);
        let is_drained = |ring: &FolderRing| ring.is_drained == Some(true);
        let is_dead = |ring: &&FolderRing| ring.owner == RingOwner::Dead;
        // The command that collects would refuse these as well.
        let is_refused = |ring: &mut FolderRing| ring.refused.is_some();
        let refused: Vec<_> =
            rings.extract_if(.., is_refused).filter_map(|it| it.refused).collect();
        (!rings.is_empty() || !refused.is_empty()).then(|| Waiting {
            profile: profile.to_owned(),
            rings: rings.len() as u64,
            dead: rings.iter().filter(is_dead).count() as u64,
            has_collector: rings.iter().any(is_drained),
            folder,
            refused,
        })
    });
    waiting.collect()
}

impl Waiting {
    /// Whether anything is left where it is, and nobody comes.
    pub(super) fn is_left(&self) -> bool {
        !self.refused.is_empty() || self.dead > 0 && !self.has_collector
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let refused = self.refused.iter().map(|why| format!("! {}", text::clean(why)));
        let waits = (self.rings > 0).then(|| self.line());
        waits.into_iter().chain(refused).collect()
    }

    fn line(&self) -> String {
        let folder = text::clean(&in_a_shell(&self.folder));
        let rings = text::counted(self.rings, "ring file");
        if self.has_collector {
            return format!("{rings} in {folder}: a collector moves what is in them");
        }
        let wait = text::agree(self.rings, "waits", "wait");
        let profile = text::clean(&in_a_shell(&self.profile));
        format!(
            "! {rings} {wait} in {folder} for a collector: `spandrel collect {folder} -o {profile}`"
        )
    }

    pub(super) fn members(&self) -> serde_json::Value {
        json!({
            "folder": self.folder.display().to_string(), "rings": self.rings, "dead": self.dead,
            "has_collector": self.has_collector, "refused": self.refused,
        })
    }
}
