//! The path of a request into a ring, and of a short answer back to its caller.
//!
//! One call: encode into this scheduler's scratch, choose a worker, take an entry, claim a record, copy, commit. Where
//! the call is expected to be short, watch its reply cell and return the result; else make it pending. Nothing here
//! waits, and nothing large is copied on a normal scheduler.

use crate::beam::{self, EnvPtr, Raw, atoms};
use crate::cancel::{self, PENDING, Pending};
use crate::extent::{Payload, PlaceError};
use crate::incarnation::{
    CLOSED, DOWN, Incarnation, RING_HEAD, STARTING, UP, WORKER, cell_parts, down_reason, worker_down,
};
use crate::janitor::{self, Job};
use crate::label::Label;
use crate::lease::{Access, LEASE, Lease};
use crate::pool::{self, POOL, Pool};
use crate::slab::{self, Entry, Handed, ReplyTo};
use crate::stream::{self, Flow};
use crate::target::{Follow, Target, follow};
use crate::term::{self, Encoded, Inline};
use crate::wait::{TICKET, Ticket};
use crate::watch::Patience;
use crate::{callback, estimate, inbox, reader, semaphore, undecoded, watch};
use shm_proto::arbiter::Side;
use shm_proto::cell::CELL_PAYLOAD;
use shm_proto::entry::State;
use shm_proto::request::{Header, Options, Place};
use shm_proto::ring::PublishError;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Option bits that stay in the node.
pub const NO_PERMIT: u64 = 1 << 10;
/// Take the message path: do not watch the reply cell.
pub const NO_WATCH: u64 = 1 << 11;

/// The node's own request: bindings do not keep it out, and what it changes in the worker is there to stay.
const NODE: u64 = 1 << 24;

/// Functions of module asyncio run on the event loop ([`Options::ASYNC`]).
const ASYNC: u64 = 1 << 19;

/// Bytes that a normal scheduler encodes and copies: about 5 us of copying.
const NORMAL_BUDGET: usize = 64 * 1024;
/// Answers that a caller delivers on its way: more than it makes necessary, so that none pile up.
const HELPED: u32 = 4;
/// Payloads up to this size travel in the record.
const INLINE_PAYLOAD: usize = 16 * 1024;

/// One submission: all that stays the same over its attempts.
struct Submission<'a> {
    env: EnvPtr,
    target: Target<'a>,
    access: Access,
    encoded: Encoded<'a>,
    options: Options,
    reply_to: ReplyTo,
    /// Of a stream.
    credit: u64,
    reference: Raw,
    ticket: Option<&'a Ticket>,
    estimate: u32,
    watch: bool,
    dirty: bool,
    permit: Permit,
    /// Root of the chain of calls that the caller works for; 0: none.
    root: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Permit {
    /// The request does not count.
    None,
    /// Taken when the call becomes pending.
    Later,
    /// Taken.
    Held,
}

/// Why an attempt on one worker came to nothing.
enum Missed {
    /// The ring is full.
    Full,
    /// The worker takes no requests any more.
    Gone,
    /// Cannot be done at all.
    Failed(Raw),
}

/// The NIF `submit/5` and `submit_dirty/5`: `args` are target, request, reply-to, options, token.
pub fn submit(env: EnvPtr, args: &[Raw], dirty: bool) -> Raw {
    let Some(options) = beam::get_u64(env, args[3]) else { return badarg(env, "options") };
    let leased;
    let (target, access) = if let Some(pool) = POOL.get(env, args[0]) {
        (Target::Pool(&pool.0), Access::Pool)
    } else if let Some(worker) = WORKER.get(env, args[0]) {
        (Target::Worker(&worker.0), Access::Worker)
    } else if let Some(lease) = LEASE.get(env, args[0]) {
        if lease.has_ended() && options & NODE == 0 {
            return refused(env, lease);
        }
        match lease.worker() {
            Ok(worker) => leased = worker,
            Err(reason) => return beam::error(env, worker_down(env, reason)),
        }
        (Target::Worker(&leased), lease.access())
    } else {
        return badarg(env, "target");
    };
    let access = if options & NODE != 0 { Access::Node } else { access };
    let a = atoms();
    let mut credit = 0;
    let (reply_to, reference) = match args[2] {
        r if r == a.py_response => (ReplyTo::Response, Raw::default()),
        r if r == a.py_result => (ReplyTo::Result, Raw::default()),
        r if r == a.cast => (ReplyTo::Cast, Raw::default()),
        // SAFETY: a term of this call.
        r if unsafe { rustler::sys::enif_is_ref(env, r) } != 0 => (ReplyTo::Sync, r),
        r => match beam::get_tuple(env, r) {
            Some(&[tag, items]) if tag == a.py_stream => match stream::read_credit(env, items) {
                Some(items) => {
                    credit = items;
                    (ReplyTo::Stream, Raw::default())
                }
                None => return badarg(env, "credit"),
            },
            _ => return badarg(env, "reply_to"),
        },
    };
    let ticket = TICKET.get(env, args[4]);
    let budget = if dirty { None } else { Some(NORMAL_BUDGET) };
    let answer = term::with_request(env, args[1], options, budget, |encoded| {
        let encoded = match encoded {
            Ok(encoded) => *encoded,
            Err(term::EncodeError::TooLarge) if !dirty => return a.large,
            Err(problem) => return beam::error(env, problem.reason(env)),
        };
        if encoded.kind.is_stream() != (reply_to == ReplyTo::Stream) {
            return badarg(env, "reply_to");
        }
        let home;
        let (target, access) = match encoded.home {
            None => (target, access),
            Some((of, handle)) => match follow(target, access, of, options) {
                Follow::Worker(worker) => {
                    home = worker;
                    (Target::Worker(&home), if let Access::Binding(_) = access { access } else { Access::Worker })
                }
                Follow::Down(reason) => return beam::error(env, worker_down(env, reason)),
                Follow::Other => return beam::error(env, term::EncodeError::other_worker(env, *handle).reason(env)),
            },
        };
        let root = callback::root_of_caller(env);
        let wire = (options & 0xFF) as u16
            | if reply_to == ReplyTo::Cast { Options::CAST } else { 0 }
            | if options & ASYNC != 0 { Options::ASYNC } else { 0 }
            | if root != 0 { Options::NESTED } else { 0 }
            | if options & NODE != 0 { Options::NODE } else { 0 };
        Submission {
            env,
            target,
            access,
            root,
            options: Options(wire),
            credit,
            reply_to,
            reference,
            ticket,
            estimate: estimate::slot(encoded.kind as u8, encoded.key()),
            watch: options & NO_WATCH == 0 && !dirty && reply_to == ReplyTo::Sync,
            permit: if options & NO_PERMIT != 0 || reply_to == ReplyTo::Cast { Permit::None } else { Permit::Later },
            encoded,
            dirty,
        }
        .run()
    });
    // A ticket ends with whatever came of its turn, unless it went back to wait.
    if let Some(ticket) = ticket
        && !(beam::get_tuple(env, answer).is_some_and(|t| t[0] == a.wait) || answer == a.large)
    {
        ticket.finish(env);
    }
    answer
}

/// What a request gets whose lease has ended.
fn refused(env: EnvPtr, lease: &Lease) -> Raw {
    let reason = if lease.is_binding() { atoms().released } else { atoms().bound };
    beam::error(env, worker_down(env, reason))
}

fn badarg(env: EnvPtr, what: &str) -> Raw {
    beam::error(env, beam::tuple(env, [atoms().badarg, beam::atom(env, what)]))
}

impl Submission<'_> {
    fn run(mut self) -> Raw {
        if self.permit == Permit::Later && !(semaphore::may_start_free() && self.watch) {
            if !semaphore::try_take(self.has_turn(semaphore::queue())) {
                return self.wait(semaphore::queue().clone(), semaphore::available);
            }
            self.permit = Permit::Held;
        }
        let answer = match self.target {
            Target::Worker(worker) => self.on_worker(worker),
            Target::Pool(pool) => self.on_pool(pool),
        };
        if self.permit == Permit::Held {
            semaphore::give_back(self.env);
        }
        answer
    }

    fn has_turn(&self, queue: &Arc<crate::wait::Queue>) -> bool {
        self.ticket.is_some_and(|t| Arc::ptr_eq(t.queue(), queue))
    }

    fn on_worker(&mut self, worker: &Arc<Incarnation>) -> Raw {
        match self.attempt(worker, None) {
            Ok(answer) => answer,
            Err(Missed::Full) => {
                let queue = worker.queue.clone();
                let room = || worker.state() >= CLOSED || worker.has_room_or_will_tell();
                self.wait(queue, room)
            }
            Err(Missed::Gone) => beam::error(self.env, down_reason(self.env, worker)),
            Err(Missed::Failed(answer)) => answer,
        }
    }

    fn on_pool(&mut self, pool: &Arc<Pool>) -> Raw {
        if pool.is_closed() {
            return beam::error(self.env, atoms().not_started);
        }
        if pool.queue.has_waiters() && !self.has_turn(&pool.queue) {
            return self.wait(pool.queue.clone(), || true);
        }
        // Each worker that is gone has left the list or is about to; the bound only guards against a stale list.
        for _ in 0..4 {
            let workers = pool.workers();
            let Some(worker) = pool::choose(&workers) else { break };
            match self.attempt(worker, Some(pool)) {
                Ok(answer) => return answer,
                Err(Missed::Full) => {
                    let room = || pool.is_closed() || pool.has_room();
                    return self.wait(pool.queue.clone(), room);
                }
                Err(Missed::Gone) => std::hint::spin_loop(),
                Err(Missed::Failed(answer)) => return answer,
            }
        }
        if pool.is_failing() {
            return beam::error(self.env, atoms().no_workers_available);
        }
        let there = || pool.is_closed() || pool.is_failing() || pool::choose(&pool.workers()).is_some();
        self.wait(pool.queue.clone(), there)
    }

    /// Joins a queue, or goes back to its front. `available` looks once more after that.
    fn wait(&mut self, queue: Arc<crate::wait::Queue>, available: impl Fn() -> bool) -> Raw {
        let env = self.env;
        let token = match self.ticket {
            Some(ticket) if Arc::ptr_eq(ticket.queue(), &queue) => {
                queue.rejoin(ticket);
                crate::resource::Owned::from_ref(ticket).term(env)
            }
            other => {
                if let Some(ticket) = other {
                    ticket.finish(env);
                }
                let Some(pid) = beam::caller(env) else { return badarg(env, "caller") };
                queue.join(env, pid).term(env)
            }
        };
        if available() {
            queue.wake(env, 1);
        }
        beam::tuple(env, [atoms().wait, token])
    }

    fn attempt(&mut self, worker: &Arc<Incarnation>, pool: Option<&Arc<Pool>>) -> Result<Raw, Missed> {
        if worker.state() != UP && !(worker.state() == STARTING && pool.is_none()) {
            return Err(Missed::Gone);
        }
        let Some(entry) = slab::alloc() else {
            let detail = beam::binary(self.env, b"too many requests are in flight");
            return Err(Missed::Failed(beam::error(self.env, beam::tuple(self.env, [atoms().exhausted, detail]))));
        };
        worker.enter();
        let Some(binding) = worker.seat().admit(self.access) else {
            worker.leave_unstarted();
            slab::free(entry, true);
            return Err(self.denied());
        };
        if worker.is_closed() {
            worker.leave_unstarted();
            slab::free(entry, true);
            return Err(Missed::Gone);
        }
        entry.binding.store(binding, Ordering::Relaxed);
        let (generation, _) = entry.word.load();
        // SAFETY: a free entry belongs to whoever allocated it.
        let body = unsafe { entry.body() };
        body.reply_to = self.reply_to;
        body.options = self.options;
        body.bound = pool.is_none();
        body.moves = 0;
        body.estimate = self.estimate;
        body.pool = pool.map_or(0, |p| p.id);
        body.root = self.root;
        body.flow = Flow::new(self.credit);
        body.permit = false;
        body.payload = None;
        let patience = if self.watch { watch::patience(worker, pool, self.estimate) } else { Patience::default() };
        body.cell = if patience.any() { worker.cells.take() } else { 0 };
        let watched = body.cell != 0;
        let pending = if watched { Raw::default() } else { self.prepare_pending(entry, generation) };
        if let Err(missed) = self.publish(worker, entry, generation) {
            self.undo(worker, entry);
            return Err(missed);
        }
        if self.dirty && self.reply_to != ReplyTo::Cast && !beam::caller_alive(self.env) {
            // A process can end while it runs here, and its monitor fired before there was anything to cancel.
            janitor::push(Job::CallerDown(entry.index(), generation));
        }
        if binding != 0 && worker.seat().has_ended(binding) {
            // It ended while this was published, perhaps after the look at its requests.
            janitor::push(Job::EndBinding(worker.clone(), binding));
        }
        // `publish` ends with a full fence (SYNC POINT: pairs with the one in `Incarnation::advance`): either we see
        // here that the worker was closed, or whoever closed it sees our entry.
        if worker.state() >= CLOSED {
            let won = if watched {
                entry.word.transition(generation, State::Watched, State::Moving).is_ok()
            } else {
                // Teardown may have been here, and the request may run in another worker.
                entry.seize(generation, worker.serial())
            };
            if won {
                // SAFETY: we won the entry back.
                let position = unsafe { entry.body() }.position;
                if worker.link().starts(position).decide(position, Side::Node).is_ok() {
                    self.undo(worker, entry);
                    return Err(Missed::Gone);
                }
                if worker.state() == DOWN {
                    // Teardown may have passed the entry before it was published.
                    if watched {
                        self.undo(worker, entry);
                        return Err(Missed::Failed(beam::error(self.env, down_reason(self.env, worker))));
                    }
                    // Items of a stream may be in the caller's mailbox already, so that the error has to follow them.
                    // SAFETY: we won the entry back.
                    reader::send_error(self.env, unsafe { entry.body() }, &|env| down_reason(env, worker));
                    cancel::release(self.env, entry, Some(worker), false);
                    return Ok(pending);
                }
                let state = if watched { State::Watched } else { State::Live };
                let _ = entry.word.transition(generation, State::Moving, state);
            }
        }
        if watched {
            return self.watch(worker, entry, generation, patience);
        }
        if !self.dirty {
            inbox::help(self.env, worker, HELPED);
        }
        Ok(pending)
    }

    /// The worker does not let the request in.
    fn denied(&self) -> Missed {
        let reason = match self.access {
            Access::Pool => return Missed::Gone,
            Access::Tie(_) => atoms().bound,
            Access::Binding(_) | Access::Worker | Access::Node => atoms().released,
        };
        Missed::Failed(beam::error(self.env, worker_down(self.env, reason)))
    }

    /// Returns an entry that is ours, and what was prepared for its pending state.
    fn undo(&mut self, worker: &Arc<Incarnation>, entry: &'static Entry) {
        // SAFETY: the caller owns the entry: it never left FREE, or it was won back.
        let body = unsafe { entry.body() };
        body.unprepare();
        if std::mem::take(&mut body.permit) {
            self.permit = Permit::Held;
        }
        worker.settle(body, true);
        slab::free(entry, true);
    }

    /// Writes the record; the entry is then WATCHED if it has a cell, else LIVE.
    fn publish(&mut self, worker: &Arc<Incarnation>, entry: &'static Entry, generation: u32) -> Result<(), Missed> {
        // SAFETY: not published yet, still ours.
        let body = unsafe { entry.body() };
        let encoded = self.encoded;
        let extent;
        let (place, tail): (Place, &[u8]) = if encoded.blobs.is_empty() && encoded.terms.len() <= INLINE_PAYLOAD {
            (Place::Inline, encoded.terms)
        } else {
            match Payload::place(worker, &encoded, self.dirty) {
                Ok(payload) => {
                    extent = payload.extent().encode();
                    let place = payload.wire_place();
                    body.payload = Some(payload);
                    (place, &extent)
                }
                Err(PlaceError::NeedsDirty) => return Err(Missed::Failed(atoms().large)),
                Err(PlaceError::Exhausted(detail)) => {
                    let reason = beam::tuple(self.env, [atoms().exhausted, beam::binary(self.env, detail.as_bytes())]);
                    return Err(Missed::Failed(beam::error(self.env, reason)));
                }
            }
        };
        let root = self.root.to_le_bytes();
        let root: &[u8] = if self.root != 0 { &root } else { &[] };
        let header = Header {
            id: entry.id(generation),
            cell: if self.encoded.kind.is_stream() { body.flow.told() } else { body.cell },
            kind: self.encoded.kind,
            place,
            options: self.options,
            len: (root.len() + tail.len()) as u32,
        }
        .encode();
        let len = header.len() + root.len() + tail.len();
        let mut claim = worker.claim(len).map_err(|problem| match problem {
            PublishError::Full => Missed::Full,
            PublishError::TooLarge => Missed::Failed(badarg(self.env, "args")),
            PublishError::Corrupt => {
                worker.advance(CLOSED);
                worker.condemn(RING_HEAD);
                Missed::Gone
            }
        })?;
        body.position = claim.position();
        entry.incarnation.store(worker.serial(), Ordering::Relaxed);
        let state = if body.cell != 0 { State::Watched } else { State::Live };
        let moved = entry.word.transition(generation, State::Free, state);
        debug_assert!(moved.is_ok());
        claim.write(&header);
        claim.write(root);
        claim.write(tail);
        claim.commit();
        worker.wake();
        Ok(())
    }

    /// Fills in what a reader needs to answer by message, and makes what the caller gets now. The entry must be ours.
    fn prepare_pending(&mut self, entry: &'static Entry, generation: u32) -> Raw {
        // SAFETY: the entry is free or watched by this very call.
        let body = unsafe { entry.body() };
        body.label = Label::new(self.encoded.kind, self.encoded.key());
        entry.since.store(slab::now_ms(), Ordering::Relaxed);
        if self.permit != Permit::None {
            if self.permit == Permit::Later {
                semaphore::take();
            }
            self.permit = Permit::None;
            body.permit = true;
        }
        if self.reply_to == ReplyTo::Cast {
            return atoms().ok;
        }
        let env = body.env.get_or_insert_with(beam::MessageEnv::new).ptr();
        let handle = PENDING.alloc(Pending { index: entry.index(), generation, estimate: self.estimate });
        let term = handle.term(self.env);
        let answer = if self.reply_to == ReplyTo::Sync {
            // SAFETY: copies a term of the running call into the entry's environment.
            body.reference = unsafe { rustler::sys::enif_make_copy(env, self.reference) };
            beam::tuple(self.env, [atoms().pending, term])
        } else {
            body.reference = handle.term(env);
            term
        };
        if let Some(pid) = beam::caller(self.env) {
            body.caller = MaybeUninit::new(pid);
            handle.monitor(self.env, &pid);
        }
        body.handle = Some(handle);
        answer
    }

    /// Watches the reply cell; makes the call pending when the budget is used up.
    fn watch(
        &mut self,
        worker: &Arc<Incarnation>,
        entry: &'static Entry,
        generation: u32,
        patience: Patience,
    ) -> Result<Raw, Missed> {
        // SAFETY: while the entry is WATCHED its body is ours.
        let body = unsafe { entry.body() };
        let (index, ticket) = cell_parts(body.cell);
        let cells = &worker.link().cells;
        let watched = watch::until_done(self.env, entry, generation, || cells.poll(index as usize, ticket), patience);
        if !patience.waking {
            estimate::record(self.estimate, watched.nanoseconds);
        }
        if watched.done {
            if !entry.stop_watching(generation, State::Delivering) {
                // Somebody handed an answer over as well; the worker's own, in the cell, is as good or better.
                // SAFETY: HANDED gives the slot to us.
                *unsafe { entry.handed() } = None;
            }
            return Ok(self.take_cell(worker, entry));
        }
        let pending = self.prepare_pending(entry, generation);
        if !entry.stop_watching(generation, State::Live) {
            return self.take_handed(worker, entry);
        }
        if cells.abandon(index as usize, ticket).is_ok() {
            return Ok(pending);
        }
        // Done after all. Unless teardown was faster, the result is ours. Whoever holds the entry only for a moment (a close
        // that looks for queued requests) gives it back: nothing else would ever answer it.
        loop {
            match entry.word.transition(generation, State::Live, State::Moving) {
                Ok(()) => break,
                Err((now, State::Moving)) if now == generation => std::thread::yield_now(),
                Err(_) => return Ok(pending),
            }
        }
        // A worker that fills a cell without having started the request may have lost it to another worker meanwhile.
        if entry.incarnation.load(Ordering::Relaxed) != worker.serial() {
            let _ = entry.word.transition(generation, State::Moving, State::Live);
            return Ok(pending);
        }
        let _ = entry.word.transition(generation, State::Moving, State::Delivering);
        Ok(self.take_cell(worker, entry))
    }

    /// Takes the result out of the cell. The entry is ours.
    fn take_cell(&mut self, worker: &Arc<Incarnation>, entry: &'static Entry) -> Raw {
        // SAFETY: the caller won the entry.
        let body = unsafe { entry.body() };
        let mut payload = MaybeUninit::<[u8; CELL_PAYLOAD]>::uninit();
        // SAFETY: an array of bytes has no invalid values; `read` fills what it reports as its length.
        let bytes = unsafe { &mut *payload.as_mut_ptr() };
        let (index, _) = cell_parts(body.cell);
        let reply = match worker.link().cells.read(index as usize, bytes) {
            Ok(len) => term::decode_reply(self.env, &bytes[..len], self.options.0, &Inline(worker.handles())),
            Err(problem) => Err(term::Corrupt(problem.0)),
        };
        self.finish(worker, entry);
        reply.unwrap_or_else(|problem| self.corrupt(worker, problem))
    }

    /// Takes the answer that a reader or teardown left with the entry.
    fn take_handed(&mut self, worker: &Arc<Incarnation>, entry: &'static Entry) -> Result<Raw, Missed> {
        // SAFETY: the entry is HANDED: slot and body are ours.
        let (handed, position) = unsafe { (entry.handed().take(), entry.body().position) };
        match handed {
            Some(Handed::Reply(reply)) => {
                undecoded::consume(self.env, reply.len());
                let answer = reply.decode(self.env, self.options, worker);
                self.finish(worker, entry);
                Ok(answer.unwrap_or_else(|problem| self.corrupt(worker, problem)))
            }
            Some(Handed::Down) | None => {
                let ours = worker.link().starts(position).decide(position, Side::Node).is_ok();
                self.undo(worker, entry);
                Err(if ours {
                    Missed::Gone
                } else {
                    Missed::Failed(beam::error(self.env, down_reason(self.env, worker)))
                })
            }
        }
    }

    /// The answer of a call whose reply no correct worker sends.
    fn corrupt(&self, worker: &Incarnation, problem: term::Corrupt) -> Raw {
        worker.condemn(problem.0);
        beam::error(self.env, worker_down(self.env, atoms().corrupt))
    }

    /// Frees an entry whose answer was taken inline.
    fn finish(&mut self, worker: &Arc<Incarnation>, entry: &'static Entry) {
        // SAFETY: the caller won the entry.
        let body = unsafe { entry.body() };
        body.unprepare();
        let permit = std::mem::take(&mut body.permit);
        worker.settle(body, false);
        slab::free(entry, true);
        if permit {
            semaphore::give_back(self.env);
        }
    }
}
