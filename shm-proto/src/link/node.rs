//! The node's ends.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use super::{
    backend::{FarEnds, Parts},
    header::{random, stamp},
    shared::{Shared, shared_words},
};
use crate::{
    arbiter::Arbiter,
    arena::{Borrower, Owner},
    bell::{Flag, Listener, Ringer},
    blob::{self, Fork, Inbox, Outbox},
    callback::Answers,
    cell::Cells,
    control::Handshake,
    layout::Geometry,
    named::Namespace,
    ring::{Consumer, Producer},
    segment::Seals,
    telemetry::Telemetry,
};

/// The node's ends of everything.
#[derive(Debug)]
pub struct NodeLink {
    shared: Shared,
    /// Writes requests.
    pub requests: Producer,
    responses: Mutex<Option<Consumer>>,
    /// Watches reply cells.
    pub cells: Cells,
    /// Allocates large requests.
    pub request_arena: Owner,
    /// Reads large results.
    pub result_arena: Borrower,
    /// Answers callbacks.
    pub answers: Answers,
    /// Makes requests that no arena holds.
    pub request_blobs: Outbox,
    /// Reads results that no arena holds.
    pub result_blobs: Inbox,
    /// Wakes the worker.
    pub request_bell: Ringer,
    /// Wakes the reader thread.
    pub response_bell: Listener,
    /// The worker's counters.
    pub telemetry: Telemetry,
    far_ends: Mutex<Option<FarEnds>>,
}

impl NodeLink {
    /// Makes segments and bells of an incarnation, and the handshake that lets a worker open them (one executor, one
    /// thread; set the counts as needed).
    ///
    /// Reserves all memory and makes a few system calls: not for a normal scheduler.
    ///
    /// # Errors
    /// `InvalidInput` for a bad geometry, `OutOfMemory` or `StorageFull` if memory cannot be reserved, and what the kernel
    /// gives for descriptors.
    pub fn create(geometry: Geometry) -> io::Result<(NodeLink, Handshake)> {
        geometry.validate().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        NodeLink::assemble(geometry, Parts::sealed(&geometry)?)
    }

    /// As [`NodeLink::create`], over named objects: see [`crate::named`] for what this promises less.
    ///
    /// # Errors
    /// As [`NodeLink::create`].
    pub fn create_named(geometry: Geometry, namespace: &Namespace) -> io::Result<(NodeLink, Handshake)> {
        geometry.validate().map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        NodeLink::assemble(geometry, Parts::named(&geometry, namespace)?)
    }

    fn assemble(geometry: Geometry, parts: Parts) -> io::Result<(NodeLink, Handshake)> {
        let Parts { down, up, request_bell, response_bell, endpoints, far_ends } = parts;
        let mut nonce = [0; 16];
        random(&mut nonce)?;
        let node_pid = std::process::id();
        let blob_cache = blob::DEFAULT_CACHE as u64;
        let handshake = Handshake { nonce, node_pid, endpoints, geometry, executors: 1, max_threads: 1, blob_cache };
        stamp(&down, &geometry, &nonce);
        stamp(&up, &geometry, &nonce);
        let shared = Shared::new(geometry, down, up);
        let (request_bytes, request_releases) = shared.request_arena();
        let (result_bytes, result_releases) = shared.result_arena();
        let link = NodeLink {
            requests: Producer::new(shared.request_ring()),
            responses: Mutex::new(Some(Consumer::new(shared.response_ring()))),
            cells: Cells::new(shared.cells()),
            request_arena: Owner::new(request_bytes, request_releases),
            result_arena: Borrower::new(result_bytes, result_releases),
            answers: Answers::new(shared.callbacks()),
            request_blobs: Outbox::new(
                handshake.request_name(),
                Seals::SizeAndWrites,
                Fork::Inherit,
                shared.request_blobs(),
            ),
            result_blobs: Inbox::new(Seals::Size, Fork::Inherit, shared.result_blobs()),
            request_bell,
            response_bell,
            telemetry: shared.telemetry(),
            far_ends: Mutex::new(Some(far_ends)),
            shared,
        };
        Ok((link, handshake))
    }

    /// How far responses are handled, and whether more of them are ready.
    pub fn look_at_responses(&self) -> (u64, bool) {
        self.shared.response_ring().look()
    }

    /// Sets how many bytes of idle memory for large payloads this side keeps in each direction.
    pub fn keep_blobs(&self, bytes: usize) {
        self.request_blobs.set_cache_limit(bytes);
        self.result_blobs.set_cache_limit(bytes);
    }

    shared_words!();

    /// The consumer of responses, for the one reader thread; `None` after the first time.
    pub fn take_responses(&self) -> Option<Consumer> {
        self.responses.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Closes the descriptors that the worker has opened anew, or removes the names. Call it when its hello has arrived:
    /// only then does the node see the bells hang up with the worker.
    pub fn close_far_ends(&self) {
        drop(self.far_ends.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
