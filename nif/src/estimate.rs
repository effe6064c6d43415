//! How long calls take: a small table of smoothed service times by callable.
//!
//! It answers one question, "is this call expected to be short enough to watch for?", so a hash collision or a lost
//! update costs a wrong guess and nothing else. Entries are relaxed words, no locks.

use std::sync::atomic::{AtomicU32, Ordering};

const SLOTS: usize = 4096;

/// Nanoseconds; 0: never measured.
static TABLE: [AtomicU32; SLOTS] = [const { AtomicU32::new(0) }; SLOTS];

/// Slot of a callable. `key` is what identifies it in the request's terms: names of module and function, or the text.
#[inline]
pub fn slot(kind: u8, key: &[u8]) -> u32 {
    const K: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = u64::from(kind) ^ (key.len() as u64) << 8;
    let mut chunks = key.chunks_exact(8);
    for chunk in &mut chunks {
        hash = (hash ^ u64::from_le_bytes(chunk.try_into().expect("eight bytes"))).wrapping_mul(K);
        hash ^= hash >> 29;
    }
    for &byte in chunks.remainder() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(K);
    }
    // The last bytes of the key sit in the upper bits: folded down before the last multiplication, they reach all.
    ((hash ^ hash >> 32).wrapping_mul(K) >> 40) as u32 % SLOTS as u32
}

/// Expected service time in nanoseconds, 0 if unknown.
#[inline]
pub fn expected(slot: u32) -> u32 {
    TABLE[slot as usize % SLOTS].load(Ordering::Relaxed)
}

/// Records a service time. A longer one counts at once by half, so that a callable that turned slow is noticed after a
/// few calls; a shorter one by an eighth.
#[inline]
pub fn record(slot: u32, nanoseconds: u64) {
    let entry = &TABLE[slot as usize % SLOTS];
    let old = u64::from(entry.load(Ordering::Relaxed));
    let sample = nanoseconds.clamp(1, u64::from(u32::MAX));
    let new = match old {
        0 => sample,
        _ if sample > old => old + (sample - old) / 2,
        _ => old - (old - sample).div_ceil(8),
    };
    if new != old {
        entry.store(new as u32, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_service_time_in_both_directions() {
        let slot = slot(1, b"estimate-test");
        record(slot, 1000);
        assert_eq!(expected(slot), 1000);
        for _ in 0..40 {
            record(slot, 100_000);
        }
        assert!(expected(slot) > 99_000);
        for _ in 0..100 {
            record(slot, 500);
        }
        assert!(expected(slot) < 600, "{}", expected(slot));
    }

    #[test]
    fn keys_that_differ_in_any_byte_rarely_share_a_slot() {
        let slots: std::collections::HashSet<u32> =
            (0..100u32).map(|i| slot(1, format!("math.function_{i}").as_bytes())).collect();
        assert!(slots.len() > 90, "{}", slots.len());
    }
}
