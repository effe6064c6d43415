//! Handles: terms that stand for Python objects.
//!
//! A worker keeps an object for each id that it sends; an id that comes up becomes a resource, of which the node
//! believes nothing. The id is only ever given back to the same incarnation: in arguments, and once at the end, when the
//! resource is collected or released. Destructors push the id to a lock-free list; the janitor sends what has gathered there
//! as one request, at most one at a time, so that the list waits and not the ring.

use crate::beam::{self, EnvPtr, Raw, atoms};
use crate::census::Census;
use crate::incarnation::{DOWN, Incarnation, RING_HEAD};
use crate::janitor::{self, Job};
use crate::resource::{Kind, Resource};
use crate::slab::{self, ReplyTo};
use crate::{cancel, estimate};
use crossbeam_queue::SegQueue;
use shm_proto::entry::State;
use shm_proto::etf::{Limits, ObjectKind, Reader, Token};
use shm_proto::request::{self, Header, Options, Place};
use shm_proto::response::Status;
use shm_proto::ring::{Claim, PublishError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};

/// Resource type of handles.
pub static HANDLE: Kind<Handle> = Kind::new();

/// Ids in one release request.
const BATCH: usize = 1024;
/// Time that the finalisers of one release request have.
const FINALISERS: Duration = Duration::from_secs(10);
/// Time between two looks at a release request that runs.
const LOOK: Duration = Duration::from_secs(1);

/// What an Erlang term holds of a Python object.
pub struct Handle {
    id: u64,
    /// When it was made, for the count.
    epoch: u32,
    /// Taken by whoever gives the object up: `release` or the destructor.
    kept: AtomicBool,
    home: Arc<Home>,
}

impl Resource for Handle {}

impl Handle {
    /// Lets the worker drop the object. Later calls do nothing. Lock-free.
    pub fn release(&self) {
        if self.kept.swap(false, Ordering::AcqRel) && self.home.live.leave(self.epoch) {
            self.home.give_up(self.id);
        }
    }

    /// The id, unless the object was given up or went with the binding that it was made under.
    pub fn id(&self) -> Option<u64> {
        (self.kept.load(Ordering::Acquire) && self.home.live.is_current(self.epoch)).then_some(self.id)
    }

    /// The incarnation that has the object.
    pub fn home(&self) -> &Arc<Home> {
        &self.home
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.release();
    }
}

/// What the handles of one incarnation share. It outlives the incarnation without keeping anything mapped.
pub struct Home {
    incarnation: Weak<Incarnation>,
    /// Why the incarnation ended.
    reason: OnceLock<Raw>,
    live: Census,
    given_up: SegQueue<u64>,
    /// A job of the janitor is under way, or the reader will make one.
    scheduled: AtomicBool,
    /// Correlation id of the release request in the worker, or `NO_ID`.
    flying: AtomicU64,
    batch: Mutex<Batch>,
}

/// Used by the janitor alone.
#[derive(Default)]
struct Batch {
    /// Ids that could not be sent yet.
    ids: Vec<u8>,
    /// Ring position of the release request that flies.
    position: u64,
    /// When it was first seen to run.
    running: Option<Instant>,
}

impl Home {
    /// For an incarnation that is being made.
    pub fn new(incarnation: Weak<Incarnation>) -> Arc<Home> {
        Arc::new(Home {
            incarnation,
            reason: OnceLock::new(),
            live: Census::default(),
            given_up: SegQueue::new(),
            scheduled: AtomicBool::new(false),
            flying: AtomicU64::new(Header::NO_ID),
            batch: Mutex::default(),
        })
    }

    /// Handles that exist.
    pub fn live(&self) -> u64 {
        self.live.count()
    }

    /// The worker has let all objects go; the handles that exist stand for nothing.
    pub fn renew(&self) {
        self.live.renew();
    }

    /// The incarnation, or why there is none.
    pub fn incarnation(&self) -> Result<Arc<Incarnation>, Raw> {
        self.incarnation.upgrade().ok_or_else(|| self.reason.get().copied().unwrap_or(atoms().exited))
    }

    /// The incarnation has ended.
    pub fn close(&self, reason: Raw) {
        let _ = self.reason.set(reason);
        while self.given_up.pop().is_some() {}
    }

    /// `{py_object, H}` or `{generator, H}` with a fresh handle.
    pub fn make(self: &Arc<Self>, env: EnvPtr, kind: ObjectKind, id: u64) -> Raw {
        let epoch = self.live.enter();
        let handle = HANDLE.alloc(Handle { id, epoch, kept: AtomicBool::new(true), home: self.clone() });
        let tag = match kind {
            ObjectKind::Object => atoms().py_object,
            ObjectKind::Generator => atoms().generator,
        };
        beam::tuple(env, [tag, handle.term(env)])
    }

    /// The worker may drop the object. Lock-free; any thread.
    pub fn give_up(self: &Arc<Self>, id: u64) {
        if self.reason.get().is_some() {
            return;
        }
        self.given_up.push(id);
        self.schedule();
    }

    /// Gives up the objects whose handles are in the payload of a reply that nobody gets.
    pub fn give_up_all(self: &Arc<Self>, payload: &[u8]) {
        let Some((status, terms)) = payload.split_first() else { return };
        if !matches!(Status::from_byte(*status), Some(Status::Value | Status::Refused)) {
            return;
        }
        let mut reader = Reader::new(terms, Limits::default());
        while let Ok(token) = reader.next() {
            if let Token::Object { id, .. } = token {
                self.give_up(id);
            }
        }
    }

    fn schedule(self: &Arc<Self>) {
        // SYNC POINT: pairs with the swap in `send`.
        if !self.scheduled.swap(true, Ordering::AcqRel) {
            janitor::push(Job::ReleaseObjects(self.clone()));
        }
    }

    /// The worker may have made room in its ring. Cheap if nothing waits for that.
    pub fn resume(self: &Arc<Self>) {
        if self.scheduled.load(Ordering::Acquire) && self.flying.load(Ordering::Acquire) == Header::NO_ID {
            janitor::push(Job::ReleaseObjects(self.clone()));
        }
    }

    /// A request was answered; if it released objects, the next may follow.
    #[inline]
    pub fn answered(self: &Arc<Self>, id: u64) {
        if self.flying.load(Ordering::Relaxed) == id {
            self.flying.store(Header::NO_ID, Ordering::Release);
            janitor::push(Job::ReleaseObjects(self.clone()));
        }
    }

    /// Sends the ids that have gathered. Runs on the janitor.
    pub fn send(self: &Arc<Self>) {
        let Some(incarnation) = self.incarnation.upgrade().filter(|incarnation| incarnation.state() != DOWN) else {
            while self.given_up.pop().is_some() {}
            return;
        };
        if self.flying.load(Ordering::Acquire) != Header::NO_ID {
            return;
        }
        let most = BATCH.min((incarnation.link().requests.max_record() - Header::SIZE) / size_of::<u64>());
        let mut batch = self.batch();
        // Set until nothing is left: the reader resumes what could not be sent.
        self.scheduled.store(true, Ordering::SeqCst);
        loop {
            while batch.ids.len() < most * size_of::<u64>() {
                let Some(id) = self.given_up.pop() else { break };
                batch.ids.extend_from_slice(&id.to_le_bytes());
            }
            if !batch.ids.is_empty() {
                if self.publish(&incarnation, &mut batch) {
                    watch(self);
                }
                return;
            }
            // SYNC POINT: pairs with the swap in `schedule`. Who found the mark set has pushed before, and is seen here.
            self.scheduled.swap(false, Ordering::AcqRel);
            if self.given_up.is_empty() || self.scheduled.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }

    /// Publishes the ids as a request that nobody waits for; `false` if there is no room or the worker has ended.
    fn publish(&self, worker: &Arc<Incarnation>, batch: &mut Batch) -> bool {
        let Some(entry) = slab::alloc() else { return false };
        let (generation, _) = entry.word.load();
        let id = entry.id(generation);
        // SAFETY: a free entry belongs to whoever allocated it.
        let body = unsafe { entry.body() };
        body.reply_to = ReplyTo::Cast;
        body.options = Options(Options::CAST);
        body.bound = true;
        body.moves = 0;
        body.estimate = estimate::slot(request::Kind::Release as u8, &[]);
        body.pool = 0;
        body.permit = false;
        body.payload = None;
        body.cell = 0;
        worker.enter();
        let mut len = batch.ids.len();
        let mut claim = match claim(worker, &mut len) {
            Ok(claim) => claim,
            Err(problem) => {
                if problem == PublishError::Corrupt {
                    worker.condemn(RING_HEAD);
                }
                cancel::release(std::ptr::null_mut(), entry, Some(worker), true);
                return false;
            }
        };
        body.position = claim.position();
        batch.position = claim.position();
        batch.running = None;
        entry.incarnation.store(worker.serial(), Ordering::Relaxed);
        entry.binding.store(0, Ordering::Relaxed);
        self.flying.store(id, Ordering::Release);
        let moved = entry.word.transition(generation, State::Free, State::Live);
        debug_assert!(moved.is_ok());
        let header = Header {
            id,
            cell: 0,
            kind: request::Kind::Release,
            place: Place::Inline,
            options: Options(Options::CAST),
            len: len as u32,
        };
        claim.write(&header.encode());
        claim.write(&batch.ids[..len]);
        claim.commit();
        batch.ids.drain(..len);
        // Ends with a full fence, as in `submit`: either teardown finds the entry, or we see that it has passed.
        worker.wake();
        if worker.state() == DOWN && entry.word.transition(generation, State::Live, State::Moving).is_ok() {
            cancel::release(std::ptr::null_mut(), entry, Some(worker), true);
        }
        true
    }

    /// Whether a release request flies; one whose finalisers do not end is cancelled like any request out of time.
    fn look_after(&self) -> bool {
        let id = self.flying.load(Ordering::Acquire);
        let Some(worker) = self.incarnation.upgrade().filter(|worker| worker.state() != DOWN) else { return false };
        if id == Header::NO_ID {
            return false;
        }
        let mut batch = self.batch();
        if worker.has_started(batch.position) {
            let running = *batch.running.get_or_insert_with(Instant::now);
            if running.elapsed() > FINALISERS {
                let (index, generation) = slab::split(id);
                cancel::caller_down(index, generation);
            }
        }
        true
    }

    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Claims room for ids of `len` bytes, or for fewer where there is little: small records of others must not keep a large
/// one out for ever.
fn claim<'w>(worker: &'w Incarnation, len: &mut usize) -> Result<Claim<'w>, PublishError> {
    let requests = &worker.link().requests;
    let whole = *len;
    let mut waits = false;
    loop {
        match requests.claim(Header::SIZE + *len) {
            Err(PublishError::Full) if *len / 8 >= size_of::<u64>() => {
                *len = (*len / 8).next_multiple_of(size_of::<u64>())
            }
            Err(PublishError::Full) if !waits => {
                worker.link().request_waiting().raise();
                (waits, *len) = (true, whole);
            }
            outcome => return outcome,
        }
    }
}

/// Those whose release requests fly.
static WATCHED: Mutex<Vec<Arc<Home>>> = Mutex::new(Vec::new());

fn watch(home: &Arc<Home>) {
    let mut watched = WATCHED.lock().unwrap_or_else(|e| e.into_inner());
    if !watched.iter().any(|other| Arc::ptr_eq(other, home)) {
        watched.push(home.clone());
    }
}

/// Cancels release requests that do not end. Runs on the janitor; says when to come back, if at all.
pub fn look_after() -> Option<Duration> {
    let mut watched = WATCHED.lock().unwrap_or_else(|e| e.into_inner());
    watched.retain(|home| home.look_after());
    (!watched.is_empty()).then_some(LOOK)
}
