//! Putting back what programs can change: `reset.py`, called from here.

use std::cell::OnceCell;

use pyo3::ffi;

use crate::handle;
use crate::invoke::call;
use crate::module;
use crate::object::Object;

/// `begin()`, `end(change)` and `restore()` over the namespace of `__main__`.
const RESET: &str = include_str!("reset.py");

struct Functions {
    begin: Object,
    end: Object,
    restore: Object,
}

struct Guarded(OnceCell<Functions>);

// SAFETY: set once before there are other threads of ours; the objects are only touched with the GIL held.
unsafe impl Sync for Guarded {}
// SAFETY: as above.
unsafe impl Send for Guarded {}

static FUNCTIONS: Guarded = Guarded(OnceCell::new());

/// Notes the state of the worker. `None` with a Python exception set.
///
/// # Safety
/// Called once, with the GIL held, before other threads of ours run.
pub unsafe fn prepare() -> Option<()> {
    // SAFETY: the GIL is held; the dict of the namespace is borrowed while it lives.
    unsafe {
        let namespace = Object::owned(ffi::PyDict_New())?;
        module::run(RESET, c"<erlang reset>", &namespace)?;
        let get =
            |name: &std::ffi::CStr| Object::borrowed(ffi::PyDict_GetItemString(namespace.as_ptr(), name.as_ptr()));
        let functions = Functions { begin: get(c"begin")?, end: get(c"end")?, restore: get(c"restore")? };
        let _ = FUNCTIONS.0.set(functions);
        Some(())
    }
}

/// Puts everything back and lets all objects go. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn restore() -> Option<()> {
    let functions = FUNCTIONS.0.get()?;
    // SAFETY: the GIL is held and the function is alive.
    unsafe {
        handle::release_all();
        call(&functions.restore, &[]).map(drop)
    }
}

/// A request of the node's own, whose changes to the state belong to what a reset puts back.
#[derive(Debug)]
pub struct Change {
    states: Object,
    /// Absent where `__main__` holds nothing of others.
    names: Option<Object>,
}

impl Change {
    /// Notes the state before the request; nothing if memory is short.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    pub unsafe fn begin() -> Option<Self> {
        let functions = FUNCTIONS.0.get()?;
        // SAFETY: the GIL is held; `begin` returns a pair.
        unsafe {
            let states = call(&functions.begin, &[]);
            let change = states.and_then(|states| {
                let names = Object::borrowed(ffi::PyTuple_GetItem(states.as_ptr(), 1))?;
                Some(Self { states, names: (names.as_ptr() != ffi::Py_None()).then_some(names) })
            });
            if change.is_none() {
                ffi::PyErr_Clear();
            }
            change
        }
    }

    /// The mapping in which a program of the node sets its names, unless that is `__main__`.
    pub fn names(&self) -> Option<&Object> {
        self.names.as_ref()
    }

    /// Takes over what the request has changed. An exception that is set stays set.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn end(self) {
        let Some(functions) = FUNCTIONS.0.get() else { return };
        let (mut kind, mut value, mut trace) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the GIL is held; what Fetch gives Restore takes back.
        unsafe {
            ffi::PyErr_Fetch(&mut kind, &mut value, &mut trace);
            drop(call(&functions.end, &[self.states.as_ptr()]));
            ffi::PyErr_Clear();
            ffi::PyErr_Restore(kind, value, trace);
        }
    }
}
