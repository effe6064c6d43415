//! The reader thread of one worker: takes response records, answers callers, notices the worker's end.
//!
//! It owns the response bell, the pidfd and the teardown. It only decodes and sends: nothing on it waits for Erlang.

use crate::beam::{self, EnvPtr, MessageEnv, Raw, atoms};
use crate::cancel;
use crate::extent::ReplyExtent;
use crate::incarnation::{DOWN, Incarnation, down_reason};
use crate::pool::Pool;
use crate::slab::{self, Body, Handed, ReplyTo};
use crate::term::{self, Inline};
use crate::undecoded::{self, Undecoded};
use crate::{callback, estimate, observe, stream, teardown};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shm_proto::entry::State;
use shm_proto::request::{Extent, Options, Place};
use shm_proto::response::{Header, Kind};
use shm_proto::ring::Corrupt;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Reader threads that run.
pub static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Starts the thread of an attached incarnation.
pub fn spawn(incarnation: Arc<Incarnation>) -> std::io::Result<()> {
    let name = format!("py_reader_{}", incarnation.id);
    incarnation.open_inbox()?;
    RUNNING.fetch_add(1, Ordering::AcqRel);
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let ended = catch_unwind(AssertUnwindSafe(|| serve(&incarnation)));
        let problem = match ended {
            Ok(Ok(())) => None,
            Ok(Err(Corrupt(check))) => Some(check),
            Err(_) => Some("reader panicked"),
        };
        let _ = catch_unwind(AssertUnwindSafe(|| teardown::run(&incarnation, problem)));
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    });
    match thread {
        Ok(handle) => {
            crate::registry::add_reader(handle);
            Ok(())
        }
        Err(e) => {
            RUNNING.fetch_sub(1, Ordering::AcqRel);
            Err(e)
        }
    }
}

/// Records handled before the thread looks after callers that wait for room.
const TURN: usize = 256;
/// Turns in a row before the thread looks at the process: one that ended may have left others behind that go on publishing.
const LOOK: u32 = 16;

/// Serves until the worker's process ends.
fn serve(incarnation: &Arc<Incarnation>) -> Result<(), Corrupt> {
    let link = incarnation.link();
    let (Some(pidfd), Some(inbox)) = (incarnation.pidfd(), incarnation.inbox()) else { return Ok(()) };
    let mut output = incarnation.output.as_ref();
    let mut turns = 0;
    loop {
        if inbox.drain(incarnation, TURN)? {
            wake_waiters(incarnation);
            output = output.filter(|output| output.drain(incarnation));
            turns += 1;
            if turns % LOOK == 0 && has_ended(pidfd) {
                return Ok(());
            }
            continue;
        }
        turns = 0;
        // No lingering: on two cores a reader that spins or yields before it sleeps costs the message path a quarter to a
        // half of its rate.
        link.response_sleeping().raise();
        if !inbox.is_empty()? {
            link.response_sleeping().lower();
            continue;
        }
        let mut fds = vec![
            PollFd::new(link.response_bell.as_fd(), PollFlags::POLLIN),
            PollFd::new(pidfd.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(output.map(|output| PollFd::new(output.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return Err(Corrupt("poll of bell and process")),
        }
        let ended = fds[1].any().unwrap_or(true);
        let rung = fds[0].any().unwrap_or(true);
        output = output.filter(|output| output.drain(incarnation));
        if rung && link.response_bell.drain().is_err() {
            // A process that dies closes its descriptors before its pidfd tells; one that closed its bell and lives will
            // never be heard of again, and teardown kills it.
            return Ok(());
        }
        link.response_sleeping().lower();
        wake_waiters(incarnation);
        if ended {
            return Ok(());
        }
    }
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// The request ring may have room again: wakes callers that wait for that, directly or through a pool, and publishes what
/// was parked.
fn wake_waiters(incarnation: &Incarnation) {
    incarnation.handles().resume();
    stream::resume(incarnation);
    incarnation.queue.wake_all(std::ptr::null_mut());
    for id in incarnation.pools() {
        if let Some(pool) = Pool::find(id) {
            for parked in pool.take_parked() {
                teardown::republish(std::ptr::null_mut(), &pool, parked);
            }
            pool.queue.wake_all(std::ptr::null_mut());
        }
    }
}

/// A reply whose terms are in private memory.
pub struct Reply {
    terms: Vec<u8>,
    extent: Option<(Place, Extent)>,
}

impl Reply {
    /// Bytes, as far as the worker says.
    pub fn len(&self) -> usize {
        self.extent.map_or(self.terms.len(), |(_, extent)| extent.total as usize)
    }

    /// Whether a normal scheduler may open and decode it.
    fn is_short(&self) -> bool {
        self.len() <= undecoded::NORMAL_BYTES && self.extent.is_none_or(|(place, _)| place == Place::Arena)
    }

    /// Whether a caller that can should decode it: it is long, and nothing of it lies outside the terms.
    fn is_for_caller(&self) -> bool {
        self.len() >= undecoded::WORTH_BYTES && self.extent.is_none_or(|(_, extent)| extent.total == extent.terms_len)
    }

    /// Its terms in private memory; the worker has its own back then.
    fn into_terms(self, incarnation: &Incarnation) -> Result<Vec<u8>, term::Corrupt> {
        let Some((place, extent)) = self.extent else { return Ok(self.terms) };
        let mut terms = undecoded::buffer();
        let copied = ReplyExtent::open(incarnation, place, extent).and_then(|extent| extent.copy_terms(&mut terms));
        copied.map(|()| terms).ok_or(term::Corrupt("result extent"))
    }

    /// Decodes to `{ok, V}` or `{error, R}`, once.
    pub fn decode(&self, env: EnvPtr, options: Options, incarnation: &Incarnation) -> Result<Raw, term::Corrupt> {
        let (ok, value) = self.parts(env, options, incarnation)?;
        Ok(beam::tuple(env, [if ok { atoms().ok } else { atoms().error }, value]))
    }

    /// Gives back what the reply holds: memory and objects.
    pub fn discard(&self, options: Options, incarnation: &Incarnation) {
        match self.extent {
            None => incarnation.handles().give_up_all(&self.terms),
            Some((place, extent)) => {
                let extent = ReplyExtent::open(incarnation, place, extent);
                if undecoded::may_hold_handles(options)
                    && let Some(terms) = extent.as_ref().and_then(ReplyExtent::terms)
                {
                    incarnation.handles().give_up_all(&terms);
                }
            }
        }
    }

    /// Decodes to whether it is a value, and the value or the reason; once.
    pub fn parts(
        &self,
        env: EnvPtr,
        options: Options,
        incarnation: &Incarnation,
    ) -> Result<(bool, Raw), term::Corrupt> {
        match self.extent {
            None => term::decode_parts(env, &self.terms, options.0, &Inline(incarnation.handles())),
            Some((place, extent)) => {
                let extent = ReplyExtent::open(incarnation, place, extent).ok_or(term::Corrupt("result extent"))?;
                let terms = extent.terms().ok_or(term::Corrupt("result extent"))?;
                term::decode_parts(env, &terms, options.0, &extent)
            }
        }
    }
}

/// Handles one record. `scheduler` as for `enif_send`; on a scheduler only replies are handled.
pub fn handle(scheduler: EnvPtr, incarnation: &Arc<Incarnation>, record: &[u8]) -> Result<(), Corrupt> {
    let header = Header::decode(record).map_err(|_| Corrupt("response header"))?;
    let payload = record
        .get(Header::SIZE..)
        .and_then(|rest| rest.get(..header.len as usize))
        .ok_or(Corrupt("response length"))?;
    match header.kind {
        Kind::Reply => reply(scheduler, incarnation, &header, payload),
        Kind::Callback => callback::received(incarnation, &header, payload),
        Kind::Send => callback::send(incarnation, &header, payload),
        Kind::Chunk => stream::chunk(incarnation, &header, payload),
        Kind::Log => observe::received(incarnation, &header, payload, &observe::LOGS, atoms().py_logger),
        Kind::Span => observe::received(incarnation, &header, payload, &observe::SPANS, atoms().py_tracer),
    }
}

fn reply(scheduler: EnvPtr, incarnation: &Arc<Incarnation>, header: &Header, payload: &[u8]) -> Result<(), Corrupt> {
    let (index, generation) = slab::split(header.id);
    let entry = slab::get(index).ok_or(Corrupt("correlation id"))?;
    loop {
        let (now, state) = entry.word.load();
        if now != generation || entry.incarnation.load(Ordering::Relaxed) != incarnation.serial() {
            return Err(Corrupt("correlation id"));
        }
        match state {
            State::Live => {
                if entry.word.transition(generation, State::Live, State::Delivering).is_err() {
                    continue;
                }
                if entry.incarnation.load(Ordering::Relaxed) != incarnation.serial() {
                    // Answered without having been started, and moved meanwhile.
                    let _ = entry.word.transition(generation, State::Delivering, State::Live);
                    return Err(Corrupt("correlation id"));
                }
                // SAFETY: we won the entry.
                let body = unsafe { entry.body() };
                estimate::record(body.estimate, header.service_ns);
                let outcome = fetch(header, payload).and_then(|reply| {
                    deliver(scheduler, incarnation, body, reply).map_err(|problem| Corrupt(problem.0))
                });
                if let Err(Corrupt(check)) = outcome {
                    // A large result cannot be fetched from a process that is gone; that alone is no corruption.
                    if incarnation.state() == DOWN {
                        incarnation.kill(atoms().exited);
                    } else {
                        incarnation.condemn(check);
                    }
                    send_error(scheduler, body, &|env| down_reason(env, incarnation));
                }
                cancel::release(scheduler, entry, Some(incarnation), false);
                incarnation.handles().answered(header.id);
                return outcome;
            }
            State::Watched => {
                let reply = fetch(header, payload)?;
                if !reply.is_short() {
                    // Not for the scheduler of the caller, which makes the call pending soon.
                    std::thread::yield_now();
                    continue;
                }
                if entry.hand_over(generation, Handed::Reply(reply)) {
                    return Ok(());
                }
            }
            State::Cancelled => {
                // SAFETY: only the reader of its incarnation leaves the CANCELLED state.
                let body = unsafe { entry.body() };
                let reply = fetch(header, payload)?;
                if body.reply_to == ReplyTo::Stream {
                    stream::report(scheduler, incarnation, body.options, &reply)?;
                } else {
                    reply.discard(body.options, incarnation);
                }
                let id = header.id;
                cancel::release(scheduler, entry, Some(incarnation), false);
                incarnation.handles().answered(header.id);
                incarnation.tell_owner(scheduler, |e| beam::tuple(e, [atoms().py_ended, beam::uint(e, id)]));
                return Ok(());
            }
            // Somebody holds the entry for a moment.
            State::Moving => std::thread::yield_now(),
            State::Free | State::Handed | State::Delivering | State::Failed => {
                return Err(Corrupt("second response of a request"));
            }
        }
    }
}

/// Takes a reply out of its record.
pub fn fetch(header: &Header, payload: &[u8]) -> Result<Reply, Corrupt> {
    if header.place == Place::Inline {
        return Ok(Reply { terms: payload.to_vec(), extent: None });
    }
    let extent = Extent::decode(payload).map_err(|_| Corrupt("result extent"))?;
    Ok(Reply { terms: Vec::new(), extent: Some((header.place, extent)) })
}

/// Sends the answer of a pending request.
fn deliver(scheduler: EnvPtr, incarnation: &Incarnation, body: &mut Body, reply: Reply) -> Result<(), term::Corrupt> {
    if body.reply_to == ReplyTo::Cast {
        let mut message = MessageEnv::new();
        let (ok, value) = reply.parts(message.ptr(), body.options, incarnation)?;
        if !ok {
            let term = beam::tuple(message.ptr(), [atoms().py_cast_failed, value]);
            incarnation.send_owner(scheduler, &mut message, term);
        }
        return Ok(());
    }
    let Some(message) = body.env.as_mut() else { return Ok(()) };
    let env = message.ptr();
    let term = if body.reply_to == ReplyTo::Sync && reply.is_for_caller() {
        let undecoded = Undecoded::new(reply.into_terms(incarnation)?, body.options, incarnation.handles());
        beam::tuple(env, [body.reference, beam::tuple(env, [atoms().py_undecoded, undecoded.term(env)])])
    } else {
        let (ok, value) = reply.parts(env, body.options, incarnation)?;
        answer(env, body.reply_to, body.reference, ok, value)
    };
    // SAFETY: whoever made the request pending stored its caller.
    let caller = unsafe { body.caller.assume_init() };
    message.send(scheduler, &caller, term);
    Ok(())
}

/// The message of an answer.
fn answer(env: EnvPtr, reply_to: ReplyTo, reference: Raw, ok: bool, value: Raw) -> Raw {
    let a = atoms();
    let tagged = |tag| beam::tuple(env, [tag, value]);
    match (reply_to, ok) {
        (ReplyTo::Sync, true) => beam::tuple(env, [reference, tagged(a.ok)]),
        (ReplyTo::Sync, false) => beam::tuple(env, [reference, tagged(a.error)]),
        (ReplyTo::Response, true) => beam::tuple(env, [a.py_response, reference, tagged(a.ok)]),
        (ReplyTo::Result, true) => beam::tuple(env, [a.py_result, reference, value]),
        (ReplyTo::Stream, true) => beam::tuple(env, [a.py_end, reference]),
        (_, _) => beam::tuple(env, [a.py_error, reference, value]),
    }
}

/// Sends `{error, Reason}` in the form that the caller of a pending request expects. The body must be the sender's own.
pub fn send_error(scheduler: EnvPtr, body: &mut Body, reason: &dyn Fn(EnvPtr) -> Raw) {
    if body.reply_to == ReplyTo::Cast {
        return;
    }
    let Some(message) = body.env.as_mut() else { return };
    let env = message.ptr();
    let term = answer(env, body.reply_to, body.reference, false, reason(env));
    // SAFETY: whoever made the request pending stored its caller.
    let caller = unsafe { body.caller.assume_init() };
    message.send(scheduler, &caller, term);
}
