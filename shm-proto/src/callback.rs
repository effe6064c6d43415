//! Callback slots: where a worker thread that called an Erlang function waits for the answer.
//!
//! Each such thread owns a slot in the down segment, so that answers wait behind nothing. A slot is 1024 bytes: a state
//! word, place and length, 1008 bytes of payload (or an [`crate::request::Extent`]). The thread takes a ticket, sends a
//! callback record with slot and ticket, and waits; the node writes the payload and then stores the ticket into the state word,
//! whose lower half is a futex. The waiting flag beside it lies in the up segment and saves the wake-up while nobody sleeps.
//!
//! A slot is used again only when the answer of its last call has come, whether its thread still waits or gave up. The node keeps,
//! per slot and in private memory, which ticket it may answer, and takes no second one before.
//!
//! Calls for which no thread waits (coroutines made them) are waited for by one thread: it announces that it sleeps, and each
//! answer then moves a count on, which is its futex.

use std::{
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nix::errno::Errno;

use crate::{
    bell::Flag,
    futex::{futex_wait, futex_wake},
    layout::CALLBACK_SLOT,
    memory::{Bytes, Words},
    request::{Malformed, Place, u32_at},
    ring::Corrupt,
};

/// Longest payload of a slot in bytes.
pub const CALLBACK_PAYLOAD: usize = CALLBACK_SLOT - 16;

/// The shared memory of all slots.
#[derive(Clone, Debug)]
pub struct SlotMemory {
    states: Words,
    bytes: Bytes,
    waiting: Words,
    count: Words,
    awaited: Words,
}

impl SlotMemory {
    /// Slots over views of the segments: state words 1024 bytes apart and the bytes of all slots (down), the waiting
    /// flags (up), and for the thread that waits for many the count of answers (down) and its flag (up).
    ///
    /// # Panics
    /// If the sizes do not match.
    pub fn new(states: Words, bytes: Bytes, waiting: Words, count: Words, awaited: Words) -> SlotMemory {
        assert!(states.len() * CALLBACK_SLOT == bytes.len() && waiting.len() == states.len());
        SlotMemory { states, bytes, waiting, count, awaited }
    }
}

/// Why an answer was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The call is not waiting: answered already, or its thread has gone on to another one.
    #[error("could not answer callback: it does not wait any more")]
    Stale,
    /// Longer than [`CALLBACK_PAYLOAD`]: send it in an extent.
    #[error("could not answer callback: payload is longer than the slot")]
    TooLarge,
}

/// The node's side.
#[derive(Debug)]
pub struct Answers {
    memory: SlotMemory,
    /// Ticket that may be answered, per slot; 0: none. The lock is held for one copy.
    open: Vec<Mutex<u64>>,
}

impl Answers {
    /// The answering side.
    pub fn new(memory: SlotMemory) -> Answers {
        Answers { open: (0..memory.states.len()).map(|_| Mutex::new(0)).collect(), memory }
    }

    /// Notes that a callback record with this slot and ticket has arrived: from here on only this ticket can be answered.
    ///
    /// # Errors
    /// [`Corrupt`] if there is no such slot, the ticket is 0, or the call before was not answered: so a worker never has more
    /// calls under way than slots.
    pub fn open(&self, slot: usize, ticket: u64) -> Result<(), Corrupt> {
        let mut open = match self.open.get(slot) {
            Some(open) if ticket != 0 => lock(open),
            _ => return Err(Corrupt("callback slot")),
        };
        if *open != 0 {
            return Err(Corrupt("callback slot in use"));
        }
        *open = ticket;
        Ok(())
    }

    /// Answers the call and wakes its thread.
    ///
    /// # Errors
    /// [`ReplyError`]; on `Stale` an extent was not handed over and is still ours.
    pub fn reply(&self, slot: usize, ticket: u64, place: Place, payload: &[u8]) -> Result<(), ReplyError> {
        if payload.len() > CALLBACK_PAYLOAD {
            return Err(ReplyError::TooLarge);
        }
        let mut open = self.open.get(slot).map(lock).ok_or(ReplyError::Stale)?;
        if ticket == 0 || *open != ticket {
            return Err(ReplyError::Stale);
        }
        *open = 0;
        let at = slot * CALLBACK_SLOT;
        let mut head = [0; 8];
        head[0] = place as u8;
        head[4..].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        self.memory.bytes.write(at + 8, &head);
        self.memory.bytes.write(at + 16, payload);
        let state = self.memory.states.at(slot);
        // SYNC POINT: pairs with the Acquire loads in `Waiter`.
        state.store(ticket, Ordering::Release);
        drop(open);
        if Flag::from_word(self.memory.waiting.at(slot)).take() {
            futex_wake(state);
        }
        // SYNC POINT: pairs with `Waiter::wait_any`: it sees the state above, or we see its flag.
        if Flag::from_word(self.memory.awaited.at(0)).take() {
            let count = self.memory.count.at(0);
            count.fetch_add(1, Ordering::Release);
            futex_wake(count);
        }
        Ok(())
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The answer is there.
    Ready,
    /// A signal arrived or [`Waiter::wake`] was called: look at what that may be and wait again.
    Woken,
    /// The time has passed.
    TimedOut,
}

/// The worker's side. A slot is used by one thread at a time.
#[derive(Debug)]
pub struct Waiter {
    memory: SlotMemory,
    tickets: Vec<AtomicU64>,
}

impl Waiter {
    /// The waiting side.
    pub fn new(memory: SlotMemory) -> Waiter {
        Waiter { tickets: (0..memory.states.len()).map(|_| AtomicU64::new(0)).collect(), memory }
    }

    /// Number of slots.
    #[expect(clippy::len_without_is_empty, reason = "never asked")]
    pub fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Ticket of the next call through this slot; an earlier one that was not answered is given up.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn begin(&self, slot: usize) -> u64 {
        self.tickets[slot].fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether the answer of this ticket is there.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn is_ready(&self, slot: usize, ticket: u64) -> bool {
        // SYNC POINT: pairs with the Release store in `Answers::reply`.
        self.memory.states.at(slot).load(Ordering::Acquire) == ticket
    }

    /// Blocks until the answer is there, a signal arrives, somebody calls [`Waiter::wake`], or `timeout` passes (`None`: no
    /// limit).
    ///
    /// # Errors
    /// What the futex reports beyond that.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn wait(&self, slot: usize, ticket: u64, timeout: Option<Duration>) -> io::Result<Wait> {
        if self.is_ready(slot, ticket) {
            return Ok(Wait::Ready);
        }
        let state = self.memory.states.at(slot);
        let flag = Flag::from_word(self.memory.waiting.at(slot));
        flag.raise();
        let seen = state.load(Ordering::Acquire);
        let slept = if seen == ticket { Ok(()) } else { futex_wait(state, seen as u32, timeout) };
        flag.lower();
        if self.is_ready(slot, ticket) {
            return Ok(Wait::Ready);
        }
        match slept {
            Ok(()) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(Wait::Woken),
            Err(Errno::ETIMEDOUT) => Ok(Wait::TimedOut),
            Err(e) => Err(e.into()),
        }
    }

    /// Blocks until an answer comes, unless `found` says that one of those that matter is there already. One thread at a time;
    /// it may also return for no reason.
    pub fn wait_any(&self, found: impl FnOnce() -> bool) {
        let flag = Flag::from_word(self.memory.awaited.at(0));
        let count = self.memory.count.at(0);
        flag.raise();
        let seen = count.load(Ordering::Acquire);
        if !found() {
            // All ways in which this ends mean the same: look again.
            let _ = futex_wait(count, seen as u32, None);
        }
        flag.lower();
    }

    /// Makes the slot's thread return from [`Waiter::wait`]. If it is only about to sleep, this is lost: repeat it until the
    /// thread has reacted.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn wake(&self, slot: usize) {
        futex_wake(self.memory.states.at(slot));
    }

    /// Appends the payload to `out` and says what it is: the answer itself or an extent. Call it after `Ready`.
    ///
    /// # Errors
    /// [`Malformed`] if place or length are unknown.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn read(&self, slot: usize, out: &mut Vec<u8>) -> Result<Place, Malformed> {
        let at = slot * CALLBACK_SLOT;
        let mut head = [0; 8];
        self.memory.bytes.read(at + 8, &mut head);
        let place = Place::from_byte(head[0]).ok_or(Malformed("callback place"))?;
        let len = u32_at(&head, 4) as usize;
        if len > CALLBACK_PAYLOAD {
            return Err(Malformed("callback length"));
        }
        self.memory.bytes.append_to(at + 16, len, out);
        Ok(place)
    }
}

fn lock(open: &Mutex<u64>) -> MutexGuard<'_, u64> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
