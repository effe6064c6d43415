//! Data that travel outside the terms.

use std::any::Any;
use std::sync::Arc;

use pyo3::ffi;

use crate::object::Object;
use crate::symbols::{PyBuffer, symbols};

/// Keeps the memory of an extent valid and unchanged; gives it back when the last clone is dropped, on any thread, with the GIL
/// held or not.
pub type Lease = Arc<dyn Any + Send + Sync>;

/// The blob area of a request's extent.
#[derive(Clone, Copy, Debug)]
pub struct ExtentRef<'a> {
    /// The area, into which blob tags carry offsets.
    pub blobs: &'a [u8],
    /// What keeps `blobs` valid: as long as a clone of it lives, even longer than `'a`.
    pub lease: &'a Lease,
}

impl<'a> ExtentRef<'a> {
    /// The bytes of a blob, if they are inside the area.
    pub(super) fn blob(&self, offset: u64, len: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        self.blobs.get(start..end)
    }
}

/// What keeps the bytes of an outgoing blob in place.
#[derive(Debug)]
#[expect(dead_code, reason = "held for what dropping them gives up")]
enum Owner {
    Object(Object),
    Buffer(BufferView),
}

#[derive(Debug)]
struct Blob {
    offset: u64,
    data: *const u8,
    len: usize,
    _owner: Owner,
}

/// Collects the large pieces of a result until they are copied into its extent. Reused from result to result; to be cleared and
/// dropped with the GIL held.
#[derive(Debug, Default)]
pub struct BlobSink {
    blobs: Vec<Blob>,
    total: u64,
}

impl BlobSink {
    /// Where blobs start: offsets are multiples of this.
    pub const ALIGN: u64 = 64;

    /// An empty sink.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no blob was collected.
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }

    /// Bytes that the blob area needs.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Every blob with its offset in the area. The bytes stay valid until [`BlobSink::clear`]; those of mutable objects
    /// may change while the GIL is released.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.blobs.iter().map(|blob| {
            // SAFETY: `push` was promised that the owner, which lives as long as the entry, keeps the bytes in place.
            (blob.offset, unsafe { std::slice::from_raw_parts(blob.data, blob.len) })
        })
    }

    /// Lets go of all blobs; needs the GIL.
    pub fn clear(&mut self) {
        self.blobs.clear();
        self.total = 0;
    }

    /// Adds `bytes` that belong to the immutable `object` and returns their offset.
    ///
    /// # Safety
    /// `bytes` stay valid as long as `object` is alive.
    pub(super) unsafe fn push_object(&mut self, bytes: &[u8], object: Object) -> u64 {
        self.push(bytes.as_ptr(), bytes.len(), Owner::Object(object))
    }

    /// Adds the bytes of a view and returns their offset.
    pub(super) fn push_view(&mut self, view: BufferView) -> u64 {
        let (data, len) = (view.as_slice().as_ptr(), view.as_slice().len());
        self.push(data, len, Owner::Buffer(view))
    }

    fn push(&mut self, data: *const u8, len: usize, owner: Owner) -> u64 {
        let offset = self.total.next_multiple_of(Self::ALIGN);
        self.blobs.push(Blob { offset, data, len, _owner: owner });
        self.total = offset + len as u64;
        offset
    }
}

/// A C-contiguous view of an object's memory, released on drop (which needs the GIL). Boxed, because some exporters keep
/// pointers into the struct.
#[derive(Debug)]
pub(super) struct BufferView(Box<PyBuffer>);

impl BufferView {
    /// A view of `object`; `None` with a Python exception set if it has no contiguous memory.
    ///
    /// # Safety
    /// `object` is alive and the GIL is held.
    pub(super) unsafe fn of(object: *mut ffi::PyObject) -> Option<Self> {
        /// `PyBUF_SIMPLE`: bytes, C-contiguous.
        const SIMPLE: std::ffi::c_int = 0;
        // SAFETY: all fields are integers or pointers, for which zero is a valid value.
        let mut view: Box<PyBuffer> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: the caller's promise; the view is fresh.
        if unsafe { (symbols().get_buffer)(object, &mut *view, SIMPLE) } < 0 {
            return None;
        }
        Some(Self(view))
    }

    /// The bytes.
    pub(super) fn as_slice(&self) -> &[u8] {
        if self.0.len <= 0 || self.0.buf.is_null() {
            return &[];
        }
        // SAFETY: the exporter keeps `len` bytes at `buf` in place until the view is released.
        unsafe { std::slice::from_raw_parts(self.0.buf.cast(), self.0.len as usize) }
    }
}

impl Drop for BufferView {
    fn drop(&mut self) {
        // SAFETY: filled by PyObject_GetBuffer and released once; the GIL is held by the contract of the type.
        unsafe { (symbols().release_buffer)(&mut *self.0) };
    }
}
