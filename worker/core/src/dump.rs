//! Python's faulthandler: writes the stacks of all Python threads without Python's lock.
//!
//! What writes them is its handler for a signal. It is called as a function: no signal is sent, so none is blocked, comes
//! late or ends a system call, and the signal's own disposition stays as it was. What a program does with `faulthandler` itself
//! (`enable`, `register` for other signals, `PYTHONFAULTHANDLER`) is not touched by this.

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use nix::sys::memfd::{MFdFlags, memfd_create};
use pyo3::ffi;

use crate::control::duplicate_high;
use crate::invoke::call;
use crate::object::Object;

/// The handler, and the file that it writes to.
#[derive(Debug)]
pub struct Dump {
    handler: unsafe extern "C" fn(c_int),
    file: Descriptor,
}

static DUMP: OnceLock<Dump> = OnceLock::new();

/// The signal that `faulthandler` holds for taken; that of interrupts is one above.
fn signal() -> c_int {
    libc::SIGRTMAX() - 3
}

/// Registers with `faulthandler`. A Python that has none, or no descriptor to spare, does without.
///
/// # Safety
/// Called once, with the GIL held and no exception set.
pub unsafe fn install() {
    // SAFETY: the caller's promise.
    if let Some(dump) = unsafe { register() } {
        let _ = DUMP.set(dump);
    }
    // SAFETY: the GIL is held.
    unsafe { ffi::PyErr_Clear() };
}

/// # Safety
/// The GIL is held.
unsafe fn register() -> Option<Dump> {
    let file = memory_file().ok()?;
    let file = Descriptor::own(duplicate_high(file.as_fd()).ok()?)?;
    // SAFETY: the GIL is held and every pointer comes from a live object; the kernel fills the structures.
    unsafe {
        let module = Object::owned(ffi::PyImport_ImportModule(c"faulthandler".as_ptr()))?;
        let register = module.attribute(c"register")?;
        let number = Object::owned(ffi::PyLong_FromLong(signal().into()))?;
        let fd = Object::owned(ffi::PyLong_FromLong(file.number.into()))?;
        let (mut before, mut set) = (std::mem::zeroed::<libc::sigaction>(), std::mem::zeroed::<libc::sigaction>());
        libc::sigaction(signal(), std::ptr::null(), &mut before);
        call(&register, &[number.as_ptr(), fd.as_ptr(), ffi::Py_True(), ffi::Py_False()])?;
        if libc::sigaction(signal(), &before, &mut set) != 0
            || [libc::SIG_DFL, libc::SIG_IGN].contains(&set.sa_sigaction)
        {
            return None;
        }
        // faulthandler's handlers take the number of the signal only.
        Some(Dump { handler: std::mem::transmute::<usize, unsafe extern "C" fn(c_int)>(set.sa_sigaction), file })
    }
}

/// The descriptor, which belongs to the worker alone.
pub fn descriptor() -> Option<RawFd> {
    get().map(|dump| dump.file.number)
}

/// What was installed.
pub fn get() -> Option<&'static Dump> {
    DUMP.get()
}

/// A file in memory.
///
/// # Errors
/// Descriptors or memory are exhausted.
pub fn memory_file() -> nix::Result<OwnedFd> {
    memfd_create(c"erlang_python-stacks", MFdFlags::MFD_CLOEXEC)
}

impl Dump {
    /// Writes the stacks to the file, which is emptied first; `None` if a program has closed that. Async-signal-safe. Not for two threads
    /// at a time.
    pub fn write(&self) -> Option<RawFd> {
        let fd = self.file.still_ours()?;
        // SAFETY: calls that touch no memory of ours.
        unsafe {
            libc::ftruncate(fd, 0);
            libc::lseek(fd, 0, libc::SEEK_SET);
        }
        self.call();
        Some(fd)
    }

    /// Writes the stacks to another file, for a process that has its own descriptors and ends then. Async-signal-safe.
    pub fn write_to(&self, file: RawFd) {
        // SAFETY: touches no memory of ours.
        if unsafe { libc::dup2(file, self.file.number) } >= 0 {
            self.call();
        }
    }

    fn call(&self) {
        // SAFETY: made to be called at any instruction of any thread.
        unsafe { (self.handler)(signal()) };
    }
}

/// A descriptor of ours and what it stands for: a program that closes it may get its number for a file of its own.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    number: RawFd,
    file: (libc::dev_t, libc::ino_t),
}

impl Descriptor {
    /// Notes what an open descriptor stands for.
    pub fn of(number: RawFd) -> Option<Self> {
        Some(Self { number, file: identity(number)? })
    }

    fn own(fd: OwnedFd) -> Option<Self> {
        let known = Self::of(fd.as_raw_fd())?;
        std::mem::forget(fd);
        Some(known)
    }

    /// The number, if it stands for the same. Async-signal-safe.
    pub fn still_ours(&self) -> Option<RawFd> {
        (identity(self.number)? == self.file).then_some(self.number)
    }
}

fn identity(fd: RawFd) -> Option<(libc::dev_t, libc::ino_t)> {
    // SAFETY: the kernel fills the structure, for which zeroes are valid.
    unsafe {
        let mut stat = std::mem::zeroed::<libc::stat>();
        (libc::fstat(fd, &mut stat) == 0).then_some((stat.st_dev, stat.st_ino))
    }
}
