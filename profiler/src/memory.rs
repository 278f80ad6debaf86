//! How much memory there is, so that what does not fit is refused before it is touched.
//!
//! Linux promises more memory than it has, and kills a process that uses all of it. So it is not enough
//! to check whether an allocation fails: what a profiler has to allocate and touch is compared with what
//! is available to the process, according to the system and to the control groups that it is in. If
//! neither is known, nothing is refused here.

use std::fs::read_to_string;
use std::path::Path;

/// How many bytes this process could still touch, as far as the system tells.
pub(crate) fn available() -> Option<u64> {
    if cfg!(miri) {
        return None;
    }
    available_below(Path::new("/"))
}

/// The same, with the system's files in another folder.
fn available_below(root: &Path) -> Option<u64> {
    let system = read_to_string(root.join("proc/meminfo")).ok().and_then(|text| free(&text));
    let groups = read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let groups = groups.lines().filter_map(|line| group(root, line));
    system.into_iter().chain(groups).min()
}

/// `MemAvailable:    8012345 kB`
fn free(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// What is left in a control group and its parents: `hierarchy:controllers:/path`.
fn group(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (mount, limit, usage, cache) = if controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file ")
    } else if controllers.split(',').any(|name| name == "memory") {
        let usage = "memory.usage_in_bytes";
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes", usage, "total_inactive_file ")
    } else {
        return None;
    };
    // In a container the path may be from outside; then the container's group is mounted at the root.
    let mount = root.join(mount);
    let folder = mount.join(path.trim_start_matches('/'));
    folder
        .ancestors()
        .take_while(|folder| folder.starts_with(&mount))
        .filter_map(|folder| {
            let number = |name| read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
            let stat = read_to_string(folder.join("memory.stat")).unwrap_or_default();
            // Unused parts of the page cache can be freed.
            let cache = stat.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse().ok());
            let used = number(usage)?.saturating_sub(cache.unwrap_or(0));
            // No limit is written as `max`, or as a huge number.
            Some(number(limit)?.saturating_sub(used))
        })
        .min()
}

/// A number of bytes for people.
pub(crate) fn human(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.iter().find(|(_, shift)| bytes >> shift > 0);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(unit, shift)| format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn system(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        available_below(root.path())
    }

    const MEMINFO: (&str, &str) =
        ("proc/meminfo", "MemTotal:  9000 kB\nMemFree: 1 kB\nMemAvailable:    8000 kB\n");

    #[test]
    fn the_tightest_of_all_limits_counts() {
        assert_eq!(system(&[]), None);
        assert_eq!(system(&[MEMINFO]), Some(8000 << 10));
        let group = [
            MEMINFO,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/memory.max", "3000\n"),
            ("sys/fs/cgroup/a/memory.current", "2000\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 500\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.current", "100\n"),
        ];
        assert_eq!(system(&group), Some(1500), "of the group around");
        let old = [
            MEMINFO,
            ("proc/self/cgroup", "5:cpu:/x\n4:memory:/elsewhere\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "100\n"),
        ];
        assert_eq!(system(&old), Some(8000 << 10), "a limit that is none");
        let full = [
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "100\n"),
            ("sys/fs/cgroup/memory.current", "101\n"),
        ];
        assert_eq!(system(&full), Some(0));
    }

    #[test]
    fn bytes_are_told_in_units() {
        let told = [17, 2 << 10, 3 << 19, 1 << 38].map(human);
        assert_eq!(told, ["17 bytes", "2.0 KiB", "1.5 MiB", "256.0 GiB"]);
    }
}
