//! Python exceptions as the payload of a reply.

use std::ffi::CStr;

use pyo3::ffi;
use shm_proto::etf::Writer;

use crate::invoke::{call, import};
use crate::object::Object;
use crate::symbols::symbols;

unsafe extern "C" {
    /// Part of the stable ABI since 3.8, but not declared by pyo3.
    fn PyExceptionClass_Name(class: *mut ffi::PyObject) -> *const std::ffi::c_char;
}

/// Links of a cause chain that are reported; user code can make a chain of any length.
const MAX_CAUSES: usize = 32;

/// Takes the exception that is set, with its traceback attached, and leaves none set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn take() -> Option<Object> {
    let (mut kind, mut value, mut traceback) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the three out-parameters become owned references or NULL, and each is wrapped once.
    unsafe {
        ffi::PyErr_Fetch(&mut kind, &mut value, &mut traceback);
        if kind.is_null() {
            return None;
        }
        ffi::PyErr_NormalizeException(&mut kind, &mut value, &mut traceback);
        let _kind = Object::owned(kind);
        let value = Object::owned(value);
        if let (Some(value), Some(traceback)) = (&value, Object::owned(traceback))
            && ffi::PyException_SetTraceback(value.as_ptr(), traceback.as_ptr()) < 0
        {
            ffi::PyErr_Clear();
        }
        value
    }
}

/// Appends `type`, `module`, `message`, `traceback`, cause chain and notes. Traceback, causes and notes cost
/// imports and time; without `detailed` they are left empty.
///
/// Runs user code (`__str__`); what that raises is replaced by a text and never leaves this function.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn describe(exception: &Object, detailed: bool, out: &mut Vec<u8>) {
    // SAFETY: the GIL is held for all of these.
    unsafe {
        summarize(exception, detailed, out);
        let mut seen = vec![exception.as_ptr()];
        let mut link = if detailed { cause(exception) } else { None };
        while let Some(exception) = link.take() {
            if seen.len() > MAX_CAUSES || seen.contains(&exception.as_ptr()) {
                break;
            }
            seen.push(exception.as_ptr());
            out.push(1);
            // A printed traceback holds those of all causes, so only the outermost is formatted.
            summarize(&exception, false, out);
            link = cause(&exception);
        }
        out.push(0);
        let notes = if detailed { notes(exception) } else { Vec::new() };
        Writer::new(out).u32(notes.len() as u32);
        for note in &notes {
            text(note, out);
        }
    }
}

/// # Safety
/// As [`describe`].
unsafe fn summarize(exception: &Object, with_traceback: bool, out: &mut Vec<u8>) {
    // SAFETY: the GIL is held; the type of a live object lives as long as the object.
    unsafe {
        text(&class_name(exception), out);
        let kind = ffi::Py_TYPE(exception.as_ptr());
        let module = Object::borrowed(kind.cast()).and_then(|kind| kind.attribute(c"__module__"));
        text(&module.map(|module| lossy(&module)).unwrap_or_default(), out);
        let message = Object::owned(ffi::PyObject_Str(exception.as_ptr()));
        text(&message.map_or_else(|| "<exception str() failed>".to_owned(), |text| lossy(&text)), out);
        ffi::PyErr_Clear();
        let traceback = if with_traceback { traceback(exception) } else { None };
        ffi::PyErr_Clear();
        text(&traceback.unwrap_or_default(), out);
    }
}

/// Name of the exception's class, without its module.
///
/// # Safety
/// The GIL is held and the object is an exception.
pub unsafe fn class_name(exception: &Object) -> String {
    // SAFETY: the type of a live object lives as long as the object, and so does its name.
    let name = unsafe {
        let kind = ffi::Py_TYPE(exception.as_ptr());
        CStr::from_ptr(PyExceptionClass_Name(kind.cast())).to_string_lossy()
    };
    name.rsplit('.').next().unwrap_or(&name).to_owned()
}

/// The text that Python prints for an exception that nobody catches.
///
/// # Safety
/// As [`describe`]; may leave an exception set.
unsafe fn traceback(exception: &Object) -> Option<String> {
    // SAFETY: the GIL is held; each call gets live objects.
    unsafe {
        let module = import(c"traceback")?;
        let format = module.attribute(c"format_exception")?;
        let tail = Object::owned(ffi::PyException_GetTraceback(exception.as_ptr()));
        let tail = tail.as_ref().map_or(ffi::Py_None(), Object::as_ptr);
        let kind = ffi::Py_TYPE(exception.as_ptr()).cast::<ffi::PyObject>();
        let lines = call(&format, &[kind, exception.as_ptr(), tail])?;
        let empty = Object::text("")?;
        let joined = Object::owned(ffi::PyUnicode_Join(empty.as_ptr(), lines.as_ptr()))?;
        Some(lossy(&joined))
    }
}

/// What Python would print as the origin of `exception`.
///
/// # Safety
/// The GIL is held.
unsafe fn cause(exception: &Object) -> Option<Object> {
    // SAFETY: the GIL is held and the object is an exception.
    unsafe {
        if let Some(cause) = Object::owned(ffi::PyException_GetCause(exception.as_ptr())) {
            return Some(cause);
        }
        let suppressed = exception.attribute(c"__suppress_context__");
        ffi::PyErr_Clear();
        if suppressed.is_some_and(|flag| flag.as_ptr() == ffi::Py_True()) {
            return None;
        }
        Object::owned(ffi::PyException_GetContext(exception.as_ptr()))
    }
}

/// What `add_note` (3.11 and later) attached.
///
/// # Safety
/// The GIL is held.
unsafe fn notes(exception: &Object) -> Vec<String> {
    // SAFETY: the GIL is held; list items are borrowed while the list is alive and turned into strong references.
    unsafe {
        let mut notes = Vec::new();
        if let Some(list) = exception.attribute(c"__notes__")
            && ffi::PyList_Check(list.as_ptr()) != 0
        {
            for index in 0..ffi::PyList_Size(list.as_ptr()) {
                let note = Object::borrowed(ffi::PyList_GetItem(list.as_ptr(), index));
                if let Some(note) = note.and_then(|note| Object::owned(ffi::PyObject_Str(note.as_ptr()))) {
                    notes.push(lossy(&note));
                }
                ffi::PyErr_Clear();
            }
        }
        ffi::PyErr_Clear();
        notes
    }
}

/// A `str` as UTF-8, lone surrogates as escapes; empty for anything else.
///
/// # Safety
/// The GIL is held. Leaves no exception set.
pub unsafe fn lossy(object: &Object) -> String {
    // SAFETY: the GIL is held; the bytes belong to the object and are copied while it lives.
    unsafe {
        if ffi::PyUnicode_Check(object.as_ptr()) == 0 {
            return String::new();
        }
        let mut len = 0;
        let data = (symbols().utf8_and_size)(object.as_ptr(), &mut len);
        if !data.is_null() {
            let bytes = std::slice::from_raw_parts(data.cast::<u8>(), len as usize);
            return String::from_utf8_lossy(bytes).into_owned();
        }
        ffi::PyErr_Clear();
        let escaped = Object::owned(ffi::PyUnicode_AsEncodedString(
            object.as_ptr(),
            c"utf-8".as_ptr(),
            c"backslashreplace".as_ptr(),
        ));
        let Some(escaped) = escaped else {
            ffi::PyErr_Clear();
            return String::new();
        };
        let (data, len) = (ffi::PyBytes_AsString(escaped.as_ptr()), ffi::PyBytes_Size(escaped.as_ptr()));
        String::from_utf8_lossy(std::slice::from_raw_parts(data.cast::<u8>(), len as usize)).into_owned()
    }
}

/// Appends a text; one beyond 4 GiB is cut off, which no reader of an error message will miss.
fn text(text: &str, out: &mut Vec<u8>) {
    let mut writer = Writer::new(out);
    if writer.text(text).is_err() {
        writer.u32(0);
    }
}
