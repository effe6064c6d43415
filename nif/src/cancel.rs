//! Giving up on pending requests: cancel, deadline, death of the caller.

use crate::beam::{self, EnvPtr, Raw, atoms};
use crate::incarnation::Incarnation;
use crate::janitor::{self, Job};
use crate::resource::{Kind, Resource};
use crate::slab::{self, Entry, ReplyTo};
use crate::{reader, registry};
use shm_proto::arbiter::Side;
use shm_proto::entry::State;
use std::sync::Arc;

/// Resource type of handles.
pub static PENDING: Kind<Pending> = Kind::new();

/// The handle of a pending request: for asynchronous calls also the reference that its caller sees.
pub struct Pending {
    pub index: u32,
    pub generation: u32,
}

impl Resource for Pending {
    fn process_down(&self) {
        janitor::push(Job::CallerDown(self.index, self.generation));
    }
}

/// What became of an attempt to cancel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancelled {
    /// Settled: no answer will be sent.
    Yes,
    /// The answer was sent, or the request ended otherwise.
    Sent,
}

/// Cancels a request. A `reason`, made in the entry's own environment, is sent to an asynchronous caller. `env` as for
/// `enif_send`.
pub fn cancel(env: EnvPtr, handle: &Pending, reason: Option<&dyn Fn(EnvPtr) -> Raw>) -> Cancelled {
    let Some(entry) = slab::get(handle.index) else { return Cancelled::Sent };
    loop {
        match entry.word.transition(handle.generation, State::Live, State::Moving) {
            Ok(()) => break,
            // A reader holds it for the few microseconds of a publication.
            Err((generation, State::Moving)) if generation == handle.generation => std::thread::yield_now(),
            Err(_) => return Cancelled::Sent,
        }
    }
    // SAFETY: we won LIVE -> MOVING; readers and teardown wait for us to leave that state.
    let body = unsafe { entry.body() };
    if let Some(reason) = reason
        && matches!(body.reply_to, ReplyTo::Response | ReplyTo::Result)
    {
        reader::send_error(env, body, reason);
    }
    body.unprepare();
    let serial = entry.incarnation.load(std::sync::atomic::Ordering::Relaxed);
    match registry::incarnation(serial) {
        None => release(env, entry, None, true),
        Some(incarnation) => {
            let starts = incarnation.link().starts(body.position);
            if starts.decide(body.position, Side::Node).is_ok() {
                release(env, entry, Some(&incarnation), true);
            } else {
                // It runs. The entry stays until its response comes, so that its cell is not used again before. The owner
                // hears of the interruption before the reader, which waits for MOVING to pass, can tell it of the end.
                let id = entry.id(handle.generation);
                incarnation.tell_owner(env, |e| beam::tuple(e, [atoms().py_interrupt, beam::uint(e, id)]));
                let _ = entry.word.transition(handle.generation, State::Moving, State::Cancelled);
            }
        }
    }
    Cancelled::Yes
}

/// The caller of a pending request ended: its work is cancelled. Runs on the janitor.
pub fn caller_down(index: u32, generation: u32) {
    let handle = Pending { index, generation };
    cancel(std::ptr::null_mut(), &handle, None);
}

/// Frees an entry whose state the caller owns, with everything that belongs to it.
pub fn release(env: EnvPtr, entry: &'static Entry, incarnation: Option<&Arc<Incarnation>>, started_never: bool) {
    // SAFETY: the caller owns the entry's state.
    let body = unsafe { entry.body() };
    if let Some(incarnation) = incarnation {
        incarnation.settle(body, started_never);
    }
    body.payload = None;
    body.handle = None;
    let permit = std::mem::take(&mut body.permit);
    slab::free(entry, false);
    if permit {
        crate::semaphore::give_back(env);
    }
}

/// Whether the request waits, runs, or is being answered.
pub fn in_flight(handle: &Pending) -> bool {
    slab::get(handle.index).is_some_and(|entry| {
        let (generation, state) = entry.word.load();
        generation == handle.generation && matches!(state, State::Live | State::Moving | State::Delivering)
    })
}

/// Asks the owner of the worker to raise `erlang.Interrupted` in a running request. Returns false if it does not run.
pub fn interrupt(env: EnvPtr, handle: &Pending) -> bool {
    let Some(entry) = slab::get(handle.index) else { return false };
    loop {
        match entry.word.transition(handle.generation, State::Live, State::Moving) {
            Ok(()) => break,
            // A reader holds it for the few microseconds of a publication.
            Err((generation, State::Moving)) if generation == handle.generation => std::thread::yield_now(),
            Err(_) => return false,
        }
    }
    // SAFETY: we own the MOVING state.
    let position = unsafe { entry.body() }.position;
    let serial = entry.incarnation.load(std::sync::atomic::Ordering::Relaxed);
    let running = registry::incarnation(serial).filter(|incarnation| incarnation.has_started(position));
    let id = entry.id(handle.generation);
    let _ = entry.word.transition(handle.generation, State::Moving, State::Live);
    running.is_some_and(|incarnation| {
        incarnation.tell_owner(env, |e| beam::tuple(e, [atoms().py_raise, beam::uint(e, id)]));
        true
    })
}
