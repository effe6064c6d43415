//! How much memory the machine, and the container that the process is in, can still give.
//!
//! Reserved shared memory counts at once, and under the limit of a control group the kernel does not answer with an error but ends a
//! process. So large reservations are compared with what is left first.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Smaller reservations are not looked at: to know costs about as much as a megabyte of memory.
pub const LEAST: u64 = 1 << 20;
/// What a reservation has to leave to others.
const SPARE: u64 = 8 << 20;
/// Version 1 of control groups writes a number near 2^63 where there is no limit.
const NO_LIMIT: u64 = 1 << 62;

/// Whether `len` bytes can be reserved without driving the machine or the container out of memory.
///
/// # Errors
/// How many bytes there are.
pub fn check(len: u64) -> Result<(), u64> {
    if len < LEAST {
        return Ok(());
    }
    let left = left().unwrap_or(u64::MAX);
    if left < len.saturating_add(SPARE) { Err(left) } else { Ok(()) }
}

/// Bytes that the machine and the control groups of this process can still give, as far as the kernel says.
pub fn left() -> Option<u64> {
    own_groups().iter().filter_map(Group::left).chain(machine()).min()
}

/// The tightest limit for memory, in bytes, of the control groups of this process.
pub fn limit() -> Option<u64> {
    tightest(own_groups())
}

fn tightest(groups: &[Group]) -> Option<u64> {
    groups.iter().filter_map(|group| group.number(group.limit)).filter(|limit| *limit < NO_LIMIT).min()
}

fn own_groups() -> &'static [Group] {
    static GROUPS: OnceLock<Vec<Group>> = OnceLock::new();
    GROUPS.get_or_init(|| groups(Path::new("/")))
}

fn machine() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// A control group with a limit for memory, by the names of its version.
#[derive(Debug)]
struct Group {
    directory: PathBuf,
    limit: &'static str,
    usage: &'static str,
    /// Of `memory.stat`: memory that the kernel takes back before it ends anybody.
    reclaimable: &'static str,
}

impl Group {
    fn number(&self, file: &str) -> Option<u64> {
        // A limit that is not set is `max`, or in version 1 near 2^63.
        fs::read_to_string(self.directory.join(file)).ok()?.trim().parse().ok()
    }

    fn left(&self) -> Option<u64> {
        let (limit, usage) = (self.number(self.limit)?, self.number(self.usage)?);
        let stat = fs::read_to_string(self.directory.join("memory.stat")).unwrap_or_default();
        let fields = stat.lines().filter_map(|line| line.split_once(' '));
        let cached: u64 =
            fields.filter(|(name, _)| *name == self.reclaimable).filter_map(|(_, n)| n.parse::<u64>().ok()).sum();
        Some(limit.saturating_sub(usage.saturating_sub(cached)))
    }
}

/// The groups that limit this process: its own and those above it. `root` is that of the file system.
fn groups(root: &Path) -> Vec<Group> {
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    own.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .flat_map(|(controllers, path)| {
            let version1 = controllers.split(',').any(|name| name == "memory");
            let mount = match (version1, controllers) {
                (true, _) => "sys/fs/cgroup/memory",
                (false, "") => "sys/fs/cgroup",
                (false, _) => return Vec::new(),
            };
            let (limit, usage, reclaimable) = if version1 {
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            } else {
                ("memory.max", "memory.current", "inactive_file")
            };
            // In a container the path may be that of the host; its own group is at the root of what is mounted.
            Path::new(path.trim_start_matches('/'))
                .ancestors()
                .map(|path| root.join(mount).join(path))
                .filter(|directory| directory.join(limit).exists())
                .map(|directory| Group { directory, limit, usage, reclaimable })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_reservations_always_pass_and_absurd_ones_never() {
        assert_eq!(check(LEAST - 1), Ok(()));
        assert!(check(1 << 60).is_err());
    }

    #[test]
    fn reads_the_groups_of_both_versions() {
        let root = std::env::temp_dir().join(format!("erlang_python-groups-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("proc/self/cgroup", "4:memory:/a/b\n3:cpu:/a\n0::/slice/unit\n");
        put("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
        put("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "5000\n");
        put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000\n");
        put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "900\n");
        put("sys/fs/cgroup/memory/a/memory.stat", "cache 400\ntotal_inactive_file 300\n");
        put("sys/fs/cgroup/slice/unit/memory.max", "max\n");
        put("sys/fs/cgroup/slice/unit/memory.current", "7\n");
        put("sys/fs/cgroup/slice/memory.max", "2000\n");
        put("sys/fs/cgroup/slice/memory.current", "1990\n");
        put("sys/fs/cgroup/slice/memory.stat", "anon 3\ninactive_file 5\n");
        let found = groups(&root);
        assert_eq!(tightest(&found), Some(1000));
        assert_eq!(tightest(&[]), None);
        let mut left: Vec<_> = found.iter().map(Group::left).collect();
        left.sort();
        assert_eq!(left, [None, Some(15), Some(400), Some(9223372036854766712)]);
        fs::remove_dir_all(&root).unwrap();
    }
}
