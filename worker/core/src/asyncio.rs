//! The event loop of the worker, and the parts of asyncio that are used for each request.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::OnceLock;

use pyo3::ffi;

use crate::coroutine;
use crate::invoke::call;
use crate::module;
use crate::object::Object;

const LOOP: &str = include_str!("loop.py");

static EVENT_LOOP: OnceLock<EventLoop> = OnceLock::new();

/// Loop, classes and functions that are used for each request.
pub struct EventLoop {
    /// The loop itself.
    pub event_loop: Object,
    /// What `loop.py` defines.
    functions: Object,
    /// Class `asyncio.Task`.
    pub task: Object,
    /// Class of coroutines.
    pub coroutine: Object,
    /// Class `asyncio.Future`.
    pub future: Object,
    /// `loop=` and, from 3.12 on, `eager_start=` of a task.
    pub options: Object,
    /// A coroutine that awaits what is none.
    pub result_of: Object,
    /// Sets the request that new tasks inherit.
    pub set_request: Object,
    /// The request that the calling code inherited.
    pub get_request: Object,
    /// Method of the loop.
    pub call_soon_threadsafe: Object,
    /// Starts what other threads have handed over.
    pub start_handed: Object,
    /// Names of methods.
    pub names: Names,
    /// Tasks are started eagerly.
    pub eager: bool,
}

/// Names of methods, interned.
pub struct Names {
    pub result: Object,
    pub done: Object,
    pub cancel: Object,
    pub add_done_callback: Object,
    pub get_loop: Object,
}

// SAFETY: the objects are only touched with the GIL held.
unsafe impl Send for EventLoop {}
// SAFETY: as above.
unsafe impl Sync for EventLoop {}

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread runs the event loop.
#[inline]
pub fn on_loop() -> bool {
    HERE.get()
}

/// The calling thread runs the event loop.
pub fn is_here() {
    HERE.set(true);
}

/// The loop, if the worker has one.
#[inline]
pub fn known() -> Option<&'static EventLoop> {
    EVENT_LOOP.get()
}

/// The event loop, of whatever kind, that runs in the calling thread.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn running_loop() -> Option<Object> {
    // SAFETY: the GIL is held; the module is borrowed from `sys.modules`.
    unsafe {
        let module = ffi::PyDict_GetItemString(ffi::PyImport_GetModuleDict(), c"_asyncio".as_ptr());
        let function = Object::borrowed(module).and_then(|module| module.attribute(c"_get_running_loop"));
        let running = function.and_then(|function| call(&function, &[]));
        ffi::PyErr_Clear();
        running.filter(|running| running.as_ptr() != ffi::Py_None())
    }
}

/// The loop, which is started in a thread of its own if the worker has none yet. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn event_loop() -> Option<&'static EventLoop> {
    if let Some(known) = EVENT_LOOP.get() {
        return Some(known);
    }
    // SAFETY: the GIL is held.
    unsafe {
        let made = EventLoop::new("asyncio")?;
        // Making it runs Python code, during which another thread may have been first.
        let mut ours = false;
        let known = EVENT_LOOP.get_or_init(|| {
            ours = true;
            made
        });
        if ours {
            call(&known.function(c"run_in_thread")?, &[known.event_loop.as_ptr()])?;
        }
        Some(known)
    }
}

/// Makes the loop that the calling thread, the main thread, is going to run. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn make_for_main(kind: &str) -> Option<()> {
    // SAFETY: the GIL is held.
    unsafe {
        let made = EventLoop::new(kind)?;
        if EVENT_LOOP.set(made).is_err() {
            module::raise(ffi::PyExc_RuntimeError, "this worker has an event loop already");
            return None;
        }
        HERE.set(true);
        Some(())
    }
}

impl EventLoop {
    /// # Safety
    /// The GIL is held and no exception is set. `None` with a Python exception set.
    unsafe fn new(kind: &str) -> Option<Self> {
        // SAFETY: the GIL is held and every pointer comes from a live object.
        unsafe {
            let functions = Object::owned(ffi::PyDict_New())?;
            module::run(LOOP, c"<erlang loop>", &functions)?;
            let get = |name: &CStr| Object::borrowed(ffi::PyDict_GetItemString(functions.as_ptr(), name.as_ptr()));
            let event_loop = call(&get(c"new_loop")?, &[Object::text(kind)?.as_ptr()])?;
            let asyncio = get(c"asyncio")?;
            let options = Object::owned(ffi::PyDict_New())?;
            ffi::PyDict_SetItemString(options.as_ptr(), c"loop".as_ptr(), event_loop.as_ptr());
            let eager = eager_start();
            if eager {
                ffi::PyDict_SetItemString(options.as_ptr(), c"eager_start".as_ptr(), ffi::Py_True());
            }
            let variable = get(c"request")?;
            Some(Self {
                task: asyncio.attribute(c"Task")?,
                coroutine: get(c"coroutine_class")?,
                future: asyncio.attribute(c"Future")?,
                options,
                result_of: get(c"result_of")?,
                set_request: variable.attribute(c"set")?,
                get_request: variable.attribute(c"get")?,
                call_soon_threadsafe: event_loop.attribute(c"call_soon_threadsafe")?,
                start_handed: module::function(c"start_handed", c"Starts tasks.", coroutine::start_handed)?,
                names: Names {
                    result: interned(c"result")?,
                    done: interned(c"done")?,
                    cancel: interned(c"cancel")?,
                    add_done_callback: interned(c"add_done_callback")?,
                    get_loop: interned(c"get_loop")?,
                },
                event_loop,
                functions,
                eager,
            })
        }
    }

    /// A future of the loop. `None` with a Python exception set.
    ///
    /// # Safety
    /// In the loop's thread, with the GIL held and no exception set.
    pub unsafe fn create_future(&self) -> Option<Object> {
        // SAFETY: the GIL is held.
        unsafe { self.event_loop.attribute(c"create_future").and_then(|create| call(&create, &[])) }
    }

    /// A function of `loop.py`.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn function(&self, name: &CStr) -> Option<Object> {
        // SAFETY: the dict keeps its values alive while we take a reference.
        unsafe { Object::borrowed(ffi::PyDict_GetItemString(self.functions.as_ptr(), name.as_ptr())) }
    }
}

/// # Safety
/// The GIL is held. `None` with a Python exception set.
unsafe fn interned(name: &CStr) -> Option<Object> {
    // SAFETY: a C string.
    unsafe { Object::owned(ffi::PyUnicode_InternFromString(name.as_ptr())) }
}

/// Whether a task runs up to its first wait while it is made, and can be interrupted there.
pub fn starts_eagerly() -> bool {
    known().is_some_and(|known| known.eager)
}

/// Whether tasks can be started eagerly: from Python 3.12 on.
///
/// # Safety
/// The GIL is held.
unsafe fn eager_start() -> bool {
    // SAFETY: the object is borrowed from module sys.
    unsafe {
        let version = ffi::PySys_GetObject(c"hexversion".as_ptr());
        !version.is_null() && ffi::PyLong_AsLong(version) >= 0x030c_0000
    }
}
