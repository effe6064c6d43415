//! What the library holds and what waits in it, for people who look for the reason of a hang.
//!
//! Waits for nobody: a lock that somebody holds is reported as that, and an entry that somebody holds without its details.

use crate::beam::{self, EnvPtr, Raw, atoms};
use crate::incarnation::{Incarnation, state_atom};
use crate::slab::{self, Entry, ReplyTo};
use crate::{janitor, reader, registry, semaphore};
use shm_proto::entry::State;
use shm_proto::request::Options;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Requests that are listed one by one; all are counted.
const LISTED: usize = 1000;

const STATES: [State; 7] =
    [State::Watched, State::Live, State::Handed, State::Delivering, State::Cancelled, State::Failed, State::Moving];

/// A map of everything.
pub fn report(env: EnvPtr) -> Raw {
    let incarnations = registry::try_incarnations();
    let workers = match &incarnations {
        Some(all) => beam::list(env, &all.iter().map(|one| worker(env, one)).collect::<Vec<_>>()),
        None => beam::atom(env, "locked"),
    };
    let incarnations = incarnations.unwrap_or_default();
    let mut counts = [0u64; STATES.len()];
    let mut requests = Vec::new();
    for entry in slab::all() {
        let (_, state) = entry.word.load();
        let Some(which) = STATES.iter().position(|&s| s == state) else { continue };
        counts[which] += 1;
        if requests.len() < LISTED {
            requests.push(request(env, entry, &incarnations));
        }
    }
    let states: [(&str, Raw); STATES.len()] = std::array::from_fn(|i| (name(STATES[i]), beam::uint(env, counts[i])));
    beam::map(
        env,
        [
            ("workers", workers),
            ("requests", beam::list(env, &requests)),
            ("request_states", beam::map(env, states)),
            ("janitor_jobs", beam::uint(env, janitor::waiting() as u64)),
            ("readers", beam::uint(env, reader::RUNNING.load(Ordering::Acquire) as u64)),
            ("permits", beam::uint(env, semaphore::current().max(0) as u64)),
            ("max_permits", beam::uint(env, semaphore::limit().max(0) as u64)),
            ("waiting_for_permits", beam::uint(env, semaphore::queue().len() as u64)),
        ],
    )
}

/// The oldest requests that are pending, the oldest first: at most `count`, whose age in milliseconds is in `ages`.
pub fn oldest(env: EnvPtr, ages: Range<u64>, count: usize) -> Raw {
    let now = slab::now_ms();
    let mut found: Vec<(u64, u32)> = slab::all()
        .filter(|entry| entry.word.load().1 == State::Live)
        .map(|entry| (entry.since.load(Ordering::Relaxed), entry.index()))
        .filter(|(since, _)| ages.contains(&now.saturating_sub(*since)))
        .collect();
    found.sort_unstable();
    found.truncate(count);
    let incarnations = registry::try_incarnations().unwrap_or_default();
    let entries = found.iter().filter_map(|(_, index)| slab::get(*index));
    let requests: Vec<Raw> = entries.map(|entry| request(env, entry, &incarnations)).collect();
    beam::list(env, &requests)
}

fn worker(env: EnvPtr, worker: &Incarnation) -> Raw {
    let link = worker.link();
    let (handled, more) = link.look_at_responses();
    let number = |n: u64| beam::uint(env, n);
    let requests = beam::map(
        env,
        [
            ("claimed", number(link.requests.claimed())),
            ("consumed", number(link.requests.consumed())),
            ("capacity", number(link.requests.capacity())),
        ],
    );
    let responses = beam::map(env, [("consumed", number(handled)), ("more", beam::boolean(more))]);
    let flags = beam::map(
        env,
        [
            ("worker_sleeps", beam::boolean(link.request_sleeping().is_raised())),
            ("reader_sleeps", beam::boolean(link.response_sleeping().is_raised())),
            ("node_wants_room", beam::boolean(link.request_waiting().is_raised())),
            ("worker_wants_room", beam::boolean(link.response_waiting().is_raised())),
        ],
    );
    let cells = u32::from(link.geometry().cells.min(64));
    beam::map(
        env,
        [
            ("id", number(worker.id)),
            ("serial", number(worker.serial())),
            ("os_pid", number(worker.os_pid().max(0) as u64)),
            ("state", state_atom(worker.state())),
            ("has_reader", beam::boolean(worker.was_attached())),
            ("in_flight", number(u64::from(worker.in_flight()))),
            ("request_ring", requests),
            ("response_ring", responses),
            ("flags", flags),
            ("cells_taken", number(u64::from(cells.saturating_sub(worker.cells.free())))),
            ("bound", beam::boolean(worker.seat().is_taken())),
            ("ties", number(worker.seat().ties.count())),
            ("handles", number(worker.handles().live())),
            ("parked_streams", number(u64::from(worker.streams().parked()))),
            ("waiting_for_room", number(worker.queue.len() as u64)),
        ],
    )
}

fn request(env: EnvPtr, entry: &Entry, incarnations: &[Arc<Incarnation>]) -> Raw {
    let (generation, state) = entry.word.load();
    let serial = entry.incarnation.load(Ordering::Relaxed);
    let incarnation = incarnations.iter().find(|i| i.serial() == serial);
    let head = [
        ("id", beam::uint(env, entry.id(generation))),
        ("state", beam::atom(env, name(state))),
        ("worker", beam::uint(env, serial)),
        ("binding", beam::uint(env, entry.binding.load(Ordering::Relaxed))),
    ];
    // Nobody holds a LIVE entry for longer than the copy of its fields takes here.
    if state != State::Live || !entry.seize(generation, serial) {
        return beam::map(env, head);
    }
    // SAFETY: we own the MOVING state.
    let body = unsafe { entry.body() };
    let started = incarnation.is_some_and(|i| i.has_started(body.position));
    let caller = match body.reply_to {
        ReplyTo::Cast => atoms().undefined,
        // SAFETY: whoever made the request pending stored its caller.
        _ => unsafe { beam::pid_term(&body.caller.assume_init()) },
    };
    let (reply_to, parked, bound, moves, permit, label, options) =
        (body.reply_to, body.is_parked(), body.bound, body.moves, body.permit, body.label, body.options);
    let since = entry.since.load(Ordering::Relaxed);
    let _ = entry.word.transition(generation, State::Moving, State::Live);
    let [id, state, worker, binding] = head;
    beam::map(
        env,
        [
            id,
            state,
            worker,
            binding,
            ("kind", beam::atom(env, kind(reply_to))),
            ("caller", caller),
            ("started", beam::boolean(started)),
            ("parked", beam::boolean(parked)),
            ("movable", beam::boolean(!bound)),
            ("moves", beam::uint(env, u64::from(moves))),
            ("permit", beam::boolean(permit)),
            ("worker_id", incarnation.map_or(atoms().undefined, |i| beam::uint(env, i.id))),
            ("of_node", beam::boolean(options.has(Options::NODE))),
            ("runs", beam::atom(env, label.kind())),
            ("function", beam::binary(env, label.text().as_bytes())),
            ("age_ms", beam::uint(env, slab::now_ms().saturating_sub(since))),
        ],
    )
}

fn name(state: State) -> &'static str {
    match state {
        State::Free => "free",
        State::Watched => "watched",
        State::Live => "live",
        State::Handed => "handed",
        State::Delivering => "delivering",
        State::Cancelled => "cancelled",
        State::Failed => "failed",
        State::Moving => "moving",
    }
}

fn kind(reply_to: ReplyTo) -> &'static str {
    match reply_to {
        ReplyTo::Sync => "sync",
        ReplyTo::Response => "response",
        ReplyTo::Result => "result",
        ReplyTo::Stream => "stream",
        ReplyTo::Cast => "cast",
    }
}
