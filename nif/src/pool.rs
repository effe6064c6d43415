//! Pools: which workers take unbound requests, and who gets the next one.

use crate::beam::EnvPtr;
use crate::choice;
use crate::extent::Carried;
use crate::incarnation::Incarnation;
use crate::latency::History;
use crate::resource::{Kind, Resource};
use crate::wait::Queue;
use arc_swap::ArcSwap;
use shm_proto::request::Header;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, RwLock, Weak};

/// Resource type of pools.
pub static POOL: Kind<PoolRef> = Kind::new();

/// What an Erlang term holds of a pool.
pub struct PoolRef(pub Arc<Pool>);

impl Resource for PoolRef {}

/// A request that lost its worker before it started and waits for another.
pub struct Parked {
    pub index: u32,
    pub generation: u32,
    pub header: Header,
    pub payload: Carried,
}

type Workers = Vec<Arc<Incarnation>>;

/// One named pool.
pub struct Pool {
    pub id: u32,
    /// Longest inline wait in microseconds; 0 turns it off.
    pub inline_budget_us: u32,
    /// Callers that wait for ring space or for a worker.
    pub queue: Arc<Queue>,
    workers: ArcSwap<Workers>,
    /// Earlier lists of workers, as long as somebody may choose from them.
    earlier: Mutex<Vec<Weak<Workers>>>,
    parked: Mutex<Vec<Parked>>,
    /// Service times of the workers that serve it, and of those that did.
    pub history: History,
    closed: AtomicBool,
    /// No worker stays up.
    failing: AtomicBool,
}

static POOLS: RwLock<Vec<Arc<Pool>>> = RwLock::new(Vec::new());
static NEXT_ID: AtomicU32 = AtomicU32::new(1);

impl Pool {
    /// Makes a pool and enters it into the table by which moved requests find it.
    pub fn create(inline_budget_us: u32) -> Arc<Pool> {
        let pool = Arc::new(Pool {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            inline_budget_us,
            queue: Arc::default(),
            workers: ArcSwap::default(),
            earlier: Mutex::default(),
            parked: Mutex::default(),
            history: History::default(),
            closed: AtomicBool::new(false),
            failing: AtomicBool::new(false),
        });
        POOLS.write().unwrap_or_else(|e| e.into_inner()).push(pool.clone());
        pool
    }

    /// Finds a pool by its id.
    pub fn find(id: u32) -> Option<Arc<Pool>> {
        POOLS.read().unwrap_or_else(|e| e.into_inner()).iter().find(|p| p.id == id).cloned()
    }

    /// All pools that are not closed.
    pub fn all() -> Vec<Arc<Pool>> {
        POOLS.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Whether submissions are refused for good.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether requests for which there is no worker are refused: to wait for one is in vain.
    #[inline]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::SeqCst)
    }

    /// From here on they are, and those that wait are taken; or they wait.
    pub fn set_failing(&self, env: EnvPtr, failing: bool) -> Vec<Parked> {
        self.failing.store(failing, Ordering::SeqCst);
        if !failing {
            return Vec::new();
        }
        self.queue.wake_all(env);
        self.take_parked()
    }

    /// Refuses further submissions, wakes everybody who waits, and returns what was parked.
    pub fn close(&self, env: EnvPtr) -> Vec<Parked> {
        self.closed.store(true, Ordering::SeqCst);
        POOLS.write().unwrap_or_else(|e| e.into_inner()).retain(|p| p.id != self.id);
        self.queue.wake_all(env);
        self.take_parked()
    }

    /// Adds a worker. Returns what was parked for lack of one.
    pub fn add(&self, env: EnvPtr, incarnation: &Arc<Incarnation>) -> Vec<Parked> {
        self.failing.store(false, Ordering::SeqCst);
        self.change(|list| {
            let mut list = Vec::clone(list);
            if !list.iter().any(|w| w.serial() == incarnation.serial()) {
                list.push(incarnation.clone());
            }
            list
        });
        self.queue.wake_all(env);
        self.take_parked()
    }

    /// Takes a worker out of the choice.
    pub fn remove(&self, serial: u64) {
        self.change(|list| list.iter().filter(|w| w.serial() != serial).cloned().collect());
    }

    fn change(&self, change: impl Fn(&Workers) -> Workers) {
        let mut earlier = self.earlier.lock().unwrap_or_else(|e| e.into_inner());
        let before = self.workers.rcu(|list| change(list));
        earlier.push(Arc::downgrade(&before));
        drop(before);
        earlier.retain(|list| list.strong_count() > 0);
    }

    /// Whether nobody chooses this worker any more. A list lives as long as whoever chose from it has not counted in what it
    /// chose the worker for: once this holds, the counts of the worker tell all.
    pub fn has_forgotten(&self, serial: u64) -> bool {
        let has = |list: &Workers| list.iter().any(|w| w.serial() == serial);
        let earlier = self.earlier.lock().unwrap_or_else(|e| e.into_inner());
        !has(&self.workers.load()) && !earlier.iter().filter_map(Weak::upgrade).any(|list| has(&list))
    }

    /// Keeps a request until a worker comes.
    pub fn park(&self, parked: Parked) {
        self.parked.lock().unwrap_or_else(|e| e.into_inner()).push(parked);
    }

    /// Takes all that is parked.
    pub fn take_parked(&self) -> Vec<Parked> {
        std::mem::take(&mut self.parked.lock().unwrap_or_else(|e| e.into_inner()))
    }

    /// Takes one parked request.
    pub fn take_one_parked(&self) -> Option<Parked> {
        self.parked.lock().unwrap_or_else(|e| e.into_inner()).pop()
    }

    /// Whether a worker takes requests and has room for one; those that have none will tell when they have.
    pub fn has_room(&self) -> bool {
        self.workers().iter().any(|w| w.load() != u32::MAX && w.has_room_or_will_tell())
    }

    /// How many requests are parked.
    pub fn parked(&self) -> usize {
        self.parked.lock().unwrap_or_else(|e| e.into_inner()).len()
    }

    /// The workers that take unbound requests.
    #[inline]
    pub fn workers(&self) -> arc_swap::Guard<Arc<Workers>> {
        self.workers.load()
    }
}

/// The worker for the next request, by load.
#[inline]
pub fn choose(workers: &[Arc<Incarnation>]) -> Option<&Arc<Incarnation>> {
    choice::choose(workers, |worker| worker.load())
}
