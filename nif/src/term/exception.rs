//! Replies of a worker: a status byte and what it announces, as `{ok, Value}` or `{error, Reason}`.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustler::sys;
use shm_proto::etf::{EtfError, Reader};
use shm_proto::request::Options;
use shm_proto::response::Status;

use super::atoms::{self, Words, words};
use super::decode::{Blobs, LIMITS, whole};
use super::refusal::{Corrupt, DecodeError, Refusal};
use crate::beam::{self, EnvPtr, Raw};

/// How many exception types may still become atoms that the node did not have; those beyond are `'PythonError'`.
static NEW_TYPE_NAMES: AtomicUsize = AtomicUsize::new(1000);

/// Decodes the payload of a reply to `{ok, Value}` or `{error, Reason}`.
///
/// # Errors
/// As [`decode_parts`].
#[inline]
pub fn decode_reply(env: EnvPtr, payload: &[u8], options: u16, blobs: &dyn Blobs) -> Result<Raw, Corrupt> {
    let (ok, value) = decode_parts(env, payload, options, blobs)?;
    let words = words(env);
    Ok(beam::tuple(env, [if ok { words.ok } else { words.error }, value]))
}

/// Decodes the payload of a reply, the status byte and what follows it: whether it is a result, and the result or the reason.
///
/// # Errors
/// [`Corrupt`] if no correct worker sends such a payload.
#[inline]
pub fn decode_parts(env: EnvPtr, payload: &[u8], options: u16, blobs: &dyn Blobs) -> Result<(bool, Raw), Corrupt> {
    let options = Options(options);
    let (status, rest) = payload.split_first().ok_or(Corrupt("empty reply"))?;
    let decoded = match Status::from_byte(*status) {
        Some(Status::Value) => whole(env, rest, options, blobs).map(|value| (true, value)),
        Some(Status::Exception) => exception(env, rest, options).map(failed),
        Some(Status::Refused) => whole(env, rest, options, blobs).map(|reason| failed(named_type(env, reason))),
        Some(Status::Interrupted) if rest.is_empty() => Ok(failed(words(env).interrupted)),
        Some(Status::Interrupted) => return Err(Corrupt("bytes behind the status")),
        None => return Err(Corrupt("unknown status")),
    };
    match decoded {
        Ok(parts) => Ok(parts),
        Err(DecodeError::Refused(refusal)) => {
            blobs.give_up(payload);
            Ok(failed(refusal.reason(env)))
        }
        Err(DecodeError::Corrupt(corrupt)) => Err(corrupt),
    }
}

fn failed(reason: Raw) -> (bool, Raw) {
    (false, reason)
}

/// Causes of one exception: several times as many as a worker sends.
const MAX_CAUSES: usize = 256;

/// One exception of a chain.
struct Raised<'a> {
    name: &'a str,
    module: &'a str,
    message: &'a str,
    traceback: &'a str,
}

impl<'a> Raised<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, EtfError> {
        Ok(Self { name: reader.text()?, module: reader.text()?, message: reader.text()?, traceback: reader.text()? })
    }
}

fn exception(env: EnvPtr, bytes: &[u8], options: Options) -> Result<Raw, DecodeError> {
    let reader = &mut Reader::new(bytes, LIMITS);
    let mut chain = vec![Raised::read(reader)?];
    loop {
        match reader.u8()? {
            0 => break,
            1 if chain.len() < MAX_CAUSES => chain.push(Raised::read(reader)?),
            1 => return Err(DecodeError::Corrupt(Corrupt("too many causes"))),
            _ => return Err(DecodeError::Corrupt(Corrupt("unknown cause"))),
        }
    }
    let mut notes = Vec::new();
    for _ in 0..reader.u32()? {
        notes.push(reader.text()?);
    }
    if reader.remaining() != 0 {
        return Err(DecodeError::Corrupt(Corrupt("bytes behind the exception")));
    }
    if !options.has(Options::ERROR_MAP) {
        let raised = &chain[0];
        return Ok(beam::tuple(env, [type_name(env, raised.name), code_points(env, raised.message)?]));
    }
    let words = words(env);
    let notes: Vec<Raw> = notes.iter().map(|note| beam::binary(env, note.as_bytes())).collect();
    let mut cause = words.none;
    for raised in chain[1..].iter().rev() {
        cause = map(env, words, raised, cause, words.nil_list)?;
    }
    map(env, words, &chain[0], cause, list(env, &notes)?)
}

fn map(env: EnvPtr, words: &Words, raised: &Raised<'_>, cause: Raw, notes: Raw) -> Result<Raw, DecodeError> {
    let keys = [words.type_, words.module, words.message, words.traceback, words.cause, words.notes];
    let text = |text: &str| beam::binary(env, text.as_bytes());
    let values =
        [type_name(env, raised.name), text(raised.module), text(raised.message), text(raised.traceback), cause, notes];
    let mut map = Raw::default();
    // SAFETY: as many keys as values, all of this environment or immediates.
    let made = unsafe { sys::enif_make_map_from_arrays(env, keys.as_ptr(), values.as_ptr(), keys.len(), &mut map) };
    if made == 0 { Err(DecodeError::Refused(Refusal::Keys)) } else { Ok(map) }
}

fn code_points(env: EnvPtr, text: &str) -> Result<Raw, DecodeError> {
    // SAFETY: plain constructor.
    let points: Vec<Raw> = text.chars().map(|point| unsafe { sys::enif_make_uint(env, point.into()) }).collect();
    list(env, &points)
}

fn list(env: EnvPtr, elements: &[Raw]) -> Result<Raw, DecodeError> {
    let count = u32::try_from(elements.len()).ok().filter(|count| u64::from(*count) <= LIMITS.elements);
    let count = count.ok_or(DecodeError::Refused(Refusal::Size))?;
    // SAFETY: `count` terms of this environment.
    Ok(unsafe { sys::enif_make_list_from_array(env, elements.as_ptr(), count) })
}

/// The atom of an exception type: an existing one always, another while the allowance lasts.
fn type_name(env: EnvPtr, name: &str) -> Raw {
    bounded(env, name).unwrap_or(words(env).python_error)
}

fn bounded(env: EnvPtr, name: &str) -> Option<Raw> {
    if let Some(atom) = atoms::existing(env, name) {
        return Some(atom);
    }
    let take = |left: usize| left.checked_sub(1);
    NEW_TYPE_NAMES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
    atoms::make(env, name)
}

/// `{unsupported_object, <<"int">>}` with the type as an atom, as in other errors; other reasons as they are.
fn named_type(env: EnvPtr, reason: Raw) -> Raw {
    let words = words(env);
    let Some(&[tag, name]) = beam::get_tuple(env, reason) else { return reason };
    if tag != words.unsupported_object {
        return reason;
    }
    let text = beam::get_binary(env, name).and_then(|name| std::str::from_utf8(name).ok());
    match text.and_then(|text| bounded(env, text)) {
        Some(name) => beam::tuple(env, [tag, name]),
        None => reason,
    }
}
