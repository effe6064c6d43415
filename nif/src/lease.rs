//! Leases: what leads the requests of a process to one worker.
//!
//! A *binding* has its worker for itself: the pools pass the worker over as long as it lasts. A *tie* (`py:exec`) leads to a
//! worker that others use as well; it is counted, so that bindings prefer workers that nobody keeps anything in.
//!
//! A binding goes through `claim`, which takes an unbound worker, and `end`, which refuses further requests and cancels
//! what is in flight, to `free`, which gives the worker back. When the worker has nothing in flight, whoever asked with
//! `when_idle` is told, and lets the worker put its state back before it goes on.

use crate::beam::{self, EnvPtr, MessageEnv, Raw, atoms};
use crate::cancel;
use crate::census::Census;
use crate::handle::Home;
use crate::incarnation::{Incarnation, UP};
use crate::janitor::{self, Job};
use crate::pool::Pool;
use crate::resource::{Kind, Owned, Resource};
use crate::teardown;
use rustler::sys::ErlNifPid;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Resource type of leases.
pub static LEASE: Kind<Lease> = Kind::new();

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// What an Erlang term holds of a lease. It keeps no memory of the worker mapped.
pub struct Lease {
    home: Arc<Home>,
    hold: Hold,
    /// Ended by its holder.
    ended: AtomicBool,
}

/// How a lease holds its worker.
#[derive(Clone, Copy)]
enum Hold {
    /// The number of a binding.
    Binding(u64),
    /// The epoch of a tie.
    Tie(u32),
}

impl Resource for Lease {}

impl Drop for Lease {
    fn drop(&mut self) {
        self.untie();
    }
}

/// On what ground a request goes to a worker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The pool chose the worker.
    Pool,
    /// The request is for this worker, or for an object in it: where there is a binding, it is part of that.
    Worker,
    /// The node's own.
    Node,
    /// A binding, by its number.
    Binding(u64),
    /// A tie, by its epoch.
    Tie(u32),
}

impl Lease {
    /// Ties to a worker.
    pub fn tie(worker: &Incarnation) -> Owned<Lease> {
        Lease::make(worker, Hold::Tie(worker.seat().ties.enter()))
    }

    fn make(worker: &Incarnation, hold: Hold) -> Owned<Lease> {
        LEASE.alloc(Lease { home: worker.handles().clone(), hold, ended: AtomicBool::new(false) })
    }

    /// The worker, or why there is none.
    pub fn worker(&self) -> Result<Arc<Incarnation>, Raw> {
        self.home.incarnation()
    }

    /// Whether its holder has ended it.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Whether requests may go through it.
    pub fn is_alive(&self) -> bool {
        !self.has_ended()
            && self.worker().is_ok_and(|worker| worker.state() == UP && worker.seat().admit(self.access()).is_some())
    }

    /// What its requests are let in on.
    pub fn access(&self) -> Access {
        match self.hold {
            Hold::Binding(number) => Access::Binding(number),
            Hold::Tie(epoch) => Access::Tie(epoch),
        }
    }

    /// Whether it is a binding.
    pub fn is_binding(&self) -> bool {
        matches!(self.hold, Hold::Binding(_))
    }

    /// Ends a tie. Lock-free.
    pub fn untie(&self) {
        if let Hold::Tie(epoch) = self.hold
            && !self.ended.swap(true, Ordering::AcqRel)
            && let Ok(worker) = self.worker()
        {
            worker.seat().ties.leave(epoch);
        }
    }

    /// Ends a binding: no more requests, and those in flight are answered with `cancelled`. Walks the slab.
    pub fn end(&self, env: EnvPtr) {
        let Hold::Binding(number) = self.hold else { return };
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Ok(worker) = self.worker() {
            worker.seat().refuse(number);
            cancel::end_binding(env, &worker, number);
            // Those who wait for room in its ring are refused.
            worker.queue.wake_all(env);
        }
    }

    /// Raises `erlang.Interrupted` in what runs under a binding. Returns false if nothing does. Walks the slab.
    pub fn interrupt(&self, env: EnvPtr) -> bool {
        match (self.hold, self.worker()) {
            (Hold::Binding(number), Ok(worker)) => cancel::interrupt_binding(env, &worker, number),
            _ => false,
        }
    }

    /// Tells `pid` with `{py_idle, Lease}` when the worker has nothing in flight. Returns false, and sends nothing, if that
    /// is so already.
    pub fn when_idle(&self, pid: ErlNifPid) -> bool {
        let Ok(worker) = self.worker() else { return false };
        let idle = &worker.seat().idle;
        idle.watch(pid, Owned::from_ref(self));
        !(worker.in_flight() == 0 && idle.withdraw())
    }

    /// Gives the worker of a binding back to its pools. Its objects are gone, whatever handles say.
    pub fn free(&self, env: EnvPtr) {
        let Hold::Binding(number) = self.hold else { return };
        self.ended.store(true, Ordering::Release);
        let Ok(worker) = self.worker() else { return };
        worker.handles().renew();
        if worker.seat().leave(number) {
            Lease::reopen(env, &worker);
        }
    }

    /// Gives the worker of a binding that nobody has used yet back to its pools, if requests that ran in it have left objects
    /// for handles there: those stay. Returns false, and does nothing, if it keeps none.
    pub fn hand_back(&self, env: EnvPtr) -> bool {
        let (Hold::Binding(number), Ok(worker)) = (self.hold, self.worker()) else { return false };
        if worker.handles().live() == 0 {
            return false;
        }
        self.ended.store(true, Ordering::Release);
        worker.seat().handed_back.store(number, Ordering::SeqCst);
        if worker.seat().leave(number) {
            Lease::reopen(env, &worker);
        }
        true
    }

    /// The worker takes requests of its pools again.
    fn reopen(env: EnvPtr, worker: &Incarnation) {
        for pool in worker.pools().into_iter().filter_map(Pool::find) {
            for parked in pool.take_parked() {
                teardown::republish(env, &pool, parked);
            }
            pool.queue.wake_all(env);
        }
    }
}

/// Who has a worker.
#[derive(Default)]
pub struct Seat {
    /// `number << 1 | ending` of the binding, 0: none.
    word: AtomicU64,
    /// The number of the last binding that was handed back.
    handed_back: AtomicU64,
    /// Processes that keep coming to the worker.
    pub ties: Census,
    binding: Mutex<Option<Owned<Lease>>>,
    /// Who waits until nothing is in flight.
    pub idle: Arc<Idle>,
}

impl Seat {
    /// Whether there is a binding, even one that is ending.
    #[inline]
    pub fn is_taken(&self) -> bool {
        self.word.load(Ordering::Relaxed) != 0
    }

    /// Lets a request in that was counted before: the number of the binding that it belongs to, 0 for none.
    ///
    /// SYNC POINT: the caller counts itself in, then looks at the word; `claim` and `refuse` change the word, then look at the
    /// count. All of it is sequentially consistent, so either a request is refused here, or the binding waits for it.
    #[inline]
    pub fn admit(&self, access: Access) -> Option<u64> {
        let word = self.word.load(Ordering::SeqCst);
        match access {
            Access::Pool => (word == 0).then_some(0),
            Access::Worker => (word & 1 == 0).then_some(word >> 1),
            Access::Node => Some(0),
            Access::Binding(number) => (word == number << 1).then_some(number),
            Access::Tie(epoch) => (word == 0 && self.ties.is_current(epoch)).then_some(0),
        }
    }

    /// Whether requests of a binding are to be cancelled. Calls of methods become part of a binding that is handed back later:
    /// those go on.
    pub fn has_ended(&self, number: u64) -> bool {
        self.admit(Access::Binding(number)).is_none() && self.handed_back.load(Ordering::SeqCst) != number
    }

    /// The binding's lease, for those who inherit it.
    pub fn term(&self, env: EnvPtr, number: u64) -> Option<Raw> {
        let binding = self.binding.lock().unwrap_or_else(|e| e.into_inner());
        binding.as_ref().filter(|lease| lease.access() == Access::Binding(number)).map(|lease| lease.term(env))
    }

    fn take(&self, number: u64, lease: &Owned<Lease>) -> bool {
        let taken = self.word.compare_exchange(0, number << 1, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if taken {
            self.ties.renew();
            *self.binding.lock().unwrap_or_else(|e| e.into_inner()) = Some(lease.clone());
        }
        taken
    }

    fn refuse(&self, number: u64) {
        let (now, ending) = (number << 1, number << 1 | 1);
        let _ = self.word.compare_exchange(now, ending, Ordering::SeqCst, Ordering::Relaxed);
    }

    fn leave(&self, number: u64) -> bool {
        let word = self.word.load(Ordering::SeqCst);
        if word >> 1 != number {
            return false;
        }
        drop(self.binding.lock().unwrap_or_else(|e| e.into_inner()).take());
        self.word.compare_exchange(word, 0, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }
}

/// One process that waits until a worker has nothing in flight.
#[derive(Default)]
pub struct Idle {
    armed: AtomicBool,
    waiter: Mutex<Option<(ErlNifPid, Owned<Lease>)>>,
}

// SAFETY: ErlNifPid is a plain word.
unsafe impl Send for Idle {}
// SAFETY: as above; the rest is atomic or behind a lock.
unsafe impl Sync for Idle {}

impl Idle {
    fn watch(&self, pid: ErlNifPid, lease: Owned<Lease>) {
        *self.waiter.lock().unwrap_or_else(|e| e.into_inner()) = Some((pid, lease));
        self.armed.store(true, Ordering::SeqCst);
    }

    fn take(&self) -> Option<(ErlNifPid, Owned<Lease>)> {
        self.armed.store(false, Ordering::SeqCst);
        self.waiter.lock().unwrap_or_else(|e| e.into_inner()).take()
    }

    /// Returns whether somebody waited, who will get no message.
    fn withdraw(&self) -> bool {
        self.take().is_some()
    }

    /// The last request in flight has ended. Any thread.
    #[inline]
    pub fn reached(self: &Arc<Self>) {
        if self.armed.load(Ordering::SeqCst) {
            janitor::push(Job::Idle(self.clone()));
        }
    }

    /// Sends the message. Runs on the janitor.
    pub fn tell(&self) {
        let Some((pid, lease)) = self.take() else { return };
        let mut message = MessageEnv::new();
        let term = beam::tuple(message.ptr(), [atoms().py_idle, lease.term(message.ptr())]);
        message.send(std::ptr::null_mut(), &pid, term);
    }
}

/// Which workers a binding may take.
pub enum Wanted<'a> {
    /// One with nothing in flight, to which nobody is tied.
    Idle,
    /// Any, best one with little to do.
    Any,
    /// This one.
    Worker(&'a Arc<Incarnation>),
}

/// Binds a worker of a pool, never the last unbound one, nor one that keeps objects or streams for somebody. Queued requests move on.
/// To be called by one process at a time.
pub fn claim(env: EnvPtr, pool: &Pool, wanted: &Wanted<'_>) -> Option<Owned<Lease>> {
    let workers = pool.workers();
    let free: Vec<_> = workers.iter().filter(|w| w.state() == UP && !w.seat().is_taken()).collect();
    if free.len() < 2 {
        return None;
    }
    let empty = free.into_iter().filter(|worker| worker.handles().live() == 0 && !worker.has_streams());
    let worker = match wanted {
        Wanted::Idle => empty.into_iter().find(|worker| worker.in_flight() == 0 && worker.seat().ties.count() == 0),
        Wanted::Any => empty.into_iter().min_by_key(|worker| (worker.seat().ties.count(), worker.in_flight())),
        Wanted::Worker(one) => empty.into_iter().find(|worker| worker.serial() == one.serial()),
    }?;
    let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
    let lease = Lease::make(worker, Hold::Binding(number));
    if !worker.seat().take(number, &lease) {
        return None;
    }
    teardown::move_queued(env, worker);
    Some(lease)
}
