//! The buffers that encoding uses again from call to call.

use std::cell::RefCell;
use std::sync::Arc;

use super::atoms::AtomTexts;
use super::encode::Frame;
use crate::beam::Raw;
use crate::handle::Home;

/// A binary that is to be copied to its place in the blob area.
#[derive(Clone, Copy, Debug)]
pub struct Blob {
    pub(super) data: *const u8,
    pub(super) len: usize,
    pub(super) offset: u64,
}

impl Blob {
    /// Bytes from the start of the blob area, a multiple of 64.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What to copy.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: enif_inspect_binary gave the pointer, valid until the NIF call returns. A blob is lent out only inside
        // `with_scratch`, which runs inside that call, and the scratch is cleared before it is used by another.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

/// Buffers of one thread.
pub(super) struct Scratch {
    pub(super) terms: Vec<u8>,
    pub(super) blobs: Vec<Blob>,
    pub(super) blob_bytes: u64,
    /// Whose handles the terms hold, and the first of them.
    pub(super) home: Option<(Arc<Home>, Raw)>,
    pub(super) names: Vec<(u32, u32)>,
    pub(super) frames: Vec<Frame>,
    pub(super) rest: Vec<Raw>,
    pub(super) texts: AtomTexts,
}

/// A buffer that grew beyond this is given back after the call.
const KEEP_BYTES: usize = 1 << 20;

impl Scratch {
    fn new() -> Self {
        Self {
            terms: Vec::with_capacity(4096),
            blobs: Vec::new(),
            blob_bytes: 0,
            home: None,
            names: Vec::new(),
            frames: Vec::new(),
            rest: Vec::new(),
            texts: AtomTexts::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.terms.clear();
        self.blobs.clear();
        self.blob_bytes = 0;
        self.frames.clear();
    }

    #[inline]
    fn trim(&mut self) {
        if self.terms.capacity() > KEEP_BYTES {
            self.terms = Vec::with_capacity(4096);
        }
        if self.frames.capacity() > KEEP_BYTES / size_of::<Frame>() {
            self.frames = Vec::new();
        }
        if self.rest.capacity() > KEEP_BYTES / size_of::<Raw>() {
            self.rest = Vec::new();
        }
        if self.blobs.capacity() > KEEP_BYTES / size_of::<Blob>() {
            self.blobs = Vec::new();
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Forgets everything that points into the environment of the NIF call when the call is done with the buffers, even by a panic.
struct Borrowed<'a>(&'a mut Scratch);

impl Drop for Borrowed<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.frames.clear();
        self.0.blobs.clear();
        self.0.home = None;
        self.0.trim();
    }
}

/// Runs `body` with the thread's buffers (with fresh ones if `body` runs inside another such call).
#[inline]
pub(super) fn with_scratch<R>(body: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with(|cell| match cell.try_borrow_mut() {
        Ok(mut slot) => {
            let borrowed = Borrowed(slot.get_or_insert_with(Scratch::new));
            body(borrowed.0)
        }
        Err(_) => body(&mut Scratch::new()),
    })
}
