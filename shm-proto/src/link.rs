//! Everything of one worker incarnation, assembled over its two segments.
//!
//! The node makes a [`NodeLink`] and sends the [`Handshake`](crate::control::Handshake); the worker opens a [`WorkerLink`] with
//! it. Neither is ever repaired: when either side is gone, the whole is dropped.

mod backend;
mod header;
mod node;
mod shared;
mod worker;

pub(crate) use header::random;
pub use node::NodeLink;
pub use worker::{OpenError, WorkerLink};
