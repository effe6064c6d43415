//! Public functions of CPython outside the limited API of 3.9, looked up in the running interpreter.
//!
//! All of them are exported, with the same signature, by CPython 3.9 to 3.14. No private (`_Py`) symbol is ever
//! used: their signatures change between versions.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

use pyo3::ffi::{Py_ssize_t, PyObject};

/// `Py_buffer`, whose layout is the same in 3.9 to 3.14 (and part of the stable ABI from 3.11 on).
#[repr(C)]
#[derive(Debug)]
pub struct PyBuffer {
    /// First byte.
    pub buf: *mut c_void,
    /// Exporter, a strong reference.
    pub obj: *mut PyObject,
    /// Bytes.
    pub len: Py_ssize_t,
    /// Bytes per item.
    pub itemsize: Py_ssize_t,
    /// Whether writing is forbidden.
    pub readonly: c_int,
    /// Dimensions.
    pub ndim: c_int,
    /// Item format in `struct` notation, or NULL for bytes.
    pub format: *mut c_char,
    /// Extent of each dimension.
    pub shape: *mut Py_ssize_t,
    /// Bytes from one item to the next in each dimension.
    pub strides: *mut Py_ssize_t,
    /// Dereferences of each dimension.
    pub suboffsets: *mut Py_ssize_t,
    /// The exporter's own.
    pub internal: *mut c_void,
}

/// The functions.
#[derive(Clone, Copy, Debug)]
pub struct Symbols {
    /// `PyObject_GetBuffer`
    pub get_buffer: unsafe extern "C" fn(*mut PyObject, *mut PyBuffer, c_int) -> c_int,
    /// `PyBuffer_Release`
    pub release_buffer: unsafe extern "C" fn(*mut PyBuffer),
    /// `PyBuffer_FillInfo`
    pub fill_info: unsafe extern "C" fn(*mut PyBuffer, *mut PyObject, *mut c_void, Py_ssize_t, c_int, c_int) -> c_int,
    /// `PyUnicode_AsUTF8AndSize`
    pub utf8_and_size: unsafe extern "C" fn(*mut PyObject, *mut Py_ssize_t) -> *const c_char,
    /// `PyObject_VectorcallDict`
    pub vectorcall_dict:
        unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, usize, *mut PyObject) -> *mut PyObject,
    /// `PyObject_VectorcallMethod`
    pub vectorcall_method:
        unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, usize, *mut PyObject) -> *mut PyObject,
}

/// The flag by which a vectorcall says that `args[-1]` may be overwritten during the call.
pub const ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);

static SYMBOLS: OnceLock<Symbols> = OnceLock::new();

/// The interpreter does not export a function that this core needs.
#[derive(Debug, thiserror::Error)]
#[error("could not find {0:?} in this Python: CPython 3.9 or later is needed")]
pub struct MissingSymbol(&'static CStr);

/// Looks all functions up; later calls do nothing.
///
/// # Errors
/// [`MissingSymbol`] names the first one that this interpreter lacks.
pub fn load() -> Result<(), MissingSymbol> {
    if SYMBOLS.get().is_some() {
        return Ok(());
    }
    // SAFETY: each name is looked up for the type that CPython's headers declare for it.
    let symbols = unsafe {
        Symbols {
            get_buffer: find(c"PyObject_GetBuffer")?,
            release_buffer: find(c"PyBuffer_Release")?,
            fill_info: find(c"PyBuffer_FillInfo")?,
            utf8_and_size: find(c"PyUnicode_AsUTF8AndSize")?,
            vectorcall_dict: find(c"PyObject_VectorcallDict")?,
            vectorcall_method: find(c"PyObject_VectorcallMethod")?,
        }
    };
    SYMBOLS.get_or_init(|| symbols);
    Ok(())
}

/// The functions; [`load`] succeeded when the core was loaded.
#[inline]
pub fn symbols() -> &'static Symbols {
    SYMBOLS.get().expect("the module's init function loads the symbols before anything else runs")
}

/// Tells the interpreter that a module needs no GIL; one that has none would take it up for the module otherwise. Nothing on
/// interpreters that always have it.
///
/// # Safety
/// The GIL is held and `module` is a module.
pub unsafe fn needs_no_gil(module: *mut PyObject) {
    type SetGil = unsafe extern "C" fn(*mut PyObject, *mut c_void) -> c_int;
    const NOT_USED: *mut c_void = std::ptr::without_provenance_mut(1);
    // SAFETY: the type that CPython's headers declare; the macro `Py_MOD_GIL_NOT_USED` is 1. It fails for what is no module only.
    unsafe {
        if let Ok(set_gil) = find::<SetGil>(c"PyUnstable_Module_SetGIL") {
            set_gil(module, NOT_USED);
        }
    }
}

/// # Safety
/// `F` is the function pointer type of the C function `name`.
unsafe fn find<F: Copy>(name: &'static CStr) -> Result<F, MissingSymbol> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: a C string and the default search scope.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if address.is_null() {
        return Err(MissingSymbol(name));
    }
    // SAFETY: of the same size, and by the caller's promise the function has this type.
    Ok(unsafe { std::mem::transmute_copy(&address) })
}
