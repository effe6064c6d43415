//! From the names in a call to the object that is called.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use pyo3::ffi;

use crate::module;
use crate::object::Object;
use crate::turn::{Turn, aside};

/// Names that are remembered; a program that makes up more starts over.
const MAX_ENTRIES: usize = 4096;

/// The two names at the start of a call's payload, each behind its length; their bytes are the key of the cache.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    key: &'a [u8],
    module: &'a [u8],
    function: &'a [u8],
}

impl<'a> Names<'a> {
    /// The names and what follows them; `None` if the payload ends too early.
    #[inline]
    pub fn split(payload: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (module, rest) = name(payload)?;
        let (function, rest) = name(rest)?;
        let key = &payload[..payload.len() - rest.len()];
        Some((Self { key, module, function }, rest))
    }

    /// Whether the module is asyncio or a part of it.
    #[inline]
    pub fn is_asyncio(&self) -> bool {
        self.module.strip_prefix(b"asyncio").is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'.'))
    }
}

/// `CO_COROUTINE` and `CO_ASYNC_GENERATOR`, part of the documented interface of `inspect`.
const CO_ASYNC: libc::c_long = 0x80 | 0x200;
/// Wrappers that are looked through.
const MAX_WRAPPERS: usize = 16;

/// Whether calling an object makes a coroutine or an asynchronous generator: `async def` functions, bound methods and partials
/// of them, and objects whose class has such a `__call__`. Leaves no exception set.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn is_async_function(callable: &Object) -> bool {
    let mut callable = callable.clone();
    // SAFETY: the GIL is held and every pointer comes from a live object.
    unsafe {
        for _ in 0..MAX_WRAPPERS {
            if let Some(code) = callable.attribute(c"__code__") {
                let flags = code.attribute(c"co_flags").map_or(0, |flags| ffi::PyLong_AsLong(flags.as_ptr()));
                ffi::PyErr_Clear();
                return flags != -1 && flags & CO_ASYNC != 0;
            }
            ffi::PyErr_Clear();
            if ffi::PyType_Check(callable.as_ptr()) != 0 || ffi::PyCFunction_Check(callable.as_ptr()) != 0 {
                return false;
            }
            let inner = match callable.attribute(c"__func__") {
                Some(function) => Some(function),
                None => {
                    ffi::PyErr_Clear();
                    match callable.attribute(c"func") {
                        Some(function) => Some(function),
                        None => {
                            ffi::PyErr_Clear();
                            class_call(&callable)
                        }
                    }
                }
            };
            match inner {
                Some(inner) => callable = inner,
                None => break,
            }
        }
        ffi::PyErr_Clear();
    }
    false
}

/// `__call__` of an object's class, if it is written in Python.
///
/// # Safety
/// The GIL is held.
unsafe fn class_call(object: &Object) -> Option<Object> {
    // SAFETY: the type of a live object lives as long as the object.
    unsafe {
        let class = Object::borrowed(ffi::Py_TYPE(object.as_ptr()).cast())?;
        let call = class.attribute(c"__call__")?;
        call.attribute(c"__code__")?;
        Some(call)
    }
}

#[inline]
fn name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))
}

/// The names of earlier calls as interned Python strings.
///
/// A hit is looked up again in the module that `sys.modules` holds at this moment, so that reloading, patching
/// and deleting work as in Python. What is not an entry of a plain module's `__dict__` (a dotted function, a
/// module with `__getattr__`) is resolved anew each time.
#[derive(Debug, Default)]
pub struct Callables {
    entries: HashMap<Box<[u8]>, Entry, BuildHasherDefault<NameHasher>>,
}

#[derive(Debug)]
struct Entry {
    module: Object,
    function: Object,
}

impl Callables {
    /// The object that `names` mean, if finding it takes no import; leaves no exception set.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    #[inline]
    pub unsafe fn find_loaded(&mut self, names: Names<'_>) -> Option<Object> {
        // SAFETY: the GIL is held; the module is borrowed from `sys.modules`.
        let found = unsafe {
            match self.entries.get(names.key).and_then(|entry| entry.look_up()) {
                Some(found) => Some(found),
                None => {
                    ffi::PyErr_Clear();
                    let loaded = interned(names.module).is_some_and(|name| {
                        !ffi::PyDict_GetItemWithError(ffi::PyImport_GetModuleDict(), name.as_ptr()).is_null()
                    });
                    if loaded { self.resolve(names) } else { None }
                }
            }
        };
        if found.is_none() {
            // SAFETY: the GIL is held.
            unsafe { ffi::PyErr_Clear() };
        }
        found
    }

    /// The object that `names` mean; `None` with a Python exception set. May import, hence run any code.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    #[inline]
    pub unsafe fn find(&mut self, names: Names<'_>) -> Option<Object> {
        if let Some(entry) = self.entries.get(names.key) {
            // SAFETY: the GIL is held.
            if let Some(found) = unsafe { entry.look_up() } {
                return Some(found);
            }
        }
        // SAFETY: the GIL is held.
        unsafe { self.resolve(names) }
    }

    #[cold]
    unsafe fn resolve(&mut self, names: Names<'_>) -> Option<Object> {
        // SAFETY: the GIL is held.
        unsafe {
            // A failed look-up may have left an exception, which the resolution reports again if it matters.
            ffi::PyErr_Clear();
            let module_name = interned(names.module)?;
            let module = import(&module_name)?;
            if !names.function.contains(&b'.') {
                let entry = Entry { module: module_name, function: interned(names.function)? };
                if let Some(found) = entry.look_up() {
                    if self.entries.len() >= MAX_ENTRIES {
                        self.entries.clear();
                    }
                    self.entries.insert(names.key.into(), entry);
                    return Some(found);
                }
                ffi::PyErr_Clear();
                return Object::owned(ffi::PyObject_GetAttr(module.as_ptr(), entry.function.as_ptr()));
            }
            let mut object = module;
            for part in names.function.split(|byte| *byte == b'.') {
                let part = interned(part)?;
                object = Object::owned(ffi::PyObject_GetAttr(object.as_ptr(), part.as_ptr()))?;
            }
            Some(object)
        }
    }
}

impl Entry {
    /// # Safety
    /// The GIL is held. `None` may come with or without an exception set.
    #[inline]
    unsafe fn look_up(&self) -> Option<Object> {
        // SAFETY: the GIL is held; every pointer is borrowed from a container that lives across the next call,
        // as a look-up by interned `str` in a dict whose keys are `str` runs no user code.
        unsafe {
            let modules = ffi::PyImport_GetModuleDict();
            let module = ffi::PyDict_GetItemWithError(modules, self.module.as_ptr());
            if module.is_null() || ffi::PyModule_CheckExact(module) == 0 {
                return None;
            }
            let names = ffi::PyModule_GetDict(module);
            let mut found = std::ptr::null_mut();
            // Without a GIL the dict may be changed meanwhile.
            ffi::compat::PyDict_GetItemRef(names, self.function.as_ptr(), &mut found);
            Object::owned(found)
        }
    }
}

/// How often an import is tried that met the failing one of another thread.
const IMPORTS: u32 = 8;

/// The module itself, not its outermost package.
///
/// An import that fails, perhaps because its request was interrupted, takes the module from those who wait for it in
/// other threads. They get what was made of it, or what yet another thread has begun, or a KeyError; here they import
/// it themselves. A module that imports itself while it is being imported gets what there is of it.
///
/// # Safety
/// The GIL is held, no exception is set and `name` is a `str`.
unsafe fn import(name: &Object) -> Option<Object> {
    // SAFETY: the GIL is held and `name` is a str.
    unsafe {
        for _ in 1..IMPORTS {
            match Object::owned(aside(|| ffi::PyImport_Import(name.as_ptr()))) {
                Some(module) if is_whole(name, &module) => return Some(module),
                None if !module_was_taken() => return None,
                _ => {}
            }
        }
        Object::owned(aside(|| ffi::PyImport_Import(name.as_ptr())))
    }
}

/// Whether an imported module is complete. One whose import failed has left `sys.modules` before it ceases to be one
/// that is being initialised. Leaves no exception set.
///
/// # Safety
/// The GIL is held and no exception is set.
unsafe fn is_whole(name: &Object, module: &Object) -> bool {
    // SAFETY: the GIL is held; the module in `sys.modules` is only compared.
    unsafe {
        let initializing = module
            .attribute(c"__spec__")
            .and_then(|spec| spec.attribute(c"_initializing"))
            .is_some_and(|flag| ffi::PyObject_IsTrue(flag.as_ptr()) == 1);
        ffi::PyErr_Clear();
        let current = ffi::PyDict_GetItemWithError(ffi::PyImport_GetModuleDict(), name.as_ptr());
        ffi::PyErr_Clear();
        !initializing && current == module.as_ptr()
    }
}

/// Whether the exception that is set comes from `PyImport_Import` itself, which found no module where one had been; it is
/// cleared then. One of the module's own code has a traceback.
///
/// # Safety
/// The GIL is held and an exception is set.
unsafe fn module_was_taken() -> bool {
    // SAFETY: the GIL is held; what is fetched is owned, and given back or released.
    unsafe {
        let (mut kind, mut value, mut trace) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        ffi::PyErr_Fetch(&mut kind, &mut value, &mut trace);
        let taken = trace.is_null() && ffi::PyErr_GivenExceptionMatches(kind, ffi::PyExc_KeyError) != 0;
        if taken {
            drop((Object::owned(kind), Object::owned(value)));
        } else {
            ffi::PyErr_Restore(kind, value, trace);
        }
        taken
    }
}

/// # Safety
/// The GIL is held. `None` with a Python exception set if the bytes are no UTF-8.
unsafe fn interned(name: &[u8]) -> Option<Object> {
    // SAFETY: pointer and length are those of a slice; interning may replace the object by an equal one and
    // keeps the reference count right.
    unsafe {
        let mut object = ffi::PyUnicode_FromStringAndSize(name.as_ptr().cast(), name.len() as isize);
        if !object.is_null() {
            ffi::PyUnicode_InternInPlace(&mut object);
        }
        Object::owned(object)
    }
}

/// Adds `erlang._import`, for what is written in Python here. `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn register(erlang: &Object) -> Option<()> {
    // SAFETY: the GIL is held.
    unsafe { module::add(erlang, c"_import", &module::function(c"_import", c"Imports a module.", py_import)?) }
}

unsafe extern "C" fn py_import(_self: *mut ffi::PyObject, arguments: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    // SAFETY: CPython calls this with the GIL held and a tuple, from which the name is borrowed while it lives.
    unsafe { Object::borrowed(ffi::PyTuple_GetItem(arguments, 0)).and_then(|name| import(&name)) }
        .map_or(std::ptr::null_mut(), Object::into_ptr)
}

/// FNV-like over eight bytes at a time: keys are short, and whoever chooses them may run any code here anyway.
#[derive(Debug, Default)]
pub struct NameHasher(u64);

impl Hasher for NameHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
        let mut word = [0; 8];
        word[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
        self.write_u64(u64::from_le_bytes(word));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
