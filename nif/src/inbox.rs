//! The consuming end of a worker's response ring.
//!
//! It belongs to the reader thread, which handles whatever comes. Whoever runs on a scheduler anyhow may help: it delivers
//! short answers that lie in the ring already, which is cheaper than waking the reader for them. Nobody waits for the lock
//! but the reader, and what is not a short answer is left to it, so records are handled in ring order all the same.

use crate::beam::EnvPtr;
use crate::cancel::{self, Pending};
use crate::incarnation::Incarnation;
use crate::{estimate, reader, registry, slab, watch};
use shm_proto::request::Place;
use shm_proto::response::{Header, Kind};
use shm_proto::ring::{Consumer, Corrupt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

/// Longest record that a scheduler handles: that of a small answer.
const SHORT: usize = 512;

/// Where the responses of one worker arrive.
pub struct Inbox {
    ring: Mutex<Ring>,
}

struct Ring {
    responses: Consumer,
    record: Vec<u8>,
}

impl Inbox {
    /// Takes the consumer over.
    pub fn new(responses: Consumer) -> Inbox {
        Inbox { ring: Mutex::new(Ring { responses, record: Vec::new() }) }
    }

    /// The ring, for the reader thread.
    fn lock(&self) -> Result<MutexGuard<'_, Ring>, Corrupt> {
        self.ring.lock().map_err(|_| Corrupt("response handler panicked"))
    }

    /// Whether there is nothing to handle. On the reader thread.
    pub fn is_empty(&self) -> Result<bool, Corrupt> {
        Ok(self.lock()?.responses.is_empty())
    }

    /// Handles the records that are in the ring, at most `limit`. Returns whether there were any. On the reader thread.
    pub fn drain(&self, incarnation: &Arc<Incarnation>, limit: usize) -> Result<bool, Corrupt> {
        let ring = &mut *self.lock()?;
        for handled in 0..limit {
            let Some(found) = ring.responses.next()? else { return Ok(handled > 0) };
            ring.record.clear();
            ring.responses.copy(&found, &mut ring.record);
            ring.responses.release(found);
            incarnation.link().response_waiting().take_and_wake();
            reader::handle(std::ptr::null_mut(), incarnation, &ring.record)?;
        }
        Ok(true)
    }
}

impl Ring {
    /// Delivers short answers of requests that have published nothing else, up to the first record of another kind.
    fn deliver(&mut self, scheduler: EnvPtr, incarnation: &Arc<Incarnation>, limit: u32) -> Result<u32, Corrupt> {
        for delivered in 0..limit {
            let Some(found) = self.responses.next()? else { return Ok(delivered) };
            if found.len() > SHORT {
                return Ok(delivered);
            }
            self.record.clear();
            self.responses.copy(&found, &mut self.record);
            let header = Header::decode(&self.record).map_err(|_| Corrupt("response header"))?;
            if header.kind != Kind::Reply || header.place != Place::Inline || header.flags & Header::ALONE == 0 {
                return Ok(delivered);
            }
            self.responses.release(found);
            reader::handle(scheduler, incarnation, &self.record)?;
        }
        Ok(limit)
    }
}

/// Delivers short answers of a worker, at most `limit`, unless somebody else is at it. Normal scheduler.
#[inline]
pub fn help(scheduler: EnvPtr, incarnation: &Arc<Incarnation>, limit: u32) {
    let Some(inbox) = incarnation.inbox() else { return };
    let Ok(mut ring) = inbox.ring.try_lock() else { return };
    match catch_unwind(AssertUnwindSafe(|| ring.deliver(scheduler, incarnation, limit))) {
        Ok(Ok(0)) => {}
        Ok(Ok(_)) => {
            drop(ring);
            incarnation.link().response_waiting().take_and_wake();
        }
        Ok(Err(Corrupt(check))) => incarnation.condemn(check),
        Err(_) => incarnation.condemn("response handler panicked"),
    }
}

/// Answers delivered between two looks at the one that is waited for.
const BATCH: u32 = 16;

/// Helps the worker of a pending request until it is answered, for as long as a short call may take. For its caller, who has
/// nothing to do until then. Normal scheduler, at most the inline budget.
pub fn attend(env: EnvPtr, handle: &Pending) {
    let Some(entry) = slab::get(handle.index) else { return };
    let Some(worker) = registry::incarnation(entry.incarnation.load(Ordering::Relaxed)) else { return };
    let patience = watch::patience_of_many(&worker, estimate::expected(handle.estimate));
    watch::until(env, patience, || {
        help(env, &worker, BATCH);
        !cancel::in_flight(handle)
    });
}
