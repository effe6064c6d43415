//! One thread that holds workers to their limits.
//!
//! It looks at a worker as long as requests come or are in flight, at intervals that follow what is left up to the limit, and once a
//! second otherwise, for threads and children that go on without a request. Nothing of this needs the worker: one that keeps
//! Python's lock, or is stopped, is looked at all the same.

use crate::beam::{self, EnvPtr, Raw, atoms};
use crate::footprint::{self, Footprint};
use crate::incarnation::{CLOSED, DOWN, Incarnation};
use crossbeam_queue::SegQueue;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// Bytes that processes are expected to take at most in a second.
const RATE: u64 = 4 << 30;
/// Between two looks at a worker that is at its limit.
const SHORTEST: Duration = Duration::from_millis(5);
/// Between two looks at a worker that has work.
const LONGEST: Duration = Duration::from_millis(100);
/// Between two looks at a worker that has none.
const IDLE: Duration = Duration::from_secs(1);
/// Looking takes at most this part of a processor, whatever a look costs.
const SHARE: u32 = 20;

static ADDED: SegQueue<Weak<Incarnation>> = SegQueue::new();
static STOPPING: AtomicBool = AtomicBool::new(false);
static THREAD: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);
static WAKER: arc_swap::ArcSwapOption<Thread> = arc_swap::ArcSwapOption::const_empty();

/// Looks after a worker that has limits until it is down.
///
/// # Errors
/// There is no thread to be had.
pub fn add(incarnation: &Arc<Incarnation>) -> std::io::Result<()> {
    let mut slot = THREAD.lock().unwrap_or_else(|e| e.into_inner());
    if slot.is_none() {
        STOPPING.store(false, Ordering::Release);
        let handle = std::thread::Builder::new().name("py_watchdog".into()).spawn(run)?;
        WAKER.store(Some(Arc::new(handle.thread().clone())));
        *slot = Some(handle);
    }
    ADDED.push(Arc::downgrade(incarnation));
    wake();
    Ok(())
}

/// Has the thread look which worker wants it. Lock-free; any thread.
pub fn wake() {
    if let Some(thread) = WAKER.load().as_ref() {
        thread.unpark();
    }
}

/// Joins the thread. Not for normal schedulers.
pub fn stop() {
    let handle = THREAD.lock().unwrap_or_else(|e| e.into_inner()).take();
    if let Some(handle) = handle {
        STOPPING.store(true, Ordering::Release);
        handle.thread().unpark();
        let _ = handle.join();
        WAKER.store(None);
    }
}

fn run() {
    let mut watched: Vec<Watched> = Vec::new();
    while !STOPPING.load(Ordering::Acquire) {
        while let Some(incarnation) = ADDED.pop() {
            watched.push(Watched {
                incarnation,
                due: Some(Instant::now()),
                dozes: false,
                requests: 0,
                rss_told: false,
            });
        }
        watched.retain_mut(|one| {
            let incarnation = one.incarnation.upgrade().filter(|incarnation| incarnation.state() < DOWN);
            incarnation.is_some_and(|incarnation| {
                let look = std::panic::AssertUnwindSafe(|| one.look(&incarnation));
                std::panic::catch_unwind(look).is_ok()
            })
        });
        match watched.iter().filter_map(|one| one.due).min() {
            Some(due) => std::thread::park_timeout(due.saturating_duration_since(Instant::now())),
            None => std::thread::park(),
        }
    }
    while ADDED.pop().is_some() {}
}

struct Watched {
    incarnation: Weak<Incarnation>,
    /// When to look next; `None`: when a request wakes the thread.
    due: Option<Instant>,
    /// The next request wakes the thread.
    dozes: bool,
    /// Requests that had come at the last look.
    requests: u32,
    rss_told: bool,
}

impl Watched {
    fn look(&mut self, incarnation: &Arc<Incarnation>) {
        let limits = &incarnation.limits;
        if let Some(calls) = limits.take_calls_reached() {
            tell(incarnation, |env| [atoms().max_calls, beam::uint(env, u64::from(calls))]);
        }
        let rss = limits.rss.filter(|_| !self.rss_told);
        let Some(level) = [limits.memory, rss].into_iter().flatten().min() else {
            limits.doze(true);
            self.due = None;
            return;
        };
        let now = Instant::now();
        if self.dozes && !limits.is_dozing() {
            // Woken by a request, which has only just come.
            self.dozes = false;
            self.due = Some(now + SHORTEST);
        }
        if self.due.is_some_and(|due| due > now) {
            return;
        }
        let family = footprint::family(incarnation.os_pid());
        let used = footprint::measure(&family, level);
        if incarnation.process_ended() {
            // These may be the figures of another process under the same number.
            return;
        }
        if limits.memory.is_some_and(|limit| used.bytes > limit) {
            end(incarnation, &family, used);
        } else if rss.is_some_and(|limit| used.bytes > limit) {
            self.rss_told = true;
            tell(incarnation, |env| [atoms().max_rss, beam::uint(env, used.bytes)]);
        }
        self.due = Some(Instant::now() + self.pause(incarnation, level, used, now.elapsed()));
    }

    fn pause(&mut self, incarnation: &Incarnation, level: u64, used: Footprint, cost: Duration) -> Duration {
        let left = level.saturating_sub(used.bytes);
        let busy = Duration::from_millis(left / (RATE / 1000)).clamp(SHORTEST, LONGEST).max(cost * SHARE);
        let requests = incarnation.requests();
        if incarnation.in_flight() > 0 || std::mem::replace(&mut self.requests, requests) != requests {
            return busy;
        }
        self.dozes = true;
        incarnation.limits.doze(true);
        // SYNC POINT: pairs with `Limits::entered`.
        if incarnation.in_flight() > 0 || incarnation.requests() != requests {
            incarnation.limits.doze(false);
            self.dozes = false;
            return busy;
        }
        IDLE
    }
}

fn tell<const N: usize>(incarnation: &Incarnation, make: impl FnOnce(EnvPtr) -> [Raw; N]) {
    incarnation.tell_owner(std::ptr::null_mut(), |env| {
        let fields = make(env);
        let fields = beam::tuple(env, fields);
        beam::tuple(env, [atoms().py_limit, beam::uint(env, incarnation.serial()), fields])
    });
}

/// Ends a worker with all that descends from it, in whatever sessions.
fn end(incarnation: &Incarnation, family: &[i32], used: Footprint) {
    tell(incarnation, |env| {
        [atoms().memory_limit, beam::uint(env, used.bytes), beam::uint(env, used.processes as u64)]
    });
    incarnation.advance(CLOSED);
    // Children before their parents, who would leave them to strangers.
    for pid in family.iter().skip(1).rev() {
        kill_child(*pid, family);
    }
    incarnation.kill(atoms().memory_limit);
}

/// Kills a process, unless its number belongs to a stranger by now.
fn kill_child(pid: i32, family: &[i32]) {
    // SAFETY: plain system call; the descriptor it returns is ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let Ok(fd) = i32::try_from(fd) else { return };
    if fd < 0 {
        return;
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    let process = unsafe { OwnedFd::from_raw_fd(fd) };
    if footprint::parent(pid).is_some_and(|parent| family.contains(&parent)) {
        // SAFETY: plain system call on a descriptor that we own; a pidfd cannot name a recycled process id.
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                process.as_raw_fd(),
                libc::SIGKILL,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            );
        }
    }
}
