//! One worker process, from its memory to its end.

use super::{bad_argument, exhausted};
use crate::beam::{self, EnvPtr, Raw, atoms};
use crate::incarnation::{self, CLOSED, Incarnation, Settings, UP, WORKER};
use crate::lease::LEASE;
use crate::limits::Limits;
use crate::output::Output;
use crate::pool::POOL;
use crate::{backend, cancel, janitor, reader, registry, teardown, watchdog};
use shm_proto::layout::Geometry;

/// Calls of coroutines that can be under way at once, beside those for which a thread of the worker waits.
const ASYNC_CALLS: u16 = 256;

/// D. Reserves shared memory.
pub fn new(env: EnvPtr, args: &[Raw]) -> Raw {
    let number = |key| beam::map_get(env, args[0], key).and_then(|t| beam::get_u64(env, t));
    let owner = arg!(env, beam::map_get(env, args[0], "owner").and_then(|t| beam::get_pid(env, t)));
    let id = arg!(env, number("id"));
    let executors = number("executors").unwrap_or(1).clamp(1, 1024);
    let max_threads = number("max_threads").unwrap_or(256).clamp(executors, 4096) as u16;
    let defaults = Geometry::default();
    let geometry = Geometry {
        ring_bytes: number("ring_size").map_or(defaults.ring_bytes, |n| n.min(u64::from(u32::MAX)) as u32),
        arena_bytes: number("arena_size").map_or(defaults.arena_bytes, |n| n.min(u64::from(u32::MAX)) as u32),
        callback_slots: max_threads.saturating_add(ASYNC_CALLS).min(4096),
        ..defaults
    };
    let named = beam::map_get(env, args[0], "segments") == Some(beam::atom(env, "named"));
    let made = backend::create(geometry, named).and_then(|(link, mut handshake)| {
        handshake.executors = executors as u16;
        handshake.max_threads = max_threads;
        if let Some(bytes) = number("blob_cache") {
            handshake.blob_cache = bytes;
            link.keep_blobs(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        let frame = handshake.encode().map_err(|e| std::io::Error::other(e.to_string()))?;
        Ok((link, handshake.nonce, frame))
    });
    let (link, nonce, frame) = match made {
        Ok(made) => made,
        Err(problem) => {
            return exhausted(env, &format!("could not make the shared memory of a worker: {problem}"));
        }
    };
    let logged = beam::map_get(env, args[0], "stdout") == Some(beam::atom(env, "logger"));
    let output = match logged.then(Output::create).transpose() {
        Ok(output) => output,
        Err(problem) => {
            return exhausted(env, &format!("could not make a pipe for the output of a worker: {problem}"));
        }
    };
    let settings = Settings {
        id,
        executors: executors as u32,
        inline_budget_us: number("inline_budget_us").unwrap_or(0).min(1000) as u32,
        output,
        limits: Limits::new(
            number("memory_limit"),
            number("max_rss"),
            number("max_calls").and_then(|calls| u32::try_from(calls).ok()),
        ),
        callers_only: beam::map_get(env, args[0], "callers_only") == Some(beam::atom(env, "true")),
    };
    let incarnation = Incarnation::create(link, nonce, settings, owner);
    registry::add(&incarnation);
    let worker = incarnation.make_term();
    if !worker.monitor(env, &owner) {
        janitor::push(janitor::Job::OwnerDown(incarnation));
    }
    beam::tuple(env, [atoms().ok, worker.term(env), beam::binary(env, &frame)])
}

/// N. One system call.
pub fn watch(env: EnvPtr, args: &[Raw]) -> Raw {
    let worker = arg!(env, WORKER.get(env, args[0]));
    let pid = arg!(env, beam::get_u64(env, args[1]).and_then(|pid| i32::try_from(pid).ok()));
    match worker.0.watch(pid) {
        Ok(()) => atoms().ok,
        Err(nix::Error::ESRCH) => beam::error(env, atoms().exited),
        Err(problem) => {
            let detail = format!("could not open a pidfd (Linux 5.3 or later is needed): {problem}");
            beam::error(env, beam::binary(env, detail.as_bytes()))
        }
    }
}

/// N. Starts one thread, or two.
pub fn attach(env: EnvPtr, args: &[Raw]) -> Raw {
    let worker = arg!(env, WORKER.get(env, args[0]));
    let hello = arg!(env, beam::get_binary(env, args[1]));
    if worker.0.pidfd().is_none() || !worker.0.is_hello(hello) || !worker.0.attach() {
        return beam::error(env, atoms().bad_hello);
    }
    worker.0.link().close_far_ends();
    if let Some(output) = &worker.0.output {
        output.close_far_end();
    }
    worker.0.advance(UP);
    let watched = if worker.0.limits.exist { watchdog::add(&worker.0) } else { Ok(()) };
    match watched.and_then(|()| reader::spawn(worker.0.clone())) {
        Ok(()) => atoms().ok,
        Err(problem) => {
            worker.0.kill(atoms().exhausted);
            worker.0.detach();
            janitor::push(janitor::Job::OwnerDown(worker.0.clone()));
            exhausted(env, &format!("could not start a thread for a worker: {problem}"))
        }
    }
}

/// D. Walks the slab.
pub fn close(env: EnvPtr, args: &[Raw]) -> Raw {
    let worker = arg!(env, WORKER.get(env, args[0]));
    if worker.0.advance(CLOSED) {
        teardown::leave_pools(&worker.0);
        teardown::move_queued(env, &worker.0);
        worker.0.queue.wake_all(env);
    }
    atoms().ok
}

/// N. Two system calls.
pub fn kill(env: EnvPtr, args: &[Raw]) -> Raw {
    let worker = match (WORKER.get(env, args[0]), LEASE.get(env, args[0])) {
        (Some(worker), _) => worker.0.clone(),
        (None, Some(lease)) => match lease.worker() {
            Ok(worker) => worker,
            Err(_) => return atoms().ok,
        },
        (None, None) => return bad_argument(env),
    };
    // SAFETY: a term of this call.
    if unsafe { rustler::sys::enif_is_atom(env, args[1]) } == 0 {
        return bad_argument(env);
    }
    worker.advance(CLOSED);
    worker.kill(args[1]);
    if !worker.was_attached() {
        // No reader thread will settle it.
        janitor::push(janitor::Job::OwnerDown(worker.clone()));
    }
    atoms().ok
}

/// N. Constant.
pub fn info(env: EnvPtr, args: &[Raw]) -> Raw {
    let worker = &arg!(env, WORKER.get(env, args[0])).0;
    let telemetry = &worker.link().telemetry;
    let times = telemetry.times();
    let (objects, slots) = telemetry.objects();
    let output = worker.output.as_ref().and_then(Output::path);
    beam::map(
        env,
        [
            ("id", beam::uint(env, worker.id)),
            ("serial", beam::uint(env, worker.serial())),
            ("in_flight", beam::uint(env, u64::from(worker.in_flight()))),
            ("requests", beam::uint(env, u64::from(worker.requests()))),
            ("streams", beam::uint(env, telemetry.streams())),
            ("served", beam::uint(env, telemetry.served())),
            ("state", incarnation::state_atom(worker.state())),
            ("p50_ns", beam::uint(env, times.quantile(0.5))),
            ("p99_ns", beam::uint(env, times.quantile(0.99))),
            ("max_ns", beam::uint(env, times.longest())),
            ("awake", beam::boolean(worker.awake())),
            ("output", output.map_or(atoms().undefined, |path| beam::binary(env, path.as_bytes()))),
            ("os_pid", beam::uint(env, worker.os_pid().max(0) as u64)),
            ("bound", beam::boolean(worker.seat().is_taken())),
            ("ties", beam::uint(env, worker.seat().ties.count())),
            ("handles", beam::uint(env, worker.handles().live())),
            ("objects", beam::uint(env, objects)),
            ("object_slots", beam::uint(env, slots)),
        ],
    )
}

/// N. Constant.
pub fn unused(env: EnvPtr, args: &[Raw]) -> Raw {
    let (pool, worker) = (arg!(env, POOL.get(env, args[0])), &arg!(env, WORKER.get(env, args[1])).0);
    beam::boolean(pool.0.has_forgotten(worker.serial()) && worker.is_unused())
}

/// D. Walks the slab.
pub fn running(env: EnvPtr, args: &[Raw]) -> Raw {
    let worker = arg!(env, WORKER.get(env, args[0]));
    beam::uint(env, cancel::running(&worker.0) as u64)
}

/// N. Constant.
pub fn alive(env: EnvPtr, args: &[Raw]) -> Raw {
    beam::boolean(match WORKER.get(env, args[0]) {
        Some(worker) => worker.0.state() == UP,
        None => arg!(env, LEASE.get(env, args[0])).is_alive(),
    })
}
