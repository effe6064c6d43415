//! Streams of asynchronous iterators: one task on the event loop each, `pump` in `loop.py`.
//!
//! The task sends item by item. When the credit is used up it awaits a future, its gate, which the next credit record opens. To
//! the node that is a stream like any other; on the loop it is a request that is awaited, cancelled and answered as one.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pyo3::ffi;
use shm_proto::request::{Header, Options};
use shm_proto::response;

use crate::answer::{Failure, with_answer};
use crate::asyncio::{self, event_loop};
use crate::coroutine::{self, Definition};
use crate::fork;
use crate::gil;
use crate::invoke::{call, none};
use crate::module;
use crate::object::Object;
use crate::serve::Shared;
use crate::stream;
use crate::turn::Turn;

/// How long a task sends items without letting others run.
const TURN: Duration = Duration::from_millis(2);

/// A stream that runs on the event loop. Its objects are only touched, and dropped, with the GIL held.
pub struct Pump {
    shared: Arc<Shared>,
    options: Options,
    /// Items that may be sent in all.
    credit: u64,
    /// Items that were sent.
    sent: u64,
    /// When others were let run last.
    turned: Instant,
    /// What the task awaits while there is no credit.
    gate: Option<Object>,
    /// Why an item could not be sent, encoded.
    pub refused: Option<Vec<u8>>,
}

impl Pump {
    /// Of a request for a stream.
    pub fn new(shared: &Arc<Shared>, header: &Header) -> Self {
        Self {
            shared: shared.clone(),
            options: header.options,
            credit: header.cell,
            sent: 0,
            turned: Instant::now(),
            gate: None,
            refused: None,
        }
    }
}

/// Whether the items of a value have to be awaited, or the value itself.
///
/// # Safety
/// The GIL is held.
pub unsafe fn is_asynchronous(value: &Object) -> bool {
    // SAFETY: the GIL is held, and the type of a live object lives as long as the object.
    unsafe {
        let class = ffi::Py_TYPE(value.as_ptr()).cast();
        coroutine::is_awaitable(value) || ffi::PyObject_HasAttrString(class, c"__aiter__".as_ptr()) != 0
    }
}

/// A coroutine that sends the items of `value` as those of the stream `id`. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn pump(id: u64, value: &Object) -> Option<Object> {
    // SAFETY: the GIL is held and every pointer comes from a live object.
    unsafe {
        let known = event_loop()?;
        let number = Object::owned(ffi::PyLong_FromUnsignedLongLong(id))?;
        let send = Object::owned(ffi::PyCFunction_New(definition(), number.as_ptr()))?;
        call(&known.function(c"pump")?, &[value.as_ptr(), send.as_ptr()])
    }
}

fn definition() -> *mut ffi::PyMethodDef {
    static DEFINITION: OnceLock<Definition> = OnceLock::new();
    DEFINITION.get_or_init(|| coroutine::definition(c"send", send, ffi::METH_O)).0
}

/// A credit record: opens the gate of a stream, or ends it.
///
/// # Safety
/// The GIL is held, no exception is set, and no interrupt reaches the calling thread.
pub unsafe fn go_on(header: &Header) {
    let gate = stream::with_pump(header.id, |pump| {
        pump.credit = header.cell;
        pump.gate.take()
    });
    // SAFETY: the GIL is held and every pointer comes from a live object.
    unsafe {
        if header.cell == 0 {
            if stream::is_marked(header.id) {
                // It was interrupted when the node did not know yet that it waits: its `finally` may be running.
                coroutine::cancel(header.id);
            } else {
                coroutine::end(header.id);
            }
        } else if let (Some(Some(gate)), Some(known)) = (gate, asyncio::known()) {
            let open = known.function(c"open_gate");
            if open.and_then(|open| call(&known.call_soon_threadsafe, &[open.as_ptr(), gate.as_ptr()])).is_none() {
                gil::report_stray();
            }
        }
    }
}

/// Called by the task of stream `number` for each item. What it returns says how to go on: `None` at once, `True` after
/// others had their turn, else when that future is done.
unsafe extern "C" fn send(number: *mut ffi::PyObject, item: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    fork::end_child();
    // SAFETY: CPython calls this with the GIL held and live objects.
    unsafe {
        let id = ffi::PyLong_AsUnsignedLongLong(number);
        Object::borrowed(item).and_then(|item| send_item(id, &item)).map_or(std::ptr::null_mut(), Object::into_ptr)
    }
}

/// # Safety
/// In the loop's thread with the GIL held and no exception set. `None` with a Python exception set.
unsafe fn send_item(id: u64, item: &Object) -> Option<Object> {
    // SAFETY: the GIL is held.
    unsafe {
        let marked = stream::is_marked(id);
        if marked && coroutine::knows_of_cancellation(id) == Some(false) {
            // The cancellation is on its way: met in a `finally` that this item led to, it would cut that short.
            return asyncio::known()?.create_future();
        }
        let pump = stream::with_pump(id, |pump| (pump.shared.clone(), pump.options)).filter(|_| !marked);
        let Some((shared, options)) = pump else {
            // It swallowed its cancellation, or was left behind.
            module::raise(module::interrupted(), "interrupted");
            return None;
        };
        let parks = stream::with_pump(id, |pump| pump.sent + 1 >= pump.credit) == Some(true);
        let gate = if parks { Some(asyncio::known()?.create_future()?) } else { None };
        with_answer(|answer| {
            answer.clear();
            if let Err(error) = answer.item(item, options) {
                if let Failure::Refused(reason) = Failure::from(error) {
                    refuse(id, reason);
                }
                return None;
            }
            let turns = stream::with_pump(id, |pump| {
                pump.sent += 1;
                // Before anybody can learn of it.
                pump.gate = gate.clone();
                let turns = parks || pump.turned.elapsed() >= TURN;
                if turns {
                    pump.turned = Instant::now();
                }
                turns
            });
            let flags = if parks { response::Header::PARKED } else { 0 };
            if let Err(reason) = answer.publish_item(&shared.link, id, flags) {
                refuse(id, reason);
                return None;
            }
            match gate {
                Some(gate) => Some(gate),
                None if turns == Some(true) => Object::borrowed(ffi::Py_True()),
                None => Object::owned(none()),
            }
        })
    }
}

/// Ends a stream with this reason: its task is to end with the exception that is raised here.
///
/// # Safety
/// The GIL is held and no exception is set.
#[cold]
unsafe fn refuse(id: u64, reason: Vec<u8>) {
    stream::with_pump(id, |pump| pump.refused = Some(reason));
    // SAFETY: the caller's promise.
    unsafe { module::raise(ffi::PyExc_TypeError, "the item has no term") };
}
