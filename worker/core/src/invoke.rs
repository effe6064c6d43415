//! Short ways to call Python. Everything here needs the GIL.

use pyo3::ffi;

use crate::object::Object;
use crate::symbols::symbols;
use crate::turn::aside;

/// Calls with positional arguments. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held and all pointers are live objects.
#[inline]
pub unsafe fn call(function: &Object, arguments: &[*mut ffi::PyObject]) -> Option<Object> {
    // SAFETY: the caller's promise.
    unsafe {
        let vectorcall = symbols().vectorcall_dict;
        Object::owned(aside(|| {
            vectorcall(function.as_ptr(), arguments.as_ptr(), arguments.len(), std::ptr::null_mut())
        }))
    }
}

/// Calls a method. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held, there is at most one argument, and all pointers are live objects.
#[inline]
pub unsafe fn method(object: &Object, name: &Object, arguments: &[*mut ffi::PyObject]) -> Option<Object> {
    let mut all = [object.as_ptr(), std::ptr::null_mut()];
    all[1..=arguments.len()].copy_from_slice(arguments);
    // SAFETY: the caller's promise.
    unsafe {
        let vectorcall = symbols().vectorcall_method;
        Object::owned(aside(|| vectorcall(name.as_ptr(), all.as_ptr(), 1 + arguments.len(), std::ptr::null_mut())))
    }
}

/// Imports a module by its full name. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn import(name: &std::ffi::CStr) -> Option<Object> {
    // SAFETY: the caller's promise.
    unsafe { Object::owned(aside(|| ffi::PyImport_ImportModule(name.as_ptr()))) }
}

/// A tuple. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held and all pointers are live objects.
pub unsafe fn tuple(items: &[*mut ffi::PyObject]) -> Option<Object> {
    // SAFETY: a tuple takes over a reference of each item.
    unsafe {
        let tuple = Object::owned(ffi::PyTuple_New(items.len() as isize))?;
        for (index, item) in items.iter().enumerate() {
            ffi::Py_INCREF(*item);
            ffi::PyTuple_SetItem(tuple.as_ptr(), index as isize, *item);
        }
        Some(tuple)
    }
}

/// `None`, a new reference.
///
/// # Safety
/// The GIL is held.
pub unsafe fn none() -> *mut ffi::PyObject {
    // SAFETY: the caller's promise.
    unsafe {
        ffi::Py_INCREF(ffi::Py_None());
        ffi::Py_None()
    }
}
