//! The node's limit on concurrent calls (`max_concurrent`).
//!
//! A permit belongs to a slab entry from the moment its call becomes pending, or to a process that took one with
//! `py_semaphore:acquire/1`. A call that finishes inline never touches the shared counter: at most one such call runs
//! per scheduler, so it may start without a permit while that many permits are free.

use crate::beam::{self, EnvPtr};
use crate::janitor::{self, Job};
use crate::resource::{Kind, Owned, Resource};
use crate::wait::Queue;
use crossbeam_utils::CachePadded;
use rustler::sys::ErlNifPid;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

static PERMITS: CachePadded<AtomicI64> = CachePadded::new(AtomicI64::new(0));
static LIMIT: CachePadded<AtomicI64> = CachePadded::new(AtomicI64::new(16384));
static SCHEDULERS: AtomicI64 = AtomicI64::new(1);
static QUEUE: LazyLock<Arc<Queue>> = LazyLock::new(Default::default);

/// Resource type of explicit permits.
pub static HOLDER: Kind<Holder> = Kind::new();

/// Sets how many calls can be inside an inline wait at once. Called at load.
pub fn init(schedulers: i64) {
    SCHEDULERS.store(schedulers.max(1), Ordering::Relaxed);
}

/// Callers that wait for a permit.
pub fn queue() -> &'static Arc<Queue> {
    &QUEUE
}

/// Whether a call may start now and take its permit only when it becomes pending.
#[inline]
pub fn may_start_free() -> bool {
    PERMITS.load(Ordering::Relaxed) + SCHEDULERS.load(Ordering::Relaxed) < LIMIT.load(Ordering::Relaxed)
        && !QUEUE.has_waiters()
}

/// Takes a permit for a call that started free. Cannot fail: `may_start_free` left room for it.
#[inline]
pub fn take() {
    PERMITS.fetch_add(1, Ordering::Relaxed);
}

/// Takes a permit if one is free; newcomers (`turn` false) do not overtake those who wait.
pub fn try_take(turn: bool) -> bool {
    if !turn && QUEUE.has_waiters() {
        return false;
    }
    let limit = LIMIT.load(Ordering::Relaxed);
    PERMITS.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |n| (n < limit).then_some(n + 1)).is_ok()
}

/// Whether a permit is free at this moment.
pub fn available() -> bool {
    PERMITS.load(Ordering::Relaxed) < LIMIT.load(Ordering::Relaxed)
}

/// Gives a permit back. `env` as for `enif_send`: null on a thread of our own.
#[inline]
pub fn give_back(env: EnvPtr) {
    PERMITS.fetch_sub(1, Ordering::AcqRel);
    QUEUE.wake(env, 1);
}

/// Permits taken now.
pub fn current() -> i64 {
    PERMITS.load(Ordering::Relaxed)
}

/// The limit.
pub fn limit() -> i64 {
    LIMIT.load(Ordering::Relaxed)
}

/// Changes the limit; those for whom there is room now are woken.
pub fn set_limit(env: EnvPtr, limit: i64) {
    LIMIT.store(limit, Ordering::Relaxed);
    QUEUE.wake_all(env);
}

/// Permits that one process took explicitly; freed when it ends.
pub struct Holder {
    pid: ErlNifPid,
    count: AtomicI64,
}

// SAFETY: ErlNifPid is a plain word.
unsafe impl Send for Holder {}
// SAFETY: as above; the count is atomic.
unsafe impl Sync for Holder {}

impl Resource for Holder {
    fn process_down(&self) {
        janitor::push(Job::HolderDown(Owned::from_ref(self)));
    }
}

impl Holder {
    /// Frees all permits of a process that ended.
    pub fn abandoned(&self) {
        holders().retain(|h| beam::pid_term(&h.pid) != beam::pid_term(&self.pid));
        for _ in 0..self.count.swap(0, Ordering::AcqRel) {
            give_back(std::ptr::null_mut());
        }
    }
}

static HOLDERS: Mutex<Vec<Owned<Holder>>> = Mutex::new(Vec::new());

fn holders() -> std::sync::MutexGuard<'static, Vec<Owned<Holder>>> {
    HOLDERS.lock().unwrap_or_else(|e| e.into_inner())
}

/// Records a taken permit as the property of `pid`.
pub fn assign(env: EnvPtr, pid: ErlNifPid) {
    let mut holders = holders();
    if let Some(holder) = holders.iter().find(|h| beam::pid_term(&h.pid) == beam::pid_term(&pid)) {
        holder.count.fetch_add(1, Ordering::AcqRel);
        return;
    }
    let holder = HOLDER.alloc(Holder { pid, count: AtomicI64::new(1) });
    holder.monitor(env, &pid);
    holders.push(holder);
}

/// Gives back a permit that `pid` took explicitly. Returns false if it holds none.
pub fn release(env: EnvPtr, pid: ErlNifPid) -> bool {
    let held = {
        let mut holders = holders();
        let Some(at) = holders.iter().position(|h| beam::pid_term(&h.pid) == beam::pid_term(&pid)) else {
            return false;
        };
        if holders[at].count.fetch_sub(1, Ordering::AcqRel) == 1 {
            holders.swap_remove(at);
        }
        true
    };
    give_back(env);
    held
}
