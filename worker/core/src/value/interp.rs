//! What the conversions keep of the interpreter they run in.

use std::cell::UnsafeCell;
use std::sync::OnceLock;

use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::types::PyModule;

use super::lazy::Lazy;
use super::text::TextCache;
use super::{atom, buffer, opaque};
use crate::object::Object;

/// Objects that live as long as the process.
pub(super) struct Interp {
    pub(super) atom_type: *mut PyTypeObject,
    pub(super) buffer_type: *mut PyTypeObject,
    pub(super) int_from_bytes: *mut PyObject,
    pub(super) int_to_bytes: *mut PyObject,
    pub(super) int_bit_length: *mut PyObject,
    pub(super) int_neg: *mut PyObject,
    pub(super) little: *mut PyObject,
    pub(super) collections: *mut PyObject,
    pub(super) array: *mut PyObject,
    pub(super) numpy: *mut PyObject,
    texts: UnsafeCell<TextCache>,
    lazy: UnsafeCell<Lazy>,
}

// SAFETY: everything in it is used by the thread that holds the GIL only.
unsafe impl Send for Interp {}
// SAFETY: as above.
unsafe impl Sync for Interp {}

impl Interp {
    /// # Safety
    /// The GIL is held, and the reference is not kept while Python code could run.
    #[expect(clippy::mut_from_ref, reason = "the GIL makes the access exclusive")]
    pub(super) unsafe fn texts(&self) -> &mut TextCache {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.texts.get() }
    }

    /// # Safety
    /// As for [`Interp::texts`].
    #[expect(clippy::mut_from_ref, reason = "the GIL makes the access exclusive")]
    pub(super) unsafe fn lazy(&self) -> &mut Lazy {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.lazy.get() }
    }
}

static INTERP: OnceLock<Interp> = OnceLock::new();

/// The objects; [`init`] has run.
#[inline]
pub(super) fn interp() -> &'static Interp {
    INTERP.get().expect("the module's init function calls value::init before anything else runs")
}

/// Prepares the conversions; later calls do nothing. `symbols::load` has succeeded before.
///
/// # Errors
/// The Python exception that the first failing step raised.
pub fn init(py: Python<'_>) -> PyResult<()> {
    if INTERP.get().is_some() {
        return Ok(());
    }
    let fetch = || PyErr::fetch(py);
    // SAFETY: the token proves that the GIL is held. The references are never given back.
    let made = unsafe {
        let int = (&raw mut ffi::PyLong_Type).cast::<PyObject>();
        let attribute =
            |name: &std::ffi::CStr| Object::owned(ffi::PyObject_GetAttrString(int, name.as_ptr())).ok_or_else(fetch);
        let text =
            |text: &std::ffi::CStr| Object::owned(ffi::PyUnicode_InternFromString(text.as_ptr())).ok_or_else(fetch);
        let atom_type = Object::owned(atom::create_type().cast()).ok_or_else(fetch)?;
        let buffer_type = Object::owned(buffer::create_type().cast()).ok_or_else(fetch)?;
        Interp {
            int_from_bytes: attribute(c"from_bytes")?.into_ptr(),
            int_to_bytes: attribute(c"to_bytes")?.into_ptr(),
            int_bit_length: attribute(c"bit_length")?.into_ptr(),
            int_neg: attribute(c"__neg__")?.into_ptr(),
            little: text(c"little")?.into_ptr(),
            atom_type: atom_type.into_ptr().cast(),
            buffer_type: buffer_type.into_ptr().cast(),
            texts: UnsafeCell::new(TextCache::new()),
            collections: text(c"_collections")?.into_ptr(),
            array: text(c"array")?.into_ptr(),
            numpy: text(c"numpy")?.into_ptr(),
            lazy: UnsafeCell::new(Lazy::default()),
        }
    };
    INTERP.get_or_init(|| made);
    Ok(())
}

/// Adds `Pid`, `Ref`, `Port`, `Fun` and `atom` to module `erlang`.
///
/// # Errors
/// The Python exception of the step that failed.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    opaque::register(module)?;
    let atom_type = interp().atom_type.cast::<PyObject>();
    // SAFETY: a live object.
    module.add("atom", unsafe { Bound::from_borrowed_ptr(module.py(), atom_type) })
}
