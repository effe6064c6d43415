//! Typed views of shared memory: words that are atomic, bytes that are only ever copied.
//!
//! No Rust reference to bytes of a segment exists anywhere: the peer may write them at any time. Under `--cfg loom` the
//! views own heap memory that the model checker watches, so that the protocol code above them is checked as it is.

#[cfg(loom)]
pub use model::{Bytes, Words};
#[cfg(not(loom))]
pub use real::{Bytes, Words};

#[cfg(not(loom))]
mod real {
    use std::{
        ptr::NonNull,
        sync::{Arc, atomic::AtomicU64},
    };

    use crate::segment::Mapping;

    /// Equally spaced words of a segment.
    #[derive(Clone, Debug)]
    pub struct Words {
        base: NonNull<u8>,
        len: usize,
        shift: u32,
        _mapping: Arc<Mapping>,
    }

    // SAFETY: access is through atomics, and the mapping is kept alive by the `Arc`.
    unsafe impl Send for Words {}
    // SAFETY: as above.
    unsafe impl Sync for Words {}

    impl Words {
        /// `len` words from `offset` on, `stride` bytes apart.
        ///
        /// # Panics
        /// If the stride is no power of two of at least 8, or the words do not lie aligned inside the mapping: offsets come
        /// from a validated geometry.
        pub fn new(mapping: &Arc<Mapping>, offset: usize, len: usize, stride: usize) -> Words {
            assert!(stride.is_power_of_two() && stride >= 8 && offset.is_multiple_of(8));
            assert!(offset + len * stride <= mapping.len());
            // SAFETY: the offset was checked to lie inside the mapping.
            let base = unsafe { mapping.base().add(offset) };
            Words { base, len, shift: stride.trailing_zeros(), _mapping: Arc::clone(mapping) }
        }

        /// Fresh zeroed words of this process.
        pub fn heap(len: usize) -> Words {
            let mapping = Mapping::anonymous(len.max(1) * 8).expect("a test machine has memory");
            Words::new(&Arc::new(mapping), 0, len, 8)
        }

        /// Word `index`.
        ///
        /// # Panics
        /// If `index` is out of bounds.
        #[inline]
        pub fn at(&self, index: usize) -> &AtomicU64 {
            assert!(index < self.len);
            // SAFETY: in bounds and aligned (checked in `new` and above), alive while `self` is.
            unsafe { self.base.add(index << self.shift).cast::<AtomicU64>().as_ref() }
        }

        /// Number of words.
        #[expect(clippy::len_without_is_empty, reason = "never asked")]
        pub fn len(&self) -> usize {
            self.len
        }
    }

    /// A range of bytes of a segment.
    #[derive(Clone, Debug)]
    pub struct Bytes {
        base: NonNull<u8>,
        len: usize,
        mapping: Arc<Mapping>,
    }

    // SAFETY: access is through raw copies that form no references, and the mapping is kept alive by the `Arc`.
    unsafe impl Send for Bytes {}
    // SAFETY: as above.
    unsafe impl Sync for Bytes {}

    impl Bytes {
        /// `len` bytes from `offset` on.
        ///
        /// # Panics
        /// If they do not lie inside the mapping: offsets come from a validated geometry.
        pub fn new(mapping: &Arc<Mapping>, offset: usize, len: usize) -> Bytes {
            assert!(offset.checked_add(len).is_some_and(|end| end <= mapping.len()));
            // SAFETY: the offset was checked to lie inside the mapping.
            let base = unsafe { mapping.base().add(offset) };
            Bytes { base, len, mapping: Arc::clone(mapping) }
        }

        /// Fresh zeroed bytes of this process.
        pub fn heap(len: usize) -> Bytes {
            let mapping = Mapping::anonymous(len.max(1)).expect("a test machine has memory");
            Bytes::new(&Arc::new(mapping), 0, len)
        }

        /// Number of bytes.
        #[expect(clippy::len_without_is_empty, reason = "never asked")]
        pub fn len(&self) -> usize {
            self.len
        }

        /// Address of `len` bytes at `offset`, or `None` if they are not inside. The peer may change what lies there unless
        /// the protocol says otherwise; the address is good as long as [`Bytes::mapping`] is held.
        #[inline]
        pub fn address(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
            if offset.checked_add(len)? > self.len {
                return None;
            }
            // SAFETY: checked to lie inside.
            Some(unsafe { self.base.add(offset) })
        }

        /// What keeps the addresses good.
        pub fn mapping(&self) -> &Arc<Mapping> {
            &self.mapping
        }

        /// Asks for the cache line at `offset` to write to it, without waiting for it.
        #[inline]
        pub fn prefetch_for_write(&self, offset: usize) {
            let Some(line) = self.address(offset, 1) else {
                return;
            };
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a hint that accesses no memory architecturally; processors without it do nothing.
            unsafe {
                std::arch::asm!("prefetchw [{0}]", in(reg) line.as_ptr(), options(nostack, readonly, preserves_flags));
            }
            #[cfg(target_arch = "aarch64")]
            // SAFETY: a hint that accesses no memory architecturally.
            unsafe {
                std::arch::asm!("prfm pstl1keep, [{0}]", in(reg) line.as_ptr(), options(nostack, readonly, preserves_flags));
            }
        }

        /// Copies `data` to `offset`.
        ///
        /// # Panics
        /// If the range is out of bounds or the mapping is read-only.
        #[inline]
        pub fn write(&self, offset: usize, data: &[u8]) {
            assert!(self.mapping.writable());
            let to = self.address(offset, data.len()).expect("range was validated");
            // SAFETY: in bounds and writable; private memory and a mapping do not overlap. A peer that reads at the same
            // time breaks the protocol and gets arbitrary bytes.
            unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), to.as_ptr(), data.len()) }
        }

        /// Copies bytes at `offset` out, each exactly once: what is parsed afterwards is private.
        ///
        /// # Panics
        /// If the range is out of bounds.
        #[inline]
        pub fn read(&self, offset: usize, out: &mut [u8]) {
            let from = self.address(offset, out.len()).expect("range was validated");
            // SAFETY: in bounds; private memory and a mapping do not overlap. A peer that writes at the same time makes
            // the bytes arbitrary, which the caller expects of them anyway.
            unsafe { copy_once(from.as_ptr(), out.as_mut_ptr(), out.len()) }
        }

        /// Appends `len` bytes at `offset` to `out`, as [`Bytes::read`].
        ///
        /// # Panics
        /// If the range is out of bounds.
        #[inline]
        pub fn append_to(&self, offset: usize, len: usize, out: &mut Vec<u8>) {
            let from = self.address(offset, len).expect("range was validated");
            out.reserve(len);
            // SAFETY: as in `read`; `reserve` made room for `len` bytes, and they are initialised before the length grows.
            unsafe {
                copy_once(from.as_ptr(), out.as_mut_ptr().add(out.len()), len);
                out.set_len(out.len() + len);
            }
        }
    }

    /// A copy that the compiler can neither elide nor repeat, so that no later look at `to` reads `from` again.
    ///
    /// # Safety
    /// As `copy_nonoverlapping`, except that `from` may be written by another process meanwhile.
    #[inline]
    unsafe fn copy_once(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: the caller's promise. The empty assembly may, for all the compiler knows, read what `to` points to and
        // change what `from` points to.
        unsafe {
            std::ptr::copy_nonoverlapping(from, to, len);
            std::arch::asm!("/* {0} */", in(reg) to, options(nostack, preserves_flags));
        }
    }
}

#[cfg(loom)]
mod model {
    use loom::{cell::UnsafeCell, sync::Arc, sync::atomic::AtomicU64};

    /// Words that the model checker watches.
    #[derive(Clone, Debug)]
    pub struct Words(Arc<Vec<AtomicU64>>);

    impl Words {
        /// Zeroed words.
        pub fn heap(len: usize) -> Words {
            Words(Arc::new((0..len).map(|_| AtomicU64::new(0)).collect()))
        }

        /// Word `index`.
        pub fn at(&self, index: usize) -> &AtomicU64 {
            &self.0[index]
        }

        /// Number of words.
        pub fn len(&self) -> usize {
            self.0.len()
        }
    }

    const GRAIN: usize = 64;

    /// Bytes in grains of one ring slot: a racing access to a grain fails the model.
    #[derive(Clone, Debug)]
    pub struct Bytes(Arc<Vec<UnsafeCell<[u8; GRAIN]>>>);

    impl Bytes {
        /// Zeroed bytes.
        pub fn heap(len: usize) -> Bytes {
            Bytes(Arc::new((0..len.div_ceil(GRAIN)).map(|_| UnsafeCell::new([0; GRAIN])).collect()))
        }

        /// Number of bytes.
        pub fn len(&self) -> usize {
            self.0.len() * GRAIN
        }

        /// Does nothing.
        pub fn prefetch_for_write(&self, _offset: usize) {}

        /// Copies `data` to `offset`.
        pub fn write(&self, offset: usize, data: &[u8]) {
            for (i, &byte) in data.iter().enumerate() {
                let at = offset + i;
                // SAFETY: the pointer is good inside the closure; loom fails the model on a race.
                self.0[at / GRAIN].with_mut(|grain| unsafe { (*grain)[at % GRAIN] = byte });
            }
        }

        /// Copies bytes at `offset` out.
        pub fn read(&self, offset: usize, out: &mut [u8]) {
            for (i, byte) in out.iter_mut().enumerate() {
                let at = offset + i;
                // SAFETY: the pointer is good inside the closure; loom fails the model on a race.
                *byte = self.0[at / GRAIN].with(|grain| unsafe { (*grain)[at % GRAIN] });
            }
        }

        /// Appends `len` bytes at `offset` to `out`.
        pub fn append_to(&self, offset: usize, len: usize, out: &mut Vec<u8>) {
            let start = out.len();
            out.resize(start + len, 0);
            self.read(offset, &mut out[start..]);
        }
    }
}
