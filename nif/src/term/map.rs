//! Pairs of a map, one after the other.

use rustler::sys::{self, ErlNifMapIterator, ErlNifMapIteratorEntry};

use crate::beam::{EnvPtr, Raw};

/// An iterator over a map, with the value that is next if its key was taken.
pub(super) struct MapFrame {
    env: EnvPtr,
    iterator: ErlNifMapIterator,
    value: Option<Raw>,
}

impl MapFrame {
    /// An iterator and the number of pairs; `None` if the term is no map.
    pub(super) fn new(env: EnvPtr, map: Raw) -> Option<(Self, usize)> {
        let mut size = 0;
        let mut iterator = std::mem::MaybeUninit::uninit();
        // SAFETY: `map` belongs to `env`; the iterator is initialised on success and may be moved: it holds no pointer to itself.
        let iterator = unsafe {
            if sys::enif_get_map_size(env, map, &mut size) == 0
                || sys::enif_map_iterator_create(
                    env,
                    map,
                    iterator.as_mut_ptr(),
                    ErlNifMapIteratorEntry::ERL_NIF_MAP_ITERATOR_HEAD,
                ) == 0
            {
                return None;
            }
            iterator.assume_init()
        };
        Some((Self { env, iterator, value: None }, size))
    }

    /// The next pair.
    #[inline]
    pub(super) fn pair(&mut self) -> Option<(Raw, Raw)> {
        let (mut key, mut value) = (Raw::default(), Raw::default());
        // SAFETY: the iterator is live until dropped; the terms go to locals.
        unsafe {
            if sys::enif_map_iterator_get_pair(self.env, &mut self.iterator, &mut key, &mut value) == 0 {
                return None;
            }
            sys::enif_map_iterator_next(self.env, &mut self.iterator);
        }
        Some((key, value))
    }

    /// The next key, or the value of the key before.
    #[inline]
    pub(super) fn step(&mut self) -> Option<Raw> {
        if let Some(value) = self.value.take() {
            return Some(value);
        }
        let (key, value) = self.pair()?;
        self.value = Some(value);
        Some(key)
    }
}

impl Drop for MapFrame {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once, and inside the NIF call (the emulator looks at the map again).
        unsafe { sys::enif_map_iterator_destroy(self.env, &mut self.iterator) };
    }
}
