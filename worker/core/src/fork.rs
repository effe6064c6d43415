//! What becomes of a child process that user code forks.
//!
//! The shared memory is not there in the child (`MADV_DONTFORK`), our threads are not either, and our
//! descriptors are closed here, so that a child that outlives its worker keeps nothing open that somebody waits
//! for the end of.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

const MAX_DESCRIPTORS: usize = 16;
const UNUSED: i32 = -1;

static FORKED: AtomicBool = AtomicBool::new(false);
static DESCRIPTORS: [AtomicI32; MAX_DESCRIPTORS] = [const { AtomicI32::new(UNUSED) }; MAX_DESCRIPTORS];

/// Arranges that children close `descriptors`. To be called once.
pub fn guard(descriptors: impl IntoIterator<Item = RawFd>) {
    for (slot, fd) in DESCRIPTORS.iter().zip(descriptors) {
        slot.store(fd, Ordering::Release);
    }
    // SAFETY: the handler only makes async-signal-safe calls, and the core is never unloaded.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
}

extern "C" fn in_child() {
    FORKED.store(true, Ordering::Relaxed);
    for slot in &DESCRIPTORS {
        let fd = slot.load(Ordering::Acquire);
        if fd != UNUSED {
            // SAFETY: a descriptor of ours, which nothing in the child uses any more.
            unsafe { libc::close(fd) };
        }
    }
}

/// Whether this process was forked from a worker.
pub fn is_child() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Ends a child that came back into our code as if it were the worker. To be called whenever user code has
/// returned and before shared memory is touched.
#[inline]
pub fn end_child() {
    if FORKED.load(Ordering::Relaxed) {
        // SAFETY: ends the process without running handlers that belong to the worker.
        unsafe { libc::_exit(0) }
    }
}
