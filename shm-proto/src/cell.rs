//! Reply cells: where a worker leaves a small result for a caller that watches.
//!
//! A cell is 256 bytes: an [`Arbiter`], the payload's length, 240 bytes of payload. The worker writes the payload and then
//! decides the ticket; the caller gives up by deciding it the other way. A cell is free again only when its result was
//! taken, the response record of the same call was consumed, or the incarnation ends: never at give-up, because the late
//! writer would hit the next call.

use crate::{
    arbiter::{Arbiter, Lost, Side},
    layout::CELL,
    memory::{Bytes, Words},
    ring::Corrupt,
};

/// Longest payload of a cell in bytes.
pub const CELL_PAYLOAD: usize = CELL - 16;

/// The shared memory of all cells.
#[derive(Clone, Debug)]
pub struct CellMemory {
    words: Words,
    bytes: Bytes,
}

impl CellMemory {
    /// Cells over views of the up segment: arbiters 256 bytes apart, and the bytes of all cells.
    ///
    /// # Panics
    /// If the sizes do not match.
    pub fn new(words: Words, bytes: Bytes) -> CellMemory {
        assert_eq!(words.len() * CELL, bytes.len());
        CellMemory { words, bytes }
    }

    /// Cells in memory of this process.
    #[cfg(not(loom))]
    pub fn heap(count: usize) -> CellMemory {
        let bytes = Bytes::heap(count * CELL);
        CellMemory::new(Words::new(bytes.mapping(), 0, count, CELL), bytes)
    }

    /// Cells that the model checker watches.
    #[cfg(loom)]
    pub fn heap(count: usize) -> CellMemory {
        CellMemory::new(Words::heap(count), Bytes::heap(count * CELL))
    }

    #[inline]
    fn arbiter(&self, index: usize) -> &Arbiter {
        Arbiter::from_word(self.words.at(index))
    }
}

/// The caller gave the cell up, or there is no such cell: the result goes through the response ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not complete cell: it was given up")]
pub struct Abandoned;

/// The worker was first: the result is in the cell (or the worker claims so).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not abandon cell: it is done")]
pub struct Done;

/// The worker's side of the cells.
#[derive(Clone, Debug)]
pub struct CellWriter(CellMemory);

impl CellWriter {
    /// The writing side.
    pub fn new(memory: CellMemory) -> CellWriter {
        CellWriter(memory)
    }

    /// Asks for a cell's first line, to write to it soon.
    #[inline]
    pub fn prefetch(&self, index: usize) {
        self.0.bytes.prefetch_for_write(index * CELL);
    }

    /// Writes the result and completes the call, unless its caller has given up. Never waits.
    ///
    /// # Errors
    /// [`Abandoned`], also for an index out of bounds or a payload over [`CELL_PAYLOAD`]: the result then goes through the
    /// response ring.
    #[inline]
    pub fn complete(&self, index: usize, ticket: u64, payload: &[u8]) -> Result<(), Abandoned> {
        if index >= self.0.words.len() || payload.len() > CELL_PAYLOAD || ticket == 0 {
            return Err(Abandoned);
        }
        // Not looked at first: the line belongs to the polling caller, and a read before the write moves it twice. A cell
        // that was given up stays ours to write until the response record is consumed.
        let at = index * CELL + 8;
        self.0.bytes.write(at, &(payload.len() as u64).to_le_bytes());
        self.0.bytes.write(at + 8, payload);
        self.0.arbiter(index).decide(ticket, Side::Worker).map_err(|Lost { .. }| Abandoned)
    }
}

/// The node's side of the cells.
#[derive(Clone, Debug)]
pub struct Cells(CellMemory);

impl Cells {
    /// The watching side.
    pub fn new(memory: CellMemory) -> Cells {
        Cells(memory)
    }

    /// Number of cells.
    #[expect(clippy::len_without_is_empty, reason = "a geometry has at least one cell")]
    pub fn len(&self) -> usize {
        self.0.words.len()
    }

    /// Whether the result of this ticket is in the cell. One load.
    ///
    /// # Panics
    /// If there is no such cell.
    #[inline]
    pub fn poll(&self, index: usize, ticket: u64) -> bool {
        self.0.arbiter(index).peek(ticket) == Some(Side::Worker)
    }

    /// Copies the result out after [`Cells::poll`] said so, and returns its length.
    ///
    /// # Errors
    /// [`Corrupt`] if the length is not one that an honest worker writes.
    ///
    /// # Panics
    /// If there is no such cell.
    #[inline]
    pub fn read(&self, index: usize, out: &mut [u8; CELL_PAYLOAD]) -> Result<usize, Corrupt> {
        let at = index * CELL + 8;
        let mut len = [0; 8];
        self.0.bytes.read(at, &mut len);
        let len = usize::try_from(u64::from_le_bytes(len)).unwrap_or(usize::MAX);
        if len > CELL_PAYLOAD {
            return Err(Corrupt("reply cell length"));
        }
        self.0.bytes.read(at + 8, &mut out[..len]);
        Ok(len)
    }

    /// Gives the call up: its result will come through the response ring.
    ///
    /// # Errors
    /// [`Done`] if the worker was first.
    ///
    /// # Panics
    /// If there is no such cell.
    #[inline]
    pub fn abandon(&self, index: usize, ticket: u64) -> Result<(), Done> {
        match self.0.arbiter(index).decide(ticket, Side::Node) {
            Ok(()) => Ok(()),
            Err(Lost { .. }) => Err(Done),
        }
    }
}
