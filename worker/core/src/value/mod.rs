//! Python objects to and from encoded terms, and the types of module `erlang` that values need.
//!
//! Neither direction recurses on the C stack, so nesting is bounded by memory alone. Every function here needs the GIL.
//!
//! # Keys
//! Two keys of a map that Python holds equal (`1` and `1.0`, `true` and `1`, `a` and `<<"a">>`) are refused, and so is a key that
//! Python cannot hash. The other way round, two keys of a dict that become one term (`"a"` and `b"a"`, two NaNs, two
//! objects of one `str()`) are refused; see [`encode`] for how that is found out.

mod args;
mod atom;
mod buffer;
mod decode;
mod decode_leaf;
mod encode;
mod encode_leaf;
mod extent;
#[cfg(fuzzing)]
pub mod fuzzing;
mod inspect;
mod interp;
mod lazy;
mod ndarray;
mod opaque;
mod refusal;
#[cfg(feature = "selftest")]
mod selftest;
mod text;

pub use args::CallArgs;
pub use decode::{DecodeError, decode_terms};
pub use encode::{EncodeError, encode_item, encode_value};
pub use extent::{BlobSink, ExtentRef, Lease};
pub use interp::{init, register};

/// Strings and bytes of this size and more travel outside the terms.
pub const BLOB_BYTES: usize = 16 * 1024;
