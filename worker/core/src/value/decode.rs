//! Terms to objects.

use pyo3::Python;
use pyo3::ffi::{self, PyObject};
use shm_proto::etf::{BlobKind, EtfError, Reader, Token};
use shm_proto::request::Options;
use thiserror::Error;

use super::extent::ExtentRef;
use super::interp::{Interp, interp};
use super::{buffer, ndarray, opaque, text};

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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
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
    interp: &'static Interp,
    extent: Option<&'e ExtentRef<'e>>,
    binary_is_bytes: bool,
}

impl<'e> Decoder<'e> {
    pub(super) fn new(options: Options, extent: Option<&'e ExtentRef<'e>>) -> Self {
        Self {
            frames: Vec::new(),
            interp: interp(),
            extent,
            binary_is_bytes: options.has(Options::BINARY_BYTES),
        }
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
    unsafe fn fill(
        &mut self,
        reader: &mut Reader<'_>,
        start: &Reader<'_>,
    ) -> Result<*mut PyObject, DecodeError> {
        // SAFETY: the GIL is held. Objects on the stack are ours; each `object` below is a reference that is either
        // stolen by a container or given up.
        unsafe {
            loop {
                let top = self.frames.len() - 1;
                let frame = &mut self.frames[top];
                if frame.filled == frame.size {
                    if frame.container == Container::List && reader.next()? != Token::Nil {
                        return Err(DecodeError::Malformed("a list has no proper tail"));
                    }
                    let object = frame.object;
                    self.frames.pop();
                    if self.frames.is_empty() {
                        return Ok(object);
                    }
                    self.put(object, reader, start)?;
                    continue;
                }
                let wants_key = frame.container == Container::Dict && frame.key.is_null();
                if wants_key {
                    frame.key_from = reader.position();
                }
                let object = self.scalar_or_open(reader, wants_key)?;
                if !object.is_null() {
                    self.put(object, reader, start)?;
                }
            }
        }
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
                Container::Dict => {
                    let key = std::mem::replace(&mut frame.key, std::ptr::null_mut());
                    let status = ffi::PyDict_SetItem(frame.object, key, object);
                    ffi::Py_DECREF(key);
                    ffi::Py_DECREF(object);
                    if status < 0 || ffi::PyDict_Size(frame.object) != frame.filled + 1 {
                        return Err(self.bad_key(status, start));
                    }
                }
            }
            let frame = &mut self.frames[top];
            frame.filled += 1;
        }
        Ok(())
    }

    #[cold]
    fn bad_key(&self, status: i32, start: &Reader<'_>) -> DecodeError {
        let encode = || {
            let frame = self.frames.last().expect("a key belongs to the dict on top");
            super::refusal::copy_key(start, frame.key_from, frame.key_to, self.extent)
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

    /// The object of a term without parts, or NULL after a container was put on the stack.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline]
    unsafe fn scalar_or_open(
        &mut self,
        reader: &mut Reader<'_>,
        is_key: bool,
    ) -> Result<*mut PyObject, DecodeError> {
        // SAFETY: the GIL is held.
        let object = unsafe {
            match reader.next()? {
                Token::Int(value) => ffi::PyLong_FromLongLong(value),
                Token::Float(value) => ffi::PyFloat_FromDouble(value),
                Token::Binary(bytes) if self.binary_is_bytes => text::bytes_object(bytes),
                Token::Binary(bytes) if is_key => {
                    let key = self.interp.texts().get(bytes);
                    if key.is_null() { bytes_unless_raised(bytes) } else { key }
                }
                Token::Binary(bytes) => str_or_bytes(bytes),
                Token::Atom(name) => self.atom(name),
                Token::True => new_reference(ffi::Py_True()),
                Token::False => new_reference(ffi::Py_False()),
                Token::None => new_reference(ffi::Py_None()),
                Token::List(count) => {
                    let list = ffi::PyList_New(count as isize);
                    return self.open(Container::List, list, count);
                }
                Token::Tuple(count) => {
                    let tuple = ffi::PyTuple_New(count as isize);
                    if count == 0 {
                        return checked(tuple);
                    }
                    return self.open(Container::Tuple, tuple, count);
                }
                Token::Map(count) => return self.open(Container::Dict, ffi::PyDict_New(), count),
                other => return self.rare(other, reader, is_key),
            }
        };
        checked(object)
    }

    /// # Safety
    /// The GIL is held.
    #[inline(never)]
    unsafe fn rare(
        &mut self,
        token: Token<'_>,
        reader: &mut Reader<'_>,
        is_key: bool,
    ) -> Result<*mut PyObject, DecodeError> {
        // SAFETY: the GIL is held.
        let object = unsafe {
            match token {
                Token::Nil => ffi::PyList_New(0),
                Token::Str(text) if is_key => self.interp.texts().get(text.as_bytes()),
                Token::Str(text) => str_object(text),
                Token::Bytes(bytes) => text::bytes_object(bytes),
                Token::Nan => ffi::PyFloat_FromDouble(f64::NAN),
                Token::Inf => ffi::PyFloat_FromDouble(f64::INFINITY),
                Token::NegInf => ffi::PyFloat_FromDouble(f64::NEG_INFINITY),
                Token::ByteList(bytes) => byte_list(bytes),
                Token::Big { negative, magnitude } => self.big(negative, magnitude),
                Token::Blob { kind, offset, len } => self.blob(kind, offset, len)?,
                Token::Opaque { kind, data } => {
                    let py = Python::assume_attached();
                    match opaque::object(py, kind, data) {
                        Ok(object) => object.into_ptr(),
                        Err(error) => {
                            error.restore(py);
                            std::ptr::null_mut()
                        }
                    }
                }
                Token::AsTuple => match reader.next()? {
                    Token::Tuple(0) => ffi::PyTuple_New(0),
                    Token::Tuple(count) => {
                        let tuple = ffi::PyTuple_New(count as isize);
                        return self.open(Container::Tuple, tuple, count);
                    }
                    _ => return Err(DecodeError::Malformed("a tuple mark stands before something else")),
                },
                Token::Ndarray { dtype, shape } => {
                    let data = match reader.next()? {
                        Token::Bytes(data) | Token::Binary(data) => data,
                        Token::Blob { offset, len, .. } => self.blob_bytes(offset, len)?,
                        _ => return Err(DecodeError::Malformed("an array has no data")),
                    };
                    ndarray::decode(dtype, shape, data)
                }
                _ => return Err(DecodeError::Malformed("unexpected token")),
            }
        };
        checked(object)
    }

    /// # Safety
    /// The GIL is held; `object` is a new container of `count` elements, or NULL with an exception set.
    #[inline]
    unsafe fn open(
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

    /// # Safety
    /// The GIL is held.
    unsafe fn atom(&self, name: &str) -> *mut PyObject {
        // SAFETY: the GIL is held.
        unsafe {
            match name {
                "true" => new_reference(ffi::Py_True()),
                "false" => new_reference(ffi::Py_False()),
                "none" | "nil" | "undefined" => new_reference(ffi::Py_None()),
                _ => self.interp.texts().get(name.as_bytes()),
            }
        }
    }

    /// # Safety
    /// The GIL is held.
    unsafe fn big(&self, negative: bool, magnitude: &[u8]) -> *mut PyObject {
        let end = std::ptr::null_mut::<PyObject>();
        // SAFETY: the GIL is held, all arguments are live objects and the list of arguments ends with NULL.
        unsafe {
            let bytes = text::bytes_object(magnitude);
            if bytes.is_null() {
                return bytes;
            }
            let from_bytes = self.interp.int_from_bytes;
            let value = ffi::PyObject_CallFunctionObjArgs(from_bytes, bytes, self.interp.little, end);
            ffi::Py_DECREF(bytes);
            if value.is_null() || !negative {
                return value;
            }
            let negated = ffi::PyNumber_Negative(value);
            ffi::Py_DECREF(value);
            negated
        }
    }

    fn blob_bytes(&self, offset: u64, len: u64) -> Result<&'e [u8], DecodeError> {
        self.extent
            .and_then(|extent| extent.blob(offset, len))
            .ok_or(DecodeError::Malformed("a blob lies outside its area"))
    }

    /// # Safety
    /// The GIL is held.
    unsafe fn blob(&self, kind: BlobKind, offset: u64, len: u64) -> Result<*mut PyObject, DecodeError> {
        let bytes = self.blob_bytes(offset, len)?;
        // SAFETY: the GIL is held; the lease keeps the bytes of the extent valid.
        Ok(unsafe {
            match (kind, self.extent) {
                (BlobKind::Bytes, _) => text::bytes_object(bytes),
                (BlobKind::Binary, _) if self.binary_is_bytes => text::bytes_object(bytes),
                (BlobKind::Binary, _) => str_or_bytes(bytes),
                (BlobKind::Str, _) => match std::str::from_utf8(bytes) {
                    Ok(text) => str_object(text),
                    Err(_) => return Err(DecodeError::Etf(EtfError::Utf8)),
                },
                (BlobKind::Buffer, Some(extent)) => {
                    buffer::view(self.interp.buffer_type, bytes, extent.lease)
                }
                (BlobKind::Buffer, None) => return Err(DecodeError::Malformed("a buffer has no extent")),
            }
        })
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
            let (mut class, mut value, mut trace) =
                (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
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
fn checked(object: *mut PyObject) -> Result<*mut PyObject, DecodeError> {
    if object.is_null() { Err(DecodeError::Python) } else { Ok(object) }
}

#[inline]
fn python(status: i32) -> Result<(), DecodeError> {
    if status < 0 { Err(DecodeError::Python) } else { Ok(()) }
}

/// # Safety
/// The GIL is held and `object` is alive.
#[inline]
unsafe fn new_reference(object: *mut PyObject) -> *mut PyObject {
    // SAFETY: the caller's promise.
    unsafe { ffi::Py_INCREF(object) };
    object
}

/// # Safety
/// The GIL is held.
unsafe fn str_object(text: &str) -> *mut PyObject {
    // SAFETY: the GIL is held; pointer and length are those of a str.
    unsafe { ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as isize) }
}

/// # Safety
/// The GIL is held.
#[inline]
unsafe fn str_or_bytes(bytes: &[u8]) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        let text = text::text_if_utf8(bytes);
        if text.is_null() { bytes_unless_raised(bytes) } else { text }
    }
}

/// # Safety
/// The GIL is held.
#[cold]
unsafe fn bytes_unless_raised(bytes: &[u8]) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        if ffi::PyErr_Occurred().is_null() { text::bytes_object(bytes) } else { std::ptr::null_mut() }
    }
}

/// # Safety
/// The GIL is held.
unsafe fn byte_list(bytes: &[u8]) -> *mut PyObject {
    // SAFETY: the GIL is held; the list is ours, and its setter steals each reference.
    unsafe {
        let list = ffi::PyList_New(bytes.len() as isize);
        if list.is_null() {
            return list;
        }
        for (index, byte) in bytes.iter().enumerate() {
            let item = ffi::PyLong_FromLong((*byte).into());
            if item.is_null() || ffi::PyList_SetItem(list, index as isize, item) < 0 {
                ffi::Py_DECREF(list);
                return std::ptr::null_mut();
            }
        }
        list
    }
}
