//! What the executors of a worker do whose main thread is an event loop.

use crate::gil;
use crate::serve::{Server, ring_if_waiting};
use crate::threads;

impl Server {
    /// In an event loop: takes at most `limit` requests, starts those that belong on the loop and hands the others to
    /// executor threads. Returns how many there were.
    ///
    /// # Safety
    /// In the loop's thread, with the GIL held and no exception set.
    pub unsafe fn start_available(&mut self, limit: u32) -> u32 {
        // SAFETY: the caller's promise; no other thread takes requests while `looped` is set.
        unsafe {
            for taken in 0..limit {
                let Some(header) = self.take() else {
                    if taken > 0 {
                        ring_if_waiting(&self.shared.link);
                    }
                    return taken;
                };
                if self.executor.is_for_loop(&header, &self.record) {
                    self.run(&header);
                } else {
                    self.shared.board().hand(header, &self.record);
                    self.executor.current.clear();
                    threads::serve_handed(&self.shared);
                }
            }
        }
        ring_if_waiting(&self.shared.link);
        limit
    }

    /// In an event loop: looks for a request for about as long as sleeping and waking would take.
    ///
    /// # Safety
    /// As [`Server::start_available`]; the GIL is released meanwhile.
    pub unsafe fn spin(&mut self) -> bool {
        let shared = &self.shared;
        // SAFETY: the caller's promise.
        unsafe { self.idle.spin_once(&shared.link, shared.requests(), &shared.control, &self.clock) }
    }

    /// In an event loop: from here on the node rings for the next request; `false` if one is there already.
    ///
    /// # Safety
    /// As [`Server::start_available`].
    pub unsafe fn leave_to_bell(&mut self) -> bool {
        self.clock.calibrate();
        ring_if_waiting(&self.shared.link);
        self.shared.link.request_sleeping().raise();
        // SAFETY: the caller's promise.
        let nothing = unsafe { self.shared.requests().is_empty() };
        if !nothing {
            self.shared.link.request_sleeping().lower();
        }
        nothing
    }

    /// Runs what an event loop has handed to executor threads, as far as the rule allows.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    pub unsafe fn serve_handed(&mut self) {
        // SAFETY: the caller's promise.
        unsafe {
            while !self.shared.control.stopping() && self.serve_one_handed(false) {
                gil::released(|| ());
            }
        }
    }

    /// Runs one request that was handed over, `any` or by the rule; `false` if there is none.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    pub unsafe fn serve_one_handed(&mut self, any: bool) -> bool {
        // SAFETY: the caller's promise; the reference into the board is not kept.
        unsafe {
            let Some(handed) = self.shared.board().take_handed(any) else { return false };
            self.executor.current.set(handed.header.id);
            self.record = handed.record;
            self.run(&handed.header);
        }
        true
    }
}
