//! Terms to bytes.

use std::ffi::{c_int, c_long, c_ulong};

use rustler::sys::{self, ErlNifEnv};
use shm_proto::etf::{BlobKind, OpaqueKind, Writer, tags};
use shm_proto::request::Options;

use super::atoms::{self, Words, is_none, words};
use super::map::MapFrame;
use super::scratch::{Blob, Scratch};
use super::{BLOB_ALIGN, BLOB_BYTES, TAGS_OFF, opaque, small};
use crate::beam::{self, EnvPtr, Raw};

/// Why a request cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// A part of the request has the wrong form; the atom says which.
    BadArg(Raw),
    /// Python has nothing for this term, or the term as a whole is too much for the format.
    Unsupported(Raw),
    /// A handle that this request cannot carry; the atom says why.
    BadHandle(Raw, Raw),
    /// Over the budget; with a larger one it may work.
    TooLarge,
}

impl EncodeError {
    /// The handle is of another worker than the request is for.
    pub fn other_worker(env: EnvPtr, handle: Raw) -> Self {
        Self::BadHandle(words(env).handle_of_other_worker, handle)
    }

    /// `{badarg, What}`, `{badarg, {What, Handle}}`, `{unsupported_term, Term}` or `too_large`.
    pub fn reason(self, env: EnvPtr) -> Raw {
        let words = words(env);
        match self {
            Self::BadArg(what) => beam::tuple(env, [words.badarg, what]),
            Self::Unsupported(term) => beam::tuple(env, [words.unsupported_term, term]),
            Self::BadHandle(what, handle) => beam::tuple(env, [words.badarg, beam::tuple(env, [what, handle])]),
            Self::TooLarge => words.too_large,
        }
    }
}

/// A container whose elements are not all written.
pub(super) enum Frame {
    List { whole: Raw, tail: Raw, count: u32, header: usize },
    Tuple { next: *const Raw, left: usize },
    Map(MapFrame),
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
    pub(super) limit: usize,
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

    /// Whether the budget has room for this many bytes more.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), EncodeError> {
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

    /// Writes what is on the stack. Small integers, the most frequent elements by far, are written without a look at it.
    fn drain(&mut self) -> Result<(), EncodeError> {
        while let Some(frame) = self.scratch.frames.last_mut() {
            let next = match frame {
                Frame::List { .. } => self.list()?,
                Frame::Tuple { left: 0, .. } => None,
                Frame::Tuple { next, left } => {
                    // SAFETY: `left` elements remain at `next`, inside a tuple that stays in place while the NIF call runs.
                    let element = unsafe { **next };
                    // SAFETY: at most one past the last element.
                    *next = unsafe { next.add(1) };
                    *left -= 1;
                    Some(element)
                }
                Frame::Map(map) => loop {
                    let Some(term) = map.step() else { break None };
                    match small::value(self.words, term) {
                        Some(value) => Writer::new(&mut self.scratch.terms).int(value),
                        None => break Some(term),
                    }
                    if self.scratch.terms.len() > self.limit {
                        return Err(EncodeError::TooLarge);
                    }
                },
            };
            match next {
                Some(term) => self.start(term)?,
                None => drop(self.scratch.frames.pop()),
            }
            self.check_budget()?;
        }
        Ok(())
    }

    /// Goes on with the list on top: the next element that is no small integer, or `None` at its end.
    fn list(&mut self) -> Result<Option<Raw>, EncodeError> {
        let Some(Frame::List { whole, tail, count, header }) = self.scratch.frames.last_mut() else { return Ok(None) };
        let out = &mut self.scratch.terms;
        let (mut first, mut rest) = (Raw::default(), *tail);
        // SAFETY: the tail belongs to the environment; the parts go to locals.
        while unsafe { sys::enif_get_list_cell(self.env, rest, &mut first, &mut rest) } != 0 {
            *count = count.checked_add(1).ok_or(EncodeError::Unsupported(*whole))?;
            match small::value(self.words, first) {
                Some(value) => Writer::new(out).int(value),
                None => {
                    *tail = rest;
                    return Ok(Some(first));
                }
            }
            if out.len() > self.limit {
                return Err(EncodeError::TooLarge);
            }
        }
        if rest != self.words.nil_list {
            return Err(EncodeError::Unsupported(*whole));
        }
        let at = *header + 1;
        out[at..at + 4].copy_from_slice(&count.to_be_bytes());
        out.push(tags::NIL);
        Ok(None)
    }

    /// Writes a scalar, or the header of a container and remembers its elements.
    #[inline]
    fn start(&mut self, term: Raw) -> Result<(), EncodeError> {
        if let Some(value) = small::value(self.words, term) {
            self.writer().int(value);
            return Ok(());
        }
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

    pub(super) fn tuple(&mut self, elements: &[Raw]) {
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

    pub(super) fn bytes(&mut self, data: &[u8]) -> Result<(), EncodeError> {
        if data.len() >= BLOB_BYTES {
            return self.blob(BlobKind::Bytes, data);
        }
        self.writer().bytes(data).map_err(|_| EncodeError::TooLarge)
    }

    pub(super) fn blob(&mut self, kind: BlobKind, data: &[u8]) -> Result<(), EncodeError> {
        let offset = self.scratch.blob_bytes.next_multiple_of(BLOB_ALIGN);
        self.spend(data.len() + BLOB_ALIGN as usize)?;
        self.limit -= data.len() + (offset - self.scratch.blob_bytes) as usize;
        self.scratch.blob_bytes = offset + data.len() as u64;
        self.scratch.blobs.push(Blob { data: data.as_ptr(), len: data.len(), offset });
        self.writer().blob(kind, offset, data.len() as u64);
        Ok(())
    }
}
