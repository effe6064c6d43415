//! Response records: header, kinds and the status byte that starts every reply.

use crate::request::{Malformed, Place, u32_at, u64_at};

/// What a response record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The answer of a request; nothing of that request follows.
    Reply = 1,
    /// Python calls an Erlang function.
    Callback = 2,
    /// Python sends a message to an Erlang process.
    Send = 3,
    /// One item of a stream.
    Chunk = 4,
    /// A log event.
    Log = 5,
    /// A finished span.
    Span = 6,
}

/// First byte of a reply's payload, in cells as in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// One term follows.
    Value = 0,
    /// Type, module, message, traceback, causes and notes follow.
    Exception = 1,
    /// The ETF term of the reason follows.
    Refused = 2,
    /// Nothing follows.
    Interrupted = 3,
}

impl Status {
    /// The status with this wire number.
    pub fn from_byte(byte: u8) -> Option<Status> {
        Some(match byte {
            0 => Status::Value,
            1 => Status::Exception,
            2 => Status::Refused,
            3 => Status::Interrupted,
            _ => return None,
        })
    }
}

/// Header of a response record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Correlation id of the request.
    pub id: u64,
    /// What the record is.
    pub kind: Kind,
    /// Where the payload lies.
    pub place: Place,
    /// [`Header::INTERNAL`], [`Header::PARKED`], [`Header::ALONE`] or 0.
    pub flags: u16,
    /// Bytes that follow the header in the record: the payload, or the extent.
    pub len: u32,
    /// Time that the request took in the worker, in nanoseconds; display and load estimates only.
    pub service_ns: u64,
}

impl Header {
    /// Bytes of an encoded header.
    pub const SIZE: usize = 24;
    /// Flag of a reply: its request has published nothing before it, so that it need not wait for its turn behind messages.
    pub const ALONE: u16 = 4;
    /// Flag of a callback: its name is one of the node's own functions, not one that a program registered.
    pub const INTERNAL: u16 = 1;
    /// Flag of a chunk: the stream sends no more until it gets a credit record.
    pub const PARKED: u16 = 2;
    /// The correlation id of what no request published: another thread of the program did.
    pub const NO_REQUEST: u64 = u64::MAX;

    /// The wire form.
    #[inline]
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[0..8].copy_from_slice(&self.id.to_le_bytes());
        out[8] = self.kind as u8;
        out[9] = self.place as u8;
        out[10..12].copy_from_slice(&self.flags.to_le_bytes());
        out[12..16].copy_from_slice(&self.len.to_le_bytes());
        out[16..24].copy_from_slice(&self.service_ns.to_le_bytes());
        out
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are too few, or kind or place are unknown. `len` is not checked against the record.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Header, Malformed> {
        let b: &[u8; Self::SIZE] = bytes.first_chunk().ok_or(Malformed("header size"))?;
        let kind = match b[8] {
            1 => Kind::Reply,
            2 => Kind::Callback,
            3 => Kind::Send,
            4 => Kind::Chunk,
            5 => Kind::Log,
            6 => Kind::Span,
            _ => return Err(Malformed("response kind")),
        };
        Ok(Header {
            id: u64_at(b, 0),
            kind,
            place: Place::from_byte(b[9]).ok_or(Malformed("place"))?,
            flags: u16::from_le_bytes([b[10], b[11]]),
            len: u32_at(b, 12),
            service_ns: u64_at(b, 16),
        })
    }
}

/// What follows the header of a callback record, before the payload or the extent.
///
/// ```
/// use shm_proto::response::Call;
/// let call = Call { ticket: 9, root: 7, slot: 3 };
/// assert_eq!(Call::decode(&call.encode()), Some((call, &[][..])));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Ticket under which the slot waits.
    pub ticket: u64,
    /// First request of the chain of calls; requests that the called function makes carry it.
    pub root: u64,
    /// Callback slot of the waiting thread.
    pub slot: u32,
}

impl Call {
    /// Bytes of the wire form.
    pub const SIZE: usize = 24;

    /// The wire form.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[0..8].copy_from_slice(&self.ticket.to_le_bytes());
        out[8..16].copy_from_slice(&self.root.to_le_bytes());
        out[16..20].copy_from_slice(&self.slot.to_le_bytes());
        out
    }

    /// Reads the wire form and returns it with what follows; `None` if the bytes are too few.
    pub fn decode(bytes: &[u8]) -> Option<(Call, &[u8])> {
        let (head, rest) = bytes.split_at_checked(Self::SIZE)?;
        Some((Call { ticket: u64_at(head, 0), root: u64_at(head, 8), slot: u32_at(head, 16) }, rest))
    }
}
