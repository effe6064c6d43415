//! Arrays and scalars of numpy, which is imported only when an array comes from Erlang.

use pyo3::ffi::{self, PyObject, PyTypeObject};
use shm_proto::etf::{BlobKind, ShapeIter};
use shm_proto::request::Options;

use super::encode::{Container, EncodeError, Encoder, Step, Written, unsupported};
use super::extent::BufferView;
use super::inspect::{self, call_method};
use super::lazy::Numpy;
use super::{BLOB_BYTES, buffer};
use crate::invoke::import;
use crate::object::Object;

/// A writable array of its own memory; a read-only view of the bytes if numpy is not installed; NULL with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn decode(dtype: &str, shape: ShapeIter<'_>, data: &[u8]) -> *mut PyObject {
    // SAFETY: the GIL is held.
    unsafe {
        match import(c"numpy") {
            Some(numpy) => build(&numpy, dtype, shape, data).map_or(std::ptr::null_mut(), Object::into_ptr),
            None if ffi::PyErr_ExceptionMatches(ffi::PyExc_ImportError) != 0 => {
                ffi::PyErr_Clear();
                buffer::view_of_copy(data)
            }
            None => std::ptr::null_mut(),
        }
    }
}

/// # Safety
/// The GIL is held.
unsafe fn build(numpy: &Object, dtype: &str, shape: ShapeIter<'_>, data: &[u8]) -> Option<Object> {
    // SAFETY: the GIL is held; the tuple is ours and its setter steals the reference; the list of arguments ends with NULL.
    unsafe {
        let extents = Object::owned(ffi::PyTuple_New(shape.len() as isize))?;
        for (index, extent) in shape.enumerate() {
            let extent = Object::owned(ffi::PyLong_FromUnsignedLongLong(extent))?.into_ptr();
            if ffi::PyTuple_SetItem(extents.as_ptr(), index as isize, extent) < 0 {
                return None;
            }
        }
        let make_dtype = numpy.attribute(c"dtype")?;
        let name = Object::text(dtype)?;
        let end = std::ptr::null_mut::<PyObject>();
        let dtype = Object::owned(ffi::PyObject_CallFunctionObjArgs(make_dtype.as_ptr(), name.as_ptr(), end))?;
        // numpy itself would take the bytes for pointers to objects.
        if dtype.attribute(c"hasobject")?.as_ptr() != ffi::Py_False() {
            return value_error(c"an array of objects cannot come from bytes");
        }
        let memory = Object::owned(ffi::PyByteArray_FromStringAndSize(data.as_ptr().cast(), data.len() as isize))?;
        let class = numpy.attribute(c"ndarray")?;
        let array = Object::owned(ffi::PyObject_CallFunctionObjArgs(
            class.as_ptr(),
            extents.as_ptr(),
            dtype.as_ptr(),
            memory.as_ptr(),
            end,
        ))?;
        let size = ffi::PyLong_AsSize_t(array.attribute(c"nbytes")?.as_ptr());
        if size != data.len() {
            return value_error(c"the data of an array do not have the size of its shape");
        }
        Some(array)
    }
}

/// # Safety
/// The GIL is held.
unsafe fn value_error(message: &std::ffi::CStr) -> Option<Object> {
    // SAFETY: the GIL is held.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_ValueError, message.as_ptr()) };
    None
}

/// Writes or opens an array: as nested lists, or with its dtype, shape and data if the caller asked for it.
///
/// # Safety
/// The GIL is held and `array` is an ndarray.
pub(super) unsafe fn encode(encoder: &mut Encoder<'_>, array: &Object) -> Result<Step, EncodeError> {
    // SAFETY: the GIL is held.
    unsafe {
        let dtype = array.attribute(c"dtype").ok_or(EncodeError::Python)?;
        let kind = string(&dtype, c"kind")?;
        if encoder.options.has(Options::NDARRAY_BINARY) && !encoder.in_key() && !matches!(kind.as_str(), "O" | "V") {
            return encode_binary(encoder, array, &dtype, &kind);
        }
        let list = call_method(array, c"tolist")?;
        if ffi::PyList_Check(list.as_ptr()) != 0 {
            return encoder.open(Container::List, array.as_ptr(), list.as_ptr());
        }
        // The single element of an array without dimensions; one of objects could hold such an array again.
        if kind == "O" {
            inspect::unknown(encoder, array)?;
            return Ok(Step::Written(Written::Odd));
        }
        encoder.value(list.as_ptr())
    }
}

/// # Safety
/// The GIL is held, `array` is an ndarray and `dtype` its element type.
unsafe fn encode_binary(
    encoder: &mut Encoder<'_>,
    array: &Object,
    dtype: &Object,
    kind: &str,
) -> Result<Step, EncodeError> {
    // SAFETY: the GIL is held, and the tuple lends its elements.
    unsafe {
        let native = dtype.attribute(c"isnative").ok_or(EncodeError::Python)?;
        let plain = native.as_ptr() == ffi::Py_True() && "biufc".contains(kind);
        let name = string(dtype, if plain { c"name" } else { c"str" })?;
        let shape = array.attribute(c"shape").ok_or(EncodeError::Python)?;
        let mut extents = Vec::new();
        for index in 0..ffi::PyTuple_Size(shape.as_ptr()) {
            extents.push(ffi::PyLong_AsUnsignedLongLong(ffi::PyTuple_GetItem(shape.as_ptr(), index)));
        }
        let view = match BufferView::of(array.as_ptr()) {
            Some(view) => view,
            None => {
                ffi::PyErr_Clear();
                let bytes = call_method(array, c"tobytes")?;
                BufferView::of(bytes.as_ptr()).ok_or(EncodeError::Python)?
            }
        };
        encoder.writer.ndarray_header(&name, &extents).map_err(|_| unsupported(array.as_ptr()))?;
        let len = view.as_slice().len();
        if len >= BLOB_BYTES {
            let offset = encoder.blobs.push_view(view);
            encoder.writer.blob(BlobKind::Bytes, offset, len as u64);
        } else if encoder.writer.bytes(view.as_slice()).is_err() {
            return Err(unsupported(array.as_ptr()));
        }
    }
    Ok(Step::Written(Written::Odd))
}

/// Writes a truth value or number of numpy; `None` for its other scalars, with no exception set.
///
/// # Safety
/// The GIL is held and `class` is the class of `scalar`.
pub(super) unsafe fn encode_scalar(
    encoder: &mut Encoder<'_>,
    scalar: &Object,
    class: *mut PyTypeObject,
    numpy: Numpy,
) -> Option<Result<(), EncodeError>> {
    // SAFETY: the GIL is held.
    unsafe {
        if numpy.bool.covers(class) {
            encoder.writer.bool(ffi::PyObject_IsTrue(scalar.as_ptr()) == 1);
            return Some(Ok(()));
        }
        if numpy.integer.covers(class) {
            // Time spans count as integers by class but are none.
            let Some(value) = Object::owned(ffi::PyNumber_Index(scalar.as_ptr())) else {
                ffi::PyErr_Clear();
                return None;
            };
            return Some(inspect::integer(encoder, &value));
        }
        if numpy.floating.covers(class) {
            let Some(value) = Object::owned(ffi::PyNumber_Float(scalar.as_ptr())) else {
                return Some(Err(EncodeError::Python));
            };
            encoder.writer.float(ffi::PyFloat_AsDouble(value.as_ptr()));
            return Some(Ok(()));
        }
    }
    None
}

/// A text attribute.
///
/// # Safety
/// The GIL is held.
unsafe fn string(object: &Object, name: &std::ffi::CStr) -> Result<String, EncodeError> {
    // SAFETY: the GIL is held; the text is copied while its object is alive.
    unsafe {
        let text = object.attribute(name).ok_or(EncodeError::Python)?;
        let mut len = 0;
        let data = (crate::symbols::symbols().utf8_and_size)(text.as_ptr(), &mut len);
        if data.is_null() {
            return Err(EncodeError::Python);
        }
        let bytes = std::slice::from_raw_parts(data.cast(), len as usize);
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}
