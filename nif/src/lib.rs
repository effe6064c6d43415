//! The NIF of `erlang_python`: writes Python calls into shared-memory rings and brings their results back.
//!
//! Read in the order in which a call flows: [`nifs`] is what Erlang sees, [`submit`] writes the request and [`watch`]es for
//! a short answer, [`reader`] posts the others, large ones [`undecoded`], [`callback`] lets Python call Erlang, [`cancel`] and [`teardown`] settle what
//! gets none, [`stream`] sends many. [`slab`] holds what is in flight, [`incarnation`] one worker process, [`handle`] the objects that it keeps
//! for us, [`pool`] those that share requests, [`choice`] who gets the next one, [`lease`] what leads a process to one of them. The NIF keeps no Python object and
//! never runs Python.

mod backend;
mod beam;
mod callback;
mod cancel;
mod census;
mod choice;
mod diagnose;
mod estimate;
mod extent;
mod footprint;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handle;
mod inbox;
mod incarnation;
mod janitor;
mod label;
mod latency;
mod lease;
mod limits;
mod nifs;
mod observe;
mod output;
mod pool;
mod reader;
mod registry;
mod resource;
mod semaphore;
mod slab;
mod stream;
mod submit;
mod target;
mod teardown;
mod term;
mod undecoded;
mod wait;
mod watch;
mod watchdog;

use rustler::sys::ErlNifSysInfo;
use rustler::{Env, Term};
use std::mem::MaybeUninit;

fn load(env: Env<'_>, _info: Term<'_>) -> bool {
    load_in(env.as_c_arg()) && pin()
}

/// What loading does to the emulator.
fn load_in(env: beam::EnvPtr) -> bool {
    beam::init_atoms(env);
    let opened = pool::POOL.open(env, c"py_pool")
        && incarnation::WORKER.open(env, c"py_worker")
        && cancel::PENDING.open(env, c"py_request")
        && callback::CALL.open(env, c"py_call")
        && wait::TICKET.open(env, c"py_ticket")
        && semaphore::HOLDER.open(env, c"py_permits")
        && handle::HANDLE.open(env, c"py_object")
        && lease::LEASE.open(env, c"py_lease")
        && undecoded::UNDECODED.open(env, c"py_reply");
    watch::init();
    semaphore::init(schedulers());
    opened
}

fn schedulers() -> i64 {
    let mut info = MaybeUninit::<ErlNifSysInfo>::zeroed();
    // SAFETY: the emulator fills as much of the structure as the given size covers.
    unsafe {
        rustler::sys::enif_system_info(info.as_mut_ptr(), size_of::<ErlNifSysInfo>());
        i64::from(info.assume_init().scheduler_threads)
    }
}

/// Keeps the library mapped for ever: threads of ours may run in it when the module is purged.
fn pin() -> bool {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: asks for the file of a function of this library, then opens that file once more without a matching close.
    unsafe {
        libc::dladdr(pin as *const libc::c_void, info.as_mut_ptr()) != 0
            && !libc::dlopen(info.assume_init().dli_fname, libc::RTLD_NOW | libc::RTLD_NODELETE).is_null()
    }
}

rustler::init!("py_nif", load = load);
