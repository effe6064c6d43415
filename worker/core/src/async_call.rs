//! Coroutines call Erlang: `erlang.async_call`.
//!
//! Each call has a callback slot while Erlang works on it, but no thread: one thread of ours waits for the answers of all and
//! has the event loops complete the futures. Calls beyond the number of slots wait in a queue.

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use pyo3::ffi;
use shm_proto::response::{Call, Header, Kind};

use crate::asyncio;
use crate::callback::{self, FOREIGN};
use crate::gil;
use crate::invoke;
use crate::module::{self, raise};
use crate::object::Object;
use crate::serve::Shared;
use crate::threads;
use crate::turn::Turn;
use crate::value::BlobSink;

/// Slots and tickets whose answers are awaited.
static OPEN: Mutex<Vec<(u32, u64)>> = Mutex::new(Vec::new());
/// Another one is.
static MORE: Condvar = Condvar::new();

/// The interpreter is about to end.
static CLOSED: AtomicBool = AtomicBool::new(false);
/// Held while answers are delivered.
static DELIVERY: Mutex<()> = Mutex::new(());

/// A call that waits for a slot, or for its answer.
struct Asked {
    /// The event loop of the coroutine.
    event_loop: Object,
    future: Object,
    id: u64,
    root: u64,
}

struct Queued {
    asked: Asked,
    payload: Vec<u8>,
    blobs: BlobSink,
}

#[derive(Default)]
struct State {
    /// Slots that are free; `None` before the first call.
    free: Option<Vec<u32>>,
    /// Calls that Erlang works on, by slot.
    asked: Vec<(u32, Asked)>,
    queue: VecDeque<Queued>,
}

struct Guarded(UnsafeCell<Option<State>>);
// SAFETY: only touched with the GIL held, and never while Python code could run.
unsafe impl Sync for Guarded {}
static STATE: Guarded = Guarded(UnsafeCell::new(None));

/// # Safety
/// The GIL is held, and the reference is not kept while Python code could run.
unsafe fn state() -> &'static mut State {
    // SAFETY: the caller's promise makes the access exclusive.
    unsafe { (*STATE.0.get()).get_or_insert_default() }
}

/// Adds `async_call` to module `erlang`. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn register(erlang: &Object) -> Option<()> {
    let doc = c"async_call(name, /, *args)\n--\n\nCalls an Erlang function; to be awaited, in a coroutine.";
    // SAFETY: the GIL is held.
    unsafe { module::add(erlang, c"async_call", &module::function(c"async_call", doc, py_async_call)?) }
}

unsafe extern "C" fn py_async_call(_self: *mut ffi::PyObject, arguments: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: CPython calls this with the GIL held and a tuple.
    unsafe { async_call(arguments) }.map_or(std::ptr::null_mut(), Object::into_ptr)
}

/// # Safety
/// The GIL is held, no exception is set and `arguments` is a tuple. `None` with a Python exception set.
unsafe fn async_call(arguments: *mut ffi::PyObject) -> Option<Object> {
    let (mut payload, mut blobs) = (Vec::with_capacity(256), BlobSink::new());
    // SAFETY: the GIL is held.
    unsafe {
        let shared = callback::shared()?;
        let Some(event_loop) = asyncio::running_loop() else {
            let text = "erlang.async_call is for coroutines, and no event loop runs in this thread: use erlang.call";
            raise(ffi::PyExc_RuntimeError, text);
            return None;
        };
        if CLOSED.load(Ordering::SeqCst) {
            raise(ffi::PyExc_RuntimeError, "the worker is stopping: answers of Erlang reach no event loop any more");
            return None;
        }
        callback::encode_call(arguments, &mut payload, &mut blobs)?;
        let create = event_loop.attribute(c"create_future")?;
        let future = invoke::call(&create, &[])?;
        let (id, root) = callback::request_of_code();
        let asked = Asked {
            event_loop,
            future: future.clone(),
            id: id.unwrap_or(Header::NO_REQUEST),
            root: root.unwrap_or(FOREIGN | u64::from(std::process::id())),
        };
        prepare(shared)?;
        state().queue.push_back(Queued { asked, payload, blobs });
        send_queued(shared);
        Some(future)
    }
}

/// Makes the slots known and starts the thread, once. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
unsafe fn prepare(shared: &'static Shared) -> Option<()> {
    // SAFETY: the GIL is held.
    unsafe {
        if state().free.is_some() {
            return Some(());
        }
        let mut mask = SigSet::empty();
        let started = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut mask))
            .map_err(std::io::Error::from)
            .and_then(|()| {
                std::thread::Builder::new().name("answers".to_owned()).spawn(move || collect_answers(shared))
            });
        let restored = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None);
        if started.is_err() || restored.is_err() {
            raise(ffi::PyExc_RuntimeError, "could not start the thread that waits for the answers of Erlang");
            return None;
        }
        let all = shared.link.callbacks.len() as u32;
        state().free = Some((shared.board().slots()..all).collect());
        Some(())
    }
}

/// Sends as many of the calls that wait as there are slots.
///
/// # Safety
/// The GIL is held and no exception is set; it may be released for a while.
unsafe fn send_queued(shared: &'static Shared) {
    // SAFETY: the GIL is held; references into the state are not kept while Python code could run.
    unsafe {
        loop {
            let Some(slot) = state().free.as_mut().and_then(Vec::pop) else { return };
            let Some(Queued { asked, payload, blobs }) = state().queue.pop_front() else {
                give_slot(slot);
                return;
            };
            if is_done(&asked.future) {
                // Its coroutine was cancelled before anything was sent.
                give_slot(slot);
                continue;
            }
            let ticket = shared.link.callbacks.begin(slot as usize);
            let (id, root) = (asked.id, asked.root);
            // What the function asks of this worker must not wait for an executor that is busy.
            if !shared.is_looped() && !threads::ensure_idle(shared) {
                ffi::PyErr_Clear();
            }
            shared.begin_wait(root, false);
            let event_loop = asked.event_loop.clone();
            let future = asked.future.clone();
            state().asked.push((slot, asked));
            // Before it is published: an answer that came first would find nobody who waits for it, and wake nobody later.
            lock(&OPEN).push((slot, ticket));
            MORE.notify_one();
            let header = callback::header(Kind::Callback, id, 0);
            let call = Call { ticket, root, slot };
            if callback::publish(shared, header, &call.encode(), &payload, &blobs).is_none() {
                lock(&OPEN).retain(|(other, _)| *other != slot);
                state().asked.retain(|(other, _)| *other != slot);
                shared.end_wait(root, false);
                give_slot(slot);
                let error = crate::exception::take();
                complete(&event_loop, vec![(future, None, error)]);
                continue;
            }
            shared.pass_lead();
        }
    }
}

/// # Safety
/// The GIL is held.
unsafe fn give_slot(slot: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(free) = state().free.as_mut() {
            free.push(slot);
        }
    }
}

/// # Safety
/// The GIL is held and no exception is set.
unsafe fn is_done(future: &Object) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let done = future.attribute(c"done").and_then(|done| invoke::call(&done, &[]));
        ffi::PyErr_Clear();
        done.is_some_and(|done| done.as_ptr() == ffi::Py_True())
    }
}

/// Answers are delivered no more: a thread that asked for the GIL of an interpreter that ends would never return.
///
/// # Safety
/// The GIL is held; it is released for a while.
pub unsafe fn close() {
    CLOSED.store(true, Ordering::SeqCst);
    // SAFETY: nothing of Python is touched.
    unsafe { gil::released(|| drop(lock(&DELIVERY))) };
}

/// Body of the thread.
fn collect_answers(shared: &'static Shared) {
    let callbacks = &shared.link.callbacks;
    let is_ready = |&(slot, ticket): &(u32, u64)| callbacks.is_ready(slot as usize, ticket);
    loop {
        let mut open = lock(&OPEN);
        while open.is_empty() {
            open = MORE.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
        let (ready, rest): (Vec<_>, Vec<_>) = open.iter().copied().partition(is_ready);
        *open = rest;
        drop(open);
        if ready.is_empty() {
            callbacks.wait_any(|| lock(&OPEN).iter().any(is_ready));
            continue;
        }
        let _delivery = lock(&DELIVERY);
        if CLOSED.load(Ordering::SeqCst) {
            return;
        }
        // SAFETY: this thread does not hold the GIL here.
        unsafe { gil::attached(|| deliver(shared, &ready)) };
    }
}

/// Completes the futures of calls whose answers are there, and sends calls that wait for their slots.
///
/// # Safety
/// The GIL is held and no exception is set.
unsafe fn deliver(shared: &'static Shared, ready: &[(u32, u64)]) {
    let mut answers: Vec<(Object, Vec<Answer>)> = Vec::new();
    // SAFETY: the GIL is held; references into the state are not kept while Python code could run.
    unsafe {
        for &(slot, _) in ready {
            let asked = &mut state().asked;
            let Some(at) = asked.iter().position(|(other, _)| *other == slot) else { continue };
            let (_, Asked { event_loop, future, root, .. }) = asked.swap_remove(at);
            let value = callback::read(shared, slot);
            give_slot(slot);
            shared.end_wait(root, false);
            let error = if value.is_none() { crate::exception::take() } else { None };
            let answer = (future, value, error);
            match answers.iter_mut().find(|(other, _)| other.as_ptr() == event_loop.as_ptr()) {
                Some((_, list)) => list.push(answer),
                None => answers.push((event_loop, vec![answer])),
            }
        }
        for (event_loop, list) in answers {
            complete(&event_loop, list);
        }
        send_queued(shared);
    }
}

/// A future with its value, or an error.
type Answer = (Object, Option<Object>, Option<Object>);

/// Has an event loop complete futures of its own.
///
/// # Safety
/// The GIL is held and no exception is set.
unsafe fn complete(event_loop: &Object, answers: Vec<Answer>) {
    // SAFETY: the GIL is held and every pointer comes from a live object.
    unsafe {
        let done = || {
            let list = Object::owned(ffi::PyList_New(0))?;
            for (future, value, error) in &answers {
                let or_none = |object: &Option<Object>| object.as_ref().map_or(ffi::Py_None(), Object::as_ptr);
                let answer = ffi::PyTuple_Pack(3, future.as_ptr(), or_none(value), or_none(error));
                let answer = Object::owned(answer)?;
                if ffi::PyList_Append(list.as_ptr(), answer.as_ptr()) < 0 {
                    return None;
                }
            }
            let modules = ffi::PyImport_GetModuleDict();
            let erlang = Object::borrowed(ffi::PyDict_GetItemString(modules, c"erlang".as_ptr()))?;
            let complete = erlang.attribute(c"_complete")?;
            let call_soon = event_loop.attribute(c"call_soon_threadsafe")?;
            invoke::call(&call_soon, &[complete.as_ptr(), list.as_ptr()])
        };
        drop(done());
        // The loop may have been closed: nobody awaits these futures then.
        ffi::PyErr_Clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
