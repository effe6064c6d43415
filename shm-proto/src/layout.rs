//! Offsets of everything in the two segments of one worker incarnation.
//!
//! All of it derives from [`Geometry`], on both sides alike. Words that different sides write never share a cache line;
//! hot single words get [`LINE`] bytes, so that the adjacent-line prefetcher does not pair them either.

use crate::bell;

/// Bytes of a ring slot.
pub const SLOT: usize = 64;
/// Bytes of an arena block.
pub const BLOCK: usize = 4096;
/// Bytes of a reply cell.
pub const CELL: usize = 256;
/// Bytes of a callback slot.
pub const CALLBACK_SLOT: usize = 1024;
/// Bytes between words that different sides write.
pub const LINE: usize = 128;
/// Segments of their own (payloads that no arena holds) that can be in flight in one direction.
pub const BIG_SLOTS: usize = 64;
/// Buckets of the service-time histogram.
pub const HISTOGRAM: usize = 128;

/// Words of the worker's counters.
pub const TELEMETRY: usize = 5 + HISTOGRAM;

/// "erlpyshm" in ASCII, little-endian; stamped last into the header of a segment.
pub const MAGIC: u64 = u64::from_le_bytes(*b"erlpyshm");
/// Version of the layout and of the records: a fingerprint of this crate's sources, so that nobody has to remember it.
pub const VERSION: u32 = match u32::from_str_radix(env!("SHM_PROTO_FINGERPRINT"), 16) {
    Ok(fingerprint) => fingerprint,
    Err(_) => panic!("the build script prints eight hexadecimal digits"),
};

/// Sizes that both sides agree on in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of each ring's slots: a power of two from 4 KiB to 16 MiB.
    pub ring_bytes: u32,
    /// Bytes of each arena: a multiple of 4096, at most 1 GiB.
    pub arena_bytes: u32,
    /// Reply cells: 1 to 4096.
    pub cells: u16,
    /// Callback slots: at most 4096.
    pub callback_slots: u16,
}

impl Default for Geometry {
    /// Rings of 256 KiB, arenas of 1 MiB, 256 cells, 512 callback slots.
    fn default() -> Self {
        Geometry { ring_bytes: 256 << 10, arena_bytes: 1 << 20, cells: 256, callback_slots: 512 }
    }
}

/// A geometry that the protocol cannot use; says which size and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not use geometry: {0}")]
pub struct BadGeometry(pub &'static str);

impl Geometry {
    /// Checks all sizes.
    ///
    /// # Errors
    /// [`BadGeometry`] names the first size that is out of its bounds.
    pub fn validate(&self) -> Result<(), BadGeometry> {
        let ring = self.ring_bytes as usize;
        if !ring.is_power_of_two() || !(4096..=16 << 20).contains(&ring) {
            return Err(BadGeometry("ring size must be a power of two from 4 KiB to 16 MiB"));
        }
        let arena = self.arena_bytes as usize;
        if arena == 0 || !arena.is_multiple_of(BLOCK) || arena > 1 << 30 {
            return Err(BadGeometry("arena size must be a multiple of 4 KiB, at most 1 GiB"));
        }
        if self.cells == 0 || self.cells > 4096 {
            return Err(BadGeometry("cell count must be from 1 to 4096"));
        }
        if self.callback_slots > 4096 {
            return Err(BadGeometry("callback slot count must be at most 4096"));
        }
        Ok(())
    }

    /// Slots of each ring.
    pub fn slots(&self) -> usize {
        self.ring_bytes as usize / SLOT
    }

    /// Blocks of each arena.
    pub fn blocks(&self) -> usize {
        self.arena_bytes as usize / BLOCK
    }

    /// Offsets in the down segment.
    pub fn down(&self) -> Down {
        let mut next = Cursor(LINE);
        let down = Down {
            response_head: next.take(8, LINE),
            result_releases: next.take(self.blocks() * 8, LINE),
            result_big_releases: next.take(BIG_SLOTS * 8, LINE),
            callbacks: next.take(usize::from(self.callback_slots) * CALLBACK_SLOT, LINE),
            answer_count: next.take(8, LINE),
            request_slots: next.take(self.ring_bytes as usize, BLOCK),
            request_arena: next.take(self.arena_bytes as usize, BLOCK),
            total: 0,
        };
        Down { total: next.take(0, BLOCK), ..down }
    }

    /// Offsets in the up segment.
    pub fn up(&self) -> Up {
        let mut next = Cursor(LINE);
        let up = Up {
            request_head: next.take(8, LINE),
            request_sleeping: next.take(8, LINE),
            response_sleeping: next.take(8, LINE),
            request_waiting: next.take(8, LINE),
            response_waiting: next.take(8, LINE),
            telemetry: next.take(TELEMETRY * 8, LINE),
            callback_waiting: next.take(usize::from(self.callback_slots) * bell::FLAG_STRIDE, LINE),
            answers_awaited: next.take(bell::FLAG_STRIDE, LINE),
            request_releases: next.take(self.blocks() * 8, LINE),
            request_big_releases: next.take(BIG_SLOTS * 8, LINE),
            starts: next.take(self.slots() * 8, LINE),
            cells: next.take(usize::from(self.cells) * CELL, LINE),
            response_slots: next.take(self.ring_bytes as usize, BLOCK),
            result_arena: next.take(self.arena_bytes as usize, BLOCK),
            total: 0,
        };
        Up { total: next.take(0, BLOCK), ..up }
    }
}

/// Byte offsets in the down segment, which only the node writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the offset of what its name says")]
pub struct Down {
    pub response_head: usize,
    pub result_releases: usize,
    pub result_big_releases: usize,
    pub callbacks: usize,
    pub answer_count: usize,
    pub request_slots: usize,
    pub request_arena: usize,
    /// Bytes of the segment.
    pub total: usize,
}

/// Byte offsets in the up segment, which both sides write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the offset of what its name says")]
pub struct Up {
    pub request_head: usize,
    pub request_sleeping: usize,
    pub response_sleeping: usize,
    pub request_waiting: usize,
    pub response_waiting: usize,
    pub telemetry: usize,
    pub callback_waiting: usize,
    pub answers_awaited: usize,
    pub request_releases: usize,
    pub request_big_releases: usize,
    pub starts: usize,
    pub cells: usize,
    pub response_slots: usize,
    pub result_arena: usize,
    /// Bytes of the segment.
    pub total: usize,
}

struct Cursor(usize);

impl Cursor {
    fn take(&mut self, bytes: usize, align: usize) -> usize {
        let at = self.0.next_multiple_of(align);
        self.0 = at + bytes;
        at
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_enforced() {
        let good = Geometry::default();
        assert_eq!(good.validate(), Ok(()));
        for bad in [
            Geometry { ring_bytes: 3 << 12, ..good },
            Geometry { ring_bytes: 2048, ..good },
            Geometry { arena_bytes: 0, ..good },
            Geometry { arena_bytes: 4097, ..good },
            Geometry { cells: 0, ..good },
            Geometry { cells: 4097, ..good },
            Geometry { callback_slots: 4097, ..good },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_last_area_ends_at_the_total() {
        let geometry = Geometry::default();
        let (down, up) = (geometry.down(), geometry.up());
        assert_eq!(down.request_arena + geometry.arena_bytes as usize, down.total);
        assert_eq!(up.result_arena + geometry.arena_bytes as usize, up.total);
    }
}
