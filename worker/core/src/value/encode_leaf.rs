//! The objects at the ends of an encoded value.

use pyo3::ffi::{self, PyObject};
use shm_proto::etf::{BlobKind, TooLong};
use shm_proto::request::NoneAs;

use super::BLOB_BYTES;
use super::encode::{EncodeError, Encoder, Written, unsupported};
use super::extent::BufferView;
use crate::object::Object;

impl Encoder<'_> {
    /// Writes an object of the usual scalar classes; `None` for every other object. Runs no Python code.
    ///
    /// # Safety
    /// The GIL is held and `object` is alive.
    #[inline]
    pub(super) unsafe fn plain(&mut self, object: *mut PyObject) -> Option<Written> {
        // SAFETY: the GIL is held, and the class was looked at before each access.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyUnicode_Type {
                let text = self.short_text(object)?;
                self.writer.binary(text).ok()?;
                Some(Written::Text)
            } else if class == &raw mut ffi::PyLong_Type {
                let mut overflow = 0;
                let value = ffi::PyLong_AsLongLongAndOverflow(object, &mut overflow);
                if overflow != 0 {
                    return None;
                }
                self.writer.int(value);
                Some(Written::Distinct)
            } else if class == &raw mut ffi::PyFloat_Type {
                let value = ffi::PyFloat_AsDouble(object);
                self.writer.float(value);
                Some(if value.is_nan() { Written::Odd } else { Written::Distinct })
            } else if class == &raw mut ffi::PyBytes_Type {
                let len = ffi::PyBytes_Size(object);
                if len >= BLOB_BYTES as isize {
                    return None;
                }
                let data = ffi::PyBytes_AsString(object).cast();
                self.writer.binary(std::slice::from_raw_parts(data, len as usize)).ok()?;
                Some(Written::Bytes)
            } else if object == ffi::Py_None() {
                match self.options.none() {
                    NoneAs::None => self.writer.none(),
                    NoneAs::Nil => self.writer.atom("nil").ok()?,
                    NoneAs::Undefined => self.writer.atom("undefined").ok()?,
                }
                Some(Written::Distinct)
            } else if class == &raw mut ffi::PyBool_Type {
                self.writer.bool(object == ffi::Py_True());
                Some(Written::Distinct)
            } else {
                None
            }
        }
    }

    /// The UTF-8 of a `str`, if it has one and is not for a blob. No exception is left behind.
    ///
    /// # Safety
    /// The GIL is held, `object` is a `str`, and the result is not used after it.
    #[inline]
    unsafe fn short_text<'t>(&self, object: *mut PyObject) -> Option<&'t [u8]> {
        // SAFETY: the caller's promise; the bytes belong to the object.
        unsafe {
            let mut len = 0;
            let data = (self.symbols.utf8_and_size)(object, &mut len);
            if data.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            (len < BLOB_BYTES as isize).then(|| std::slice::from_raw_parts(data.cast(), len as usize))
        }
    }

    fn may_be_blob(&self, len: usize) -> bool {
        len >= BLOB_BYTES && !self.in_key()
    }

    /// Writes immutable bytes that belong to `owner`.
    ///
    /// # Safety
    /// `bytes` stay valid as long as `owner` is alive.
    pub(super) unsafe fn binary(&mut self, bytes: &[u8], owner: &Object) -> Result<(), EncodeError> {
        if self.may_be_blob(bytes.len()) {
            // SAFETY: the caller's promise.
            let offset = unsafe { self.blobs.push_object(bytes, owner.clone()) };
            self.writer.blob(BlobKind::Binary, offset, bytes.len() as u64);
            return Ok(());
        }
        // SAFETY: the GIL is held by the contract of `encode_value`.
        self.writer.binary(bytes).map_err(|_: TooLong| unsafe { unsupported(owner.as_ptr()) })
    }

    /// Writes the bytes that a view shows.
    pub(super) fn view(&mut self, view: BufferView, source: &Object) -> Result<(), EncodeError> {
        let len = view.as_slice().len();
        if self.may_be_blob(len) {
            let offset = self.blobs.push_view(view);
            self.writer.blob(BlobKind::Binary, offset, len as u64);
            return Ok(());
        }
        // SAFETY: the GIL is held by the contract of `encode_value`.
        self.writer.binary(view.as_slice()).map_err(|_: TooLong| unsafe { unsupported(source.as_ptr()) })
    }
}
