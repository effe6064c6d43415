//! Terms that Python holds without looking into them: pids, references, ports, funs.
//!
//! They travel in the BEAM's own format. A term of this node has the marker in place of the node's name and creation, since both
//! change when distribution starts or stops, and Python compares the bytes. Nothing but what fits the known
//! shapes is given to `binary_to_term`; a fun carries a keyed hash, so only bytes that this node handed out come back as one.

use std::hash::Hasher;
use std::sync::OnceLock;

use rustler::sys;
use shm_proto::etf::{OpaqueKind, Writer, tags};
use siphasher::sip128::{Hasher128, SipHasher24};

use super::atoms::{external, internal};
use crate::beam::EnvPtr;

const NEW_PID: u8 = 88;
const NEW_PORT: u8 = 89;
const NEWER_REFERENCE: u8 = 90;
const ATOM_LATIN1: u8 = 100;
const NEW_FUN: u8 = 112;
const EXPORT: u8 = 113;
const V4_PORT: u8 = 120;
const VERSION: u8 = 131;

/// The empty atom: no node has this name.
const MARKER: [u8; 2] = [tags::SMALL_ATOM_UTF8, 0];

/// A reference has at most this many words.
const REFERENCE_WORDS: usize = 5;

/// A pid, reference or port taken apart.
struct Parts<'a> {
    head: &'a [u8],
    node: &'a [u8],
    before: &'a [u8],
    creation: &'a [u8],
    after: &'a [u8],
}

impl<'a> Parts<'a> {
    /// `None` unless the bytes have exactly the shape of a term of this kind.
    fn of(kind: OpaqueKind, bytes: &'a [u8]) -> Option<Self> {
        let (&tag, _) = bytes.split_first()?;
        let (head, before, after) = match (kind, tag) {
            (OpaqueKind::Pid, NEW_PID) => (1, 8, 0),
            (OpaqueKind::Port, NEW_PORT) => (1, 4, 0),
            (OpaqueKind::Port, V4_PORT) => (1, 8, 0),
            (OpaqueKind::Reference, NEWER_REFERENCE) => {
                let words = usize::from(u16::from_be_bytes(*bytes.get(1..)?.first_chunk()?));
                if words == 0 || words > REFERENCE_WORDS {
                    return None;
                }
                (3, 0, 4 * words)
            }
            _ => return None,
        };
        let (head, rest) = bytes.split_at_checked(head)?;
        let (node, rest) = rest.split_at_checked(atom_len(rest)?)?;
        let (before, rest) = rest.split_at_checked(before)?;
        let (creation, rest) = rest.split_at_checked(4)?;
        (rest.len() == after).then_some(Self { head, node, before, creation, after: rest })
    }

    fn join(&self, node: &[u8], creation: &[u8], out: &mut Vec<u8>) {
        for part in [self.head, node, self.before, creation, self.after] {
            out.extend_from_slice(part);
        }
    }
}

/// Bytes of the encoded atom at the start of `bytes`.
fn atom_len(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [tags::SMALL_ATOM_UTF8, len, ..] => Some(2 + usize::from(len)),
        [tags::ATOM_UTF8 | ATOM_LATIN1, a, b, ..] => Some(3 + usize::from(u16::from_be_bytes([a, b]))),
        _ => None,
    }
}

/// Name and creation of this node, as its terms have them at the moment.
pub(super) struct OwnNode {
    node: Vec<u8>,
    creation: [u8; 4],
}

impl OwnNode {
    /// Read from a fresh reference: no function of the emulator tells them. `None` if memory is short.
    pub(super) fn of(env: EnvPtr) -> Option<Self> {
        // SAFETY: plain constructor.
        let reference = unsafe { sys::enif_make_ref(env) };
        let external = external(env, reference)?;
        let parts = Parts::of(OpaqueKind::Reference, external.bytes())?;
        Some(Self { node: parts.node.to_vec(), creation: *parts.creation.first_chunk()? })
    }
}

/// Writes an opaque value; `bytes` are the term as the BEAM encodes it. `None` if they have no known shape.
pub(super) fn write(kind: OpaqueKind, bytes: &[u8], own: &OwnNode, writer: &mut Writer<'_>) -> Option<()> {
    let mut data = Vec::with_capacity(bytes.len() + 16);
    if kind == OpaqueKind::Fun {
        data.extend_from_slice(bytes);
        data.extend_from_slice(&seal(bytes));
    } else {
        let parts = Parts::of(kind, bytes)?;
        if parts.node == own.node && parts.creation == own.creation {
            parts.join(&MARKER, &[0; 4], &mut data);
        } else {
            data.extend_from_slice(bytes);
        }
    }
    writer.opaque(kind, &data).ok()
}

/// The term that [`write`] took apart; `None` if the bytes are not such, or name a node that this one never met.
pub(super) fn read(env: EnvPtr, kind: OpaqueKind, data: &[u8]) -> Option<crate::beam::Raw> {
    let mut bytes = Vec::with_capacity(data.len() + 64);
    bytes.push(VERSION);
    if kind == OpaqueKind::Fun {
        let (fun, hash) = data.split_last_chunk::<16>()?;
        if seal(fun) != *hash || !matches!(fun.first(), Some(&(NEW_FUN | EXPORT))) {
            return None;
        }
        bytes.extend_from_slice(fun);
        return internal(env, &bytes, true);
    }
    let parts = Parts::of(kind, data)?;
    if parts.node == MARKER {
        let own = OwnNode::of(env)?;
        parts.join(&own.node, &own.creation, &mut bytes);
    } else {
        bytes.extend_from_slice(data);
    }
    internal(env, &bytes, false)
}

/// Keyed hash of a fun.
fn seal(bytes: &[u8]) -> [u8; 16] {
    static KEY: OnceLock<[u8; 16]> = OnceLock::new();
    let mut hasher = SipHasher24::new_with_key(KEY.get_or_init(random_key));
    hasher.write(bytes);
    hasher.finish128().as_bytes()
}

fn random_key() -> [u8; 16] {
    let mut key = [0u8; 16];
    // SAFETY: pointer and length describe the array.
    let got = unsafe { libc::getrandom(key.as_mut_ptr().cast(), key.len(), 0) };
    // The kernel hands out up to 256 bytes whole or not at all, and fails only where the call does not exist.
    assert_eq!(got, key.len() as isize, "the kernel has no random numbers");
    key
}
