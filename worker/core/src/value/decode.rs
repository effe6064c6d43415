//! Terms to objects.

use pyo3::ffi::{self, PyObject};
use shm_proto::etf::{EtfError, Reader, Token};
use shm_proto::request::Options;
use thiserror::Error;

use super::extent::ExtentRef;
use super::interp::{Interp, interp};

/// Why terms did not become objects.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The bytes are not what the node writes.
    #[error("could not decode a term: {0}")]
    Etf(#[from] EtfError),
    /// The bytes are values, but not in an order that means anything.
    #[error("could not decode a term: {0}")]
    Malformed(&'static str),
    /// A map has two keys that are one to Python; the later one, encoded for the node.
    #[error("could not decode a map: two of its keys are equal in Python")]
    DuplicateKey(Vec<u8>),
    /// Python cannot hash a key, which is here encoded for the node.
    #[error("could not decode a map: Python cannot hash one of its keys")]
    UnsupportedKey(Vec<u8>),
    /// A handle's object was let go.
    #[error("could not find the object of a handle: it was released")]
    Released,
    /// A Python exception is set.
    #[error("could not decode a term: Python raised an exception")]
    Python,
}

/// Appends the objects of the next `count` terms to `out`, as new references.
///
/// On an error nothing is appended. No Python code runs, except where an array makes it import numpy and build one.
///
/// # Errors
/// [`DecodeError`].
///
/// # Safety
/// The GIL is held.
pub unsafe fn decode_terms(
    reader: &mut Reader<'_>,
    count: usize,
    options: Options,
    extent: Option<&ExtentRef<'_>>,
    out: &mut Vec<*mut PyObject>,
) -> Result<(), DecodeError> {
    let before = out.len();
    let mut decoder = Decoder::new(options, extent);
    for _ in 0..count {
        // SAFETY: the GIL is held.
        match unsafe { decoder.term(reader) } {
            Ok(object) => out.push(object),
            Err(error) => {
                for object in out.drain(before..) {
                    // SAFETY: a reference from above.
                    unsafe { ffi::Py_DECREF(object) };
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

/// A larger map is taken for a table, whose keys are data that come once, not names that come again.
const RECORD_KEYS: isize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    List,
    Tuple,
    Dict,
}

/// A container that is being filled. Owns `object` and `key`.
struct Frame {
    container: Container,
    object: *mut PyObject,
    filled: isize,
    size: isize,
    /// Dict: the key whose value comes next, or NULL.
    key: *mut PyObject,
    /// Dict: where the encoded key is.
    key_from: usize,
    key_to: usize,
}

/// Decodes terms one after the other; the stack is reused.
pub(super) struct Decoder<'e> {
    frames: Vec<Frame>,
    pub(super) interp: &'static Interp,
    pub(super) extent: Option<&'e ExtentRef<'e>>,
    pub(super) binary_is_bytes: bool,
}

impl<'e> Decoder<'e> {
    pub(super) fn new(options: Options, extent: Option<&'e ExtentRef<'e>>) -> Self {
        Self { frames: Vec::new(), interp: interp(), extent, binary_is_bytes: options.has(Options::BINARY_BYTES) }
    }

    /// The next term as a new reference.
    ///
    /// # Safety
    /// The GIL is held.
    pub(super) unsafe fn term(&mut self, reader: &mut Reader<'_>) -> Result<*mut PyObject, DecodeError> {
        let start = reader.clone();
        // SAFETY: the GIL is held.
        unsafe {
            let object = self.scalar_or_open(reader, false)?;
            if !object.is_null() {
                return Ok(object);
            }
            let result = self.fill(reader, &start);
            self.drop_frames();
            result
        }
    }

    /// Fills the containers on the stack until the outermost is complete. `start` is the reader before the term.
    ///
    /// # Safety
    /// The GIL is held and the stack is not empty.
    unsafe fn fill(&mut self, reader: &mut Reader<'_>, start: &Reader<'_>) -> Result<*mut PyObject, DecodeError> {
        while let Some(frame) = self.frames.last() {
            let container = frame.container;
            // SAFETY: the GIL is held. Objects on the stack are ours, and a finished one is given to the container below it
            // or to the caller.
            unsafe {
                let finished = match container {
                    Container::List => self.sequence(reader, ffi::PyList_SetItem)?,
                    Container::Tuple => self.sequence(reader, ffi::PyTuple_SetItem)?,
                    Container::Dict => self.pairs(reader, start)?,
                };
                if !finished {
                    continue;
                }
                if container == Container::List && reader.next()? != Token::Nil {
                    return Err(DecodeError::Malformed("a list has no proper tail"));
                }
                let Some(Frame { object, .. }) = self.frames.pop() else {
                    break;
                };
                if self.frames.is_empty() {
                    return Ok(object);
                }
                self.put(object, reader, start)?;
            }
        }
        Err(DecodeError::Malformed("nothing to fill"))
    }

    /// Goes on with the list or tuple on top; `false` if an element was opened before the end.
    ///
    /// # Safety
    /// The GIL is held and `set` is the setter for the container on top.
    unsafe fn sequence(
        &mut self,
        reader: &mut Reader<'_>,
        set: unsafe extern "C" fn(*mut PyObject, isize, *mut PyObject) -> i32,
    ) -> Result<bool, DecodeError> {
        let top = self.frames.len() - 1;
        let Frame { object: container, mut filled, size, .. } = self.frames[top];
        while filled < size {
            // SAFETY: the GIL is held; the container is ours alone and `filled` is below its size. The setters steal the reference
            // even when they fail.
            unsafe {
                let element = self.scalar_or_open(reader, false)?;
                if element.is_null() {
                    self.frames[top].filled = filled;
                    return Ok(false);
                }
                python(set(container, filled, element))?;
            }
            filled += 1;
        }
        Ok(true)
    }

    /// Goes on with the dict on top; `false` if a key or value was opened before the end.
    ///
    /// # Safety
    /// The GIL is held.
    unsafe fn pairs(&mut self, reader: &mut Reader<'_>, start: &Reader<'_>) -> Result<bool, DecodeError> {
        let top = self.frames.len() - 1;
        let is_record = self.frames[top].size <= RECORD_KEYS;
        while self.frames[top].filled < self.frames[top].size {
            // SAFETY: the GIL is held.
            unsafe {
                if self.frames[top].key.is_null() {
                    self.frames[top].key_from = reader.position();
                    let key = self.scalar_or_open(reader, is_record)?;
                    if key.is_null() {
                        return Ok(false);
                    }
                    let frame = &mut self.frames[top];
                    (frame.key, frame.key_to) = (key, reader.position());
                }
                let value = self.scalar_or_open(reader, false)?;
                if value.is_null() {
                    return Ok(false);
                }
                self.pair(value, start)?;
            }
        }
        Ok(true)
    }

    /// Puts the pair of the key that came before and this value into the dict on top.
    ///
    /// # Safety
    /// The GIL is held, the frame on top is a dict with a key, and `value` is a reference that this call takes over.
    #[inline(always)]
    unsafe fn pair(&mut self, value: *mut PyObject, start: &Reader<'_>) -> Result<(), DecodeError> {
        let top = self.frames.len() - 1;
        let frame = &mut self.frames[top];
        let key = std::mem::replace(&mut frame.key, std::ptr::null_mut());
        frame.filled += 1;
        // SAFETY: the dict is ours alone; its setter takes references of its own.
        unsafe {
            let status = ffi::PyDict_SetItem(frame.object, key, value);
            ffi::Py_DECREF(key);
            ffi::Py_DECREF(value);
            if status < 0 || ffi::PyDict_Size(frame.object) != frame.filled {
                return Err(self.bad_key(status, start));
            }
        }
        Ok(())
    }

    /// Puts an element into the innermost container.
    ///
    /// # Safety
    /// The GIL is held, the stack is not empty, and `object` is a reference that this call takes over.
    #[inline]
    unsafe fn put(
        &mut self,
        object: *mut PyObject,
        reader: &Reader<'_>,
        start: &Reader<'_>,
    ) -> Result<(), DecodeError> {
        let top = self.frames.len() - 1;
        let frame = &mut self.frames[top];
        // SAFETY: the containers are ours alone, and `filled` is below their size. The setters of list and tuple steal the
        // reference even when they fail, the setter of dict does not.
        unsafe {
            match frame.container {
                Container::List => python(ffi::PyList_SetItem(frame.object, frame.filled, object))?,
                Container::Tuple => python(ffi::PyTuple_SetItem(frame.object, frame.filled, object))?,
                Container::Dict if frame.key.is_null() => {
                    frame.key = object;
                    frame.key_to = reader.position();
                    return Ok(());
                }
                Container::Dict => return self.pair(object, start),
            }
        }
        self.frames[top].filled += 1;
        Ok(())
    }

    #[cold]
    fn bad_key(&self, status: i32, start: &Reader<'_>) -> DecodeError {
        let encode = || {
            let frame = self.frames.last().expect("a key belongs to the dict on top");
            // SAFETY: only called with the GIL held.
            unsafe { super::refusal::copy_key(start, frame.key_from, frame.key_to, self.extent) }
        };
        if status >= 0 {
            return encode().map_or_else(|error| error, DecodeError::DuplicateKey);
        }
        // SAFETY: only called with the GIL held.
        unsafe {
            if ffi::PyErr_ExceptionMatches(ffi::PyExc_TypeError) == 0 {
                return DecodeError::Python;
            }
            ffi::PyErr_Clear();
        }
        encode().map_or_else(|error| error, DecodeError::UnsupportedKey)
    }

    /// # Safety
    /// The GIL is held; `object` is a new container of `count` elements, or NULL with an exception set.
    #[inline]
    pub(super) unsafe fn open(
        &mut self,
        container: Container,
        object: *mut PyObject,
        count: u32,
    ) -> Result<*mut PyObject, DecodeError> {
        if object.is_null() {
            return Err(DecodeError::Python);
        }
        self.frames.push(Frame {
            container,
            object,
            filled: 0,
            size: count as isize,
            key: std::ptr::null_mut(),
            key_from: 0,
            key_to: 0,
        });
        Ok(std::ptr::null_mut())
    }

    /// Gives up what an error left on the stack.
    ///
    /// # Safety
    /// The GIL is held.
    unsafe fn drop_frames(&mut self) {
        if self.frames.is_empty() {
            return;
        }
        // SAFETY: the stack owns these references. Deallocation must not see a pending exception change, so it is put aside.
        unsafe {
            let (mut class, mut value, mut trace) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
            ffi::PyErr_Fetch(&mut class, &mut value, &mut trace);
            for frame in self.frames.drain(..) {
                ffi::Py_XDECREF(frame.key);
                ffi::Py_DECREF(frame.object);
            }
            ffi::PyErr_Restore(class, value, trace);
        }
    }
}

#[inline]
fn python(status: i32) -> Result<(), DecodeError> {
    if status < 0 { Err(DecodeError::Python) } else { Ok(()) }
}
