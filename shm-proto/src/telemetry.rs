//! Counters that a worker keeps in the up segment, for display only: the node never decides anything by them.
//!
//! Word 0 counts served requests. 64 words form a histogram of service times with two buckets per power of two: bucket
//! `2k` starts at `2^(k+7)` ns and bucket `2k + 1` at 1.5 times that; shorter times are in bucket 0, longer ones in the last.
//! Then follow the objects that the worker keeps for handles, the size of the table that it keeps them in, and the streams
//! that have not ended.

use crate::{
    layout::{HISTOGRAM, TELEMETRY},
    memory::Words,
    sync::Ordering,
};

/// Both sides' view of the counters.
#[derive(Clone, Debug)]
pub struct Telemetry(Words);

impl Telemetry {
    /// The counters over `TELEMETRY` words.
    ///
    /// # Panics
    /// If there are not as many words.
    pub fn new(words: Words) -> Telemetry {
        assert_eq!(words.len(), TELEMETRY);
        Telemetry(words)
    }

    /// Counts one request of this service time in nanoseconds. Plain additions: executors that count at the same instant
    /// may lose one count.
    #[inline]
    pub fn record(&self, service_ns: u64) {
        for word in [self.0.at(0), self.0.at(1 + bucket(service_ns))] {
            word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// Notes how many objects are kept for handles, in a table of how many slots.
    #[inline]
    pub fn set_objects(&self, kept: usize, slots: usize) {
        self.0.at(1 + HISTOGRAM).store(kept as u64, Ordering::Relaxed);
        self.0.at(2 + HISTOGRAM).store(slots as u64, Ordering::Relaxed);
    }

    /// Objects that the worker keeps for handles, and slots of the table that it keeps them in.
    pub fn objects(&self) -> (u64, u64) {
        let at = |word| self.0.at(word).load(Ordering::Relaxed);
        (at(1 + HISTOGRAM), at(2 + HISTOGRAM))
    }

    /// Notes how many streams have not ended.
    #[inline]
    pub fn set_streams(&self, streams: usize) {
        self.0.at(3 + HISTOGRAM).store(streams as u64, Ordering::Relaxed);
    }

    /// Streams that have not ended.
    pub fn streams(&self) -> u64 {
        self.0.at(3 + HISTOGRAM).load(Ordering::Relaxed)
    }

    /// Requests served.
    pub fn served(&self) -> u64 {
        self.0.at(0).load(Ordering::Relaxed)
    }

    /// Upper bound in nanoseconds of the bucket that holds the given fraction (0 to 1) of the counted times; 0 if nothing
    /// was counted.
    pub fn quantile(&self, fraction: f64) -> u64 {
        let counts: Vec<u64> = (1..=HISTOGRAM).map(|i| self.0.at(i).load(Ordering::Relaxed)).collect();
        let total = counts.iter().fold(0u64, |a, &b| a.saturating_add(b));
        if total == 0 {
            return 0;
        }
        let rank = (total as f64 * fraction.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0u64;
        for (i, &count) in counts.iter().enumerate() {
            seen = seen.saturating_add(count);
            if seen >= rank {
                return lower_bound(i + 1);
            }
        }
        lower_bound(HISTOGRAM)
    }
}

fn bucket(ns: u64) -> usize {
    let ns = ns.max(128);
    let octave = ns.ilog2() as usize;
    let half = (ns >> (octave - 1) & 1) as usize;
    (2 * (octave - 7) + half).min(HISTOGRAM - 1)
}

fn lower_bound(bucket: usize) -> u64 {
    let base = 128u64 << (bucket / 2);
    base + if bucket % 2 == 1 { base / 2 } else { 0 }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_their_bounds() {
        for i in 1..HISTOGRAM {
            assert_eq!(bucket(lower_bound(i)), i);
            assert_eq!(bucket(lower_bound(i) - 1), i - 1);
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, HISTOGRAM - 1));
    }

    #[test]
    fn quantiles_bound_the_times() {
        let telemetry = Telemetry::new(Words::heap(TELEMETRY));
        assert_eq!(telemetry.quantile(0.5), 0);
        for _ in 0..98 {
            telemetry.record(1_000);
        }
        telemetry.record(50_000_000);
        telemetry.record(50_000_000);
        assert_eq!(telemetry.served(), 100);
        assert_eq!(telemetry.quantile(0.5), 1_024);
        assert!(telemetry.quantile(0.99) > 50_000_000);
    }
}
