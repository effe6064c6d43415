//! Classes of modules that a worker has only if its user imported them.

use pyo3::ffi::{self, PyObject, PyTypeObject};

use super::interp::interp;
use crate::object::Object;

/// The classes that were met so far; each stays alive for ever once it is here.
#[derive(Debug, Default)]
pub(super) struct Lazy {
    deque: Option<Class>,
    array: Option<Class>,
    numpy: Option<Numpy>,
}

/// A class that is never given back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class(*mut PyTypeObject);

impl Class {
    /// Whether `class` is this one or a subclass.
    ///
    /// # Safety
    /// The GIL is held and `class` is alive.
    pub(super) unsafe fn covers(self, class: *mut PyTypeObject) -> bool {
        // SAFETY: the caller's promise, and this class lives for ever.
        class == self.0 || unsafe { ffi::PyType_IsSubtype(class, self.0) != 0 }
    }
}

/// The classes of numpy that have terms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numpy {
    pub(super) ndarray: Class,
    pub(super) generic: Class,
    pub(super) bool: Class,
    pub(super) integer: Class,
    pub(super) floating: Class,
}

/// `collections.deque`, if the interpreter has loaded it.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn deque() -> Option<Class> {
    // SAFETY: the GIL is held; no Python code runs while the reference is used.
    unsafe {
        let known = interp().lazy().deque;
        if known.is_some() {
            return known;
        }
        let found = class(&loaded(interp().collections)?, c"deque");
        interp().lazy().deque = found;
        found
    }
}

/// `array.array`, if the module is loaded.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn array() -> Option<Class> {
    // SAFETY: the GIL is held; no Python code runs while the reference is used.
    unsafe {
        let known = interp().lazy().array;
        if known.is_some() {
            return known;
        }
        let found = class(&loaded(interp().array)?, c"array");
        interp().lazy().array = found;
        found
    }
}

/// The classes of numpy, if it is loaded.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn numpy() -> Option<Numpy> {
    // SAFETY: the GIL is held; no Python code runs while the reference is used.
    unsafe {
        let known = interp().lazy().numpy;
        if known.is_some() {
            return known;
        }
        let module = loaded(interp().numpy)?;
        let found = Numpy {
            ndarray: class(&module, c"ndarray")?,
            generic: class(&module, c"generic")?,
            bool: class(&module, c"bool_")?,
            integer: class(&module, c"integer")?,
            floating: class(&module, c"floating")?,
        };
        interp().lazy().numpy = Some(found);
        Some(found)
    }
}

/// A module that `sys.modules` has; never imports it.
///
/// # Safety
/// The GIL is held and `name` is a `str`.
unsafe fn loaded(name: *mut PyObject) -> Option<Object> {
    // SAFETY: the GIL is held; the dict lends its value, and a reference is taken at once.
    unsafe {
        let module = Object::borrowed(ffi::PyDict_GetItemWithError(ffi::PyImport_GetModuleDict(), name));
        if module.is_none() {
            ffi::PyErr_Clear();
        }
        module
    }
}

/// A class that `module` has under `name`.
///
/// # Safety
/// The GIL is held.
unsafe fn class(module: &Object, name: &std::ffi::CStr) -> Option<Class> {
    // SAFETY: the GIL is held. The reference to the class is kept for ever.
    unsafe {
        let Some(class) = module.attribute(name) else {
            ffi::PyErr_Clear();
            return None;
        };
        (ffi::PyType_Check(class.as_ptr()) != 0).then(|| Class(class.into_ptr().cast()))
    }
}
