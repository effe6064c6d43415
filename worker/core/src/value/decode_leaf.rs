//! The values at the ends of a decoded term, and the opening of containers.

use pyo3::Python;
use pyo3::ffi::{self, PyObject};
use shm_proto::etf::{BlobKind, EtfError, Reader, Token};

use super::decode::{Container, DecodeError, Decoder};
use super::{buffer, ndarray, opaque, text};
use crate::handle;

impl<'e> Decoder<'e> {
    /// The object of a term without parts, or NULL after a container was put on the stack. `is_name`: a text is likely to come
    /// again.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline(always)]
    pub(super) unsafe fn scalar_or_open(
        &mut self,
        reader: &mut Reader<'_>,
        is_name: bool,
    ) -> Result<*mut PyObject, DecodeError> {
        // Matching the result as a whole, without `?`, spares moving the token through memory: 7 us instead of 12 for a list
        // of 1000 integers.
        // SAFETY: the GIL is held.
        let object = unsafe {
            if let Some(value) = reader.short_int() {
                return checked(ffi::PyLong_FromLong(value.into()));
            }
            match reader.next() {
                Err(error) => return Err(error.into()),
                // The variant for `long long` has no short way for one digit.
                Ok(Token::Int(value)) => ffi::PyLong_FromLong(value),
                Ok(Token::Float(value)) => ffi::PyFloat_FromDouble(value),
                Ok(Token::Binary(bytes)) if self.binary_is_bytes => text::bytes_object(bytes),
                Ok(Token::Binary(bytes)) if is_name => {
                    let key = self.interp.texts().get(bytes);
                    if key.is_null() { bytes_unless_raised(bytes) } else { key }
                }
                Ok(Token::Binary(bytes)) => str_or_bytes(bytes),
                Ok(Token::Atom(name)) => self.atom(name),
                Ok(Token::True) => new_reference(ffi::Py_True()),
                Ok(Token::False) => new_reference(ffi::Py_False()),
                Ok(Token::None) => new_reference(ffi::Py_None()),
                Ok(Token::List(count)) => {
                    let list = ffi::PyList_New(count as isize);
                    return self.open(Container::List, list, count);
                }
                Ok(Token::Tuple(count)) => {
                    let tuple = ffi::PyTuple_New(count as isize);
                    if count == 0 {
                        return checked(tuple);
                    }
                    return self.open(Container::Tuple, tuple, count);
                }
                Ok(Token::Map(count)) => {
                    return self.open(Container::Dict, ffi::PyDict_New(), count);
                }
                Ok(other) => return self.rare(other, reader, is_name),
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
        is_name: bool,
    ) -> Result<*mut PyObject, DecodeError> {
        // SAFETY: the GIL is held.
        let object = unsafe {
            match token {
                Token::Nil => ffi::PyList_New(0),
                Token::Str(text) if is_name => self.interp.texts().get(text.as_bytes()),
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
                Token::Object { id, .. } => match handle::get(id) {
                    Some(object) => object.into_ptr(),
                    None => return Err(DecodeError::Released),
                },
                Token::AsTuple => match reader.next()? {
                    Token::Tuple(0) => ffi::PyTuple_New(0),
                    Token::Tuple(count) => {
                        let tuple = ffi::PyTuple_New(count as isize);
                        return self.open(Container::Tuple, tuple, count);
                    }
                    _ => {
                        return Err(DecodeError::Malformed("a tuple mark stands before something else"));
                    }
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
                (BlobKind::Buffer, Some(extent)) => buffer::view(self.interp.buffer_type, bytes, extent.lease),
                (BlobKind::Buffer, None) => {
                    return Err(DecodeError::Malformed("a buffer has no extent"));
                }
            }
        })
    }
}

#[inline]
fn checked(object: *mut PyObject) -> Result<*mut PyObject, DecodeError> {
    if object.is_null() { Err(DecodeError::Python) } else { Ok(object) }
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
    unsafe { if ffi::PyErr_Occurred().is_null() { text::bytes_object(bytes) } else { std::ptr::null_mut() } }
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
