//! What the Python threads are doing at this moment, for the node.
//!
//! Whoever has Python's lock can look at the frames of all threads. If it is not to be had for [`PATIENCE`], some thread keeps it
//! while it is in C code: then faulthandler writes the stacks (see [`crate::dump`]). It reads what other threads could change, so
//! that happens in a copy of the process, where no other thread runs: at worst the copy crashes.
//!
//! On a free-threaded build, to look at the frames of all threads from inside means to stop them all, and if one does not stop, the others
//! stand still until it does. So it is always faulthandler in a copy there.
//!
//! The text: `free` or `kept` for the lock; a line `thread IDENT REQUEST` for each executor, the main thread first, `-` for no request;
//! then stacks as faulthandler writes them. Or one line `failed` with a reason.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use pyo3::ffi;
use shm_proto::control::{FromWorker, PART};

use crate::control::Control;
use crate::dump::{self, Dump, memory_file};
use crate::gil;
use crate::interrupt;
use crate::module;
use crate::object::Object;

/// How long Python's lock is waited for.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long the copy may write.
const COPY_PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of an answer.
const LIMIT: usize = 256 << 10;
/// What is said of Python's lock where it was not to be had.
const LOCK: &[u8] = if cfg!(feature = "free-threaded") { b"free\n" } else { b"kept\n" };
/// The look at the frames of all threads.
const PROGRAM: &str = include_str!("stacks.py");

/// Python identity of the main thread.
static MAIN: AtomicU64 = AtomicU64::new(0);
/// A thread of an earlier question still waits for Python's lock.
static WAITS: AtomicBool = AtomicBool::new(false);

/// Notes that the calling thread is Python's main thread.
pub fn note_main_thread() {
    // SAFETY: has no requirement.
    MAIN.store(unsafe { libc::pthread_self() }, Ordering::Relaxed);
}

/// Answers the node from a thread of its own, so that control frames are read meanwhile. Signals are blocked in the caller.
pub fn answer(control: &Arc<Control>) {
    let shared = control.clone();
    let looks = move || {
        let text = with_lock(&shared).unwrap_or_else(without_lock);
        send(&shared, &text);
    };
    if let Err(error) = thread::Builder::new().name("stacks".to_owned()).spawn(looks) {
        send(control, format!("failed {error}").as_bytes());
    }
}

fn send(control: &Control, text: &[u8]) {
    let text = &text[..text.len().min(LIMIT)];
    let mut parts = text.chunks(PART).peekable();
    while let Some(part) = parts.next() {
        control.send(&FromWorker::Stacks { more: parts.peek().is_some(), text: part.to_vec() });
    }
}

/// `None` if Python's lock could not be had.
fn with_lock(control: &Arc<Control>) -> Option<Vec<u8>> {
    if cfg!(feature = "free-threaded") || control.stopping() || WAITS.swap(true, Ordering::AcqRel) {
        return None;
    }
    let (sender, receiver) = mpsc::channel();
    let waits = move || {
        // SAFETY: this thread has no Python state.
        let text = unsafe { gil::attached(|| look()) };
        WAITS.store(false, Ordering::Release);
        // Who asked may have given up.
        let _ = sender.send(text);
    };
    if thread::Builder::new().name("stacks-lock".to_owned()).spawn(waits).is_err() {
        WAITS.store(false, Ordering::Release);
        return None;
    }
    receiver.recv_timeout(PATIENCE).ok().flatten()
}

/// `None` if Python refused.
///
/// # Safety
/// The GIL is held and no exception is set.
unsafe fn look() -> Option<Vec<u8>> {
    // SAFETY: the GIL is held; the text is borrowed from the namespace while that lives.
    unsafe {
        let executors = executors();
        let text = Object::owned(ffi::PyDict_New()).and_then(|names| {
            module::run(PROGRAM, c"<erlang stacks>", &names)?;
            let text = Object::borrowed(ffi::PyDict_GetItemString(names.as_ptr(), c"text".as_ptr()))?;
            module::utf8(&text).map(|text| format!("free\n{executors}{text}\n").into_bytes())
        });
        ffi::PyErr_Clear();
        text
    }
}

/// Lines about the threads that run requests.
fn executors() -> String {
    let line = |(ident, request): (libc::c_ulong, Option<u64>)| {
        format!("thread {ident:#x} {}\n", request.map_or("-".to_owned(), |id| id.to_string()))
    };
    interrupt::running(MAIN.load(Ordering::Relaxed)).into_iter().map(line).collect()
}

fn without_lock() -> Vec<u8> {
    let executors = executors();
    let written = match dump::get() {
        Some(dump) => copied(dump).map_err(|error| error.to_string()),
        None => Err("Python's lock cannot be had, and this Python has no faulthandler".to_owned()),
    };
    match written {
        Ok(text) => [LOCK, executors.as_bytes(), &text].concat(),
        Err(error) => format!("failed {error}").into_bytes(),
    }
}

/// Lets a copy of the process write the stacks. Where processes are refused, it is this one.
fn copied(dump: &Dump) -> io::Result<Vec<u8>> {
    let file = memory_file()?;
    // SAFETY: as fork, but no handler of a library runs, no SIGCHLD comes, and no `wait` of a program finds the child, which
    // makes async-signal-safe calls and ends.
    let child = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) } as libc::pid_t;
    if child == 0 {
        dump.write_to(file.as_raw_fd());
        // SAFETY: ends the copy without running handlers of the worker.
        unsafe { libc::_exit(0) }
    }
    if child > 0 {
        await_end(child);
        return read(&file);
    }
    let written = dump.write().ok_or_else(|| io::Error::other("a program has closed the descriptor for stacks"))?;
    // SAFETY: open as long as the worker lives, unless a program closes it: then reading fails.
    let written = unsafe { BorrowedFd::borrow_raw(written) };
    read(written)
}

/// Waits for a copy; one that hangs is killed.
fn await_end(child: libc::pid_t) {
    let deadline = Instant::now() + COPY_PATIENCE;
    let ended = |flags| {
        // SAFETY: a child of ours; its status is not asked for.
        let found = unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::__WALL | flags) };
        found != 0
    };
    while !ended(libc::WNOHANG) {
        if Instant::now() > deadline {
            // SAFETY: nobody else waits for the child, so its number is still its own.
            unsafe { libc::kill(child, libc::SIGKILL) };
            ended(0);
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn read(file: impl AsFd) -> io::Result<Vec<u8>> {
    let mut text = vec![0; LIMIT];
    let mut filled = 0;
    loop {
        match nix::sys::uio::pread(&file, &mut text[filled..], filled as i64)? {
            0 => break,
            more => filled += more,
        }
    }
    text.truncate(filled);
    Ok(text)
}
