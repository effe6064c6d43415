//! Arguments of a call, in the layout that CPython's vectorcall takes.

use pyo3::ffi::{self, PyObject};
use shm_proto::etf::Reader;
use shm_proto::request::Options;

use super::decode::{DecodeError, Decoder};
use super::extent::ExtentRef;
use super::interp::interp;

/// Positional arguments and keyword arguments of one call, reused from call to call. Needs the GIL for everything, dropping
/// included.
#[derive(Debug)]
pub struct CallArgs {
    /// The first slot is scratch space that a callee may use.
    slots: Vec<*mut PyObject>,
    kwargs: *mut PyObject,
}

impl Default for CallArgs {
    fn default() -> Self {
        Self { slots: vec![std::ptr::null_mut()], kwargs: std::ptr::null_mut() }
    }
}

impl CallArgs {
    /// No arguments.
    pub fn new() -> Self {
        Self::default()
    }

    /// The positional arguments. The slot in front of them may be overwritten during a call, so
    /// `PY_VECTORCALL_ARGUMENTS_OFFSET` may be set.
    #[inline]
    pub fn positional(&self) -> &[*mut PyObject] {
        &self.slots[1..]
    }

    /// Pointer to the first positional argument, derived from the whole allocation so that the slot before it may be written.
    #[inline]
    pub fn as_mut_ptr(&mut self) -> *mut *mut PyObject {
        // SAFETY: there is always a first slot, so one past it is inside or just behind the allocation.
        unsafe { self.slots.as_mut_ptr().add(1) }
    }

    /// A dict of the keyword arguments, borrowed; NULL if there are none.
    #[inline]
    pub fn kwargs(&self) -> *mut PyObject {
        self.kwargs
    }

    /// Adds a positional argument, whose reference this takes over.
    pub fn push(&mut self, object: *mut PyObject) {
        self.slots.push(object);
    }

    /// Reads `argc`, the arguments, `kwc` and the pairs. What was here before is dropped first.
    ///
    /// # Errors
    /// [`DecodeError`]; nothing is held then.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn decode(
        &mut self,
        reader: &mut Reader<'_>,
        options: Options,
        extent: Option<&ExtentRef<'_>>,
    ) -> Result<(), DecodeError> {
        self.clear();
        // SAFETY: the GIL is held.
        let result = unsafe { self.fill(reader, options, extent) };
        if result.is_err() {
            self.clear();
        }
        result
    }

    /// # Safety
    /// The GIL is held and nothing is held here.
    unsafe fn fill(
        &mut self,
        reader: &mut Reader<'_>,
        options: Options,
        extent: Option<&ExtentRef<'_>>,
    ) -> Result<(), DecodeError> {
        let mut decoder = Decoder::new(options, extent);
        for _ in 0..reader.u32()? {
            // SAFETY: the GIL is held.
            self.slots.push(unsafe { decoder.term(reader)? });
        }
        let pairs = reader.u32()?;
        if pairs == 0 {
            return Ok(());
        }
        // SAFETY: the GIL is held; the references of name and value are given up after the dict took its own.
        unsafe {
            self.kwargs = ffi::PyDict_New();
            if self.kwargs.is_null() {
                return Err(DecodeError::Python);
            }
            for _ in 0..pairs {
                let name = interp().texts().get(reader.name()?.as_bytes());
                if name.is_null() {
                    return Err(DecodeError::Python);
                }
                let value = match decoder.term(reader) {
                    Ok(value) => value,
                    Err(error) => {
                        ffi::Py_DECREF(name);
                        return Err(error);
                    }
                };
                let status = ffi::PyDict_SetItem(self.kwargs, name, value);
                ffi::Py_DECREF(name);
                ffi::Py_DECREF(value);
                if status < 0 {
                    return Err(DecodeError::Python);
                }
            }
        }
        Ok(())
    }

    /// Lets go of all arguments; the memory is kept unless a call needed very much of it. Needs the GIL. An exception that is
    /// set stays set.
    #[inline]
    pub fn clear(&mut self) {
        const KEPT_SLOTS: usize = 4096;
        // SAFETY: the references are ours and given up once; holding the GIL is the contract of the type. CPython's deallocators
        // and finalisers leave a pending exception as it is.
        unsafe {
            for object in self.slots.drain(1..) {
                ffi::Py_DECREF(object);
            }
            let kwargs = std::mem::replace(&mut self.kwargs, std::ptr::null_mut());
            ffi::Py_XDECREF(kwargs);
        }
        if self.slots.capacity() > KEPT_SLOTS {
            self.slots.shrink_to(KEPT_SLOTS);
        }
    }
}

impl Drop for CallArgs {
    fn drop(&mut self) {
        self.clear();
    }
}
