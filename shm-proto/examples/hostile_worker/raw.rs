//! The up segment as plain memory, which a worker may write as it likes.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use shm_proto::control::{Endpoints, Handshake};
use shm_proto::layout::{Geometry, SLOT, Up};
use shm_proto::segment::{Access, Mapping, open_far_end};

/// A mapping of the whole up segment.
pub struct Raw {
    mapping: Mapping,
    pub geometry: Geometry,
    /// Where everything is.
    pub at: Up,
}

impl Raw {
    /// Must be opened before the hello: the node closes its descriptors then.
    pub fn open(handshake: &Handshake) -> Raw {
        let Endpoints::Proc { up, .. } = handshake.endpoints else { panic!("memfds are in use") };
        let fd = open_far_end(handshake.node_pid, up, Access::ReadWrite).expect("it is ours to open");
        let (geometry, at) = (handshake.geometry, handshake.geometry.up());
        Raw { mapping: Mapping::of(fd.as_fd(), at.total, true).expect("as long as the layout says"), geometry, at }
    }

    /// Word at a byte offset.
    pub fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.at.total);
        // SAFETY: inside of the mapping and aligned; all access is atomic.
        unsafe { self.mapping.base().add(offset).cast::<AtomicU64>().as_ref() }
    }

    pub fn store(&self, offset: usize, value: u64) {
        self.word(offset).store(value, Ordering::Release);
    }

    /// Writes a number into as many words.
    pub fn fill(&self, offset: usize, words: usize, value: u64) {
        (0..words).for_each(|index| self.store(offset + index * 8, value));
    }

    /// The commit word of a position of the response ring.
    pub fn commit(&self, position: u64, value: u64) {
        self.store(self.at.response_slots + position as usize % self.geometry.slots() * SLOT, value);
    }

    /// Bytes of the result arena.
    pub fn arena(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.geometry.arena_bytes as usize);
        // SAFETY: inside of the mapping; the node copies what it reads.
        unsafe {
            let to = self.mapping.base().add(self.at.result_arena + offset);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len());
        }
    }
}

/// A small generator of random numbers (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }
}
