//! One thread for what must not run on a scheduler.
//!
//! Destructors and `down` callbacks run on whichever scheduler collects garbage or ends a process; unmapping 64 MB
//! there would hold it for 13 ms. They push a [`Job`] to a lock-free list instead and unpark this thread.

use crossbeam_queue::SegQueue;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, Thread};

/// Work for the janitor.
pub enum Job {
    /// Drop something whose destructor unmaps memory or closes descriptors.
    Bury(Box<dyn Send>),
    /// The caller of the request (slab index, generation) ended.
    CallerDown(u32, u32),
    /// The process that waits with this ticket ended.
    WaiterDown(crate::resource::Owned<crate::wait::Ticket>),
    /// The process that holds explicit permits ended.
    HolderDown(crate::resource::Owned<crate::semaphore::Holder>),
    /// The py_worker that owns an incarnation ended.
    OwnerDown(std::sync::Arc<crate::incarnation::Incarnation>),
    /// Handles of an incarnation were given up.
    ReleaseObjects(std::sync::Arc<crate::handle::Home>),
    /// A worker that somebody waits for has nothing in flight.
    Idle(std::sync::Arc<crate::lease::Idle>),
    /// Requests came into a binding (by number) while it ended.
    EndBinding(std::sync::Arc<crate::incarnation::Incarnation>, u64),
    /// A stream is being closed by the record at (serial, id, position).
    StreamCloses(u64, u64, u64),
    /// Nobody will answer the thread that waits at (slot, ticket).
    CallLost(std::sync::Arc<crate::incarnation::Incarnation>, u32, u64),
}

static JOBS: SegQueue<Job> = SegQueue::new();
static STOPPING: AtomicBool = AtomicBool::new(false);
static THREAD: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);
static WAKER: arc_swap::ArcSwapOption<Thread> = arc_swap::ArcSwapOption::const_empty();

/// Hands over a job. Lock-free; any thread. While the application is stopped, what terms still hold is dropped by whoever
/// collects them.
pub fn push(job: Job) {
    JOBS.push(job);
    match WAKER.load().as_ref() {
        Some(thread) => thread.unpark(),
        None => work_off(),
    }
}

/// Jobs that wait.
pub fn waiting() -> usize {
    JOBS.len()
}

/// Starts the thread if it does not run. Returns whether it runs.
pub fn start() -> bool {
    let mut slot = THREAD.lock().unwrap_or_else(|e| e.into_inner());
    if slot.is_none() {
        STOPPING.store(false, Ordering::Release);
        let Ok(handle) = std::thread::Builder::new().name("py_janitor".into()).spawn(run) else {
            return false;
        };
        WAKER.store(Some(std::sync::Arc::new(handle.thread().clone())));
        *slot = Some(handle);
    }
    true
}

/// Finishes all jobs and joins the thread. Waits for jobs in progress: not for normal schedulers.
pub fn stop() {
    let handle = THREAD.lock().unwrap_or_else(|e| e.into_inner()).take();
    if let Some(handle) = handle {
        STOPPING.store(true, Ordering::Release);
        handle.thread().unpark();
        let _ = handle.join();
        WAKER.store(None);
        work_off();
    }
}

fn run() {
    loop {
        work_off();
        if STOPPING.load(Ordering::Acquire) && JOBS.is_empty() {
            return;
        }
        // An unpark that came since the last pop makes these return at once.
        match crate::handle::look_after().into_iter().chain(crate::stream::look_after()).min() {
            Some(pause) => std::thread::park_timeout(pause),
            None => std::thread::park(),
        }
    }
}

fn work_off() {
    while let Some(job) = JOBS.pop() {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(job)));
    }
}

fn work(job: Job) {
    match job {
        Job::Bury(corpse) => drop(corpse),
        Job::CallerDown(index, generation) => crate::cancel::caller_down(index, generation),
        Job::WaiterDown(ticket) => ticket.abandoned(),
        Job::HolderDown(holder) => holder.abandoned(),
        Job::OwnerDown(incarnation) => incarnation.owner_down(),
        Job::ReleaseObjects(home) => home.send(),
        Job::Idle(idle) => idle.tell(),
        Job::EndBinding(incarnation, number) => crate::cancel::end_binding(std::ptr::null_mut(), &incarnation, number),
        Job::StreamCloses(serial, id, position) => crate::stream::closes(serial, id, position),
        Job::CallLost(incarnation, slot, ticket) => crate::callback::lost(&incarnation, slot, ticket),
    }
}
