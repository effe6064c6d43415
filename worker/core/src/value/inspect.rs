//! Objects beyond the usual classes: subclasses, the containers and buffers of the standard library, numpy, and what is left.

use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;
use shm_proto::etf::{ObjectKind, TooLong};
use shm_proto::request::{NoneAs, UnknownAs};

use super::atom::MAX_CHARACTERS;
use super::encode::{Container, EncodeError, Encoder, Step, Written, unsupported};
use super::extent::BufferView;
use super::{lazy, ndarray, opaque};
use crate::object::Object;
use crate::symbols::symbols;

/// Bytes of the largest integer that a BEAM takes apart (33,554,367 bits; OTP 26 and later take fewer and say so themselves).
const MAX_INT_BYTES: usize = 4_194_296;

const DONE: Step = Step::Written(Written::Odd);

/// Writes or opens `object`, whose class is `class`.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn encode(
    encoder: &mut Encoder<'_>,
    object: &Object,
    class: *mut PyTypeObject,
) -> Result<Step, EncodeError> {
    let pointer = object.as_ptr();
    // SAFETY: the GIL is held, and each access fits the class that was just tested.
    unsafe {
        let flags = ffi::PyType_GetFlags(class);
        let is = |flag| flags & flag != 0;
        if is(ffi::Py_TPFLAGS_UNICODE_SUBCLASS) {
            return text(encoder, object).map(|()| DONE);
        }
        if is(ffi::Py_TPFLAGS_BYTES_SUBCLASS) {
            let data = ffi::PyBytes_AsString(pointer).cast();
            let bytes = std::slice::from_raw_parts(data, ffi::PyBytes_Size(pointer) as usize);
            return encoder.binary(bytes, object).map(|()| DONE);
        }
        if is(ffi::Py_TPFLAGS_LONG_SUBCLASS) {
            return integer(encoder, object).map(|()| DONE);
        }
        for (flag, container) in [
            (ffi::Py_TPFLAGS_LIST_SUBCLASS, Container::List),
            (ffi::Py_TPFLAGS_TUPLE_SUBCLASS, Container::Tuple),
            (ffi::Py_TPFLAGS_DICT_SUBCLASS, Container::Dict),
        ] {
            if is(flag) {
                return encoder.open(container, pointer, pointer);
            }
        }
        let derives = |base| ffi::PyType_IsSubtype(class, base) != 0;
        if derives(&raw mut ffi::PyFloat_Type) {
            encoder.writer.float(ffi::PyFloat_AsDouble(pointer));
            return Ok(DONE);
        }
        let bound = Bound::from_borrowed_ptr(Python::assume_attached(), pointer);
        if let Some((kind, data)) = opaque::contents(&bound) {
            return match encoder.writer.opaque(kind, data) {
                Ok(()) => Ok(DONE),
                Err(_) => Err(unsupported(pointer)),
            };
        }
        encoder.python_runs();
        if derives(&raw mut ffi::PyByteArray_Type) || class == &raw mut ffi::PyMemoryView_Type {
            return buffer(encoder, object).map(|()| DONE);
        }
        if let Some(data) = as_list(object, class) {
            return encoder.open(Container::List, pointer, data?.as_ptr());
        }
        if class == &raw mut ffi::PyDictProxy_Type {
            let copy = Object::owned(ffi::PyDict_New()).ok_or(EncodeError::Python)?;
            if ffi::PyDict_Update(copy.as_ptr(), pointer) < 0 {
                return Err(EncodeError::Python);
            }
            return encoder.open(Container::Dict, pointer, copy.as_ptr());
        }
        if let Some(numpy) = lazy::numpy() {
            if numpy.ndarray.covers(class) {
                return ndarray::encode(encoder, object);
            }
            if numpy.generic.covers(class)
                && let Some(result) = ndarray::encode_scalar(encoder, object, class, numpy)
            {
                return result.map(|()| DONE);
            }
        }
        if encoder.at_top() && iterates(object) {
            return encoder.handle(ObjectKind::Generator, pointer).map(|()| DONE);
        }
        unknown(encoder, object).map(|()| DONE)
    }
}

/// Whether an object is an iterator, synchronous or not.
///
/// # Safety
/// The GIL is held.
unsafe fn iterates(object: &Object) -> bool {
    // SAFETY: the GIL is held and the object is alive.
    unsafe {
        let class = ffi::Py_TYPE(object.as_ptr()).cast();
        ffi::PyIter_Check(object.as_ptr()) != 0 || ffi::PyObject_HasAttrString(class, c"__anext__".as_ptr()) != 0
    }
}

/// The elements of a set, range, dict view, deque or array, as a list of its own.
///
/// # Safety
/// The GIL is held and `class` is the class of `object`.
unsafe fn as_list(object: &Object, class: *mut PyTypeObject) -> Option<Result<Object, EncodeError>> {
    let pointer = object.as_ptr();
    // SAFETY: the GIL is held and the object is alive.
    unsafe {
        let derives = |base| ffi::PyType_IsSubtype(class, base) != 0;
        let listed =
            |object: *mut PyObject| Some(Object::owned(ffi::PySequence_List(object)).ok_or(EncodeError::Python));
        if ffi::PyAnySet_CheckExact(pointer) != 0 {
            return listed(pointer);
        }
        if ffi::PyAnySet_Check(pointer) != 0 {
            // A copy of the base type leaves out what a subclass makes of iteration.
            return match Object::owned(ffi::PyFrozenSet_New(pointer)) {
                Some(copy) => listed(copy.as_ptr()),
                None => Some(Err(EncodeError::Python)),
            };
        }
        let listable = class == &raw mut ffi::PyRange_Type
            || derives(&raw mut ffi::PyDictKeys_Type)
            || derives(&raw mut ffi::PyDictValues_Type)
            || derives(&raw mut ffi::PyDictItems_Type)
            || lazy::deque().is_some_and(|deque| deque.covers(class))
            || lazy::array().is_some_and(|array| array.covers(class));
        if listable { listed(pointer) } else { None }
    }
}

/// # Safety
/// The GIL is held and `object` is a `str`.
pub(super) unsafe fn text(encoder: &mut Encoder<'_>, object: &Object) -> Result<(), EncodeError> {
    let pointer = object.as_ptr();
    // SAFETY: the GIL is held. The bytes belong to the object that `binary` is told of.
    unsafe {
        let mut len = 0;
        let data = (symbols().utf8_and_size)(pointer, &mut len);
        if data.is_null() {
            ffi::PyErr_Clear();
            let (encoding, errors) = (c"utf-8".as_ptr(), c"surrogateescape".as_ptr());
            let Some(bytes) = Object::owned(ffi::PyUnicode_AsEncodedString(pointer, encoding, errors)) else {
                return Err(unsupported_unless(ffi::PyExc_MemoryError, "str"));
            };
            let data = ffi::PyBytes_AsString(bytes.as_ptr()).cast();
            let len = ffi::PyBytes_Size(bytes.as_ptr()) as usize;
            return encoder.binary(std::slice::from_raw_parts(data, len), &bytes);
        }
        let bytes = std::slice::from_raw_parts(data.cast(), len as usize);
        if ffi::Py_TYPE(pointer) == encoder.interp.atom_type {
            if ffi::PyUnicode_GetLength(pointer) > MAX_CHARACTERS {
                return Err(unsupported(pointer));
            }
            return match atom(encoder, std::str::from_utf8_unchecked(bytes)) {
                Ok(()) => Ok(()),
                Err(_) => Err(unsupported(pointer)),
            };
        }
        encoder.binary(bytes, object)
    }
}

/// Atoms that have a tag of their own are written with it, so that one atom has one encoding.
fn atom(encoder: &mut Encoder<'_>, name: &str) -> Result<(), TooLong> {
    let writer = &mut encoder.writer;
    match name {
        "true" | "false" => writer.bool(name == "true"),
        "none" if encoder.options.none() == NoneAs::None => writer.none(),
        "nan" => writer.nan(),
        "infinity" => writer.inf(),
        "neg_infinity" => writer.neg_inf(),
        _ => return writer.atom(name),
    }
    Ok(())
}

/// # Safety
/// The GIL is held and `object` is an `int`.
pub(super) unsafe fn integer(encoder: &mut Encoder<'_>, object: &Object) -> Result<(), EncodeError> {
    let pointer = object.as_ptr();
    let end = std::ptr::null_mut::<PyObject>();
    let owned = |pointer| {
        // SAFETY: the GIL is held; results of calls are new references.
        unsafe { Object::owned(pointer) }.ok_or(EncodeError::Python)
    };
    let interp = encoder.interp;
    // SAFETY: the GIL is held; `int`'s own methods are called with an int, so no override of a subclass runs.
    unsafe {
        let mut overflow = 0;
        let value = ffi::PyLong_AsLongLongAndOverflow(pointer, &mut overflow);
        if overflow == 0 {
            encoder.writer.int(value);
            return Ok(());
        }
        let bits = owned(ffi::PyObject_CallFunctionObjArgs(interp.int_bit_length, pointer, end))?;
        let len = ffi::PyLong_AsSize_t(bits.as_ptr()).div_ceil(8);
        if len > MAX_INT_BYTES {
            return Err(EncodeError::Unsupported { type_name: "int".into() });
        }
        let len = owned(ffi::PyLong_FromSize_t(len))?;
        let negated = match overflow {
            ..0 => Some(owned(ffi::PyObject_CallFunctionObjArgs(interp.int_neg, pointer, end))?),
            _ => None,
        };
        let absolute = negated.as_ref().map_or(pointer, Object::as_ptr);
        let to_bytes = interp.int_to_bytes;
        let little = interp.little;
        let bytes = owned(ffi::PyObject_CallFunctionObjArgs(to_bytes, absolute, len.as_ptr(), little, end))?;
        let data = ffi::PyBytes_AsString(bytes.as_ptr()).cast();
        let magnitude = std::slice::from_raw_parts(data, ffi::PyBytes_Size(bytes.as_ptr()) as usize);
        encoder.writer.big(overflow < 0, magnitude).map_err(|_| unsupported(pointer))
    }
}

/// # Safety
/// The GIL is held and `object` is a bytearray or memoryview.
unsafe fn buffer(encoder: &mut Encoder<'_>, object: &Object) -> Result<(), EncodeError> {
    // SAFETY: the GIL is held.
    unsafe {
        if let Some(view) = BufferView::of(object.as_ptr()) {
            return encoder.view(view, object);
        }
        if ffi::PyErr_ExceptionMatches(ffi::PyExc_BufferError) == 0 {
            return Err(EncodeError::Python);
        }
        ffi::PyErr_Clear();
        let bytes = call_method(object, c"tobytes")?;
        let view = BufferView::of(bytes.as_ptr()).ok_or(EncodeError::Python)?;
        encoder.view(view, object)
    }
}

/// An object that the type table does not name.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn unknown(encoder: &mut Encoder<'_>, object: &Object) -> Result<(), EncodeError> {
    // SAFETY: the GIL is held.
    unsafe {
        match encoder.options.unknown() {
            UnknownAs::Str => {
                let string = Object::owned(ffi::PyObject_Str(object.as_ptr())).ok_or(EncodeError::Python)?;
                text(encoder, &string)
            }
            UnknownAs::Ref => encoder.handle(ObjectKind::Object, object.as_ptr()),
            UnknownAs::Error => Err(unsupported(object.as_ptr())),
        }
    }
}

/// The result of a method without arguments.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn call_method(object: &Object, name: &std::ffi::CStr) -> Result<Object, EncodeError> {
    // SAFETY: the GIL is held; the list of arguments ends with NULL.
    unsafe {
        let method = object.attribute(name).ok_or(EncodeError::Python)?;
        let end = std::ptr::null_mut::<PyObject>();
        Object::owned(ffi::PyObject_CallFunctionObjArgs(method.as_ptr(), end)).ok_or(EncodeError::Python)
    }
}

/// The pending exception if it is one of `class`, else a refusal that names `type_name`.
///
/// # Safety
/// The GIL is held and an exception is set.
unsafe fn unsupported_unless(class: *mut PyObject, type_name: &str) -> EncodeError {
    // SAFETY: the caller's promise.
    unsafe {
        if ffi::PyErr_ExceptionMatches(class) != 0 {
            return EncodeError::Python;
        }
        ffi::PyErr_Clear();
    }
    EncodeError::Unsupported { type_name: type_name.into() }
}

/// The name of a class as it appears in refusals.
///
/// # Safety
/// The GIL is held and `class` is alive.
pub(super) unsafe fn class_name(class: *mut PyTypeObject) -> String {
    // SAFETY: the GIL is held; the text is copied while its object is alive.
    unsafe {
        let name = Object::owned(ffi::PyObject_GetAttrString(class.cast(), c"__name__".as_ptr()));
        if let Some(name) = name.filter(|name| ffi::PyUnicode_Check(name.as_ptr()) != 0) {
            let mut len = 0;
            let data = (symbols().utf8_and_size)(name.as_ptr(), &mut len);
            if !data.is_null() {
                let bytes = std::slice::from_raw_parts(data.cast(), len as usize);
                return String::from_utf8_lossy(bytes).into_owned();
            }
        }
        ffi::PyErr_Clear();
    }
    "object".into()
}
