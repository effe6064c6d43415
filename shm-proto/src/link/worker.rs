//! The worker's ends.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use super::{
    backend::Opened,
    header::stamped,
    shared::{Shared, shared_words},
};
use crate::{
    arbiter::Arbiter,
    arena::{Borrower, Owner},
    bell::{Flag, Listener, Ringer},
    blob::{Fork, Inbox, Outbox},
    callback::Waiter,
    cell::CellWriter,
    control::Handshake,
    layout::Geometry,
    ring::{Consumer, Producer},
    segment::Seals,
    telemetry::Telemetry,
};

/// The worker's ends of everything.
#[derive(Debug)]
pub struct WorkerLink {
    shared: Shared,
    requests: Mutex<Option<Consumer>>,
    /// Writes responses.
    pub responses: Producer,
    /// Fills reply cells.
    pub cells: CellWriter,
    /// Reads large requests.
    pub request_arena: Borrower,
    /// Allocates large results.
    pub result_arena: Owner,
    /// Waits for answers of callbacks.
    pub callbacks: Waiter,
    /// Reads requests that no arena holds.
    pub request_blobs: Inbox,
    /// Makes results that no arena holds.
    pub result_blobs: Outbox,
    /// Wakes the worker.
    pub request_bell: Listener,
    /// Wakes the node's reader thread.
    pub response_bell: Ringer,
    /// This worker's counters.
    pub telemetry: Telemetry,
}

/// Why a worker could not open its incarnation.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A segment or bell could not be opened or mapped.
    #[error("could not open incarnation: {0}")]
    Io(#[from] io::Error),
    /// A segment does not belong to this handshake.
    #[error("could not open incarnation: {0} does not match the handshake")]
    Mismatch(&'static str),
}

impl WorkerLink {
    /// Opens what the handshake names, checks seals, sizes and headers, and maps it (down read-only).
    ///
    /// # Errors
    /// [`OpenError`]; `Io` also if seals are missing.
    pub fn open(handshake: &Handshake) -> Result<WorkerLink, OpenError> {
        let geometry = handshake.geometry;
        geometry.validate().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let Opened { down, up, request_bell, response_bell } = Opened::by(handshake)?;
        for (mapping, name) in [(&down, "down segment"), (&up, "up segment")] {
            if !stamped(mapping, &geometry, &handshake.nonce) {
                return Err(OpenError::Mismatch(name));
            }
        }
        let shared = Shared::new(geometry, down, up);
        let (request_bytes, request_releases) = shared.request_arena();
        let (result_bytes, result_releases) = shared.result_arena();
        let link = WorkerLink {
            requests: Mutex::new(Some(Consumer::new(shared.request_ring()))),
            responses: Producer::new(shared.response_ring()),
            cells: CellWriter::new(shared.cells()),
            request_arena: Borrower::new(request_bytes, request_releases),
            result_arena: Owner::new(result_bytes, result_releases),
            callbacks: Waiter::new(shared.callbacks()),
            request_blobs: Inbox::new(Seals::SizeAndWrites, Fork::Exclude, shared.request_blobs()),
            result_blobs: Outbox::new(c"erlang_python-result", Seals::Size, Fork::Exclude, shared.result_blobs()),
            request_bell,
            response_bell,
            telemetry: shared.telemetry(),
            shared,
        };
        let kept = usize::try_from(handshake.blob_cache).unwrap_or(usize::MAX);
        link.request_blobs.set_cache_limit(kept);
        link.result_blobs.set_cache_limit(kept);
        Ok(link)
    }

    shared_words!();

    /// The consumer of requests, for whoever leads; `None` after the first time.
    pub fn take_requests(&self) -> Option<Consumer> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps both segments out of forked children.
    ///
    /// # Errors
    /// What `madvise` reports.
    pub fn dont_fork(&self) -> io::Result<()> {
        self.shared.down.dont_fork()?;
        self.shared.up.dont_fork()
    }
}
