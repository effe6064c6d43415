//! Requests whose result is awaited.
//!
//! A worker has one event loop. In an ordinary worker it runs in a thread of its own from the first coroutine on: executors
//! hand awaitables over and go on. In a worker of kind async it is the main thread ([`crate::event_loop`]). Each request is
//! a task that is made of its coroutine directly, so that `asyncio.timeout`, `TaskGroup` and `current_task` behave as they do
//! under `asyncio.run`; the answer is sent from the task's done callback.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use pyo3::ffi;
use shm_proto::request::Header;

use crate::answer::{Failure, with_answer};
use crate::asyncio::{self, EventLoop, event_loop, on_loop};
use crate::callback;
use crate::fork;
use crate::gil;
use crate::interrupt;
use crate::invoke::{call, method, none, tuple};
use crate::module;
use crate::object::Object;
use crate::serve::Shared;
use crate::stream;
use crate::symbols::symbols;
use crate::turn::{Turn, aside};

/// Pause between two cancellations of a task that does not end: what it awaits in its `finally` clauses gets that long.
const CANCEL_AGAIN: Duration = Duration::from_secs(1);
/// The interrupts of a request come apart; what fails more often than this is the loop.
const WAKE_ATTEMPTS: u32 = 3;

/// Requests that are being awaited, by id.
static PENDING: Mutex<Option<Table>> = Mutex::new(None);
/// Awaitables on their way to the loop's thread, with the ids of their requests.
static HANDED: Mutex<Vec<(u64, Sendable)>> = Mutex::new(Vec::new());

type Table = HashMap<u64, Pending, BuildHasherDefault<IdHasher>>;

/// An object on its way between threads.
struct Sendable(Object);
// SAFETY: only touched, and dropped, with the GIL held.
unsafe impl Send for Sendable {}
// SAFETY: as above.
unsafe impl Sync for Sendable {}

struct Pending {
    shared: Arc<Shared>,
    header: Header,
    /// First request of its chain of calls.
    root: u64,
    /// What programs had published when the request began.
    published: u64,
    since: Instant,
    task: Option<Sendable>,
    /// When it was cancelled last.
    cancelled: Option<Instant>,
    /// The loop has seen the cancellation.
    delivered: bool,
}

/// Whether `value` is a coroutine, a Task, a Future or another awaitable.
///
/// # Safety
/// The GIL is held.
#[inline]
pub unsafe fn is_awaitable(value: &Object) -> bool {
    // SAFETY: the type of a live object, compared with types that live for ever.
    unsafe {
        let class = ffi::Py_TYPE(value.as_ptr());
        let plain = [
            &raw mut ffi::PyFloat_Type,
            &raw mut ffi::PyLong_Type,
            &raw mut ffi::PyUnicode_Type,
            &raw mut ffi::PyBool_Type,
            &raw mut ffi::PyBytes_Type,
            &raw mut ffi::PyList_Type,
            &raw mut ffi::PyDict_Type,
            &raw mut ffi::PyTuple_Type,
        ];
        !plain.contains(&class)
            && value.as_ptr() != ffi::Py_None()
            && ffi::PyObject_HasAttrString(class.cast(), c"__await__".as_ptr()) != 0
    }
}

/// From here on the request is found by what its coroutine does and by interrupts. In the loop's thread it is also the one
/// that new tasks inherit.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn begin(shared: &Arc<Shared>, header: &Header, root: u64, published: u64) {
    let pending = Pending {
        shared: shared.clone(),
        header: *header,
        root,
        published,
        since: Instant::now(),
        task: None,
        cancelled: None,
        delivered: false,
    };
    lock(&PENDING).get_or_insert_default().insert(header.id, pending);
    if on_loop()
        && let Some(known) = asyncio::known()
    {
        // SAFETY: the GIL is held.
        unsafe {
            let id = Object::owned(ffi::PyLong_FromUnsignedLongLong(header.id));
            if id.and_then(|id| call(&known.set_request, &[id.as_ptr()])).is_none() {
                ffi::PyErr_Clear();
            }
        }
    }
}

/// Undoes [`begin`]: the request is answered elsewhere. The GIL is held.
pub fn forget(id: u64) {
    drop(take_pending(id));
}

/// Hands the awaitable result of a request to the loop, which will answer it. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held, no exception is set, and [`begin`] was called.
pub unsafe fn hand_over(id: u64, awaitable: &Object) -> Option<()> {
    // SAFETY: the GIL is held.
    unsafe {
        let known = event_loop()?;
        if on_loop() {
            return start(known, id, awaitable);
        }
        let first = {
            let mut handed = lock(&HANDED);
            handed.push((id, Sendable(awaitable.clone())));
            handed.len() == 1
        };
        if !first {
            return Some(());
        }
        for attempt in 0..WAKE_ATTEMPTS {
            if call(&known.call_soon_threadsafe, &[known.start_handed.as_ptr()]).is_some() {
                if attempt > 0 {
                    cancel(id);
                }
                return Some(());
            }
            // An interrupt of the request that was raised in there, perhaps when the loop had the awaitable already: it
            // ends the task.
            if lock(&HANDED).iter().all(|(other, _)| *other != id) {
                ffi::PyErr_Clear();
                cancel(id);
                return Some(());
            }
            if attempt + 1 < WAKE_ATTEMPTS {
                ffi::PyErr_Clear();
            }
        }
        let lost = std::mem::take(&mut *lock(&HANDED));
        drop(lost);
        None
    }
}

/// Makes a task of an awaitable. In the loop's thread.
///
/// # Safety
/// The GIL is held and no exception is set. `None` with a Python exception set.
unsafe fn start(known: &EventLoop, id: u64, awaitable: &Object) -> Option<()> {
    // SAFETY: the GIL is held and every pointer comes from a live object.
    unsafe {
        let wrapped;
        let coroutine = if ffi::Py_TYPE(awaitable.as_ptr()).cast() == known.coroutine.as_ptr() {
            awaitable
        } else if is_own_future(known, awaitable) {
            return follow(known, id, awaitable);
        } else {
            wrapped = call(&known.result_of, &[awaitable.as_ptr()])?;
            &wrapped
        };
        let arguments = [coroutine.as_ptr()];
        let make = symbols().vectorcall_dict;
        let task = aside(|| make(known.task.as_ptr(), arguments.as_ptr(), 1, known.options.as_ptr()));
        let task = Object::owned(task)?;
        if known.eager {
            let done = method(&task, &known.names.done, &[])?;
            if done.as_ptr() == ffi::Py_True() {
                finish(known, id, &task);
                return Some(());
            }
        }
        follow(known, id, &task)
    }
}

/// Whether an awaitable is a future, or a task, of our loop.
///
/// # Safety
/// The GIL is held and no exception is set.
unsafe fn is_own_future(known: &EventLoop, awaitable: &Object) -> bool {
    // SAFETY: the GIL is held and every pointer comes from a live object.
    unsafe {
        let future = ffi::PyObject_IsInstance(awaitable.as_ptr(), known.future.as_ptr()) == 1;
        let event_loop = if future { method(awaitable, &known.names.get_loop, &[]) } else { None };
        ffi::PyErr_Clear();
        event_loop.is_some_and(|event_loop| event_loop.as_ptr() == known.event_loop.as_ptr())
    }
}

/// Has a task, or a future, answer its request when it has ended.
///
/// # Safety
/// The GIL is held and no exception is set. `None` with a Python exception set.
unsafe fn follow(known: &EventLoop, id: u64, task: &Object) -> Option<()> {
    // SAFETY: the GIL is held and every pointer comes from a live object.
    unsafe {
        let number = Object::owned(ffi::PyLong_FromUnsignedLongLong(id))?;
        let callback = Object::owned(ffi::PyCFunction_New(done_definition(), number.as_ptr()))?;
        method(task, &known.names.add_done_callback, &[callback.as_ptr()])?;
        let cancelled = match lock(&PENDING).as_mut().and_then(|pending| pending.get_mut(&id)) {
            Some(pending) => {
                pending.task = Some(Sendable(task.clone()));
                pending.cancelled.is_some()
            }
            None => false,
        };
        if cancelled {
            method(task, &known.names.cancel, &[])?;
        }
        Some(())
    }
}

/// Starts the tasks of what other threads have handed over. Called by the loop.
pub unsafe extern "C" fn start_handed(_self: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    fork::end_child();
    asyncio::is_here();
    let handed = std::mem::take(&mut *lock(&HANDED));
    // SAFETY: CPython calls this with the GIL held.
    unsafe {
        if let Some(known) = asyncio::known() {
            for (id, awaitable) in handed {
                let number = Object::owned(ffi::PyLong_FromUnsignedLongLong(id));
                let set = number.and_then(|number| call(&known.set_request, &[number.as_ptr()]));
                if set.and_then(|_| start(known, id, &awaitable.0)).is_none() {
                    answer_request(id, None);
                }
            }
        }
        none()
    }
}

/// Cancels the task of a request; `false` if none is awaited for it.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn cancel(id: u64) -> bool {
    let due = match lock(&PENDING).as_mut().and_then(|pending| pending.get_mut(&id)) {
        Some(pending) => {
            let due = pending.cancelled.is_none_or(|before| before.elapsed() >= CANCEL_AGAIN);
            if due {
                pending.cancelled = Some(Instant::now());
            }
            due
        }
        None => return false,
    };
    if due {
        // SAFETY: the caller's promise.
        unsafe { ask(cancel_definition(), id) };
    }
    true
}

/// Cancels the task of a request that nobody wants any more, whenever that was done last.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn end(id: u64) {
    if let Some(pending) = lock(&PENDING).as_mut().and_then(|pending| pending.get_mut(&id)) {
        pending.cancelled = Some(Instant::now());
    }
    // SAFETY: the caller's promise.
    unsafe { ask(cancel_definition(), id) };
}

/// Leaves the task of a request to itself and answers the request. Takes the GIL.
///
/// # Safety
/// The GIL is not held.
pub unsafe fn abandon(id: u64) {
    // SAFETY: the caller's promise.
    unsafe { gil::attached(|| ask(abandon_definition(), id)) };
}

/// Whether the loop has seen that this request was cancelled, and so can be asked to abandon it; `None` if it is none of
/// the loop's. Needs no GIL.
pub fn knows_of_cancellation(id: u64) -> Option<bool> {
    lock(&PENDING).as_ref().and_then(|pending| pending.get(&id)).map(|pending| pending.delivered)
}

/// Has the loop call a function with the id of a request.
///
/// # Safety
/// The GIL is held and no exception is set.
unsafe fn ask(definition: *mut ffi::PyMethodDef, id: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        let number = Object::owned(ffi::PyLong_FromUnsignedLongLong(id));
        let function = number.and_then(|number| Object::owned(ffi::PyCFunction_New(definition, number.as_ptr())));
        if let (Some(known), Some(function)) = (asyncio::known(), function) {
            drop(call(&known.call_soon_threadsafe, &[function.as_ptr()]));
        }
        // Memory is short, or the loop was closed: there will be another attempt, or none is needed.
        ffi::PyErr_Clear();
    }
}

/// Called by the loop; `number` is the id of a request that was interrupted.
unsafe extern "C" fn cancel_task(number: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: CPython calls this with the GIL held and the function's own number.
    unsafe {
        let id = ffi::PyLong_AsUnsignedLongLong(number);
        let task = match lock(&PENDING).as_mut().and_then(|pending| pending.get_mut(&id)) {
            Some(pending) => {
                pending.delivered = true;
                pending.task.as_ref().map(|task| task.0.clone())
            }
            None => None,
        };
        if let (Some(task), Some(known)) = (task, asyncio::known())
            && method(&task, &known.names.cancel, &[]).is_none()
        {
            return std::ptr::null_mut();
        }
        none()
    }
}

/// Called by the loop; `number` is the id of a request whose task swallows cancellation.
unsafe extern "C" fn abandon_task(number: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: CPython calls this with the GIL held and the function's own number.
    unsafe {
        let id = ffi::PyLong_AsUnsignedLongLong(number);
        module::raise(module::interrupted(), "interrupted");
        answer_request(id, None);
        none()
    }
}

/// Called by the loop when the task of request `number` has ended.
unsafe extern "C" fn done(number: *mut ffi::PyObject, task: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    fork::end_child();
    // SAFETY: CPython calls this with the GIL held and a live argument.
    unsafe {
        let id = ffi::PyLong_AsUnsignedLongLong(number);
        if let (Some(known), Some(task)) = (asyncio::known(), Object::borrowed(task)) {
            finish(known, id, &task);
        }
        none()
    }
}

/// # Safety
/// The GIL is held, no exception is set, and the task is done.
unsafe fn finish(known: &EventLoop, id: u64, task: &Object) {
    // SAFETY: the caller's promise.
    unsafe {
        let value = method(task, &known.names.result, &[]);
        answer_request(id, value);
    }
}

/// # Safety
/// The GIL is held; an exception is set exactly if there is no value.
unsafe fn answer_request(id: u64, value: Option<Object>) {
    let header = lock(&PENDING).as_ref().and_then(|all| all.get(&id)).map(|pending| pending.header);
    // SAFETY: the GIL is held.
    unsafe {
        let Some(Header { options, kind, .. }) = header else {
            ffi::PyErr_Clear();
            return;
        };
        with_answer(|answer| {
            answer.clear();
            let mut outcome = match &value {
                Some(value) => {
                    let value = Some(value).filter(|_| !kind.is_stream());
                    answer.value(value, options).map_err(Failure::from)
                }
                None => Err(Failure::Raised),
            };
            let Some(pending) = take_pending(id) else {
                ffi::PyErr_Clear();
                answer.discard();
                return;
            };
            let ended = if kind.is_stream() { stream::end(id) } else { None };
            let (refused, marked) = ended.unwrap_or_default();
            if let Some(reason) = refused {
                ffi::PyErr_Clear();
                outcome = Err(Failure::Refused(reason));
            }
            if let Err(failure) = outcome {
                // One that was started eagerly may have been interrupted by a signal, as any function of the main thread.
                let interrupted = marked || pending.cancelled.is_some() || interrupt::was_raised_in(id);
                answer.failure(failure, options, interrupted);
            }
            fork::end_child();
            let link = &pending.shared.link;
            if kind.is_stream() {
                return answer.publish(link, &pending.header, 0, false);
            }
            let service_ns = pending.since.elapsed().as_nanos() as u64;
            link.telemetry.record(service_ns);
            let silent = pending.published == callback::published();
            if !(silent && answer.complete(link, &pending.header)) {
                answer.publish(link, &pending.header, service_ns, silent);
            }
        });
    }
}

/// The request that the calling code works for, and the root of its chain of calls, if it is one that is awaited.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn current_request() -> Option<(u64, u64)> {
    let known = asyncio::known()?;
    // SAFETY: the GIL is held.
    unsafe {
        let Some(number) = call(&known.get_request, &[]) else {
            ffi::PyErr_Clear();
            return None;
        };
        if number.as_ptr() == ffi::Py_None() {
            return None;
        }
        let id = ffi::PyLong_AsUnsignedLongLong(number.as_ptr());
        lock(&PENDING).as_ref().and_then(|pending| pending.get(&id)).map(|pending| (id, pending.root))
    }
}

/// Requests that are being awaited.
pub fn pending() -> usize {
    lock(&PENDING).as_ref().map_or(0, HashMap::len)
}

/// A coroutine that calls a function on the loop. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held, no exception is set, and all arguments are live.
pub unsafe fn call_here(
    function: &Object,
    positional: &[*mut ffi::PyObject],
    kwargs: *mut ffi::PyObject,
) -> Option<Object> {
    // SAFETY: the caller's promise; a tuple takes over a reference of each item.
    unsafe {
        let call_here = event_loop()?.function(c"call_here")?;
        let args = tuple(positional)?;
        let none;
        let kwargs = if kwargs.is_null() {
            none = Object::owned(ffi::PyDict_New())?;
            none.as_ptr()
        } else {
            kwargs
        };
        call(&call_here, &[function.as_ptr(), args.as_ptr(), kwargs])
    }
}

fn take_pending(id: u64) -> Option<Pending> {
    lock(&PENDING).as_mut().and_then(|pending| pending.remove(&id))
}

/// Of a function with a request's id for its `self`; lives for ever.
pub fn definition(name: &'static std::ffi::CStr, body: ffi::PyCFunction, flags: i32) -> Definition {
    Definition(Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: body },
        ml_flags: flags,
        ml_doc: c"Part of the event loop.".as_ptr(),
    })))
}

/// What CPython makes functions of.
pub struct Definition(pub *mut ffi::PyMethodDef);
// SAFETY: CPython only reads a definition.
unsafe impl Send for Definition {}
// SAFETY: as above.
unsafe impl Sync for Definition {}

fn done_definition() -> *mut ffi::PyMethodDef {
    static DEFINITION: OnceLock<Definition> = OnceLock::new();
    DEFINITION.get_or_init(|| definition(c"done", done, ffi::METH_O)).0
}

fn cancel_definition() -> *mut ffi::PyMethodDef {
    static DEFINITION: OnceLock<Definition> = OnceLock::new();
    DEFINITION.get_or_init(|| definition(c"cancel", cancel_task, ffi::METH_NOARGS)).0
}

fn abandon_definition() -> *mut ffi::PyMethodDef {
    static DEFINITION: OnceLock<Definition> = OnceLock::new();
    DEFINITION.get_or_init(|| definition(c"abandon", abandon_task, ffi::METH_NOARGS)).0
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ids are slot and generation: spread enough by one multiplication.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    #[inline]
    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
