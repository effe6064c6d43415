//! In-flight requests: one entry each, found by index from the correlation id.
//!
//! The entry's word (`shm_proto::entry`) decides who may answer; everything else in an entry belongs to whoever won
//! the last transition. Chunks are never freed, so an index from hostile memory can be looked up without a lock and is
//! then judged by generation, state and incarnation.

use crate::beam::{MessageEnv, Raw};
use crate::cancel::Pending;
use crate::extent::Payload;
use crate::label::Label;
use crate::resource::Owned;
use crate::stream::Flow;
use crossbeam_queue::SegQueue;
use rustler::sys::ErlNifPid;
use shm_proto::entry::{EntryWord, State};
use shm_proto::request::Options;
use std::cell::{RefCell, UnsafeCell};
use std::mem::MaybeUninit;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Where the answer of a request goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplyTo {
    /// `{Ref, Result}` to a caller that waits in `py:call` and its like.
    Sync,
    /// `{py_response, Ref, {ok, V}}` or `{py_error, Ref, R}`.
    Response,
    /// `{py_result, Ref, V}` or `{py_error, Ref, R}`.
    Result,
    /// `{py_chunk, Ref, V}` for each item, then `{py_end, Ref}` or `{py_error, Ref, R}`.
    Stream,
    /// Nowhere; failures are logged.
    Cast,
}

/// What a reader or a teardown leaves for a caller that still watches its cell.
pub enum Handed {
    /// A reply that came through the ring.
    Reply(crate::reader::Reply),
    /// The incarnation ended.
    Down,
}

/// What belongs to the owner of the entry's current state.
pub struct Body {
    pub reply_to: ReplyTo,
    pub options: Options,
    pub caller: MaybeUninit<ErlNifPid>,
    /// The reference in the answer; a term of `env`.
    pub reference: Raw,
    /// Kept from use to use: an allocated environment costs more than the rest of a pending call.
    pub env: Option<MessageEnv>,
    pub handle: Option<Owned<Pending>>,
    /// Ring position of the request record.
    pub position: u64,
    /// `ticket << 12 | index` of the reply cell, 0 for none.
    pub cell: u64,
    /// Place of the request's payload outside the ring.
    pub payload: Option<Payload>,
    pub permit: bool,
    /// Bound to its worker: never moved.
    pub bound: bool,
    pub moves: u8,
    /// Slot of the service-time estimate.
    pub estimate: u32,
    pub pool: u32,
    /// Root of the chain of calls; 0 for a request that is not nested.
    pub root: u64,
    /// What runs, for people; set when the request becomes pending.
    pub label: Label,
    /// How far a stream is.
    pub flow: Flow,
}

impl Body {
    /// Whether it is a stream that waits for credit.
    pub fn is_parked(&self) -> bool {
        self.reply_to == ReplyTo::Stream && self.flow.is_parked()
    }

    /// Undoes what was prepared for an answer by message that will not be sent. The environment would keep the handle,
    /// and with it the monitor of the caller.
    pub fn unprepare(&mut self) {
        if self.handle.take().is_some()
            && let Some(env) = self.env.as_mut()
        {
            env.clear();
        }
    }
}

/// One in-flight request.
#[repr(align(128))]
pub struct Entry {
    pub word: EntryWord,
    /// Serial of the incarnation that has the request; 0: none.
    pub incarnation: AtomicU64,
    /// Number of the binding that the request belongs to; 0: none.
    pub binding: AtomicU64,
    /// When the request became pending, as [`now_ms`] has it; 0 before.
    pub since: AtomicU64,
    body: UnsafeCell<Body>,
    handed: UnsafeCell<Option<Handed>>,
    index: u32,
}

// SAFETY: `body` and `handed` are only touched by the thread that won the transition which gives access (see `body`).
unsafe impl Sync for Entry {}
// SAFETY: as above.
unsafe impl Send for Entry {}

impl Entry {
    /// The body.
    ///
    /// # Safety
    /// The caller must own the entry: it allocated it and has not published it, or it won the transition out of the
    /// state in which others could reach it.
    #[allow(clippy::mut_from_ref)]
    #[inline]
    pub unsafe fn body(&self) -> &mut Body {
        // SAFETY: exclusive by the function's contract.
        unsafe { &mut *self.body.get() }
    }

    /// The slot through which an answer is handed to a watching caller.
    ///
    /// # Safety
    /// Whoever won WATCHED -> MOVING, until it makes that HANDED, or the caller once it saw HANDED.
    #[allow(clippy::mut_from_ref)]
    #[inline]
    pub unsafe fn handed(&self) -> &mut Option<Handed> {
        // SAFETY: exclusive by the function's contract.
        unsafe { &mut *self.handed.get() }
    }

    /// Wins LIVE -> MOVING while the request is with this incarnation.
    pub fn seize(&self, generation: u32, serial: u64) -> bool {
        self.word.seize(generation, &self.incarnation, serial)
    }

    /// Leaves an answer with the watching caller. Returns false if it does not watch any more.
    ///
    /// The slot is written in MOVING: by then the caller may have taken its result from the cell and used the entry for
    /// another worker, whose reader has the same right to the slot.
    pub fn hand_over(&self, generation: u32, answer: Handed) -> bool {
        if self.word.transition(generation, State::Watched, State::Moving).is_err() {
            return false;
        }
        // SAFETY: we won WATCHED -> MOVING.
        *unsafe { self.handed() } = Some(answer);
        let handed = self.word.transition(generation, State::Moving, State::Handed);
        debug_assert!(handed.is_ok());
        true
    }

    /// The watching caller leaves WATCHED. Returns false if an answer was handed over. Yields while one is being handed
    /// over, a few stores of another thread.
    pub fn stop_watching(&self, generation: u32, to: State) -> bool {
        loop {
            match self.word.transition(generation, State::Watched, to) {
                Ok(()) => return true,
                Err((now, State::Moving)) if now == generation => std::thread::yield_now(),
                Err(_) => return false,
            }
        }
    }

    /// Index in the slab.
    #[inline]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Correlation id of the current use.
    #[inline]
    pub fn id(&self, generation: u32) -> u64 {
        u64::from(generation) << 32 | u64::from(self.index)
    }
}

const CHUNK: usize = 256;
const CHUNKS: usize = 8192;

static TABLE: [AtomicPtr<Entry>; CHUNKS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS];
static GROWN: AtomicU32 = AtomicU32::new(0);
static GROW: Mutex<()> = Mutex::new(());
static FREE: SegQueue<u32> = SegQueue::new();

/// Entries that a scheduler keeps for itself, so that an inline call takes and returns one without an atomic.
const LOCAL: usize = 64;

thread_local! {
    static LOCAL_FREE: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Takes a free entry, or none when two million requests are in flight.
#[inline]
pub fn alloc() -> Option<&'static Entry> {
    LOCAL_FREE.with_borrow_mut(|local| {
        let index = match local.pop() {
            Some(index) => index,
            None => FREE.pop().or_else(grow)?,
        };
        get(index)
    })
}

/// Looks an index up.
#[inline]
pub fn get(index: u32) -> Option<&'static Entry> {
    let chunk = TABLE.get(index as usize / CHUNK)?.load(Ordering::Acquire);
    // SAFETY: a chunk pointer is published after its 256 entries were initialised and is never freed.
    (!chunk.is_null()).then(|| unsafe { &*chunk.add(index as usize % CHUNK) })
}

/// Splits a correlation id into index and generation.
#[inline]
pub fn split(id: u64) -> (u32, u32) {
    (id as u32, (id >> 32) as u32)
}

/// Returns an entry whose state its caller owns. `local`: the caller is a scheduler that keeps it for its next call.
#[inline]
pub fn free(entry: &Entry, local: bool) {
    entry.incarnation.store(0, Ordering::Relaxed);
    entry.word.free();
    let index = entry.index;
    if local {
        LOCAL_FREE.with_borrow_mut(|list| {
            if list.len() < LOCAL {
                list.push(index);
            } else {
                FREE.push(index);
            }
        });
    } else {
        FREE.push(index);
    }
}

/// Milliseconds of a clock that moves every few of them and costs 5 ns to read.
#[inline]
pub fn now_ms() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: writes to a local; cannot fail, as every Linux has this clock.
    let now = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, now.as_mut_ptr());
        now.assume_init()
    };
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

/// Entries not free, by walking the table: for diagnosis.
pub fn in_use() -> usize {
    all().filter(|e| e.word.load().1 != State::Free).count()
}

/// Every entry that exists.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    (0..GROWN.load(Ordering::Acquire) * CHUNK as u32).filter_map(get)
}

fn grow() -> Option<u32> {
    let _guard = GROW.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(index) = FREE.pop() {
        return Some(index);
    }
    let chunk = GROWN.load(Ordering::Acquire);
    if chunk as usize == CHUNKS {
        return None;
    }
    let first = chunk * CHUNK as u32;
    let entries: Box<[Entry]> = (0..CHUNK as u32).map(|i| new_entry(first + i)).collect();
    TABLE[chunk as usize].store(Box::leak(entries).as_mut_ptr(), Ordering::Release);
    GROWN.store(chunk + 1, Ordering::Release);
    for i in 1..CHUNK as u32 {
        FREE.push(first + i);
    }
    Some(first)
}

fn new_entry(index: u32) -> Entry {
    Entry {
        word: EntryWord::new(),
        incarnation: AtomicU64::new(0),
        binding: AtomicU64::new(0),
        since: AtomicU64::new(0),
        body: UnsafeCell::new(Body {
            reply_to: ReplyTo::Cast,
            options: Options(0),
            caller: MaybeUninit::uninit(),
            reference: Raw::default(),
            env: None,
            handle: None,
            position: 0,
            cell: 0,
            payload: None,
            permit: false,
            bound: false,
            moves: 0,
            estimate: 0,
            pool: 0,
            root: 0,
            label: Label::default(),
            flow: Flow::default(),
        }),
        handed: UnsafeCell::new(None),
        index,
    }
}
