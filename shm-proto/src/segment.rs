//! Segments: sealed memfds, their mappings, and how the peer opens them through `/proc`.

use std::{
    ffi::CStr,
    fs::OpenOptions,
    io,
    num::NonZeroUsize,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    ptr::NonNull,
    sync::OnceLock,
};

use nix::{
    errno::Errno,
    sys::{
        memfd::{MFdFlags, memfd_create},
        mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap},
    },
};
use shared_memory::Shmem;

use crate::available;

/// Seals that a segment must carry before it is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seals {
    /// Its size is fixed.
    Size,
    /// Its size is fixed, and no mapping made from here on can write.
    SizeAndWrites,
}

impl Seals {
    fn bits(self) -> libc::c_int {
        match self {
            Seals::Size => libc::F_SEAL_SHRINK | libc::F_SEAL_GROW,
            Seals::SizeAndWrites => libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_FUTURE_WRITE,
        }
    }
}

/// A mapping of shared memory. Dropping it unmaps, which for 64 MiB takes 13 ms: not on a scheduler thread.
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
    writable: bool,
    /// Unmaps by itself when dropped.
    named: Option<Shmem>,
}

// SAFETY: the mapping is plain memory of the process; access goes through atomics and raw copies only.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Zeroed memory that only this process and its forks see; for tests and benches.
    ///
    /// # Errors
    /// What `mmap` reports.
    pub fn anonymous(len: usize) -> io::Result<Mapping> {
        let size = non_zero(len)?;
        // SAFETY: the kernel chooses the address of a fresh mapping.
        let base = unsafe { mmap_anonymous(None, size, protection(true), MapFlags::MAP_SHARED) }
            .map_err(|e| context("map memory", e))?;
        Ok(Mapping { base: base.cast(), len, writable: true, named: None })
    }

    /// Maps the first `len` bytes of `fd`, shared.
    ///
    /// # Errors
    /// What `mmap` reports.
    pub fn of(fd: BorrowedFd<'_>, len: usize, writable: bool) -> io::Result<Mapping> {
        let size = non_zero(len)?;
        // SAFETY: the kernel chooses the address of a fresh mapping.
        let base = unsafe { mmap(None, size, protection(writable), MapFlags::MAP_SHARED, fd, 0) }
            .map_err(|e| context("map segment", e))?;
        Ok(Mapping { base: base.cast(), len, writable, named: None })
    }

    /// The mapping of a named segment, made read-only if it is not to be writable.
    pub(crate) fn named(shmem: Shmem, len: usize, writable: bool) -> io::Result<Mapping> {
        let base = NonNull::new(shmem.as_ptr()).ok_or_else(|| invalid("segment is not mapped"))?;
        if !writable {
            // SAFETY: the range is the whole of this fresh mapping, to which no reference exists.
            unsafe { mprotect(base.cast(), len, ProtFlags::PROT_READ) }.map_err(|e| context("protect segment", e))?;
        }
        Ok(Mapping { base, len, writable, named: Some(shmem) })
    }

    /// First byte.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes.
    #[expect(clippy::len_without_is_empty, reason = "a mapping is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether this mapping may be written.
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// Keeps the mapping out of forked children.
    ///
    /// # Errors
    /// What `madvise` reports.
    pub fn dont_fork(&self) -> io::Result<()> {
        // SAFETY: the range is this mapping; MADV_DONTFORK changes only what a fork inherits.
        unsafe { madvise(self.base.cast(), self.len, MmapAdvise::MADV_DONTFORK) }
            .map_err(|e| context("keep segment out of forks", e))
    }
}

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mapping")
            .field("base", &self.base)
            .field("len", &self.len)
            .field("writable", &self.writable)
            .finish_non_exhaustive()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.named.is_some() {
            return;
        }
        // SAFETY: base and length come from the mmap that made this mapping; views of it hold an `Arc` to it.
        let unmapped = unsafe { munmap(self.base.cast(), self.len) };
        debug_assert!(unmapped.is_ok());
    }
}

/// A memfd with reserved memory, made by this process and closed with it.
#[derive(Debug)]
pub struct Memfd {
    fd: OwnedFd,
    len: usize,
}

impl Memfd {
    /// Makes a memfd and reserves all its memory, so that no later access can fail for lack of it.
    ///
    /// # Errors
    /// `OutOfMemory` or `StorageFull` if the memory is not there; other errors as the kernel gives them.
    pub fn create(name: &CStr, len: usize) -> io::Result<Memfd> {
        let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
            .map_err(|e| context("create memfd", e))?;
        reserve(fd.as_fd(), len)?;
        Ok(Memfd { fd, len })
    }

    /// Bytes.
    #[expect(clippy::len_without_is_empty, reason = "a segment is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Maps all of it.
    ///
    /// # Errors
    /// What `mmap` reports; `PermissionDenied` for a writable mapping after [`Seals::SizeAndWrites`].
    pub fn map(&self, writable: bool) -> io::Result<Mapping> {
        Mapping::of(self.fd.as_fd(), self.len, writable)
    }

    /// Adds the seals and then forbids further ones.
    ///
    /// # Errors
    /// What `fcntl` reports, on kernels before 5.1 for [`Seals::SizeAndWrites`].
    pub fn seal(&self, seals: Seals) -> io::Result<()> {
        // SAFETY: fcntl on an open descriptor, no memory involved.
        let done = unsafe { libc::fcntl(self.fd.as_raw_fd(), libc::F_ADD_SEALS, seals.bits() | libc::F_SEAL_SEAL) };
        Errno::result(done).map(drop).map_err(|e| context("seal segment", e))
    }

    /// The descriptor number, by which a peer opens it through `/proc`.
    pub fn number(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

impl AsFd for Memfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Sets the size of a fresh file and reserves its memory.
pub(crate) fn reserve(fd: BorrowedFd<'_>, len: usize) -> io::Result<()> {
    let size = libc::off_t::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    available::check(len as u64).map_err(|left| {
        let problem = format!("could not reserve {len} bytes of shared memory: {left} are left");
        io::Error::new(io::ErrorKind::OutOfMemory, problem)
    })?;
    nix::unistd::ftruncate(fd, size).map_err(|e| context("size segment", e))?;
    loop {
        match nix::fcntl::posix_fallocate(fd, 0, size) {
            Ok(()) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(context("reserve shared memory", e)),
        }
    }
}

/// Opens descriptor `fd` of process `pid` anew, as an open file description of our own. Never blocks.
///
/// # Errors
/// `NotFound` if process or descriptor are gone, `PermissionDenied` across users; otherwise what `open` reports.
pub fn open_far_end(pid: u32, fd: i32, access: Access) -> io::Result<OwnedFd> {
    open_as(&format!("/proc/{pid}/fd/{fd}"), access, libc::O_NONBLOCK | libc::O_NOCTTY)
}

/// As [`open_far_end`], to read, of a process that is not trusted: whatever is no memfd is not opened at all. To open a device
/// may do something, and a file system that the process runs itself (FUSE) may never answer.
///
/// # Errors
/// As [`open_far_end`]; `InvalidData` if the descriptor is no memfd.
pub fn open_memory(pid: u32, fd: i32) -> io::Result<OwnedFd> {
    let path = open_as(&format!("/proc/{pid}/fd/{fd}"), Access::Read, libc::O_PATH)?;
    if mount_of_memory().is_some_and(|ours| mount(path.as_fd()) != Some(ours)) {
        return Err(invalid("segment is no memfd"));
    }
    open_far_end(std::process::id(), path.as_raw_fd(), Access::Read)
}

fn open_as(path: &str, access: Access, flags: libc::c_int) -> io::Result<OwnedFd> {
    OpenOptions::new()
        .read(access != Access::Write)
        .write(access != Access::Read)
        .custom_flags(flags | libc::O_CLOEXEC)
        .open(path)
        .map(OwnedFd::from)
        .map_err(|e| io::Error::new(e.kind(), format!("could not open {path}: {e}")))
}

/// The mount of all memfds, which the kernel keeps to itself; `None` where `/proc` does not tell it.
fn mount_of_memory() -> Option<u64> {
    static MOUNT: OnceLock<u64> = OnceLock::new();
    if let Some(known) = MOUNT.get() {
        return Some(*known);
    }
    let found = mount(memfd_create(c"erlang_python-probe", MFdFlags::MFD_CLOEXEC).ok()?.as_fd())?;
    Some(*MOUNT.get_or_init(|| found))
}

/// Number of the mount that an open file is on. Asks the kernel only, not the file system.
fn mount(fd: BorrowedFd<'_>) -> Option<u64> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}

/// How a far end is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Read,
    /// To write.
    Write,
    /// Both.
    ReadWrite,
}

/// Checks that `fd` is memory that cannot be truncated under a mapping: a regular file of tmpfs (not hugetlbfs, whose
/// faults can fail) with the seals, at least `len` bytes long and with memory for as many. Returns its length.
///
/// # Errors
/// `InvalidData` names the check that failed.
pub fn verify(fd: BorrowedFd<'_>, len: usize, seals: Seals) -> io::Result<usize> {
    let stat = nix::sys::stat::fstat(fd).map_err(|e| context("inspect segment", e))?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(invalid("segment is not a regular file"));
    }
    let mut fs = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `fs` is large enough for what fstatfs writes, and read only after success.
    let kind = unsafe {
        Errno::result(libc::fstatfs(fd.as_raw_fd(), fs.as_mut_ptr())).map_err(|e| context("inspect segment", e))?;
        fs.assume_init().f_type
    };
    if kind != libc::TMPFS_MAGIC {
        return Err(invalid("segment is not tmpfs memory"));
    }
    // SAFETY: fcntl on an open descriptor, no memory involved.
    let found = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    if found < 0 || found & seals.bits() != seals.bits() {
        return Err(invalid("segment lacks its seals"));
    }
    let size = usize::try_from(stat.st_size).unwrap_or(0);
    if size < len {
        return Err(invalid("segment is too short"));
    }
    // A hole costs its maker nothing and each reader real memory.
    if u64::try_from(stat.st_blocks).unwrap_or(0) * 512 < len as u64 {
        return Err(invalid("segment is not reserved"));
    }
    Ok(size)
}

fn protection(writable: bool) -> ProtFlags {
    if writable { ProtFlags::PROT_READ | ProtFlags::PROT_WRITE } else { ProtFlags::PROT_READ }
}

fn non_zero(len: usize) -> io::Result<NonZeroUsize> {
    NonZeroUsize::new(len).ok_or_else(|| invalid("segment is empty"))
}

pub(crate) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub(crate) fn context(what: &str, errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("could not {what}: {error}"))
}
