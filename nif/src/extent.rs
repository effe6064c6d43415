//! Payloads that do not travel in a ring record: in an arena, or in a memfd of their own.

use crate::beam::{EnvPtr, Raw};
use crate::incarnation::Incarnation;
use crate::janitor::{self, Job};
use crate::term::{Blobs, Encoded};
use shm_proto::arena::Lease;
use shm_proto::blob::{AllocateError, Blob, View};
use shm_proto::etf::ObjectKind;
use shm_proto::request::{Extent, Place};

/// Where a request's payload was put: what the node must know to take it back.
pub enum Payload {
    Arena { lease: Lease, terms_len: usize },
    Segment { blob: Blob, terms_len: usize },
}

/// Why a payload could not be placed.
pub enum PlaceError {
    /// No room in the arena, and a memfd is not for a normal scheduler.
    NeedsDirty,
    /// Memory or descriptors are used up; a text for people.
    Exhausted(String),
}

impl Payload {
    /// Copies terms and blobs to a place that the worker can read. `dirty`: off the normal schedulers, where a memfd may be
    /// made if the arena has no room.
    pub fn place(worker: &Incarnation, encoded: &Encoded<'_>, dirty: bool) -> Result<Payload, PlaceError> {
        let blobs_at = encoded.terms.len().next_multiple_of(64);
        let total = blobs_at + encoded.blob_bytes as usize;
        Self::fill(worker, total, encoded.terms.len(), dirty, |write| {
            write(0, encoded.terms);
            for blob in encoded.blobs {
                write(blobs_at + blob.offset() as usize, blob.bytes());
            }
        })
    }

    /// As `place`, from an extent that was laid out before.
    pub fn place_whole(worker: &Incarnation, bytes: &[u8], terms_len: usize) -> Result<Payload, PlaceError> {
        Self::fill(worker, bytes.len(), terms_len, true, |write| write(0, bytes))
    }

    fn fill(
        worker: &Incarnation,
        total: usize,
        terms_len: usize,
        dirty: bool,
        copy: impl FnOnce(&mut dyn FnMut(usize, &[u8])),
    ) -> Result<Payload, PlaceError> {
        let link = worker.link();
        if let Some(lease) = link.request_arena.lease(total) {
            copy(&mut |at, bytes| link.request_arena.write(&lease, at, bytes));
            return Ok(Payload::Arena { lease, terms_len });
        }
        if !dirty {
            return Err(PlaceError::NeedsDirty);
        }
        let blob = link.request_blobs.allocate(total).map_err(|problem| match problem {
            AllocateError::Full | AllocateError::Io(_) => PlaceError::Exhausted(problem.to_string()),
        })?;
        copy(&mut |at, bytes| blob.write(at, bytes));
        Ok(Payload::Segment { blob, terms_len })
    }

    /// The place as the request header names it.
    pub fn wire_place(&self) -> Place {
        match self {
            Payload::Arena { .. } => Place::Arena,
            Payload::Segment { .. } => Place::Segment,
        }
    }

    /// The extent as the record holds it.
    pub fn extent(&self) -> Extent {
        match self {
            Payload::Arena { lease, terms_len } => Extent {
                offset: lease.offset as u64,
                total: lease.len as u64,
                terms_len: *terms_len as u64,
                ticket: lease.ticket,
                fd: 0,
            },
            Payload::Segment { blob, terms_len } => blob.extent(*terms_len),
        }
    }

    /// Ends the node's interest. A worker that has started the request returns the memory itself. On any scheduler: what has to be
    /// unmapped is left to the janitor.
    pub fn discard(self, worker: &Incarnation, never_started: bool) {
        let link = worker.link();
        let remains = match self {
            Payload::Segment { blob, .. } if never_started => link.request_blobs.take_back(blob),
            Payload::Segment { blob, .. } => blob.leave(),
            Payload::Arena { lease, .. } => {
                if never_started {
                    link.request_arena.take_back(lease);
                }
                None
            }
        };
        if let Some(remains) = remains {
            janitor::push(Job::Bury(Box::new(remains)));
        }
    }
}

/// A payload in private memory, on its way to another worker.
pub enum Carried {
    /// It travelled in the record.
    Inline(Vec<u8>),
    /// It travelled in an extent, laid out like this.
    Extent { bytes: Vec<u8>, terms_len: usize },
}

impl Carried {
    /// Copies the payload of a record that was read back; `inline` is what the record holds of it.
    pub fn copy(worker: &Incarnation, inline: &[u8], payload: Option<&Payload>) -> Carried {
        let mut bytes = Vec::new();
        match payload {
            None => Carried::Inline(inline.to_vec()),
            Some(Payload::Arena { lease, terms_len }) => {
                worker.link().request_arena.read_back(lease, &mut bytes);
                Carried::Extent { bytes, terms_len: *terms_len }
            }
            Some(Payload::Segment { blob, terms_len }) => {
                blob.read_back(&mut bytes);
                Carried::Extent { bytes, terms_len: *terms_len }
            }
        }
    }
}

/// The extent of a reply, in memory that the worker can still write: terms are copied before they are parsed, blobs once,
/// straight into the binaries that they become. Dropping it returns the memory to the worker.
pub struct ReplyExtent<'a> {
    worker: &'a Incarnation,
    extent: Extent,
    view: Option<View>,
}

impl<'a> ReplyExtent<'a> {
    /// Checks an extent and opens it. Not for normal schedulers unless the place is the arena.
    pub fn open(worker: &'a Incarnation, place: Place, extent: Extent) -> Option<ReplyExtent<'a>> {
        let link = worker.link();
        let view = match place {
            Place::Inline => return None,
            Place::Arena => {
                link.result_arena.check(&extent).ok()?;
                None
            }
            Place::Segment => Some(link.result_blobs.open(u32::try_from(worker.os_pid()).ok()?, &extent).ok()?),
        };
        Some(ReplyExtent { worker, extent, view })
    }

    /// Bytes of terms and blobs.
    pub fn total(&self) -> u64 {
        self.extent.total
    }

    /// Copies the terms.
    pub fn terms(&self) -> Option<Vec<u8>> {
        let mut terms = Vec::new();
        self.copy_terms(&mut terms).map(|()| terms)
    }

    /// Appends the terms to `out`.
    pub fn copy_terms(&self, out: &mut Vec<u8>) -> Option<()> {
        let len = usize::try_from(self.extent.terms_len).ok()?;
        match &self.view {
            None => self.worker.link().result_arena.append_to(&self.extent, 0, len, out).ok(),
            Some(view) => view.append_to(0, len, out).ok(),
        }
    }
}

impl Blobs for ReplyExtent<'_> {
    fn object(&self, env: EnvPtr, kind: ObjectKind, id: u64) -> Option<Raw> {
        Some(self.worker.handles().make(env, kind, id))
    }

    fn give_up(&self, payload: &[u8]) {
        self.worker.handles().give_up_all(payload);
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        let at = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(self.extent.blobs_at() as usize));
        at.is_some_and(|at| match &self.view {
            None => self.worker.link().result_arena.read(&self.extent, at, out).is_ok(),
            Some(view) => view.read(at, out).is_ok(),
        })
    }
}

impl Drop for ReplyExtent<'_> {
    fn drop(&mut self) {
        if self.view.is_none() {
            self.worker.link().result_arena.release(&self.extent);
        }
    }
}
