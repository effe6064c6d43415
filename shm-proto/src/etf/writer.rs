//! Appending values to a buffer.

use thiserror::Error;

use super::tags::{self, BlobKind, ObjectKind, OpaqueKind};

/// A value has more bytes than its length field can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("could not encode a {what} of {len} bytes: at most {max} fit")]
pub struct TooLong {
    /// Which field it is.
    pub what: &'static str,
    /// Bytes that it has.
    pub len: usize,
    /// Bytes that it may have.
    pub max: usize,
}

/// Appends encoded values to a `Vec`. A container is its header followed by its elements; counts are the caller's duty.
///
/// Nothing is written when a method returns an error.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

const U32_LIMIT: usize = u32::MAX as usize;
const U16_LIMIT: usize = u16::MAX as usize;

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Bytes in the buffer, those from before this writer included.
    #[inline]
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// The buffer itself, for bytes that are encoded already.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Appends a tag and a field of fixed size: one look at the room and two stores, which `push` and `extend_from_slice` are not.
    #[inline(always)]
    fn tagged<const N: usize>(&mut self, tag: u8, rest: [u8; N]) {
        let len = self.out.len();
        if self.out.capacity() - len <= N {
            self.out.reserve(N + 1);
        }
        // SAFETY: there is room for the tag and N bytes, which are written before the length grows.
        unsafe {
            let end = self.out.as_mut_ptr().add(len);
            end.write(tag);
            end.add(1).cast::<[u8; N]>().write(rest);
            self.out.set_len(len + N + 1);
        }
    }

    #[inline]
    fn tagged_data(&mut self, tag: u8, len: [u8; 4], data: &[u8]) {
        self.out.reserve(data.len() + 5);
        self.tagged(tag, len);
        self.out.extend_from_slice(data);
    }

    /// Python's `None`.
    #[inline]
    pub fn none(&mut self) {
        self.out.push(tags::NONE);
    }

    /// A truth value.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.out.push(if value { tags::TRUE } else { tags::FALSE });
    }

    /// An integer of 64 bits.
    #[inline]
    pub fn int(&mut self, value: i64) {
        if let Ok(byte) = u8::try_from(value) {
            self.tagged(tags::SMALL_INTEGER, [byte]);
        } else if let Ok(word) = i32::try_from(value) {
            self.tagged(tags::INTEGER, word.to_be_bytes());
        } else {
            self.big_small(value < 0, &value.unsigned_abs().to_le_bytes());
        }
    }

    fn big_small(&mut self, negative: bool, magnitude: &[u8; 8]) {
        let len = trimmed(magnitude).len();
        self.tagged(tags::SMALL_BIG, [len as u8, u8::from(negative)]);
        self.out.extend_from_slice(&magnitude[..len]);
    }

    /// An integer of any size, from its sign and its little-endian magnitude; leading zeros are dropped.
    ///
    /// # Errors
    /// [`TooLong`] beyond 2^32-1 bytes.
    pub fn big(&mut self, negative: bool, magnitude: &[u8]) -> Result<(), TooLong> {
        let magnitude = trimmed(magnitude);
        if let Some(value) = as_i64(negative, magnitude) {
            self.int(value);
            return Ok(());
        }
        if let Ok(len) = u8::try_from(magnitude.len()) {
            self.tagged(tags::SMALL_BIG, [len, u8::from(negative)]);
        } else {
            let len = length("integer", magnitude.len())?;
            self.tagged(tags::LARGE_BIG, len.to_be_bytes());
            self.out.push(u8::from(negative));
        }
        self.out.extend_from_slice(magnitude);
        Ok(())
    }

    /// A float, the three that Erlang has no number for included.
    #[inline]
    pub fn float(&mut self, value: f64) {
        if value.is_finite() {
            self.tagged(tags::NEW_FLOAT, value.to_bits().to_be_bytes());
        } else if value.is_nan() {
            self.nan();
        } else if value > 0.0 {
            self.inf();
        } else {
            self.neg_inf();
        }
    }

    /// The float that is not a number.
    pub fn nan(&mut self) {
        self.out.push(tags::NAN);
    }

    /// Positive infinity.
    pub fn inf(&mut self) {
        self.out.push(tags::INFINITY);
    }

    /// Negative infinity.
    pub fn neg_inf(&mut self) {
        self.out.push(tags::NEG_INFINITY);
    }

    /// A binary without a statement of what it is.
    ///
    /// # Errors
    /// [`TooLong`] beyond 2^32-1 bytes.
    #[inline]
    pub fn binary(&mut self, data: &[u8]) -> Result<(), TooLong> {
        let len = length("binary", data.len())?;
        self.tagged_data(tags::BINARY, len.to_be_bytes(), data);
        Ok(())
    }

    /// Python `bytes`.
    ///
    /// # Errors
    /// [`TooLong`] beyond 2^32-1 bytes.
    #[inline]
    pub fn bytes(&mut self, data: &[u8]) -> Result<(), TooLong> {
        let len = length("bytes", data.len())?;
        self.tagged_data(tags::BYTES, len.to_le_bytes(), data);
        Ok(())
    }

    /// Python `str`.
    ///
    /// # Errors
    /// [`TooLong`] beyond 2^32-1 bytes.
    #[inline]
    pub fn str(&mut self, text: &str) -> Result<(), TooLong> {
        let len = length("str", text.len())?;
        self.tagged_data(tags::STR, len.to_le_bytes(), text.as_bytes());
        Ok(())
    }

    /// An atom. That the BEAM takes at most 255 characters is the receiver's check.
    ///
    /// # Errors
    /// [`TooLong`] beyond 65535 bytes.
    #[inline]
    pub fn atom(&mut self, text: &str) -> Result<(), TooLong> {
        if let Ok(len) = u8::try_from(text.len()) {
            self.tagged(tags::SMALL_ATOM_UTF8, [len]);
        } else {
            let len = short_length("atom", text.len())?;
            self.tagged(tags::ATOM_UTF8, len.to_be_bytes());
        }
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Start of a list of `count` elements; after them comes [`Writer::nil`].
    #[inline]
    pub fn list_header(&mut self, count: u32) {
        self.tagged(tags::LIST, count.to_be_bytes());
    }

    /// The empty list, and the end of every other.
    #[inline]
    pub fn nil(&mut self) {
        self.out.push(tags::NIL);
    }

    /// Start of a tuple of `count` elements.
    #[inline]
    pub fn tuple_header(&mut self, count: u32) {
        if let Ok(count) = u8::try_from(count) {
            self.tagged(tags::SMALL_TUPLE, [count]);
        } else {
            self.tagged(tags::LARGE_TUPLE, count.to_be_bytes());
        }
    }

    /// Start of a map of `count` pairs, each a key and a value.
    #[inline]
    pub fn map_header(&mut self, count: u32) {
        self.tagged(tags::MAP, count.to_be_bytes());
    }

    /// Mark the tuple that follows as an ordinary one.
    pub fn as_tuple(&mut self) {
        self.out.push(tags::AS_TUPLE);
    }

    /// An opaque Erlang term.
    ///
    /// # Errors
    /// [`TooLong`] beyond 2^32-1 bytes.
    pub fn opaque(&mut self, kind: OpaqueKind, data: &[u8]) -> Result<(), TooLong> {
        let len = length("opaque term", data.len())?;
        self.tagged(tags::OPAQUE, [kind as u8]);
        self.out.extend_from_slice(&len.to_le_bytes());
        self.out.extend_from_slice(data);
        Ok(())
    }

    /// An object that the worker keeps.
    pub fn object(&mut self, kind: ObjectKind, id: u64) {
        self.tagged(tags::OBJECT, [kind as u8]);
        self.out.extend_from_slice(&id.to_le_bytes());
    }

    /// Data that lies `offset` bytes into the blob area.
    pub fn blob(&mut self, kind: BlobKind, offset: u64, len: u64) {
        self.tagged(tags::BLOB, [kind as u8]);
        self.out.extend_from_slice(&offset.to_le_bytes());
        self.out.extend_from_slice(&len.to_le_bytes());
    }

    /// Start of an array; its data follow as [`Writer::bytes`] or [`Writer::blob`].
    ///
    /// # Errors
    /// [`TooLong`] for a dtype beyond 65535 bytes or more than 255 dimensions.
    pub fn ndarray_header(&mut self, dtype: &str, shape: &[u64]) -> Result<(), TooLong> {
        let dimensions = u8::try_from(shape.len()).map_err(|_| TooLong {
            what: "array shape",
            len: shape.len(),
            max: u8::MAX as usize,
        })?;
        let len = short_length("dtype", dtype.len())?;
        self.tagged(tags::NDARRAY, len.to_le_bytes());
        self.out.extend_from_slice(dtype.as_bytes());
        self.out.push(dimensions);
        for extent in shape {
            self.out.extend_from_slice(&extent.to_le_bytes());
        }
        Ok(())
    }

    /// Raw field: a name, `u16` length and UTF-8.
    ///
    /// # Errors
    /// [`TooLong`] beyond 65535 bytes.
    #[inline]
    pub fn name(&mut self, text: &str) -> Result<(), TooLong> {
        let len = short_length("name", text.len())?;
        self.out.extend_from_slice(&len.to_le_bytes());
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Raw field: a text, `u32` length and UTF-8.
    ///
    /// # Errors
    /// [`TooLong`] beyond 2^32-1 bytes.
    pub fn text(&mut self, text: &str) -> Result<(), TooLong> {
        let len = length("text", text.len())?;
        self.out.extend_from_slice(&len.to_le_bytes());
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Raw field: a number.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// Raw field: one byte.
    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }
}

#[inline]
fn length(what: &'static str, len: usize) -> Result<u32, TooLong> {
    u32::try_from(len).map_err(|_| TooLong { what, len, max: U32_LIMIT })
}

#[inline]
fn short_length(what: &'static str, len: usize) -> Result<u16, TooLong> {
    u16::try_from(len).map_err(|_| TooLong { what, len, max: U16_LIMIT })
}

/// A little-endian magnitude without its leading zeros.
pub(super) fn trimmed(magnitude: &[u8]) -> &[u8] {
    let len = magnitude.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &magnitude[..len]
}

/// The number, if 64 bits hold it; `magnitude` has no leading zeros.
pub(super) fn as_i64(negative: bool, magnitude: &[u8]) -> Option<i64> {
    if magnitude.len() > 8 {
        return None;
    }
    let mut padded = [0; 8];
    padded[..magnitude.len()].copy_from_slice(magnitude);
    let value = u64::from_le_bytes(padded);
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}
