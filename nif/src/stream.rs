//! Streams: requests whose worker sends items for as long as their consumer grants credit.
//!
//! A stream is one entry that stays LIVE until its reply. Its worker is told how many items it may send in all; when it has sent
//! them, or its turn is over, it parks the stream and marks the item. Between those marks and the next credit record nothing of
//! the stream runs or is queued there, so at most one record of a stream is under way, and the order of the request ring is what
//! makes streams and other requests take turns. A stream that is not wanted any more is interrupted while it runs and closed
//! when it is parked.

use crate::beam::{self, EnvPtr, MessageEnv, Raw, atoms};
use crate::cancel::{self, Pending};
use crate::incarnation::{DOWN, Incarnation, RING_HEAD};
use crate::janitor::{self, Job};
use crate::slab::{self, Body, Entry, ReplyTo};
use crate::{reader, registry};
use shm_proto::arbiter::Side;
use shm_proto::entry::State;
use shm_proto::request::{self, Kind, Options, Place};
use shm_proto::response::Header;
use shm_proto::ring::{Claim, Corrupt, PublishError};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Time that a generator which is closed has for its `finally`.
const FINALISERS: Duration = Duration::from_secs(10);
/// Time between two looks at generators that are being closed.
const LOOK: Duration = Duration::from_secs(1);

/// Credit without a bound.
pub const UNBOUNDED: u64 = u64::MAX;

/// How far a stream is. Part of the body of its entry.
#[derive(Clone, Copy, Default)]
pub struct Flow {
    /// Items that the consumer wants in all.
    granted: u64,
    /// Items that the worker may send as far as it knows.
    told: u64,
    /// Items that have come.
    received: u64,
    /// Items that the consumer has taken since it last granted any.
    taken: u64,
    /// Items that may be ahead of the consumer.
    window: u64,
    /// No record of the stream is under way, and the worker does not run it.
    parked: bool,
    /// The record that closes it was published.
    closing: bool,
    /// Ring position of the last credit record; 0: there was none.
    position: u64,
    /// A record is owed.
    owed: bool,
}

impl Flow {
    /// Of a stream that begins with this credit.
    pub fn new(window: u64) -> Flow {
        Flow { granted: window, told: window, window, ..Flow::default() }
    }

    /// What the worker is told at first.
    pub fn told(&self) -> u64 {
        self.told
    }

    /// Whether the stream waits for credit.
    pub fn is_parked(&self) -> bool {
        self.parked
    }

    /// Whether the worker should be told of more credit.
    fn may_go_on(&self) -> bool {
        self.parked && self.granted > self.received
    }

    /// The consumer wants `more` items.
    pub fn grant(&mut self, more: u64) {
        self.granted = self.granted.saturating_add(more);
    }

    /// The consumer has taken an item; every half window it grants as many as it took.
    pub fn took(&mut self) {
        self.taken += 1;
        if self.taken >= (self.window / 2).max(1) {
            let taken = std::mem::take(&mut self.taken);
            self.grant(taken);
        }
    }
}

/// The streams of one incarnation.
#[derive(Default)]
pub struct Streams {
    parked: AtomicU32,
    /// Ids of parked streams whose record found the ring full.
    owed: Mutex<Vec<u64>>,
}

impl Streams {
    /// Streams that wait for credit.
    pub fn parked(&self) -> u32 {
        self.parked.load(Ordering::Relaxed)
    }

    fn owed(&self) -> MutexGuard<'_, Vec<u64>> {
        self.owed.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// A stream that waits for credit is in flight, but no load.
fn park(worker: &Incarnation, flow: &mut Flow) {
    flow.parked = true;
    worker.streams().parked.fetch_add(1, Ordering::Relaxed);
}

fn unpark(worker: &Incarnation, flow: &mut Flow) {
    flow.parked = false;
    worker.streams().parked.fetch_sub(1, Ordering::Relaxed);
}

/// The request of an entry is being settled.
pub fn settle(worker: &Incarnation, body: &mut Body) {
    if body.is_parked() {
        unpark(worker, &mut body.flow);
    }
}

/// Claims room for the record of a parked stream; without room the stream is owed one, and the reader comes back to it.
fn claim<'w>(worker: &'w Incarnation, id: u64, flow: &mut Flow, len: usize) -> Option<Claim<'w>> {
    if let Ok(claim) = worker.link().requests.claim(len) {
        return Some(claim);
    }
    // The worker is told that room is wanted before the lock is let go, and the reader takes the lock after it heard of room.
    let mut owed = worker.streams().owed();
    match worker.claim(len) {
        Ok(claim) => Some(claim),
        Err(PublishError::Full) => {
            if !std::mem::replace(&mut flow.owed, true) {
                owed.push(id);
            }
            None
        }
        Err(PublishError::TooLarge | PublishError::Corrupt) => {
            worker.condemn(RING_HEAD);
            None
        }
    }
}

/// Publishes a credit record of a parked stream, which is under way then; without credit it closes the stream. `false` if
/// that has to wait for room. The body is the caller's.
fn publish(worker: &Incarnation, id: u64, body: &mut Body, credit: u64) -> bool {
    let root = body.root.to_le_bytes();
    let (root, options): (&[u8], u16) = if body.root != 0 { (&root, Options::NESTED) } else { (&[], 0) };
    let header = request::Header {
        id,
        cell: credit,
        kind: Kind::Credit,
        place: Place::Inline,
        options: Options(options),
        len: root.len() as u32,
    };
    let Some(mut claim) = claim(worker, id, &mut body.flow, request::Header::SIZE + root.len()) else { return false };
    body.flow.position = claim.position();
    unpark(worker, &mut body.flow);
    claim.write(&header.encode());
    claim.write(root);
    claim.commit();
    worker.wake();
    true
}

/// Lets a parked stream go on if it has credit. The body is the caller's.
fn go_on(worker: &Incarnation, id: u64, body: &mut Body) {
    if body.flow.may_go_on() && worker.state() != DOWN {
        let granted = body.flow.granted;
        if publish(worker, id, body, granted) {
            body.flow.told = granted;
        }
    }
}

/// Closes a parked stream. The body is the caller's.
fn close(worker: &Incarnation, id: u64, body: &mut Body) {
    if body.flow.parked && !body.flow.closing && worker.state() != DOWN && publish(worker, id, body, 0) {
        body.flow.closing = true;
        janitor::push(Job::StreamCloses(worker.serial(), id, body.flow.position));
    }
}

/// Nobody wants the items of a stream that was started. Returns whether it runs, so that it has to be interrupted; else it is
/// being closed. The entry is MOVING and the caller's.
pub fn stop(worker: &Incarnation, id: u64, body: &mut Body) -> bool {
    let flow = &mut body.flow;
    if !flow.parked
        && flow.position != 0
        && worker.link().starts(flow.position).decide(flow.position, Side::Node).is_ok()
    {
        park(worker, flow);
    }
    let runs = !flow.parked;
    close(worker, id, body);
    runs
}

/// Moves a LIVE stream to MOVING, which makes its body the caller's; waits out others who hold it for a moment. `Err`: what
/// the entry is instead.
#[expect(clippy::mut_from_ref, reason = "the transition makes the access exclusive")]
fn hold(entry: &Entry, generation: u32) -> Result<&mut Body, (u32, State)> {
    loop {
        match entry.word.transition(generation, State::Live, State::Moving) {
            // SAFETY: we won LIVE -> MOVING.
            Ok(()) => return Ok(unsafe { entry.body() }),
            Err((now, State::Moving)) if now == generation => std::thread::yield_now(),
            Err(other) => return Err(other),
        }
    }
}

fn let_go(entry: &Entry, generation: u32) {
    let moved = entry.word.transition(generation, State::Moving, State::Live);
    debug_assert!(moved.is_ok());
}

/// The consumer of a stream grants credit by `change`. Returns whether there is such a stream.
pub fn credit(handle: &Pending, change: impl FnOnce(&mut Flow)) -> bool {
    let Some(entry) = slab::get(handle.index) else { return false };
    let Ok(body) = hold(entry, handle.generation) else { return false };
    let found = body.reply_to == ReplyTo::Stream;
    if found {
        change(&mut body.flow);
        if body.flow.may_go_on()
            && let Some(worker) = registry::incarnation(entry.incarnation.load(Ordering::Relaxed))
        {
            go_on(&worker, entry.id(handle.generation), body);
        }
    }
    let_go(entry, handle.generation);
    found
}

/// Whether more of a stream is to come; what came before is in the mailbox.
pub enum Rest {
    /// At least its end.
    ToCome,
    /// A reader thread sends the end, or has sent it a moment ago.
    BeingSent,
    Nothing,
}

/// What is to come of a stream.
pub fn rest(handle: &Pending) -> Rest {
    let Some(entry) = slab::get(handle.index) else { return Rest::Nothing };
    match entry.word.load() {
        (generation, _) if generation != handle.generation => Rest::Nothing,
        (_, State::Live | State::Moving) => Rest::ToCome,
        (_, State::Delivering) => Rest::BeingSent,
        _ => Rest::Nothing,
    }
}

/// The request ring may have room again: publishes the records that are owed. On the reader thread.
pub fn resume(worker: &Incarnation) {
    let ids = std::mem::take(&mut *worker.streams().owed());
    for id in ids {
        let (index, generation) = slab::split(id);
        let Some(entry) = slab::get(index) else { continue };
        match hold(entry, generation) {
            Ok(body) => {
                body.flow.owed = false;
                go_on(worker, id, body);
                let_go(entry, generation);
            }
            Err((now, State::Cancelled)) if now == generation => {
                // SAFETY: only the reader of its incarnation leaves the CANCELLED state, and that is this thread.
                let body = unsafe { entry.body() };
                body.flow.owed = false;
                close(worker, id, body);
            }
            Err(_) => {}
        }
    }
}

/// One item of a stream. Runs on the reader thread.
pub fn chunk(worker: &Arc<Incarnation>, header: &Header, payload: &[u8]) -> Result<(), Corrupt> {
    thread_local! {
        static MESSAGE: RefCell<MessageEnv> = RefCell::new(MessageEnv::new());
    }
    let (index, generation) = slab::split(header.id);
    let entry = slab::get(index).ok_or(Corrupt("correlation id of a chunk"))?;
    let parks = header.flags & Header::PARKED != 0;
    let reply = reader::fetch(header, payload)?;
    let (handle, options) = match hold(entry, generation) {
        Ok(body) => {
            let flow = &mut body.flow;
            let ours = entry.incarnation.load(Ordering::Relaxed) == worker.serial();
            let expected = ours && body.reply_to == ReplyTo::Stream && !flow.parked && flow.received < flow.told;
            flow.received += u64::from(expected);
            let found = (body.handle.clone(), body.options);
            let_go(entry, generation);
            match found {
                (Some(handle), options) if expected => (handle, options),
                _ => return Err(Corrupt("chunk without credit")),
            }
        }
        Err((now, State::Cancelled))
            if now == generation && entry.incarnation.load(Ordering::Relaxed) == worker.serial() =>
        {
            // SAFETY: only the reader of its incarnation leaves the CANCELLED state, and that is this thread.
            let options = unsafe { entry.body() }.options;
            reply.discard(options, worker);
            return unwanted(worker, entry, header.id, parks);
        }
        Err(_) => return Err(Corrupt("correlation id of a chunk")),
    };
    MESSAGE.with_borrow_mut(|message| {
        let env = message.ptr();
        let (ok, value) = reply.parts(env, options, worker).map_err(|problem| Corrupt(problem.0))?;
        if !ok {
            // The item has no Erlang term.
            // SAFETY: copies a term of our environment into that of the answer.
            let reason = |to: EnvPtr| unsafe { rustler::sys::enif_make_copy(to, value) };
            cancel::cancel(std::ptr::null_mut(), &handle, Some(&reason));
        }
        match hold(entry, generation) {
            // Taken for queued, as the worker never won its start, and moved.
            Ok(_) if entry.incarnation.load(Ordering::Relaxed) != worker.serial() => {
                let_go(entry, generation);
                message.clear();
                Err(Corrupt("chunk of a request that was not started"))
            }
            Ok(body) => {
                let term = beam::tuple(env, [atoms().py_chunk, handle.term(env), value]);
                // SAFETY: whoever made the request pending stored its caller.
                let consumer = unsafe { body.caller.assume_init() };
                message.send(std::ptr::null_mut(), &consumer, term);
                if parks {
                    park(worker, &mut body.flow);
                    go_on(worker, header.id, body);
                }
                let_go(entry, generation);
                Ok(())
            }
            Err((now, state)) => {
                message.clear();
                if now == generation && state == State::Cancelled {
                    unwanted(worker, entry, header.id, parks)
                } else {
                    Ok(())
                }
            }
        }
    })
}

/// An item of a cancelled stream has come. If it was interrupted too late to notice, it is closed.
fn unwanted(worker: &Incarnation, entry: &Entry, id: u64, parks: bool) -> Result<(), Corrupt> {
    // SAFETY: only the reader of its incarnation leaves the CANCELLED state, and that is this thread.
    let body = unsafe { entry.body() };
    if body.reply_to != ReplyTo::Stream || body.flow.parked || body.flow.closing {
        return Err(Corrupt("chunk without credit"));
    }
    if parks {
        worker.tell_owner(std::ptr::null_mut(), |env| beam::tuple(env, [atoms().py_ended, beam::uint(env, id)]));
        park(worker, &mut body.flow);
        close(worker, id, body);
    }
    Ok(())
}

/// The reply of a cancelled stream: what its `finally` raised is told to the owner, who logs it.
pub fn report(scheduler: EnvPtr, worker: &Incarnation, options: Options, reply: &reader::Reply) -> Result<(), Corrupt> {
    let mut message = MessageEnv::new();
    let env = message.ptr();
    let (ok, reason) = reply.parts(env, options, worker).map_err(|problem| Corrupt(problem.0))?;
    if !ok && reason != atoms().interrupted {
        let term = beam::tuple(env, [atoms().py_stream_failed, reason]);
        worker.send_owner(scheduler, &mut message, term);
    }
    Ok(())
}

/// A stream that is being closed.
struct Closing {
    serial: u64,
    id: u64,
    position: u64,
    /// When it was first seen to run.
    running: Option<Instant>,
}

static CLOSING: Mutex<Vec<Closing>> = Mutex::new(Vec::new());

fn closing() -> MutexGuard<'static, Vec<Closing>> {
    CLOSING.lock().unwrap_or_else(|e| e.into_inner())
}

/// Keeps an eye on the stream that the record at `position` closes. Runs on the janitor.
pub fn closes(serial: u64, id: u64, position: u64) {
    closing().push(Closing { serial, id, position, running: None });
}

/// Interrupts generators whose `finally` does not end, as calls out of time. Runs on the janitor; says when to come back, if
/// at all.
pub fn look_after() -> Option<Duration> {
    let mut closing = closing();
    closing.retain_mut(Closing::goes_on);
    (!closing.is_empty()).then_some(LOOK)
}

impl Closing {
    fn goes_on(&mut self) -> bool {
        let (index, generation) = slab::split(self.id);
        let Some(worker) = registry::incarnation(self.serial) else { return false };
        if slab::get(index).is_none_or(|entry| entry.word.load() != (generation, State::Cancelled)) {
            return false;
        }
        if !worker.has_started(self.position) {
            return true;
        }
        let over = self.running.get_or_insert_with(Instant::now).elapsed() > FINALISERS;
        if over {
            let id = self.id;
            worker
                .tell_owner(std::ptr::null_mut(), |env| beam::tuple(env, [atoms().py_interrupt, beam::uint(env, id)]));
        }
        !over
    }
}

/// The credit that Erlang grants: a positive integer or `infinity`.
pub fn read_credit(env: EnvPtr, term: Raw) -> Option<u64> {
    if term == atoms().infinity {
        return Some(UNBOUNDED);
    }
    beam::get_u64(env, term).filter(|credit| *credit > 0)
}
