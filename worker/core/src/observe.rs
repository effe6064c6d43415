//! Log events and spans: what the parts of module `erlang` that are loaded at first use need of the core.

use std::ffi::CStr;

use pyo3::ffi;
use shm_proto::response::Kind;

use crate::callback;
use crate::module::{self, raise};
use crate::object::Object;
use crate::turn::Turn;

/// Parts of module `erlang` that import what a program may never need.
const PARTS: [(&str, &CStr, &str); 2] =
    [("handler", c"<erlang handler>", include_str!("handler.py")), ("span", c"<erlang span>", include_str!("span.py"))];

/// Adds the native functions to module `erlang`. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn register(module: &Object) -> Option<()> {
    // SAFETY: the GIL is held.
    unsafe {
        for (name, doc, body) in [
            (c"_log", c"Sends a log event.", py_log as ffi::PyCFunction),
            (c"_span", c"Sends a span.", py_span),
            (c"_part", c"The names of a part of this module.", py_part),
        ] {
            module::add(module, name, &module::function(name, doc, body)?)?;
        }
        Some(())
    }
}

unsafe extern "C" fn py_log(_self: *mut ffi::PyObject, fields: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: CPython calls this with the GIL held and a tuple.
    unsafe { callback::pointer(callback::emit(Kind::Log, fields).and_then(|()| Object::borrowed(ffi::Py_None()))) }
}

unsafe extern "C" fn py_span(_self: *mut ffi::PyObject, fields: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: as above.
    unsafe { callback::pointer(callback::emit(Kind::Span, fields).and_then(|()| Object::borrowed(ffi::Py_None()))) }
}

unsafe extern "C" fn py_part(_self: *mut ffi::PyObject, arguments: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: as above.
    unsafe { callback::pointer(part(arguments)) }
}

/// Runs a part and returns its namespace. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held and `arguments` is a tuple.
unsafe fn part(arguments: *mut ffi::PyObject) -> Option<Object> {
    // SAFETY: the GIL is held; items of a tuple are alive while it is.
    unsafe {
        let name = Object::borrowed(ffi::PyTuple_GetItem(arguments, 0))?;
        let Some((_, file, program)) = PARTS.iter().find(|(part, ..)| module::utf8(&name) == Some(part)) else {
            raise(ffi::PyExc_ValueError, "module erlang has no such part");
            return None;
        };
        let namespace = Object::owned(ffi::PyDict_New())?;
        let module_name = Object::text("erlang")?;
        if ffi::PyDict_SetItemString(namespace.as_ptr(), c"__name__".as_ptr(), module_name.as_ptr()) < 0 {
            return None;
        }
        module::run(program, file, &namespace)?;
        Some(namespace)
    }
}
