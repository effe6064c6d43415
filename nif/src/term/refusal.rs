//! Why bytes are no term: the worker is broken, or the BEAM has no such term.

use shm_proto::etf::{EtfError, OpaqueKind};

use super::atoms::words;
use crate::beam::{self, EnvPtr, Raw};

/// A worker sent bytes that no correct worker sends; the text names the check that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not decode a reply: {0}")]
pub struct Corrupt(pub &'static str);

/// Why there is no term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// The worker is broken.
    Corrupt(Corrupt),
    /// The bytes are fine, but the BEAM has no term for them.
    Refused(Refusal),
}

/// What the BEAM has no term for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// An atom that the node does not know.
    Atom,
    /// An opaque term that is not from this node's life, or of a node that it does not know.
    Opaque(OpaqueKind),
    /// An integer beyond what the BEAM computes with.
    Integer,
    /// Two keys of a map are the same term.
    Keys,
    /// More elements or heap than one reply may have.
    Size,
}

impl Refusal {
    /// The reason that the caller gets.
    pub(super) fn reason(self, env: EnvPtr) -> Raw {
        let words = words(env);
        let object = match self {
            Self::Atom => words.atom,
            Self::Opaque(OpaqueKind::Pid) => words.pid,
            Self::Opaque(OpaqueKind::Reference) => words.reference,
            Self::Opaque(OpaqueKind::Port) => words.port,
            Self::Opaque(OpaqueKind::Fun) => words.fun,
            Self::Integer => words.int,
            Self::Keys => words.dict,
            Self::Size => {
                let detail = beam::binary(env, b"the result has too many elements for one term");
                return beam::tuple(env, [words.system_limit, detail]);
            }
        };
        beam::tuple(env, [words.unsupported_object, object])
    }
}

impl From<EtfError> for DecodeError {
    fn from(error: EtfError) -> Self {
        Self::Corrupt(Corrupt(match error {
            EtfError::Limit => return Self::Refused(Refusal::Size),
            EtfError::Truncated => "data end inside a value",
            EtfError::UnknownTag(_) => "unknown tag",
            EtfError::Count => "count exceeds the data",
            EtfError::Utf8 => "text is not UTF-8",
            EtfError::UnknownKind(_) => "unknown kind",
            EtfError::Float => "float is not finite",
        }))
    }
}

pub(super) fn corrupt(check: &'static str) -> DecodeError {
    DecodeError::Corrupt(Corrupt(check))
}
