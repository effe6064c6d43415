//! The functions that Erlang sees, by arity and scheduler.
//!
//! They are registered raw: rustler's attribute collects the arguments of each call into a vector first. Each says where it
//! runs and what bounds it. `N` is a normal scheduler, `D` a dirty one.

use crate::beam::{self, EnvPtr, Raw, atoms};
use crate::callback::CALL;
use crate::cancel::{self, Cancelled, PENDING};
use crate::handle::HANDLE;
use crate::incarnation::{self, CLOSED, UP, WORKER};
use crate::lease::{self, LEASE, Lease, Wanted};
use crate::pool::{self, POOL, Pool, PoolRef};
use crate::stream::{self, Flow, Rest};
use crate::wait::{TICKET, Ticket};
use crate::{
    backend, diagnose, inbox, janitor, latency, observe, reader, registry, semaphore, slab, submit, teardown, watchdog,
};
use rustler::sys::{ErlNifEnv, ErlNifTerm, c_int};
use std::sync::Arc;
use std::sync::atomic::Ordering;

macro_rules! nifs {
    ($($(#[$doc:meta])* $name:literal / $arity:literal $schedule:ident => $function:path;)*) => {
        $(const _: () = {
            unsafe extern "C" fn entry(env: *mut ErlNifEnv, argc: c_int, argv: *const ErlNifTerm) -> ErlNifTerm {
                // SAFETY: the emulator passes `argc` arguments that outlive the call.
                let args = unsafe { std::slice::from_raw_parts(argv, argc as usize) };
                beam::guarded(env, || $function(env, args))
            }
            rustler::codegen_runtime::inventory::submit!(rustler::Nif {
                name: concat!($name, "\0").as_ptr().cast(),
                arity: $arity,
                flags: rustler::SchedulerFlags::$schedule as u32,
                raw_func: entry,
            });
        };)*
    };
}

nifs! {
    "start"/0 DirtyIo => start;
    "stop"/0 DirtyIo => stop;
    "nif_info"/0 DirtyCpu => nif_info;
    "diagnose"/0 DirtyCpu => diagnose;
    "oldest_requests"/3 DirtyCpu => oldest_requests;
    "pool_new"/2 Normal => pool_new;
    "pool_add"/2 DirtyCpu => pool_add;
    "pool_remove"/2 Normal => pool_remove;
    "pool_close"/1 DirtyCpu => pool_close;
    "pool_failing"/2 DirtyCpu => pool_failing;
    "pool_info"/1 Normal => pool_info;
    "service_times"/1 DirtyCpu => service_times;
    "choose"/1 Normal => choose;
    "tie"/1 Normal => tie;
    "untie"/1 Normal => untie;
    "claim"/2 DirtyCpu => claim;
    "lease_end"/1 DirtyCpu => lease_end;
    "lease_idle"/1 Normal => lease_idle;
    "lease_interrupt"/1 DirtyCpu => lease_interrupt;
    "lease_free"/1 DirtyCpu => lease_free;
    "lease_hand_back"/1 DirtyCpu => lease_hand_back;
    "worker_new"/1 DirtyIo => worker::new;
    "worker_watch"/2 Normal => worker::watch;
    "worker_attach"/2 Normal => worker::attach;
    "worker_close"/1 DirtyCpu => worker::close;
    "worker_kill"/2 Normal => worker::kill;
    "worker_running"/1 DirtyCpu => worker::running;
    "worker_info"/1 Normal => worker::info;
    "worker_unused"/2 Normal => worker::unused;
    "alive"/1 Normal => worker::alive;
    "submit"/5 Normal => submit_normal;
    "submit_dirty"/5 DirtyCpu => submit_dirty;
    "cancel"/1 Normal => cancel_silently;
    "cancel"/2 Normal => cancel_with_reason;
    "unwait"/1 Normal => unwait;
    "waits_for"/1 Normal => waits_for;
    "interrupt"/1 Normal => interrupt;
    "in_flight"/1 Normal => in_flight;
    "attend"/1 Normal => attend;
    "stream_credit"/2 Normal => stream_credit;
    "stream_took"/1 Normal => stream_took;
    "stream_rest"/1 Normal => stream_rest;
    "callback_enter"/1 Normal => callback_enter;
    "callback_reply"/2 Normal => callback_reply;
    "callback_reply_dirty"/2 DirtyCpu => callback_reply_dirty;
    "observe_open"/1 Normal => observe_open;
    "observe_done"/3 Normal => observe_done;
    "observe_dropped"/1 Normal => observe_dropped;
    "permits"/0 Normal => permits;
    "max_permits"/0 Normal => max_permits;
    "set_max_permits"/1 Normal => set_max_permits;
    "acquire"/0 Normal => acquire;
    "acquire"/1 Normal => acquire_again;
    "release"/0 Normal => release;
    "is_binding"/1 Normal => is_binding;
    "is_handle"/1 Normal => is_handle;
    "release_handle"/1 Normal => release_handle;
}

/// Large replies, and the codec alone, for tests: normal scheduler up to 32 KiB, then a dirty one.
const _: () = {
    rustler::codegen_runtime::inventory::submit!(rustler::Nif {
        name: c"decode_reply".as_ptr(),
        arity: 1,
        flags: 0,
        raw_func: crate::undecoded::nif_decode_reply,
    });
    rustler::codegen_runtime::inventory::submit!(rustler::Nif {
        name: c"encode".as_ptr(),
        arity: 2,
        flags: 0,
        raw_func: crate::term::nif_encode,
    });
    rustler::codegen_runtime::inventory::submit!(rustler::Nif {
        name: c"decode".as_ptr(),
        arity: 2,
        flags: 0,
        raw_func: crate::term::nif_decode,
    });
};

fn bad_argument(env: EnvPtr) -> Raw {
    // SAFETY: the result goes straight back to the emulator.
    unsafe { rustler::sys::enif_make_badarg(env) }
}

macro_rules! arg {
    ($env:expr, $found:expr) => {
        match $found {
            Some(value) => value,
            None => return bad_argument($env),
        }
    };
}

fn exhausted(env: EnvPtr, detail: &str) -> Raw {
    beam::error(env, beam::tuple(env, [atoms().exhausted, beam::binary(env, detail.as_bytes())]))
}

mod worker;

/// D. Starts one thread.
fn start(env: EnvPtr, _args: &[Raw]) -> Raw {
    if janitor::start() {
        return atoms().ok;
    }
    exhausted(env, "could not start a thread")
}

/// D. Closes the pools, kills what still runs, joins every thread. Bounded by the kernel's time to end the workers.
fn stop(env: EnvPtr, _args: &[Raw]) -> Raw {
    for pool in Pool::all() {
        close(env, &pool);
    }
    for incarnation in registry::incarnations() {
        incarnation.advance(CLOSED);
        incarnation.kill(atoms().stopped);
        teardown::without_reader(&incarnation);
    }
    registry::join_readers();
    watchdog::stop();
    janitor::stop();
    backend::stop();
    atoms().ok
}

/// D. Walks the slab.
fn nif_info(env: EnvPtr, _args: &[Raw]) -> Raw {
    let incarnations = registry::incarnations();
    let leases = incarnations.iter().map(|incarnation| incarnation.link().request_arena.in_use()).sum::<usize>();
    let blobs = incarnations.iter().map(|incarnation| incarnation.link().request_blobs.in_use()).sum::<usize>();
    beam::map(
        env,
        [
            ("version", beam::binary(env, env!("CARGO_PKG_VERSION").as_bytes())),
            ("slab_in_use", beam::uint(env, slab::in_use() as u64)),
            ("readers", beam::uint(env, reader::RUNNING.load(Ordering::Acquire) as u64)),
            ("mappings", beam::uint(env, incarnation::MAPPINGS.load(Ordering::Acquire))),
            ("waiting", beam::uint(env, semaphore::queue().len() as u64)),
            ("incarnations", beam::uint(env, incarnations.len() as u64)),
            ("leases", beam::uint(env, leases as u64)),
            ("blobs", beam::uint(env, blobs as u64)),
        ],
    )
}

/// D. Walks the slab; waits for nobody.
fn diagnose(env: EnvPtr, _args: &[Raw]) -> Raw {
    diagnose::report(env)
}

/// D. Walks the slab; waits for nobody.
fn oldest_requests(env: EnvPtr, args: &[Raw]) -> Raw {
    let number = |arg| beam::get_u64(env, arg);
    let from = arg!(env, number(args[0]));
    let to = if args[1] == atoms().infinity { u64::MAX } else { arg!(env, number(args[1])) };
    let count = arg!(env, number(args[2])).min(1000);
    diagnose::oldest(env, from..to, count as usize)
}

/// D. Reads the counters of each worker.
fn service_times(env: EnvPtr, args: &[Raw]) -> Raw {
    if let Some(pool) = POOL.get(env, args[0]) {
        return latency::term(env, &pool.0.history.times());
    }
    let worker = arg!(env, WORKER.get(env, args[0]));
    latency::term(env, &worker.0.link().telemetry.times())
}

/// N. Constant.
fn pool_new(env: EnvPtr, args: &[Raw]) -> Raw {
    let budget = beam::map_get(env, args[1], "inline_budget_us").and_then(|t| beam::get_u64(env, t)).unwrap_or(0);
    let pool = Pool::create(budget.min(1000) as u32);
    POOL.alloc(PoolRef(pool)).term(env)
}

/// D. Publishes what was parked for lack of a worker.
fn pool_add(env: EnvPtr, args: &[Raw]) -> Raw {
    let (pool, worker) = (arg!(env, POOL.get(env, args[0])), arg!(env, WORKER.get(env, args[1])));
    worker.0.join_pool(pool.0.id);
    pool.0.history.join(&worker.0);
    worker.0.limits.serves(worker.0.requests());
    for parked in pool.0.add(env, &worker.0) {
        teardown::republish(env, &pool.0, parked);
    }
    // It may have ended before it was in the list.
    if worker.0.state() != UP {
        pool.0.remove(worker.0.serial());
    }
    atoms().ok
}

/// N. Constant.
fn pool_remove(env: EnvPtr, args: &[Raw]) -> Raw {
    let (pool, worker) = (arg!(env, POOL.get(env, args[0])), arg!(env, WORKER.get(env, args[1])));
    pool.0.remove(worker.0.serial());
    atoms().ok
}

/// D. Answers what was parked.
fn pool_close(env: EnvPtr, args: &[Raw]) -> Raw {
    close(env, &arg!(env, POOL.get(env, args[0])).0);
    atoms().ok
}

/// D. Answers what was parked.
fn pool_failing(env: EnvPtr, args: &[Raw]) -> Raw {
    let pool = &arg!(env, POOL.get(env, args[0])).0;
    for parked in pool.set_failing(env, args[1] == atoms().true_) {
        teardown::republish(env, pool, parked);
    }
    atoms().ok
}

fn close(env: EnvPtr, pool: &Arc<Pool>) {
    for parked in pool.close(env) {
        teardown::republish(env, pool, parked);
    }
}

/// N. Constant for each worker.
fn pool_info(env: EnvPtr, args: &[Raw]) -> Raw {
    let pool = &arg!(env, POOL.get(env, args[0])).0;
    let workers = pool.workers();
    let pending: u64 = workers.iter().map(|w| u64::from(w.in_flight())).sum();
    beam::map(
        env,
        [
            ("workers", beam::uint(env, workers.len() as u64)),
            ("pending", beam::uint(env, pending)),
            ("parked", beam::uint(env, pool.parked() as u64)),
            ("waiting", beam::uint(env, pool.queue.len() as u64)),
        ],
    )
}

/// N. As an unbound submission chooses.
fn choose(env: EnvPtr, args: &[Raw]) -> Raw {
    let pool = arg!(env, POOL.get(env, args[0]));
    match pool::choose(&pool.0.workers()).and_then(|worker| worker.term(env)) {
        Some(worker) => beam::tuple(env, [atoms().ok, worker]),
        None => beam::error(env, atoms().no_worker),
    }
}

/// N. As an unbound submission chooses.
fn tie(env: EnvPtr, args: &[Raw]) -> Raw {
    let pool = arg!(env, POOL.get(env, args[0]));
    match pool::choose(&pool.0.workers()) {
        Some(worker) => beam::tuple(env, [atoms().ok, Lease::tie(worker).term(env)]),
        None => beam::error(env, atoms().no_worker),
    }
}

/// N. Constant.
fn untie(env: EnvPtr, args: &[Raw]) -> Raw {
    if let Some(lease) = LEASE.get(env, args[0]) {
        lease.untie();
    }
    atoms().ok
}

/// D. Walks the slab.
fn claim(env: EnvPtr, args: &[Raw]) -> Raw {
    let pool = &arg!(env, POOL.get(env, args[0])).0;
    let wanted = match args[1] {
        idle if idle == atoms().idle => Wanted::Idle,
        any if any == atoms().any => Wanted::Any,
        worker => Wanted::Worker(&arg!(env, WORKER.get(env, worker)).0),
    };
    match lease::claim(env, pool, &wanted) {
        Some(lease) => beam::tuple(env, [atoms().ok, lease.term(env)]),
        None => atoms().none,
    }
}

/// D. Walks the slab.
fn lease_end(env: EnvPtr, args: &[Raw]) -> Raw {
    arg!(env, LEASE.get(env, args[0])).end(env);
    atoms().ok
}

/// N. Constant.
fn lease_idle(env: EnvPtr, args: &[Raw]) -> Raw {
    let lease = arg!(env, LEASE.get(env, args[0]));
    if lease.when_idle(arg!(env, beam::caller(env))) { atoms().busy } else { atoms().idle }
}

/// D. Walks the slab.
fn lease_interrupt(env: EnvPtr, args: &[Raw]) -> Raw {
    if arg!(env, LEASE.get(env, args[0])).interrupt(env) { atoms().ok } else { atoms().not_running }
}

/// D. Publishes what was parked for lack of a worker.
fn lease_free(env: EnvPtr, args: &[Raw]) -> Raw {
    arg!(env, LEASE.get(env, args[0])).free(env);
    atoms().ok
}

/// D. As `lease_free`.
fn lease_hand_back(env: EnvPtr, args: &[Raw]) -> Raw {
    beam::boolean(arg!(env, LEASE.get(env, args[0])).hand_back(env))
}

/// N. Bounded by `NORMAL_BUDGET` bytes and the inline budget.
fn submit_normal(env: EnvPtr, args: &[Raw]) -> Raw {
    submit::submit(env, args, false)
}

/// D. Bounded by the size of the request.
fn submit_dirty(env: EnvPtr, args: &[Raw]) -> Raw {
    submit::submit(env, args, true)
}

fn cancelled(outcome: Cancelled) -> Raw {
    match outcome {
        Cancelled::Yes => atoms().cancelled,
        Cancelled::Stream => atoms().stream,
        Cancelled::Sent => atoms().sent,
    }
}

/// N. Constant; may yield to a reader thread that holds the entry for the few microseconds of a publication.
fn cancel_silently(env: EnvPtr, args: &[Raw]) -> Raw {
    cancelled(cancel::cancel(env, arg!(env, PENDING.get(env, args[0])), None))
}

/// N. As `cancel/1`.
fn cancel_with_reason(env: EnvPtr, args: &[Raw]) -> Raw {
    let reason = args[1];
    // SAFETY: copies a term of this call into the message's environment.
    let copy = |to: EnvPtr| unsafe { rustler::sys::enif_make_copy(to, reason) };
    cancelled(cancel::cancel(env, arg!(env, PENDING.get(env, args[0])), Some(&copy)))
}

/// N. Constant.
fn unwait(env: EnvPtr, args: &[Raw]) -> Raw {
    if arg!(env, TICKET.get(env, args[0])).finish(env) { atoms().woken } else { atoms().waiting }
}

/// N. Constant.
fn waits_for(env: EnvPtr, args: &[Raw]) -> Raw {
    let ticket = arg!(env, TICKET.get(env, args[0]));
    if Arc::ptr_eq(ticket.queue(), semaphore::queue()) { atoms().permit } else { atoms().room }
}

/// N. Constant.
fn interrupt(env: EnvPtr, args: &[Raw]) -> Raw {
    if cancel::interrupt(env, arg!(env, PENDING.get(env, args[0]))) { atoms().ok } else { atoms().not_running }
}

/// N. At most the inline budget.
fn attend(env: EnvPtr, args: &[Raw]) -> Raw {
    inbox::attend(env, arg!(env, PENDING.get(env, args[0])));
    atoms().ok
}

/// N. Constant.
fn in_flight(env: EnvPtr, args: &[Raw]) -> Raw {
    beam::boolean(cancel::in_flight(arg!(env, PENDING.get(env, args[0]))))
}

/// N. Constant.
fn stream_credit(env: EnvPtr, args: &[Raw]) -> Raw {
    let handle = arg!(env, PENDING.get(env, args[0]));
    let more = arg!(env, stream::read_credit(env, args[1]));
    beam::boolean(stream::credit(handle, |flow| flow.grant(more)))
}

/// N. Constant.
fn stream_took(env: EnvPtr, args: &[Raw]) -> Raw {
    beam::boolean(stream::credit(arg!(env, PENDING.get(env, args[0])), Flow::took))
}

/// N. Constant.
fn stream_rest(env: EnvPtr, args: &[Raw]) -> Raw {
    match stream::rest(arg!(env, PENDING.get(env, args[0]))) {
        Rest::ToCome => atoms().to_come,
        Rest::BeingSent => atoms().being_sent,
        Rest::Nothing => atoms().nothing,
    }
}

/// N. Constant.
fn callback_enter(env: EnvPtr, args: &[Raw]) -> Raw {
    arg!(env, CALL.get(env, args[0])).enter(env);
    atoms().ok
}

/// N. Bounded by the encoder's budget; wakes one thread of a worker.
fn callback_reply(env: EnvPtr, args: &[Raw]) -> Raw {
    answer_callback(env, args, false)
}

/// D. Bounded by the size of the answer.
fn callback_reply_dirty(env: EnvPtr, args: &[Raw]) -> Raw {
    answer_callback(env, args, true)
}

fn answer_callback(env: EnvPtr, args: &[Raw], dirty: bool) -> Raw {
    let call = arg!(env, CALL.get(env, args[0]));
    match beam::get_tuple(env, args[1]) {
        Some(&[tag, value]) if tag == atoms().ok => call.reply(env, Ok(value), dirty),
        Some(&[tag, text]) if tag == atoms().error => {
            call.reply(env, Err(arg!(env, beam::get_binary(env, text))), dirty)
        }
        _ => bad_argument(env),
    }
}

/// N. Constant.
fn observe_open(env: EnvPtr, args: &[Raw]) -> Raw {
    beam::uint(env, u64::from(arg!(env, observe::gate(args[0])).open()))
}

/// N. Constant.
fn observe_done(env: EnvPtr, args: &[Raw]) -> Raw {
    let number = |term| beam::get_u64(env, term).and_then(|n| u32::try_from(n).ok());
    arg!(env, observe::gate(args[0])).leave(arg!(env, number(args[1])), arg!(env, number(args[2])));
    atoms().ok
}

/// N. Constant.
fn observe_dropped(env: EnvPtr, args: &[Raw]) -> Raw {
    beam::uint(env, arg!(env, observe::gate(args[0])).take_dropped())
}

/// N. Constant.
fn permits(env: EnvPtr, _args: &[Raw]) -> Raw {
    beam::uint(env, semaphore::current().max(0) as u64)
}

/// N. Constant.
fn max_permits(env: EnvPtr, _args: &[Raw]) -> Raw {
    beam::uint(env, semaphore::limit().max(0) as u64)
}

/// N. Wakes at most 32 callers.
fn set_max_permits(env: EnvPtr, args: &[Raw]) -> Raw {
    let limit = arg!(env, beam::get_u64(env, args[0]).and_then(|n| i64::try_from(n).ok()).filter(|n| *n > 0));
    semaphore::set_limit(env, limit);
    atoms().ok
}

/// N. Constant.
fn acquire(env: EnvPtr, _args: &[Raw]) -> Raw {
    take_permit(env, None)
}

/// N. Constant.
fn acquire_again(env: EnvPtr, args: &[Raw]) -> Raw {
    take_permit(env, Some(arg!(env, TICKET.get(env, args[0]))))
}

fn take_permit(env: EnvPtr, ticket: Option<&Ticket>) -> Raw {
    let pid = arg!(env, beam::caller(env));
    if semaphore::try_take(ticket.is_some()) {
        semaphore::assign(env, pid);
        if let Some(ticket) = ticket {
            ticket.finish(env);
        }
        return atoms().ok;
    }
    let queue = semaphore::queue();
    let token = match ticket {
        Some(ticket) => {
            queue.rejoin(ticket);
            crate::resource::Owned::from_ref(ticket)
        }
        None => queue.join(env, pid),
    };
    if semaphore::available() {
        queue.wake(env, 1);
    }
    beam::tuple(env, [atoms().wait, token.term(env)])
}

/// N. Constant.
fn release(env: EnvPtr, _args: &[Raw]) -> Raw {
    let pid = arg!(env, beam::caller(env));
    semaphore::release(env, pid);
    atoms().ok
}

/// N. Constant.
fn is_binding(env: EnvPtr, args: &[Raw]) -> Raw {
    beam::boolean(LEASE.get(env, args[0]).is_some_and(Lease::is_binding))
}

/// N. Constant.
fn is_handle(env: EnvPtr, args: &[Raw]) -> Raw {
    beam::boolean(HANDLE.get(env, args[0]).is_some())
}

/// N. Constant.
fn release_handle(env: EnvPtr, args: &[Raw]) -> Raw {
    arg!(env, HANDLE.get(env, args[0])).release();
    atoms().ok
}
