//! The state word of one in-flight request in the node: exactly one answer leaves it.
//!
//! The word is private to the node (it never lies in shared memory) and holds a generation and a [`State`]. Whoever
//! moves a request out of `Live` (or `Watched`) by compare-and-swap owns its answer.

use crate::sync::{AtomicU64, Ordering};

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Not in use.
    Free = 0,
    /// Its caller watches the reply cell; whoever else meets it hands the answer over.
    Watched = 1,
    /// Waits for a response record.
    Live = 2,
    /// The reader or teardown met it while it was watched, and left the answer with the entry for the watching caller.
    Handed = 3,
    /// The reader sends its answer.
    Delivering = 4,
    /// The caller does not want it any more.
    Cancelled = 5,
    /// It fails with an error made by the node.
    Failed = 6,
    /// It is being published again to another worker.
    Moving = 7,
}

impl State {
    fn from_bits(bits: u64) -> State {
        match bits & 7 {
            0 => State::Free,
            1 => State::Watched,
            2 => State::Live,
            3 => State::Handed,
            4 => State::Delivering,
            5 => State::Cancelled,
            6 => State::Failed,
            _ => State::Moving,
        }
    }
}

/// Generation and state of a slab entry in one atomic word.
///
/// ```
/// use shm_proto::entry::{EntryWord, State};
/// let word = EntryWord::new();
/// let (generation, _) = word.load();
/// word.transition(generation, State::Free, State::Live).unwrap();
/// word.transition(generation, State::Live, State::Delivering).unwrap();
/// assert_eq!(word.transition(generation, State::Live, State::Cancelled), Err((generation, State::Delivering)));
/// ```
#[derive(Debug)]
pub struct EntryWord(AtomicU64);

impl EntryWord {
    /// A free entry of generation 1.
    pub fn new() -> Self {
        EntryWord(AtomicU64::new(pack(1, State::Free)))
    }

    /// Moves `from` to `to` if the entry is still of this generation.
    ///
    /// # Errors
    /// What the word holds instead, if it differs from `(generation, from)`.
    #[inline]
    pub fn transition(&self, generation: u32, from: State, to: State) -> Result<(), (u32, State)> {
        // SYNC POINT: pairs with itself and with `load`: what the previous owner wrote into the entry before its
        // transition is visible to the next one.
        self.0
            .compare_exchange(pack(generation, from), pack(generation, to), Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(unpack)
    }

    /// Wins `Live` -> `Moving` while the request is with the worker that `worker` names. One that moves to another worker keeps its
    /// generation, so that who has published or met it there before has to look again: its position and its start word are those
    /// of the other. Who moves it writes `worker` in `Moving`.
    pub fn seize(&self, generation: u32, worker: &AtomicU64, expected: u64) -> bool {
        if self.transition(generation, State::Live, State::Moving).is_err() {
            return false;
        }
        let there = worker.load(Ordering::Relaxed) == expected;
        if !there {
            let _ = self.transition(generation, State::Moving, State::Live);
        }
        there
    }

    /// Generation and state.
    #[inline]
    pub fn load(&self) -> (u32, State) {
        unpack(self.0.load(Ordering::Acquire))
    }

    /// Frees the entry and starts the next generation (0 is skipped). Only its owner may call this, that is, whoever
    /// won the transition out of `Live` or `Watched`.
    #[inline]
    pub fn free(&self) {
        let (generation, _) = self.load();
        let next = generation.checked_add(1).unwrap_or(1);
        self.0.store(pack(next, State::Free), Ordering::Release);
    }
}

impl Default for EntryWord {
    fn default() -> Self {
        Self::new()
    }
}

fn pack(generation: u32, state: State) -> u64 {
    u64::from(generation) << 8 | state as u64
}

fn unpack(word: u64) -> (u32, State) {
    ((word >> 8) as u32, State::from_bits(word))
}
