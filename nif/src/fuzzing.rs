//! One worker without a process, for the fuzz targets: whatever a target publishes as the worker is handled by the code of the
//! reader thread, against requests in every state.

use crate::beam::{self, EnvPtr};
use crate::cancel::{self, PENDING, Pending};
use crate::incarnation::{Incarnation, Settings, UP};
use crate::limits::Limits;
use crate::slab::{self, Entry, ReplyTo};
use crate::stream::Flow;
use crate::{registry, semaphore, teardown};
use shm_proto::entry::State;
use shm_proto::layout::Geometry;
use shm_proto::link::{NodeLink, WorkerLink};
use shm_proto::request::{self, Kind, Options, Place};
use shm_proto::response;
use shm_proto::ring::Consumer;
use std::mem::MaybeUninit;
use std::sync::Arc;

pub use crate::term::{nif_decode, nif_encode};

/// Requests that are in flight: their reply mode, options and state.
///
/// [`Rig::handle`] would wait for the caller of the watched one if its reply were large.
const REQUESTS: [(ReplyTo, u16, State); 9] = [
    (ReplyTo::Sync, 0, State::Live),
    (ReplyTo::Response, Options::ERROR_MAP, State::Live),
    (ReplyTo::Result, Options::RETURN_REF, State::Live),
    (ReplyTo::Stream, 0, State::Live),
    (ReplyTo::Cast, Options::CAST, State::Live),
    (ReplyTo::Sync, 0, State::Watched),
    (ReplyTo::Response, 1 << 3, State::Cancelled),
    (ReplyTo::Stream, 0, State::Cancelled),
    (ReplyTo::Response, 0, State::Free),
];

/// Loads the library.
pub fn load(env: EnvPtr) {
    // SAFETY: the environment is the caller's own.
    assert!(crate::load_in(env));
}

/// A worker and requests in it.
pub struct Rig {
    incarnation: Arc<Incarnation>,
    requests: Consumer,
    /// The worker's ends.
    pub worker: WorkerLink,
    entries: Vec<(&'static Entry, u32)>,
}

impl Rig {
    /// Makes segments and opens them as a worker does.
    pub fn new(env: EnvPtr) -> Rig {
        let geometry = Geometry { ring_bytes: 64 << 10, arena_bytes: 64 << 10, cells: 64, callback_slots: 8 };
        let (link, handshake) = NodeLink::create(geometry).expect("a test machine has memory");
        let worker = WorkerLink::open(&handshake).expect("opened in the same process");
        let settings = Settings {
            id: 1,
            executors: 1,
            inline_budget_us: 0,
            output: None,
            limits: Limits::new(None, None, None),
            callers_only: false,
        };
        let owner = beam::caller(env).expect("the environment of a call");
        let incarnation = Incarnation::create(link, handshake.nonce, settings, owner);
        incarnation.pretend_pid(std::process::id() as i32);
        registry::add(&incarnation);
        drop(incarnation.make_term());
        incarnation.attach();
        incarnation.link().close_far_ends();
        incarnation.advance(UP);
        incarnation.open_inbox().expect("opened once");
        let requests = worker.take_requests().expect("taken once");
        Rig { incarnation, requests, worker, entries: Vec::new() }
    }

    /// Submits the requests.
    pub fn submit(&mut self, env: EnvPtr) {
        for (reply_to, options, state) in REQUESTS {
            let entry = slab::alloc().expect("few are in flight");
            let (generation, _) = entry.word.load();
            self.entries.push((entry, generation));
            self.incarnation.enter();
            self.prepare(env, entry, generation, reply_to, options, state == State::Watched);
            entry.incarnation.store(self.incarnation.serial(), std::sync::atomic::Ordering::Relaxed);
            if state != State::Free {
                let first = if state == State::Watched { state } else { State::Live };
                entry.word.transition(generation, State::Free, first).expect("it is ours");
            }
            if state == State::Cancelled {
                entry.word.transition(generation, State::Live, State::Moving).expect("nobody else has it");
                // SAFETY: MOVING is ours.
                unsafe { entry.body() }.unprepare();
                entry.word.transition(generation, State::Moving, State::Cancelled).expect("it is ours");
            }
        }
    }

    fn prepare(
        &mut self,
        env: EnvPtr,
        entry: &'static Entry,
        generation: u32,
        reply_to: ReplyTo,
        options: u16,
        watched: bool,
    ) {
        // SAFETY: the entry is free and was allocated here.
        let body = unsafe { entry.body() };
        body.reply_to = reply_to;
        body.options = Options(options);
        body.bound = true;
        body.moves = 0;
        body.estimate = 0;
        body.pool = 0;
        body.root = 0;
        body.flow = Flow::new(4);
        body.permit = true;
        semaphore::take();
        body.payload = None;
        body.cell = if watched { self.incarnation.cells.take() } else { 0 };
        let header = request::Header {
            id: entry.id(generation),
            cell: body.cell,
            kind: Kind::Call,
            place: Place::Inline,
            options: body.options,
            len: 0,
        };
        let mut claim = self.incarnation.claim(request::Header::SIZE).expect("the ring was emptied");
        body.position = claim.position();
        claim.write(&header.encode());
        claim.commit();
        if reply_to != ReplyTo::Cast {
            let own = body.env.get_or_insert_with(beam::MessageEnv::new).ptr();
            let handle = PENDING.alloc(Pending { index: entry.index(), generation, estimate: 0 });
            body.reference = handle.term(own);
            body.caller = MaybeUninit::new(beam::caller(env).expect("the environment of a call"));
            body.handle = Some(handle);
        }
    }

    /// Correlation id of a request; any other number stays what it is.
    pub fn id(&self, number: u64) -> u64 {
        usize::try_from(number)
            .ok()
            .and_then(|index| self.entries.get(index))
            .map_or(number, |(entry, generation)| entry.id(*generation))
    }

    /// Handles what the worker has published. The check that failed, if one did.
    pub fn handle(&mut self) -> Option<&'static str> {
        let inbox = self.incarnation.inbox().expect("opened");
        inbox.drain(&self.incarnation, usize::MAX).err().map(|corrupt| corrupt.0)
    }

    /// Settles everything, as the end of a worker does; nothing may be left.
    pub fn settle(&mut self) {
        for (entry, generation) in std::mem::take(&mut self.entries) {
            settle(&self.incarnation, entry, generation);
        }
        // Credit and released handles; an honest worker answers the latter.
        loop {
            let mut releases = Vec::new();
            while let Ok(Some(record)) = self.requests.next() {
                let mut bytes = Vec::new();
                self.requests.copy(&record, &mut bytes);
                self.requests.release(record);
                let header = request::Header::decode(&bytes).expect("the node writes good headers");
                if header.kind == Kind::Release {
                    releases.push(header.id);
                }
            }
            if releases.is_empty() {
                break;
            }
            for id in releases {
                let header = response::Header {
                    id,
                    kind: response::Kind::Reply,
                    place: Place::Inline,
                    flags: 0,
                    len: 2,
                    service_ns: 0,
                };
                self.worker.responses.publish(&[&header.encode(), &[0, 1]]).expect("the ring is empty");
            }
            assert_eq!(self.handle(), None);
        }
        assert_eq!(slab::in_use(), 0);
        assert_eq!(self.incarnation.in_flight(), 0);
        assert_eq!(self.incarnation.streams().parked(), 0);
        assert_eq!(semaphore::current(), 0);
        assert_eq!(self.incarnation.link().request_arena.in_use(), 0);
        assert_eq!(self.incarnation.handles().live(), 0);
    }

    /// The worker ends while the requests are in flight. `problem`: the check that failed.
    pub fn end(mut self, problem: Option<&'static str>) {
        for (entry, generation) in std::mem::take(&mut self.entries) {
            // Free: never published. Handed: its caller takes it.
            if matches!(entry.word.load(), (now, State::Free | State::Handed) if now == generation) {
                settle(&self.incarnation, entry, generation);
            }
        }
        teardown::run(&self.incarnation, problem);
        for entry in slab::all() {
            let (generation, state) = entry.word.load();
            if state != State::Free {
                assert_eq!(state, State::Handed, "only a watching caller is left");
                settle(&self.incarnation, entry, generation);
            }
        }
        assert_eq!(semaphore::current(), 0);
    }
}

fn settle(incarnation: &Arc<Incarnation>, entry: &'static Entry, generation: u32) {
    let (now, state) = entry.word.load();
    if now != generation {
        return;
    }
    match state {
        State::Live | State::Watched => entry.word.transition(generation, state, State::Moving).expect("one thread"),
        // SAFETY: HANDED gives the slot to the caller, which is this thread.
        State::Handed => *unsafe { entry.handed() } = None,
        State::Free | State::Cancelled => {}
        other => panic!("{other:?} stays for ever"),
    }
    // SAFETY: the entry is ours by the above.
    unsafe { entry.body() }.unprepare();
    cancel::release(std::ptr::null_mut(), entry, Some(incarnation), false);
}
