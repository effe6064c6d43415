//! `erlang.atom`: a `str` that becomes an atom.

use std::ffi::{c_int, c_uint, c_void};

use pyo3::ffi::{self, PyObject, PyTypeObject};

use crate::object::Object;

/// Characters that the BEAM allows in an atom.
const MAX_CHARACTERS: isize = 255;

/// The class `erlang.atom`, a subclass of `str`; NULL with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn create_type() -> *mut PyTypeObject {
    let mut slots = [
        slot(ffi::Py_tp_new, new as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_tp_doc, DOC.as_ptr().cast_mut().cast()),
        slot(0, std::ptr::null_mut()),
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"erlang.atom".as_ptr(),
        basicsize: 0,
        itemsize: 0,
        flags: ffi::Py_TPFLAGS_DEFAULT as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the GIL is held; the spec and its slots live through the call, which copies what it keeps.
    unsafe {
        let Some(bases) = Object::owned(ffi::PyTuple_Pack(1, &raw mut ffi::PyUnicode_Type)) else {
            return std::ptr::null_mut();
        };
        ffi::PyType_FromSpecWithBases(&mut spec, bases.as_ptr()).cast()
    }
}

const DOC: &std::ffi::CStr = c"atom(name)\n--\n\nA string that becomes an atom in Erlang. The node takes only atoms that it knows.";

pub(super) fn slot(slot: c_int, pfunc: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot, pfunc }
}

/// # Safety
/// Called by CPython as a `tp_new`.
unsafe extern "C" fn new(
    class: *mut PyTypeObject,
    args: *mut PyObject,
    kwargs: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython passes a class, a tuple and a dict or NULL, and holds the GIL.
    unsafe {
        let named = !kwargs.is_null() && ffi::PyDict_Size(kwargs) != 0;
        if named || ffi::PyTuple_Size(args) != 1 {
            return type_error(c"erlang.atom takes one argument: its name");
        }
        let name = ffi::PyTuple_GetItem(args, 0);
        if ffi::PyUnicode_Check(name) == 0 {
            return type_error(c"the name of an atom must be a str");
        }
        if ffi::PyUnicode_GetLength(name) > MAX_CHARACTERS {
            let message = c"an atom has at most 255 characters";
            ffi::PyErr_SetString(ffi::PyExc_ValueError, message.as_ptr());
            return std::ptr::null_mut();
        }
        let base = (&raw mut ffi::PyUnicode_Type).cast::<PyObject>();
        let Some(base_new) = Object::owned(ffi::PyObject_GetAttrString(base, c"__new__".as_ptr()))
        else {
            return std::ptr::null_mut();
        };
        let end = std::ptr::null_mut::<PyObject>();
        ffi::PyObject_CallFunctionObjArgs(base_new.as_ptr(), class.cast::<PyObject>(), name, end)
    }
}

/// # Safety
/// Called by CPython as a `tp_repr`.
unsafe extern "C" fn repr(this: *mut PyObject) -> *mut PyObject {
    // SAFETY: CPython passes an instance, which is a str, and holds the GIL; a plain str of it has the ordinary repr.
    unsafe {
        let Some(plain) = Object::owned(ffi::PyUnicode_FromObject(this)) else {
            return std::ptr::null_mut();
        };
        ffi::PyUnicode_FromFormat(c"erlang.atom(%R)".as_ptr(), plain.as_ptr())
    }
}

/// # Safety
/// The GIL is held.
unsafe fn type_error(message: &std::ffi::CStr) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_TypeError, message.as_ptr()) };
    std::ptr::null_mut()
}
