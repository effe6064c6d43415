//! Erlang terms to and from the codec of [`shm_proto::etf`].
//!
//! Nothing here recurses: both directions keep their own stacks, so nesting is bounded by memory alone. Nothing here allocates
//! for a small call either: the buffers belong to the thread and are used again. All functions build or read terms of the
//! environment that they are given and run on whatever thread may use it.

mod atoms;
mod chardata;
mod decode;
mod encode;
mod exception;
mod map;
mod nifs;
mod opaque;
mod refusal;
mod request;
mod scratch;
mod small;
mod special;

pub use atoms::existing as existing_atom;
pub use decode::{Blobs, Inline, decode_value};
pub use encode::EncodeError;
pub use exception::{decode_parts, decode_reply};
pub use nifs::{decode as nif_decode, encode as nif_encode};
pub use refusal::Corrupt;
pub use request::{Encoded, with_request, with_value};

/// Option bit of `submit` that the worker does not see: no tuple has a special meaning.
pub const TAGS_OFF: u16 = 1 << 9;

/// Binaries of this size and more travel outside the terms.
pub const BLOB_BYTES: usize = 16 * 1024;

/// Where blobs start: offsets are multiples of this.
const BLOB_ALIGN: u64 = 64;
