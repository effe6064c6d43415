//! Payloads of the node that do not travel in a record: in its arena or in memory of their own.

use std::ptr::NonNull;
use std::sync::Arc;

use shm_proto::arena::Borrower;
use shm_proto::link::WorkerLink;
use shm_proto::request::{Extent, Malformed, Place};

use crate::value::{ExtentRef, Lease};

/// An arena lease of the node's, returned when the last view of its bytes is gone.
struct ArenaLease {
    arena: Borrower,
    extent: Extent,
}

impl Drop for ArenaLease {
    fn drop(&mut self) {
        self.arena.release(&self.extent);
    }
}

/// Why a payload cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The node never writes such an extent.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The memory cannot be opened.
    #[error("could not open the arguments: {0}")]
    Io(#[from] std::io::Error),
}

/// An open payload; given back when it and every buffer that Python holds of it are gone.
pub struct Payload {
    start: NonNull<u8>,
    extent: Extent,
    lease: Lease,
}

impl Payload {
    /// Opens what `body` describes; `node_pid` is the process that made it.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub fn open(link: &WorkerLink, node_pid: u32, place: Place, body: &[u8]) -> Result<Self, PayloadError> {
        let extent = Extent::decode(body)?;
        let bad = |_| Malformed("extent");
        let total = extent.total as usize;
        if place == Place::Arena {
            let arena = &link.request_arena;
            let start = arena.address(&extent, 0, total).map_err(bad)?;
            return Ok(Self { start, extent, lease: Arc::new(ArenaLease { arena: arena.clone(), extent }) });
        }
        let view = link.request_blobs.open(node_pid, &extent)?;
        let start = view.address(0, total).map_err(bad)?;
        Ok(Self { start, extent, lease: Arc::new(view) })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: `address` has checked the range; the node, which alone can write there, leaves the memory alone until it
        // is given back, and the lease lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.extent.total as usize) }
    }

    /// The terms.
    pub fn terms(&self) -> &[u8] {
        &self.bytes()[..self.extent.terms_len as usize]
    }

    /// What the blob tags of the terms point into.
    pub fn blobs(&self) -> ExtentRef<'_> {
        let blobs = self.bytes().get(self.extent.blobs_at() as usize..).unwrap_or_default();
        ExtentRef { blobs, lease: &self.lease }
    }
}
