//! Requests to bytes: the terms of `docs/architecture.md`, "Payload".

use rustler::sys;
use shm_proto::etf::ObjectKind;
use shm_proto::request::{Kind, Options};
use std::sync::Arc;

use super::encode::{EncodeError, Encoder};
use super::map::MapFrame;
use super::scratch::{Blob, Scratch, with_scratch};
use crate::beam::{self, EnvPtr, Raw};
use crate::handle::Home;

/// A request as bytes in a scratch.
#[derive(Clone, Copy)]
pub struct Encoded<'s> {
    /// What is asked for.
    pub kind: Kind,
    /// The terms.
    pub terms: &'s [u8],
    /// What belongs into the blob area, in order of offsets.
    pub blobs: &'s [Blob],
    /// Bytes of the blob area.
    pub blob_bytes: u64,
    /// Whose handles are among the terms, and the first of them.
    pub home: Option<&'s (Arc<Home>, Raw)>,
    key_len: usize,
}

impl<'s> Encoded<'s> {
    /// What names the thing that runs: encoded module and function of a call, the code otherwise.
    #[inline]
    pub fn key(&self) -> &'s [u8] {
        &self.terms[..self.key_len]
    }
}

/// Encodes `{call, M, F, Args, Kwargs}`, `{method, Object, Name, Args, Kwargs}`, `{eval, Code, Locals}`, `{exec, Code}`,
/// `{reset}`, or the first and third with `stream` and `stream_eval` in front.
///
/// `options` are those of `submit`; `budget` bounds the bytes of terms and blobs together, and with them the time that this takes.
/// `body` gets the bytes, which live in buffers of the thread, or an [`EncodeError`].
#[inline]
pub fn with_request<R>(
    env: EnvPtr,
    request: Raw,
    options: u64,
    budget: Option<usize>,
    body: impl FnOnce(Result<&Encoded<'_>, EncodeError>) -> R,
) -> R {
    with_scratch(|scratch| {
        let options = Options(options as u16);
        match encode_request(scratch, env, request, options, budget.unwrap_or(usize::MAX)) {
            Ok(encoded) => body(Ok(&encoded)),
            Err(error) => body(Err(error)),
        }
    })
}

/// Bytes of a value that a normal scheduler encodes: about 5 us.
const NORMAL_BUDGET: usize = 64 * 1024;

/// Encodes one term behind the byte `first`, for an answer to Python. `dirty`: without a bound to the time that it takes.
pub fn with_value<R>(
    env: EnvPtr,
    value: Raw,
    first: u8,
    dirty: bool,
    body: impl FnOnce(Result<&Encoded<'_>, EncodeError>) -> R,
) -> R {
    with_scratch(|scratch| {
        let budget = if dirty { usize::MAX } else { NORMAL_BUDGET };
        let mut encoder = Encoder::new(env, scratch, Options(0), budget);
        encoder.scratch.terms.push(first);
        if let Err(error) = encoder.value(value) {
            return body(Err(error));
        }
        let Scratch { terms, blobs, blob_bytes, home, .. } = scratch;
        let home = home.as_ref();
        body(Ok(&Encoded { kind: Kind::Call, terms, key_len: 0, blobs, blob_bytes: *blob_bytes, home }))
    })
}

/// As [`with_request`], into a scratch that the caller holds.
pub(super) fn encode_request<'s>(
    scratch: &'s mut Scratch,
    env: EnvPtr,
    request: Raw,
    options: Options,
    budget: usize,
) -> Result<Encoded<'s>, EncodeError> {
    let mut encoder = Encoder::new(env, scratch, options, budget);
    let words = encoder.words;
    let elements = beam::get_tuple(env, request).unwrap_or_default();
    let (kind, key_len) = match *elements {
        [tag, module, function, args, kwargs] if tag == words.call => {
            (Kind::Call, call(&mut encoder, module, function, args, kwargs)?)
        }
        [tag, source, locals] if tag == words.eval => {
            code(&mut encoder, source)?;
            let key_len = encoder.scratch.terms.len();
            pairs(&mut encoder, locals, words.locals)?;
            (Kind::Eval, key_len)
        }
        [tag, object, name, args, kwargs] if tag == words.method => {
            (Kind::Method, method(&mut encoder, object, name, args, kwargs)?)
        }
        [tag, module, function, args, kwargs] if tag == words.stream => {
            (Kind::Stream, call(&mut encoder, module, function, args, kwargs)?)
        }
        [tag, source, locals] if tag == words.stream_eval => {
            code(&mut encoder, source)?;
            let key_len = encoder.scratch.terms.len();
            pairs(&mut encoder, locals, words.locals)?;
            (Kind::StreamEval, key_len)
        }
        [tag, source] if tag == words.exec => {
            code(&mut encoder, source)?;
            (Kind::Exec, encoder.scratch.terms.len())
        }
        [tag] if tag == words.reset => (Kind::Reset, 0),
        _ => return Err(EncodeError::BadArg(words.request)),
    };
    let Scratch { terms, blobs, blob_bytes, home, .. } = scratch;
    Ok(Encoded { kind, terms, key_len, blobs, blob_bytes: *blob_bytes, home: home.as_ref() })
}

#[inline]
fn call(encoder: &mut Encoder<'_>, module: Raw, function: Raw, args: Raw, kwargs: Raw) -> Result<usize, EncodeError> {
    let words = encoder.words;
    if !encoder.name(module)? {
        return Err(EncodeError::BadArg(words.m));
    }
    if !encoder.name(function)? {
        return Err(EncodeError::BadArg(words.f));
    }
    let key_len = encoder.scratch.terms.len();
    encoder.writer().u32(0);
    arguments(encoder, key_len, 0, args)?;
    pairs(encoder, kwargs, words.kwargs)?;
    Ok(key_len)
}

fn method(encoder: &mut Encoder<'_>, object: Raw, name: Raw, args: Raw, kwargs: Raw) -> Result<usize, EncodeError> {
    let words = encoder.words;
    if !encoder.name(name)? {
        return Err(EncodeError::BadArg(words.f));
    }
    let key_len = encoder.scratch.terms.len();
    encoder.writer().u32(0);
    let kept = match beam::get_tuple(encoder.env, object) {
        Some(&[tag, inner]) if tag == words.py_object => encoder.object(ObjectKind::Object, inner)?,
        Some(&[tag, inner]) if tag == words.generator => encoder.object(ObjectKind::Generator, inner)?,
        _ => false,
    };
    if !kept {
        return Err(EncodeError::BadArg(words.reference_));
    }
    arguments(encoder, key_len, 1, args)?;
    pairs(encoder, kwargs, words.kwargs)?;
    Ok(key_len)
}

/// Writes the elements of a list and, at `count_at`, how many there are together with those `before`.
#[inline]
fn arguments(encoder: &mut Encoder<'_>, count_at: usize, before: u32, args: Raw) -> Result<(), EncodeError> {
    let words = encoder.words;
    let mut count = before;
    let mut tail = args;
    let (mut first, mut rest) = (Raw::default(), Raw::default());
    // SAFETY: `tail` belongs to the environment; the parts go to locals.
    while unsafe { sys::enif_get_list_cell(encoder.env, tail, &mut first, &mut rest) } != 0 {
        encoder.value(first)?;
        count = count.checked_add(1).ok_or(EncodeError::BadArg(words.args))?;
        tail = rest;
    }
    if tail != words.nil_list {
        return Err(EncodeError::BadArg(words.args));
    }
    encoder.scratch.terms[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
    Ok(())
}

fn code(encoder: &mut Encoder<'_>, source: Raw) -> Result<(), EncodeError> {
    let bad = EncodeError::BadArg(encoder.words.code);
    if let Some(data) = beam::get_binary(encoder.env, source) {
        encoder.spend(data.len())?;
        let text = std::str::from_utf8(data).map_err(|_| bad)?;
        encoder.writer().text(text).map_err(|_| bad)?;
        return encoder.check_budget();
    }
    // SAFETY: `source` belongs to the environment.
    let list = unsafe { sys::enif_is_list(encoder.env, source) } != 0;
    if list && encoder.list_text(source)? { encoder.check_budget() } else { Err(bad) }
}

/// Writes the named values of a map or proplist (an atom alone is true); `what` names the argument in errors.
#[inline]
fn pairs(encoder: &mut Encoder<'_>, named: Raw, what: Raw) -> Result<(), EncodeError> {
    if named == encoder.words.nil_list {
        encoder.writer().u32(0);
        return Ok(());
    }
    let at = encoder.scratch.terms.len();
    encoder.writer().u32(0);
    encoder.scratch.names.clear();
    if let Some((mut map, _)) = MapFrame::new(encoder.env, named) {
        while let Some((name, value)) = map.pair() {
            pair(encoder, name, value, what)?;
        }
    } else {
        let mut tail = named;
        let (mut first, mut rest) = (Raw::default(), Raw::default());
        // SAFETY: `tail` belongs to the environment; the parts go to locals.
        while unsafe { sys::enif_get_list_cell(encoder.env, tail, &mut first, &mut rest) } != 0 {
            match beam::get_tuple(encoder.env, first) {
                Some(&[name, value]) => pair(encoder, name, value, what)?,
                Some(_) => return Err(EncodeError::BadArg(what)),
                // SAFETY: `first` belongs to the environment.
                None if unsafe { sys::enif_is_atom(encoder.env, first) } != 0 => {
                    pair(encoder, first, encoder.words.true_, what)?;
                }
                None => return Err(EncodeError::BadArg(what)),
            }
            tail = rest;
        }
        if tail != encoder.words.nil_list {
            return Err(EncodeError::BadArg(what));
        }
    }
    let Scratch { terms, names, .. } = &mut *encoder.scratch;
    let count = names.len() as u32;
    terms[at..at + 4].copy_from_slice(&count.to_le_bytes());
    if has_duplicates(terms, names) {
        return Err(EncodeError::BadArg(what));
    }
    Ok(())
}

fn pair(encoder: &mut Encoder<'_>, name: Raw, value: Raw, what: Raw) -> Result<(), EncodeError> {
    let start = encoder.scratch.terms.len();
    if !encoder.name(name)? {
        return Err(EncodeError::BadArg(what));
    }
    let end = encoder.scratch.terms.len();
    let range = u32::try_from(start).ok().zip(u32::try_from(end).ok());
    encoder.scratch.names.push(range.ok_or(EncodeError::BadArg(what))?);
    encoder.value(value)
}

/// Whether a name occurs twice: Python would take the last one without a word.
fn has_duplicates(terms: &[u8], names: &mut [(u32, u32)]) -> bool {
    let text = |&(start, end): &(u32, u32)| &terms[start as usize..end as usize];
    names.sort_unstable_by(|a, b| text(a).cmp(text(b)));
    names.windows(2).any(|pair| text(&pair[0]) == text(&pair[1]))
}
