//! Terms as bytes: Erlang's External Term Format without the version byte, plus private tags.
//!
//! [`Writer`] appends values to a buffer, [`Reader`] takes a buffer apart into [`Token`]s. Neither recurses, neither
//! knows the BEAM or Python; both sides build their own conversions on these two. The format is that of
//! <https://www.erlang.org/doc/apps/erts/erl_ext_dist.html>; which subset travels in which direction is a table in
//! `docs/architecture.md`. Integers inside ETF tags are big-endian, those of private tags and raw fields little-endian.
//!
//! ```
//! use shm_proto::etf::{Limits, Reader, Token, Writer};
//!
//! let mut bytes = Vec::new();
//! let mut writer = Writer::new(&mut bytes);
//! writer.list_header(2);
//! writer.int(7);
//! writer.none();
//! writer.nil();
//!
//! let mut reader = Reader::new(&bytes, Limits::default());
//! assert_eq!(reader.next(), Ok(Token::List(2)));
//! assert_eq!(reader.next(), Ok(Token::Int(7)));
//! assert_eq!(reader.next(), Ok(Token::None));
//! assert_eq!(reader.next(), Ok(Token::Nil));
//! assert_eq!(reader.remaining(), 0);
//! ```

mod reader;
pub mod tags;
mod writer;

pub use reader::{EtfError, Limits, Reader, ShapeIter, Token};
pub use tags::{BlobKind, ObjectKind, OpaqueKind};
pub use writer::{TooLong, Writer};

#[cfg(all(test, not(loom)))]
mod tests;
