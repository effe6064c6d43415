//! Raising `erlang.Interrupted` in exactly one request.
//!
//! A signal that only the main thread receives ends sleeps, reads and waits for locks at once; its Python
//! handler raises if the request that the main thread runs at that moment is still the one that was meant. An
//! executor thread cannot be reached by a signal: there an asynchronous exception is set, with the GIL held and only if
//! the thread still runs that request, and the thread disarms it before it lets go of the request. A task of the
//! event loop is cancelled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use pyo3::ffi;

use crate::callback;
use crate::coroutine;
use crate::gil;
use crate::invoke::{call, import};
use crate::module;
use crate::object::Object;
use crate::stream;
use crate::turn::Turn;

/// Pause between two attempts while the request keeps running.
const REPEAT: Duration = Duration::from_millis(100);
/// No request; the node never uses it as an id.
const NONE: u64 = u64::MAX;

/// The request that the next signal is meant for, until the handler has raised in it.
static TARGET: AtomicU64 = AtomicU64::new(NONE);
/// The request that the main thread runs.
static MAIN_CURRENT: AtomicU64 = AtomicU64::new(NONE);
/// The request in which the handler raised last.
static MAIN_HIT: AtomicU64 = AtomicU64::new(NONE);
/// The request in the main thread that the next interrupt spares.
static MAIN_SPARED: AtomicU64 = AtomicU64::new(NONE);
/// Executor threads other than the main thread.
static THREADS: Mutex<Vec<Arc<ThreadState>>> = Mutex::new(Vec::new());

/// Threads of ours that are being started, a time in which no interrupt is raised. Changed with the GIL held.
static STARTING: AtomicU32 = AtomicU32::new(0);

/// As long as it lives no interrupt is raised: one in the middle of `Thread.start` would leave a thread that nobody counts,
/// and one set there may hit the new thread, which has its creator's identity at first. The next attempt makes up for it.
#[derive(Debug)]
pub struct Shield(());

impl Shield {
    /// # Safety
    /// The GIL is held, also when the shield is dropped.
    pub unsafe fn hold() -> Self {
        STARTING.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the GIL is held. What was set and not raised yet is set again by the next attempt.
        unsafe { ffi::PyThreadState_SetAsyncExc(libc::pthread_self() as _, std::ptr::null_mut()) };
        Self(())
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        STARTING.fetch_sub(1, Ordering::Relaxed);
    }
}

fn shielded() -> bool {
    STARTING.load(Ordering::Relaxed) > 0
}

#[derive(Debug)]
struct ThreadState {
    ident: libc::c_ulong,
    current: AtomicU64,
    /// [`UNARMED`], or what was set off in the request that runs.
    armed: AtomicU8,
    /// The request that the next attempt spares.
    spared: AtomicU64,
    /// Callback slot that the thread waits in, or [`NO_SLOT`].
    slot: AtomicU32,
}

/// No interrupt was raised in the request that runs.
const UNARMED: u8 = 0;
/// One was, and the program may catch it and go on.
const ONCE: u8 = 1;
/// The request is to end.
const TO_THE_END: u8 = 2;

/// The thread waits in no callback slot.
const NO_SLOT: u32 = u32::MAX;

/// What an executor thread needs to learn in a wait of ours that its request is interrupted.
#[derive(Debug)]
pub struct Armed(Arc<ThreadState>);

impl Armed {
    /// From here on an interrupt wakes the thread from this slot.
    pub fn waits_in(&self, slot: u32) {
        self.0.slot.store(slot, Ordering::Release);
    }

    /// The thread left the slot.
    pub fn waits_no_more(&self) {
        self.0.slot.store(NO_SLOT, Ordering::Release);
    }

    /// Raises an interrupt that is due here and now; `false` if there is none.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    #[must_use]
    pub unsafe fn raise(&self) -> bool {
        // SAFETY: the GIL is held.
        unsafe {
            match self.0.armed.load(Ordering::Relaxed) {
                TO_THE_END => {
                    // What the interpreter would raise is withdrawn.
                    ffi::PyThreadState_SetAsyncExc(self.0.ident as _, std::ptr::null_mut());
                    module::raise(module::interrupted(), "interrupted");
                    true
                }
                // Whether the program has met it already, only the interpreter knows; it raises before it runs anything.
                ONCE => {
                    Object::owned(ffi::PyDict_New()).and_then(|names| module::run("0", c"<erlang>", &names)).is_none()
                }
                _ => false,
            }
        }
    }
}

/// The request that one executor runs. Set and cleared by that executor with the GIL held.
#[derive(Debug)]
pub struct Current(Option<Arc<ThreadState>>);

impl Current {
    /// For the main thread.
    pub fn main() -> Self {
        Self(None)
    }

    /// For the calling thread, whose Python identity is `ident` (`threading.get_ident`).
    pub fn thread(ident: libc::c_ulong) -> Self {
        let (current, spared) = (AtomicU64::new(NONE), AtomicU64::new(NONE));
        let (armed, slot) = (AtomicU8::new(UNARMED), AtomicU32::new(NO_SLOT));
        let state = Arc::new(ThreadState { ident, current, armed, spared, slot });
        lock(&THREADS).push(state.clone());
        Self(Some(state))
    }

    /// For waits of ours; `None` in the main thread, which signals reach.
    pub fn armed(&self) -> Option<Armed> {
        self.0.as_ref().map(|state| Armed(state.clone()))
    }

    /// Names the request that begins, before anybody can learn that it was started.
    #[inline]
    pub fn set(&self, id: u64) {
        match &self.0 {
            // Release: whoever learns of the start (an acquire of the start word) finds the id here.
            None => MAIN_CURRENT.store(id, Ordering::Release),
            Some(state) => state.current.store(id, Ordering::Release),
        }
    }

    /// Whether an interrupt was raised in the request that runs.
    pub fn interrupted(&self) -> bool {
        match &self.0 {
            None => {
                let hit = MAIN_HIT.load(Ordering::Relaxed);
                hit != NONE && hit == MAIN_CURRENT.load(Ordering::Relaxed)
            }
            Some(state) => state.armed.load(Ordering::Relaxed) != UNARMED,
        }
    }

    /// The request, which is `id`, has learned by itself that it is to end, and does so from here on: what was set off in it is
    /// withdrawn, and the next attempt spares it. An end that takes longer is interrupted.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn spare(&self, id: u64) {
        match &self.0 {
            None => MAIN_SPARED.store(id, Ordering::Relaxed),
            Some(state) => {
                state.spared.store(id, Ordering::Relaxed);
                if state.armed.swap(UNARMED, Ordering::Relaxed) != UNARMED {
                    // SAFETY: the GIL is held.
                    unsafe { ffi::PyThreadState_SetAsyncExc(state.ident as _, std::ptr::null_mut()) };
                }
            }
        }
    }

    /// From here on no interrupt reaches this thread.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline]
    pub unsafe fn clear(&self) {
        match &self.0 {
            None => {
                MAIN_CURRENT.store(NONE, Ordering::Release);
                MAIN_HIT.store(NONE, Ordering::Relaxed);
            }
            Some(state) => {
                if state.armed.swap(UNARMED, Ordering::Relaxed) != UNARMED {
                    // Not yet delivered, it would be delivered in the next request.
                    // SAFETY: the GIL is held.
                    unsafe { ffi::PyThreadState_SetAsyncExc(state.ident as _, std::ptr::null_mut()) };
                }
                state.current.store(NONE, Ordering::Release);
            }
        }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            lock(&THREADS).retain(|other| !Arc::ptr_eq(other, state));
        }
    }
}

/// Whether a thread runs this request now. Needs no GIL.
pub fn runs(id: u64) -> bool {
    MAIN_CURRENT.load(Ordering::Acquire) == id
        || lock(&THREADS).iter().any(|state| state.current.load(Ordering::Acquire) == id)
}

/// The executor threads by their Python identities, and the request that each runs; the main thread, which is `main`, comes first.
/// With the GIL held that is one moment's state.
pub fn running(main: libc::c_ulong) -> Vec<(libc::c_ulong, Option<u64>)> {
    let known = |id: &AtomicU64| Some(id.load(Ordering::Acquire)).filter(|id| *id != NONE);
    let threads = lock(&THREADS);
    let others = threads.iter().map(|state| (state.ident, known(&state.current)));
    std::iter::once((main, known(&MAIN_CURRENT))).chain(others).collect()
}

/// Whether the handler has raised in this request, which the main thread runs or has just run.
pub fn was_raised_in(id: u64) -> bool {
    MAIN_HIT.load(Ordering::Relaxed) == id
}

/// How long an interrupt is attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Once: a program that catches it goes on.
    Raised,
    /// Again and again: the request's time is over.
    Ended,
}

/// The way to the interrupter thread.
#[derive(Clone, Debug)]
pub struct Interrupter(mpsc::Sender<Order>);

/// What the interrupter thread is told.
enum Order {
    Interrupt(u64, Until),
    Gil(Box<dyn FnOnce() + Send>),
    Abandon(u64),
}

impl Interrupter {
    /// Starts the thread. The caller blocks all signals first, so that the thread receives none.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(main: libc::pthread_t) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        std::thread::Builder::new().name("interrupter".to_owned()).spawn(move || repeat(&receiver, main))?;
        Ok(Self(sender))
    }

    /// Interrupts request `id`. Does nothing if it is not running.
    pub fn interrupt(&self, id: u64, until: Until) {
        // The thread ends with the process only.
        let _ = self.0.send(Order::Interrupt(id, until));
    }

    /// Calls `then` when the thread had Python's lock once. Never, if somebody keeps that.
    pub fn with_gil_once(&self, then: Box<dyn FnOnce() + Send>) {
        let _ = self.0.send(Order::Gil(then));
    }

    /// Leaves the task of request `id` to itself and answers the request.
    pub fn abandon(&self, id: u64) {
        let _ = self.0.send(Order::Abandon(id));
    }
}

/// A request that is being interrupted.
struct Attempt {
    id: u64,
    until: Until,
    /// `None`: it needs no other one.
    due: Option<Instant>,
    /// It was set off in the thread that runs the request.
    set: bool,
}

/// The requests that are being interrupted, by id.
type Active = HashMap<u64, Attempt>;

fn repeat(receiver: &mpsc::Receiver<Order>, main: libc::pthread_t) {
    let mut active = Active::new();
    loop {
        let received = match active.values().filter_map(|attempt| attempt.due).min() {
            None => receiver.recv().map_err(mpsc::RecvTimeoutError::from),
            Some(due) => receiver.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        match received {
            // All that came meanwhile: to wait for the GIL once for each of many would take seconds.
            Ok(order) => std::iter::once(order).chain(receiver.try_iter()).for_each(|order| obey(order, &mut active)),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        attempt(&mut active, main);
    }
}

fn obey(order: Order, active: &mut Active) {
    match order {
        // SAFETY: this thread does not hold the GIL here.
        Order::Abandon(id) => unsafe { coroutine::abandon(id) },
        Order::Interrupt(id, until) => {
            // One that is to end is not interrupted once more.
            if active.get(&id).is_none_or(|known| known.until != Until::Ended) {
                active.insert(id, Attempt { id, until, due: Some(Instant::now()), set: false });
            }
        }
        Order::Gil(then) => {
            // SAFETY: this thread does not hold the GIL here.
            unsafe { gil::attached(|| ()) };
            then();
        }
    }
}

/// Attempts made before the GIL is let go: some hundred microseconds.
const AT_ONCE: usize = 256;

/// Makes the attempts that are due, and forgets those that need no other one.
fn attempt(active: &mut Active, main: libc::pthread_t) {
    let now = Instant::now();
    let mut elsewhere: Vec<&mut Attempt> = Vec::new();
    for attempt in active.values_mut().filter(|attempt| attempt.due.is_some_and(|due| due <= now)) {
        match attempt.make_in_main(main) {
            Some(again) => attempt.due = again.then_some(now + REPEAT),
            None => elsewhere.push(attempt),
        }
    }
    for attempts in elsewhere.chunks_mut(AT_ONCE) {
        let mut slots = Vec::new();
        // SAFETY: this thread does not hold the GIL here.
        unsafe {
            gil::attached(|| {
                for attempt in attempts {
                    let (again, slot) = attempt.make_elsewhere();
                    attempt.due = again.then_some(now + REPEAT);
                    slots.extend((slot != NO_SLOT).then_some(slot));
                }
            });
        }
        slots.into_iter().for_each(callback::wake);
    }
    active.retain(|_, attempt| attempt.due.is_some());
}

impl Attempt {
    /// Signals the main thread if it runs the request; answers whether there should be another attempt. `None` if it runs
    /// something else.
    fn make_in_main(&mut self, main: libc::pthread_t) -> Option<bool> {
        if self.until == Until::Ended {
            stream::mark(self.id);
        }
        if MAIN_CURRENT.load(Ordering::Acquire) != self.id {
            return None;
        }
        if self.until == Until::Ended || !self.set {
            TARGET.store(self.id, Ordering::Release);
            self.set = true;
        } else if TARGET.load(Ordering::Acquire) != self.id {
            return Some(false);
        }
        // SAFETY: the main thread outlives all others.
        unsafe { libc::pthread_kill(main, signal()) };
        Some(true)
    }

    /// Looks for the request in other threads, among the tasks of the event loop and in what that has left to other threads:
    /// with the GIL held it is in one of these places. Returns whether there should be another attempt, and the callback slot
    /// to wake. A wait that begins just then may sleep through that; the next attempt wakes it.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    unsafe fn make_elsewhere(&mut self) -> (bool, u32) {
        let id = self.id;
        if TARGET.compare_exchange(id, NONE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            // The main thread handed the request on before the signal reached it.
            self.set = false;
        }
        let state = lock(&THREADS).iter().find(|state| state.current.load(Ordering::Acquire) == id).cloned();
        if let Some(state) = state {
            if shielded() || spares(&state.spared, id) {
                return (true, NO_SLOT);
            }
            let armed = if self.until == Until::Ended { TO_THE_END } else { ONCE };
            if armed == TO_THE_END || !self.set {
                state.armed.fetch_max(armed, Ordering::Relaxed);
                // SAFETY: the GIL is held.
                unsafe { ffi::PyThreadState_SetAsyncExc(state.ident as _, module::interrupted()) };
                self.set = true;
            }
            return (true, state.slot.load(Ordering::Acquire));
        }
        if self.set && self.until == Until::Raised {
            return (false, NO_SLOT);
        }
        // SAFETY: the caller's promise.
        unsafe {
            if coroutine::cancel(id) {
                return (self.until == Until::Ended, NO_SLOT);
            }
            callback::refuse_handed(id);
        }
        // A stream that runs may be between two of its items.
        (stream::runs(id) || MAIN_CURRENT.load(Ordering::Acquire) == id, NO_SLOT)
    }
}

/// Installs the handler. To be called in the main thread; `None` with a Python exception set.
///
/// # Safety
/// The GIL is held.
pub unsafe fn install() -> Option<()> {
    // SAFETY: the GIL is held and every pointer comes from a live object.
    unsafe {
        let doc = c"Raises erlang.Interrupted in the request that was meant.";
        let handler = module::function(c"interrupt", doc, on_signal)?;
        let signals = import(c"_signal")?;
        let register = signals.attribute(c"signal")?;
        let number = Object::owned(ffi::PyLong_FromLong(signal().into()))?;
        call(&register, &[number.as_ptr(), handler.as_ptr()]).map(drop)
    }
}

/// Out of the way of programs, which count from the lowest real-time signal, and of glibc, which keeps two.
fn signal() -> libc::c_int {
    libc::SIGRTMAX() - 2
}

unsafe extern "C" fn on_signal(_self: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this with the GIL held.
    let _turn = unsafe { Turn::take() };
    let current = MAIN_CURRENT.load(Ordering::Relaxed);
    // SAFETY: CPython runs signal handlers in the main thread with the GIL held.
    unsafe {
        if current != NONE
            && !shielded()
            && TARGET.compare_exchange(current, NONE, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            && !spares(&MAIN_SPARED, current)
        {
            MAIN_HIT.store(current, Ordering::Relaxed);
            module::raise(module::interrupted(), "interrupted");
            return std::ptr::null_mut();
        }
        ffi::Py_INCREF(ffi::Py_None());
        ffi::Py_None()
    }
}

/// Whether this attempt is the one that spares the request.
fn spares(spared: &AtomicU64, id: u64) -> bool {
    spared.compare_exchange(id, NONE, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
