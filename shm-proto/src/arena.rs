//! Arenas: payloads that are too long for a ring record.
//!
//! An arena is a run of 4 KiB blocks. Its allocator lives in the private memory of its owner, the side that writes
//! payloads. The borrower returns a lease by storing its ticket in the release word of the lease's first block; the owner
//! reclaims it when it next allocates. A borrower that lies about tickets can at worst see its own payloads overwritten.

use std::{
    ptr::NonNull,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    layout::BLOCK,
    memory::{Bytes, Words},
    request::Extent,
    ring::Corrupt,
    segment::Mapping,
    sync::Ordering,
};

/// How many returned leases an allocation that fits at once looks for.
const RECLAIM_STEP: usize = 8;

/// A run of blocks that the owner may write until it hands the lease over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Bytes from the start of the arena.
    pub offset: usize,
    /// Bytes asked for.
    pub len: usize,
    /// What the borrower returns.
    pub ticket: u64,
}

/// The writing side of an arena, with its allocator. Any number of threads may use it.
#[derive(Debug)]
pub struct Owner {
    bytes: Bytes,
    releases: Words,
    blocks: Mutex<Blocks>,
}

#[derive(Debug)]
struct Blocks {
    used: Vec<bool>,
    /// Start block, blocks, ticket; oldest first.
    live: Vec<(usize, usize, u64)>,
    next_ticket: u64,
}

impl Owner {
    /// The owner of an arena that nobody has used yet: its bytes, and one release word per block.
    ///
    /// # Panics
    /// If the sizes do not match.
    pub fn new(bytes: Bytes, releases: Words) -> Owner {
        assert_eq!(bytes.len(), releases.len() * BLOCK);
        let blocks = Blocks { used: vec![false; releases.len()], live: Vec::new(), next_ticket: 1 };
        Owner { bytes, releases, blocks: Mutex::new(blocks) }
    }

    /// Bytes of the arena.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Leases `len` bytes, first fit; `None` if there is no such run of free blocks. Holds a private lock for a scan of the
    /// block table (256 entries at the default size).
    pub fn lease(&self, len: usize) -> Option<Lease> {
        let count = len.div_ceil(BLOCK).max(1);
        if count > self.releases.len() {
            return None;
        }
        let mut blocks = self.lock();
        blocks.reclaim(&self.releases, RECLAIM_STEP);
        let start = blocks.find(count).or_else(|| {
            blocks.reclaim(&self.releases, usize::MAX);
            blocks.find(count)
        })?;
        blocks.used[start..start + count].fill(true);
        let ticket = blocks.next_ticket;
        blocks.next_ticket += 1;
        blocks.live.push((start, count, ticket));
        Some(Lease { offset: start * BLOCK, len, ticket })
    }

    /// Copies `data` into the lease, `at` bytes from its start.
    ///
    /// # Panics
    /// If the range is outside of the lease.
    pub fn write(&self, lease: &Lease, at: usize, data: &[u8]) {
        assert!(at.checked_add(data.len()).is_some_and(|end| end <= lease.len));
        self.bytes.write(lease.offset + at, data);
    }

    /// Appends what was written into the lease to `out`.
    pub fn read_back(&self, lease: &Lease, out: &mut Vec<u8>) {
        self.bytes.append_to(lease.offset, lease.len, out);
    }

    /// Takes a lease back that the borrower never got, or that it will not touch any more.
    pub fn take_back(&self, lease: Lease) {
        let mut blocks = self.lock();
        if let Some(i) = blocks.live.iter().position(|l| l.2 == lease.ticket) {
            blocks.free(i);
        }
    }

    /// Leases that were not returned yet.
    pub fn in_use(&self) -> usize {
        let mut blocks = self.lock();
        blocks.reclaim(&self.releases, usize::MAX);
        blocks.live.len()
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        // Each change of the table is complete before anything can panic.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blocks {
    /// Frees those of the oldest `limit` leases that were returned.
    fn reclaim(&mut self, releases: &Words, limit: usize) {
        let mut i = 0;
        for _ in 0..limit.min(self.live.len()) {
            let (start, _, ticket) = self.live[i];
            // SYNC POINT: pairs with the Release store in `Borrower::release`: its reads are done.
            if releases.at(start).load(Ordering::Acquire) == ticket {
                self.free(i);
            } else {
                i += 1;
            }
        }
    }

    fn free(&mut self, index: usize) {
        let (start, count, _) = self.live.remove(index);
        self.used[start..start + count].fill(false);
    }

    fn find(&self, count: usize) -> Option<usize> {
        let mut run = 0;
        for (i, &used) in self.used.iter().enumerate() {
            run = if used { 0 } else { run + 1 };
            if run == count {
                return Some(i + 1 - count);
            }
        }
        None
    }
}

/// The reading side of an arena.
#[derive(Clone, Debug)]
pub struct Borrower {
    bytes: Bytes,
    releases: Words,
}

impl Borrower {
    /// The borrower: the arena's bytes, and one release word per block.
    ///
    /// # Panics
    /// If the sizes do not match.
    pub fn new(bytes: Bytes, releases: Words) -> Borrower {
        assert_eq!(bytes.len(), releases.len() * BLOCK);
        Borrower { bytes, releases }
    }

    /// Checks that the extent is a lease inside the arena.
    ///
    /// # Errors
    /// [`Corrupt`] if it is not.
    pub fn check(&self, extent: &Extent) -> Result<(), Corrupt> {
        let bad = Corrupt("arena extent");
        let offset = usize::try_from(extent.offset).map_err(|_| bad)?;
        let total = usize::try_from(extent.total).map_err(|_| bad)?;
        let end = offset.checked_add(total).ok_or(bad)?;
        if end > self.bytes.len()
            || offset >= self.bytes.len()
            || !offset.is_multiple_of(BLOCK)
            || extent.terms_len > extent.total
        {
            return Err(bad);
        }
        Ok(())
    }

    /// Appends `len` bytes, `at` bytes from the extent's start, to `out`.
    ///
    /// # Errors
    /// [`Corrupt`] if the range is outside of the extent or the extent outside of the arena.
    pub fn append_to(&self, extent: &Extent, at: usize, len: usize, out: &mut Vec<u8>) -> Result<(), Corrupt> {
        self.range(extent, at, len)?;
        self.bytes.append_to(extent.offset as usize + at, len, out);
        Ok(())
    }

    /// Copies bytes out, `at` bytes from the extent's start.
    ///
    /// # Errors
    /// As [`Borrower::append_to`].
    pub fn read(&self, extent: &Extent, at: usize, out: &mut [u8]) -> Result<(), Corrupt> {
        self.range(extent, at, out.len())?;
        self.bytes.read(extent.offset as usize + at, out);
        Ok(())
    }

    /// Address of a range of the extent. Its bytes are stable until [`Borrower::release`] if the owner can be trusted, which
    /// holds for the node only. Keep [`Borrower::mapping`] as long as the address is used.
    ///
    /// # Errors
    /// As [`Borrower::append_to`].
    pub fn address(&self, extent: &Extent, at: usize, len: usize) -> Result<NonNull<u8>, Corrupt> {
        self.range(extent, at, len)?;
        self.bytes.address(extent.offset as usize + at, len).ok_or(Corrupt("arena extent"))
    }

    /// What keeps addresses good.
    pub fn mapping(&self) -> &Arc<Mapping> {
        self.bytes.mapping()
    }

    /// Returns the lease to its owner; the bytes must not be read any more. A lease outside of the arena is ignored.
    pub fn release(&self, extent: &Extent) {
        if self.check(extent).is_ok() {
            // SYNC POINT: pairs with the Acquire load in `Blocks::reclaim`.
            self.releases.at(extent.offset as usize / BLOCK).store(extent.ticket, Ordering::Release);
        }
    }

    fn range(&self, extent: &Extent, at: usize, len: usize) -> Result<(), Corrupt> {
        self.check(extent)?;
        match at.checked_add(len) {
            Some(end) if end as u64 <= extent.total => Ok(()),
            _ => Err(Corrupt("range of arena extent")),
        }
    }
}
