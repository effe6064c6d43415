//! Many-to-one ring of variable-length records, after Agrona's many-to-one ring buffer.
//!
//! Records take whole 64-byte slots. Positions count slots from the start of the incarnation and begin at the capacity, so
//! that no position is 0. The first word of slot `p % capacity` holds `p << 16 | slots` once the record at `p` may be read,
//! with bit 15 for padding: a short record and its commit word are one cache line, which reaches the consumer in one
//! transfer. The first word of every slot is kept free for that, so that nothing that a record holds looks like a commit.
//! A record never wraps; padding fills the slots up to the end instead. A record takes at most 1/8 of the capacity, so that
//! padding can never make it impossible to place.
//!
//! Claim cursors are private to the producing side. The only word that the consumer shares is its head, believed if it
//! grows and stays within what was claimed. Between claim and commit lies one copy and nothing else: a claim that never
//! commits stops the ring for ever.

#[cfg(not(loom))]
use std::sync::Arc;

use crossbeam_utils::CachePadded;

#[cfg(not(loom))]
use crate::segment::Mapping;
use crate::{
    layout::SLOT,
    memory::{Bytes, Words},
    sync::{AtomicU64, Ordering, fence},
};

const PADDING: u64 = 1 << 15;
/// Bytes of the commit word.
const COMMIT: usize = 8;
/// Bytes of a record in each of its slots.
pub const ROOM: usize = SLOT - COMMIT;

/// The shared parts of one ring: commit words and slots, written by the producers, and the head, written by the consumer.
#[derive(Clone, Debug)]
pub struct RingMemory {
    commits: Words,
    slots: Bytes,
    head: Words,
}

impl RingMemory {
    /// A ring over views of segments: the first word of each slot, the slots, the consumer's head.
    ///
    /// # Panics
    /// If the sizes do not match or the capacity is no power of two of at least 8 slots.
    pub fn new(commits: Words, slots: Bytes, head: Words) -> RingMemory {
        let capacity = commits.len();
        assert!(capacity.is_power_of_two() && (8..=1 << 18).contains(&capacity));
        assert!(slots.len() == capacity * SLOT && head.len() == 1);
        RingMemory { commits, slots, head }
    }

    /// A ring whose slots lie in a segment from `offset` on.
    ///
    /// # Panics
    /// As [`RingMemory::new`], and if they do not lie inside.
    #[cfg(not(loom))]
    pub fn mapped(mapping: &Arc<Mapping>, offset: usize, capacity: usize, head: Words) -> RingMemory {
        let commits = Words::new(mapping, offset, capacity, SLOT);
        RingMemory::new(commits, Bytes::new(mapping, offset, capacity * SLOT), head)
    }

    /// A ring of `capacity` slots in memory of this process.
    ///
    /// # Panics
    /// If the capacity is no power of two of at least 8.
    pub fn heap(capacity: usize) -> RingMemory {
        #[cfg(not(loom))]
        {
            let mapping = Mapping::anonymous(capacity * SLOT).expect("a test machine has memory");
            RingMemory::mapped(&Arc::new(mapping), 0, capacity, Words::heap(1))
        }
        #[cfg(loom)]
        RingMemory::new(Words::heap(capacity), Bytes::heap(capacity * SLOT), Words::heap(1))
    }

    /// Where the consumer is, as it last said, and whether a record or padding is ready there. For display: a hostile side
    /// may have written anything.
    pub fn look(&self) -> (u64, bool) {
        let head = self.head.at(0).load(Ordering::Acquire).max(self.capacity());
        (head, self.commits.at(self.index(head)).load(Ordering::Relaxed) >> 16 == head)
    }

    fn capacity(&self) -> u64 {
        self.commits.len() as u64
    }

    fn index(&self, position: u64) -> usize {
        position as usize & (self.commits.len() - 1)
    }

    /// Where byte `at` of the record at `position` lies, and how many follow it in the same slot.
    fn place(&self, position: u64, at: usize) -> (usize, usize) {
        (self.index(position) * SLOT + at / ROOM * SLOT + COMMIT + at % ROOM, ROOM - at % ROOM)
    }

    /// Copies `data` to byte `at` of the record at `position`.
    #[inline]
    fn write(&self, position: u64, mut at: usize, mut data: &[u8]) {
        while !data.is_empty() {
            let (offset, room) = self.place(position, at);
            let (now, later) = data.split_at(room.min(data.len()));
            self.slots.write(offset, now);
            (at, data) = (at + now.len(), later);
        }
    }

    /// Appends the bytes of the `slots` slots from `position` on to `out`.
    #[inline]
    fn append_to(&self, position: u64, slots: u64, out: &mut Vec<u8>) {
        out.reserve(slots as usize * ROOM);
        let first = self.index(position) * SLOT + COMMIT;
        (0..slots as usize).for_each(|slot| self.slots.append_to(first + slot * SLOT, ROOM, out));
    }
}

/// Makes both ends of a fresh ring (in one process: tests and benches).
///
/// ```
/// use shm_proto::ring::{RingMemory, pair};
/// let (producer, mut consumer) = pair(RingMemory::heap(64));
/// let position = producer.publish(&[b"hello ", b"ring"]).unwrap();
/// let record = consumer.next().unwrap().unwrap();
/// assert_eq!(record.position(), position);
/// let mut bytes = Vec::new();
/// consumer.copy(&record, &mut bytes);
/// assert_eq!(&bytes[..10], b"hello ring");
/// consumer.release(record);
/// assert!(consumer.is_empty());
/// ```
pub fn pair(memory: RingMemory) -> (Producer, Consumer) {
    (Producer::new(memory.clone()), Consumer::new(memory))
}

/// Why a record was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No room until the consumer releases some.
    #[error("could not publish: ring is full")]
    Full,
    /// Longer than [`Producer::max_record`].
    #[error("could not publish: record is longer than an eighth of the ring")]
    TooLarge,
    /// The consumer's head is not one that an honest consumer writes.
    #[error("could not publish: consumer head is corrupt")]
    Corrupt,
}

/// The ring holds what an honest producer does not write; names the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not read shared memory: {0}")]
pub struct Corrupt(pub &'static str);

/// The writing end; any number of threads may use it at once.
#[derive(Debug)]
pub struct Producer {
    memory: RingMemory,
    max_slots: u64,
    tail: CachePadded<AtomicU64>,
    /// Newest validated head. Read by every claim, written when it says "full".
    head: CachePadded<AtomicU64>,
}

impl Producer {
    /// The producer of a ring that nobody has used yet. There must be one `Producer` per ring.
    pub fn new(memory: RingMemory) -> Producer {
        let capacity = memory.capacity();
        Producer {
            max_slots: capacity / 8,
            tail: CachePadded::new(AtomicU64::new(capacity)),
            head: CachePadded::new(AtomicU64::new(capacity)),
            memory,
        }
    }

    /// Longest record in bytes.
    pub fn max_record(&self) -> usize {
        self.max_slots as usize * ROOM
    }

    /// Slots of the ring.
    pub fn capacity(&self) -> u64 {
        self.memory.capacity()
    }

    /// Publishes one record made of `parts` and returns its position. Lock-free and without a system call: one
    /// compare-and-swap, one copy, one store. The consumer is not woken; see [`crate::bell`].
    ///
    /// # Errors
    /// [`PublishError`]; on `Full` raise the ring's `producer_waiting` flag and try once more before waiting.
    #[inline]
    pub fn publish(&self, parts: &[&[u8]]) -> Result<u64, PublishError> {
        let len = parts.iter().map(|part| part.len()).sum();
        let mut claim = self.claim(len)?;
        for part in parts {
            claim.write(part);
        }
        let position = claim.position();
        claim.commit();
        Ok(position)
    }

    /// Claims room for `len` bytes. Do nothing but copy before [`Claim::commit`]; a dropped claim becomes padding.
    ///
    /// # Errors
    /// As [`Producer::publish`].
    #[inline]
    pub fn claim(&self, len: usize) -> Result<Claim<'_>, PublishError> {
        let slots = len.div_ceil(ROOM).max(1) as u64;
        if slots > self.max_slots {
            return Err(PublishError::TooLarge);
        }
        let capacity = self.memory.capacity();
        let mut tail = self.tail.load(Ordering::Relaxed);
        let (position, padding) = loop {
            let to_end = capacity - (tail & (capacity - 1));
            let padding = if slots > to_end { to_end } else { 0 };
            let end = tail + padding + slots;
            // SYNC POINT: pairs with the Release of `refresh_head`, so that a head which another thread validated also
            // orders our writes after the consumer's reads.
            let mut head = self.head.load(Ordering::Acquire);
            if end > head + capacity {
                head = self.refresh_head()?;
                if end > head + capacity {
                    return Err(PublishError::Full);
                }
            }
            match self.tail.compare_exchange_weak(tail, end, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break (tail + padding, padding),
                Err(newer) => tail = newer,
            }
        };
        if padding > 0 {
            self.commit(position - padding, padding | PADDING);
        }
        Ok(Claim { producer: self, position, slots, written: 0, kind: PADDING })
    }

    /// The consumer's head: every position below it was released. If the shared word is corrupt, the last good one.
    pub fn consumed(&self) -> u64 {
        self.refresh_head().unwrap_or_else(|_| self.head.load(Ordering::Relaxed))
    }

    /// Where the next record will be claimed.
    pub fn claimed(&self) -> u64 {
        self.tail.load(Ordering::Relaxed)
    }

    /// Whether the claim at `position` was committed, as a record or as padding.
    pub fn is_committed(&self, position: u64) -> bool {
        self.memory.commits.at(self.memory.index(position)).load(Ordering::Acquire) >> 16 >= position
    }

    /// Copies the record at `position` back out, if the consumer has not released it. Returns whether `out` holds it.
    ///
    /// To publish a request again elsewhere, first read it back, then win its start word: whoever wins it knows that the
    /// consumer had not passed it while it was copied.
    pub fn read_back(&self, position: u64, out: &mut Vec<u8>) -> bool {
        out.clear();
        let index = self.memory.index(position);
        let commit = self.memory.commits.at(index).load(Ordering::Acquire);
        let slots = commit & 0x7fff;
        if commit >> 16 != position || commit & PADDING != 0 || !(1..=self.max_slots).contains(&slots) {
            return false;
        }
        if index as u64 + slots > self.memory.capacity() {
            return false;
        }
        self.memory.append_to(position, slots, out);
        // Nobody can claim these slots again before a head beyond them was validated: none was, so the copy is whole.
        fence(Ordering::Acquire);
        self.head.load(Ordering::Relaxed) <= position
    }

    #[cold]
    fn refresh_head(&self) -> Result<u64, PublishError> {
        // The order of the three loads makes the checks exact under concurrency: the shared head cannot be older than a
        // cached one, nor newer than a tail that is read after it.
        let cached = self.head.load(Ordering::Acquire);
        // SYNC POINT: pairs with the Release stores of `Consumer`: slots below the head were read for the last time.
        let head = self.memory.head.at(0).load(Ordering::Acquire);
        if head == 0 && cached == self.memory.capacity() {
            return Ok(cached);
        }
        if head < cached || head > self.tail.load(Ordering::Relaxed) {
            return Err(PublishError::Corrupt);
        }
        self.head.fetch_max(head, Ordering::AcqRel);
        Ok(head)
    }

    #[inline]
    fn commit(&self, position: u64, slots_and_kind: u64) {
        let index = self.memory.index(position);
        // SYNC POINT: pairs with the Acquire load of the commit word in `Consumer::next`.
        self.memory.commits.at(index).store(position << 16 | slots_and_kind, Ordering::Release);
    }
}

/// Room in the ring between claim and commit.
#[derive(Debug)]
pub struct Claim<'a> {
    producer: &'a Producer,
    position: u64,
    slots: u64,
    written: usize,
    kind: u64,
}

impl Claim<'_> {
    /// Position of the record, which is the ticket of its start word.
    #[inline]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Appends bytes.
    ///
    /// # Panics
    /// If more is written than was claimed (rounded up to slots).
    #[inline]
    pub fn write(&mut self, data: &[u8]) {
        assert!(self.written + data.len() <= self.slots as usize * ROOM);
        self.producer.memory.write(self.position, self.written, data);
        self.written += data.len();
    }

    /// Makes the record visible to the consumer.
    #[inline]
    pub fn commit(mut self) {
        self.kind = 0;
    }
}

impl Drop for Claim<'_> {
    #[inline]
    fn drop(&mut self) {
        self.producer.commit(self.position, self.slots | self.kind);
    }
}

/// A record that the consumer stands at.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    position: u64,
    slots: u64,
}

impl Record {
    /// Position, which is the ticket of its start word.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Position of what follows.
    pub fn end(&self) -> u64 {
        self.position + self.slots
    }

    /// Bytes of its slots; the header inside says how many of them count.
    #[expect(clippy::len_without_is_empty, reason = "a record has at least one slot")]
    pub fn len(&self) -> usize {
        self.slots as usize * ROOM
    }
}

/// The reading end; one thread at a time.
#[derive(Debug)]
pub struct Consumer {
    memory: RingMemory,
    max_slots: u64,
    head: u64,
}

impl Consumer {
    /// The consumer of a ring that nobody has used yet. There must be one `Consumer` per ring.
    pub fn new(memory: RingMemory) -> Consumer {
        let capacity = memory.capacity();
        Consumer { max_slots: capacity / 8, head: capacity, memory }
    }

    /// The next record, if it is committed; the same one until it is released. Never waits.
    ///
    /// # Errors
    /// [`Corrupt`] if the commit word is not one that an honest producer writes.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator could not be released")]
    pub fn next(&mut self) -> Result<Option<Record>, Corrupt> {
        let mut budget = self.memory.capacity();
        loop {
            let index = self.memory.index(self.head);
            // SYNC POINT: pairs with the Release store in `Producer::commit`.
            let commit = self.memory.commits.at(index).load(Ordering::Acquire);
            if commit >> 16 != self.head {
                // Older laps are what an unwritten slot holds; a newer one would mean that the producer ignored our head.
                return if commit >> 16 < self.head { Ok(None) } else { Err(Corrupt("ring position")) };
            }
            let slots = commit & 0x7fff;
            if slots == 0 || slots > self.max_slots || index as u64 + slots > self.memory.capacity() {
                return Err(Corrupt("ring record length"));
            }
            if commit & PADDING == 0 {
                return Ok(Some(Record { position: self.head, slots }));
            }
            self.advance(slots);
            budget = budget.checked_sub(slots).ok_or(Corrupt("endless ring padding"))?;
        }
    }

    /// Appends the record's bytes to `out`; what is parsed afterwards is private.
    #[inline]
    pub fn copy(&self, record: &Record, out: &mut Vec<u8>) {
        self.memory.append_to(record.position, record.slots, out);
    }

    /// The record at `position` or behind padding there, if it is committed; `position` is at or behind the head. For looking
    /// ahead: what lies before it stays where it is. Never waits.
    ///
    /// ```
    /// use shm_proto::ring::{RingMemory, pair};
    /// let (producer, consumer) = pair(RingMemory::heap(64));
    /// let positions: Vec<u64> = (0..3u8).map(|n| producer.publish(&[&[n; 100]]).unwrap()).collect();
    /// let (mut found, mut from) = (Vec::new(), consumer.head());
    /// while let Some(record) = consumer.look_ahead(from).unwrap() {
    ///     found.push(record.position());
    ///     from = record.end();
    /// }
    /// assert_eq!(found, positions);
    /// assert_eq!(consumer.head(), positions[0]);
    /// ```
    ///
    /// # Errors
    /// As [`Consumer::next`].
    pub fn look_ahead(&self, mut position: u64) -> Result<Option<Record>, Corrupt> {
        let capacity = self.memory.capacity();
        while position - self.head < capacity {
            let index = self.memory.index(position);
            // SYNC POINT: pairs with the Release store in `Producer::commit`.
            let commit = self.memory.commits.at(index).load(Ordering::Acquire);
            if commit >> 16 != position {
                break;
            }
            let slots = commit & 0x7fff;
            if slots == 0 || slots > self.max_slots || index as u64 + slots > capacity {
                return Err(Corrupt("ring record length"));
            }
            if commit & PADDING == 0 {
                return Ok(Some(Record { position, slots }));
            }
            position += slots;
        }
        Ok(None)
    }

    /// Position of the oldest record that was not released.
    #[inline]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Copies the first bytes of the record; at most its length are copied. Returns how many.
    #[inline]
    pub fn copy_to(&self, record: &Record, out: &mut [u8]) -> usize {
        let len = out.len().min(record.len());
        for (slot, part) in out[..len].chunks_mut(ROOM).enumerate() {
            self.memory.slots.read(self.memory.place(record.position, slot * ROOM).0, part);
        }
        len
    }

    /// Gives the record's slots back to the producers.
    ///
    /// # Panics
    /// If it is not the record that [`Consumer::next`] returned last.
    #[inline]
    pub fn release(&mut self, record: Record) {
        assert_eq!(record.position, self.head);
        self.advance(record.slots);
    }

    /// Whether no record is committed at the head. Padding counts as a record.
    #[inline]
    pub fn is_empty(&self) -> bool {
        let index = self.memory.index(self.head);
        self.memory.commits.at(index).load(Ordering::Relaxed) >> 16 != self.head
    }

    #[inline]
    fn advance(&mut self, slots: u64) {
        self.head += slots;
        // SYNC POINT: pairs with the Acquire load in `Producer::refresh_head`: our reads of these slots are done.
        self.memory.head.at(0).store(self.head, Ordering::Release);
    }
}
