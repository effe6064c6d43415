//! Taking a buffer apart.

use thiserror::Error;

use super::tags::{self, BlobKind, ObjectKind, OpaqueKind};
use super::writer::{as_i64, trimmed};

/// Bounds of what a reader accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole buffer.
    pub bytes: usize,
    /// Values in it, each element of a container and each byte of a byte list included.
    pub elements: u64,
}

impl Default for Limits {
    /// 4 GiB and 2^32 values: the bounds of the format's own length fields.
    fn default() -> Self {
        Self { bytes: u32::MAX as usize, elements: 1 << 32 }
    }
}

/// Why bytes are not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EtfError {
    /// The buffer ends inside a value.
    #[error("could not decode a value: the data end too early")]
    Truncated,
    /// No value starts with this byte.
    #[error("could not decode a value: unknown tag {0}")]
    UnknownTag(u8),
    /// A container promises more elements than bytes are left for them.
    #[error("could not decode a container: its count exceeds the data")]
    Count,
    /// A text is not UTF-8.
    #[error("could not decode a text: it is not UTF-8")]
    Utf8,
    /// A kind or sign byte has no meaning.
    #[error("could not decode a value: unknown kind {0}")]
    UnknownKind(u8),
    /// The float is one that has a tag of its own.
    #[error("could not decode a float: it is not finite")]
    Float,
    /// A limit of [`Limits`] was reached.
    #[error("could not decode a value: it is larger than allowed")]
    Limit,
}

/// One step of a value. Containers announce how many values follow.
#[derive(Clone, Debug, PartialEq)]
pub enum Token<'a> {
    /// Python's `None`.
    None,
    /// True.
    True,
    /// False.
    False,
    /// The float that is not a number.
    Nan,
    /// Positive infinity.
    Inf,
    /// Negative infinity.
    NegInf,
    /// Every integer that 64 bits hold, however it was written.
    Int(i64),
    /// Every other integer.
    Big {
        /// Its sign.
        negative: bool,
        /// Little-endian, without leading zeros.
        magnitude: &'a [u8],
    },
    /// A finite float.
    Float(f64),
    /// A binary.
    Binary(&'a [u8]),
    /// Python `bytes`.
    Bytes(&'a [u8]),
    /// Python `str`.
    Str(&'a str),
    /// An atom.
    Atom(&'a str),
    /// The empty list, or the end of a [`Token::List`].
    Nil,
    /// This many elements follow, and after them a tail that must be [`Token::Nil`].
    List(u32),
    /// A whole list of integers from 0 to 255.
    ByteList(&'a [u8]),
    /// This many elements follow.
    Tuple(u32),
    /// This many pairs follow, each a key and a value.
    Map(u32),
    /// Data in the blob area; the reader does not know its bounds.
    Blob {
        /// What they stand for.
        kind: BlobKind,
        /// Bytes from the start of the blob area.
        offset: u64,
        /// Bytes.
        len: u64,
    },
    /// An array whose data follow as bytes or blob.
    Ndarray {
        /// Name of the element type.
        dtype: &'a str,
        /// Extent of each dimension.
        shape: ShapeIter<'a>,
    },
    /// An Erlang term that Python does not look into.
    Opaque {
        /// What it is.
        kind: OpaqueKind,
        /// The node's own encoding of it.
        data: &'a [u8],
    },
    /// An object that the worker keeps.
    Object {
        /// What it is.
        kind: ObjectKind,
        /// Slot and generation in the worker's table.
        id: u64,
    },
    /// The tuple that follows is an ordinary one.
    AsTuple,
}

/// The dimensions of an array, outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeIter<'a> {
    rest: &'a [u8],
}

impl Iterator for ShapeIter<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let (extent, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*extent))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.rest.len() / 8;
        (len, Some(len))
    }
}

impl ExactSizeIterator for ShapeIter<'_> {}

/// Reads values and raw fields from a buffer, in the order in which they were written.
///
/// A total function over bytes: nothing that a buffer holds makes it panic or allocate. The counts that containers announce
/// are checked together: at any moment the values still owed by all open containers are no more than the bytes that remain, so
/// that a caller may reserve memory for a count that it was given.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    owed: u64,
    elements_left: u64,
}

impl<'a> Reader<'a> {
    /// A reader of `data`; a buffer over the byte limit reads as [`EtfError::Limit`].
    #[inline]
    pub fn new(data: &'a [u8], limits: Limits) -> Self {
        let elements_left = if data.len() > limits.bytes { 0 } else { limits.elements };
        Self { data, at: 0, owed: 0, elements_left }
    }

    /// Bytes not yet read.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.data.len() - self.at
    }

    /// Bytes read.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next step of a value.
    ///
    /// # Errors
    /// [`EtfError`]; the reader is of no use after one.
    // An iterator would turn "the data end inside a value" into a silent end.
    #[allow(clippy::should_implement_trait)]
    #[inline(always)]
    pub fn next(&mut self) -> Result<Token<'a>, EtfError> {
        self.count(1)?;
        self.owed = self.owed.saturating_sub(1);
        let tag = self.u8()?;
        Ok(match tag {
            tags::SMALL_INTEGER => Token::Int(i64::from(self.u8()?)),
            tags::INTEGER => Token::Int(i64::from(i32::from_be_bytes(*self.array()?))),
            tags::NEW_FLOAT => {
                let value = f64::from_bits(u64::from_be_bytes(*self.array()?));
                if !value.is_finite() {
                    return Err(EtfError::Float);
                }
                Token::Float(value)
            }
            tags::BINARY => {
                let len = self.count_be()?;
                Token::Binary(self.take(len as usize)?)
            }
            tags::BYTES => Token::Bytes(self.counted()?),
            tags::STR => Token::Str(utf8(self.counted()?)?),
            tags::NONE => Token::None,
            tags::TRUE => Token::True,
            tags::FALSE => Token::False,
            tags::NIL => Token::Nil,
            tags::SMALL_ATOM_UTF8 => {
                let len = self.u8()?;
                Token::Atom(utf8(self.take(usize::from(len))?)?)
            }
            tags::SMALL_TUPLE => {
                let count = u32::from(self.u8()?);
                self.owe(u64::from(count))?;
                Token::Tuple(count)
            }
            tags::LIST => {
                let count = self.count_be()?;
                self.owe(u64::from(count) + 1)?;
                Token::List(count)
            }
            tags::MAP => {
                let count = self.count_be()?;
                self.owe(u64::from(count) * 2)?;
                Token::Map(count)
            }
            _ => return self.rare(tag),
        })
    }

    /// The next value if it is a whole integer of at most 32 bits; otherwise nothing is read. What [`Reader::next`] does, without a
    /// [`Token`] between two decisions about the same byte: most elements of most containers are such integers.
    #[inline(always)]
    pub fn short_int(&mut self) -> Option<i32> {
        let rest = self.data.get(self.at..)?;
        let (value, len) = match rest {
            [tags::SMALL_INTEGER, byte, ..] => (i32::from(*byte), 2),
            [tags::INTEGER, a, b, c, d, ..] => (i32::from_be_bytes([*a, *b, *c, *d]), 5),
            _ => return None,
        };
        self.elements_left = self.elements_left.checked_sub(1)?;
        self.owed = self.owed.saturating_sub(1);
        self.at += len;
        Some(value)
    }

    #[inline(never)]
    fn rare(&mut self, tag: u8) -> Result<Token<'a>, EtfError> {
        Ok(match tag {
            tags::NAN => Token::Nan,
            tags::INFINITY => Token::Inf,
            tags::NEG_INFINITY => Token::NegInf,
            tags::SMALL_BIG => {
                let len = self.u8()?;
                self.integer(usize::from(len))?
            }
            tags::LARGE_BIG => {
                let len = self.count_be()?;
                self.integer(len as usize)?
            }
            tags::ATOM_UTF8 => {
                let len = u16::from_be_bytes(*self.array()?);
                Token::Atom(utf8(self.take(usize::from(len))?)?)
            }
            tags::STRING => {
                let len = u16::from_be_bytes(*self.array()?);
                self.count(u64::from(len))?;
                Token::ByteList(self.take(usize::from(len))?)
            }
            tags::LARGE_TUPLE => {
                let count = self.count_be()?;
                self.owe(u64::from(count))?;
                Token::Tuple(count)
            }
            tags::AS_TUPLE => {
                self.owe(1)?;
                Token::AsTuple
            }
            tags::BLOB => {
                let kind = self.u8()?;
                let kind = BlobKind::from_byte(kind).ok_or(EtfError::UnknownKind(kind))?;
                let offset = u64::from_le_bytes(*self.array()?);
                let len = u64::from_le_bytes(*self.array()?);
                Token::Blob { kind, offset, len }
            }
            tags::NDARRAY => {
                let dtype = self.name()?;
                let dimensions = self.u8()?;
                let rest = self.take(usize::from(dimensions) * 8)?;
                self.owe(1)?;
                Token::Ndarray { dtype, shape: ShapeIter { rest } }
            }
            tags::OPAQUE => {
                let kind = self.u8()?;
                let kind = OpaqueKind::from_byte(kind).ok_or(EtfError::UnknownKind(kind))?;
                Token::Opaque { kind, data: self.counted()? }
            }
            tags::OBJECT => {
                let kind = self.u8()?;
                let kind = ObjectKind::from_byte(kind).ok_or(EtfError::UnknownKind(kind))?;
                Token::Object { kind, id: u64::from_le_bytes(*self.array()?) }
            }
            _ => return Err(EtfError::UnknownTag(tag)),
        })
    }

    fn integer(&mut self, len: usize) -> Result<Token<'a>, EtfError> {
        let negative = match self.u8()? {
            0 => false,
            1 => true,
            sign => return Err(EtfError::UnknownKind(sign)),
        };
        let magnitude = trimmed(self.take(len)?);
        Ok(match as_i64(negative, magnitude) {
            Some(value) => Token::Int(value),
            None => Token::Big { negative, magnitude },
        })
    }

    /// Raw field: a name, `u16` length and UTF-8.
    ///
    /// # Errors
    /// [`EtfError::Truncated`], [`EtfError::Utf8`].
    #[inline]
    pub fn name(&mut self) -> Result<&'a str, EtfError> {
        let len = u16::from_le_bytes(*self.array()?);
        utf8(self.take(usize::from(len))?)
    }

    /// Raw field: a text, `u32` length and UTF-8.
    ///
    /// # Errors
    /// [`EtfError::Truncated`], [`EtfError::Utf8`].
    pub fn text(&mut self) -> Result<&'a str, EtfError> {
        utf8(self.counted()?)
    }

    /// Raw field: a number.
    ///
    /// # Errors
    /// [`EtfError::Truncated`].
    #[inline]
    pub fn u32(&mut self) -> Result<u32, EtfError> {
        Ok(u32::from_le_bytes(*self.array()?))
    }

    /// Raw field: one byte.
    ///
    /// # Errors
    /// [`EtfError::Truncated`].
    #[inline]
    pub fn u8(&mut self) -> Result<u8, EtfError> {
        let byte = *self.data.get(self.at).ok_or(EtfError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], EtfError> {
        if len > self.remaining() {
            return Err(EtfError::Truncated);
        }
        let taken = &self.data[self.at..self.at + len];
        self.at += len;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], EtfError> {
        let array = self.data[self.at..].first_chunk::<N>().ok_or(EtfError::Truncated)?;
        self.at += N;
        Ok(array)
    }

    #[inline]
    fn counted(&mut self) -> Result<&'a [u8], EtfError> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    #[inline]
    fn count_be(&mut self) -> Result<u32, EtfError> {
        Ok(u32::from_be_bytes(*self.array()?))
    }

    #[inline]
    fn owe(&mut self, values: u64) -> Result<(), EtfError> {
        let owed = self.owed + values;
        if owed > self.remaining() as u64 {
            return Err(EtfError::Count);
        }
        self.owed = owed;
        Ok(())
    }

    #[inline]
    fn count(&mut self, elements: u64) -> Result<(), EtfError> {
        self.elements_left = self.elements_left.checked_sub(elements).ok_or(EtfError::Limit)?;
        Ok(())
    }
}

#[inline]
fn utf8(bytes: &[u8]) -> Result<&str, EtfError> {
    std::str::from_utf8(bytes).map_err(|_| EtfError::Utf8)
}
