//! Sleeping on a word of shared memory: its lower half is the futex.

use std::{sync::atomic::AtomicU64, time::Duration};

use nix::errno::Errno;

/// Address of the half of the word that a futex compares.
fn low_half(word: &AtomicU64) -> *mut u32 {
    const { assert!(cfg!(target_endian = "little")) };
    word.as_ptr().cast()
}

/// Sleeps while the lower half is `seen`, until a wake, a signal, or `timeout`.
///
/// # Errors
/// `EAGAIN` if the word differs, `EINTR`, `ETIMEDOUT`.
pub(crate) fn futex_wait(word: &AtomicU64, seen: u32, timeout: Option<Duration>) -> Result<(), Errno> {
    let limit = timeout.map(|t| libc::timespec {
        tv_sec: libc::time_t::try_from(t.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: t.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word stays mapped during the call (the reference lives on); the kernel only reads it and the limit.
    let done = unsafe { libc::syscall(libc::SYS_futex, low_half(word), libc::FUTEX_WAIT, seen, limit) };
    Errno::result(done).map(drop)
}

/// Wakes all who sleep on the word, in every process.
pub(crate) fn futex_wake(word: &AtomicU64) {
    // SAFETY: a wake uses the address only as a key.
    unsafe { libc::syscall(libc::SYS_futex, low_half(word), libc::FUTEX_WAKE, i32::MAX) };
}
