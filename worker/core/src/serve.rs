//! Taking requests, running them and answering them.
//!
//! The main thread is preferred: whenever it is free, it takes the next request. Other threads (see [`crate::threads`])
//! take requests only while it is busy, and only those that [`crate::board`] allows. They need no lock for that: the GIL
//! guards the ring, and while the main thread waits without the GIL, no other thread takes anything.

mod looped;

use std::cell::UnsafeCell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use pyo3::ffi;
use shm_proto::arbiter::Side;
use shm_proto::control::FromWorker;
use shm_proto::link::WorkerLink;
use shm_proto::request::{Header, Kind, Options};
use shm_proto::ring::Consumer;

use crate::async_call;
use crate::asyncio;
use crate::board::Board;
use crate::callback;
use crate::clock::{Clock, ticks};
use crate::control::{Control, Opened, kill_group, wake_counter};
use crate::crash;
use crate::dump;
use crate::event_loop;
use crate::exception;
use crate::executor::{Executor, Outcome};
use crate::fork;
use crate::gil;
use crate::handle;
use crate::idle::Idle;
use crate::interrupt::{self, Current, Interrupter};
use crate::module::{self, Arguments};
use crate::object::Object;
use crate::reset;
use crate::stacks;
use crate::stream;
use crate::threads;

/// Released requests after which the worker looks whether the node waits for room in the ring.
const ROOM_EVERY: u32 = 16;

/// Serves until the node says stop. `None` with a Python exception set, which ends the interpreter.
///
/// # Safety
/// Called once, in Python's main thread with the GIL held.
pub unsafe fn serve(arguments: &Arguments) -> Option<()> {
    // SAFETY: the GIL is held.
    unsafe {
        let control = match start_threads(arguments) {
            Ok(control) => control,
            Err(error) => {
                module::raise(ffi::PyExc_OSError, &format!("could not start threads: {error}"));
                return None;
            }
        };
        let opened = gil::released(|| control.wait_for_link());
        let mut worker = match prepare(arguments, opened, control.clone()) {
            Some(worker) => worker,
            None => {
                let reason = exception::take().map(|error| {
                    let mut text = Object::owned(ffi::PyObject_Repr(error.as_ptr()));
                    text.take().map(|text| exception::lossy(&text)).unwrap_or_default()
                });
                control.fail(&format!("could not prepare Python: {}", reason.unwrap_or_default()));
            }
        };
        control.send(&FromWorker::Ready(version()));
        let ended = match worker.serve() {
            Some(true) => event_loop::serve(worker),
            other => other.map(|_| ()),
        };
        async_call::close();
        ended
    }
}

/// Our threads receive no signals, so that Python's main thread gets them all.
fn start_threads(arguments: &Arguments) -> std::io::Result<Arc<Control>> {
    let mut mask = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut mask))?;
    // SAFETY: has no requirement.
    let main = unsafe { libc::pthread_self() };
    stacks::note_main_thread();
    let control = Interrupter::start(main).and_then(|interrupter| Control::start(arguments, interrupter));
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?;
    control
}

/// # Safety
/// The GIL is held. `None` with a Python exception set.
unsafe fn prepare(arguments: &Arguments, opened: Opened, control: Arc<Control>) -> Option<Server> {
    let Opened { link, node_pid, executors, max_threads } = opened;
    // SAFETY: the GIL is held; the module and its dict are borrowed from the interpreter and live as long as it.
    unsafe {
        let main = ffi::PyImport_AddModule(c"__main__".as_ptr());
        if main.is_null() {
            return None;
        }
        let namespace = Object::borrowed(ffi::PyModule_GetDict(main))?;
        module::create(arguments, executors, &namespace)?;
        interrupt::install()?;
        dump::install();
        crash::install(control.output());
        reset::prepare()?;
        line_buffer_stdout();
        let kick = match wake_counter() {
            Ok(kick) => kick,
            Err(error) => {
                module::raise(ffi::PyExc_OSError, &error.to_string());
                return None;
            }
        };
        let bells = [link.request_bell.as_fd(), link.response_bell.as_fd(), kick.as_fd()];
        handle::show_in(&link.telemetry);
        stream::show_in(&link.telemetry);
        fork::guard(control.descriptors().chain(bells.map(|fd| fd.as_raw_fd())).chain(dump::descriptor()));
        let requests = link.take_requests().expect("a fresh link still has its consumer");
        let board = Board::new(executors, max_threads, link.callbacks.len());
        let shared = Arc::new(Shared {
            link,
            control,
            requests: UnsafeCell::new(requests),
            board: UnsafeCell::new(board),
            main_waits: AtomicBool::new(false),
            looped: AtomicBool::new(false),
            several: executors > 1,
            waiting: AtomicU32::new(0),
            armed: AtomicBool::new(false),
            kick,
            node_pid,
        });
        threads::prepare(&shared, &namespace);
        for _ in 1..executors {
            threads::spawn(&shared)?;
        }
        let executor = Executor::new(Current::main(), namespace)?;
        callback::connect(&shared);
        Some(Server::new(shared, executor))
    }
}

/// What a program prints is not lost with the process, even if nobody reads it on a terminal.
///
/// # Safety
/// The GIL is held. Leaves no exception set.
unsafe fn line_buffer_stdout() {
    // SAFETY: the GIL is held; the stream is borrowed from module sys and kept alive by our own reference.
    unsafe {
        let stdout = Object::borrowed(ffi::PySys_GetObject(c"stdout".as_ptr()));
        let reconfigure = stdout.and_then(|stdout| stdout.attribute(c"reconfigure"));
        let options = Object::owned(ffi::PyDict_New());
        let nothing = Object::owned(ffi::PyTuple_New(0));
        if let (Some(reconfigure), Some(options), Some(nothing)) = (reconfigure, options, nothing)
            && ffi::PyDict_SetItemString(options.as_ptr(), c"line_buffering".as_ptr(), ffi::Py_True()) == 0
        {
            drop(Object::owned(ffi::PyObject_Call(reconfigure.as_ptr(), nothing.as_ptr(), options.as_ptr())));
        }
        // A program may start without standard output.
        ffi::PyErr_Clear();
    }
}

/// # Safety
/// The GIL is held.
unsafe fn version() -> String {
    // SAFETY: the object is borrowed from module sys and kept alive by our own reference.
    unsafe {
        let version = Object::borrowed(ffi::PySys_GetObject(c"version".as_ptr()));
        version.map(|version| exception::lossy(&version)).unwrap_or_default()
    }
}

/// What all executors of the worker share.
#[derive(Debug)]
pub struct Shared {
    /// The data plane.
    pub link: WorkerLink,
    /// The control plane.
    pub control: Arc<Control>,
    /// Only touched with the GIL held and [`Shared::main_waits`] unset, and by the main thread while it is set.
    requests: UnsafeCell<Consumer>,
    /// The main thread waits for requests, so no other thread takes any. Changed with the GIL held.
    main_waits: AtomicBool,
    /// The main thread is an event loop: it takes all requests and hands some to other threads. Changed with the GIL held.
    looped: AtomicBool,
    /// Only touched with the GIL held.
    board: UnsafeCell<Board>,
    /// There are executors besides the main thread.
    several: bool,
    /// Threads that wait for an Erlang function. Changed with the GIL held.
    waiting: AtomicU32,
    /// A busy worker left `request_sleeping` raised. Changed with the GIL held.
    armed: AtomicBool,
    /// Wakes an executor thread that waits.
    pub kick: OwnedFd,
    /// Process whose descriptors large payloads name.
    pub node_pid: u32,
}

// SAFETY: `requests` and `board` are guarded as their comments say; everything else is `Sync` by itself.
unsafe impl Sync for Shared {}

impl Shared {
    /// The reading end of the request ring.
    ///
    /// # Safety
    /// The caller may touch it by the rule of the field.
    unsafe fn requests(&self) -> &Consumer {
        // SAFETY: the caller's promise.
        unsafe { &*self.requests.get() }
    }

    /// Whether the main thread waits for requests.
    pub fn main_waits(&self) -> bool {
        self.main_waits.load(Ordering::Relaxed)
    }

    /// Whether the main thread is an event loop, which hands requests to the other threads.
    #[inline]
    pub fn is_looped(&self) -> bool {
        self.looped.load(Ordering::Relaxed)
    }

    /// The main thread becomes an event loop; `threads` run what it hands on.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn enter_loop(&self, threads: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.board().set_limit(threads) };
        self.main_waits.store(true, Ordering::Relaxed);
        self.looped.store(true, Ordering::Relaxed);
    }

    /// Who runs what.
    ///
    /// # Safety
    /// The GIL is held, and the reference is not kept while Python code could run.
    #[expect(clippy::mut_from_ref, reason = "the GIL makes the access exclusive")]
    pub unsafe fn board(&self) -> &mut Board {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.board.get() }
    }

    /// Whether other threads than the main thread have to look at the ring while it is busy.
    #[inline]
    pub fn is_shared(&self) -> bool {
        (self.several || self.waiting.load(Ordering::SeqCst) > 0) && !self.is_looped()
    }

    /// A thread begins to wait for an Erlang function; `executor`: it runs a request, one of the chain `root`.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn begin_wait(&self, root: u64, executor: bool) {
        // SAFETY: the caller's promise.
        unsafe { self.board().wait(root, executor) };
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// It goes on.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn end_wait(&self, root: u64, executor: bool) {
        // SAFETY: the caller's promise.
        unsafe { self.board().go_on(root, executor) };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Called when the calling thread stops looking at the ring and nobody else looks: the node shall ring for the
    /// next request. `false` if there is one already that may be taken.
    ///
    /// # Safety
    /// The GIL is held and the main thread does not wait.
    pub unsafe fn leave_ring(&self) -> bool {
        self.link.request_sleeping().raise();
        self.armed.store(true, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        let nothing = unsafe { self.board().nothing_to_take(self.requests()) };
        if !nothing {
            self.look_again();
        }
        nothing
    }

    /// The calling thread looks at the ring from here on: the next request needs no bell.
    #[inline]
    fn look_again(&self) {
        self.link.request_sleeping().lower();
        self.armed.store(false, Ordering::Relaxed);
    }

    /// The calling thread is going to be busy: another one shall look at the ring if it must be looked at.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn pass_lead(&self) {
        // SAFETY: the GIL is held; the main thread does not wait where the ring is looked at.
        unsafe {
            if self.is_looped() {
                threads::serve_handed(self);
            } else if !self.main_waits()
                && (!self.leave_ring() || (self.board().idle > 0 && threads::nobody_watches(self)))
            {
                self.kick();
            }
        }
    }

    /// Wakes a thread that waits.
    pub fn kick(&self) {
        // A counter that is full has been kicked already.
        let _ = nix::unistd::write(&self.kick, &1u64.to_ne_bytes());
    }

    /// When one request more than the rule allows may be taken.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn stalled_until(&self) -> Option<Instant> {
        // SAFETY: the caller's promise; the ring is only looked at.
        unsafe {
            if self.is_looped() {
                let held_back = self.board().has_handed();
                self.board().stalled_until(held_back)
            } else if self.main_waits() {
                None
            } else {
                let held_back = !self.requests().is_empty();
                self.board().stalled_until(held_back)
            }
        }
    }
}

/// One executor: takes requests, runs them and answers.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    executor: Executor,
    clock: Clock,
    idle: Idle,
    record: Vec<u8>,
    /// Requests taken since the last look at `request_waiting`.
    unlooked: u32,
}

impl Server {
    /// The executor of the calling thread.
    pub fn new(shared: Arc<Shared>, executor: Executor) -> Self {
        Self { shared, executor, clock: Clock::new(), idle: Idle::new(), record: Vec::with_capacity(4096), unlooked: 0 }
    }

    /// What it shares with the others.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The loop of the main thread, until the node says stop or (`true`) an event loop shall take over. `None` with a Python
    /// exception set.
    ///
    /// # Safety
    /// In Python's main thread with the GIL held and no exception set.
    unsafe fn serve(&mut self) -> Option<bool> {
        let mut yielded = ticks();
        // SAFETY: the GIL is held whenever Python or the ring is touched, but for the wait, which is announced.
        unsafe {
            while !self.shared.control.stopping() {
                let Some(header) = self.take() else {
                    let shared = &self.shared;
                    shared.main_waits.store(true, Ordering::Relaxed);
                    let goes_on = self.idle.wait(&shared.link, shared.requests(), &shared.control, &mut self.clock);
                    shared.main_waits.store(false, Ordering::Relaxed);
                    if !goes_on {
                        return None;
                    }
                    yielded = ticks();
                    continue;
                };
                let now = self.run(&header);
                if event_loop::wanted() {
                    return Some(true);
                }
                if now.saturating_sub(yielded) > self.clock.ticks_per_milli() {
                    // A loop over C functions runs no bytecode, where other threads and signals get their turn.
                    self.shared.main_waits.store(true, Ordering::Relaxed);
                    gil::released(|| ());
                    self.shared.main_waits.store(false, Ordering::Relaxed);
                    if !gil::run_signal_handlers() {
                        return None;
                    }
                    self.clock.calibrate();
                    yielded = ticks();
                }
            }
        }
        Some(false)
    }

    /// Takes and runs requests until there is none or the main thread looks after them.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    pub unsafe fn serve_available(&mut self) {
        let mut yielded = ticks();
        // SAFETY: the GIL is held and the main thread does not wait.
        unsafe {
            while !self.shared.main_waits() && !self.shared.control.stopping() {
                let taken = if self.shared.board().has_executor() { self.take() } else { self.take_nested() };
                let Some(header) = taken else { return };
                let now = self.run(&header);
                if now.saturating_sub(yielded) > self.clock.ticks_per_milli() {
                    gil::released(|| ());
                    self.clock.calibrate();
                    yielded = ticks();
                }
            }
        }
    }

    /// Takes and runs one request, whatever else runs.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    pub unsafe fn serve_one(&mut self) {
        // SAFETY: the caller's promise.
        unsafe {
            if !self.shared.main_waits()
                && let Some(header) = self.take()
            {
                self.run(&header);
            }
        }
    }

    /// Runs a request and answers it; returns the time of the answer in ticks.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    #[inline]
    unsafe fn run(&mut self, header: &Header) -> u64 {
        let link = &self.shared.link;
        let started = ticks();
        // SAFETY: the GIL is held, and the main thread does not wait while somebody takes requests.
        unsafe {
            let on_loop = asyncio::on_loop();
            if !on_loop {
                self.shared.board().begin();
            }
            if self.shared.is_looped() {
                if !on_loop {
                    threads::serve_handed(&self.shared);
                }
            } else if self.shared.is_shared() {
                if self.shared.waiting.load(Ordering::Relaxed) > 0 && !threads::ensure_idle(&self.shared) {
                    // At the bound of threads those that run look at the ring when they are done.
                    ffi::PyErr_Clear();
                }
                self.shared.pass_lead();
            }
            let outcome = match self.executor.run(&self.shared, header, &self.record) {
                Ok(outcome) => outcome,
                Err(error) => self.shared.control.fail(&error.to_string()),
            };
            if !on_loop {
                self.shared.board().end();
            }
            if self.shared.armed.load(Ordering::Relaxed) && !self.shared.main_waits() {
                // Before the answer.
                self.shared.look_again();
            }
            if outcome != Outcome::Answered {
                return ticks();
            }
            let answer = &mut self.executor.answer;
            let silent = self.executor.published == callback::published();
            let done = silent && answer.complete(link, header);
            let now = ticks();
            let service_ns = self.clock.nanos(now.saturating_sub(started));
            // What the node asks for itself, at the start above all, would stand for the longest time for ever.
            if header.kind != Kind::Release && !header.options.has(Options::NODE) {
                link.telemetry.record(service_ns);
            }
            if !done {
                answer.publish(link, header, service_ns, silent);
            }
            now
        }
    }

    /// The next request that is ours to run, copied to private memory.
    ///
    /// # Safety
    /// The GIL is held and the main thread does not wait.
    #[inline]
    unsafe fn take(&mut self) -> Option<Header> {
        let Shared { link, control, requests, .. } = &*self.shared;
        // SAFETY: the caller's promise makes the access exclusive; nothing below releases the GIL.
        let requests = unsafe { &mut *requests.get() };
        loop {
            let record = match requests.next() {
                Ok(record) => record?,
                Err(error) => control.fail(&error.to_string()),
            };
            // SAFETY: the GIL is held.
            if unsafe { self.shared.board() }.was_taken(record.position()) {
                requests.release(record);
                continue;
            }
            self.record.clear();
            requests.copy(&record, &mut self.record);
            let header = match Header::decode(&self.record) {
                Ok(header) => header,
                Err(error) => control.fail(&error.to_string()),
            };
            if header.cell_ticket() != 0 {
                // Its caller looks there from time to time, so the line is away: it comes back while the request runs.
                link.cells.prefetch(header.cell_index());
            }
            // Before the start is decided: whoever learns of the start may interrupt at once.
            self.executor.current.set(header.id);
            let position = record.position();
            let ours = link.starts(position).decide(position, Side::Worker).is_ok();
            requests.release(record);
            self.unlooked += 1;
            if self.unlooked >= ROOM_EVERY {
                self.unlooked = 0;
                ring_if_waiting(link);
            }
            if ours {
                return Some(header);
            }
            // SAFETY: the GIL is held.
            unsafe { self.executor.current.clear() };
        }
    }

    /// The next request of a chain of calls that waits here, wherever it stands in the ring.
    ///
    /// # Safety
    /// The GIL is held and the main thread does not wait.
    #[cold]
    unsafe fn take_nested(&mut self) -> Option<Header> {
        let Shared { link, control, requests, .. } = &*self.shared;
        // SAFETY: the caller's promise makes both accesses exclusive; nothing below releases the GIL.
        let (requests, board) = unsafe { (&mut *requests.get(), self.shared.board()) };
        loop {
            let record = match board.look_ahead(requests) {
                Ok(record) => record?,
                Err(error) => control.fail(&error.to_string()),
            };
            self.record.resize(Header::SIZE + Header::ROOT, 0);
            requests.copy_to(&record, &mut self.record);
            let header = match Header::decode(&self.record) {
                Ok(header) => header,
                Err(error) => control.fail(&error.to_string()),
            };
            let position = record.position();
            if !board.claim(header.root(&self.record), position) {
                continue;
            }
            self.record.clear();
            requests.copy(&record, &mut self.record);
            self.executor.current.set(header.id);
            if link.starts(position).decide(position, Side::Worker).is_ok() {
                return Some(header);
            }
            // SAFETY: the GIL is held.
            unsafe { self.executor.current.clear() };
        }
    }
}

/// Wakes a submitter that met a full request ring.
pub fn ring_if_waiting(link: &WorkerLink) {
    if link.request_waiting().take() && link.response_bell.ring().is_err() {
        kill_group();
    }
}
