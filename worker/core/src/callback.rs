//! Python calls Erlang, and sends messages.
//!
//! The call is published in the response ring and its thread waits in a callback slot of its own, without the GIL. While
//! it waits, another thread looks at the request ring, because what the Erlang function needs may come through it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use pyo3::ffi;
use shm_proto::callback::Wait;
use shm_proto::etf::{Limits, Reader, Writer};
use shm_proto::request::{Options, Place};
use shm_proto::response::{Call, Header, Kind};

use crate::answer::{Answer, Failure};
use crate::asyncio;
use crate::control::kill_group;
use crate::coroutine;
use crate::fork;
use crate::gil;
use crate::interrupt::Armed;
use crate::module::{self, raise};
use crate::object::Object;
use crate::payload::Payload;
use crate::reply;
use crate::serve::Shared;
use crate::threads;
use crate::turn::Turn;
use crate::value::{BlobSink, DecodeError, EncodeError, ExtentRef, decode_terms, encode_value};

static SHARED: OnceLock<Arc<Shared>> = OnceLock::new();
/// Records that programs have published. Changed with the GIL held.
static PUBLISHED: AtomicU64 = AtomicU64::new(0);

/// Roots of chains of calls that begin in a thread that runs no request; ids of requests have their upper bit clear for
/// the first two billion uses of an entry.
pub const FOREIGN: u64 = 1 << 63;

/// What an executor runs, for code in its thread that must know.
#[derive(Debug)]
pub struct Running {
    request: Cell<u64>,
    root: Cell<u64>,
    /// It waits for Erlang. (A signal handler that runs then may call Erlang, too.)
    waits: Cell<bool>,
    /// What reaches the thread when its request is interrupted; `None` for the main thread.
    armed: Option<Armed>,
}

thread_local! {
    static HERE: RefCell<Option<Rc<Running>>> = const { RefCell::new(None) };
}

impl Running {
    /// For the calling thread, which becomes an executor.
    pub fn here(armed: Option<Armed>) -> Rc<Self> {
        let running = Rc::new(Self {
            request: Cell::new(Header::NO_REQUEST),
            root: Cell::new(0),
            waits: Cell::new(false),
            armed,
        });
        HERE.with_borrow_mut(|here| *here = Some(running.clone()));
        running
    }

    /// A request begins.
    #[inline]
    pub fn set(&self, request: u64, root: u64) {
        self.request.set(request);
        self.root.set(root);
    }

    /// It has ended.
    #[inline]
    pub fn clear(&self) {
        self.request.set(Header::NO_REQUEST);
    }
}

/// How much programs have published so far. A request during which this has changed may have published something of its
/// own, and is answered behind it, through the ring.
#[inline]
pub fn published() -> u64 {
    PUBLISHED.load(Ordering::Relaxed)
}

/// Adds the native functions to module `erlang`. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn register(module: &Object) -> Option<()> {
    let call_doc = c"call(name, /, *args)\n--\n\nCalls an Erlang function and returns its value.";
    // SAFETY: the GIL is held.
    unsafe {
        for (name, doc, body) in [
            (c"call", call_doc, py_call as ffi::PyCFunction),
            (c"_internal", c"Asks the node.", py_internal),
            (c"_send", c"Sends a message.", py_send),
            (c"_in_child", c"Whether this process was forked from a worker.", py_in_child),
        ] {
            module::add(module, name, &module::function(name, doc, body)?)?;
        }
        Some(())
    }
}

/// From here on calls find the node.
pub fn connect(shared: &Arc<Shared>) {
    SHARED.get_or_init(|| shared.clone());
}

unsafe extern "C" fn py_call(_self: *mut ffi::PyObject, arguments: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: CPython calls this with the GIL held and a tuple.
    unsafe { pointer(call(arguments, 0)) }
}

unsafe extern "C" fn py_internal(_self: *mut ffi::PyObject, arguments: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: as above.
    unsafe { pointer(call(arguments, Header::INTERNAL)) }
}

unsafe extern "C" fn py_send(_self: *mut ffi::PyObject, arguments: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: as above.
    unsafe { pointer(send(arguments).and_then(|()| Object::borrowed(ffi::Py_None()))) }
}

unsafe extern "C" fn py_in_child(_self: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as above.
    unsafe { pointer(Object::owned(ffi::PyBool_FromLong(fork::is_child().into()))) }
}

/// What a native function returns; null stands for the exception that is set.
pub fn pointer(result: Option<Object>) -> *mut ffi::PyObject {
    result.map_or(std::ptr::null_mut(), Object::into_ptr)
}

/// The worker's ends; `None` with a Python exception set in a process that has none.
///
/// # Safety
/// The GIL is held.
pub unsafe fn shared() -> Option<&'static Arc<Shared>> {
    // SAFETY: the GIL is held.
    unsafe {
        if fork::is_child() {
            raise(ffi::PyExc_RuntimeError, "a child process cannot reach Erlang: do it in the worker itself");
            return None;
        }
        let shared = SHARED.get();
        if shared.is_none() {
            raise(ffi::PyExc_RuntimeError, "the worker is not connected to its node yet");
        }
        shared
    }
}

/// `(name, *args)` as `{Name, Args}`, or an exception.
///
/// # Safety
/// The GIL is held and `arguments` is a tuple.
pub unsafe fn encode_call(arguments: *mut ffi::PyObject, out: &mut Vec<u8>, blobs: &mut BlobSink) -> Option<()> {
    // SAFETY: items of a tuple are alive while it is; the GIL is held.
    unsafe {
        let count = ffi::PyTuple_Size(arguments);
        let name = if count > 0 { ffi::PyTuple_GetItem(arguments, 0) } else { std::ptr::null_mut() };
        if name.is_null() || ffi::PyUnicode_Check(name) == 0 {
            raise(ffi::PyExc_TypeError, "erlang.call needs the name of a function, a str, as its first argument");
            return None;
        }
        let name = Object::borrowed(name)?;
        Writer::new(out).tuple_header(2);
        if Writer::new(out).binary(module::utf8(&name)?.as_bytes()).is_err() {
            raise(ffi::PyExc_ValueError, "the name of the function is too long");
            return None;
        }
        encode_items(arguments, 1, out, blobs)
    }
}

/// The items of a tuple from `first` on as a list.
///
/// # Safety
/// The GIL is held and `tuple` is a tuple.
unsafe fn encode_items(tuple: *mut ffi::PyObject, first: isize, out: &mut Vec<u8>, blobs: &mut BlobSink) -> Option<()> {
    // SAFETY: items of a tuple are alive while it is; the GIL is held.
    unsafe {
        let count = ffi::PyTuple_Size(tuple);
        if count > first {
            Writer::new(out).list_header((count - first) as u32);
            for index in first..count {
                encode(ffi::PyTuple_GetItem(tuple, index), out, blobs)?;
            }
        }
        Writer::new(out).nil();
        Some(())
    }
}

/// # Safety
/// The GIL is held and `object` is alive.
unsafe fn encode(object: *mut ffi::PyObject, out: &mut Vec<u8>, blobs: &mut BlobSink) -> Option<()> {
    // SAFETY: the caller's promise.
    unsafe {
        match encode_value(object, Options(0), out, blobs) {
            Ok(()) => return Some(()),
            Err(EncodeError::Python) => {}
            Err(EncodeError::Cycle) => raise(ffi::PyExc_ValueError, "a value that contains itself has no Erlang term"),
            Err(EncodeError::Unsupported { type_name }) => {
                raise(ffi::PyExc_TypeError, &format!("{type_name} has no Erlang term"));
            }
        }
        None
    }
}

/// Publishes a record of a program. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn publish(shared: &Shared, header: Header, prefix: &[u8], payload: &[u8], blobs: &BlobSink) -> Option<()> {
    PUBLISHED.fetch_add(1, Ordering::Relaxed);
    match reply::publish_record(&shared.link, header, prefix, payload, blobs) {
        Ok(()) => Some(()),
        Err(error) => {
            // SAFETY: the GIL is held.
            unsafe { raise(ffi::PyExc_MemoryError, &error.to_string()) };
            None
        }
    }
}

/// Header of a record, but for its length.
pub fn header(kind: Kind, id: u64, flags: u16) -> Header {
    Header { id, kind, place: Place::Inline, flags, len: 0, service_ns: 0 }
}

/// # Safety
/// The GIL is held and `arguments` is a tuple of two. `None` with a Python exception set.
unsafe fn send(arguments: *mut ffi::PyObject) -> Option<()> {
    let (mut payload, mut blobs) = (Vec::with_capacity(256), BlobSink::new());
    // SAFETY: the GIL is held; the items are alive as long as the tuple.
    unsafe {
        let shared = shared()?;
        Writer::new(&mut payload).tuple_header(2);
        for index in 0..2 {
            let item = ffi::PyTuple_GetItem(arguments, index);
            if item.is_null() {
                return None;
            }
            encode(item, &mut payload, &mut blobs)?;
        }
        let id = origin().id;
        publish(shared, header(Kind::Send, id.unwrap_or(Header::NO_REQUEST), 0), &[], &payload, &blobs)
    }
}

/// Publishes an object as a record of its own that nobody answers. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held and `object` is alive.
pub unsafe fn emit(kind: Kind, object: *mut ffi::PyObject) -> Option<()> {
    let (mut payload, mut blobs) = (Vec::with_capacity(512), BlobSink::new());
    // SAFETY: the caller's promise.
    unsafe {
        let shared = shared()?;
        encode(object, &mut payload, &mut blobs)?;
        let id = origin().id;
        publish(shared, header(kind, id.unwrap_or(Header::NO_REQUEST), 0), &[], &payload, &blobs)
    }
}

/// What a call or a message comes from.
struct Origin {
    /// The request, if there is one.
    id: Option<u64>,
    /// First request of its chain of calls.
    root: Option<u64>,
    /// State of the calling thread, if that is an executor which runs the request.
    here: Option<Rc<Running>>,
}

/// What runs in this thread: the request of an executor, or that of the task or of the context that the code runs in.
///
/// # Safety
/// The GIL is held and no exception is set.
unsafe fn origin() -> Origin {
    let here = HERE.with_borrow(Clone::clone).filter(|here| here.request.get() != Header::NO_REQUEST);
    if let Some(here) = here {
        return Origin { id: Some(here.request.get()), root: Some(here.root.get()), here: Some(here) };
    }
    // SAFETY: the caller's promise.
    let (id, root) = unsafe { coroutine::current_request() }.unzip();
    Origin { id, root, here: None }
}

/// The request that the calling code works for and the root of its chain of calls, if there is one.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn request_of_code() -> (Option<u64>, Option<u64>) {
    // SAFETY: the caller's promise.
    let Origin { id, root, .. } = unsafe { origin() };
    (id, root)
}

/// Answers a request that an event loop has left to other threads and that was interrupted before one took it.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn refuse_handed(id: u64) {
    let Some(shared) = SHARED.get() else { return };
    // SAFETY: the GIL is held.
    unsafe {
        let Some(handed) = shared.board().take_back(id) else { return };
        if let (place @ (Place::Arena | Place::Segment), Some(body)) =
            (handed.header.place, handed.header.body(&handed.record))
        {
            // Its memory goes back to the node.
            drop(Payload::open(&shared.link, shared.node_pid, place, body));
        }
        let mut answer = Answer::new();
        module::raise(module::interrupted(), "interrupted");
        answer.failure(Failure::Raised, handed.header.options, true);
        if !answer.complete(&shared.link, &handed.header) {
            answer.publish(&shared.link, &handed.header, 0, true);
        }
    }
}

/// # Safety
/// The GIL is held, no exception is set and `arguments` is a tuple. `None` with a Python exception set.
unsafe fn call(arguments: *mut ffi::PyObject, flags: u16) -> Option<Object> {
    let (mut payload, mut blobs) = (Vec::with_capacity(256), BlobSink::new());
    // SAFETY: the GIL is held. References into the board are not kept while the GIL may be released.
    unsafe {
        let shared = shared()?;
        encode_call(arguments, &mut payload, &mut blobs)?;
        let on_loop = asyncio::on_loop();
        if flags & Header::INTERNAL == 0 && asyncio::running_loop().is_some() {
            raise(
                ffi::PyExc_RuntimeError,
                "erlang.call would stop the event loop that runs in this thread: use `await erlang.async_call(name, ...)`",
            );
            return None;
        }
        // What the node itself answers needs no other thread, and the loop could not start one without stopping.
        if !on_loop && !threads::ensure_idle(shared) {
            return None;
        }
        let Some(slot) = shared.board().take_slot(|slot, ticket| discard(shared, slot, ticket)) else {
            raise(ffi::PyExc_RuntimeError, "max_threads threads of this worker wait for Erlang already");
            return None;
        };
        let ticket = shared.link.callbacks.begin(slot as usize);
        let Origin { id, root, here } = origin();
        let root = root.unwrap_or(FOREIGN | u64::from(std::process::id()) << 16 | u64::from(slot));
        let executor = here.as_ref().is_some_and(|here| !here.waits.replace(true));
        shared.begin_wait(root, executor);
        let call = Call { ticket, root, slot };
        let id_field = id.unwrap_or(Header::NO_REQUEST);
        let answered = match publish(shared, header(Kind::Callback, id_field, flags), &call.encode(), &payload, &blobs)
        {
            Some(()) => {
                drop((payload, blobs));
                shared.pass_lead();
                let armed = here.as_ref().and_then(|here| here.armed.as_ref());
                let answered = wait(shared, slot, ticket, armed);
                if answered.is_none() {
                    shared.board().abandon_slot(slot, ticket);
                }
                answered
            }
            None => {
                shared.board().free_slot(slot);
                None
            }
        };
        shared.end_wait(root, executor);
        if let (true, Some(here)) = (executor, &here) {
            here.waits.set(false);
        }
        answered?;
        let value = read(shared, slot);
        shared.board().free_slot(slot);
        value
    }
}

/// Waits for the answer without the GIL. `None` with the exception set that ended the wait.
///
/// # Safety
/// The GIL is held and no exception is set.
unsafe fn wait(shared: &Shared, slot: u32, ticket: u64, armed: Option<&Armed>) -> Option<()> {
    if let Some(armed) = armed {
        armed.waits_in(slot);
    }
    let outcome = loop {
        // SAFETY: the GIL is held; the wait touches no Python object.
        unsafe {
            match gil::released(|| shared.link.callbacks.wait(slot as usize, ticket, None)) {
                Ok(Wait::Ready) => break Some(()),
                Ok(Wait::Woken | Wait::TimedOut) => {
                    if ffi::PyErr_CheckSignals() < 0 {
                        break None;
                    }
                    if armed.is_some_and(|armed| armed.raise()) {
                        break None;
                    }
                }
                Err(_) => kill_group(),
            }
        }
    };
    if let Some(armed) = armed {
        armed.waits_no_more();
    }
    outcome
}

/// Reads the answer; the slot can be used again then. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held, no exception is set, and the answer is there.
pub unsafe fn read(shared: &Shared, slot: u32) -> Option<Object> {
    let mut body = Vec::new();
    // SAFETY: the GIL is held.
    unsafe {
        let place = shared.link.callbacks.read(slot as usize, &mut body);
        let Ok(place) = place else { kill_group() };
        if place == Place::Inline {
            return value(&body, None);
        }
        match Payload::open(&shared.link, shared.node_pid, place, &body) {
            Ok(payload) => value(payload.terms(), Some(&payload.blobs())),
            Err(error) => {
                raise(ffi::PyExc_OSError, &error.to_string());
                None
            }
        }
    }
}

/// Whether the answer to a thread that gave up has come; its memory goes back to the node.
fn discard(shared: &Shared, slot: u32, ticket: u64) -> bool {
    if !shared.link.callbacks.is_ready(slot as usize, ticket) {
        return false;
    }
    let mut body = Vec::new();
    if let Ok(place @ (Place::Arena | Place::Segment)) = shared.link.callbacks.read(slot as usize, &mut body) {
        drop(Payload::open(&shared.link, shared.node_pid, place, &body));
    }
    true
}

/// The value of an answer, or its error as an exception.
///
/// # Safety
/// The GIL is held and no exception is set.
unsafe fn value(answer: &[u8], extent: Option<&ExtentRef<'_>>) -> Option<Object> {
    // SAFETY: the GIL is held; `decode_terms` gives new references.
    unsafe {
        let Some((0, terms)) = answer.split_first() else {
            let text = String::from_utf8_lossy(answer.get(1..).unwrap_or_default());
            raise(ffi::PyExc_RuntimeError, &text);
            return None;
        };
        let mut values = Vec::with_capacity(1);
        let mut reader = Reader::new(terms, Limits::default());
        match decode_terms(&mut reader, 1, Options(0), extent, &mut values) {
            Ok(()) => Object::owned(values.pop()?),
            Err(DecodeError::Python) => None,
            Err(error) => {
                raise(ffi::PyExc_RuntimeError, &error.to_string());
                None
            }
        }
    }
}

/// Makes the thread that waits in a slot look at what else there is.
pub fn wake(slot: u32) {
    if let Some(shared) = SHARED.get() {
        shared.link.callbacks.wake(slot as usize);
    }
}
