//! The few `enif_*` calls that this library makes raw, behind small functions, and the atoms it uses.
//!
//! rustler's `Term` costs an allocation or a hash look-up in places where a call has 500 ns in all; everything here is
//! a direct call into the emulator.

use rustler::sys::{
    self, ErlNifEnv, ErlNifPid, enif_get_local_pid, enif_make_atom_len, enif_make_tuple_from_array, enif_self,
    enif_send,
};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// A term as the emulator passes it: valid only together with its environment, immediates everywhere.
pub type Raw = sys::ErlNifTerm;
/// Environment of a NIF call or of a message under construction.
pub type EnvPtr = *mut ErlNifEnv;

macro_rules! atoms {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// Atoms are immediates and live as long as the node, so one table serves every thread.
        pub struct Atoms { $(pub $name: Raw,)* }

        impl Atoms {
            fn make(env: EnvPtr) -> Atoms {
                Atoms { $($name: atom(env, $text),)* }
            }
        }
    };
}

atoms! {
    ok = "ok",
    error = "error",
    pending = "pending",
    wait = "wait",
    large = "large",
    sent = "sent",
    cancelled = "cancelled",
    not_running = "not_running",
    not_started = "not_started",
    no_worker = "no_worker",
    bad_hello = "bad_hello",
    badarg = "badarg",
    undefined = "undefined",
    true_ = "true",
    false_ = "false",
    py_response = "py_response",
    py_result = "py_result",
    py_error = "py_error",
    py_go = "py_go",
    py_down = "py_down",
    py_interrupt = "py_interrupt",
    py_raise = "py_raise",
    py_ended = "py_ended",
    py_chunk = "py_chunk",
    py_undecoded = "py_undecoded",
    to_come = "to_come",
    being_sent = "being_sent",
    nothing = "nothing",
    py_end = "py_end",
    py_stream = "py_stream",
    py_stream_failed = "py_stream_failed",
    py_cast_failed = "py_cast_failed",
    py_callback = "py_callback",
    py_send = "py_send",
    py_idle = "py_idle",
    py_limit = "py_limit",
    max_calls = "max_calls",
    max_rss = "max_rss",
    memory_limit = "memory_limit",
    no_workers_available = "no_workers_available",
    bound = "bound",
    idle = "idle",
    any = "any",
    busy = "busy",
    none = "none",
    released = "released",
    py_logger = "py_logger",
    py_tracer = "py_tracer",
    py_event = "py_event",
    internal = "internal",
    registered = "registered",
    infinity = "infinity",
    interrupted = "interrupted",
    stream = "stream",
    cast = "cast",
    worker_down = "worker_down",
    corrupt = "corrupt",
    exited = "exited",
    killed = "killed",
    stopped = "stopped",
    starting = "starting",
    up = "up",
    closed = "closed",
    down = "down",
    exhausted = "exhausted",
    waiting = "waiting",
    permit = "permit",
    room = "room",
    woken = "woken",
    nif_panicked = "nif_panicked",
    py_object = "py_object",
    generator = "generator",
}

static ATOMS: OnceLock<Atoms> = OnceLock::new();

/// Fills the atom table. Called once by the load callback.
pub fn init_atoms(env: EnvPtr) {
    let _ = ATOMS.set(Atoms::make(env));
}

/// The atom table.
#[inline]
pub fn atoms() -> &'static Atoms {
    ATOMS.get().expect("the load callback fills the table")
}

/// Makes an atom from Latin-1 text that is known at compile time or bounded by the caller.
pub fn atom(env: EnvPtr, text: &str) -> Raw {
    // SAFETY: pointer and length describe `text`; the emulator copies it.
    unsafe { enif_make_atom_len(env, text.as_ptr().cast(), text.len()) }
}

/// Makes a tuple.
#[inline]
pub fn tuple<const N: usize>(env: EnvPtr, elements: [Raw; N]) -> Raw {
    // SAFETY: the array outlives the call; its terms belong to `env` or are immediates (callers' duty).
    unsafe { enif_make_tuple_from_array(env, elements.as_ptr(), N as u32) }
}

/// Runs the body of a NIF; a panic becomes an exception in the calling process.
#[inline]
pub fn guarded(env: EnvPtr, body: impl FnOnce() -> Raw) -> Raw {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or_else(|_| {
        // SAFETY: the environment of the running NIF call; the result goes straight back to the emulator.
        unsafe { sys::enif_raise_exception(env, atoms().nif_panicked) }
    })
}

/// `{error, Reason}`.
#[inline]
pub fn error(env: EnvPtr, reason: Raw) -> Raw {
    tuple(env, [atoms().error, reason])
}

/// Makes an unsigned integer.
#[inline]
pub fn uint(env: EnvPtr, value: u64) -> Raw {
    // SAFETY: plain constructor.
    unsafe { sys::enif_make_uint64(env, value) }
}

/// Makes `true` or `false`.
pub fn boolean(value: bool) -> Raw {
    if value { atoms().true_ } else { atoms().false_ }
}

/// Makes a binary with a copy of `bytes`.
pub fn binary(env: EnvPtr, bytes: &[u8]) -> Raw {
    let mut term = Raw::default();
    // SAFETY: the emulator returns a buffer of the requested size that belongs to the new term.
    unsafe {
        let data = sys::enif_make_new_binary(env, bytes.len(), &mut term);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
    }
    term
}

/// Makes a list.
pub fn list(env: EnvPtr, elements: &[Raw]) -> Raw {
    // SAFETY: the slice outlives the call; its terms belong to `env` or are immediates (callers' duty).
    unsafe { sys::enif_make_list_from_array(env, elements.as_ptr(), elements.len() as u32) }
}

/// Makes a map from pairs with distinct atom keys.
pub fn map<const N: usize>(env: EnvPtr, pairs: [(&str, Raw); N]) -> Raw {
    let keys: [Raw; N] = std::array::from_fn(|i| atom(env, pairs[i].0));
    let values: [Raw; N] = std::array::from_fn(|i| pairs[i].1);
    let mut term = Raw::default();
    // SAFETY: both arrays hold N terms of `env`.
    let made = unsafe { sys::enif_make_map_from_arrays(env, keys.as_ptr(), values.as_ptr(), N, &mut term) };
    assert!(made != 0, "keys are distinct");
    term
}

/// Reads an unsigned integer.
#[inline]
pub fn get_u64(env: EnvPtr, term: Raw) -> Option<u64> {
    let mut value = 0u64;
    // SAFETY: `term` belongs to `env`; the result goes to a local.
    (unsafe { sys::enif_get_uint64(env, term, &mut value) } != 0).then_some(value)
}

/// Borrows the bytes of a binary for as long as the NIF call lasts.
pub fn get_binary<'a>(env: EnvPtr, term: Raw) -> Option<&'a [u8]> {
    let mut bin = MaybeUninit::uninit();
    // SAFETY: on success the emulator filled `bin` with a pointer that is valid while `env` is; callers use it
    // within their NIF call only.
    unsafe {
        if sys::enif_inspect_binary(env, term, bin.as_mut_ptr()) == 0 {
            return None;
        }
        let bin = bin.assume_init();
        Some(if bin.size == 0 { &[] } else { std::slice::from_raw_parts(bin.data, bin.size) })
    }
}

/// Reads the value of an atom key of a map.
pub fn map_get(env: EnvPtr, map: Raw, key: &str) -> Option<Raw> {
    let mut value = Raw::default();
    // SAFETY: terms of `env`; the result goes to a local.
    (unsafe { sys::enif_get_map_value(env, map, atom(env, key), &mut value) } != 0).then_some(value)
}

/// Elements of a tuple, valid while the NIF call lasts.
#[inline]
pub fn get_tuple<'a>(env: EnvPtr, term: Raw) -> Option<&'a [Raw]> {
    let mut arity = 0;
    let mut elements = std::ptr::null();
    // SAFETY: on success the emulator points into the tuple itself, which lives as long as the caller's heap stays
    // put: to the end of the NIF call.
    unsafe {
        if sys::enif_get_tuple(env, term, &mut arity, &mut elements) == 0 {
            return None;
        }
        Some(std::slice::from_raw_parts(elements, arity as usize))
    }
}

/// The calling process.
#[inline]
pub fn caller(env: EnvPtr) -> Option<ErlNifPid> {
    let mut pid = MaybeUninit::uninit();
    // SAFETY: `env` is the environment of a NIF call; null means it is not bound to a process.
    unsafe { (!enif_self(env, pid.as_mut_ptr()).is_null()).then(|| pid.assume_init()) }
}

/// Whether the process that runs this NIF call has not been killed meanwhile, which happens on dirty schedulers only.
pub fn caller_alive(env: EnvPtr) -> bool {
    // SAFETY: `env` is the environment of a running NIF call.
    unsafe { sys::enif_is_current_process_alive(env) != 0 }
}

/// Reads a local process identifier.
pub fn get_pid(env: EnvPtr, term: Raw) -> Option<ErlNifPid> {
    let mut pid = MaybeUninit::uninit();
    // SAFETY: initialised on success.
    unsafe { (enif_get_local_pid(env, term, pid.as_mut_ptr()) != 0).then(|| pid.assume_init()) }
}

/// The term of a process identifier: an immediate, comparable as a word.
#[inline]
pub fn pid_term(pid: &ErlNifPid) -> Raw {
    // SAFETY: reads the word; no environment is involved.
    unsafe { sys::enif_make_pid(std::ptr::null_mut(), *pid) }
}

/// An environment of our own for building messages on threads of our own.
pub struct MessageEnv(EnvPtr);

// SAFETY: a process-independent environment may be used by any thread, one at a time; ownership is exclusive.
unsafe impl Send for MessageEnv {}

impl MessageEnv {
    /// Allocates an environment.
    pub fn new() -> MessageEnv {
        // SAFETY: plain constructor; never fails (the emulator aborts on memory exhaustion).
        MessageEnv(unsafe { sys::enif_alloc_env() })
    }

    /// The raw environment.
    #[inline]
    pub fn ptr(&self) -> EnvPtr {
        self.0
    }

    /// Sends `message`, built in this environment, and clears it for the next. `scheduler` is the environment of the
    /// running NIF call, or null on a thread of our own. Returns whether the receiver was alive.
    pub fn send(&mut self, scheduler: EnvPtr, to: &ErlNifPid, message: Raw) -> bool {
        // SAFETY: `message` was built in `self.0`; only an enif_send that succeeds invalidates its terms, and enif_clear_env
        // makes it usable again.
        unsafe {
            let mut alive = enif_send(scheduler, to, self.0, message) != 0;
            if !alive && sys::enif_thread_type() > sys::ERL_NIF_THR_NORMAL_SCHEDULER {
                // On a dirty scheduler nothing can be sent in the name of a process that was killed meanwhile.
                alive = enif_send(std::ptr::null_mut(), to, self.0, message) != 0;
            }
            sys::enif_clear_env(self.0);
            alive
        }
    }

    /// Lets go of terms that will not be sent.
    pub fn clear(&mut self) {
        // SAFETY: the environment is ours and no term of it is in use.
        unsafe { sys::enif_clear_env(self.0) }
    }
}

impl Drop for MessageEnv {
    fn drop(&mut self) {
        // SAFETY: allocated by `new`, freed once.
        unsafe { sys::enif_free_env(self.0) }
    }
}
