//! Who runs what: the rule by which a thread may take a request.
//!
//! As long as fewer requests run than there are executors, the next one in the ring is taken. A request that waits for an
//! Erlang function does not count. Beyond that only requests that such a function makes are taken: those whose chain of
//! calls waits in this worker. They are found by looking ahead in the ring; what lies before them stays there, so that it
//! can still be cancelled or moved to another worker.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use shm_proto::request::{Header, Options};
use shm_proto::ring::{Consumer, Corrupt, Record};

/// While requests are held back and none has ended for this long, one more is taken: it may be what a waiting one needs,
/// having come through another Erlang process.
const STALL: Duration = Duration::from_millis(20);

/// A request that an event loop took out of the ring for another thread.
#[derive(Debug)]
pub struct Handed {
    /// Its header.
    pub header: Header,
    /// Header and what follows it.
    pub record: Vec<u8>,
}

/// The state that all threads share. Only touched with the GIL held.
#[derive(Debug)]
pub struct Board {
    limit: u32,
    running: u32,
    /// Roots of the chains of calls that wait in this worker.
    waiting: Vec<u64>,
    /// Up to here the ring was searched for nested requests.
    seen: u64,
    /// Positions of records that were taken before their turn.
    taken: HashSet<u64>,
    ended: u64,
    stall: Option<(u64, Instant)>,
    /// Threads that wait for work.
    pub idle: u32,
    /// Threads that run requests, the main thread included.
    pub threads: u32,
    /// Bound of `threads`.
    pub max_threads: u32,
    /// Callback slots of threads; the others are for calls that no thread waits for.
    slots: u32,
    free_slots: Vec<u32>,
    /// Requests that an event loop leaves to other threads, in order of arrival.
    handed: VecDeque<Handed>,
    /// Slots whose thread gave up, with the ticket whose answer will still come.
    abandoned: Vec<(u32, u64)>,
}

impl Board {
    /// For `limit` executors and `slots` callback slots.
    pub fn new(limit: u16, max_threads: u16, slots: usize) -> Self {
        let slots = (slots as u32 - slots as u32 / 8).min(max_threads.into());
        Self {
            limit: limit.into(),
            running: 0,
            waiting: Vec::new(),
            seen: 0,
            taken: HashSet::new(),
            ended: 0,
            stall: None,
            idle: 0,
            threads: 1,
            max_threads: max_threads.into(),
            slots,
            free_slots: (0..slots).rev().collect(),
            handed: VecDeque::new(),
            abandoned: Vec::new(),
        }
    }

    /// Callback slots below this are for threads.
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// From here on so many requests may run at once.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
        self.max_threads = self.max_threads.max(limit + 1);
    }

    /// Leaves a request that was started to whichever thread comes first.
    pub fn hand(&mut self, header: Header, record: &[u8]) {
        self.handed.push_back(Handed { header, record: record.to_vec() });
    }

    /// The next request that was left to other threads and may run: the oldest, if fewer run than may, else one that
    /// goes first. `any`: the oldest in any case.
    pub fn take_handed(&mut self, any: bool) -> Option<Handed> {
        if any || self.has_executor() {
            return self.handed.pop_front();
        }
        let at = self.handed.iter().position(|handed| self.goes_first(handed))?;
        self.handed.remove(at)
    }

    /// Whether a request may run however many do: its chain of calls waits here, or it is the node's own.
    fn goes_first(&self, handed: &Handed) -> bool {
        handed.header.options.has(Options::NODE) || self.waiting.contains(&handed.header.root(&handed.record))
    }

    /// Takes a request back that has not begun.
    pub fn take_back(&mut self, id: u64) -> Option<Handed> {
        let at = self.handed.iter().position(|handed| handed.header.id == id)?;
        self.handed.remove(at)
    }

    /// Whether requests were left to other threads.
    pub fn has_handed(&self) -> bool {
        !self.handed.is_empty()
    }

    /// Whether one of them may run.
    pub fn may_take_handed(&self) -> bool {
        self.has_handed() && (self.has_executor() || self.handed.iter().any(|handed| self.goes_first(handed)))
    }

    /// A request begins.
    #[inline]
    pub fn begin(&mut self) {
        self.running += 1;
    }

    /// A request has ended.
    #[inline]
    pub fn end(&mut self) {
        self.running -= 1;
        self.ended += 1;
    }

    /// A thread waits for an Erlang function; `executor`: it runs a request.
    pub fn wait(&mut self, root: u64, executor: bool) {
        self.waiting.push(root);
        self.running -= u32::from(executor);
    }

    /// It goes on.
    pub fn go_on(&mut self, root: u64, executor: bool) {
        if let Some(at) = self.waiting.iter().rposition(|other| *other == root) {
            self.waiting.swap_remove(at);
        }
        self.running += u32::from(executor);
    }

    /// Whether the next request in the ring may be taken.
    #[inline]
    pub fn has_executor(&self) -> bool {
        self.running < self.limit
    }

    /// Whether the record at `position` was taken before its turn; it is forgotten.
    #[inline]
    pub fn was_taken(&mut self, position: u64) -> bool {
        !self.taken.is_empty() && self.taken.remove(&position)
    }

    /// Whether there is nothing in the ring that may be taken.
    pub fn nothing_to_take(&self, requests: &Consumer) -> bool {
        if self.has_executor() {
            requests.is_empty()
        } else if self.waiting.is_empty() {
            true
        } else {
            matches!(requests.look_ahead(self.seen.max(requests.head())), Ok(None))
        }
    }

    /// The next record that was not looked at yet. The caller takes it or leaves it.
    pub fn look_ahead(&mut self, requests: &mut Consumer) -> Result<Option<Record>, Corrupt> {
        while let Some(record) = requests.next()? {
            if !self.was_taken(record.position()) {
                break;
            }
            requests.release(record);
        }
        if self.waiting.is_empty() {
            return Ok(None);
        }
        let found = requests.look_ahead(self.seen.max(requests.head()))?;
        if let Some(record) = &found {
            self.seen = record.end();
        }
        Ok(found)
    }

    /// Takes a record that [`Board::look_ahead`] found, if its chain of calls waits here.
    pub fn claim(&mut self, root: u64, position: u64) -> bool {
        let nested = self.waiting.contains(&root);
        if nested {
            self.taken.insert(position);
        }
        nested
    }

    /// When one request more than the rule allows may be taken; `None` if none is held back.
    pub fn stalled_until(&mut self, held_back: bool) -> Option<Instant> {
        if self.waiting.is_empty() || self.has_executor() || !held_back {
            self.stall = None;
            return None;
        }
        let since = match self.stall {
            Some((ended, since)) if ended == self.ended => since,
            _ => Instant::now(),
        };
        self.stall = Some((self.ended, since));
        Some(since + STALL)
    }

    /// Whether that moment has come. It will come again only after as long.
    pub fn stall_is_over(&mut self) -> bool {
        match self.stall {
            Some((ended, since)) if ended == self.ended && since.elapsed() >= STALL => {
                self.stall = None;
                true
            }
            _ => false,
        }
    }

    /// A slot to wait in; `answered` tells whether the answer of a slot and ticket is there, and gives it back if so.
    pub fn take_slot(&mut self, mut answered: impl FnMut(u32, u64) -> bool) -> Option<u32> {
        let free = &mut self.free_slots;
        self.abandoned.retain(|&(slot, ticket)| {
            let done = answered(slot, ticket);
            if done {
                free.push(slot);
            }
            !done
        });
        free.pop()
    }

    /// Gives a slot back whose answer was read.
    pub fn free_slot(&mut self, slot: u32) {
        self.free_slots.push(slot);
    }

    /// Gives a slot back whose answer is still to come: until then nobody can use it.
    pub fn abandon_slot(&mut self, slot: u32, ticket: u64) {
        self.abandoned.push((slot, ticket));
    }
}
