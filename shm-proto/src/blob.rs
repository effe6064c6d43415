//! Payloads in a memfd of their own, for what no arena holds.
//!
//! The maker of a payload (the node for requests, the worker for results) writes it into a sealed memfd; the reader opens
//! that through `/proc/<maker>/fd/<n>`. First use of fresh memory costs several times the copy itself, so both sides keep
//! what they have: the maker a bounded cache of idle memfds, the reader a bounded cache of mappings by serial number.
//!
//! Each use of a memfd holds one of [`BIG_SLOTS`] slots and has a ticket whose low bits are the slot. The reader ends the use by
//! storing the ticket in the slot's release word; the maker looks for that when it next allocates. The maker closes its memfds,
//! the reader unmaps its mappings, and neither keeps a descriptor of the other open: nothing leaks whichever dies first.

use std::{
    ffi::CString,
    io,
    os::fd::AsFd,
    ptr::NonNull,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use crate::{
    keeper::Client,
    layout::BIG_SLOTS,
    memory::{Bytes, Words},
    request::Extent,
    ring::Corrupt,
    segment::{Mapping, Memfd, Seals, open_memory, verify},
    sync::Ordering,
};

/// Smallest memfd in bytes.
const MIN_SIZE: usize = 1 << 20;
/// An idle memfd is used again for payloads down to this fraction of it.
const MAX_WASTE: usize = 4;
/// Mappings that a reader keeps, however small: a process may have some 65,000 of them in all.
const MOST_MAPPINGS: usize = 128;
/// Bytes of idle memory that a cache keeps unless told otherwise.
pub const DEFAULT_CACHE: usize = 128 << 20;

/// Why there is no room for a payload.
#[derive(Debug, thiserror::Error)]
pub enum AllocateError {
    /// All slots are in use until the reader releases one.
    #[error("could not place payload: {BIG_SLOTS} large payloads are in flight")]
    Full,
    /// The memory or the descriptor is not to be had.
    #[error("could not place payload: {0}")]
    Io(#[from] io::Error),
}

/// The maker's side. Any number of threads may use it.
#[derive(Debug)]
pub struct Outbox {
    name: CString,
    seals: Seals,
    fork: Fork,
    releases: Words,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    slots: Vec<Option<(u64, Arc<Segment>)>>,
    idle: Vec<Arc<Segment>>,
    cache_limit: usize,
    serial: u64,
    uses: u64,
}

#[derive(Debug)]
struct Segment {
    serial: u64,
    memfd: Memfd,
    bytes: Bytes,
}

/// Room for one payload, to be written and then handed over through its [`Extent`].
#[derive(Debug)]
pub struct Blob {
    segment: Arc<Segment>,
    len: usize,
    ticket: u64,
}

impl Blob {
    /// Copies `data` to `at`.
    ///
    /// # Panics
    /// If the range is outside of the payload.
    pub fn write(&self, at: usize, data: &[u8]) {
        assert!(at.checked_add(data.len()).is_some_and(|end| end <= self.len));
        self.segment.bytes.write(at, data);
    }

    /// Appends what was written to `out`.
    pub fn read_back(&self, out: &mut Vec<u8>) {
        self.segment.bytes.append_to(0, self.len, out);
    }

    /// Ends the maker's interest in a payload that the reader got.
    pub fn leave(self) -> Option<Remains> {
        Remains::of([self.segment])
    }

    /// What goes into the record.
    pub fn extent(&self, terms_len: usize) -> Extent {
        Extent {
            offset: self.segment.serial,
            total: self.len as u64,
            terms_len: terms_len as u64,
            ticket: self.ticket,
            fd: self.segment.memfd.number(),
        }
    }
}

/// Memory that nobody uses any more. Dropping it unmaps, which takes 13 ms for 64 MB, so not on a normal scheduler.
#[derive(Debug)]
pub struct Remains {
    _segments: Vec<Segment>,
}

impl Remains {
    fn of(dropped: impl IntoIterator<Item = Arc<Segment>>) -> Option<Remains> {
        // Of several who let go at the same time exactly one gets the memory.
        let segments: Vec<_> = dropped.into_iter().filter_map(Arc::into_inner).collect();
        (!segments.is_empty()).then_some(Remains { _segments: segments })
    }
}

impl Outbox {
    /// The maker over its release words; `seals` go on each memfd.
    ///
    /// # Panics
    /// If there are not [`BIG_SLOTS`] words.
    pub fn new(name: impl Into<CString>, seals: Seals, fork: Fork, releases: Words) -> Outbox {
        assert_eq!(releases.len(), BIG_SLOTS);
        let state = State {
            slots: (0..BIG_SLOTS).map(|_| None).collect(),
            idle: Vec::new(),
            cache_limit: DEFAULT_CACHE,
            serial: 0,
            uses: 0,
        };
        Outbox { name: name.into(), seals, fork, releases, state: Mutex::new(state) }
    }

    /// Sets how many bytes of idle memory are kept.
    pub fn set_cache_limit(&self, bytes: usize) {
        self.lock().cache_limit = bytes;
    }

    /// Finds room for `len` bytes. May create, reserve, map and unmap memory: milliseconds for large payloads.
    ///
    /// # Errors
    /// [`AllocateError`].
    pub fn allocate(&self, len: usize) -> Result<Blob, AllocateError> {
        let mut dropped = Vec::new();
        let (slot, idle) = {
            let mut state = self.lock();
            state.reclaim(&self.releases, &mut dropped);
            let slot = state.slots.iter().position(Option::is_none).ok_or(AllocateError::Full)?;
            (slot, state.take_idle(len))
        };
        // Unmapped outside of the lock, and before more is asked for.
        drop(dropped);
        let segment = match idle {
            Some(segment) => segment,
            None => self.create(len)?,
        };
        let mut state = self.lock();
        let slot = match state.slots[slot] {
            None => slot,
            Some(_) => state.slots.iter().position(Option::is_none).ok_or(AllocateError::Full)?,
        };
        state.uses += 1;
        let ticket = state.uses * BIG_SLOTS as u64 + slot as u64;
        state.slots[slot] = Some((ticket, Arc::clone(&segment)));
        Ok(Blob { segment, len, ticket })
    }

    /// Ends the use of a payload that the reader never got. What is not kept for other payloads comes back.
    pub fn take_back(&self, blob: Blob) -> Option<Remains> {
        let mut dropped = Vec::new();
        let mut state = self.lock();
        let slot = (blob.ticket % BIG_SLOTS as u64) as usize;
        if state.slots[slot].as_ref().is_some_and(|(held, _)| *held == blob.ticket) {
            state.retire(slot, &mut dropped);
        }
        drop(state);
        dropped.push(blob.segment);
        Remains::of(dropped)
    }

    /// Payloads in flight.
    pub fn in_use(&self) -> usize {
        let mut dropped = Vec::new();
        let mut state = self.lock();
        state.reclaim(&self.releases, &mut dropped);
        let used = state.slots.iter().flatten().count();
        drop(state);
        used
    }

    fn create(&self, len: usize) -> io::Result<Arc<Segment>> {
        let memfd = Memfd::create(&self.name, size_class(len))?;
        let mapping = memfd.map(true)?;
        memfd.seal(self.seals)?;
        if self.fork == Fork::Exclude {
            mapping.dont_fork()?;
        }
        let mut state = self.lock();
        state.serial += 1;
        let bytes = Bytes::new(&Arc::new(mapping), 0, memfd.len());
        Ok(Arc::new(Segment { serial: state.serial, memfd, bytes }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the tables is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn reclaim(&mut self, releases: &Words, dropped: &mut Vec<Arc<Segment>>) {
        for slot in 0..BIG_SLOTS {
            let Some((ticket, _)) = &self.slots[slot] else {
                continue;
            };
            // SYNC POINT: pairs with the Release store in `View::drop`.
            if releases.at(slot).load(Ordering::Acquire) == *ticket {
                self.retire(slot, dropped);
            }
        }
    }

    fn retire(&mut self, slot: usize, dropped: &mut Vec<Arc<Segment>>) {
        if let Some((_, segment)) = self.slots[slot].take() {
            self.idle.push(segment);
        }
        let mut kept: usize = self.idle.iter().map(|s| s.memfd.len()).sum();
        while kept > self.cache_limit {
            let oldest = self.idle.remove(0);
            kept -= oldest.memfd.len();
            dropped.push(oldest);
        }
    }

    /// The smallest idle memfd that holds `len` bytes without wasting too much.
    fn take_idle(&mut self, len: usize) -> Option<Arc<Segment>> {
        let most = size_class(len).saturating_mul(MAX_WASTE);
        let (index, _) = self
            .idle
            .iter()
            .enumerate()
            .filter(|(_, s)| (len..=most).contains(&s.memfd.len()))
            .min_by_key(|(_, s)| s.memfd.len())?;
        Some(self.idle.remove(index))
    }
}

/// Four sizes per power of two, from 1 MiB: memory is used again for similar payloads and a quarter is wasted at most.
fn size_class(len: usize) -> usize {
    let len = len.max(MIN_SIZE);
    let step = (1 << len.ilog2()) / 4;
    len.next_multiple_of(step)
}

/// The reader's side. Any number of threads may use it.
#[derive(Debug)]
pub struct Inbox {
    seals: Seals,
    fork: Fork,
    releases: Words,
    keeper: OnceLock<Arc<Client>>,
    cache: Mutex<Cache>,
}

/// Whether forked children get the mappings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// They do.
    Inherit,
    /// They do not.
    Exclude,
}

#[derive(Debug)]
struct Cache {
    /// Serial and mapping, least recently used first.
    mappings: Vec<(u64, Arc<Mapping>)>,
    limit: usize,
}

impl Inbox {
    /// The reader over its release words; it demands `seals` of each memfd.
    ///
    /// # Panics
    /// If there are not [`BIG_SLOTS`] words.
    pub fn new(seals: Seals, fork: Fork, releases: Words) -> Inbox {
        assert_eq!(releases.len(), BIG_SLOTS);
        let cache = Cache { mappings: Vec::new(), limit: DEFAULT_CACHE };
        Inbox { seals, fork, releases, keeper: OnceLock::new(), cache: Mutex::new(cache) }
    }

    /// Sets how many bytes of mappings are kept.
    pub fn set_cache_limit(&self, bytes: usize) {
        self.lock().limit = bytes;
    }

    /// From here on the keeper opens what the maker has: this process may not.
    pub fn open_through(&self, keeper: Arc<Client>) {
        // Whoever comes first stays.
        let _ = self.keeper.set(keeper);
    }

    /// Opens a payload that process `maker` made. May open, map and unmap: not on a normal scheduler.
    ///
    /// A process id can be reused; who does not trust the maker looks at its pidfd afterwards.
    ///
    /// # Errors
    /// `NotFound` if the maker is gone, `InvalidData` if what it names is not such a payload. The payload is given back to
    /// its maker then: nobody will read it.
    pub fn open(&self, maker: u32, extent: &Extent) -> io::Result<View> {
        let total = usize::try_from(extent.total).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let kept = self.lock().get(extent.offset, total);
        let mapping = match kept {
            Some(mapping) => mapping,
            None => self.map(maker, extent, total).inspect_err(|_| release(&self.releases, extent.ticket))?,
        };
        Ok(View { bytes: Bytes::new(&mapping, 0, total), releases: self.releases.clone(), ticket: extent.ticket })
    }

    fn map(&self, maker: u32, extent: &Extent, total: usize) -> io::Result<Arc<Mapping>> {
        let fd = match self.keeper.get() {
            Some(keeper) => keeper.open(extent.fd)?,
            None => open_memory(maker, extent.fd)?,
        };
        let size = verify(fd.as_fd(), total.max(1), self.seals)?;
        let mut cache = self.lock();
        let keep = size <= cache.limit;
        let mapping = Arc::new(Mapping::of(fd.as_fd(), if keep { size } else { total.max(1) }, false)?);
        if self.fork == Fork::Exclude {
            mapping.dont_fork()?;
        }
        let dropped = if keep { cache.put(extent.offset, &mapping) } else { Vec::new() };
        drop(cache);
        drop(dropped);
        Ok(mapping)
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn get(&mut self, serial: u64, len: usize) -> Option<Arc<Mapping>> {
        let index = self.mappings.iter().position(|(s, m)| *s == serial && m.len() >= len)?;
        let hit = self.mappings.remove(index);
        let mapping = Arc::clone(&hit.1);
        self.mappings.push(hit);
        Some(mapping)
    }

    fn put(&mut self, serial: u64, mapping: &Arc<Mapping>) -> Vec<Arc<Mapping>> {
        let mut dropped: Vec<_> = self.mappings.extract_if(.., |(s, _)| *s == serial).map(|(_, m)| m).collect();
        let mut kept: usize = mapping.len() + self.mappings.iter().map(|(_, m)| m.len()).sum::<usize>();
        while kept > self.limit && !self.mappings.is_empty() || self.mappings.len() >= MOST_MAPPINGS {
            let (_, oldest) = self.mappings.remove(0);
            kept -= oldest.len();
            dropped.push(oldest);
        }
        self.mappings.push((serial, Arc::clone(mapping)));
        dropped
    }
}

/// An open payload. Dropping it gives the memory back to its maker.
#[derive(Debug)]
pub struct View {
    bytes: Bytes,
    releases: Words,
    ticket: u64,
}

impl View {
    /// Bytes.
    #[expect(clippy::len_without_is_empty, reason = "never asked")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Copies bytes at `at` out.
    ///
    /// # Errors
    /// [`Corrupt`] if the range is outside of the payload.
    pub fn read(&self, at: usize, out: &mut [u8]) -> Result<(), Corrupt> {
        self.address(at, out.len())?;
        self.bytes.read(at, out);
        Ok(())
    }

    /// Appends `len` bytes at `at` to `out`.
    ///
    /// # Errors
    /// As [`View::read`].
    pub fn append_to(&self, at: usize, len: usize, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        self.address(at, len)?;
        self.bytes.append_to(at, len, out);
        Ok(())
    }

    /// Address of a range, good as long as the view lives. Its bytes are stable if the maker is trusted, which holds for the
    /// node only.
    ///
    /// # Errors
    /// As [`View::read`].
    pub fn address(&self, at: usize, len: usize) -> Result<NonNull<u8>, Corrupt> {
        self.bytes.address(at, len).ok_or(Corrupt("range of large payload"))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        release(&self.releases, self.ticket);
    }
}

fn release(releases: &Words, ticket: u64) {
    let slot = (ticket % BIG_SLOTS as u64) as usize;
    // SYNC POINT: pairs with the Acquire load in `State::reclaim`: our reads are done.
    releases.at(slot).store(ticket, Ordering::Release);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_a_quarter_at_most() {
        assert_eq!(size_class(1), MIN_SIZE);
        for len in [MIN_SIZE + 1, 3 << 20, (5 << 20) + 7, 100_000_000] {
            let size = size_class(len);
            assert!(size >= len && size - len <= len / 4 && size.is_multiple_of(4096), "{len}: {size}");
        }
    }
}
