//! First-in-first-out waiting without polling and without a process in between.
//!
//! A caller that cannot go on (no permit, ring full, no worker) gets a [`Ticket`] and waits for `{py_go, Ticket}`. The
//! message is a baton: its receiver tries again with the ticket, and whatever comes of it (success, giving up, death
//! in between) passes the baton on, so that a waiter that dies cannot strand those behind it.

use crate::beam::{self, EnvPtr, MessageEnv, atoms};
use crate::janitor::{self, Job};
use crate::resource::{Kind, Owned, Resource};
use rustler::sys::ErlNifPid;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex};

/// Resource type of tickets.
pub static TICKET: Kind<Ticket> = Kind::new();

const WAITING: u8 = 0;
const WOKEN: u8 = 1;
const OVER: u8 = 2;

/// One waiting caller.
pub struct Ticket {
    pid: ErlNifPid,
    /// Its place: larger than that of all who came before.
    number: u64,
    state: AtomicU8,
    queue: Arc<Queue>,
}

// SAFETY: ErlNifPid is a plain word.
unsafe impl Send for Ticket {}
// SAFETY: as above; the state is atomic.
unsafe impl Sync for Ticket {}

impl Resource for Ticket {
    fn process_down(&self) {
        janitor::push(Job::WaiterDown(Owned::from_ref(self)));
    }
}

impl Ticket {
    /// The queue that the ticket belongs to.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Ends the ticket: its holder goes on, gave up, or died. Passes the baton on if this ticket had it.
    pub fn abandoned(&self) {
        self.finish(std::ptr::null_mut());
    }

    /// As `abandoned`, from a NIF call. Returns whether the ticket had the baton: `py_go` was sent then, or is about to be.
    pub fn finish(&self, env: EnvPtr) -> bool {
        match self.state.swap(OVER, Ordering::AcqRel) {
            WOKEN => {
                self.queue.baton_back(env);
                true
            }
            WAITING => {
                self.queue.forget();
                false
            }
            _ => false,
        }
    }
}

/// A queue of tickets. `slots` decides how many batons may be out at once.
#[derive(Default)]
pub struct Queue {
    waiting: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// In the order of their numbers.
    tickets: VecDeque<Owned<Ticket>>,
    joined: u64,
    batons: usize,
}

/// More callers than this are never woken at once; each passes its baton on when it is done.
const MAX_BATONS: usize = 32;

impl Queue {
    /// Whether somebody waits: newcomers then join the queue instead of overtaking.
    #[inline]
    pub fn has_waiters(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != 0
    }

    /// How many callers wait.
    pub fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Appends the calling process. After this the caller must look at the resource once more and `wake` if it has
    /// become available: the one that freed it may not have seen the ticket yet.
    pub fn join(self: &Arc<Self>, env: EnvPtr, pid: ErlNifPid) -> Owned<Ticket> {
        let ticket = {
            let mut inner = self.lock();
            inner.joined += 1;
            let number = inner.joined;
            let ticket = TICKET.alloc(Ticket { pid, number, state: AtomicU8::new(WAITING), queue: self.clone() });
            inner.tickets.push_back(ticket.clone());
            self.waiting.fetch_add(1, Ordering::Relaxed);
            ticket
        };
        // A process that has ended meanwhile is found out when its turn comes.
        ticket.monitor(env, &pid);
        self.joined();
        ticket
    }

    /// Puts a woken ticket whose turn was in vain back to its place: of several, the first stays the first.
    pub fn rejoin(&self, ticket: &Ticket) {
        ticket.state.store(WAITING, Ordering::Release);
        let mut inner = self.lock();
        inner.batons = inner.batons.saturating_sub(1);
        let place = inner.tickets.iter().position(|other| other.number > ticket.number);
        let place = place.unwrap_or(inner.tickets.len());
        inner.tickets.insert(place, Owned::from_ref(ticket));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        drop(inner);
        self.joined();
    }

    fn joined(&self) {
        // SYNC POINT: pairs with the fence in `wake`: either we see the freed resource after this, or its owner sees us.
        fence(Ordering::SeqCst);
    }

    /// The awaited resource may be available: wakes up to `count` waiters.
    pub fn wake(&self, env: EnvPtr, count: usize) {
        fence(Ordering::SeqCst);
        if !self.has_waiters() {
            return;
        }
        let mut woken = 0;
        while woken < count {
            let ticket = {
                let mut inner = self.lock();
                if inner.batons >= MAX_BATONS {
                    return;
                }
                let Some(ticket) = inner.tickets.pop_front() else { return };
                if ticket.state.compare_exchange(WAITING, WOKEN, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                    continue;
                }
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                inner.batons += 1;
                ticket
            };
            let mut message = MessageEnv::new();
            let term = beam::tuple(message.ptr(), [atoms().py_go, ticket.term(message.ptr())]);
            if message.send(env, &ticket.pid, term) {
                woken += 1;
            } else if ticket.state.swap(OVER, Ordering::AcqRel) == WOKEN {
                let mut inner = self.lock();
                inner.batons = inner.batons.saturating_sub(1);
            }
        }
    }

    /// Wakes as many as may be awake at once.
    pub fn wake_all(&self, env: EnvPtr) {
        self.wake(env, MAX_BATONS);
    }

    /// One of those who wait has gone. Its ticket is skipped when its turn comes; the last one takes them all with it.
    fn forget(&self) {
        if self.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.lock().tickets.retain(|ticket| ticket.state.load(Ordering::Acquire) == WAITING);
        }
    }

    fn baton_back(&self, env: EnvPtr) {
        {
            let mut inner = self.lock();
            inner.batons = inner.batons.saturating_sub(1);
        }
        self.wake(env, 1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }
}
