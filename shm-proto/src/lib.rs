//! Shared-memory protocol between the BEAM and its Python workers.
//!
//! In the order in which data flows: [`control`] frames carry the handshake, from which both sides open their [`link`] over
//! [`segment`]s ([`layout`], [`memory`], or [`named`] ones). A request ([`request`], terms in [`etf`], large ones in an
//! [`arena`] or [`blob`]) goes through a [`ring`], a [`bell`] wakes its worker, and an [`arbiter`] says who owns it. The answer
//! comes back in a reply [`cell`] or as a [`response`] record, answers of callbacks in [`callback`] slots; [`entry`] decides
//! who may give it to the caller. [`telemetry`] counts. A worker in a sandbox has a [`keeper`]. `docs/architecture.md` has the whole picture.
//!
//! The crate knows neither the BEAM nor Python.

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("erlang_python runs on Linux on x86_64 and aarch64; nothing else has been tested");

#[cfg(not(loom))]
pub mod available;
pub mod control;
pub mod layout;
pub mod memory;
#[cfg(not(loom))]
pub mod named;
#[cfg(not(loom))]
pub mod segment;
pub mod sync;

pub mod arbiter;
#[cfg(not(loom))]
pub mod arena;
pub mod bell;
#[cfg(not(loom))]
pub mod blob;
#[cfg(not(loom))]
pub mod callback;
pub mod cell;
pub mod etf;
pub mod request;
pub mod response;
pub mod ring;

#[cfg(not(loom))]
mod futex;

pub mod entry;
#[cfg(not(loom))]
pub mod keeper;
#[cfg(not(loom))]
pub mod link;
pub mod telemetry;
