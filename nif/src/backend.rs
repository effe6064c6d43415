//! Which kind of shared memory this machine gives: sealed memfds, or named objects where memfd or `/proc` do not serve.

use shm_proto::control::Handshake;
use shm_proto::layout::Geometry;
use shm_proto::link::{self, NodeLink};
use shm_proto::named::Namespace;
use std::io;
use std::sync::{Mutex, OnceLock};

static SEALED_SERVES: OnceLock<bool> = OnceLock::new();
static NAMESPACE: Mutex<Option<Namespace>> = Mutex::new(None);

/// Makes the shared memory of one incarnation; `named` asks for the fallback. Not for a normal scheduler.
///
/// # Errors
/// What the kernel reports.
pub fn create(geometry: Geometry, named: bool) -> io::Result<(NodeLink, Handshake)> {
    if !named && *SEALED_SERVES.get_or_init(link::sealed_serves) {
        return NodeLink::create(geometry);
    }
    let mut namespace = lock();
    let namespace = match &mut *namespace {
        Some(namespace) => namespace,
        none => none.insert(Namespace::create()?),
    };
    NodeLink::create_named(geometry, namespace)
}

/// Removes what the fallback has left in the file system.
pub fn stop() {
    drop(lock().take());
}

fn lock() -> std::sync::MutexGuard<'static, Option<Namespace>> {
    NAMESPACE.lock().unwrap_or_else(|e| e.into_inner())
}
