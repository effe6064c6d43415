//! The fallback where memfd or `/proc` do not serve: named shared memory (crate `shared_memory`) and FIFOs.
//!
//! It promises less than [`crate::segment`]: the objects have names in `/dev/shm` until both sides have opened them, count
//! against its limit, and a worker of the same user can truncate them, which kills the node by SIGBUS, or write into the down
//! segment through a mapping of its own. Payloads that no arena holds cannot be carried.
//!
//! A node has one [`Namespace`]: a directory with mode 0700 for the FIFOs, whose name starts the names of all segments. Both
//! sides unlink the names as soon as they have the objects; what a killed node leaves is swept by the next one.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use shared_memory::{Shmem, ShmemConf, ShmemError};

use crate::{
    bell::{Listener, Ringer},
    segment::{Mapping, context, invalid, reserve},
};

const BASE: &str = "/dev/shm";
const STEM: &str = "erlang_python-";

/// The names of one node. Dropping it removes what is left of them.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    next: AtomicU32,
}

impl Namespace {
    /// Makes the namespace of this process, and sweeps those of processes that are gone.
    ///
    /// # Errors
    /// What the file system reports for the directory.
    pub fn create() -> io::Result<Namespace> {
        sweep();
        let user = nix::unistd::getuid();
        let mut noise = [0; 8];
        crate::link::random(&mut noise)?;
        let name = format!("{STEM}{user}-{}-{:016x}", std::process::id(), u64::from_le_bytes(noise));
        DirBuilder::new().mode(0o700).create(Path::new(BASE).join(&name))?;
        Ok(Namespace { name, next: AtomicU32::new(0) })
    }

    /// Prefix of one incarnation's names.
    pub(crate) fn prefix(&self) -> String {
        format!("{}/{}", self.name, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// The names of one incarnation. Dropping it unlinks them, on either side; who comes second finds nothing to do.
#[derive(Debug)]
pub(crate) struct Names {
    directory: PathBuf,
    number: String,
    stem: String,
}

impl Names {
    /// The names behind a prefix, which the worker has from the handshake.
    pub(crate) fn of(prefix: &str) -> io::Result<Names> {
        let bad = || invalid("bad prefix of named segments");
        let (stem, number) = prefix.split_once('/').ok_or_else(bad)?;
        if !stem.starts_with(STEM) || stem.contains("..") || number.parse::<u32>().is_err() {
            return Err(bad());
        }
        Ok(Names { directory: Path::new(BASE).join(stem), number: number.to_owned(), stem: stem.to_owned() })
    }

    fn segment(&self, which: Which) -> String {
        format!("/{}.{}.{}", self.stem, self.number, which.word())
    }

    fn fifo(&self, which: Which) -> PathBuf {
        self.directory.join(format!("{}.{}", self.number, which.word()))
    }

    /// Makes a segment and reserves its memory.
    pub(crate) fn create_segment(&self, which: Which, len: usize) -> io::Result<Mapping> {
        let name = self.segment(which);
        let shmem = ShmemConf::new().os_id(&name).size(len).create().map_err(named_error)?;
        let file = OpenOptions::new().read(true).write(true).open(format!("{BASE}{name}"))?;
        reserve(file.as_fd(), len)?;
        Mapping::named(disowned(shmem), len, true)
    }

    /// Opens a segment, read-only if it is `down`.
    pub(crate) fn open_segment(&self, which: Which, len: usize) -> io::Result<Mapping> {
        let shmem = ShmemConf::new().os_id(self.segment(which)).open().map_err(named_error)?;
        if shmem.len() != len {
            return Err(invalid("segment has another size"));
        }
        Mapping::named(disowned(shmem), len, which == Which::Up)
    }

    /// Makes a bell: both ends, as FIFOs open them in this order only.
    pub(crate) fn create_bell(&self, which: Which) -> io::Result<(Ringer, Listener)> {
        let path = self.fifo(which);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600))
            .map_err(|e| context("create doorbell", e))?;
        let listener = self.open_listener(which)?;
        Ok((self.open_ringer(which)?, listener))
    }

    /// Opens the end that rings.
    pub(crate) fn open_ringer(&self, which: Which) -> io::Result<Ringer> {
        Ok(Ringer::from(open_fifo(OpenOptions::new().write(true), &self.fifo(which))?))
    }

    /// Opens the end that listens.
    pub(crate) fn open_listener(&self, which: Which) -> io::Result<Listener> {
        Ok(Listener::from(open_fifo(OpenOptions::new().read(true), &self.fifo(which))?))
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        for which in [Which::Down, Which::Up] {
            // The peer may have been first, which is as well.
            let _ = nix::sys::mman::shm_unlink(self.segment(which).as_str());
            let _ = fs::remove_file(self.fifo(which));
        }
    }
}

/// The two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Down,
    Up,
}

impl Which {
    fn word(self) -> &'static str {
        match self {
            Which::Down => "down",
            Which::Up => "up",
        }
    }
}

fn open_fifo(options: &mut OpenOptions, path: &Path) -> io::Result<OwnedFd> {
    options.custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path).map(OwnedFd::from)
}

/// The names are ours to unlink, not the crate's: a second unlink would hit a stranger's object of the same name.
fn disowned(mut shmem: Shmem) -> Shmem {
    shmem.set_owner(false);
    shmem
}

fn named_error(error: ShmemError) -> io::Error {
    let kind = match error {
        ShmemError::MappingIdExists => io::ErrorKind::AlreadyExists,
        ShmemError::MapOpenFailed(code) => io::Error::from_raw_os_error(code as i32).kind(),
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("could not open named segment: {error}"))
}

/// Removes the namespaces of dead processes of this user.
fn sweep() {
    let mine = format!("{STEM}{}-", nix::unistd::getuid());
    let Ok(entries) = fs::read_dir(BASE) else {
        return;
    };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let Some(name) = file.to_str() else { continue };
        let Some(owner) = name.strip_prefix(&mine).and_then(|rest| rest.split('-').next()) else {
            continue;
        };
        let gone = owner.parse().is_ok_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH));
        if gone {
            remove(name.split('.').next().unwrap_or(name));
        }
    }
}

/// Removes a namespace: its directory with all FIFOs, and all segments that carry its name.
fn remove(stem: &str) {
    let _ = fs::remove_dir_all(Path::new(BASE).join(stem));
    let Ok(entries) = fs::read_dir(BASE) else {
        return;
    };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let Some(name) = file.to_str() else { continue };
        if name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.')) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
