//! How long a caller watches its reply cell before it returns to the scheduler.
//!
//! Sleeping and waking costs a process switch and a message, 6 us each way; watching costs the scheduler the time that
//! the call takes. So a caller watches where the answer is expected within the budget: its worker has next to nothing
//! queued, and the callable's recent service time, with what waking the worker takes, fits. At least one core is left to the
//! workers.

use crate::beam::EnvPtr;
use crate::estimate;
use crate::incarnation::Incarnation;
use crate::pool::Pool;
use crate::slab::Entry;
use shm_proto::entry::State;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Instant;

/// What one turn of the loop costs on this machine, and how many processors it has.
struct Machine {
    processors: usize,
    nanoseconds_per_spin: f32,
}

impl Machine {
    /// Turns that take so long.
    #[inline]
    fn turns(&self, nanoseconds: u32) -> u32 {
        (nanoseconds as f32 / self.nanoseconds_per_spin) as u32
    }
}

static MACHINE: OnceLock<Machine> = OnceLock::new();

/// Spins measured at load: enough to be exact to a few percent, about 50 us.
const SAMPLE: u32 = 2000;

/// Measures the machine. Called at load.
pub fn init() {
    MACHINE.get_or_init(|| {
        let best = (0..5)
            .map(|_| {
                let start = Instant::now();
                for _ in 0..SAMPLE {
                    std::hint::spin_loop();
                }
                start.elapsed().as_nanos() as f32 / SAMPLE as f32
            })
            .fold(f32::INFINITY, f32::min);
        Machine {
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            nanoseconds_per_spin: best.max(0.3),
        }
    });
}

/// A callable whose calls take longer than this is never watched: a process switch and a message cost less.
const WORTH_NS: u32 = 12_000;

/// Shortest wait, for callables that are not known: twice a round trip.
const UNKNOWN_NS: u32 = 2_000;

/// What waking a worker may take. Without the wait three threads are woken one after another, the reader and a scheduler
/// behind the worker.
const WAKING_NS: u32 = 15_000;

/// Requests that may wait before this one: with as many schedulers as workers on too few processors, two callers meet at a
/// worker now and then, and both are served sooner than either could be woken.
const QUEUED: u32 = 3;

/// How long to watch, in turns of the loop; zero turns: do not.
#[derive(Clone, Copy, Default)]
pub struct Patience {
    /// Turns before the first look. Each look takes the line of the cell away from the worker that is about to write there.
    quiet: u32,
    looks: u32,
    /// What the call takes says nothing of the callable: its worker has to wake first.
    pub waking: bool,
}

impl Patience {
    /// Whether to watch at all.
    #[inline]
    pub fn any(self) -> bool {
        self.looks > 0
    }
}

/// How long a call may be watched that was counted in already.
#[inline]
pub fn patience(worker: &Incarnation, pool: Option<&Arc<Pool>>, slot: u32) -> Patience {
    let none = Patience::default();
    let Some(machine) = MACHINE.get() else { return none };
    let budget_us = pool.map_or(worker.inline_budget_us, |p| p.inline_budget_us);
    if budget_us == 0 || machine.processors == 1 || worker.busy_with() > worker.executors + QUEUED {
        return none;
    }
    let expected = estimate::expected(slot);
    if expected > WORTH_NS {
        return none;
    }
    let waking = !worker.awake();
    let wait = (expected * 4).max(UNKNOWN_NS) + if waking { WAKING_NS } else { 0 };
    Patience { quiet: machine.turns(expected / 2), looks: machine.turns(wait.min(budget_us * 1000)), waking }
}

/// How long to watch for the answer of one of the requests of a worker, however many there are.
pub fn patience_of_many(worker: &Incarnation, expected: u32) -> Patience {
    let none = Patience::default();
    let Some(machine) = MACHINE.get() else { return none };
    let budget_us = worker.inline_budget_us;
    if budget_us == 0 || machine.processors == 1 || expected == 0 || expected > WORTH_NS {
        return none;
    }
    // Waking costs as much, and a worker that has rung takes some time to get back to its ring.
    let wait = expected.saturating_mul(worker.busy_with()).max(WORTH_NS).min(budget_us * 1000);
    Patience { looks: machine.turns(wait), ..none }
}

/// What came of watching.
pub struct Watched {
    pub done: bool,
    pub nanoseconds: u64,
}

/// Polls until `done`, until somebody handed an answer over, or until patience ends.
#[inline]
pub fn until_done(env: EnvPtr, entry: &Entry, generation: u32, done: impl Fn() -> bool, patience: Patience) -> Watched {
    for _ in 0..patience.quiet {
        std::hint::spin_loop();
    }
    let mut looks = 0;
    let mut finished = false;
    while looks < patience.looks {
        if done() {
            finished = true;
            break;
        }
        looks += 1;
        if looks % 64 == 0 && entry.word.load() != (generation, State::Watched) {
            break;
        }
        std::hint::spin_loop();
    }
    Watched { done: finished, nanoseconds: spent(env, patience.quiet + looks) }
}

/// Polls until `done` or until patience ends.
pub fn until(env: EnvPtr, patience: Patience, mut done: impl FnMut() -> bool) {
    let mut turns = 0;
    while turns < patience.looks && !done() {
        for _ in 0..LOOK_EVERY {
            std::hint::spin_loop();
        }
        turns += LOOK_EVERY;
    }
    spent(env, turns);
}

/// Turns between two looks that cost more than a load.
const LOOK_EVERY: u32 = 16;

/// The time that turns took in nanoseconds, which the calling process is charged with.
#[inline]
fn spent(env: EnvPtr, turns: u32) -> u64 {
    let nanoseconds = (turns as f32 * MACHINE.get().map_or(1.0, |m| m.nanoseconds_per_spin)) as u64;
    // A slice is about 1 ms: one percent for each 10 us.
    if nanoseconds >= 10_000 {
        let percent = (nanoseconds / 10_000).min(100) as i32;
        // SAFETY: called with the environment of the running NIF call.
        unsafe { rustler::sys::enif_consume_timeslice(env, percent) };
    }
    nanoseconds
}
