//! Giving up on pending requests: cancel, deadline, death of the caller.

use crate::beam::{self, EnvPtr, Raw, atoms};
use crate::incarnation::Incarnation;
use crate::janitor::{self, Job};
use crate::resource::{Kind, Resource};
use crate::slab::{self, Entry, ReplyTo};
use crate::{reader, registry, stream};
use shm_proto::arbiter::Side;
use shm_proto::entry::State;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Resource type of handles.
pub static PENDING: Kind<Pending> = Kind::new();

/// The handle of a pending request: for asynchronous calls also the reference that its caller sees.
pub struct Pending {
    pub index: u32,
    pub generation: u32,
    /// Slot of the service-time estimate.
    pub estimate: u32,
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
    /// As `Yes`; items may have been sent.
    Stream,
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
        && matches!(body.reply_to, ReplyTo::Response | ReplyTo::Result | ReplyTo::Stream)
    {
        reader::send_error(env, body, reason);
    }
    body.unprepare();
    let is_stream = body.reply_to == ReplyTo::Stream;
    let serial = entry.incarnation.load(Ordering::Relaxed);
    match registry::incarnation(serial) {
        None => release(env, entry, None, true),
        Some(incarnation) => drop_work(env, entry, handle.generation, &incarnation),
    }
    if is_stream { Cancelled::Stream } else { Cancelled::Yes }
}

/// Takes a request back from its worker, or has it interrupted there. The entry is MOVING and ours, its caller answered.
fn drop_work(env: EnvPtr, entry: &'static Entry, generation: u32, incarnation: &Arc<Incarnation>) {
    // SAFETY: we own the MOVING state.
    let body = unsafe { entry.body() };
    if incarnation.link().starts(body.position).decide(body.position, Side::Node).is_ok() {
        release(env, entry, Some(incarnation), true);
    } else {
        // It runs. The entry stays until its response comes, so that its cell is not used again before. The owner
        // hears of the interruption before the reader, which waits for MOVING to pass, can tell it of the end.
        let id = entry.id(generation);
        if body.reply_to != ReplyTo::Stream || stream::stop(incarnation, id, body) {
            incarnation.tell_owner(env, |e| beam::tuple(e, [atoms().py_interrupt, beam::uint(e, id)]));
        }
        let _ = entry.word.transition(generation, State::Moving, State::Cancelled);
    }
}

fn belongs(entry: &Entry, incarnation: &Incarnation, number: u64) -> bool {
    entry.incarnation.load(Ordering::Relaxed) == incarnation.serial() && entry.binding.load(Ordering::Relaxed) == number
}

/// Raises `erlang.Interrupted` in what runs under a binding. Returns false if nothing does. Walks the slab.
pub fn interrupt_binding(env: EnvPtr, incarnation: &Incarnation, number: u64) -> bool {
    let mut hit = false;
    for entry in slab::all() {
        let (generation, _) = entry.word.load();
        if belongs(entry, incarnation, number) {
            hit |= interrupt(env, &Pending { index: entry.index(), generation, estimate: 0 });
        }
    }
    hit
}

/// Cancels what belongs to a binding, but for casts, which outlive their callers. Walks the slab; yields to callers that
/// watch their cells and to readers that hold an entry for a moment.
pub fn end_binding(env: EnvPtr, incarnation: &Arc<Incarnation>, number: u64) {
    for entry in slab::all() {
        loop {
            let (generation, state) = entry.word.load();
            let belongs = belongs(entry, incarnation, number);
            match state {
                State::Live if belongs => {
                    if !entry.seize(generation, incarnation.serial()) {
                        continue;
                    }
                    // SAFETY: we won LIVE -> MOVING.
                    let body = unsafe { entry.body() };
                    if body.reply_to == ReplyTo::Cast {
                        let _ = entry.word.transition(generation, State::Moving, State::Live);
                    } else {
                        reader::send_error(env, body, &|_| atoms().cancelled);
                        body.unprepare();
                        drop_work(env, entry, generation, incarnation);
                    }
                    break;
                }
                State::Watched | State::Moving if belongs => std::thread::yield_now(),
                _ => break,
            }
        }
    }
}

/// The caller of a pending request ended: its work is cancelled. Runs on the janitor.
pub fn caller_down(index: u32, generation: u32) {
    let handle = Pending { index, generation, estimate: 0 };
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
    slab::free(entry, !env.is_null());
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

/// Requests that a worker has started and not answered. Walks the slab.
pub fn running(incarnation: &Incarnation) -> usize {
    slab::all().filter(|entry| is_running(incarnation, entry)).count()
}

fn is_running(incarnation: &Incarnation, entry: &Entry) -> bool {
    loop {
        if entry.incarnation.load(std::sync::atomic::Ordering::Relaxed) != incarnation.serial() {
            return false;
        }
        let (generation, state) = entry.word.load();
        match state {
            State::Cancelled => return true,
            State::Live if entry.seize(generation, incarnation.serial()) => {
                // SAFETY: we own the MOVING state.
                let body = unsafe { entry.body() };
                let started = incarnation.has_started(body.position) && !body.is_parked();
                let _ = entry.word.transition(generation, State::Moving, State::Live);
                return started;
            }
            State::Live | State::Moving => std::thread::yield_now(),
            _ => return false,
        }
    }
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
    let body = unsafe { entry.body() };
    let serial = entry.incarnation.load(Ordering::Relaxed);
    let running =
        registry::incarnation(serial).filter(|incarnation| incarnation.has_started(body.position) && !body.is_parked());
    let id = entry.id(handle.generation);
    let _ = entry.word.transition(handle.generation, State::Moving, State::Live);
    running.is_some_and(|incarnation| {
        incarnation.tell_owner(env, |e| beam::tuple(e, [atoms().py_raise, beam::uint(e, id)]));
        true
    })
}
