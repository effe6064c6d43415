//! A clock that costs a few nanoseconds: the processor's own counter.

use std::time::{Duration, Instant};

/// Converts ticks into nanoseconds by comparing the counter with the system's clock once the two are far
/// enough apart. Before that, ticks count as nanoseconds of a 1 GHz counter.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    start_ticks: u64,
    nanos_per_tick: f64,
    ticks_per_milli: u64,
    calibrated: bool,
}

impl Clock {
    /// A clock that starts to calibrate itself.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            start_ticks: ticks(),
            nanos_per_tick: 1.0,
            ticks_per_milli: 1_000_000,
            calibrated: false,
        }
    }

    /// Calibrates once 10 ms have passed; to be called now and then where time is to spare.
    pub fn calibrate(&mut self) {
        if self.calibrated {
            return;
        }
        let passed = self.start.elapsed();
        let ticks = ticks().saturating_sub(self.start_ticks);
        if passed >= Duration::from_millis(10) && ticks > 0 {
            self.nanos_per_tick = passed.as_nanos() as f64 / ticks as f64;
            self.ticks_per_milli = ((1e6 / self.nanos_per_tick) as u64).max(1);
            self.calibrated = true;
        }
    }

    /// Nanoseconds that `ticks` take.
    pub fn nanos(&self, ticks: u64) -> u64 {
        (ticks as f64 * self.nanos_per_tick) as u64
    }

    /// Ticks in one millisecond.
    pub fn ticks_per_milli(&self) -> u64 {
        self.ticks_per_milli
    }
}

/// The counter of this processor.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn ticks() -> u64 {
    // SAFETY: every x86_64 processor that Linux runs on has the instruction, and it has no effect on memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// The counter of this processor.
#[cfg(target_arch = "aarch64")]
#[inline]
pub fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reads the virtual counter, which Linux lets user code read.
    unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
    ticks
}
