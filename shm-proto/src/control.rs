//! Frames of the control plane: payloads of `{packet,2}` on the worker's port. First byte is the type, integers are
//! little-endian.

use std::ffi::CString;

use crate::{
    layout::{Geometry, VERSION},
    request::{Malformed, u32_at, u64_at},
};

/// What a worker needs to open its incarnation. Made by the node, opaque to Erlang.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// Proves in the hello frame that it comes from the worker that got this handshake.
    pub nonce: [u8; 16],
    /// Process whose descriptors are meant.
    pub node_pid: u32,
    /// Where the worker finds segments and bells.
    pub endpoints: Endpoints,
    /// Sizes of everything in the segments.
    pub geometry: Geometry,
    /// Requests that may run at once, at least 1.
    pub executors: u16,
    /// Threads that the worker may start for requests, at least `executors`.
    pub max_threads: u16,
    /// Bytes of idle memory for large payloads that each side keeps in each direction.
    pub blob_cache: u64,
}

/// Where segments and bells are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// Descriptors of the node, opened through `/proc`.
    Proc {
        /// Down segment.
        down: i32,
        /// Up segment.
        up: i32,
        /// Read end of the request bell.
        request_bell: i32,
        /// Write end of the response bell.
        response_bell: i32,
    },
    /// Named objects with this common prefix, see `named`.
    Named(String),
}

/// What [`ToWorker::decode`] says of a handshake whose maker was built from other sources than this program.
pub const OTHER_BUILD: Malformed = Malformed("handshake version");
/// For people, what to do then.
pub const OTHER_BUILD_HINT: &str = "the node's library (priv/py_nif.so) and its worker programs (priv/py_host, priv/py_core.so) \
     come from different builds: build the application again (`make build`, or `rebar3 compile` where it is a dependency) \
     and restart the node";

/// Bytes of text in one frame about stacks. With what stands before it the frame stays below `PIPE_BUF`, so that a thread of a worker
/// that crashes can write one while another thread writes another.
pub const PART: usize = 4000;
/// Longest frame about stacks.
const TOP: usize = PART + 2;
/// Type of [`FromWorker::Crash`].
pub const CRASH: u8 = b'c';

/// Longest prefix of named objects in bytes.
pub const MAX_NAME: usize = 100;

impl Handshake {
    /// Name of the memfds of large requests to this worker, by which its keeper knows them.
    pub fn request_name(&self) -> CString {
        let (tag, _) = self.nonce.split_at(8);
        let tag: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        CString::new(format!("erlang_python-request-{tag}")).expect("hexadecimal digits hold no zero byte")
    }

    /// The frame. At most 200 bytes.
    ///
    /// # Errors
    /// [`Malformed`] if a named prefix is longer than [`MAX_NAME`].
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let mut out = vec![b'H'];
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&self.node_pid.to_le_bytes());
        out.extend_from_slice(&self.geometry.ring_bytes.to_le_bytes());
        out.extend_from_slice(&self.geometry.arena_bytes.to_le_bytes());
        for short in [self.geometry.cells, self.geometry.callback_slots, self.executors, self.max_threads] {
            out.extend_from_slice(&short.to_le_bytes());
        }
        out.extend_from_slice(&self.blob_cache.to_le_bytes());
        match &self.endpoints {
            Endpoints::Proc { down, up, request_bell, response_bell } => {
                out.push(0);
                for fd in [down, up, request_bell, response_bell] {
                    out.extend_from_slice(&fd.to_le_bytes());
                }
            }
            Endpoints::Named(prefix) if prefix.len() <= MAX_NAME => {
                out.push(1);
                out.extend_from_slice(prefix.as_bytes());
            }
            Endpoints::Named(_) => return Err(Malformed("segment name length")),
        }
        Ok(out)
    }

    /// Reads and validates the frame.
    ///
    /// # Errors
    /// [`Malformed`] if the version differs, a size is out of bounds or bytes are missing or left over.
    pub fn decode(frame: &[u8]) -> Result<Handshake, Malformed> {
        let (fixed, rest): (&[u8; 50], _) = frame.split_first_chunk().ok_or(Malformed("handshake length"))?;
        if fixed[0] != b'H' {
            return Err(Malformed("handshake type"));
        }
        if u32_at(fixed, 1) != VERSION {
            return Err(OTHER_BUILD);
        }
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&fixed[5..21]);
        let short = |at: usize| u16::from_le_bytes([fixed[at], fixed[at + 1]]);
        let geometry = Geometry {
            ring_bytes: u32_at(fixed, 25),
            arena_bytes: u32_at(fixed, 29),
            cells: short(33),
            callback_slots: short(35),
        };
        geometry.validate().map_err(|bad| Malformed(bad.0))?;
        let (executors, max_threads) = (short(37), short(39));
        if executors == 0 || max_threads < executors {
            return Err(Malformed("executor counts"));
        }
        let endpoints = match (fixed[49], rest.len()) {
            (0, 16) => {
                let fd = |at: usize| u32_at(rest, at) as i32;
                Endpoints::Proc { down: fd(0), up: fd(4), request_bell: fd(8), response_bell: fd(12) }
            }
            (1, 1..=MAX_NAME) => {
                let prefix = std::str::from_utf8(rest).map_err(|_| Malformed("segment name"))?;
                Endpoints::Named(prefix.to_owned())
            }
            _ => return Err(Malformed("endpoints")),
        };
        let (node_pid, blob_cache) = (u32_at(fixed, 21), u64_at(fixed, 41));
        Ok(Handshake { nonce, node_pid, endpoints, geometry, executors, max_threads, blob_cache })
    }
}

/// A frame from the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToWorker {
    /// `H`: open your incarnation.
    Handshake(Box<Handshake>),
    /// `P`: answer with the same number.
    Ping(u64),
    /// `I`: raise `erlang.Interrupted` in the request with this id, if it runs, until it has ended.
    Interrupt(u64),
    /// `R`: raise `erlang.Interrupted` once in the request with this id, if it runs.
    Raise(u64),
    /// `G`: answer with the same number as soon as Python's lock could be had.
    Gil(u64),
    /// `A`: leave the task of this request, which was interrupted, to itself, and answer the request.
    Abandon(u64),
    /// `T`: say what the Python threads are doing.
    Stacks,
    /// `S`: leave the loop and exit.
    Stop,
}

impl ToWorker {
    /// The frame.
    ///
    /// # Errors
    /// As [`Handshake::encode`].
    pub fn encode(&self) -> Result<Vec<u8>, Malformed> {
        Ok(match self {
            ToWorker::Handshake(handshake) => handshake.encode()?,
            ToWorker::Ping(n) => numbered(b'P', *n),
            ToWorker::Interrupt(id) => numbered(b'I', *id),
            ToWorker::Raise(id) => numbered(b'R', *id),
            ToWorker::Gil(n) => numbered(b'G', *n),
            ToWorker::Abandon(id) => numbered(b'A', *id),
            ToWorker::Stacks => vec![b'T'],
            ToWorker::Stop => vec![b'S'],
        })
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`Malformed`] if it is none of these.
    pub fn decode(frame: &[u8]) -> Result<ToWorker, Malformed> {
        match (frame.first(), frame.len()) {
            (Some(b'H'), _) => Handshake::decode(frame).map(|h| ToWorker::Handshake(Box::new(h))),
            (Some(b'P'), 9) => Ok(ToWorker::Ping(u64_at(frame, 1))),
            (Some(b'I'), 9) => Ok(ToWorker::Interrupt(u64_at(frame, 1))),
            (Some(b'R'), 9) => Ok(ToWorker::Raise(u64_at(frame, 1))),
            (Some(b'G'), 9) => Ok(ToWorker::Gil(u64_at(frame, 1))),
            (Some(b'A'), 9) => Ok(ToWorker::Abandon(u64_at(frame, 1))),
            (Some(b'T'), 1) => Ok(ToWorker::Stacks),
            (Some(b'S'), 1) => Ok(ToWorker::Stop),
            _ => Err(Malformed("control frame")),
        }
    }
}

/// A frame from a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromWorker {
    /// `a`: whoever can read the handshake waits for it. A node that wrote it before could write to a process that has failed
    /// already, and lose what that said.
    Asks,
    /// `h`: the segments are open.
    Hello {
        /// The handshake's nonce.
        nonce: [u8; 16],
        /// The worker's process id.
        os_pid: u32,
    },
    /// `r`: requests are served from here on; text of `sys.version`.
    Ready(String),
    /// `p`: answer of a ping.
    Pong(u64),
    /// `g`: Python's lock could be had.
    Gil(u64),
    /// `k`: this request cannot be abandoned: it runs, and is no task of the event loop.
    Keeps(u64),
    /// `n`: this request does not run: it waits for its turn to be ended, or has ended.
    Rests(u64),
    /// `b`: this request cannot be abandoned: the event loop does not turn.
    Blocked(u64),
    /// `t`: a part of what the Python threads are doing, as text.
    Stacks {
        /// Another part follows.
        more: bool,
        /// At most [`PART`] bytes.
        text: Vec<u8>,
    },
    /// `c`: a part of the stacks of a worker that is about to die of a signal, at most [`PART`] bytes.
    Crash(Vec<u8>),
    /// `w`: what the worker has to do without.
    Warning(String),
    /// `f`: why the worker is about to exit.
    Failure(String),
}

impl FromWorker {
    /// The frame. Texts are cut at 60 KiB, so that it fits `{packet,2}`.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            FromWorker::Asks => vec![b'a'],
            FromWorker::Hello { nonce, os_pid } => {
                let mut out = vec![b'h'];
                out.extend_from_slice(nonce);
                out.extend_from_slice(&os_pid.to_le_bytes());
                out
            }
            FromWorker::Ready(text) => texted(b'r', text),
            FromWorker::Pong(n) => numbered(b'p', *n),
            FromWorker::Gil(n) => numbered(b'g', *n),
            FromWorker::Keeps(id) => numbered(b'k', *id),
            FromWorker::Rests(id) => numbered(b'n', *id),
            FromWorker::Blocked(id) => numbered(b'b', *id),
            FromWorker::Stacks { more, text } => [&[b't', u8::from(*more)], &text[..text.len().min(PART)]].concat(),
            FromWorker::Crash(text) => [&[CRASH], &text[..text.len().min(PART)]].concat(),
            FromWorker::Warning(text) => texted(b'w', text),
            FromWorker::Failure(text) => texted(b'f', text),
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`Malformed`] if it is none of these.
    pub fn decode(frame: &[u8]) -> Result<FromWorker, Malformed> {
        let text = || String::from_utf8_lossy(&frame[1..]).into_owned();
        match (frame.first(), frame.len()) {
            (Some(b'a'), 1) => Ok(FromWorker::Asks),
            (Some(b'h'), 21) => {
                let mut nonce = [0; 16];
                nonce.copy_from_slice(&frame[1..17]);
                Ok(FromWorker::Hello { nonce, os_pid: u32_at(frame, 17) })
            }
            (Some(b'r'), _) => Ok(FromWorker::Ready(text())),
            (Some(b'p'), 9) => Ok(FromWorker::Pong(u64_at(frame, 1))),
            (Some(b'g'), 9) => Ok(FromWorker::Gil(u64_at(frame, 1))),
            (Some(b'k'), 9) => Ok(FromWorker::Keeps(u64_at(frame, 1))),
            (Some(b'n'), 9) => Ok(FromWorker::Rests(u64_at(frame, 1))),
            (Some(b'b'), 9) => Ok(FromWorker::Blocked(u64_at(frame, 1))),
            (Some(b't'), 2..=TOP) if frame[1] <= 1 => {
                Ok(FromWorker::Stacks { more: frame[1] == 1, text: frame[2..].to_vec() })
            }
            (Some(&CRASH), 1..TOP) => Ok(FromWorker::Crash(frame[1..].to_vec())),
            (Some(b'w'), _) => Ok(FromWorker::Warning(text())),
            (Some(b'f'), _) => Ok(FromWorker::Failure(text())),
            _ => Err(Malformed("control frame")),
        }
    }
}

fn numbered(kind: u8, number: u64) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(&number.to_le_bytes());
    out
}

fn texted(kind: u8, text: &str) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(&text.as_bytes()[..text.floor_char_boundary(60 << 10)]);
    out
}
