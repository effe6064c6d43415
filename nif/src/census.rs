//! A count that can be started over: what was counted before does not count any more, and need not be counted out.

use std::sync::atomic::{AtomicU64, Ordering};

/// `epoch << 32 | count`.
#[derive(Default)]
pub struct Census(AtomicU64);

impl Census {
    /// Counts one in; the epoch is what it needs to leave.
    pub fn enter(&self) -> u32 {
        (self.0.fetch_add(1, Ordering::AcqRel) >> 32) as u32
    }

    /// Counts one out, unless the count was started over since it came. Returns whether it still counted.
    pub fn leave(&self, epoch: u32) -> bool {
        let left = |word: u64| ((word >> 32) as u32 == epoch).then(|| word - 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, left).is_ok()
    }

    /// Whether what came in this epoch still counts.
    pub fn is_current(&self, epoch: u32) -> bool {
        (self.0.load(Ordering::Acquire) >> 32) as u32 == epoch
    }

    /// How many are counted.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & u64::from(u32::MAX)
    }

    /// Starts over.
    pub fn renew(&self) {
        let next = |word: u64| Some(((word >> 32) as u32).wrapping_add(1)).map(|epoch| u64::from(epoch) << 32);
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next);
    }
}
