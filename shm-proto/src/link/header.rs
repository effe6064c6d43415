//! Header of a segment, and the nonce in it.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    layout::{Geometry, LINE, MAGIC, VERSION},
    request::u64_at,
    segment::{Mapping, invalid},
};

/// Header of a segment: magic, version, geometry, nonce. The magic comes last, so that nobody takes a segment for
/// complete that is not.
pub(super) fn stamp(mapping: &Mapping, geometry: &Geometry, nonce: &[u8; 16]) {
    header(mapping, geometry, nonce, |word, value| word.store(value, Ordering::Release));
}

pub(super) fn stamped(mapping: &Mapping, geometry: &Geometry, nonce: &[u8; 16]) -> bool {
    let mut same = true;
    header(mapping, geometry, nonce, |word, value| same &= word.load(Ordering::Acquire) == value);
    same
}

fn header(mapping: &Mapping, geometry: &Geometry, nonce: &[u8; 16], mut visit: impl FnMut(&AtomicU64, u64)) {
    const { assert!(5 * 8 <= LINE) };
    let sizes = u64::from(geometry.ring_bytes) << 32 | u64::from(geometry.arena_bytes);
    let counts = u64::from(VERSION) << 32 | u64::from(geometry.cells) << 16 | u64::from(geometry.callback_slots);
    let half = |at: usize| u64_at(nonce, at);
    for (index, value) in [(1, counts), (2, sizes), (3, half(0)), (4, half(8)), (0, MAGIC)] {
        // SAFETY: every segment is longer than its header line, mappings are page-aligned, and all access is atomic.
        let word = unsafe { mapping.base().add(index * 8).cast::<AtomicU64>().as_ref() };
        visit(word, value);
    }
}

pub(crate) fn random(out: &mut [u8]) -> io::Result<()> {
    // SAFETY: the buffer is writable for its length.
    let got = unsafe { libc::getrandom(out.as_mut_ptr().cast(), out.len(), 0) };
    match got {
        n if n == out.len() as isize => Ok(()),
        n if n < 0 => Err(io::Error::last_os_error()),
        _ => Err(invalid("kernel gave too few random bytes")),
    }
}
