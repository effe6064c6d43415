//! The end of an incarnation: every request in it gets exactly one answer or another worker.

use crate::beam::{self, EnvPtr, atoms};
use crate::extent::{Carried, Payload, PlaceError};
use crate::incarnation::{CLOSED, DOWN, Incarnation, RING_HEAD, down_reason};
use crate::lease::Access;
use crate::pool::{self, Parked, Pool};
use crate::slab::{self, Entry, Handed};
use crate::{cancel, reader, registry};
use shm_proto::arbiter::Side;
use shm_proto::entry::State;
use shm_proto::request::{Header, Options, Place};
use shm_proto::ring::PublishError;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A request is published to at most this many workers after its first.
const MAX_MOVES: u8 = 2;

/// Ends an incarnation on its reader thread. `problem` names the check that failed, if one did.
pub fn run(incarnation: &Arc<Incarnation>, problem: Option<&'static str>) {
    incarnation.advance(CLOSED);
    leave_pools(incarnation);
    if let Some(check) = problem {
        incarnation.condemn(check);
    }
    incarnation.kill(atoms().exited);
    incarnation.advance(DOWN);
    if let (Some(inbox), None) = (incarnation.inbox(), problem) {
        // What the worker published before it died counts, up to the first record that is not whole. No more than a ring
        // holds: a process that it left behind could go on publishing for ever.
        let _ = inbox.drain(incarnation, incarnation.link().geometry().slots());
    }
    if let Some(output) = &incarnation.output {
        output.finish(incarnation);
    }
    settle(incarnation);
    end_history(incarnation);
    incarnation.tell_owner(std::ptr::null_mut(), |env| {
        let check = incarnation.broken().map_or(atoms().undefined, |check| beam::binary(env, check.as_bytes()));
        beam::tuple(env, [atoms().py_down, beam::uint(env, incarnation.serial()), incarnation.reason(), check])
    });
    incarnation.drop_term();
    registry::remove(incarnation.serial());
}

/// Ends an incarnation that has no reader thread yet.
pub fn without_reader(incarnation: &Arc<Incarnation>) {
    if !incarnation.was_attached() && incarnation.advance(DOWN) {
        leave_pools(incarnation);
        if let Some(output) = &incarnation.output {
            output.finish(incarnation);
        }
        settle(incarnation);
        end_history(incarnation);
        incarnation.drop_term();
        registry::remove(incarnation.serial());
    }
}

/// Takes the incarnation out of the choice of its pools.
pub fn leave_pools(incarnation: &Incarnation) {
    for id in incarnation.pools() {
        if let Some(pool) = Pool::find(id) {
            pool.remove(incarnation.serial());
        }
    }
}

/// What the incarnation counted goes to its pools.
fn end_history(incarnation: &Incarnation) {
    for pool in incarnation.pools().into_iter().filter_map(Pool::find) {
        pool.history.leave(incarnation);
    }
}

fn settle(incarnation: &Arc<Incarnation>) {
    for entry in slab::all() {
        while entry.incarnation.load(Ordering::Relaxed) == incarnation.serial() {
            let (generation, state) = entry.word.load();
            match state {
                State::Live => {
                    if entry.seize(generation, incarnation.serial()) {
                        move_or_fail(incarnation, entry, generation);
                        break;
                    }
                }
                State::Watched => {
                    if entry.hand_over(generation, Handed::Down) {
                        break;
                    }
                }
                State::Cancelled => {
                    cancel::release(std::ptr::null_mut(), entry, Some(incarnation), false);
                    break;
                }
                // Somebody holds the entry for a moment and will look at the state of the incarnation, or the entry goes
                // back to a state above.
                State::Moving => std::thread::yield_now(),
                State::Free | State::Handed | State::Delivering | State::Failed => break,
            }
        }
    }
    // Callers bound to this worker that waited for room in its ring learn of its end.
    incarnation.queue.wake_all(std::ptr::null_mut());
}

/// Queued requests of a worker that takes no new ones move to other workers; what runs stays.
pub fn move_queued(env: EnvPtr, incarnation: &Arc<Incarnation>) {
    for entry in slab::all() {
        let (generation, state) = entry.word.load();
        if state != State::Live || !entry.seize(generation, incarnation.serial()) {
            continue;
        }
        // SAFETY: we own the MOVING state.
        let movable = unsafe { !entry.body().bound };
        if !(movable && try_move(env, incarnation, entry, generation)) {
            let _ = entry.word.transition(generation, State::Moving, State::Live);
        }
    }
}

/// Settles a request of a dead worker. The entry is MOVING and ours.
fn move_or_fail(incarnation: &Arc<Incarnation>, entry: &'static Entry, generation: u32) {
    let env = std::ptr::null_mut();
    // SAFETY: we own the MOVING state.
    let body = unsafe { entry.body() };
    // Its submitter may be between claim and commit, where it only copies. Until then there is nothing to move.
    while !incarnation.link().requests.is_committed(body.position) {
        std::thread::yield_now();
    }
    if try_move(env, incarnation, entry, generation) {
        return;
    }
    reader::send_error(env, body, &|env| down_reason(env, incarnation));
    cancel::release(env, entry, Some(incarnation), false);
}

/// Publishes a request that was not started to another worker of its pool, or parks it until there is one. Returns
/// false, with the entry still MOVING and ours, if it may not be moved.
fn try_move(env: EnvPtr, incarnation: &Arc<Incarnation>, entry: &'static Entry, generation: u32) -> bool {
    // SAFETY: we own the MOVING state.
    let body = unsafe { entry.body() };
    if body.bound || body.moves >= MAX_MOVES {
        return false;
    }
    let Some(pool) = Pool::find(body.pool) else { return false };
    let link = incarnation.link();
    let mut record = Vec::new();
    // Read back first, then win the start word: whoever wins it knows that the worker had not passed the record.
    if !link.requests.read_back(body.position, &mut record) {
        return false;
    }
    let Ok(header) = Header::decode(&record) else { return false };
    record.truncate(Header::SIZE + header.len as usize);
    if header.id != entry.id(generation) || link.starts(body.position).decide(body.position, Side::Node).is_err() {
        return false;
    }
    let Some(inline) = header.body(&record) else { return false };
    let payload = Carried::copy(incarnation, inline, body.payload.as_ref());
    body.moves += 1;
    incarnation.settle(body, true);
    entry.incarnation.store(0, Ordering::Relaxed);
    let _ = entry.word.transition(generation, State::Moving, State::Live);
    republish(env, &pool, Parked { index: entry.index(), generation, header, payload });
    true
}

/// Publishes requests that lost their worker, each to whoever is best now; parks those for which there is nobody.
pub fn republish(env: EnvPtr, pool: &Arc<Pool>, mut parked: Parked) {
    loop {
        let Some(entry) = slab::get(parked.index) else { return };
        // Cancelled, or its caller died, while it was parked.
        if entry.word.transition(parked.generation, State::Live, State::Moving).is_err() {
            return;
        }
        if pool.is_closed() {
            // SAFETY: we own the MOVING state.
            reader::send_error(env, unsafe { entry.body() }, &|_| atoms().not_started);
            cancel::release(env, entry, None, true);
            return;
        }
        let generation = parked.generation;
        match publish(pool, entry, &parked) {
            Published::To(worker) => {
                // Closed between choice and publication, as in `submit`.
                if worker.state() < CLOSED || !entry.seize(generation, worker.serial()) {
                    return;
                }
                // SAFETY: we own the MOVING state.
                let body = unsafe { entry.body() };
                if worker.link().starts(body.position).decide(body.position, Side::Node).is_ok() {
                    worker.settle(body, true);
                    entry.incarnation.store(0, Ordering::Relaxed);
                    let _ = entry.word.transition(generation, State::Moving, State::Live);
                    continue;
                }
                if worker.state() == DOWN {
                    reader::send_error(env, body, &|env| down_reason(env, &worker));
                    cancel::release(env, entry, Some(&worker), false);
                } else {
                    let _ = entry.word.transition(generation, State::Moving, State::Live);
                }
                return;
            }
            Published::Failed(detail) => {
                // SAFETY: we own the MOVING state.
                let body = unsafe { entry.body() };
                reader::send_error(env, body, &|env| {
                    beam::tuple(env, [atoms().exhausted, beam::binary(env, detail.as_bytes())])
                });
                cancel::release(env, entry, None, true);
                return;
            }
            Published::Nobody if pool.is_failing() => {
                // SAFETY: we own the MOVING state.
                reader::send_error(env, unsafe { entry.body() }, &|_| atoms().no_workers_available);
                cancel::release(env, entry, None, true);
                return;
            }
            Published::Nobody => {
                let _ = entry.word.transition(generation, State::Moving, State::Live);
                pool.park(parked);
                // A worker that came, or a close, between the look and the parking has not seen it.
                if !pool.is_closed() && !pool.is_failing() && !pool.has_room() {
                    return;
                }
                match pool.take_one_parked() {
                    Some(next) => parked = next,
                    None => return,
                }
            }
        }
    }
}

/// What came of publishing a request again.
enum Published {
    To(Arc<Incarnation>),
    /// No worker takes it now.
    Nobody,
    /// No memory for its payload; a text for people. Waiting would not change that.
    Failed(String),
}

/// Writes a parked request into the ring of the best worker. The entry is MOVING and ours; it is LIVE on success.
fn publish(pool: &Arc<Pool>, entry: &'static Entry, parked: &Parked) -> Published {
    let workers = pool.workers();
    let Some(worker) = pool::choose(&workers) else { return Published::Nobody };
    // SAFETY: we own the MOVING state.
    let body = unsafe { entry.body() };
    let mut header = parked.header;
    if !header.kind.is_stream() {
        header.cell = 0;
    }
    let extent;
    let tail: &[u8] = match &parked.payload {
        Carried::Inline(bytes) => {
            header.place = Place::Inline;
            bytes
        }
        Carried::Extent { bytes, terms_len } => {
            let payload = match Payload::place_whole(worker, bytes, *terms_len) {
                Ok(payload) => payload,
                Err(PlaceError::Exhausted(detail)) => return Published::Failed(detail),
                Err(PlaceError::NeedsDirty) => return Published::Nobody,
            };
            header.place = payload.wire_place();
            extent = payload.extent().encode();
            body.payload = Some(payload);
            &extent
        }
    };
    let root = body.root.to_le_bytes();
    let root: &[u8] = if header.options.has(Options::NESTED) { &root } else { &[] };
    header.len = (root.len() + tail.len()) as u32;
    let len = Header::SIZE + root.len() + tail.len();
    worker.enter();
    if worker.seat().admit(Access::Pool).is_none() || worker.is_closed() {
        worker.settle(body, true);
        return Published::Nobody;
    }
    let mut claim = match worker.claim(len) {
        Ok(claim) => claim,
        Err(problem) => {
            worker.settle(body, true);
            return match problem {
                PublishError::Full => Published::Nobody,
                PublishError::TooLarge => Published::Failed(problem.to_string()),
                PublishError::Corrupt => {
                    worker.advance(CLOSED);
                    worker.condemn(RING_HEAD);
                    Published::Nobody
                }
            };
        }
    };
    body.position = claim.position();
    entry.incarnation.store(worker.serial(), Ordering::Relaxed);
    let _ = entry.word.transition(parked.generation, State::Moving, State::Live);
    claim.write(&header.encode());
    claim.write(root);
    claim.write(tail);
    claim.commit();
    worker.wake();
    Published::To(worker.clone())
}
