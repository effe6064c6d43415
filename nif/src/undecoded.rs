//! Replies that their callers decode themselves.
//!
//! A reader thread that decodes a large reply holds up the others of its worker, builds terms that the caller's heap gets a copy
//! of, and cannot use the emulator's function for whole maps, which needs a scheduler (OTP 25). So a caller that waits inside
//! `py_request:sync/4` gets a resource with the bytes instead and decodes them on its own scheduler. The bytes are private memory
//! of the node, so the worker has its own back before the caller knows of the reply.

use crate::beam::{self, EnvPtr, Raw, atoms};
use crate::handle::Home;
use crate::janitor::{self, Job};
use crate::resource::{Kind, Owned, Resource};
use crate::term::{self, Inline};
use crossbeam_queue::ArrayQueue;
use rustler::sys;
use shm_proto::request::{Options, UnknownAs};
use std::ffi::c_int;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

/// Resource type of such replies.
pub static UNDECODED: Kind<Undecoded> = Kind::new();

/// Replies of fewer bytes are cheaper decoded where they are met.
pub const WORTH_BYTES: usize = 1024;

/// Bytes of terms that a normal scheduler decodes: 0.2 ms for a map of small integers, less than 1 ms for the worst, short atoms.
pub const NORMAL_BYTES: usize = 32 * 1024;

/// Bytes whose decoding is taken for one percent of a time slice.
const PERCENT_BYTES: usize = 1024;

/// A reply as bytes that the worker cannot write.
pub struct Undecoded {
    /// Until somebody takes them.
    terms: Mutex<Option<Vec<u8>>>,
    options: Options,
    home: Arc<Home>,
}

impl Resource for Undecoded {}

impl Undecoded {
    /// Wraps the payload of a reply of the worker with this home: status byte and term.
    pub fn new(terms: Vec<u8>, options: Options, home: &Arc<Home>) -> Owned<Undecoded> {
        UNDECODED.alloc(Undecoded { terms: Mutex::new(Some(terms)), options, home: home.clone() })
    }

    fn terms(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.terms.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Decodes to `{ok, V}` or `{error, R}`, once.
    fn take(&self, env: EnvPtr) -> Option<Raw> {
        let terms = self.terms().take()?;
        let answer = term::decode_reply(env, &terms, self.options.0, &Inline(&self.home)).unwrap_or_else(|problem| {
            if let Ok(worker) = self.home.incarnation() {
                worker.condemn(problem.0);
            }
            beam::error(env, beam::tuple(env, [atoms().worker_down, atoms().corrupt]))
        });
        give_back(terms);
        Some(answer)
    }
}

impl Drop for Undecoded {
    /// The caller went without its answer. Runs where its garbage is collected: what takes long is left to the janitor.
    fn drop(&mut self) {
        let Some(terms) = self.terms().take() else { return };
        if may_hold_handles(self.options) {
            janitor::push(Job::Bury(Box::new(Unwanted { terms, home: self.home.clone() })));
        } else {
            give_back_from_anywhere(terms);
        }
    }
}

/// Whether a reply of more than a few bytes can hold handles: one that the request did not ask for is the whole result.
pub fn may_hold_handles(options: Options) -> bool {
    options.has(Options::RETURN_REF) || options.unknown() == UnknownAs::Ref
}

/// A reply whose handles have to be given up.
struct Unwanted {
    terms: Vec<u8>,
    home: Arc<Home>,
}

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.home.give_up_all(&self.terms);
        give_back(std::mem::take(&mut self.terms));
    }
}

/// Buffers that are used again: a fresh one of more than a few pages costs page faults.
static BUFFERS: LazyLock<ArrayQueue<Vec<u8>>> = LazyLock::new(|| ArrayQueue::new(16));

/// A buffer that grew beyond this is not kept.
const KEEP_BYTES: usize = 1 << 20;

/// An empty buffer, perhaps with room.
pub fn buffer() -> Vec<u8> {
    BUFFERS.pop().unwrap_or_default()
}

/// Keeps a buffer for the next reply, or frees it: not on a normal scheduler if it may be over [`KEEP_BYTES`].
fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() <= KEEP_BYTES {
        buffer.clear();
        let _ = BUFFERS.push(buffer);
    }
}

fn give_back_from_anywhere(buffer: Vec<u8>) {
    if buffer.capacity() > KEEP_BYTES {
        janitor::push(Job::Bury(Box::new(buffer)));
    } else {
        give_back(buffer);
    }
}

/// The NIF `decode_reply/1`: normal scheduler up to [`NORMAL_BYTES`], then a dirty one.
///
/// # Safety
/// Called by the emulator with one argument.
pub unsafe extern "C" fn nif_decode_reply(env: EnvPtr, argc: c_int, argv: *const Raw) -> Raw {
    beam::guarded(env, || {
        // SAFETY: the emulator passes one argument.
        let reply = UNDECODED.get(env, unsafe { *argv });
        let len = reply.map_or(0, |reply| reply.terms().as_ref().map_or(0, Vec::len));
        if len > NORMAL_BYTES {
            let flags = sys::ERL_NIF_DIRTY_JOB_CPU_BOUND as c_int;
            let name = c"decode_reply".as_ptr();
            // SAFETY: the arguments are those of this call, and the result goes straight back to the emulator.
            return unsafe { sys::enif_schedule_nif(env, name, flags, decode_reply_dirty, argc, argv) };
        }
        consume(env, len);
        decode(env, reply)
    })
}

unsafe extern "C" fn decode_reply_dirty(env: EnvPtr, _argc: c_int, argv: *const Raw) -> Raw {
    // SAFETY: the emulator passes one argument.
    beam::guarded(env, || decode(env, UNDECODED.get(env, unsafe { *argv })))
}

fn decode(env: EnvPtr, reply: Option<&Undecoded>) -> Raw {
    match reply.and_then(|reply| reply.take(env)) {
        Some(answer) => answer,
        // SAFETY: the result goes straight back to the emulator.
        None => unsafe { sys::enif_make_badarg(env) },
    }
}

/// Tells the emulator how much of the process's time slice decoding `len` bytes takes.
pub fn consume(env: EnvPtr, len: usize) {
    if len >= PERCENT_BYTES {
        let percent = (len / PERCENT_BYTES).min(100) as c_int;
        // SAFETY: called with the environment of the running NIF call.
        unsafe { sys::enif_consume_timeslice(env, percent) };
    }
}
