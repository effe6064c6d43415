//! One worker process as the node sees it, from its segments to its end.
//!
//! An incarnation is made before its process exists and is dropped whole after the process died; nothing in it is ever
//! repaired or used for the next process.

use crate::beam::{self, EnvPtr, MessageEnv, Raw, atoms};
use crate::handle::Home;
use crate::inbox::Inbox;
use crate::janitor::{self, Job};
use crate::lease::Seat;
use crate::limits::Limits;
use crate::output::Output;
use crate::resource::{Kind, Owned, Resource};
use crate::slab::Body;
use crate::stream::{self, Streams};
use crate::wait::Queue;
use crossbeam_utils::CachePadded;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use rustler::sys::ErlNifPid;
use shm_proto::arbiter::Side;
use shm_proto::link::NodeLink;
use shm_proto::ring::{Claim, PublishError};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// Resource type of workers.
pub static WORKER: Kind<WorkerRef> = Kind::new();

/// What an Erlang term holds of a worker. It also monitors the owner.
pub struct WorkerRef(pub Arc<Incarnation>);

impl Resource for WorkerRef {
    fn process_down(&self) {
        janitor::push(Job::OwnerDown(self.0.clone()));
    }
}

/// Made, its process not yet attached.
pub const STARTING: u8 = 0;
/// Takes requests.
pub const UP: u8 = 1;
/// Takes no new requests; what runs may end.
pub const CLOSED: u8 = 2;
/// The process is dead or about to be; its requests are being settled.
pub const DOWN: u8 = 3;

/// The check of the request ring's consumer head.
pub const RING_HEAD: &str = "ring consumer head";

/// One request that has come, in `Incarnation::in_flight`.
const REQUEST: u64 = 1 << 32;

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

/// Segments mapped by this node.
pub static MAPPINGS: AtomicU64 = AtomicU64::new(0);

/// A link, counted as long as it is mapped.
struct Mapped(NodeLink);

impl Mapped {
    fn new(link: NodeLink) -> Mapped {
        MAPPINGS.fetch_add(2, Ordering::AcqRel);
        Mapped(link)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        MAPPINGS.fetch_sub(2, Ordering::AcqRel);
    }
}

/// What Erlang says of a worker.
pub struct Settings {
    pub id: u64,
    pub executors: u32,
    pub inline_budget_us: u32,
    pub output: Option<Output>,
    pub limits: Limits,
    /// Its messages reach the callers of its requests only.
    pub callers_only: bool,
}

/// One worker process.
pub struct Incarnation {
    link: ManuallyDrop<Mapped>,
    serial: u64,
    /// The worker's number in its pool, for humans.
    pub id: u64,
    /// Requests that the worker runs at once.
    pub executors: u32,
    owner: ErlNifPid,
    nonce: [u8; 16],
    state: AtomicU8,
    /// `requests << 32 | in flight`: those that have come, modulo 2^32, and those of them that are not settled.
    in_flight: CachePadded<AtomicU64>,
    pub cells: CellPool,
    /// Callers bound to this worker that wait for room in its ring.
    pub queue: Arc<Queue>,
    /// Longest inline wait in microseconds for requests sent to this worker directly.
    pub inline_budget_us: u32,
    attached: AtomicBool,
    /// Why the incarnation ended, as an atom.
    reason: OnceLock<Raw>,
    /// What of the protocol its worker broke.
    broken: OnceLock<&'static str>,
    os_pid: AtomicI32,
    pidfd: OnceLock<OwnedFd>,
    /// Pools that route to this worker, by id.
    pools: Mutex<Vec<u32>>,
    /// The one resource that stands for this incarnation in Erlang, until it is torn down.
    term: Mutex<Option<Owned<WorkerRef>>>,
    handles: Arc<Home>,
    /// Its standard output, if that is logged.
    pub output: Option<Output>,
    /// What the worker may use.
    pub limits: Limits,
    /// Its messages reach the callers of its requests only.
    pub callers_only: bool,
    seat: Seat,
    streams: Streams,
    /// From the start of the reader thread on.
    inbox: OnceLock<Inbox>,
}

// SAFETY: ErlNifPid is a plain word; all else is Send.
unsafe impl Send for Incarnation {}
// SAFETY: interior mutability is atomic or behind locks.
unsafe impl Sync for Incarnation {}

impl Incarnation {
    /// Wraps a fresh link.
    pub fn create(link: NodeLink, nonce: [u8; 16], settings: Settings, owner: ErlNifPid) -> Arc<Incarnation> {
        Arc::new_cyclic(|own| Incarnation::new(own, link, nonce, settings, owner))
    }

    fn new(
        own: &Weak<Incarnation>,
        link: NodeLink,
        nonce: [u8; 16],
        settings: Settings,
        owner: ErlNifPid,
    ) -> Incarnation {
        let cells = CellPool::new(u32::from(link.geometry().cells));
        Incarnation {
            link: ManuallyDrop::new(Mapped::new(link)),
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
            id: settings.id,
            executors: settings.executors,
            inline_budget_us: settings.inline_budget_us,
            queue: Arc::default(),
            attached: AtomicBool::new(false),
            owner,
            nonce,
            state: AtomicU8::new(STARTING),
            in_flight: CachePadded::new(AtomicU64::new(0)),
            cells,
            reason: OnceLock::new(),
            broken: OnceLock::new(),
            os_pid: AtomicI32::new(0),
            pidfd: OnceLock::new(),
            pools: Mutex::default(),
            term: Mutex::default(),
            handles: Home::new(own.clone()),
            output: settings.output,
            limits: settings.limits,
            callers_only: settings.callers_only,
            seat: Seat::default(),
            streams: Streams::default(),
            inbox: OnceLock::new(),
        }
    }

    /// Whether this process looks after the worker.
    pub fn is_owner(&self, pid: &ErlNifPid) -> bool {
        beam::pid_term(pid) == beam::pid_term(&self.owner)
    }

    /// Opens the inbox, once, for the reader thread.
    ///
    /// # Errors
    /// It is open.
    pub fn open_inbox(&self) -> std::io::Result<()> {
        let responses = self.link().take_responses().ok_or(std::io::ErrorKind::AlreadyExists)?;
        let _ = self.inbox.set(Inbox::new(responses));
        Ok(())
    }

    /// The responses, once the reader thread runs.
    #[inline]
    pub fn inbox(&self) -> Option<&Inbox> {
        self.inbox.get()
    }

    /// Makes the resource that stands for the incarnation; it lives at least until `drop_term`.
    pub fn make_term(self: &Arc<Self>) -> Owned<WorkerRef> {
        let term = WORKER.alloc(WorkerRef(self.clone()));
        *self.term.lock().unwrap_or_else(|e| e.into_inner()) = Some(term.clone());
        term
    }

    /// A term for the incarnation, unless it was torn down.
    pub fn term(&self, env: EnvPtr) -> Option<Raw> {
        self.term.lock().unwrap_or_else(|e| e.into_inner()).as_ref().map(|term| term.term(env))
    }

    /// What the handles of its objects share.
    #[inline]
    pub fn handles(&self) -> &Arc<Home> {
        &self.handles
    }

    /// Who has the worker for itself, or keeps coming to it.
    #[inline]
    pub fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Its streams.
    #[inline]
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Whether streams were started that have not ended, whether they run or wait for credit. What runs may wait at any moment.
    pub fn has_streams(&self) -> bool {
        self.streams.parked() > 0 || self.link().telemetry.streams() > 0
    }

    /// Lets the resource go, and what its handles left to do; part of teardown.
    pub fn drop_term(&self) {
        self.handles.close(self.reason());
        drop(self.term.lock().unwrap_or_else(|e| e.into_inner()).take());
    }

    /// The shared memory.
    #[inline]
    pub fn link(&self) -> &NodeLink {
        &self.link.0
    }

    /// Unique number of the incarnation, never 0.
    #[inline]
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// STARTING, UP, CLOSED or DOWN.
    #[inline]
    pub fn state(&self) -> u8 {
        self.state.load(Ordering::Relaxed)
    }

    /// Whether the worker takes no requests any more, for who has counted one in.
    ///
    /// SYNC POINT: the request was counted before; who closes the worker changes the state, then looks at the count. So either the
    /// request is refused here, or the end of the worker waits for it.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.state.load(Ordering::SeqCst) >= CLOSED
    }

    /// Moves the state forward; it never goes back. A full fence follows: whoever published before it and looks at the
    /// state after a fence of its own sees it.
    pub fn advance(&self, to: u8) -> bool {
        let moved = self.state.fetch_max(to, Ordering::SeqCst) < to;
        fence(Ordering::SeqCst);
        moved
    }

    /// Requests submitted and not yet settled.
    #[inline]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::SeqCst) as u32
    }

    /// Requests that have come, modulo 2^32, without those that went elsewhere before they started.
    pub fn requests(&self) -> u32 {
        (self.in_flight.load(Ordering::SeqCst) >> 32) as u32
    }

    /// Whether nothing is in flight and nobody has anything that leads here: a binding, a tie, an object.
    pub fn is_unused(&self) -> bool {
        let traffic = self.in_flight.load(Ordering::SeqCst);
        traffic as u32 == 0
            && self.handles.live() == 0
            && self.seat.ties.count() == 0
            && !self.seat.is_taken()
            // What comes through an object that is let go meanwhile may bring another.
            && self.in_flight.load(Ordering::SeqCst) == traffic
    }

    /// As `in_flight`, without streams that wait for credit.
    #[inline]
    pub fn busy_with(&self) -> u32 {
        self.in_flight().saturating_sub(self.streams.parked())
    }

    /// Counts a request in. `Seat::admit` says why this is sequentially consistent.
    #[inline]
    pub fn enter(&self) {
        let before = self.in_flight.fetch_add(REQUEST | 1, Ordering::SeqCst);
        if self.limits.exist {
            self.limits.entered(((before >> 32) as u32).wrapping_add(1), before as u32);
        }
    }

    /// Counts a request out.
    #[inline]
    pub fn leave(&self) {
        if self.in_flight.fetch_sub(1, Ordering::SeqCst) as u32 == 1 {
            self.seat.idle.reached();
        }
    }

    /// Counts a request out that the worker has not started and will not.
    pub fn leave_unstarted(&self) {
        if self.in_flight.fetch_sub(REQUEST | 1, Ordering::SeqCst) as u32 == 1 {
            self.seat.idle.reached();
        }
    }

    /// Load as `pool::choose` weighs it: 0 is idle and awake, MAX takes no requests. It is read, never written: whoever chooses
    /// takes no cache line from others.
    #[inline]
    pub fn load(&self) -> u32 {
        if self.state() != UP || self.seat.is_taken() {
            return u32::MAX;
        }
        self.busy_with().saturating_mul(2).saturating_add(u32::from(!self.awake())).min(u32::MAX - 1)
    }

    /// Whether the worker looks at its ring without having to be woken.
    #[inline]
    pub fn awake(&self) -> bool {
        !self.link().request_sleeping().is_raised()
    }

    /// Whether the worker has taken the request at `position`, as far as the node can tell.
    pub fn has_started(&self, position: u64) -> bool {
        match self.link().starts(position).peek(position) {
            Some(side) => side == Side::Worker,
            None => self.link().requests.consumed() > position,
        }
    }

    /// Whether a record of middling size would fit the request ring now.
    pub fn has_room(&self) -> bool {
        let requests = &self.link().requests;
        requests.claimed() - requests.consumed().min(requests.claimed()) < requests.capacity() / 2
    }

    /// As [`Incarnation::has_room`]; otherwise the worker will ring when it has made some. For those who have just joined a
    /// queue: the worker may have answered their first request to ring before anybody could know that they wait.
    pub fn has_room_or_will_tell(&self) -> bool {
        self.has_room() || {
            self.link().request_waiting().raise();
            self.has_room()
        }
    }

    /// Claims room for a request of `len` bytes. If the ring is full the worker is told that somebody waits for room, and
    /// the claim is tried once more: what was freed before the worker could see that is not missed.
    ///
    /// # Errors
    /// As [`shm_proto::ring::Producer::claim`].
    #[inline]
    pub fn claim(&self, len: usize) -> Result<Claim<'_>, PublishError> {
        let requests = &self.link().requests;
        match requests.claim(len) {
            Err(PublishError::Full) => {
                self.link().request_waiting().raise();
                requests.claim(len)
            }
            other => other,
        }
    }

    /// Wakes the worker if it sleeps. Ends with a full fence after all that was published before.
    #[inline]
    pub fn wake(&self) {
        if self.link().request_sleeping().take() {
            // A bell that nobody holds any more means that the process is ending; its pidfd tells the reader.
            let _ = self.link().request_bell.ring();
        }
    }

    /// Returns what a settled request held of this incarnation. `never_started`: the worker will not look at its payload.
    pub fn settle(&self, body: &mut Body, never_started: bool) {
        if body.cell != 0 {
            self.cells.release(body.cell);
            body.cell = 0;
        }
        if let Some(payload) = body.payload.take() {
            payload.discard(self, never_started);
        }
        stream::settle(self, body);
        if never_started { self.leave_unstarted() } else { self.leave() }
    }

    /// Sends a message to the owning py_worker. `env` as for `enif_send`.
    pub fn tell_owner(&self, env: EnvPtr, make: impl FnOnce(EnvPtr) -> Raw) {
        let mut message = MessageEnv::new();
        let term = make(message.ptr());
        message.send(env, &self.owner, term);
    }

    /// Sends a message that was built in its environment to the owning py_worker. `env` as for `enif_send`.
    pub fn send_owner(&self, env: EnvPtr, message: &mut MessageEnv, term: Raw) {
        message.send(env, &self.owner, term);
    }

    /// Remembers a pool that routes here.
    pub fn join_pool(&self, id: u32) {
        let mut pools = self.pools.lock().unwrap_or_else(|e| e.into_inner());
        if !pools.contains(&id) {
            pools.push(id);
        }
    }

    /// Pools that route here.
    pub fn pools(&self) -> Vec<u32> {
        self.pools.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Whether a hello frame comes from the process that was given the handshake.
    pub fn is_hello(&self, frame: &[u8]) -> bool {
        frame.len() >= 17 && frame[0] == b'h' && frame[1..17] == self.nonce
    }

    /// Notes that the reader thread takes over. Returns false the second time.
    pub fn attach(&self) -> bool {
        !self.attached.swap(true, Ordering::AcqRel)
    }

    /// Takes `attach` back: there is no reader thread after all.
    pub fn detach(&self) {
        self.attached.store(false, Ordering::Release);
    }

    /// Whether a reader thread has taken over.
    pub fn was_attached(&self) -> bool {
        self.attached.load(Ordering::Acquire)
    }

    /// Opens a pidfd for the worker process. From then on its end is noticed, whoever holds its pipes.
    pub fn watch(&self, pid: i32) -> Result<(), nix::Error> {
        // SAFETY: plain system call; the descriptor it returns is ours (it is close-on-exec by definition).
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd < 0 {
            return Err(nix::Error::last());
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        let fd = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd as i32) };
        self.os_pid.store(pid, Ordering::Release);
        self.pidfd.set(fd).map_err(|_| nix::Error::EBUSY)
    }

    /// Names a process from which segments are opened and that is not killed.
    #[cfg(fuzzing)]
    pub fn pretend_pid(&self, pid: i32) {
        self.os_pid.store(pid, Ordering::Release);
    }

    /// The pidfd, once `watch` succeeded.
    pub fn pidfd(&self) -> Option<&OwnedFd> {
        self.pidfd.get()
    }

    /// Whether the worker's process is known to be gone.
    pub fn process_ended(&self) -> bool {
        let Some(pidfd) = self.pidfd() else { return false };
        let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// The worker's process id, 0 before `watch`.
    pub fn os_pid(&self) -> i32 {
        self.os_pid.load(Ordering::Acquire)
    }

    /// Kills the worker and its process group. The first reason given stays.
    pub fn kill(&self, reason: Raw) {
        let _ = self.reason.set(reason);
        let Some(pidfd) = self.pidfd() else { return };
        if self.state() == DOWN {
            return;
        }
        // SAFETY: plain system call on a descriptor that we own; a pidfd cannot name a recycled process id.
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                pidfd.as_raw_fd(),
                Signal::SIGKILL as i32,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            );
        }
        // A worker that died by itself may have left children behind. Before DOWN its id is not given to anyone else.
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(self.os_pid()), Signal::SIGKILL);
    }

    /// The worker wrote what no correct worker writes: kills it. The first check that failed is the one that is told.
    #[cold]
    pub fn condemn(&self, check: &'static str) {
        let _ = self.broken.set(check);
        self.kill(atoms().corrupt);
    }

    /// The check that the worker did not pass.
    pub fn broken(&self) -> Option<&'static str> {
        self.broken.get().copied()
    }

    /// Why the incarnation ended.
    pub fn reason(&self) -> Raw {
        self.reason.get().copied().unwrap_or(atoms().exited)
    }

    /// The owning py_worker ended: the incarnation goes with it. Runs on the janitor.
    pub fn owner_down(self: &Arc<Self>) {
        if self.advance(CLOSED) || self.state() < DOWN {
            self.kill(atoms().killed);
        }
        crate::teardown::without_reader(self);
    }
}

impl Drop for Incarnation {
    fn drop(&mut self) {
        // SAFETY: dropped once, here; the last reference may end on a scheduler, where nothing may be unmapped.
        let link = unsafe { ManuallyDrop::take(&mut self.link) };
        janitor::push(Job::Bury(Box::new(link)));
    }
}

/// Reply cells of one incarnation: a set of free ones and the next ticket of each.
pub struct CellPool {
    free: CachePadded<AtomicU64>,
    tickets: [AtomicU64; 64],
}

impl CellPool {
    fn new(cells: u32) -> CellPool {
        let free = if cells >= 64 { u64::MAX } else { (1 << cells) - 1 };
        CellPool { free: CachePadded::new(AtomicU64::new(free)), tickets: [const { AtomicU64::new(1) }; 64] }
    }

    /// Takes a free cell with a fresh ticket, as `ticket << 12 | index`; 0 if none is free.
    #[inline]
    pub fn take(&self) -> u64 {
        let mut free = self.free.load(Ordering::Relaxed);
        while free != 0 {
            let index = free.trailing_zeros();
            match self.free.compare_exchange_weak(free, free & !(1 << index), Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    // Only the holder of the cell touches its ticket.
                    let ticket = self.tickets[index as usize].load(Ordering::Relaxed);
                    self.tickets[index as usize].store(ticket + 1, Ordering::Relaxed);
                    return ticket << 12 | u64::from(index);
                }
                Err(now) => free = now,
            }
        }
        0
    }

    /// Cells that are free.
    pub fn free(&self) -> u32 {
        self.free.load(Ordering::Relaxed).count_ones()
    }

    /// Gives a cell back.
    #[inline]
    pub fn release(&self, cell: u64) {
        self.free.fetch_or(1 << (cell & 63), Ordering::Release);
    }
}

/// Splits `ticket << 12 | index`.
#[inline]
pub fn cell_parts(cell: u64) -> (u32, u64) {
    ((cell & 0xFFF) as u32, cell >> 12)
}

/// Name of a state for Erlang.
pub fn state_atom(state: u8) -> Raw {
    match state {
        STARTING => atoms().starting,
        UP => atoms().up,
        CLOSED => atoms().closed,
        _ => atoms().down,
    }
}

/// `{worker_down, Reason}`.
pub fn down_reason(env: EnvPtr, incarnation: &Incarnation) -> Raw {
    worker_down(env, incarnation.reason())
}

/// `{worker_down, Reason}` for a given reason.
pub fn worker_down(env: EnvPtr, reason: Raw) -> Raw {
    beam::tuple(env, [atoms().worker_down, reason])
}
