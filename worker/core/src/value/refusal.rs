//! Reasons that the node is told when a value cannot cross.

use shm_proto::etf::{Reader, Token, TooLong, Writer};

use super::decode::DecodeError;
use super::encode::EncodeError;
use super::extent::ExtentRef;
use crate::handle;

impl DecodeError {
    /// Appends the reason as a term, such as `{unsupported_term, K}`; `false` if a Python exception is set that says it.
    pub fn refusal(&self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Python => return false,
            Self::DuplicateKey(key) => {
                pair(out, "unsupported_term");
                pair(out, "duplicate_key");
                out.extend_from_slice(key);
            }
            Self::UnsupportedKey(key) => {
                pair(out, "unsupported_term");
                out.extend_from_slice(key);
            }
            Self::Etf(_) | Self::Malformed(_) | Self::Released => {
                pair(out, "badarg");
                binary(out, &self.to_string());
            }
        }
        true
    }
}

impl EncodeError {
    /// Appends the reason as a term, such as `{unsupported_object, <<"generator">>}`; `false` if a Python exception is set that
    /// says it.
    pub fn refusal(&self, out: &mut Vec<u8>) -> bool {
        let name = match self {
            Self::Python => return false,
            Self::Unsupported { type_name } => type_name,
            Self::Cycle => "cycle",
        };
        pair(out, "unsupported_object");
        binary(out, name);
        true
    }
}

fn pair(out: &mut Vec<u8>, name: &str) {
    let mut writer = Writer::new(out);
    writer.tuple_header(2);
    // The names are the short ones above.
    let _ = writer.atom(name);
}

fn binary(out: &mut Vec<u8>, text: &str) {
    // Messages and type names are far below the 4 GiB that fit.
    let _ = Writer::new(out).binary(text.as_bytes());
}

/// Copies the key at `from..to` of `start`'s buffer in the form in which values go to the node: no tags that only go down, no
/// blobs of the request's extent, and handles of its own.
///
/// # Safety
/// The GIL is held.
pub(super) unsafe fn copy_key(
    start: &Reader<'_>,
    from: usize,
    to: usize,
    extent: Option<&ExtentRef<'_>>,
) -> Result<Vec<u8>, DecodeError> {
    let mut reader = start.clone();
    let mut key = Vec::new();
    while reader.position() < to {
        if reader.position() < from {
            reader.next()?;
        } else {
            // SAFETY: the caller's promise.
            unsafe { copy_token(&mut reader, extent, &mut Writer::new(&mut key))? };
        }
    }
    Ok(key)
}

/// # Safety
/// The GIL is held.
unsafe fn copy_token(
    reader: &mut Reader<'_>,
    extent: Option<&ExtentRef<'_>>,
    writer: &mut Writer<'_>,
) -> Result<(), DecodeError> {
    let too_long = |_: TooLong| DecodeError::Malformed("a key is too long");
    match reader.next()? {
        Token::None => writer.none(),
        Token::True => writer.bool(true),
        Token::False => writer.bool(false),
        Token::Nan => writer.nan(),
        Token::Inf => writer.inf(),
        Token::NegInf => writer.neg_inf(),
        Token::Int(value) => writer.int(value),
        Token::Big { negative, magnitude } => writer.big(negative, magnitude).map_err(too_long)?,
        Token::Float(value) => writer.float(value),
        Token::Binary(data) | Token::Bytes(data) => writer.binary(data).map_err(too_long)?,
        Token::Str(text) => writer.binary(text.as_bytes()).map_err(too_long)?,
        Token::Atom(name) => writer.atom(name).map_err(too_long)?,
        Token::Nil => writer.nil(),
        Token::List(count) => writer.list_header(count),
        Token::ByteList(bytes) => {
            writer.list_header(bytes.len() as u32);
            bytes.iter().for_each(|byte| writer.int((*byte).into()));
            writer.nil();
        }
        Token::Tuple(count) => writer.tuple_header(count),
        Token::Map(count) => writer.map_header(count),
        Token::Blob { offset, len, .. } => {
            let data = extent.and_then(|extent| extent.blob(offset, len));
            let data = data.ok_or(DecodeError::Malformed("a blob lies outside its area"))?;
            writer.binary(data).map_err(too_long)?;
        }
        Token::Ndarray { dtype, shape } => {
            writer.ndarray_header(dtype, &shape.collect::<Vec<_>>()).map_err(too_long)?;
        }
        Token::Opaque { kind, data } => writer.opaque(kind, data).map_err(too_long)?,
        Token::Object { kind, id } => {
            // The node lets go of every handle that it is sent, so the one that it has must not come back to it.
            // SAFETY: the caller's promise.
            let id = unsafe { handle::get(id).and_then(|object| handle::keep(object)) };
            writer.object(kind, id.ok_or(DecodeError::Released)?);
        }
        Token::AsTuple => {}
    }
    Ok(())
}
