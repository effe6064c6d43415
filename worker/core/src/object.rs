//! An owned reference to a Python object.

use std::ptr::NonNull;

use pyo3::ffi;

/// A strong reference, released on drop. Every use needs the GIL; the type is neither `Send` nor `Sync`.
#[derive(Debug)]
pub struct Object(NonNull<ffi::PyObject>);

impl Object {
    /// Takes over a new reference; `None` for NULL, which means that a Python exception is set.
    ///
    /// # Safety
    /// `pointer` is NULL or a reference that the caller owns and gives away; the GIL is held.
    #[inline]
    pub unsafe fn owned(pointer: *mut ffi::PyObject) -> Option<Self> {
        NonNull::new(pointer).map(Self)
    }

    /// Makes a strong reference of a borrowed one; `None` for NULL.
    ///
    /// # Safety
    /// `pointer` is NULL or a live object; the GIL is held.
    #[inline]
    pub unsafe fn borrowed(pointer: *mut ffi::PyObject) -> Option<Self> {
        let pointer = NonNull::new(pointer)?;
        // SAFETY: a live object, and the caller holds the GIL.
        unsafe { ffi::Py_INCREF(pointer.as_ptr()) };
        Some(Self(pointer))
    }

    /// The object, borrowed from this reference.
    #[inline]
    pub fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.as_ptr()
    }

    /// The object with its reference, for calls that steal one.
    #[inline]
    pub fn into_ptr(self) -> *mut ffi::PyObject {
        let pointer = self.0.as_ptr();
        std::mem::forget(self);
        pointer
    }

    /// A `str`; `None` with a Python exception set if memory is short.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn text(text: &str) -> Option<Self> {
        // SAFETY: pointer and length are those of a str, and CPython copies it.
        unsafe { Self::owned(ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as isize)) }
    }

    /// The attribute `name`; `None` with a Python exception set.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn attribute(&self, name: &std::ffi::CStr) -> Option<Self> {
        // SAFETY: a live object and a C string.
        unsafe { Self::owned(ffi::PyObject_GetAttrString(self.as_ptr(), name.as_ptr())) }
    }
}

impl Clone for Object {
    /// Needs the GIL like every other use.
    fn clone(&self) -> Self {
        // SAFETY: the object is alive as long as `self`; holding the GIL is the contract of the type.
        unsafe { ffi::Py_INCREF(self.as_ptr()) };
        Self(self.0)
    }
}

impl Drop for Object {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the reference is ours and is given up once; holding the GIL is the contract of the type.
        unsafe { ffi::Py_DECREF(self.as_ptr()) };
    }
}
