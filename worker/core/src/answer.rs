//! The answer of one request, from an object or an exception to bytes.

use std::cell::RefCell;

use pyo3::ffi;
use shm_proto::etf::Writer;
use shm_proto::link::WorkerLink;
use shm_proto::request::{Header, Options, Place};
use shm_proto::response::{self, Status};

use crate::exception;
use crate::handle;
use crate::module;
use crate::object::Object;
use crate::reply;
use crate::value::{BlobSink, DecodeError, EncodeError, encode_item, encode_value};

/// Payload memory that is kept from one request to the next; what a larger one needed is given back.
const KEPT_BYTES: usize = 1 << 20;
/// Payload memory to begin with.
const FIRST_BYTES: usize = 4096;
/// What answers say that found no memory or descriptor.
const EXHAUSTED: &str = "exhausted";

/// Why a request has no value.
#[derive(Debug)]
pub enum Failure {
    /// A Python exception is set.
    Raised,
    /// The reason, encoded.
    Refused(Vec<u8>),
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        let mut reason = Vec::new();
        if error.refusal(&mut reason) { Self::Refused(reason) } else { Self::Raised }
    }
}

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        let mut reason = Vec::new();
        if error.refusal(&mut reason) { Self::Refused(reason) } else { Self::Raised }
    }
}

/// Status and value, reused from request to request. Needs the GIL for everything, dropping included.
#[derive(Debug)]
pub struct Answer {
    payload: Vec<u8>,
    blobs: BlobSink,
}

impl Answer {
    /// An empty one.
    pub fn new() -> Self {
        Self { payload: Vec::with_capacity(FIRST_BYTES), blobs: BlobSink::new() }
    }

    /// Forgets the last answer.
    #[inline]
    pub fn clear(&mut self) {
        self.payload.clear();
        self.blobs.clear();
    }

    /// Takes a value; `None` is that of a program. What nobody wants is not encoded.
    ///
    /// # Errors
    /// The value cannot cross, or Python code that encoding runs has raised.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    #[inline]
    pub unsafe fn value(&mut self, value: Option<&Object>, options: Options) -> Result<(), EncodeError> {
        self.payload.push(Status::Value as u8);
        match value {
            Some(value) if !options.has(Options::CAST) => {
                // SAFETY: the GIL is held and the object is alive.
                unsafe { encode_value(value.as_ptr(), options, &mut self.payload, &mut self.blobs) }
            }
            _ => {
                Writer::new(&mut self.payload).none();
                Ok(())
            }
        }
    }

    /// Takes an item of a stream.
    ///
    /// # Errors
    /// As [`Answer::value`].
    ///
    /// # Safety
    /// As [`Answer::value`].
    pub unsafe fn item(&mut self, item: &Object, options: Options) -> Result<(), EncodeError> {
        self.payload.push(Status::Value as u8);
        // SAFETY: the GIL is held and the object is alive.
        unsafe { encode_item(item.as_ptr(), options, &mut self.payload, &mut self.blobs) }
    }

    /// Takes the reason of a failure in the place of a value.
    ///
    /// # Safety
    /// The GIL is held; an exception is set exactly if the failure says so.
    #[cold]
    pub unsafe fn failure(&mut self, failure: Failure, options: Options, interrupted: bool) {
        self.clear();
        // SAFETY: the GIL is held.
        unsafe {
            match failure {
                Failure::Refused(reason) => {
                    self.payload.push(Status::Refused as u8);
                    self.payload.extend_from_slice(&reason);
                }
                Failure::Raised => match exception::take() {
                    Some(raised) if interrupted && ends_request(&raised) => {
                        self.payload.push(Status::Interrupted as u8);
                    }
                    Some(raised) => {
                        self.payload.push(Status::Exception as u8);
                        exception::describe(&raised, options.has(Options::ERROR_MAP), &mut self.payload);
                    }
                    None => self.refuse("unsupported_object", "a function failed without an exception"),
                },
            }
        }
    }

    /// Forgets an answer that will not be sent.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn discard(&mut self) {
        // SAFETY: the caller's promise.
        unsafe { handle::release_unsent(&self.payload) };
        self.clear();
    }

    fn refuse(&mut self, what: &str, text: &str) {
        self.payload.push(Status::Refused as u8);
        self.payload.extend_from_slice(&reason(what, text));
    }

    /// Offers the answer to the reply cell; `false` if it must be published.
    #[inline]
    pub fn complete(&self, link: &WorkerLink, header: &Header) -> bool {
        self.blobs.is_empty() && reply::complete(link, header, &self.payload)
    }

    /// Publishes an item of a stream, waiting for room without the GIL.
    ///
    /// # Errors
    /// No memory or descriptor for an item of this size: the reason, encoded. The GIL was not let go then.
    pub fn publish_item(&mut self, link: &WorkerLink, id: u64, flags: u16) -> Result<(), Vec<u8>> {
        let header =
            response::Header { id, kind: response::Kind::Chunk, place: Place::Inline, flags, len: 0, service_ns: 0 };
        let published = reply::publish_record(link, header, &[], &self.payload, &self.blobs);
        if published.is_err() {
            // SAFETY: items are sent with the GIL held.
            unsafe { self.discard() };
        }
        self.blobs.clear();
        self.shrink();
        published.map_err(|error| reason(EXHAUSTED, &error.to_string()))
    }

    /// Publishes the answer, waiting for room without the GIL. `alone`: the request has published nothing before it.
    pub fn publish(&mut self, link: &WorkerLink, header: &Header, service_ns: u64, alone: bool) {
        let flags = if alone { response::Header::ALONE } else { 0 };
        if let Err(error) = reply::publish(link, header.id, flags, service_ns, &self.payload, &self.blobs) {
            // SAFETY: answers are sent with the GIL held.
            unsafe { self.discard() };
            self.refuse(EXHAUSTED, &error.to_string());
            // A reason of a few bytes fits into the ring.
            let _ = reply::publish(link, header.id, flags, service_ns, &self.payload, &self.blobs);
        }
        self.blobs.clear();
        self.shrink();
    }

    fn shrink(&mut self) {
        if self.payload.capacity() > KEPT_BYTES {
            self.payload = Vec::with_capacity(FIRST_BYTES);
        }
    }
}

/// The reason of a refusal: a pair of what and why.
fn reason(what: &str, text: &str) -> Vec<u8> {
    let mut reason = Vec::new();
    let mut writer = Writer::new(&mut reason);
    writer.tuple_header(2);
    // Both texts are far below the limits of their length fields.
    let _ = writer.atom(what);
    let _ = writer.binary(text.as_bytes());
    reason
}

/// Lends an answer of the calling thread. Encoding runs user code, which may need another one meanwhile.
pub fn with_answer<R>(body: impl FnOnce(&mut Answer) -> R) -> R {
    thread_local! {
        static ANSWER: RefCell<Answer> = RefCell::new(Answer::new());
    }
    ANSWER.with(|kept| match kept.try_borrow_mut() {
        Ok(mut answer) => body(&mut answer),
        Err(_) => body(&mut Answer::new()),
    })
}

/// Whether the exception is what an interrupt raises: in a coroutine, asyncio's CancelledError.
///
/// # Safety
/// The GIL is held.
unsafe fn ends_request(exception: &Object) -> bool {
    // SAFETY: a live object and a class; the type of a live object lives as long as the object.
    unsafe {
        let cancelled = || exception::class_name(exception) == "CancelledError";
        ffi::PyErr_GivenExceptionMatches(exception.as_ptr(), module::interrupted()) != 0 || cancelled()
    }
}
