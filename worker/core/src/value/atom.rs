//! `erlang.atom`: a `str` that becomes an atom.

use std::ffi::{c_int, c_uint, c_void};

use pyo3::ffi::{self, PyObject, PyTypeObject};

use crate::object::Object;

/// Characters that the BEAM allows in an atom.
pub(super) const MAX_CHARACTERS: isize = 255;

/// The class `erlang.atom`, a subclass of `str`; NULL with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn create_type() -> *mut PyTypeObject {
    let mut slots = [
        slot(ffi::Py_tp_init, init as *mut c_void),
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

const DOC: &std::ffi::CStr =
    c"atom(name)\n--\n\nA string that becomes an atom in Erlang. The node takes only atoms that it knows.";

pub(super) fn slot(slot: c_int, pfunc: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot, pfunc }
}

/// Checks the arguments, which `str.__new__` would take in more forms. (A `tp_new` of our own could not call that of `str`:
/// CPython 3.9 gives out no slots of static types.)
///
/// # Safety
/// Called by CPython as a `tp_init`.
unsafe extern "C" fn init(_this: *mut PyObject, args: *mut PyObject, kwargs: *mut PyObject) -> c_int {
    // SAFETY: CPython passes a tuple and a dict or NULL, and holds the GIL.
    unsafe {
        let named = !kwargs.is_null() && ffi::PyDict_Size(kwargs) != 0;
        let (class, message) = if named || ffi::PyTuple_Size(args) != 1 {
            (ffi::PyExc_TypeError, c"erlang.atom takes one argument: its name")
        } else if ffi::PyUnicode_Check(ffi::PyTuple_GetItem(args, 0)) == 0 {
            (ffi::PyExc_TypeError, c"the name of an atom must be a str")
        } else if ffi::PyUnicode_GetLength(ffi::PyTuple_GetItem(args, 0)) > MAX_CHARACTERS {
            (ffi::PyExc_ValueError, c"an atom has at most 255 characters")
        } else {
            return 0;
        };
        ffi::PyErr_SetString(class, message.as_ptr());
        -1
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
