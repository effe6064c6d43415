//! Tuples that stand for something else, and texts in all the forms that Erlang has for them.

use rustler::sys;
use shm_proto::etf::{BlobKind, ObjectKind, Writer, tags};
use std::sync::Arc;

use super::encode::{EncodeError, Encoder};
use super::scratch::Scratch;
use super::{BLOB_BYTES, chardata};
use crate::beam::{self, Raw};
use crate::handle::HANDLE;

impl Encoder<'_> {
    /// Writes a tuple that stands for something else; `false` if this one does not.
    pub(super) fn special(&mut self, term: Raw, elements: &[Raw]) -> Result<bool, EncodeError> {
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
            [tag, inner] if tag == words.py_object => return self.object(ObjectKind::Object, inner),
            [tag, inner] if tag == words.generator => return self.object(ObjectKind::Generator, inner),
            [tag, inner] if tag == words.tuple => match beam::get_tuple(self.env, inner) {
                Some(elements) => self.tuple(elements),
                None => return Ok(false),
            },
            [tag, dtype, shape, data] if tag == words.ndarray => return self.ndarray(term, dtype, shape, data),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Writes a handle; the request is then for the worker that has its object.
    pub(super) fn object(&mut self, kind: ObjectKind, inner: Raw) -> Result<bool, EncodeError> {
        let Some(handle) = HANDLE.get(self.env, inner) else { return Ok(false) };
        let id = handle.id().ok_or(EncodeError::BadHandle(self.words.released_handle, inner))?;
        match &self.scratch.home {
            Some((home, _)) if !Arc::ptr_eq(home, handle.home()) => {
                return Err(EncodeError::BadHandle(self.words.handle_of_other_worker, inner));
            }
            Some(_) => {}
            None => self.scratch.home = Some((handle.home().clone(), inner)),
        }
        self.writer().object(kind, id);
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
            if data.len() > usize::from(u16::MAX) {
                return Ok(false);
            }
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
}
