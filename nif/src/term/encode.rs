//! Terms to bytes.

use std::cell::RefCell;
use std::ffi::{c_int, c_long, c_ulong};

use rustler::sys::{self, ErlNifEnv, ErlNifMapIterator, ErlNifMapIteratorEntry};
use shm_proto::etf::{BlobKind, OpaqueKind, Writer, tags};
use shm_proto::request::Options;

use super::atoms::{self, AtomTexts, Words, is_none, words};
use super::{BLOB_ALIGN, BLOB_BYTES, TAGS_OFF, chardata, opaque};
use crate::beam::{self, EnvPtr, Raw};

/// Why a request cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// A part of the request has the wrong form; the atom says which.
    BadArg(Raw),
    /// Python has nothing for this term, or the term as a whole is too much for the format.
    Unsupported(Raw),
    /// Over the budget; with a larger one it may work.
    TooLarge,
}

impl EncodeError {
    /// `{badarg, What}`, `{unsupported_term, Term}` or `too_large`.
    pub fn reason(self, env: EnvPtr) -> Raw {
        let words = words(env);
        match self {
            Self::BadArg(what) => beam::tuple(env, [words.badarg, what]),
            Self::Unsupported(term) => beam::tuple(env, [words.unsupported_term, term]),
            Self::TooLarge => words.too_large,
        }
    }
}

/// A binary that is to be copied to its place in the blob area.
#[derive(Clone, Copy, Debug)]
pub struct Blob {
    data: *const u8,
    len: usize,
    offset: u64,
}

impl Blob {
    /// Bytes from the start of the blob area, a multiple of 64.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What to copy.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: enif_inspect_binary gave the pointer, valid until the NIF call returns. A blob is lent out only inside
        // `with_scratch`, which runs inside that call, and the scratch is cleared before it is used by another.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

/// Buffers that encoding uses again from call to call.
pub(super) struct Scratch {
    pub(super) terms: Vec<u8>,
    pub(super) blobs: Vec<Blob>,
    pub(super) blob_bytes: u64,
    pub(super) names: Vec<(u32, u32)>,
    frames: Vec<Frame>,
    rest: Vec<Raw>,
    texts: AtomTexts,
}

/// A buffer that grew beyond this is given back after the call.
const KEEP_BYTES: usize = 1 << 20;

impl Scratch {
    fn new() -> Self {
        Self {
            terms: Vec::with_capacity(4096),
            blobs: Vec::new(),
            blob_bytes: 0,
            names: Vec::new(),
            frames: Vec::new(),
            rest: Vec::new(),
            texts: AtomTexts::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.terms.clear();
        self.blobs.clear();
        self.blob_bytes = 0;
        self.frames.clear();
    }

    #[inline]
    fn trim(&mut self) {
        if self.terms.capacity() > KEEP_BYTES {
            self.terms = Vec::with_capacity(4096);
        }
        if self.frames.capacity() > KEEP_BYTES / size_of::<Frame>() {
            self.frames = Vec::new();
        }
        if self.rest.capacity() > KEEP_BYTES / size_of::<Raw>() {
            self.rest = Vec::new();
        }
        if self.blobs.capacity() > KEEP_BYTES / size_of::<Blob>() {
            self.blobs = Vec::new();
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Runs `body` with the thread's buffers (with fresh ones if `body` runs inside another such call).
#[inline]
pub(super) fn with_scratch<R>(body: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with(|cell| match cell.try_borrow_mut() {
        Ok(mut slot) => {
            let scratch = slot.get_or_insert_with(Scratch::new);
            let result = body(scratch);
            scratch.blobs.clear();
            scratch.trim();
            result
        }
        Err(_) => body(&mut Scratch::new()),
    })
}

/// A container whose elements are not all written.
enum Frame {
    List { whole: Raw, tail: Raw, count: u32, header: usize },
    Tuple { next: *const Raw, left: usize },
    Map(MapFrame),
}

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

    #[inline]
    fn step(&mut self) -> Option<Raw> {
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
        // SAFETY: created in `new`, destroyed once.
        unsafe { sys::enif_map_iterator_destroy(self.env, &mut self.iterator) };
    }
}

// Declared here with a plain integer as result: rustler's enum has no room for types that later emulators may add.
unsafe extern "C" {
    fn enif_term_type(env: *mut ErlNifEnv, term: Raw) -> c_int;
}

/// Writes terms of one environment into a scratch.
pub(super) struct Encoder<'s> {
    pub(super) env: EnvPtr,
    pub(super) words: &'static Words,
    pub(super) scratch: &'s mut Scratch,
    limit: usize,
    options: Options,
    tags: bool,
    own_node: Option<opaque::OwnNode>,
}

impl<'s> Encoder<'s> {
    /// An encoder over a cleared scratch; `budget` bounds the bytes of terms and blobs together.
    #[inline]
    pub(super) fn new(env: EnvPtr, scratch: &'s mut Scratch, options: Options, budget: usize) -> Self {
        scratch.clear();
        let tags = !options.has(TAGS_OFF);
        Self { env, words: words(env), scratch, limit: budget, options, tags, own_node: None }
    }

    #[inline]
    pub(super) fn writer(&mut self) -> Writer<'_> {
        Writer::new(&mut self.scratch.terms)
    }

    #[inline]
    pub(super) fn check_budget(&self) -> Result<(), EncodeError> {
        if self.scratch.terms.len() > self.limit { Err(EncodeError::TooLarge) } else { Ok(()) }
    }

    fn spend(&self, bytes: usize) -> Result<(), EncodeError> {
        if bytes > self.limit.saturating_sub(self.scratch.terms.len()) {
            return Err(EncodeError::TooLarge);
        }
        Ok(())
    }

    /// Writes a term with everything in it.
    #[inline]
    pub(super) fn value(&mut self, term: Raw) -> Result<(), EncodeError> {
        self.start(term)?;
        if !self.scratch.frames.is_empty() {
            self.drain()?;
        }
        self.check_budget()
    }

    fn drain(&mut self) -> Result<(), EncodeError> {
        while let Some(frame) = self.scratch.frames.last_mut() {
            let next = match frame {
                Frame::List { whole, tail, count, header } => {
                    let (mut first, mut rest) = (Raw::default(), Raw::default());
                    // SAFETY: `tail` belongs to the environment; the parts go to locals.
                    if unsafe { sys::enif_get_list_cell(self.env, *tail, &mut first, &mut rest) } != 0 {
                        *tail = rest;
                        *count = count.checked_add(1).ok_or(EncodeError::Unsupported(*whole))?;
                        Some(first)
                    } else if *tail == self.words.nil_list {
                        let at = *header + 1;
                        let count = count.to_be_bytes();
                        self.scratch.terms[at..at + 4].copy_from_slice(&count);
                        self.scratch.terms.push(tags::NIL);
                        None
                    } else {
                        return Err(EncodeError::Unsupported(*whole));
                    }
                }
                Frame::Tuple { left: 0, .. } => None,
                Frame::Tuple { next, left } => {
                    // SAFETY: `left` elements remain at `next`, inside a tuple that stays in place while the NIF call runs.
                    let element = unsafe { **next };
                    // SAFETY: at most one past the last element.
                    *next = unsafe { next.add(1) };
                    *left -= 1;
                    Some(element)
                }
                Frame::Map(map) => map.step(),
            };
            match next {
                Some(term) => self.start(term)?,
                None => drop(self.scratch.frames.pop()),
            }
            self.check_budget()?;
        }
        Ok(())
    }

    /// Writes a scalar, or the header of a container and remembers its elements.
    #[inline]
    fn start(&mut self, term: Raw) -> Result<(), EncodeError> {
        // SAFETY: `term` belongs to the environment.
        match unsafe { enif_term_type(self.env, term) } {
            1 => self.atom(term),
            2 => match beam::get_binary(self.env, term) {
                Some(data) => self.binary(data),
                None => Err(EncodeError::Unsupported(term)),
            },
            3 => {
                let mut value = 0.0;
                // SAFETY: `term` belongs to the environment; the number goes to a local.
                unsafe { sys::enif_get_double(self.env, term, &mut value) };
                self.writer().float(value);
                Ok(())
            }
            4 => self.opaque(OpaqueKind::Fun, term),
            5 => self.integer(term),
            6 => {
                if term == self.words.nil_list {
                    self.writer().nil();
                } else {
                    let header = self.scratch.terms.len();
                    self.writer().list_header(0);
                    self.scratch.frames.push(Frame::List { whole: term, tail: term, count: 0, header });
                }
                Ok(())
            }
            7 => {
                let (map, size) = MapFrame::new(self.env, term).ok_or(EncodeError::Unsupported(term))?;
                let size = u32::try_from(size).map_err(|_| EncodeError::Unsupported(term))?;
                self.writer().map_header(size);
                self.scratch.frames.push(Frame::Map(map));
                Ok(())
            }
            8 => self.opaque(OpaqueKind::Pid, term),
            9 => self.opaque(OpaqueKind::Port, term),
            10 => self.opaque(OpaqueKind::Reference, term),
            11 => {
                let elements = beam::get_tuple(self.env, term).ok_or(EncodeError::Unsupported(term))?;
                if self.tags && self.special(term, elements)? {
                    return Ok(());
                }
                self.tuple(elements);
                Ok(())
            }
            _ => Err(EncodeError::Unsupported(term)),
        }
    }

    fn tuple(&mut self, elements: &[Raw]) {
        // A tuple has fewer than 2^24 elements.
        self.writer().tuple_header(elements.len() as u32);
        if !elements.is_empty() {
            self.scratch.frames.push(Frame::Tuple { next: elements.as_ptr(), left: elements.len() });
        }
    }

    fn atom(&mut self, term: Raw) -> Result<(), EncodeError> {
        if is_none(self.words, term) {
            self.writer().none();
        } else if term == self.words.true_ || term == self.words.false_ {
            let truth = term == self.words.true_;
            self.writer().bool(truth);
        } else {
            let Scratch { terms, texts, .. } = &mut *self.scratch;
            let text = texts.text(self.env, term).ok_or(EncodeError::Unsupported(term))?;
            Writer::new(terms).atom(text).map_err(|_| EncodeError::Unsupported(term))?;
        }
        Ok(())
    }

    fn integer(&mut self, term: Raw) -> Result<(), EncodeError> {
        let mut small: c_long = 0;
        // SAFETY: `term` belongs to the environment; the number goes to a local.
        if unsafe { sys::enif_get_long(self.env, term, &mut small) } != 0 {
            self.writer().int(small);
            return Ok(());
        }
        let mut word: c_ulong = 0;
        // SAFETY: as above.
        if unsafe { sys::enif_get_ulong(self.env, term, &mut word) } != 0 {
            return self.writer().big(false, &word.to_le_bytes()).map_err(|_| EncodeError::Unsupported(term));
        }
        let external = atoms::external(self.env, term).ok_or(EncodeError::TooLarge)?;
        self.spend(external.bytes().len())?;
        self.scratch.terms.extend_from_slice(external.bytes());
        Ok(())
    }

    fn opaque(&mut self, kind: OpaqueKind, term: Raw) -> Result<(), EncodeError> {
        if self.own_node.is_none() {
            self.own_node = Some(opaque::OwnNode::of(self.env).ok_or(EncodeError::TooLarge)?);
        }
        let (Some(own), Some(external)) = (&self.own_node, atoms::external(self.env, term)) else {
            return Err(EncodeError::TooLarge);
        };
        self.spend(external.bytes().len())?;
        opaque::write(kind, external.bytes(), own, &mut Writer::new(&mut self.scratch.terms))
            .ok_or(EncodeError::Unsupported(term))
    }

    fn binary(&mut self, data: &[u8]) -> Result<(), EncodeError> {
        let bytes = self.options.has(Options::BINARY_BYTES);
        if data.len() >= BLOB_BYTES {
            return self.blob(if bytes { BlobKind::Bytes } else { BlobKind::Binary }, data);
        }
        let written = if bytes { self.writer().bytes(data) } else { self.writer().binary(data) };
        written.map_err(|_| EncodeError::TooLarge)
    }

    fn bytes(&mut self, data: &[u8]) -> Result<(), EncodeError> {
        if data.len() >= BLOB_BYTES {
            return self.blob(BlobKind::Bytes, data);
        }
        self.writer().bytes(data).map_err(|_| EncodeError::TooLarge)
    }

    fn blob(&mut self, kind: BlobKind, data: &[u8]) -> Result<(), EncodeError> {
        let offset = self.scratch.blob_bytes.next_multiple_of(BLOB_ALIGN);
        self.spend(data.len() + BLOB_ALIGN as usize)?;
        self.limit -= data.len() + (offset - self.scratch.blob_bytes) as usize;
        self.scratch.blob_bytes = offset + data.len() as u64;
        self.scratch.blobs.push(Blob { data: data.as_ptr(), len: data.len(), offset });
        self.writer().blob(kind, offset, data.len() as u64);
        Ok(())
    }

    /// Writes a tuple that stands for something else; `false` if this one does not.
    fn special(&mut self, term: Raw, elements: &[Raw]) -> Result<bool, EncodeError> {
        let words = self.words;
        match *elements {
            [tag, inner] if tag == words.bytes => match beam::get_binary(self.env, inner) {
                Some(data) => self.bytes(data)?,
                None => return Ok(false),
            },
            [tag, inner] if tag == words.str => return self.str(term, inner),
            [tag, inner] if tag == words.buffer => match beam::get_binary(self.env, inner) {
                Some(data) => self.blob(BlobKind::Buffer, data)?,
                None => return Ok(false),
            },
            [tag, inner] if tag == words.float => match inner {
                inner if inner == words.nan => self.writer().nan(),
                inner if inner == words.infinity => self.writer().inf(),
                inner if inner == words.neg_infinity => self.writer().neg_inf(),
                _ => return Ok(false),
            },
            [tag, inner] if tag == words.tuple => match beam::get_tuple(self.env, inner) {
                Some(elements) => self.tuple(elements),
                None => return Ok(false),
            },
            [tag, dtype, shape, data] if tag == words.ndarray => return self.ndarray(term, dtype, shape, data),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn str(&mut self, term: Raw, inner: Raw) -> Result<bool, EncodeError> {
        if let Some(data) = beam::get_binary(self.env, inner) {
            if data.len() >= BLOB_BYTES {
                self.blob(BlobKind::Str, data)?;
            } else {
                let text = std::str::from_utf8(data).map_err(|_| EncodeError::Unsupported(term))?;
                self.writer().str(text).map_err(|_| EncodeError::TooLarge)?;
            }
            return Ok(true);
        }
        // SAFETY: `inner` belongs to the environment.
        if unsafe { sys::enif_is_list(self.env, inner) } == 0 {
            return Ok(false);
        }
        self.scratch.terms.push(tags::STR);
        if self.list_text(inner)? { Ok(true) } else { Err(EncodeError::Unsupported(term)) }
    }

    /// Writes the text of chardata behind its `u32` length; `false` if the list is none.
    pub(super) fn list_text(&mut self, list: Raw) -> Result<bool, EncodeError> {
        let at = self.scratch.terms.len();
        self.writer().u32(0);
        let limit = self.limit;
        let Scratch { terms, rest, .. } = &mut *self.scratch;
        if !chardata::append(self.env, self.words, list, terms, rest, limit)? {
            return Ok(false);
        }
        let len = u32::try_from(terms.len() - at - 4).map_err(|_| EncodeError::TooLarge)?;
        terms[at..at + 4].copy_from_slice(&len.to_le_bytes());
        Ok(true)
    }

    /// Writes a name (atom, binary or chardata; not empty) behind its `u16` length; `false` if the term is none.
    #[inline]
    pub(super) fn name(&mut self, term: Raw) -> Result<bool, EncodeError> {
        let at = self.scratch.terms.len();
        let limit = self.limit;
        let Scratch { terms, texts, rest, .. } = &mut *self.scratch;
        if let Some(text) = texts.text(self.env, term) {
            return Ok(!text.is_empty() && Writer::new(terms).name(text).is_ok());
        }
        if let Some(data) = beam::get_binary(self.env, term) {
            let Ok(text) = std::str::from_utf8(data) else { return Ok(false) };
            return Ok(!text.is_empty() && Writer::new(terms).name(text).is_ok());
        }
        terms.extend_from_slice(&[0, 0]);
        if term == self.words.nil_list || !chardata::append(self.env, self.words, term, terms, rest, limit)? {
            return Ok(false);
        }
        match u16::try_from(terms.len() - at - 2) {
            Ok(len) if len > 0 => terms[at..at + 2].copy_from_slice(&len.to_le_bytes()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn ndarray(&mut self, term: Raw, dtype: Raw, shape: Raw, data: Raw) -> Result<bool, EncodeError> {
        let Some(data) = beam::get_binary(self.env, data) else { return Ok(false) };
        self.scratch.terms.push(tags::NDARRAY);
        if !self.name(dtype)? {
            return Err(EncodeError::Unsupported(term));
        }
        let at = self.scratch.terms.len();
        self.scratch.terms.push(0);
        let mut dimensions = 0u8;
        let mut add = |encoder: &mut Self, extent: Raw| {
            let extent = beam::get_u64(encoder.env, extent).ok_or(EncodeError::Unsupported(term))?;
            dimensions = dimensions.checked_add(1).ok_or(EncodeError::Unsupported(term))?;
            encoder.scratch.terms.extend_from_slice(&extent.to_le_bytes());
            Ok(())
        };
        if let Some(extents) = beam::get_tuple(self.env, shape) {
            for extent in extents {
                add(self, *extent)?;
            }
        } else {
            let mut tail = shape;
            let (mut first, mut rest) = (Raw::default(), Raw::default());
            // SAFETY: `tail` belongs to the environment; the parts go to locals.
            while unsafe { sys::enif_get_list_cell(self.env, tail, &mut first, &mut rest) } != 0 {
                add(self, first)?;
                tail = rest;
            }
            if tail != self.words.nil_list {
                return Err(EncodeError::Unsupported(term));
            }
        }
        self.scratch.terms[at] = dimensions;
        self.bytes(data)?;
        Ok(true)
    }
}
