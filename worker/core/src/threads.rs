//! Executors besides the main thread.
//!
//! They are daemon `threading.Thread`s, so that everything in Python that knows threads knows them: as many as the worker
//! has executors, and spare ones from the moment when a thread first waits for an Erlang function. One of those that are
//! free waits for the bell. It also rings when the main thread sleeps; then the bell is left to the main thread, which
//! holds [`MAIN_SLEEP`] until it has drained it.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use pyo3::ffi;

use crate::control::kill_group;
use crate::crash;
use crate::executor::Executor;
use crate::gil;
use crate::interrupt::{Current, Shield};
use crate::invoke::{call, import};
use crate::module;
use crate::object::Object;
use crate::serve::{Server, Shared, ring_if_waiting};
use crate::turn::Turn;

/// Stack of an executor, in bytes: at 2 MiB a recursive `sorted` overflows it before Python's own limit.
const STACK: i64 = 8 << 20;
/// Longest wait for the GIL beside a thread that computes, in seconds.
const SWITCH_INTERVAL: f64 = 0.0005;

/// Held by the main thread while it sleeps.
static MAIN_SLEEP: Mutex<()> = Mutex::new(());
/// Held by the thread that waits for the bell.
static WATCH: Mutex<()> = Mutex::new(());
/// A thread waits for the bell.
static WATCHED: AtomicBool = AtomicBool::new(false);
/// When requests that are held back may be taken after all. Changed with the GIL held.
static DEADLINE: Mutex<Option<Instant>> = Mutex::new(None);

/// Announces that the main thread sleeps until the guard is dropped.
pub fn main_sleeps() -> MutexGuard<'static, ()> {
    lock(&MAIN_SLEEP)
}

/// What threads are started with.
struct Spawner {
    shared: Arc<Shared>,
    namespace: Object,
    /// `threading.Thread`, `threading.stack_size` and the body, from the first thread on.
    thread: RefCell<Option<[Object; 3]>>,
}

/// An object that lives as long as the process.
struct Forever(Spawner);
// SAFETY: only used with the GIL held.
unsafe impl Send for Forever {}
// SAFETY: as above.
unsafe impl Sync for Forever {}

static SPAWNER: OnceLock<Forever> = OnceLock::new();

/// Notes what threads will need; starts none.
pub fn prepare(shared: &Arc<Shared>, namespace: &Object) {
    let make = || Spawner { shared: shared.clone(), namespace: namespace.clone(), thread: RefCell::new(None) };
    SPAWNER.get_or_init(|| Forever(make()));
}

/// Makes sure that a thread can look at the ring while the calling one is busy. `false` with a Python exception set if
/// there is none and no more may be started.
///
/// # Safety
/// The GIL is held; it may be released for a while.
pub unsafe fn ensure_idle(shared: &Shared) -> bool {
    // SAFETY: the GIL is held.
    unsafe {
        if (shared.main_waits() && !shared.is_looped()) || shared.board().idle > 0 {
            return true;
        }
        if shared.board().threads >= shared.board().max_threads {
            let text = "max_threads threads of this worker run or wait already: calls between Python and Erlang are nested too deeply";
            module::raise(ffi::PyExc_RuntimeError, text);
            return false;
        }
        spawn(shared).is_some()
    }
}

/// Sees to it that a thread takes what an event loop has handed over, if it may be taken.
///
/// # Safety
/// The GIL is held; it may be released for a while.
pub unsafe fn serve_handed(shared: &Shared) {
    // SAFETY: the GIL is held.
    unsafe {
        if !shared.board().may_take_handed() {
            return;
        }
        if shared.board().idle > 0 {
            shared.kick();
        } else if !ensure_idle(shared) {
            // At the bound of threads those that run look when they are done.
            ffi::PyErr_Clear();
        }
    }
}

/// Starts one more executor. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held; it may be released for a while.
pub unsafe fn spawn(shared: &Shared) -> Option<()> {
    let spawner = &SPAWNER.get().expect("prepare comes before the first thread").0;
    // SAFETY: the GIL is held and every pointer comes from a live object.
    unsafe {
        let known = spawner.thread.borrow().clone();
        let [class, stack_size, body] = match known {
            Some(known) => known,
            None => first(spawner)?,
        };
        let _shield = Shield::hold();
        let before = call(&stack_size, &[Object::owned(ffi::PyLong_FromLongLong(STACK))?.as_ptr()])?;
        let name = Object::text(&format!("erlang-executor-{}", shared.board().threads))?;
        let options = Object::owned(ffi::PyDict_New())?;
        for (key, value) in [(c"target", body.as_ptr()), (c"name", name.as_ptr()), (c"daemon", ffi::Py_True())] {
            if ffi::PyDict_SetItemString(options.as_ptr(), key.as_ptr(), value) < 0 {
                return None;
            }
        }
        let nothing = Object::owned(ffi::PyTuple_New(0))?;
        let thread = Object::owned(ffi::PyObject_Call(class.as_ptr(), nothing.as_ptr(), options.as_ptr()))?;
        let begin = thread.attribute(c"start")?;
        shared.board().threads += 1;
        shared.board().idle += 1;
        if call(&begin, &[]).is_none() {
            shared.board().threads -= 1;
            shared.board().idle -= 1;
            return None;
        }
        call(&stack_size, &[before.as_ptr()]).map(drop)
    }
}

/// What the first thread needs: nobody pays for it before.
///
/// # Safety
/// The GIL is held.
unsafe fn first(spawner: &Spawner) -> Option<[Object; 3]> {
    // SAFETY: the GIL is held.
    unsafe {
        let interval = Object::owned(ffi::PyFloat_FromDouble(SWITCH_INTERVAL))?;
        let set_interval = Object::borrowed(ffi::PySys_GetObject(c"setswitchinterval".as_ptr()))?;
        call(&set_interval, &[interval.as_ptr()])?;
        let threading = import(c"threading")?;
        let body = module::function(c"executor", c"Runs requests.", run)?;
        let thread = [threading.attribute(c"Thread")?, threading.attribute(c"stack_size")?, body];
        *spawner.thread.borrow_mut() = Some(thread.clone());
        Some(thread)
    }
}

/// Body of an executor thread.
unsafe extern "C" fn run(_self: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: CPython calls this in the new thread with the GIL held.
    unsafe {
        if let Some(Forever(spawner)) = SPAWNER.get() {
            spawner.shared.board().idle -= 1;
            crash::prepare_thread();
            let current = Current::thread(libc::pthread_self());
            let Some(executor) = Executor::new(current, spawner.namespace.clone()) else {
                spawner.shared.board().threads -= 1;
                return std::ptr::null_mut();
            };
            follow(&mut Server::new(spawner.shared.clone(), executor));
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
            if server.shared().is_looped() {
                server.serve_handed();
            } else {
                server.serve_available();
            }
            let shared = server.shared();
            if !shared.main_waits() && !shared.leave_ring() {
                continue;
            }
            let until = shared.stalled_until();
            if until.is_some_and(|until| until <= Instant::now()) && shared.board().stall_is_over() {
                if shared.is_looped() {
                    server.serve_one_handed(true);
                } else {
                    server.serve_one();
                }
                continue;
            }
            if replace_deadline(until) && shared.board().idle > 0 {
                // Whoever waits for the bell does not know of the deadline.
                shared.kick();
            }
            shared.board().idle += 1;
            ring_if_waiting(&shared.link);
            gil::released(|| wait(shared));
            shared.board().idle -= 1;
        }
    }
}

/// Notes until when the thread that waits for the bell may sleep; whether that is sooner than before. Needs the GIL.
fn replace_deadline(until: Option<Instant>) -> bool {
    let mut deadline = lock(&DEADLINE);
    let sooner = until.is_some() && deadline.is_none_or(|before| until.is_some_and(|until| until < before));
    *deadline = until;
    sooner
}

/// Whether a request that comes now would wake none of the threads, though one has to look. Pairs with `wait`: either
/// this sees who watches, or the watcher sees that it has to.
pub fn nobody_watches(shared: &Shared) -> bool {
    shared.is_shared() && !WATCHED.load(Ordering::SeqCst)
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
        WATCHED.store(true, Ordering::SeqCst);
        // With nobody else in need, the bell is the main thread's alone: two that wake for one request are slower.
        let bell = shared.is_shared();
        let mut fds = vec![
            PollFd::new(shared.kick.as_fd(), PollFlags::POLLIN),
            PollFd::new(shared.control.wake(), PollFlags::POLLIN),
        ];
        if bell {
            fds.push(PollFd::new(shared.link.request_bell.as_fd(), PollFlags::POLLIN));
        } else {
            WATCHED.store(false, Ordering::SeqCst);
        }
        let deadline = *lock(&DEADLINE);
        match poll(&mut fds, time_left(deadline)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => kill_group(),
        }
        WATCHED.store(false, Ordering::SeqCst);
        if bell {
            let _awake = lock(&MAIN_SLEEP);
            if shared.link.request_bell.drain().is_err() {
                kill_group();
            }
        }
        // Nothing to read means that the bell has rung.
        let _ = nix::unistd::read(&shared.kick, &mut [0; 8]);
    }
    if pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None).is_err() {
        kill_group();
    }
}

fn time_left(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else { return PollTimeout::NONE };
    let left = deadline.saturating_duration_since(Instant::now());
    // Rounded up, so that the time is over when the wait is.
    u16::try_from(left.as_millis() + 1).map_or(PollTimeout::MAX, PollTimeout::from)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
