//! The memory of a worker and its children, as `/proc` tells it.
//!
//! There are two measures. The resident sizes of `statm` cost some microseconds and are never too small. Only where they exceed
//! a limit is `smaps` read, which takes milliseconds per gigabyte: there, pages that a forked child shares with its parent count once,
//! and programs, libraries and the node's own segments do not count.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::sync::OnceLock;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes; an upper bound if that is within the level that was asked about.
    pub bytes: u64,
    /// Living processes.
    pub processes: usize,
}

/// More processes are not looked at: a worker that forks without end shall not occupy the node.
const MOST_PROCESSES: usize = 4096;
/// The shared mappings of tmpfs, by how their paths begin.
const SHARED: [&[u8]; 4] = [b"/memfd:", b"/dev/shm/", b"/dev/zero", b"/SYSV"];
/// Those of them that the node has shared with the worker.
const OF_THE_NODE: [&[u8]; 2] = [b"/memfd:erlang_python", b"/dev/shm/erlang_python-"];

/// Measures the processes of a family ([`family`]) as exactly as it takes to know whether they are within `level` bytes.
pub fn measure(family: &[i32], level: u64) -> Footprint {
    let resident: Vec<_> = family.iter().map(|pid| (*pid, resident(*pid))).filter(|(_, bytes)| *bytes > 0).collect();
    let mut bytes: u64 = resident.iter().map(|(_, bytes)| bytes).sum();
    if bytes > level {
        bytes = resident.iter().map(|(pid, bytes)| own(*pid).unwrap_or(*bytes)).sum();
    }
    Footprint { bytes, processes: resident.len() }
}

/// A process and all that descend from it, the process first. Where the kernel does not list children: its process group.
pub fn family(leader: i32) -> Vec<i32> {
    static LISTED: OnceLock<bool> = OnceLock::new();
    if *LISTED.get_or_init(|| fs::exists("/proc/thread-self/children").unwrap_or(false)) {
        descendants(leader)
    } else {
        group(leader)
    }
}

fn descendants(leader: i32) -> Vec<i32> {
    let mut family = vec![leader];
    let mut at = 0;
    while at < family.len() && family.len() < MOST_PROCESSES {
        if let Ok(threads) = fs::read_dir(format!("/proc/{}/task", family[at])) {
            for thread in threads.flatten() {
                let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                family.extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
            }
        }
        at += 1;
    }
    family.truncate(MOST_PROCESSES);
    family
}

fn group(leader: i32) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else { return vec![leader] };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let others = pids.filter(|pid| *pid != leader && stat_field(*pid, PROCESS_GROUP) == Some(leader));
    std::iter::once(leader).chain(others).take(MOST_PROCESSES).collect()
}

/// Fields of `stat` behind the name of the program.
const PARENT: usize = 1;
const PROCESS_GROUP: usize = 2;

fn stat_field(pid: i32, field: usize) -> Option<i32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat.rsplit(|byte| *byte == b')').next()?;
    std::str::from_utf8(fields).ok()?.split_ascii_whitespace().nth(field)?.parse().ok()
}

/// The process that has to wait for this one.
pub fn parent(pid: i32) -> Option<i32> {
    stat_field(pid, PARENT)
}

/// Resident bytes with everything that is shared; 0 for a process that is gone.
fn resident(pid: i32) -> u64 {
    static PAGE: OnceLock<u64> = OnceLock::new();
    let mut text = [0; 128];
    let read = File::open(format!("/proc/{pid}/statm")).and_then(|mut file| file.read(&mut text));
    let fields = read.ok().and_then(|len| std::str::from_utf8(&text[..len]).ok());
    let pages: u64 = fields.and_then(|text| text.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
    // SAFETY: has no requirement.
    pages * PAGE.get_or_init(|| u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096))
}

/// The bytes that a process is answerable for, if the node may know them.
fn own(pid: i32) -> Option<u64> {
    let file = File::open(format!("/proc/{pid}/smaps")).ok()?;
    own_of(BufReader::with_capacity(64 * 1024, file)).ok()
}

/// One mapping of `smaps`, in KiB.
#[derive(Default)]
struct Mapping {
    shared: bool,
    of_the_node: bool,
    proportional: u64,
    anonymous: u64,
}

impl Mapping {
    fn new(header: &[u8]) -> Mapping {
        let mut words = header.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let path = words.nth(5).unwrap_or_default();
        let begins = |beginnings: &[&[u8]]| beginnings.iter().any(|beginning| path.starts_with(beginning));
        Mapping { shared: begins(&SHARED), of_the_node: begins(&OF_THE_NODE), ..Mapping::default() }
    }

    /// Of a file, what the process has changed for itself.
    fn counted(&self) -> u64 {
        match (self.of_the_node, self.shared) {
            (true, _) => 0,
            (false, true) => self.proportional,
            (false, false) => self.proportional.min(self.anonymous),
        }
    }
}

fn own_of(mut smaps: impl BufRead) -> std::io::Result<u64> {
    let (mut total, mut mapping, mut line) = (0, Mapping::default(), Vec::new());
    while smaps.read_until(b'\n', &mut line)? > 0 {
        if line[0].is_ascii_uppercase() {
            if let Some(size) = field(&line, b"Pss:") {
                mapping.proportional = size;
            } else if let Some(size) = field(&line, b"Anonymous:") {
                mapping.anonymous = size;
            }
        } else {
            total += mapping.counted();
            mapping = Mapping::new(&line);
        }
        line.clear();
    }
    Ok((total + mapping.counted()) * 1024)
}

fn field(line: &[u8], name: &[u8]) -> Option<u64> {
    std::str::from_utf8(line.strip_prefix(name)?).ok()?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn counts_what_a_process_is_answerable_for() {
        let smaps = "\
559400000000-559400100000 r-xp 00000000 08:01 1234                       /usr/bin/python3.11
Rss:                1024 kB
Pss:                 512 kB
Anonymous:            16 kB
VmFlags: rd ex mr mw me
559400200000-559400300000 rw-p 00000000 00:00 0                          [heap]
Pss:                 100 kB
Pss_Dirty:           100 kB
Anonymous:           200 kB
7f0000000000-7f0000100000 rw-s 00000000 00:01 77                         /memfd:erlang_python-up (deleted)
Pss:                2000 kB
Anonymous:             0 kB
7f0000100000-7f0000200000 rw-s 00000000 00:01 78                         /memfd:scratch (deleted)
Pss:                  30 kB
Anonymous:             0 kB
7f0000200000-7f0000300000 rw-s 00000000 00:01 79                         /dev/shm/psm_1
Pss:                   4 kB
Anonymous:             0 kB
7f0000300000-7f0000400000 rw-p 00000000 00:00 0
Pss:                   7 kB
Anonymous:             7 kB
";
        assert_eq!(own_of(smaps.as_bytes()).unwrap(), (16 + 100 + 30 + 4 + 7) * 1024);
        assert_eq!(own_of(&b""[..]).unwrap(), 0);
    }

    #[test]
    fn finds_children_by_descent_and_by_group() {
        let own = std::process::id() as i32;
        let mut child =
            Command::new("sh").args(["-c", "sleep 60 & read line; kill $!"]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id() as i32;
        while descendants(pid).len() < 2 {
            std::thread::yield_now();
        }
        let family = family(own);
        assert_eq!(family[0], own);
        assert!(family.contains(&pid));
        assert_eq!(descendants(pid).len(), 2);
        assert_eq!(parent(pid), Some(own));
        // SAFETY: has no requirement.
        assert!(group(unsafe { libc::getpgrp() }).contains(&pid));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(parent(pid), None);
        assert_eq!(measure(&[pid], 0), Footprint { bytes: 0, processes: 0 });
    }

    #[test]
    fn memory_counts_when_it_is_touched() {
        let own = [std::process::id() as i32];
        let before = measure(&own, 0).bytes;
        assert!(before > 0);
        let size = 64 << 20;
        let memory = vec![1u8; size];
        let after = measure(&own, 0).bytes;
        assert!(after >= before + size as u64 / 2, "{before} {after}");
        assert!(measure(&own, u64::MAX).bytes >= after / 2);
        assert_eq!(memory.iter().map(|byte| usize::from(*byte)).sum::<usize>(), size);
    }
}
