//! Workers of kind async: the event loop in Python's main thread, with the request bell among what it waits for.
//!
//! A worker starts as any other and becomes one of this kind by a request, the last of its set-up (`erlang._enter_loop`). From
//! then on the loop takes all requests, in batches. Coroutine functions and functions of asyncio are run here; everything
//! else is left to executor threads ([`crate::board`]), so that nothing holds up the loop.
//!
//! While requests come, each turn of the loop looks at the ring and nobody has to wake anybody. After a few turns in vain
//! the bell is left to wake the loop, whose idle time costs nothing.

use std::cell::{Cell, UnsafeCell};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::ffi;

use crate::asyncio::{self, EventLoop};
use crate::control::kill_group;
use crate::coroutine;
use crate::fork;
use crate::invoke::{call, none};
use crate::module;
use crate::object::Object;
use crate::serve::Server;
use crate::turn::Turn;

/// Requests taken in one turn of the loop: what else is ready waits behind so many at most.
const BATCH: u32 = 64;
/// Turns in vain before the loop sleeps while tasks of requests are under way: short ones end within these.
const TURNS_IN_VAIN: u32 = 4;

/// Threads for plain functions, from the moment when the worker shall become one of this kind; 0 before.
static WANTED: AtomicU32 = AtomicU32::new(0);

/// Whether the main thread shall go on as an event loop.
#[inline]
pub fn wanted() -> bool {
    WANTED.load(Ordering::Relaxed) != 0
}

/// `_enter_loop(kind, threads)` of module erlang. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn register(erlang: &Object) -> Option<()> {
    // SAFETY: the GIL is held.
    unsafe {
        let doc = c"Makes this worker serve from an event loop; part of the start of workers of kind async.";
        module::add(erlang, c"_enter_loop", &module::function(c"_enter_loop", doc, enter_loop)?)
    }
}

unsafe extern "C" fn enter_loop(_self: *mut ffi::PyObject, arguments: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: CPython calls this with the GIL held and a tuple, whose items it keeps alive.
    unsafe {
        let kind = Object::borrowed(ffi::PyTuple_GetItem(arguments, 0));
        let threads = ffi::PyTuple_GetItem(arguments, 1);
        let (Some(kind), false) = (kind, threads.is_null()) else { return std::ptr::null_mut() };
        let threads = ffi::PyLong_AsLong(threads);
        let Some(kind) = module::utf8(&kind) else { return std::ptr::null_mut() };
        if asyncio::make_for_main(kind).is_none() {
            return std::ptr::null_mut();
        }
        WANTED.store(threads.clamp(1, i64::from(u16::MAX)) as u32, Ordering::Relaxed);
        none()
    }
}

thread_local! {
    static TURNER: Cell<Option<Rc<Turner>>> = const { Cell::new(None) };
}

/// Looks at the ring between the other things that the loop does.
struct Turner {
    server: UnsafeCell<Server>,
    /// Held while requests are taken: what is run then may let the loop turn, but not a second time round here.
    busy: Cell<bool>,
    /// A look at the ring is scheduled.
    scheduled: Cell<bool>,
    in_vain: Cell<u32>,
    call_soon: Object,
    turn: Object,
}

/// Runs the loop until the node says stop. `None` with a Python exception set.
///
/// # Safety
/// In Python's main thread with the GIL held and no exception set, after `_enter_loop`.
pub unsafe fn serve(server: Server) -> Option<()> {
    // SAFETY: the GIL is held and every pointer comes from a live object.
    unsafe {
        let known: &EventLoop = asyncio::event_loop()?;
        server.shared().enter_loop(WANTED.load(Ordering::Relaxed));
        let bell = server.shared().link.request_bell.as_fd().as_raw_fd();
        let wake = server.shared().control.wake().as_raw_fd();
        let turn = module::function(c"turn", c"Looks at the ring.", turn)?;
        let turner = Rc::new(Turner {
            server: UnsafeCell::new(server),
            busy: Cell::new(false),
            scheduled: Cell::new(true),
            in_vain: Cell::new(0),
            call_soon: known.event_loop.attribute(c"call_soon")?,
            turn: turn.clone(),
        });
        TURNER.set(Some(turner));
        let run = known.function(c"run_in_main")?;
        let rung = module::function(c"rung", c"The bell rang.", rung)?;
        let stopping = module::function(c"stopping", c"Whether the worker shall stop.", stopping)?;
        let bell = Object::owned(ffi::PyLong_FromLong(bell.into()))?;
        let wake = Object::owned(ffi::PyLong_FromLong(wake.into()))?;
        let arguments = [&known.event_loop, &bell, &wake, &turn, &rung, &stopping].map(Object::as_ptr);
        let ended = call(&run, &arguments).map(drop);
        // Not to be dropped at the thread's end, when there is no interpreter any more.
        drop(TURNER.take());
        ended
    }
}

fn turner() -> Option<Rc<Turner>> {
    let turner = TURNER.take();
    TURNER.set(turner.clone());
    turner
}

/// Called by the loop in its next turn.
unsafe extern "C" fn turn(_self: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    fork::end_child();
    if let Some(turner) = turner() {
        turner.scheduled.set(false);
        // SAFETY: CPython calls this with the GIL held, in the main thread.
        unsafe { turner.turn() };
    }
    // SAFETY: the GIL is held.
    unsafe { none() }
}

/// Called by the loop when the bell can be read.
unsafe extern "C" fn rung(_self: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    fork::end_child();
    if let Some(turner) = turner() {
        // SAFETY: CPython calls this with the GIL held, in the main thread.
        unsafe {
            if !turner.busy.get() {
                let shared = (*turner.server.get()).shared();
                if shared.link.request_bell.drain().is_err() {
                    kill_group();
                }
                shared.link.request_sleeping().lower();
            }
            turner.in_vain.set(0);
            turner.turn();
        }
    }
    // SAFETY: the GIL is held.
    unsafe { none() }
}

unsafe extern "C" fn stopping(_self: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: CPython calls this with the GIL held; only its own thread uses the server, which is not busy here.
    unsafe {
        let stopping = turner().is_none_or(|turner| (*turner.server.get()).shared().control.stopping());
        Object::owned(ffi::PyBool_FromLong(stopping.into())).map_or(std::ptr::null_mut(), Object::into_ptr)
    }
}

impl Turner {
    /// Takes what is in the ring, and arranges for the next look.
    ///
    /// # Safety
    /// In the loop's thread, with the GIL held and no exception set.
    unsafe fn turn(&self) {
        if self.busy.replace(true) {
            return;
        }
        // SAFETY: `busy` makes the access exclusive.
        let server = unsafe { &mut *self.server.get() };
        // SAFETY: the caller's promise.
        unsafe {
            loop {
                let taken = server.start_available(BATCH);
                if taken > 0 {
                    self.in_vain.set(0);
                    self.again();
                    break;
                }
                if coroutine::pending() > 0 {
                    if self.in_vain.get() < TURNS_IN_VAIN {
                        self.in_vain.set(self.in_vain.get() + 1);
                        self.again();
                        break;
                    }
                } else if server.spin() {
                    continue;
                }
                if server.leave_to_bell() {
                    break;
                }
            }
        }
        self.busy.set(false);
    }

    /// Has the loop call us in its next turn.
    ///
    /// # Safety
    /// As [`Turner::turn`].
    unsafe fn again(&self) {
        if self.scheduled.replace(true) {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe {
            if call(&self.call_soon, &[self.turn.as_ptr()]).is_none() {
                // The loop was closed under our feet: nothing can be served any more.
                kill_group();
            }
        }
    }
}
