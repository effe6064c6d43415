//! Waiting for a request: spin while traffic is dense, then sleep.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use shm_proto::link::WorkerLink;
use shm_proto::ring::Consumer;

use crate::clock::{Clock, ticks};
use crate::control::{Control, kill_group};
use crate::gil;
use crate::serve::ring_if_waiting;

/// Longest spin in nanoseconds: about what sleeping and waking costs (6 us each way). Against 50 us this doubles the rate
/// of one process with 10 requests in flight on two cores, where idle workers take the cores of those who have work.
const MAX_SPIN: u64 = 15_000;
/// A spin that fails is halved; below this there is none.
const MIN_SPIN: u64 = 2_000;
/// Looks between two readings of the clock.
const LOOKS: u32 = 16;

/// How long the worker spins before it sleeps, learned from how long requests have let it wait.
#[derive(Debug)]
pub struct Idle {
    /// Nanoseconds.
    spin: u64,
    /// Nanoseconds; 0 where spinning would keep the producer from running.
    max_spin: u64,
}

impl Idle {
    /// For the processors that this process may use.
    pub fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let max_spin = if processors > 1 { MAX_SPIN } else { 0 };
        Self { spin: max_spin, max_spin }
    }

    /// Waits until there may be a request, the node says stop, or a signal arrives, whose handlers are run.
    /// `false` if one of them raised SystemExit, which stays set.
    ///
    /// # Safety
    /// The GIL is held and no exception is set; the GIL is released while waiting.
    pub unsafe fn wait(
        &mut self,
        link: &WorkerLink,
        requests: &Consumer,
        control: &Control,
        clock: &mut Clock,
    ) -> bool {
        let began = ticks();
        // SAFETY: the GIL is held, and spinning touches no Python object.
        if unsafe { gil::released(|| self.spin(link, requests, control, clock)) } {
            return true;
        }
        // SAFETY: the GIL is held and no exception is set.
        if !unsafe { sleep(link, requests, control) && gil::run_signal_handlers() } {
            return false;
        }
        clock.calibrate();
        let waited = clock.nanos(ticks().saturating_sub(began));
        self.spin = if waited < 2 * MAX_SPIN {
            self.max_spin
        } else if self.spin / 2 < MIN_SPIN {
            0
        } else {
            self.spin / 2
        };
        true
    }

    /// Whether a request or a stop came while spinning for as long as sleeping and waking would take.
    ///
    /// # Safety
    /// The GIL is held; it is released meanwhile.
    pub unsafe fn spin_once(&self, link: &WorkerLink, requests: &Consumer, control: &Control, clock: &Clock) -> bool {
        // SAFETY: spinning touches no Python object.
        unsafe { gil::released(|| self.spin(link, requests, control, clock)) && !control.stopping() }
    }

    /// Whether a request or a stop came while spinning.
    fn spin(&self, link: &WorkerLink, requests: &Consumer, control: &Control, clock: &Clock) -> bool {
        let began = ticks();
        let mut first = true;
        loop {
            for _ in 0..LOOKS {
                if !requests.is_empty() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if std::mem::take(&mut first) {
                ring_if_waiting(link);
            }
            if control.stopping() {
                return true;
            }
            let waited = clock.nanos(ticks().saturating_sub(began));
            if waited >= self.spin {
                return false;
            }
            if waited >= MIN_SPIN {
                // A scheduler or another worker may want the processor.
                std::thread::yield_now();
            }
        }
    }
}

/// Sleeps until the bell rings, the node says stop or a signal arrives.
///
/// Signals are blocked from the last look at them until the sleep has begun: one that arrives in between ends
/// the sleep instead of waiting for the next request.
///
/// # Safety
/// The GIL is held and no exception is set; the GIL is released while sleeping. `false` with SystemExit set.
unsafe fn sleep(link: &WorkerLink, requests: &Consumer, control: &Control) -> bool {
    let mut mask = SigSet::empty();
    if pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut mask)).is_err() {
        kill_group();
    }
    // SAFETY: the GIL is held and no exception is set.
    let goes_on = unsafe { gil::run_signal_handlers() };
    if goes_on {
        // SAFETY: the GIL is held.
        unsafe {
            gil::released(|| {
                let _asleep = crate::threads::main_sleeps();
                link.request_sleeping().raise();
                if requests.is_empty() && !control.stopping() {
                    let mut fds = [
                        PollFd::new(link.request_bell.as_fd(), PollFlags::POLLIN),
                        PollFd::new(control.wake(), PollFlags::POLLIN),
                    ];
                    match ppoll(&mut fds, None, Some(mask)) {
                        Ok(_) | Err(Errno::EINTR) => {}
                        Err(_) => kill_group(),
                    }
                    if link.request_bell.drain().is_err() {
                        kill_group();
                    }
                }
                link.request_sleeping().lower();
            });
        }
    }
    if pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None).is_err() {
        kill_group();
    }
    goes_on
}
