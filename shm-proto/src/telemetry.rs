//! Counters that a worker keeps in the up segment, for display only: the node never decides anything by them.
//!
//! Word 0 counts served requests. 128 words form a histogram of service times with four buckets per power of two: bucket
//! `4k + i` starts at `2^(k+7)` ns and `i` quarters of it; shorter times are in bucket 0, longer ones in the last.
//! Then follow the objects that the worker keeps for handles, the size of the table that it keeps them in, the streams
//! that have not ended, and the longest service time.

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
        let longest = self.0.at(4 + HISTOGRAM);
        if service_ns > longest.load(Ordering::Relaxed) {
            longest.store(service_ns, Ordering::Relaxed);
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

    /// The service times so far.
    pub fn times(&self) -> Times {
        let at = |word| self.0.at(word).load(Ordering::Relaxed);
        Times { counts: std::array::from_fn(|i| at(1 + i)), longest: at(4 + HISTOGRAM) }
    }
}

/// A histogram of service times, copied from one worker or summed up over several.
#[derive(Clone, Debug)]
pub struct Times {
    counts: [u64; HISTOGRAM],
    longest: u64,
}

impl Default for Times {
    fn default() -> Times {
        Times { counts: [0; HISTOGRAM], longest: 0 }
    }
}

impl Times {
    /// Adds those of another.
    pub fn add(&mut self, other: &Times) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum = sum.saturating_add(count);
        }
        self.longest = self.longest.max(other.longest);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// The longest, in nanoseconds.
    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// Upper bound in nanoseconds of the bucket that holds the given fraction (0 to 1) of the times, and no more than the
    /// longest of them; 0 if there are none.
    pub fn quantile(&self, fraction: f64) -> u64 {
        let total = self.count();
        let rank = (total as f64 * fraction.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0u64;
        for (bound, count) in self.buckets() {
            seen = seen.saturating_add(count);
            if seen >= rank {
                // A worker that was looked at while it counted may not have noted its longest.
                return if self.longest == 0 { bound } else { bound.min(self.longest) };
            }
        }
        0
    }

    /// The buckets that are not empty, shortest times first: upper bound in nanoseconds, which a time in it does not reach
    /// unless it is the last bucket, and how many there are.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(i, &count)| (lower_bound(i + 1), count))
    }
}

fn bucket(ns: u64) -> usize {
    let ns = ns.max(128);
    let octave = ns.ilog2() as usize;
    let quarter = (ns >> (octave - 2) & 3) as usize;
    (4 * (octave - 7) + quarter).min(HISTOGRAM - 1)
}

fn lower_bound(bucket: usize) -> u64 {
    let base = 128u64 << (bucket / 4);
    base + (bucket as u64 % 4) * (base / 4)
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
        assert_eq!(telemetry.times().quantile(0.5), 0);
        for _ in 0..98 {
            telemetry.record(1_000);
        }
        telemetry.record(40_000_000);
        telemetry.record(50_000_000);
        assert_eq!(telemetry.served(), 100);
        let times = telemetry.times();
        assert_eq!((times.count(), times.longest()), (100, 50_000_000));
        assert_eq!(times.quantile(0.5), 1_024);
        assert_eq!(times.quantile(0.99), 41_943_040);
        assert_eq!(times.quantile(1.0), 50_000_000);
        assert_eq!(times.buckets().map(|(_, count)| count).collect::<Vec<_>>(), [98, 1, 1]);
    }

    #[test]
    fn sums_hold_what_a_worker_may_have_written() {
        let words = Words::heap(TELEMETRY);
        for i in 0..TELEMETRY {
            words.at(i).store(u64::MAX, Ordering::Relaxed);
        }
        let hostile = Telemetry::new(words).times();
        let mut sum = Times::default();
        sum.add(&hostile);
        sum.add(&hostile);
        assert_eq!((sum.count(), sum.longest(), sum.quantile(0.0)), (u64::MAX, u64::MAX, lower_bound(1)));
    }
}
