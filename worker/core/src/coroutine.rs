//! Results that have to be awaited.
//!
//! At the first one the worker starts an event loop in a thread of its own. The executor hands the awaitable over and
//! goes on; the answer is sent from the loop's thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::ffi;
use shm_proto::request::Header;

use crate::answer::{Answer, Failure};
use crate::callback;
use crate::fork;
use crate::module;
use crate::object::Object;
use crate::serve::Shared;

/// `start(awaitable, request, done)` and `cancel(request)`.
const LOOP: &str = include_str!("loop.py");

/// Requests that are being awaited, by id.
static PENDING: Mutex<Option<HashMap<u64, Pending>>> = Mutex::new(None);
static FUNCTIONS: Mutex<Option<Functions>> = Mutex::new(None);

#[derive(Debug)]
struct Pending {
    shared: Arc<Shared>,
    header: Header,
    /// What programs had published when the request began.
    published: u64,
    since: Instant,
    interrupted: bool,
}

#[derive(Clone)]
struct Functions {
    start: Object,
    cancel: Object,
    done: Object,
}

// SAFETY: the objects are only touched with the GIL held.
unsafe impl Send for Functions {}

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

/// Hands an awaitable to the loop, which will answer the request. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn hand_over(shared: &Arc<Shared>, header: &Header, published: u64, awaitable: &Object) -> Option<()> {
    // SAFETY: the GIL is held.
    unsafe {
        let functions = functions()?;
        let request = Object::owned(ffi::PyLong_FromUnsignedLongLong(header.id))?;
        let pending =
            Pending { shared: shared.clone(), header: *header, published, since: Instant::now(), interrupted: false };
        lock(&PENDING).get_or_insert_default().insert(header.id, pending);
        let (start, done) = (functions.start.as_ptr(), functions.done.as_ptr());
        let begun = call(start, &[awaitable.as_ptr(), request.as_ptr(), done]);
        if begun.is_none() {
            take_pending(header.id);
        }
        begun.map(drop)
    }
}

/// Cancels the task of a request; `false` if none is awaited for it. Takes the GIL.
pub fn cancel(id: u64) -> bool {
    match lock(&PENDING).as_mut().and_then(|pending| pending.get_mut(&id)) {
        Some(pending) => pending.interrupted = true,
        None => return false,
    }
    // SAFETY: Ensure and Release pair up, and Python is touched in between only.
    unsafe {
        let gil = ffi::PyGILState_Ensure();
        let functions = lock(&FUNCTIONS).clone();
        let request = Object::owned(ffi::PyLong_FromUnsignedLongLong(id));
        if let (Some(functions), Some(request)) = (functions, request) {
            drop(call(functions.cancel.as_ptr(), &[request.as_ptr()]));
        }
        // Memory is short: there will be another attempt.
        ffi::PyErr_Clear();
        ffi::PyGILState_Release(gil);
    }
    true
}

/// Called by the loop when a task has ended: `done(request, task)`.
unsafe extern "C" fn done(_self: *mut ffi::PyObject, arguments: *mut ffi::PyObject) -> *mut ffi::PyObject {
    thread_local! {
        static ANSWER: RefCell<Answer> = RefCell::new(Answer::new());
    }
    fork::end_child();
    // SAFETY: CPython calls this with the GIL held and a tuple, whose items it keeps alive.
    unsafe {
        let id = ffi::PyLong_AsUnsignedLongLong(ffi::PyTuple_GetItem(arguments, 0));
        let task = ffi::PyTuple_GetItem(arguments, 1);
        let Some(result) = result_method(task) else { return std::ptr::null_mut() };
        let value = Object::owned(ffi::PyObject_CallObject(result.as_ptr(), std::ptr::null_mut()));
        ANSWER.with_borrow_mut(|answer| answer_request(answer, id, value));
        ffi::Py_INCREF(ffi::Py_None());
        ffi::Py_None()
    }
}

/// # Safety
/// The GIL is held; an exception is set exactly if there is no value.
unsafe fn answer_request(answer: &mut Answer, id: u64, value: Option<Object>) {
    let options = lock(&PENDING).as_ref().and_then(|all| all.get(&id)).map(|pending| pending.header.options);
    // SAFETY: the GIL is held.
    unsafe {
        let Some(options) = options else {
            ffi::PyErr_Clear();
            return;
        };
        answer.clear();
        let outcome = match &value {
            Some(value) => answer.value(Some(value), options).map_err(Failure::from),
            None => Err(Failure::Raised),
        };
        let Some(pending) = take_pending(id) else {
            answer.discard();
            return;
        };
        if let Err(failure) = outcome {
            answer.failure(failure, options, pending.interrupted);
        }
        fork::end_child();
        let link = &pending.shared.link;
        let service_ns = pending.since.elapsed().as_nanos() as u64;
        link.telemetry.record(service_ns);
        let silent = pending.published == callback::published();
        if !(silent && answer.complete(link, &pending.header)) {
            answer.publish(link, &pending.header, service_ns);
        }
    }
}

fn take_pending(id: u64) -> Option<Pending> {
    lock(&PENDING).as_mut().and_then(|pending| pending.remove(&id))
}

/// # Safety
/// The GIL is held and `task` is alive.
unsafe fn result_method(task: *mut ffi::PyObject) -> Option<Object> {
    // SAFETY: the caller's promise.
    unsafe { Object::borrowed(task)?.attribute(c"result") }
}

/// The functions of the loop, which is started if need be. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
unsafe fn functions() -> Option<Functions> {
    // The lock is not held while Python code runs: that could release the GIL to a thread that wants the lock.
    let ready = lock(&FUNCTIONS).clone();
    if ready.is_some() {
        return ready;
    }
    // SAFETY: the GIL is held; the dict of the new module is borrowed while the module lives.
    let functions = unsafe {
        let namespace = Object::owned(ffi::PyDict_New())?;
        module::run(LOOP, c"<erlang loop>", &namespace)?;
        let dict = namespace.as_ptr();
        let get = |name: &std::ffi::CStr| Object::borrowed(ffi::PyDict_GetItemString(dict, name.as_ptr()));
        Functions {
            start: get(c"start")?,
            cancel: get(c"cancel")?,
            done: module::function(c"done", c"Answers a request.", done)?,
        }
    };
    Some(lock(&FUNCTIONS).get_or_insert(functions).clone())
}

/// # Safety
/// The GIL is held and all pointers are live objects. `None` with a Python exception set.
unsafe fn call(function: *mut ffi::PyObject, arguments: &[*mut ffi::PyObject]) -> Option<Object> {
    // SAFETY: the caller's promise; a tuple takes over a reference of each item.
    unsafe {
        let tuple = Object::owned(ffi::PyTuple_New(arguments.len() as isize))?;
        for (index, argument) in arguments.iter().enumerate() {
            ffi::Py_INCREF(*argument);
            ffi::PyTuple_SetItem(tuple.as_ptr(), index as isize, *argument);
        }
        Object::owned(ffi::PyObject_CallObject(function, tuple.as_ptr()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
