//! Handles: terms that stand for Python objects.
//!
//! A worker keeps an object for each id that it sends; an id that comes up becomes a resource, of which the node
//! believes nothing. The id is only ever given back to the same incarnation: in arguments, and once at the end, when the
//! resource is collected or released. Destructors push the id to a lock-free list; the janitor sends what has gathered there
//! as one request without an answer, at most one at a time, so that the list waits and not the ring.

use crate::beam::{self, EnvPtr, Raw, atoms};
use crate::incarnation::{DOWN, Incarnation};
use crate::janitor::{self, Job};
use crate::resource::{Kind, Resource};
use crossbeam_queue::SegQueue;
use shm_proto::etf::{Limits, ObjectKind, Reader, Token};
use shm_proto::request::{self, Header, Options, Place};
use shm_proto::response::Status;
use shm_proto::ring::PublishError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// Resource type of handles.
pub static HANDLE: Kind<Handle> = Kind::new();

/// Ids in one release request.
const BATCH: usize = 1024;

/// What an Erlang term holds of a Python object.
pub struct Handle {
    id: u64,
    /// Taken by whoever gives the object up: `release` or the destructor.
    kept: AtomicBool,
    home: Arc<Home>,
}

impl Resource for Handle {}

impl Handle {
    /// Lets the worker drop the object. Later calls do nothing. Lock-free.
    pub fn release(&self) {
        if self.kept.swap(false, Ordering::AcqRel) {
            self.home.live.fetch_sub(1, Ordering::Relaxed);
            self.home.give_up(self.id);
        }
    }

    /// The id, unless the object was given up.
    pub fn id(&self) -> Option<u64> {
        self.kept.load(Ordering::Acquire).then_some(self.id)
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
    live: AtomicU64,
    given_up: SegQueue<u64>,
    /// A job of the janitor is under way or the reader will make one.
    scheduled: AtomicBool,
    unsent: Mutex<Unsent>,
}

/// Used by the janitor alone.
#[derive(Default)]
struct Unsent {
    ids: Vec<u8>,
    /// Ring position of the last release request.
    position: u64,
}

impl Home {
    /// For an incarnation that is being made.
    pub fn new(incarnation: Weak<Incarnation>) -> Arc<Home> {
        Arc::new(Home {
            incarnation,
            reason: OnceLock::new(),
            live: AtomicU64::new(0),
            given_up: SegQueue::new(),
            scheduled: AtomicBool::new(false),
            unsent: Mutex::default(),
        })
    }

    /// Handles that exist.
    pub fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
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
        self.live.fetch_add(1, Ordering::Relaxed);
        let handle = HANDLE.alloc(Handle { id, kept: AtomicBool::new(true), home: self.clone() });
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
        if self.scheduled.load(Ordering::Acquire) {
            janitor::push(Job::ReleaseObjects(self.clone()));
        }
    }

    /// Sends the ids that have gathered. Runs on the janitor.
    pub fn send(&self) {
        let Some(incarnation) = self.incarnation.upgrade().filter(|incarnation| incarnation.state() != DOWN) else {
            while self.given_up.pop().is_some() {}
            return;
        };
        let batch = BATCH.min((incarnation.link().requests.max_record() - Header::SIZE) / size_of::<u64>());
        let mut unsent = self.unsent.lock().unwrap_or_else(|e| e.into_inner());
        // Set until nothing is left: the reader resumes what could not be sent.
        self.scheduled.store(true, Ordering::SeqCst);
        loop {
            while unsent.ids.len() < batch * size_of::<u64>() {
                let Some(id) = self.given_up.pop() else { break };
                unsent.ids.extend_from_slice(&id.to_le_bytes());
            }
            if !unsent.ids.is_empty() {
                if publish(&incarnation, &mut unsent) {
                    continue;
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
}

/// Publishes the ids, unless the last ones are still in the ring or it is full.
fn publish(incarnation: &Incarnation, unsent: &mut Unsent) -> bool {
    let requests = &incarnation.link().requests;
    let header = Header {
        id: Header::NO_ID,
        cell: 0,
        kind: request::Kind::Release,
        place: Place::Inline,
        options: Options(Options::CAST),
        len: unsent.ids.len() as u32,
    };
    let attempt = |unsent: &Unsent| {
        if requests.consumed() <= unsent.position {
            return Err(PublishError::Full);
        }
        requests.claim(Header::SIZE + unsent.ids.len())
    };
    let claim = match attempt(unsent) {
        Err(PublishError::Full) => {
            incarnation.link().request_waiting().raise();
            attempt(unsent)
        }
        other => other,
    };
    match claim {
        Ok(mut claim) => {
            unsent.position = claim.position();
            claim.write(&header.encode());
            claim.write(&unsent.ids);
            claim.commit();
            incarnation.wake();
            unsent.ids.clear();
            true
        }
        Err(PublishError::Full) => false,
        Err(PublishError::TooLarge | PublishError::Corrupt) => {
            incarnation.kill(atoms().corrupt);
            false
        }
    }
}
