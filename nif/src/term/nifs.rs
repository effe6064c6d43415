//! The codec by itself, for tests and benchmarks.
//!
//! Both functions work on one self-contained binary: the terms, then at the next multiple of 64 the blob area. With option bit 15
//! `encode` takes a request as `submit` does, and `decode` a reply with its status byte.

use std::ffi::c_int;

use rustler::sys;
use shm_proto::etf::{EtfError, Limits, Reader, Token};
use shm_proto::request::Options;

use super::atoms::words;
use super::decode::{Blobs, NoBlobs, whole};
use super::encode::{EncodeError, Encoder};
use super::exception::decode_parts;
use super::refusal::{Corrupt, DecodeError};
use super::request::encode_request;
use super::scratch::{Scratch, with_scratch};
use crate::beam::{self, EnvPtr, Raw, guarded};

/// Bytes that a normal scheduler handles; what is larger is repeated on a dirty one.
const NORMAL_BYTES: usize = 32 * 1024;

/// Option bit: a whole request or reply instead of one term.
const WHOLE_MESSAGE: u16 = 1 << 15;

fn arguments<'a>(argc: c_int, argv: *const Raw) -> &'a [Raw] {
    // SAFETY: the emulator passes `argc` terms that outlive the call.
    unsafe { std::slice::from_raw_parts(argv, argc as usize) }
}

fn options(env: EnvPtr, term: Raw) -> Option<Options> {
    beam::get_u64(env, term).and_then(|bits| u16::try_from(bits).ok()).map(Options)
}

fn badarg(env: EnvPtr) -> Raw {
    // SAFETY: the result goes straight back to the emulator.
    unsafe { sys::enif_make_badarg(env) }
}

type Nif = unsafe extern "C" fn(EnvPtr, c_int, *const Raw) -> Raw;

fn on_dirty_scheduler(env: EnvPtr, name: &std::ffi::CStr, nif: Nif, argc: c_int, argv: *const Raw) -> Raw {
    let flags = sys::ERL_NIF_DIRTY_JOB_CPU_BOUND as c_int;
    // SAFETY: the arguments are those of this call, and the result goes straight back to the emulator.
    unsafe { sys::enif_schedule_nif(env, name.as_ptr(), flags, nif, argc, argv) }
}

/// `encode(Term, Options) -> Binary | {error, Reason}`. Normal scheduler up to 32 KiB, then a dirty one.
///
/// # Safety
/// Called by the emulator with two arguments.
pub unsafe extern "C" fn encode(env: EnvPtr, argc: c_int, argv: *const Raw) -> Raw {
    guarded(env, || {
        encode_within(env, argc, argv, NORMAL_BYTES)
            .unwrap_or_else(|| on_dirty_scheduler(env, c"encode", encode_dirty, argc, argv))
    })
}

unsafe extern "C" fn encode_dirty(env: EnvPtr, argc: c_int, argv: *const Raw) -> Raw {
    guarded(env, || {
        encode_within(env, argc, argv, usize::MAX).unwrap_or_else(|| {
            let reason = EncodeError::TooLarge.reason(env);
            beam::tuple(env, [words(env).error, reason])
        })
    })
}

fn encode_within(env: EnvPtr, argc: c_int, argv: *const Raw, budget: usize) -> Option<Raw> {
    let &[term, bits] = arguments(argc, argv) else { return Some(badarg(env)) };
    let Some(options) = options(env, bits) else { return Some(badarg(env)) };
    with_scratch(|scratch| {
        let encoded = if options.has(WHOLE_MESSAGE) {
            encode_request(scratch, env, term, options, budget).map(drop)
        } else {
            Encoder::new(env, scratch, options, budget).value(term)
        };
        match encoded {
            Ok(()) => Some(assemble(env, scratch)),
            Err(EncodeError::TooLarge) => None,
            Err(error) => Some(beam::tuple(env, [words(env).error, error.reason(env)])),
        }
    })
}

fn assemble(env: EnvPtr, scratch: &Scratch) -> Raw {
    if scratch.blob_bytes == 0 {
        return beam::binary(env, &scratch.terms);
    }
    let area = scratch.terms.len().next_multiple_of(64);
    let mut whole = scratch.terms.clone();
    whole.resize(area + scratch.blob_bytes as usize, 0);
    for blob in &scratch.blobs {
        let bytes = blob.bytes();
        whole[area + blob.offset() as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    beam::binary(env, &whole)
}

/// `decode(Binary, Options) -> {ok, Term} | {error, Reason}`; `{error, {corrupt, Check}}` for what no worker sends. Normal
/// scheduler up to 32 KiB, then a dirty one.
///
/// # Safety
/// Called by the emulator with two arguments.
pub unsafe extern "C" fn decode(env: EnvPtr, argc: c_int, argv: *const Raw) -> Raw {
    let large = arguments(argc, argv).first().and_then(|binary| beam::get_binary(env, *binary));
    if large.is_some_and(|bytes| bytes.len() > NORMAL_BYTES) {
        return on_dirty_scheduler(env, c"decode", decode_dirty, argc, argv);
    }
    guarded(env, || decode_now(env, argc, argv))
}

unsafe extern "C" fn decode_dirty(env: EnvPtr, argc: c_int, argv: *const Raw) -> Raw {
    guarded(env, || decode_now(env, argc, argv))
}

fn decode_now(env: EnvPtr, argc: c_int, argv: *const Raw) -> Raw {
    let &[binary, bits] = arguments(argc, argv) else { return badarg(env) };
    let (Some(bytes), Some(options)) = (beam::get_binary(env, binary), options(env, bits)) else {
        return badarg(env);
    };
    let decoded = if options.has(WHOLE_MESSAGE) {
        decode_parts(env, bytes, options.0, &NoBlobs).map_err(DecodeError::Corrupt)
    } else {
        decode_area(env, bytes, options).map(|term| (true, term))
    };
    let words = words(env);
    match decoded {
        Ok((ok, term)) => beam::tuple(env, [if ok { words.ok } else { words.error }, term]),
        Err(DecodeError::Refused(refusal)) => beam::tuple(env, [words.error, refusal.reason(env)]),
        Err(DecodeError::Corrupt(Corrupt(check))) => {
            let check = beam::binary(env, check.as_bytes());
            beam::tuple(env, [words.error, beam::tuple(env, [words.corrupt, check])])
        }
    }
}

fn decode_area(env: EnvPtr, bytes: &[u8], options: Options) -> Result<Raw, DecodeError> {
    // What ends too early has no blob area; the decoder says what is wrong with it.
    let terms = terms_len(bytes).unwrap_or(bytes.len());
    let area = bytes.get(terms.next_multiple_of(64)..).unwrap_or_default();
    let (terms, behind) = bytes.split_at(terms);
    let terms = if area.is_empty() && !behind.is_empty() { bytes } else { terms };
    whole(env, terms, options, &Area(area))
}

struct Area<'a>(&'a [u8]);

impl Blobs for Area<'_> {
    fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        let found = usize::try_from(offset).ok().and_then(|start| self.0.get(start..)?.get(..out.len()));
        if let Some(data) = found {
            out.copy_from_slice(data);
        }
        found.is_some()
    }
}

/// Bytes of the first term.
fn terms_len(bytes: &[u8]) -> Result<usize, EtfError> {
    let mut reader = Reader::new(bytes, Limits::default());
    let mut open = 1u64;
    while open > 0 {
        open += match reader.next()? {
            Token::List(count) => u64::from(count) + 1,
            Token::Tuple(count) => u64::from(count),
            Token::Map(count) => 2 * u64::from(count),
            Token::AsTuple | Token::Ndarray { .. } => 1,
            _ => 0,
        };
        open -= 1;
    }
    Ok(reader.position())
}
