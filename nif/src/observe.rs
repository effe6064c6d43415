//! Log events and spans of Python: records that become messages to `py_logger` and `py_tracer`.
//!
//! A program may publish faster than these processes work. What waits in their mailboxes is bounded in bytes; the rest is
//! dropped and counted, so that neither the reader thread nor the program ever waits for them.

use crate::beam::{self, EnvPtr, MessageEnv, Raw, atoms};
use crate::callback;
use crate::extent::ReplyExtent;
use crate::incarnation::{DOWN, Incarnation};
use crate::slab;
use crate::term::{self, Inline};
use rustler::sys::ErlNifPid;
use shm_proto::entry::State;
use shm_proto::request::{Extent, Options, Place};
use shm_proto::response::Header;
use shm_proto::ring::Corrupt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of encoded events that may wait for a process.
const LIMIT: u32 = 8 << 20;
/// What an event costs beside its payload.
const OVERHEAD: u32 = 256;

/// The events that wait for one process.
pub struct Gate {
    /// `epoch << 32 | bytes`: a process that takes over has a new epoch, and nothing that was sent before counts.
    word: AtomicU64,
    dropped: AtomicU64,
}

/// Events for `py_logger`.
pub static LOGS: Gate = Gate::new();
/// Spans for `py_tracer`.
pub static SPANS: Gate = Gate::new();

impl Gate {
    const fn new() -> Gate {
        Gate { word: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    /// A process begins to take events; returns its epoch.
    pub fn open(&self) -> u32 {
        let next = |word: u64| Some(u64::from(((word >> 32) as u32).wrapping_add(1)) << 32);
        let before = self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next).unwrap_or_default();
        ((before >> 32) as u32).wrapping_add(1)
    }

    /// Counts an event in; its epoch, or `None` if too much waits.
    fn enter(&self, cost: u32) -> Option<u32> {
        let more =
            |word: u64| (word as u32).checked_add(cost).filter(|sum| *sum <= LIMIT).map(|_| word + u64::from(cost));
        match self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more) {
            Ok(before) => Some((before >> 32) as u32),
            Err(_) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Counts an event out.
    pub fn leave(&self, epoch: u32, cost: u32) {
        let less = |word: u64| ((word >> 32) as u32 == epoch).then(|| word - u64::from(cost.min(word as u32)));
        // One of an earlier epoch does not count any more.
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less);
    }

    /// Events dropped since the last question.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

/// A program logged, or ended a span: `{py_event, Epoch, Cost, Caller, WorkerId, OsPid, Term}` to `server`. Runs on the
/// reader thread. What the BEAM has no term for is dropped.
pub fn received(
    incarnation: &Arc<Incarnation>,
    header: &Header,
    payload: &[u8],
    gate: &Gate,
    server: Raw,
) -> Result<(), Corrupt> {
    let extent = match open(incarnation, header, payload) {
        Ok(extent) => extent,
        // A large event cannot be fetched from a process that is gone; that alone is no corruption.
        Err(_) if incarnation.state() == DOWN => return Ok(()),
        Err(problem) => return Err(problem),
    };
    let size = extent.as_ref().map_or(payload.len() as u64, ReplyExtent::total);
    let cost = u32::try_from(size).unwrap_or(u32::MAX).saturating_add(OVERHEAD);
    let Some(epoch) = gate.enter(cost) else { return Ok(()) };
    let mut message = MessageEnv::new();
    let env = message.ptr();
    let event = match decode(env, incarnation, payload, extent.as_ref()) {
        Ok(event) => event,
        Err(problem) => {
            gate.leave(epoch, cost);
            return Err(problem);
        }
    };
    let sent = event.is_some_and(|event| {
        let caller = caller_of(incarnation, header.id).map_or(atoms().undefined, |pid| beam::pid_term(&pid));
        send(&mut message, incarnation, (epoch, cost), server, caller, event)
    });
    if !sent {
        gate.leave(epoch, cost);
    }
    Ok(())
}

/// A line that the worker wrote to its standard output or error. Runs on the reader thread.
pub fn line(incarnation: &Incarnation, line: &[u8]) {
    let cost = u32::try_from(line.len()).unwrap_or(u32::MAX).saturating_add(OVERHEAD);
    let Some(epoch) = LOGS.enter(cost) else { return };
    let mut message = MessageEnv::new();
    let text = beam::binary(message.ptr(), line);
    if !send(&mut message, incarnation, (epoch, cost), atoms().py_logger, atoms().undefined, text) {
        LOGS.leave(epoch, cost);
    }
}

/// Sends an event that was built in the message's environment; false if there is nobody to get it.
fn send(
    message: &mut MessageEnv,
    incarnation: &Incarnation,
    (epoch, cost): (u32, u32),
    server: Raw,
    caller: Raw,
    event: Raw,
) -> bool {
    let Some(to) = callback::whereis(server) else { return false };
    let env = message.ptr();
    let os_pid = incarnation.os_pid().max(0) as u64;
    let [epoch, cost, id, os_pid] =
        [u64::from(epoch), u64::from(cost), incarnation.id, os_pid].map(|number| beam::uint(env, number));
    let term = beam::tuple(env, [atoms().py_event, epoch, cost, caller, id, os_pid, event]);
    message.send(std::ptr::null_mut(), &to, term)
}

/// The term of an event, if the BEAM has one.
fn decode(
    env: EnvPtr,
    incarnation: &Incarnation,
    payload: &[u8],
    extent: Option<&ReplyExtent<'_>>,
) -> Result<Option<Raw>, Corrupt> {
    let event = match extent {
        None => term::decode_value(env, payload, Options(0), &Inline(incarnation.handles())),
        Some(extent) => {
            let terms = extent.terms().ok_or(Corrupt("extent of an event"))?;
            term::decode_value(env, &terms, Options(0), extent)
        }
    };
    Ok(event.map_err(|problem| Corrupt(problem.0))?.ok())
}

/// The extent of an event that does not travel in its record.
fn open<'a>(incarnation: &'a Incarnation, header: &Header, payload: &[u8]) -> Result<Option<ReplyExtent<'a>>, Corrupt> {
    if header.place == Place::Inline {
        return Ok(None);
    }
    let bad = Corrupt("extent of an event");
    let extent = Extent::decode(payload).map_err(|_| bad)?;
    ReplyExtent::open(incarnation, header.place, extent).ok_or(bad).map(Some)
}

/// The process whose request published something, while that request lives.
fn caller_of(incarnation: &Incarnation, id: u64) -> Option<ErlNifPid> {
    if id == Header::NO_REQUEST {
        return None;
    }
    let (index, generation) = slab::split(id);
    let entry = slab::get(index)?;
    loop {
        let (now, state) = entry.word.load();
        if now != generation || entry.incarnation.load(Ordering::Relaxed) != incarnation.serial() {
            return None;
        }
        match state {
            State::Live => {
                if !entry.seize(generation, incarnation.serial()) {
                    continue;
                }
                // SAFETY: we own the MOVING state.
                let body = unsafe { entry.body() };
                // SAFETY: whoever made a request other than a cast pending stored its caller.
                let caller = (body.reply_to != slab::ReplyTo::Cast).then(|| unsafe { body.caller.assume_init() });
                let _ = entry.word.transition(generation, State::Moving, State::Live);
                return caller;
            }
            // Its caller watches for a few microseconds more, or somebody holds it for a moment.
            State::Watched | State::Moving => std::thread::yield_now(),
            State::Cancelled | State::Free | State::Handed | State::Delivering | State::Failed => return None,
        }
    }
}

/// The gate that an atom names.
pub fn gate(name: Raw) -> Option<&'static Gate> {
    let a = atoms();
    [(a.py_logger, &LOGS), (a.py_tracer, &SPANS)].into_iter().find(|(known, _)| *known == name).map(|(_, gate)| gate)
}
