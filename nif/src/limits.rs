//! What a worker may use before it is ended or replaced.

use crate::watchdog;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// `calls_at` as long as nothing is counted.
const UNCOUNTED: u64 = u64::MAX;

/// The limits of one worker, and what [`watchdog`] has to know of it.
#[derive(Debug)]
pub struct Limits {
    /// Whether there are any.
    pub exist: bool,
    /// Bytes, with its children, at which the worker is ended.
    pub memory: Option<u64>,
    /// Bytes, with its children, at which it is replaced.
    pub rss: Option<u64>,
    /// Requests after which it is replaced.
    calls: Option<u32>,
    /// The count of requests, modulo 2^32, at which there are as many.
    calls_at: AtomicU64,
    calls_reached: AtomicBool,
    /// The watchdog looks seldom, until a request comes.
    dozing: AtomicBool,
}

impl Limits {
    /// `None` sets no limit.
    pub fn new(memory: Option<u64>, rss: Option<u64>, calls: Option<u32>) -> Limits {
        Limits {
            exist: memory.is_some() || rss.is_some() || calls.is_some(),
            memory,
            rss,
            calls,
            calls_at: AtomicU64::new(UNCOUNTED),
            calls_reached: AtomicBool::new(false),
            dozing: AtomicBool::new(false),
        }
    }

    /// The worker serves: what comes after its first `requests` counts. Once.
    pub fn serves(&self, requests: u32) {
        if let Some(calls) = self.calls {
            let at = u64::from(requests.wrapping_add(calls));
            let _ = self.calls_at.compare_exchange(UNCOUNTED, at, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// A request was counted in, the `requests`th, when so many were in flight. Any thread; lock-free.
    #[inline]
    pub fn entered(&self, requests: u32, in_flight: u32) {
        let reached = u64::from(requests) == self.calls_at.load(Ordering::Relaxed);
        if reached {
            self.calls_reached.store(true, Ordering::Release);
        }
        // SYNC POINT: the request was counted before; the watchdog raises the flag, then looks at the counts.
        if (reached || in_flight == 0)
            && self.dozing.load(Ordering::SeqCst)
            && self.dozing.swap(false, Ordering::SeqCst)
        {
            watchdog::wake();
        }
    }

    /// Whether as many requests as the worker may serve have come. Once.
    pub fn take_calls_reached(&self) -> Option<u32> {
        let calls = self.calls?;
        self.calls_reached.swap(false, Ordering::AcqRel).then_some(calls)
    }

    /// Whether a request has to wake the watchdog.
    pub fn is_dozing(&self) -> bool {
        self.dozing.load(Ordering::SeqCst)
    }

    /// From here on a request has to, or need not.
    pub fn doze(&self, dozing: bool) {
        self.dozing.store(dozing, Ordering::SeqCst);
    }
}
