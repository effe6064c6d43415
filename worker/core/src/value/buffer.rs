//! The object behind `{buffer, Bin}`: exports the memory of an extent, without a copy, for as long as anything looks at it.

use std::ffi::{c_int, c_uint, c_void};
use std::mem::ManuallyDrop;

use pyo3::ffi::{self, PyObject, PyTypeObject};

use super::atom::slot;
use super::extent::Lease;
use crate::object::Object;
use crate::symbols::{PyBuffer, symbols};
use crate::turn::Turn;

/// `Py_bf_getbuffer`, which the headers of the limited API name only from 3.11 on.
const BF_GETBUFFER: c_int = 1;

#[repr(C)]
struct Exporter {
    base: PyObject,
    data: *const u8,
    len: usize,
    lease: ManuallyDrop<Lease>,
}

/// The class of exporters; NULL with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn create_type() -> *mut PyTypeObject {
    let mut slots = [
        slot(ffi::Py_tp_new, refuse as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(BF_GETBUFFER, get_buffer as *mut c_void),
        slot(0, std::ptr::null_mut()),
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"erlang.Buffer".as_ptr(),
        basicsize: size_of::<Exporter>() as c_int,
        itemsize: 0,
        flags: ffi::Py_TPFLAGS_DEFAULT as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the GIL is held; the spec and its slots live through the call, which copies what it keeps.
    unsafe { ffi::PyType_FromSpec(&mut spec).cast() }
}

/// A read-only `memoryview` of `data`; NULL with a Python exception set. The lease ends with the last view, slices and
/// views of other libraries included.
///
/// # Safety
/// The GIL is held, `class` came from [`create_type`], and `data` is valid as long as a clone of `lease` lives.
pub(super) unsafe fn view(class: *mut PyTypeObject, data: &[u8], lease: &Lease) -> *mut PyObject {
    // SAFETY: the allocation has the size and the type of an exporter; its fields are written before anyone sees it.
    unsafe {
        let exporter = ffi::PyType_GenericAlloc(class, 0);
        if exporter.is_null() {
            return std::ptr::null_mut();
        }
        let fields = exporter.cast::<Exporter>();
        (&raw mut (*fields).data).write(data.as_ptr());
        (&raw mut (*fields).len).write(data.len());
        (&raw mut (*fields).lease).write(ManuallyDrop::new(lease.clone()));
        let view = ffi::PyMemoryView_FromObject(exporter);
        ffi::Py_DECREF(exporter);
        view
    }
}

/// A read-only `memoryview` of a copy of `data`; NULL with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn view_of_copy(data: &[u8]) -> *mut PyObject {
    // SAFETY: the GIL is held; the view holds the bytes object.
    unsafe {
        match Object::owned(super::text::bytes_object(data)) {
            Some(bytes) => ffi::PyMemoryView_FromObject(bytes.as_ptr()),
            None => std::ptr::null_mut(),
        }
    }
}

/// # Safety
/// Called by CPython as a `bf_getbuffer`.
unsafe extern "C" fn get_buffer(this: *mut PyObject, view: *mut PyBuffer, flags: c_int) -> c_int {
    const READ_ONLY: c_int = 1;
    // SAFETY: CPython passes an exporter, whose memory stays valid while the view holds a reference to it. `PyBuffer_FillInfo`
    // refuses a request for a writable view.
    unsafe {
        let fields = this.cast::<Exporter>();
        let data = (*fields).data.cast_mut().cast();
        (symbols().fill_info)(view, this, data, (*fields).len as isize, READ_ONLY, flags)
    }
}

/// # Safety
/// Called by CPython as a `tp_dealloc`, with no view left.
unsafe extern "C" fn dealloc(this: *mut PyObject) {
    // SAFETY: CPython holds the GIL.
    let _turn = unsafe { Turn::take() };
    // SAFETY: the last reference is gone; an instance of a heap type owns a reference to its type.
    unsafe {
        let class = ffi::Py_TYPE(this);
        ManuallyDrop::drop(&mut (*this.cast::<Exporter>()).lease);
        ffi::PyObject_Free(this.cast());
        ffi::Py_DECREF(class.cast());
    }
}

/// # Safety
/// Called by CPython as a `tp_new`: only this module makes exporters.
unsafe extern "C" fn refuse(_class: *mut PyTypeObject, _args: *mut PyObject, _kwargs: *mut PyObject) -> *mut PyObject {
    // SAFETY: CPython holds the GIL.
    unsafe {
        let message = c"cannot create 'erlang.Buffer' instances";
        ffi::PyErr_SetString(ffi::PyExc_TypeError, message.as_ptr());
    }
    std::ptr::null_mut()
}
