//! Everything of one worker incarnation, assembled over its two segments.
//!
//! The node makes a [`NodeLink`] and sends the [`Handshake`](crate::control::Handshake); the worker opens a [`WorkerLink`] with
//! it. Neither is ever repaired: when either side is gone, the whole is dropped.

mod backend;
mod header;
mod node;
mod shared;
mod worker;

use std::io::ErrorKind;

use crate::layout::Geometry;

pub(crate) use header::random;
pub use node::NodeLink;
pub use worker::{OpenError, WorkerLink};

/// Whether a worker of this process could open sealed memfds: does what both sides do, with descriptors of its own. A shortage of
/// memory or descriptors says nothing about that and is reported when it stands in the way of a worker.
pub fn sealed_serves() -> bool {
    match NodeLink::create(Geometry::default()) {
        Ok((_link, handshake)) => WorkerLink::open(&handshake).is_ok(),
        Err(problem) => !matches!(problem.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied),
    }
}
