//! Objects to terms.
//!
//! # Keys that collide
//! `str`, `int`, `float`, `bool` and `None` keys never become equal terms, nor do `bytes` keys among themselves, so a dict of those alone
//! is written in one pass. A dict that mixes `str` with `bytes` or has any other key (a tuple, a subclass, NaN, a `str` with lone
//! surrogates, ...), or while which Python code ran, has the encoded bytes of its keys compared at the end: one value has one encoding,
//! because inside a key nothing is moved out into a blob.
//!
//! # Cycles
//! A cycle is nesting without end, so looking for one is put off: up to a depth of 16 each container is compared with
//! those around it; beyond that the whole stack is searched for a repetition each time its depth has doubled.

use std::collections::HashSet;

use pyo3::ffi::{self, PyObject};
use shm_proto::etf::{ObjectKind, Writer};
use shm_proto::request::Options;
use thiserror::Error;

use super::extent::BlobSink;
use super::inspect;
use super::interp::{Interp, interp};
use crate::handle;
use crate::object::Object;
use crate::symbols::{Symbols, symbols};

/// Why an object did not become a term.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// The object, or one inside it, has no term.
    #[error("could not encode an object: {type_name} has no term")]
    Unsupported {
        /// Name of its class, or `duplicate_key` for a dict whose keys collide.
        type_name: String,
    },
    /// A container contains itself.
    #[error("could not encode an object: it contains itself")]
    Cycle,
    /// A Python exception is set.
    #[error("could not encode an object: Python raised an exception")]
    Python,
}

/// Appends the term of `object` to `out`; its large parts go into `blobs`.
///
/// May run Python code: `__str__` of objects that have no term, methods of arrays. What was appended before an error is the caller's
/// to drop, and so are the blobs; no handle is left of it. What it wrote on success may hold handles, see
/// [`handle::release_unsent`].
///
/// # Errors
/// [`EncodeError`].
///
/// # Safety
/// The GIL is held and `object` is alive.
pub unsafe fn encode_value(
    object: *mut PyObject,
    options: Options,
    out: &mut Vec<u8>,
    blobs: &mut BlobSink,
) -> Result<(), EncodeError> {
    // SAFETY: the caller's promise.
    unsafe { encode(object, options, false, out, blobs) }
}

/// As [`encode_value`], for an item of a stream: an iterator is no whole result there.
///
/// # Errors
/// [`EncodeError`].
///
/// # Safety
/// As [`encode_value`].
pub unsafe fn encode_item(
    object: *mut PyObject,
    options: Options,
    out: &mut Vec<u8>,
    blobs: &mut BlobSink,
) -> Result<(), EncodeError> {
    // SAFETY: the caller's promise.
    unsafe { encode(object, options, true, out, blobs) }
}

/// # Safety
/// As [`encode_value`].
#[inline(always)]
unsafe fn encode(
    object: *mut PyObject,
    options: Options,
    is_item: bool,
    out: &mut Vec<u8>,
    blobs: &mut BlobSink,
) -> Result<(), EncodeError> {
    let mut encoder = Encoder {
        writer: Writer::new(out),
        blobs,
        options,
        symbols: symbols(),
        interp: interp(),
        frames: Vec::new(),
        keys: Vec::new(),
        key_depth: 0,
        python_ran: 0,
        handles: Vec::new(),
        is_item,
    };
    // SAFETY: the caller's promise.
    unsafe {
        if options.has(Options::RETURN_REF) {
            return encoder.handle(ObjectKind::Object, object);
        }
        match encoder.plain(object) {
            Some(_) => Ok(()),
            None => encoder.whole(object),
        }
    }
}

/// What kind of key a written object makes, as far as collisions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Written {
    /// Equal to no other key's term.
    Distinct = 0,
    Text = 1,
    Bytes = 2,
    /// Could be equal to anything.
    Odd = 4,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Written(Written),
    /// It is on the stack; its parts follow.
    Opened,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    List,
    Tuple,
    Dict,
}

/// A container that is being written.
struct Frame {
    container: Container,
    /// The object as the user has it, to recognise a cycle.
    source: Object,
    /// A list, tuple or dict with its elements; often the source itself.
    data: Object,
    next: isize,
    size: isize,
    /// Dict: position of `PyDict_Next`.
    cursor: isize,
    /// Dict: the value that is to follow the key being written.
    value: Option<Object>,
    /// Dict: where its keys start in `Encoder::keys`, and what they are.
    keys_from: usize,
    key_kinds: u8,
    python_ran: u64,
}

impl Frame {
    /// Remembers how far a dict is.
    #[inline]
    fn reached(&mut self, next: isize, cursor: isize, key_kinds: u8) {
        (self.next, self.cursor, self.key_kinds) = (next, cursor, key_kinds);
    }
}

pub(super) struct Encoder<'a> {
    pub(super) writer: Writer<'a>,
    pub(super) blobs: &'a mut BlobSink,
    pub(super) options: Options,
    pub(super) symbols: &'static Symbols,
    pub(super) interp: &'static Interp,
    frames: Vec<Frame>,
    /// Start and end of the encoded keys of the dicts on the stack.
    keys: Vec<(usize, usize)>,
    /// How many containers deep the outermost key is that is being written; 0: none is.
    key_depth: usize,
    /// Counts the occasions on which Python code may have run.
    python_ran: u64,
    /// Handles that were written.
    handles: Vec<u64>,
    /// The value is an item of a stream.
    is_item: bool,
}

impl Encoder<'_> {
    /// Writes an object with everything in it.
    ///
    /// # Safety
    /// The GIL is held and `object` is alive.
    #[inline(never)]
    unsafe fn whole(&mut self, object: *mut PyObject) -> Result<(), EncodeError> {
        // SAFETY: the caller's promise.
        unsafe {
            let written = self.other(object).and_then(|_| self.run());
            if written.is_err() {
                handle::release(std::mem::take(&mut self.handles));
            }
            written
        }
    }

    /// Writes everything on the stack.
    ///
    /// # Safety
    /// The GIL is held.
    unsafe fn run(&mut self) -> Result<(), EncodeError> {
        while let Some(frame) = self.frames.last() {
            let (container, data) = (frame.container, frame.data.as_ptr());
            // SAFETY: the GIL is held, and the frame keeps `data` alive while it is on the stack.
            unsafe {
                match container {
                    Container::List => self.sequence(data, ffi::PyList_GetItem)?,
                    Container::Tuple => self.sequence(data, ffi::PyTuple_GetItem)?,
                    Container::Dict => self.dict(data)?,
                }
            }
        }
        Ok(())
    }

    /// Goes on with the list or tuple on top, until it is done or an element was opened.
    ///
    /// # Safety
    /// The GIL is held; `data` is that of the frame on top and `get` reads it.
    unsafe fn sequence(
        &mut self,
        data: *mut PyObject,
        get: unsafe extern "C" fn(*mut PyObject, isize) -> *mut PyObject,
    ) -> Result<(), EncodeError> {
        let top = self.frames.len() - 1;
        let (mut next, size) = (self.frames[top].next, self.frames[top].size);
        // SAFETY: the GIL is held; an element is borrowed from the container until Python code runs, and `other` takes
        // a reference before that.
        unsafe {
            while next < size {
                let element = get(data, next);
                if element.is_null() {
                    return Err(changed(c"list changed size while it was encoded"));
                }
                next += 1;
                if self.plain(element).is_none() {
                    self.frames[top].next = next;
                    if self.other(element)? == Step::Opened {
                        return Ok(());
                    }
                }
            }
            if self.frames[top].container == Container::List {
                if ffi::PyList_Size(data) != size {
                    return Err(changed(c"list changed size while it was encoded"));
                }
                self.writer.nil();
            }
        }
        self.close()
    }

    /// Goes on with the dict on top, until it is done or a key or value was opened.
    ///
    /// # Safety
    /// The GIL is held; `data` is that of the frame on top.
    unsafe fn dict(&mut self, data: *mut PyObject) -> Result<(), EncodeError> {
        let top = self.frames.len() - 1;
        // SAFETY: the GIL is held; keys and values are borrowed from the dict until Python code runs, and references are
        // taken before that. PyDict_Next stays in bounds whatever happens to the dict in between.
        unsafe {
            if let Some(value) = self.frames[top].value.take() {
                self.end_key(top, Written::Odd);
                if self.value(value.as_ptr())? == Step::Opened {
                    return Ok(());
                }
            }
            let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
            let Frame { mut next, size, mut cursor, mut key_kinds, .. } = self.frames[top];
            while next < size {
                if ffi::PyDict_Next(data, &mut cursor, &mut key, &mut value) == 0 {
                    return Err(changed(c"dict changed size while it was encoded"));
                }
                next += 1;
                let from = self.writer.position();
                match self.plain(key) {
                    Some(written) => {
                        key_kinds |= written as u8;
                        self.keys.push((from, self.writer.position()));
                        if self.plain(value).is_some() {
                            continue;
                        }
                        self.frames[top].reached(next, cursor, key_kinds);
                        if self.other(value)? == Step::Opened {
                            return Ok(());
                        }
                    }
                    None => {
                        self.keys.push((from, 0));
                        self.frames[top].reached(next, cursor, key_kinds);
                        let value = Object::borrowed(value);
                        if self.key_depth == 0 {
                            self.key_depth = top + 1;
                        }
                        match self.other(key)? {
                            Step::Opened => {
                                self.frames[top].value = value;
                                return Ok(());
                            }
                            Step::Written(_) => self.end_key(top, Written::Odd),
                        }
                        key_kinds |= Written::Odd as u8;
                        if let Some(value) = value
                            && self.value(value.as_ptr())? == Step::Opened
                        {
                            return Ok(());
                        }
                    }
                }
            }
            self.frames[top].key_kinds |= key_kinds;
            if ffi::PyDict_Size(data) != size {
                return Err(changed(c"dict changed size while it was encoded"));
            }
        }
        self.check_keys(top)?;
        self.close()
    }

    #[inline]
    fn end_key(&mut self, top: usize, written: Written) {
        if self.key_depth == top + 1 {
            self.key_depth = 0;
        }
        let end = self.writer.position();
        if let Some(key) = self.keys.last_mut() {
            key.1 = end;
        }
        self.frames[top].key_kinds |= written as u8;
    }

    fn check_keys(&mut self, top: usize) -> Result<(), EncodeError> {
        const MIXED: u8 = Written::Text as u8 | Written::Bytes as u8;
        let frame = &self.frames[top];
        let keys = &self.keys[frame.keys_from..];
        let odd = frame.key_kinds & Written::Odd as u8 != 0 || frame.key_kinds == MIXED;
        if (odd || frame.python_ran != self.python_ran) && keys.len() > 1 {
            let bytes = self.writer.buffer();
            let mut seen = HashSet::with_capacity(keys.len());
            if !keys.iter().all(|(from, to)| seen.insert(&bytes[*from..*to])) {
                return Err(EncodeError::Unsupported { type_name: "duplicate_key".into() });
            }
        }
        self.keys.truncate(frame.keys_from);
        Ok(())
    }

    fn close(&mut self) -> Result<(), EncodeError> {
        let frame = self.frames.pop();
        if self.writer.position() > u32::MAX as usize {
            let source = frame.map(|frame| frame.source);
            // SAFETY: the GIL is held by the contract of `encode_value`.
            return Err(source.map_or(EncodeError::Cycle, |source| unsafe { unsupported(source.as_ptr()) }));
        }
        Ok(())
    }

    /// Writes or opens any object.
    ///
    /// # Safety
    /// The GIL is held and `object` is alive.
    #[inline]
    pub(super) unsafe fn value(&mut self, object: *mut PyObject) -> Result<Step, EncodeError> {
        // SAFETY: the caller's promise.
        unsafe {
            match self.plain(object) {
                Some(written) => Ok(Step::Written(written)),
                None => self.other(object),
            }
        }
    }

    /// Writes or opens any other object.
    ///
    /// # Safety
    /// The GIL is held and `object` is alive.
    #[inline(never)]
    unsafe fn other(&mut self, object: *mut PyObject) -> Result<Step, EncodeError> {
        // SAFETY: the GIL is held and the object is alive; Python code may run only after a reference is taken.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if class == &raw mut ffi::PyList_Type {
                return self.open(Container::List, object, object);
            }
            if class == &raw mut ffi::PyTuple_Type {
                return self.open(Container::Tuple, object, object);
            }
            if class == &raw mut ffi::PyDict_Type {
                return self.open(Container::Dict, object, object);
            }
            let Some(object) = Object::borrowed(object) else {
                return Err(EncodeError::Python);
            };
            inspect::encode(self, &object, class)
        }
    }

    /// Puts a container on the stack and writes its header.
    ///
    /// # Safety
    /// The GIL is held; `data` is a list, tuple or dict as `container` says, which holds the elements of `source`.
    pub(super) unsafe fn open(
        &mut self,
        container: Container,
        source: *mut PyObject,
        data: *mut PyObject,
    ) -> Result<Step, EncodeError> {
        // SAFETY: the caller's promise.
        unsafe {
            #[cfg(feature = "free-threaded")]
            let copy = private(container, data)?;
            #[cfg(feature = "free-threaded")]
            let data = copy.as_ptr();
            let size = match container {
                Container::List => ffi::PyList_Size(data),
                Container::Tuple => ffi::PyTuple_Size(data),
                Container::Dict => ffi::PyDict_Size(data),
            };
            let Ok(count) = u32::try_from(size) else {
                return Err(unsupported(source));
            };
            match container {
                Container::List if size == 0 => {
                    self.writer.nil();
                    return Ok(Step::Written(Written::Odd));
                }
                Container::List => self.writer.list_header(count),
                Container::Tuple => self.writer.tuple_header(count),
                Container::Dict => self.writer.map_header(count),
            }
            let (Some(source), Some(data)) = (Object::borrowed(source), Object::borrowed(data)) else {
                return Err(EncodeError::Python);
            };
            self.look_for_cycle(source.as_ptr())?;
            self.frames.push(Frame {
                container,
                source,
                data,
                next: 0,
                size,
                cursor: 0,
                value: None,
                keys_from: self.keys.len(),
                key_kinds: 0,
                python_ran: self.python_ran,
            });
        }
        Ok(Step::Opened)
    }

    fn look_for_cycle(&self, source: *mut PyObject) -> Result<(), EncodeError> {
        const ALWAYS: usize = 16;
        let depth = self.frames.len();
        let found = if depth <= ALWAYS {
            self.frames.iter().any(|frame| frame.source.as_ptr() == source)
        } else if depth.is_power_of_two() {
            let mut seen = HashSet::with_capacity(depth);
            !self.frames.iter().all(|frame| seen.insert(frame.source.as_ptr()))
        } else {
            false
        };
        if found { Err(EncodeError::Cycle) } else { Ok(()) }
    }

    /// Writes a handle and keeps the object for it.
    ///
    /// # Safety
    /// The GIL is held and `object` is alive.
    #[inline(never)]
    pub(super) unsafe fn handle(&mut self, kind: ObjectKind, object: *mut PyObject) -> Result<(), EncodeError> {
        // SAFETY: the caller's promise.
        let id = unsafe {
            let object = Object::borrowed(object).ok_or(EncodeError::Python)?;
            let class = ffi::Py_TYPE(object.as_ptr());
            handle::keep(object).ok_or_else(|| EncodeError::Unsupported { type_name: inspect::class_name(class) })?
        };
        self.handles.push(id);
        self.writer.object(kind, id);
        Ok(())
    }

    /// Python code is about to run, or may have run.
    pub(super) fn python_runs(&mut self) {
        self.python_ran += 1;
    }

    /// Whether what is written is the whole result.
    pub(super) fn at_top(&self) -> bool {
        self.frames.is_empty() && !self.is_item
    }

    /// Whether a key is being written.
    pub(super) fn in_key(&self) -> bool {
        self.key_depth != 0
    }
}

/// A container with the elements of `data` that no other thread can change: without a GIL they could go while they are read.
///
/// # Safety
/// As for [`Encoder::open`].
#[cfg(feature = "free-threaded")]
unsafe fn private(container: Container, data: *mut PyObject) -> Result<Object, EncodeError> {
    // SAFETY: the caller's promise. Both copies are made at once, under the lock of the container.
    let copy = unsafe {
        match container {
            Container::List => Object::owned(ffi::PyList_GetSlice(data, 0, isize::MAX)),
            Container::Dict => Object::owned(ffi::PyDict_Copy(data)),
            Container::Tuple => Object::borrowed(data),
        }
    };
    copy.ok_or(EncodeError::Python)
}

/// A refusal that names the class of `object`.
///
/// # Safety
/// The GIL is held and `object` is alive.
pub(super) unsafe fn unsupported(object: *mut PyObject) -> EncodeError {
    // SAFETY: the caller's promise.
    let type_name = unsafe { inspect::class_name(ffi::Py_TYPE(object)) };
    EncodeError::Unsupported { type_name }
}

/// # Safety
/// The GIL is held.
#[cold]
unsafe fn changed(message: &std::ffi::CStr) -> EncodeError {
    // SAFETY: the GIL is held; an IndexError that may be set is replaced.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_RuntimeError, message.as_ptr()) };
    EncodeError::Python
}
