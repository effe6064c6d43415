//! First bytes of encoded values.

/// Private: Python's `None`; one of `none`, `nil`, `undefined` in Erlang.
pub const NONE: u8 = 1;
/// Private: true.
pub const TRUE: u8 = 2;
/// Private: false.
pub const FALSE: u8 = 3;
/// Private: the float that is not a number.
pub const NAN: u8 = 4;
/// Private: positive infinity.
pub const INFINITY: u8 = 5;
/// Private: negative infinity.
pub const NEG_INFINITY: u8 = 6;
/// Private: the tuple that follows has no special meaning whatever its first element is.
pub const AS_TUPLE: u8 = 7;
/// Private: Python `bytes`: `u32` length, data.
pub const BYTES: u8 = 8;
/// Private: Python `str`: `u32` length, UTF-8.
pub const STR: u8 = 9;
/// Private: data in the blob area: kind, `u64` offset, `u64` length.
pub const BLOB: u8 = 10;
/// Private: array: dtype name (`u16` length, UTF-8), `u8` dimensions, `u64` per dimension; then a bytes or blob value.
pub const NDARRAY: u8 = 11;
/// Private: pid, reference, port or fun: kind, `u32` length, data.
pub const OPAQUE: u8 = 12;
/// Private: handle of an object that the worker keeps: kind, `u64` id.
pub const OBJECT: u8 = 13;

/// IEEE double.
pub const NEW_FLOAT: u8 = 70;
/// Integer from 0 to 255.
pub const SMALL_INTEGER: u8 = 97;
/// 32-bit signed integer.
pub const INTEGER: u8 = 98;
/// Tuple of at most 255 elements.
pub const SMALL_TUPLE: u8 = 104;
/// Tuple with a 32-bit count.
pub const LARGE_TUPLE: u8 = 105;
/// Empty list.
pub const NIL: u8 = 106;
/// List of integers from 0 to 255, at most 65535 of them.
pub const STRING: u8 = 107;
/// List: count, elements, tail.
pub const LIST: u8 = 108;
/// Binary.
pub const BINARY: u8 = 109;
/// Integer of at most 255 bytes.
pub const SMALL_BIG: u8 = 110;
/// Integer with a 32-bit byte count.
pub const LARGE_BIG: u8 = 111;
/// Map: count of pairs, then keys and values in turn.
pub const MAP: u8 = 116;
/// Atom, `u16` length.
pub const ATOM_UTF8: u8 = 118;
/// Atom, `u8` length.
pub const SMALL_ATOM_UTF8: u8 = 119;

/// What the bytes of a blob stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BlobKind {
    /// Python `bytes`.
    Bytes = 1,
    /// Python `str`, UTF-8.
    Str = 2,
    /// Down: `str` if valid UTF-8, else `bytes`. Up: a binary.
    Binary = 3,
    /// A read-only buffer over the blob itself, without a copy.
    Buffer = 4,
}

impl BlobKind {
    /// The kind that a byte names, if it names one.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Bytes),
            2 => Some(Self::Str),
            3 => Some(Self::Binary),
            4 => Some(Self::Buffer),
            _ => None,
        }
    }
}

/// What an object handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ObjectKind {
    /// Any object.
    Object = 1,
    /// A generator or another iterator.
    Generator = 2,
}

impl ObjectKind {
    /// The kind that a byte names, if it names one.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Object),
            2 => Some(Self::Generator),
            _ => None,
        }
    }
}

/// What kind of Erlang term an opaque value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum OpaqueKind {
    /// Process identifier.
    Pid = 1,
    /// Reference.
    Reference = 2,
    /// Port identifier.
    Port = 3,
    /// Function, local or external.
    Fun = 4,
}

impl OpaqueKind {
    /// The kind that a byte names, if it names one.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Pid),
            2 => Some(Self::Reference),
            3 => Some(Self::Port),
            4 => Some(Self::Fun),
            _ => None,
        }
    }
}
