//! Everything of one worker incarnation, assembled over its two segments.
//!
//! The node makes a [`NodeLink`] and sends the [`Handshake`]; the worker opens a [`WorkerLink`] with it. Neither is ever
//! repaired: when either side is gone, the whole is dropped.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    arbiter::Arbiter,
    arena::{Borrower, Owner},
    bell::{FLAG_STRIDE, Flag, Listener, Ringer, pipe_pair},
    blob::{Fork, Inbox, Outbox},
    callback::{Answers, SlotMemory, Waiter},
    cell::{CellMemory, CellWriter, Cells},
    control::{Endpoints, Handshake},
    layout::{BIG_SLOTS, CALLBACK_SLOT, CELL, Geometry, HISTOGRAM, LINE, MAGIC, SLOT, VERSION},
    memory::{Bytes, Words},
    named::{Names, Namespace, Which},
    ring::{Consumer, Producer, RingMemory},
    segment::{Access, Mapping, Memfd, Seals, invalid, open_far_end, verify},
    sync::Ordering,
    telemetry::Telemetry,
};

/// What both sides see alike.
#[derive(Debug)]
struct Shared {
    geometry: Geometry,
    down: Arc<Mapping>,
    up: Arc<Mapping>,
    starts: Words,
    /// `request_sleeping`, `response_sleeping`, `request_waiting`, `response_waiting`.
    flags: Words,
}

impl Shared {
    fn new(geometry: Geometry, down: Mapping, up: Mapping) -> Shared {
        let (down, up) = (Arc::new(down), Arc::new(up));
        let at = geometry.up();
        Shared {
            geometry,
            starts: Words::new(&up, at.starts, geometry.slots(), 8),
            flags: Words::new(&up, at.request_sleeping, 4, FLAG_STRIDE),
            down,
            up,
        }
    }

    fn request_ring(&self) -> RingMemory {
        let (down, up) = (self.geometry.down(), self.geometry.up());
        RingMemory::new(
            Words::new(&self.down, down.request_commits, self.geometry.slots(), 8),
            Bytes::new(&self.down, down.request_slots, self.geometry.slots() * SLOT),
            Words::new(&self.up, up.request_head, 1, 8),
        )
    }

    fn response_ring(&self) -> RingMemory {
        let (down, up) = (self.geometry.down(), self.geometry.up());
        RingMemory::new(
            Words::new(&self.up, up.response_commits, self.geometry.slots(), 8),
            Bytes::new(&self.up, up.response_slots, self.geometry.slots() * SLOT),
            Words::new(&self.down, down.response_head, 1, 8),
        )
    }

    fn request_arena(&self) -> (Bytes, Words) {
        let blocks = self.geometry.blocks();
        (
            Bytes::new(
                &self.down,
                self.geometry.down().request_arena,
                self.geometry.arena_bytes as usize,
            ),
            Words::new(&self.up, self.geometry.up().request_releases, blocks, 8),
        )
    }

    fn result_arena(&self) -> (Bytes, Words) {
        let blocks = self.geometry.blocks();
        (
            Bytes::new(
                &self.up,
                self.geometry.up().result_arena,
                self.geometry.arena_bytes as usize,
            ),
            Words::new(&self.down, self.geometry.down().result_releases, blocks, 8),
        )
    }

    fn request_blobs(&self) -> Words {
        Words::new(
            &self.up,
            self.geometry.up().request_big_releases,
            BIG_SLOTS,
            8,
        )
    }

    fn result_blobs(&self) -> Words {
        Words::new(
            &self.down,
            self.geometry.down().result_big_releases,
            BIG_SLOTS,
            8,
        )
    }

    fn callbacks(&self) -> SlotMemory {
        let (at, count) = (
            self.geometry.down().callbacks,
            usize::from(self.geometry.callback_slots),
        );
        SlotMemory::new(
            Words::new(&self.down, at, count, CALLBACK_SLOT),
            Bytes::new(&self.down, at, count * CALLBACK_SLOT),
            Words::new(
                &self.up,
                self.geometry.up().callback_waiting,
                count,
                FLAG_STRIDE,
            ),
        )
    }

    fn cells(&self) -> CellMemory {
        let (at, count) = (self.geometry.up().cells, usize::from(self.geometry.cells));
        CellMemory::new(
            Words::new(&self.up, at, count, CELL),
            Bytes::new(&self.up, at, count * CELL),
        )
    }

    fn telemetry(&self) -> Telemetry {
        Telemetry::new(Words::new(
            &self.up,
            self.geometry.up().telemetry,
            1 + HISTOGRAM,
            8,
        ))
    }

    fn start(&self, position: u64) -> &Arbiter {
        Arbiter::from_word(self.starts.at(position as usize & (self.starts.len() - 1)))
    }

    fn flag(&self, index: usize) -> &Flag {
        Flag::from_word(self.flags.at(index))
    }
}

macro_rules! shared_words {
    () => {
        /// The start word of the request at `position`; `position` is also its ticket.
        #[inline]
        pub fn starts(&self, position: u64) -> &Arbiter {
            self.shared.start(position)
        }

        /// Raised while the worker sleeps; taken by the node after publishing a request.
        #[inline]
        pub fn request_sleeping(&self) -> &Flag {
            self.shared.flag(0)
        }

        /// Raised while the node's reader sleeps; taken by the worker after publishing a response.
        #[inline]
        pub fn response_sleeping(&self) -> &Flag {
            self.shared.flag(1)
        }

        /// Raised by the node when the request ring is full; taken by the worker after releasing requests, which then rings
        /// the response bell.
        #[inline]
        pub fn request_waiting(&self) -> &Flag {
            self.shared.flag(2)
        }

        /// Raised by the worker when the response ring is full; taken by the node after releasing responses, which then rings
        /// the request bell.
        #[inline]
        pub fn response_waiting(&self) -> &Flag {
            self.shared.flag(3)
        }

        /// The sizes of this incarnation.
        pub fn geometry(&self) -> &Geometry {
            &self.shared.geometry
        }
    };
}

/// The node's ends of everything.
#[derive(Debug)]
pub struct NodeLink {
    shared: Shared,
    /// Writes requests.
    pub requests: Producer,
    responses: Mutex<Option<Consumer>>,
    /// Watches reply cells.
    pub cells: Cells,
    /// Allocates large requests.
    pub request_arena: Owner,
    /// Reads large results.
    pub result_arena: Borrower,
    /// Answers callbacks.
    pub answers: Answers,
    /// Makes requests that no arena holds.
    pub request_blobs: Outbox,
    /// Reads results that no arena holds.
    pub result_blobs: Inbox,
    /// Wakes the worker.
    pub request_bell: Ringer,
    /// Wakes the reader thread.
    pub response_bell: Listener,
    /// The worker's counters.
    pub telemetry: Telemetry,
    far_ends: Mutex<Option<FarEnds>>,
}

/// What must stay open or named in the node until the worker has opened it.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not read")]
enum FarEnds {
    Proc {
        segments: [Memfd; 2],
        bells: (Listener, Ringer),
    },
    Named {
        names: Names,
        bells: (Listener, Ringer),
    },
}

/// What a backend makes for the node.
struct Parts {
    down: Mapping,
    up: Mapping,
    request_bell: Ringer,
    response_bell: Listener,
    endpoints: Endpoints,
    far_ends: FarEnds,
}

impl Parts {
    fn sealed(geometry: &Geometry) -> io::Result<Parts> {
        let down_fd = Memfd::create(c"erlang_python-down", geometry.down().total)?;
        let down = down_fd.map(true)?;
        down_fd.seal(Seals::SizeAndWrites)?;
        let up_fd = Memfd::create(c"erlang_python-up", geometry.up().total)?;
        let up = up_fd.map(true)?;
        up_fd.seal(Seals::Size)?;
        let (request_bell, request_far) = pipe_pair()?;
        let (response_far, response_bell) = pipe_pair()?;
        let endpoints = Endpoints::Proc {
            down: down_fd.number(),
            up: up_fd.number(),
            request_bell: request_far.number(),
            response_bell: response_far.number(),
        };
        let far_ends = FarEnds::Proc {
            segments: [down_fd, up_fd],
            bells: (request_far, response_far),
        };
        Ok(Parts {
            down,
            up,
            request_bell,
            response_bell,
            endpoints,
            far_ends,
        })
    }

    fn named(geometry: &Geometry, namespace: &Namespace) -> io::Result<Parts> {
        let prefix = namespace.prefix();
        let names = Names::of(&prefix)?;
        let down = names.create_segment(Which::Down, geometry.down().total)?;
        let up = names.create_segment(Which::Up, geometry.up().total)?;
        let (request_bell, request_far) = names.create_bell(Which::Down)?;
        let (response_far, response_bell) = names.create_bell(Which::Up)?;
        let far_ends = FarEnds::Named {
            names,
            bells: (request_far, response_far),
        };
        let endpoints = Endpoints::Named(prefix);
        Ok(Parts {
            down,
            up,
            request_bell,
            response_bell,
            endpoints,
            far_ends,
        })
    }
}

impl NodeLink {
    /// Makes segments and bells of an incarnation, and the handshake that lets a worker open them (one executor, one
    /// thread; set the counts as needed).
    ///
    /// Reserves all memory and makes a few system calls: not for a normal scheduler.
    ///
    /// # Errors
    /// `InvalidInput` for a bad geometry, `OutOfMemory` or `StorageFull` if memory cannot be reserved, and what the kernel
    /// gives for descriptors.
    pub fn create(geometry: Geometry) -> io::Result<(NodeLink, Handshake)> {
        geometry
            .validate()
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        NodeLink::assemble(geometry, Parts::sealed(&geometry)?)
    }

    /// As [`NodeLink::create`], over named objects: see [`crate::named`] for what this promises less.
    ///
    /// # Errors
    /// As [`NodeLink::create`].
    pub fn create_named(
        geometry: Geometry,
        namespace: &Namespace,
    ) -> io::Result<(NodeLink, Handshake)> {
        geometry
            .validate()
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        NodeLink::assemble(geometry, Parts::named(&geometry, namespace)?)
    }

    fn assemble(geometry: Geometry, parts: Parts) -> io::Result<(NodeLink, Handshake)> {
        let Parts {
            down,
            up,
            request_bell,
            response_bell,
            endpoints,
            far_ends,
        } = parts;
        let mut nonce = [0; 16];
        random(&mut nonce)?;
        let node_pid = std::process::id();
        let handshake = Handshake {
            nonce,
            node_pid,
            endpoints,
            geometry,
            executors: 1,
            max_threads: 1,
        };
        stamp(&down, &geometry, &nonce);
        stamp(&up, &geometry, &nonce);
        let shared = Shared::new(geometry, down, up);
        let (request_bytes, request_releases) = shared.request_arena();
        let (result_bytes, result_releases) = shared.result_arena();
        let link = NodeLink {
            requests: Producer::new(shared.request_ring()),
            responses: Mutex::new(Some(Consumer::new(shared.response_ring()))),
            cells: Cells::new(shared.cells()),
            request_arena: Owner::new(request_bytes, request_releases),
            result_arena: Borrower::new(result_bytes, result_releases),
            answers: Answers::new(shared.callbacks()),
            request_blobs: Outbox::new(
                c"erlang_python-request",
                Seals::SizeAndWrites,
                Fork::Inherit,
                shared.request_blobs(),
            ),
            result_blobs: Inbox::new(Seals::Size, Fork::Inherit, shared.result_blobs()),
            request_bell,
            response_bell,
            telemetry: shared.telemetry(),
            far_ends: Mutex::new(Some(far_ends)),
            shared,
        };
        Ok((link, handshake))
    }

    shared_words!();

    /// The consumer of responses, for the one reader thread; `None` after the first time.
    pub fn take_responses(&self) -> Option<Consumer> {
        self.responses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Closes the descriptors that the worker has opened anew, or removes the names. Call it when its hello has arrived: only then does the
    /// node see the bells hang up with the worker.
    pub fn close_far_ends(&self) {
        drop(
            self.far_ends
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

/// The worker's ends of everything.
#[derive(Debug)]
pub struct WorkerLink {
    shared: Shared,
    requests: Mutex<Option<Consumer>>,
    /// Writes responses.
    pub responses: Producer,
    /// Fills reply cells.
    pub cells: CellWriter,
    /// Reads large requests.
    pub request_arena: Borrower,
    /// Allocates large results.
    pub result_arena: Owner,
    /// Waits for answers of callbacks.
    pub callbacks: Waiter,
    /// Reads requests that no arena holds.
    pub request_blobs: Inbox,
    /// Makes results that no arena holds.
    pub result_blobs: Outbox,
    /// Wakes the worker.
    pub request_bell: Listener,
    /// Wakes the node's reader thread.
    pub response_bell: Ringer,
    /// This worker's counters.
    pub telemetry: Telemetry,
}

/// Why a worker could not open its incarnation.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A segment or bell could not be opened or mapped.
    #[error("could not open incarnation: {0}")]
    Io(#[from] io::Error),
    /// A segment does not belong to this handshake.
    #[error("could not open incarnation: {0} does not match the handshake")]
    Mismatch(&'static str),
}

impl WorkerLink {
    /// Opens what the handshake names, checks seals, sizes and headers, and maps it (down read-only).
    ///
    /// # Errors
    /// [`OpenError`]; `Io` also if seals are missing.
    pub fn open(handshake: &Handshake) -> Result<WorkerLink, OpenError> {
        let geometry = handshake.geometry;
        geometry
            .validate()
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let pid = handshake.node_pid;
        let (down, up, request_bell, response_bell) = match &handshake.endpoints {
            Endpoints::Proc {
                down,
                up,
                request_bell,
                response_bell,
            } => (
                map_sealed(pid, *down, geometry.down().total, Seals::SizeAndWrites)?,
                map_sealed(pid, *up, geometry.up().total, Seals::Size)?,
                Listener::open(pid, *request_bell)?,
                Ringer::open(pid, *response_bell)?,
            ),
            Endpoints::Named(prefix) => {
                // Unlinks all names at the end of this arm, whether everything could be opened or not.
                let names = Names::of(prefix)?;
                (
                    names.open_segment(Which::Down, geometry.down().total)?,
                    names.open_segment(Which::Up, geometry.up().total)?,
                    names.open_listener(Which::Down)?,
                    names.open_ringer(Which::Up)?,
                )
            }
        };
        for (mapping, name) in [(&down, "down segment"), (&up, "up segment")] {
            if !stamped(mapping, &geometry, &handshake.nonce) {
                return Err(OpenError::Mismatch(name));
            }
        }
        let shared = Shared::new(geometry, down, up);
        let (request_bytes, request_releases) = shared.request_arena();
        let (result_bytes, result_releases) = shared.result_arena();
        Ok(WorkerLink {
            requests: Mutex::new(Some(Consumer::new(shared.request_ring()))),
            responses: Producer::new(shared.response_ring()),
            cells: CellWriter::new(shared.cells()),
            request_arena: Borrower::new(request_bytes, request_releases),
            result_arena: Owner::new(result_bytes, result_releases),
            callbacks: Waiter::new(shared.callbacks()),
            request_blobs: Inbox::new(Seals::SizeAndWrites, Fork::Exclude, shared.request_blobs()),
            result_blobs: Outbox::new(
                c"erlang_python-result",
                Seals::Size,
                Fork::Exclude,
                shared.result_blobs(),
            ),
            request_bell,
            response_bell,
            telemetry: shared.telemetry(),
            shared,
        })
    }

    shared_words!();

    /// The consumer of requests, for whoever leads; `None` after the first time.
    pub fn take_requests(&self) -> Option<Consumer> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Keeps both segments out of forked children.
    ///
    /// # Errors
    /// What `madvise` reports.
    pub fn dont_fork(&self) -> io::Result<()> {
        self.shared.down.dont_fork()?;
        self.shared.up.dont_fork()
    }
}

fn map_sealed(pid: u32, fd: i32, len: usize, seals: Seals) -> io::Result<Mapping> {
    use std::os::fd::AsFd;
    let writable = seals == Seals::Size;
    let fd = open_far_end(
        pid,
        fd,
        if writable {
            Access::ReadWrite
        } else {
            Access::Read
        },
    )?;
    if verify(fd.as_fd(), len, seals)? != len {
        return Err(invalid("segment has another size"));
    }
    Mapping::of(fd.as_fd(), len, writable)
}

/// Header of a segment: magic, version, geometry, nonce. The magic comes last, so that nobody takes a segment for
/// complete that is not.
fn stamp(mapping: &Mapping, geometry: &Geometry, nonce: &[u8; 16]) {
    header(mapping, geometry, nonce, |word, value| {
        word.store(value, Ordering::Release)
    });
}

fn stamped(mapping: &Mapping, geometry: &Geometry, nonce: &[u8; 16]) -> bool {
    let mut same = true;
    header(mapping, geometry, nonce, |word, value| {
        same &= word.load(Ordering::Acquire) == value
    });
    same
}

fn header(
    mapping: &Mapping,
    geometry: &Geometry,
    nonce: &[u8; 16],
    mut visit: impl FnMut(&std::sync::atomic::AtomicU64, u64),
) {
    const { assert!(5 * 8 <= LINE) };
    let sizes = u64::from(geometry.ring_bytes) << 32 | u64::from(geometry.arena_bytes);
    let counts = u64::from(VERSION) << 32
        | u64::from(geometry.cells) << 16
        | u64::from(geometry.callback_slots);
    let half = |at: usize| crate::request::u64_at(nonce, at);
    for (index, value) in [
        (1, counts),
        (2, sizes),
        (3, half(0)),
        (4, half(8)),
        (0, MAGIC),
    ] {
        // SAFETY: every segment is longer than its header line, mappings are page-aligned, and all access is atomic.
        let word = unsafe {
            mapping
                .base()
                .add(index * 8)
                .cast::<std::sync::atomic::AtomicU64>()
                .as_ref()
        };
        visit(word, value);
    }
}

pub(crate) fn random(out: &mut [u8]) -> io::Result<()> {
    // SAFETY: the buffer is writable for its length.
    let got = unsafe { libc::getrandom(out.as_mut_ptr().cast(), out.len(), 0) };
    match got {
        n if n == out.len() as isize => Ok(()),
        n if n < 0 => Err(io::Error::last_os_error()),
        _ => Err(invalid("kernel gave too few random bytes")),
    }
}
