//! What both sides see alike: views of all areas of the two segments.

use std::sync::Arc;

use crate::{
    arbiter::Arbiter,
    bell::{FLAG_STRIDE, Flag},
    callback::SlotMemory,
    cell::CellMemory,
    layout::{BIG_SLOTS, CALLBACK_SLOT, CELL, Geometry, TELEMETRY},
    memory::{Bytes, Words},
    ring::RingMemory,
    segment::Mapping,
    telemetry::Telemetry,
};

/// What both sides see alike.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) geometry: Geometry,
    pub(super) down: Arc<Mapping>,
    pub(super) up: Arc<Mapping>,
    pub(super) starts: Words,
    /// `request_sleeping`, `response_sleeping`, `request_waiting`, `response_waiting`.
    pub(super) flags: Words,
}

impl Shared {
    pub(super) fn new(geometry: Geometry, down: Mapping, up: Mapping) -> Shared {
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

    pub(super) fn request_ring(&self) -> RingMemory {
        let (down, up) = (self.geometry.down(), self.geometry.up());
        let head = Words::new(&self.up, up.request_head, 1, 8);
        RingMemory::mapped(&self.down, down.request_slots, self.geometry.slots(), head)
    }

    pub(super) fn response_ring(&self) -> RingMemory {
        let (down, up) = (self.geometry.down(), self.geometry.up());
        let head = Words::new(&self.down, down.response_head, 1, 8);
        RingMemory::mapped(&self.up, up.response_slots, self.geometry.slots(), head)
    }

    pub(super) fn request_arena(&self) -> (Bytes, Words) {
        let blocks = self.geometry.blocks();
        (
            Bytes::new(&self.down, self.geometry.down().request_arena, self.geometry.arena_bytes as usize),
            Words::new(&self.up, self.geometry.up().request_releases, blocks, 8),
        )
    }

    pub(super) fn result_arena(&self) -> (Bytes, Words) {
        let blocks = self.geometry.blocks();
        (
            Bytes::new(&self.up, self.geometry.up().result_arena, self.geometry.arena_bytes as usize),
            Words::new(&self.down, self.geometry.down().result_releases, blocks, 8),
        )
    }

    pub(super) fn request_blobs(&self) -> Words {
        Words::new(&self.up, self.geometry.up().request_big_releases, BIG_SLOTS, 8)
    }

    pub(super) fn result_blobs(&self) -> Words {
        Words::new(&self.down, self.geometry.down().result_big_releases, BIG_SLOTS, 8)
    }

    pub(super) fn callbacks(&self) -> SlotMemory {
        let (at, count) = (self.geometry.down().callbacks, usize::from(self.geometry.callback_slots));
        SlotMemory::new(
            Words::new(&self.down, at, count, CALLBACK_SLOT),
            Bytes::new(&self.down, at, count * CALLBACK_SLOT),
            Words::new(&self.up, self.geometry.up().callback_waiting, count, FLAG_STRIDE),
            Words::new(&self.down, self.geometry.down().answer_count, 1, 8),
            Words::new(&self.up, self.geometry.up().answers_awaited, 1, FLAG_STRIDE),
        )
    }

    pub(super) fn cells(&self) -> CellMemory {
        let (at, count) = (self.geometry.up().cells, usize::from(self.geometry.cells));
        CellMemory::new(Words::new(&self.up, at, count, CELL), Bytes::new(&self.up, at, count * CELL))
    }

    pub(super) fn telemetry(&self) -> Telemetry {
        Telemetry::new(Words::new(&self.up, self.geometry.up().telemetry, TELEMETRY, 8))
    }

    pub(super) fn start(&self, position: u64) -> &Arbiter {
        Arbiter::from_word(self.starts.at(position as usize & (self.starts.len() - 1)))
    }

    pub(super) fn flag(&self, index: usize) -> &Flag {
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

        /// Raised by the worker when the response ring is full; taken by the node after releasing responses, which then wakes
        /// all who sleep on it.
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
pub(super) use shared_words;
