//! Texts to `str`, with a cache for the short ones that come again and again.

use pyo3::ffi;

/// Longest text that is cached, in bytes.
const MAX_BYTES: usize = 24;
const ENTRIES: usize = 512;
/// Interned strings live for ever on CPython 3.12, so only so many are made.
const MAX_INTERNED: u32 = 16 * 1024;

#[derive(Clone, Copy)]
struct Entry {
    text: *mut ffi::PyObject,
    len: u8,
    interned: bool,
    bytes: [u8; MAX_BYTES],
}

const EMPTY: Entry = Entry { text: std::ptr::null_mut(), len: 0, interned: false, bytes: [0; MAX_BYTES] };

/// Map keys, atoms and keyword names by their bytes. A text that is asked for twice is interned: a dict lookup by a name in the
/// user's source then ends at the comparison of two pointers.
pub(super) struct TextCache {
    entries: Box<[Entry; ENTRIES]>,
    interned: u32,
}

impl TextCache {
    pub(super) fn new() -> Self {
        Self { entries: Box::new([EMPTY; ENTRIES]), interned: 0 }
    }

    /// A new reference to the `str` of `bytes`; NULL without an exception if they are not UTF-8, NULL with one if memory is short.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline]
    pub(super) unsafe fn get(&mut self, bytes: &[u8]) -> *mut ffi::PyObject {
        if bytes.len() > MAX_BYTES {
            // SAFETY: the GIL is held.
            return unsafe { text_if_utf8(bytes) };
        }
        let entry = &mut self.entries[slot(bytes)];
        if !entry.text.is_null() && usize::from(entry.len) == bytes.len() && entry.bytes[..bytes.len()] == *bytes {
            if !entry.interned && self.interned < MAX_INTERNED {
                entry.interned = true;
                self.interned += 1;
                // SAFETY: the entry owns a str, and the function replaces it by the interned one.
                unsafe { ffi::PyUnicode_InternInPlace(&mut entry.text) };
            }
            // SAFETY: the entry keeps the text alive.
            unsafe { ffi::Py_INCREF(entry.text) };
            return entry.text;
        }
        // SAFETY: the GIL is held.
        let text = unsafe { text_if_utf8(bytes) };
        if !text.is_null() {
            // SAFETY: a live object, of which the entry takes a reference of its own.
            unsafe { ffi::Py_INCREF(text) };
            let mut copy = [0; MAX_BYTES];
            copy[..bytes.len()].copy_from_slice(bytes);
            let old = std::mem::replace(entry, Entry { text, len: bytes.len() as u8, interned: false, bytes: copy });
            // SAFETY: the reference of the old entry; deallocating a str runs no Python code.
            unsafe { ffi::Py_XDECREF(old.text) };
        }
        text
    }
}

#[inline]
fn slot(bytes: &[u8]) -> usize {
    let (head, tail) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => (bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    };
    let mixed = (head ^ tail.rotate_left(29) ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - ENTRIES.ilog2())) as usize
}

/// As [`TextCache::get`], without the cache.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(super) unsafe fn text_if_utf8(bytes: &[u8]) -> *mut ffi::PyObject {
    // Looking first is much cheaper than the exception that CPython would make.
    if std::str::from_utf8(bytes).is_err() {
        return std::ptr::null_mut();
    }
    // SAFETY: the GIL is held; pointer and length are those of a slice.
    unsafe { ffi::PyUnicode_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as isize) }
}

/// A new `bytes`; NULL with an exception if memory is short.
///
/// # Safety
/// The GIL is held.
#[inline]
pub(super) unsafe fn bytes_object(bytes: &[u8]) -> *mut ffi::PyObject {
    // SAFETY: the GIL is held; pointer and length are those of a slice.
    unsafe { ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as isize) }
}
