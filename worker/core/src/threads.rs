//! Executors besides the main thread.
//!
//! They are daemon `threading.Thread`s, so that everything in Python that knows threads knows them. One of those
//! that are free waits for the bell. It also rings when the main thread sleeps; then the bell is left to the main
//! thread, which holds [`MAIN_SLEEP`] until it has drained it.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use pyo3::ffi;

use crate::control::kill_group;
use crate::executor::Executor;
use crate::gil;
use crate::interrupt::Current;
use crate::module;
use crate::object::Object;
use crate::serve::{Server, Shared, ring_if_waiting};

/// Stack of an executor, in bytes: at 2 MiB a recursive `sorted` overflows it before Python's own limit.
const STACK: i64 = 8 << 20;
/// Longest wait for the GIL beside a thread that computes, in seconds.
const SWITCH_INTERVAL: f64 = 0.0005;

/// Held by the main thread while it sleeps.
static MAIN_SLEEP: Mutex<()> = Mutex::new(());
/// Held by the thread that waits for the bell.
static WATCH: Mutex<()> = Mutex::new(());
/// Executors that were made for threads which have not begun yet.
static WAITING: Mutex<Vec<Newcomer>> = Mutex::new(Vec::new());

struct Newcomer {
    shared: Arc<Shared>,
    namespace: Cell<Option<Object>>,
    node_pid: u32,
}

// SAFETY: the object in it is only touched with the GIL held.
unsafe impl Send for Newcomer {}

/// Announces that the main thread sleeps until the guard is dropped.
pub fn main_sleeps() -> MutexGuard<'static, ()> {
    lock(&MAIN_SLEEP)
}

/// Starts `count` executors. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn start(shared: &Arc<Shared>, namespace: &Object, node_pid: u32, count: u16) -> Option<()> {
    // SAFETY: the GIL is held and every pointer comes from a live object.
    unsafe {
        let interval = Object::owned(ffi::PyFloat_FromDouble(SWITCH_INTERVAL))?;
        let set_interval = Object::borrowed(ffi::PySys_GetObject(c"setswitchinterval".as_ptr()))?;
        call(&set_interval, &interval)?;
        let threading = Object::owned(ffi::PyImport_ImportModule(c"threading".as_ptr()))?;
        let stack_size = threading.attribute(c"stack_size")?;
        let before = call(&stack_size, &Object::owned(ffi::PyLong_FromLongLong(STACK))?)?;
        let class = threading.attribute(c"Thread")?;
        let body = module::function(c"executor", c"Runs requests.", run)?;
        for number in 1..=count {
            let name = Object::text(&format!("erlang-executor-{number}"))?;
            let options = Object::owned(ffi::PyDict_New())?;
            for (key, value) in [(c"target", body.as_ptr()), (c"name", name.as_ptr()), (c"daemon", ffi::Py_True())] {
                if ffi::PyDict_SetItemString(options.as_ptr(), key.as_ptr(), value) < 0 {
                    return None;
                }
            }
            let nothing = Object::owned(ffi::PyTuple_New(0))?;
            let thread = Object::owned(ffi::PyObject_Call(class.as_ptr(), nothing.as_ptr(), options.as_ptr()))?;
            lock(&WAITING).push(Newcomer {
                shared: shared.clone(),
                namespace: Cell::new(Some(namespace.clone())),
                node_pid,
            });
            let begin = thread.attribute(c"start")?;
            Object::owned(ffi::PyObject_CallObject(begin.as_ptr(), std::ptr::null_mut()))?;
        }
        call(&stack_size, &before).map(drop)
    }
}

/// # Safety
/// The GIL is held.
unsafe fn call(function: &Object, argument: &Object) -> Option<Object> {
    // SAFETY: live objects.
    unsafe {
        let arguments = Object::owned(ffi::PyTuple_Pack(1, argument.as_ptr()))?;
        Object::owned(ffi::PyObject_CallObject(function.as_ptr(), arguments.as_ptr()))
    }
}

/// Body of an executor thread.
unsafe extern "C" fn run(_self: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this in the new thread with the GIL held.
    unsafe {
        let newcomer = lock(&WAITING).pop();
        if let Some(newcomer) = newcomer
            && let Some(namespace) = newcomer.namespace.take()
        {
            let current = Current::thread(libc::pthread_self());
            let Some(executor) = Executor::new(current, namespace, newcomer.node_pid) else {
                return std::ptr::null_mut();
            };
            follow(&mut Server::new(newcomer.shared, executor));
        }
        ffi::Py_INCREF(ffi::Py_None());
        ffi::Py_None()
    }
}

/// # Safety
/// The GIL is held.
unsafe fn follow(server: &mut Server) {
    while !server.shared().control.stopping() {
        // SAFETY: the GIL is held, and released only for the wait.
        unsafe {
            server.serve_available();
            if server.shared().main_waits() || server.shared().leave_ring() {
                ring_if_waiting(&server.shared().link);
                gil::released(|| wait(server.shared()));
            }
        }
    }
}

/// Waits until the bell rings while the main thread is awake, or somebody kicks.
fn wait(shared: &Shared) {
    // A signal that came to this thread would not end what the main thread waits in.
    let mut mask = SigSet::empty();
    if pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut mask)).is_err() {
        kill_group();
    }
    {
        let _watch = lock(&WATCH);
        let mut fds = [
            PollFd::new(shared.link.request_bell.as_fd(), PollFlags::POLLIN),
            PollFd::new(shared.kick.as_fd(), PollFlags::POLLIN),
            PollFd::new(shared.control.wake(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => kill_group(),
        }
        let _awake = lock(&MAIN_SLEEP);
        if shared.link.request_bell.drain().is_err() {
            kill_group();
        }
        // Nothing to read means that the bell has rung.
        let _ = nix::unistd::read(&shared.kick, &mut [0; 8]);
    }
    if pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None).is_err() {
        kill_group();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
