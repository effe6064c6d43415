//! Request records: header, kinds, options and the extent of a payload that does not travel in the record.

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Call a function of a module.
    Call = 1,
    /// Value of one expression.
    Eval = 2,
    /// Run statements in `__main__`.
    Exec = 3,
    /// Call a method of the first argument.
    Method = 4,
    /// Let go of objects: the payload are the ids of their handles, a `u64` each.
    Release = 5,
    /// As [`Kind::Call`]; the items of the iterator that comes of it are sent one by one.
    Stream = 6,
    /// As [`Kind::Eval`]; the items of the iterator that comes of it are sent one by one.
    StreamEval = 7,
    /// A parked stream, whose id this record bears, goes on; without credit it is closed. There is no payload.
    Credit = 8,
    /// Put the state that programs can change back to what the node has set up. No payload.
    Reset = 9,
}

impl Kind {
    /// Whether requests of this kind belong to a stream: their field `cell` is the credit.
    #[inline]
    pub fn is_stream(self) -> bool {
        matches!(self, Kind::Stream | Kind::StreamEval | Kind::Credit)
    }
}

/// Where a payload lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    /// It follows the header in the record.
    Inline = 0,
    /// An [`Extent`] follows that names an arena lease.
    Arena = 1,
    /// An [`Extent`] follows that names a memfd of its own.
    Segment = 2,
}

impl Place {
    /// The place with this wire number.
    pub fn from_byte(byte: u8) -> Option<Place> {
        Some(match byte {
            0 => Place::Inline,
            1 => Place::Arena,
            2 => Place::Segment,
            _ => return None,
        })
    }
}

/// Option bits of a request, as `docs/architecture.md` lists them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options(pub u16);

/// How `None` comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoneAs {
    /// Atom `none`.
    None,
    /// Atom `nil`.
    Nil,
    /// Atom `undefined`.
    Undefined,
}

/// How an object outside the type table comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownAs {
    /// Its `str()`.
    Str,
    /// A handle.
    Ref,
    /// An error.
    Error,
}

impl Options {
    /// Arrays come back as `{ndarray, Dtype, Shape, Bin}`.
    pub const NDARRAY_BINARY: u16 = 1 << 2;
    /// Plain binaries become `bytes` without a look at their content.
    pub const BINARY_BYTES: u16 = 1 << 5;
    /// Errors carry traceback, cause and notes.
    pub const ERROR_MAP: u16 = 1 << 6;
    /// The result comes back as a handle.
    pub const RETURN_REF: u16 = 1 << 7;
    /// Nobody wants the reply.
    pub const CAST: u16 = 1 << 8;
    /// Functions of module asyncio run on the event loop even if they are no coroutine functions.
    pub const ASYNC: u16 = 1 << 9;
    /// The request comes from an Erlang function that Python called: the root of that chain of calls follows the header.
    pub const NESTED: u16 = 1 << 12;
    /// The node's own request: what it changes in the state that programs can change belongs to what [`Kind::Reset`] puts back.
    pub const NODE: u16 = 1 << 13;

    /// Whether all bits of `mask` are set.
    pub fn has(self, mask: u16) -> bool {
        self.0 & mask == mask
    }

    /// How `None` comes back; an unused number counts as `undefined`.
    pub fn none(self) -> NoneAs {
        match self.0 & 3 {
            0 => NoneAs::None,
            1 => NoneAs::Nil,
            _ => NoneAs::Undefined,
        }
    }

    /// How unknown objects come back; an unused number counts as an error.
    pub fn unknown(self) -> UnknownAs {
        match self.0 >> 3 & 3 {
            0 => UnknownAs::Str,
            1 => UnknownAs::Ref,
            _ => UnknownAs::Error,
        }
    }
}

/// A record's header or extent has values that the protocol does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not read record: bad {0}")]
pub struct Malformed(pub &'static str);

/// Header of a request record.
///
/// ```
/// use shm_proto::request::{Header, Kind, Options, Place};
/// let header = Header { id: 7, cell: Header::cell(3, 1), kind: Kind::Call, place: Place::Inline, options: Options(0), len: 40 };
/// assert_eq!(Header::decode(&header.encode()), Ok(header));
/// assert_eq!((header.cell_index(), header.cell_ticket()), (1, 3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Correlation id, echoed by the worker.
    pub id: u64,
    /// `ticket << 12 | index` of the reply cell; 0: no cell, answer through the ring. Of a stream, which has no cell: how many
    /// items the worker may send, counted from the first.
    pub cell: u64,
    /// What is asked for.
    pub kind: Kind,
    /// Where the payload lies.
    pub place: Place,
    /// Option bits.
    pub options: Options,
    /// Bytes that follow the header in the record: the root of a nested request, then the payload or the extent.
    pub len: u32,
}

impl Header {
    /// Bytes of an encoded header.
    pub const SIZE: usize = 24;
    /// Bytes of the root that follows the header of a nested request.
    pub const ROOT: usize = 8;

    /// The first request of the chain of calls that this one belongs to: its own id, unless it is nested. `record` starts
    /// with this header.
    ///
    /// ```
    /// use shm_proto::request::{Header, Kind, Options, Place};
    /// let plain = Header { id: 7, cell: 0, kind: Kind::Exec, place: Place::Inline, options: Options(0), len: 3 };
    /// let nested = Header { options: Options(Options::NESTED), len: 11, ..plain };
    /// let record = |header: Header, rest: &[u8]| [&header.encode()[..], rest].concat();
    /// let (first, second) = (record(plain, b"abc"), record(nested, b"\x05\0\0\0\0\0\0\0abc"));
    /// assert_eq!((plain.root(&first), plain.body(&first)), (7, Some(&b"abc"[..])));
    /// assert_eq!((nested.root(&second), nested.body(&second)), (5, Some(&b"abc"[..])));
    /// assert_eq!(nested.body(&second[..30]), None);
    /// ```
    #[inline]
    pub fn root(&self, record: &[u8]) -> u64 {
        if !self.options.has(Options::NESTED) {
            return self.id;
        }
        let root = record.get(Self::SIZE..).and_then(|rest| rest.first_chunk());
        root.map_or(self.id, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Payload or extent of this record, or nothing if the record is too short.
    #[inline]
    pub fn body<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        let root = if self.options.has(Options::NESTED) { Self::ROOT } else { 0 };
        record.get(Self::SIZE + root..Self::SIZE + self.len as usize)
    }

    /// Never a correlation id.
    pub const NO_ID: u64 = u64::MAX;

    /// The `cell` field for a ticket (from 1) and a cell index (below 4096).
    #[inline]
    pub fn cell(ticket: u64, index: u16) -> u64 {
        debug_assert!(ticket > 0 && index < 1 << 12);
        ticket << 12 | u64::from(index)
    }

    /// Whether the request may be answered in a reply cell.
    #[inline]
    pub fn has_cell(&self) -> bool {
        self.cell != 0 && !self.kind.is_stream()
    }

    /// Index of the reply cell; meaningful when there is one.
    #[inline]
    pub fn cell_index(&self) -> usize {
        (self.cell & 0xfff) as usize
    }

    /// Ticket of the reply cell; 0: there is none.
    #[inline]
    pub fn cell_ticket(&self) -> u64 {
        self.cell >> 12
    }

    /// The wire form.
    #[inline]
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[0..8].copy_from_slice(&self.id.to_le_bytes());
        out[8..16].copy_from_slice(&self.cell.to_le_bytes());
        out[16] = self.kind as u8;
        out[17] = self.place as u8;
        out[18..20].copy_from_slice(&self.options.0.to_le_bytes());
        out[20..24].copy_from_slice(&self.len.to_le_bytes());
        out
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are too few, or kind or place are unknown. `len` is not checked against the record.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Header, Malformed> {
        let b: &[u8; Self::SIZE] = bytes.first_chunk().ok_or(Malformed("header size"))?;
        let kind = match b[16] {
            1 => Kind::Call,
            2 => Kind::Eval,
            3 => Kind::Exec,
            4 => Kind::Method,
            5 => Kind::Release,
            6 => Kind::Stream,
            7 => Kind::StreamEval,
            8 => Kind::Credit,
            9 => Kind::Reset,
            _ => return Err(Malformed("request kind")),
        };
        Ok(Header {
            id: u64_at(b, 0),
            cell: u64_at(b, 8),
            kind,
            place: Place::from_byte(b[17]).ok_or(Malformed("place"))?,
            options: Options(u16::from_le_bytes([b[18], b[19]])),
            len: u32_at(b, 20),
        })
    }
}

/// A payload outside the record: terms, then at `align64(terms_len)` the blobs that the terms point into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Arena: bytes from the arena's start. Segment: serial of the memfd, the key under which the reader may keep it mapped.
    pub offset: u64,
    /// Bytes of terms, alignment and blobs together.
    pub total: u64,
    /// Bytes of terms.
    pub terms_len: u64,
    /// Ticket of the arena lease, or of this use of the segment; the reader returns it in a release word.
    pub ticket: u64,
    /// Segment: descriptor number in the process that made it.
    pub fd: i32,
}

impl Extent {
    /// Bytes of an encoded extent.
    pub const SIZE: usize = 40;

    /// Where the blobs start: `align64(terms_len)`.
    pub fn blobs_at(&self) -> u64 {
        self.terms_len.next_multiple_of(64)
    }

    /// The wire form.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        for (chunk, field) in out.chunks_exact_mut(8).zip([self.offset, self.total, self.terms_len, self.ticket]) {
            chunk.copy_from_slice(&field.to_le_bytes());
        }
        out[32..36].copy_from_slice(&self.fd.to_le_bytes());
        out
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are too few or terms and blobs do not fit into `total`. The bounds of arena or segment
    /// are checked by whoever opens the extent.
    pub fn decode(bytes: &[u8]) -> Result<Extent, Malformed> {
        let b: &[u8; Self::SIZE] = bytes.first_chunk().ok_or(Malformed("extent size"))?;
        let extent = Extent {
            offset: u64_at(b, 0),
            total: u64_at(b, 8),
            terms_len: u64_at(b, 16),
            ticket: u64_at(b, 24),
            fd: u32_at(b, 32) as i32,
        };
        if extent.terms_len > extent.total || extent.total > i64::MAX as u64 {
            return Err(Malformed("extent lengths"));
        }
        Ok(extent)
    }
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}
