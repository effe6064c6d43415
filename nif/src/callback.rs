//! Calls from Python: the record becomes a message to `py_callback`, the answer goes into the slot of the waiting thread.
//!
//! A request that waits for an Erlang function holds no permit. The [`Call`] that travels in the message answers with an
//! error when nobody holds it any more, so that a lost message never leaves a thread waiting.

use crate::beam::{self, EnvPtr, MessageEnv, Raw, atoms};
use crate::extent::{Payload, PlaceError, ReplyExtent};
use crate::incarnation::{DOWN, Incarnation};
use crate::janitor::{self, Job};
use crate::resource::{Kind, Resource};
use crate::semaphore;
use crate::slab::{self, ReplyTo};
use crate::term::{self, Inline};
use rustler::sys::{self, ErlNifPid};
use shm_proto::callback::CALLBACK_PAYLOAD;
use shm_proto::entry::State;
use shm_proto::request::{Extent, Options, Place};
use shm_proto::response::{self, Header};
use shm_proto::ring::Corrupt;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, RwLock};
use std::time::{Duration, Instant};

/// Resource type of calls from Python.
pub static CALL: Kind<Call> = Kind::new();

/// Time between two log events about messages to nobody.
const COMPLAINTS: Duration = Duration::from_millis(50);

/// First byte of an answer: a term follows.
const VALUE: u8 = 0;
/// First byte of an answer: the text of an error follows.
const FAILED: u8 = 1;

/// A thread that waits for an Erlang function.
pub struct Call {
    incarnation: Arc<Incarnation>,
    slot: u32,
    ticket: u64,
    /// First request of the chain of calls.
    root: u64,
    /// Id of the request that gave its permit back for the time of the call.
    permit_of: Option<u64>,
    answered: AtomicBool,
    runner: Mutex<Option<Raw>>,
}

impl Resource for Call {}

impl Drop for Call {
    fn drop(&mut self) {
        if !*self.answered.get_mut() {
            janitor::push(Job::CallLost(self.incarnation.clone(), self.slot, self.ticket));
        }
        self.forget_runner();
    }
}

/// Processes that run an Erlang function for Python, with the root of the chain of calls that they belong to.
static RUNNERS: LazyLock<RwLock<HashMap<Raw, u64>>> = LazyLock::new(Default::default);
/// Their number, so that a node without any does not look.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Root of the chain of calls that the calling process works for; 0: none.
#[inline]
pub fn root_of_caller(env: EnvPtr) -> u64 {
    if RUNNING.load(Ordering::Relaxed) == 0 { 0 } else { look_up(env) }
}

#[cold]
fn look_up(env: EnvPtr) -> u64 {
    let Some(pid) = beam::caller(env) else { return 0 };
    let runners = RUNNERS.read().unwrap_or_else(|e| e.into_inner());
    runners.get(&beam::pid_term(&pid)).copied().unwrap_or(0)
}

impl Call {
    /// The calling process runs the function: requests of its own belong to the chain of calls.
    pub fn enter(&self, env: EnvPtr) {
        let Some(pid) = beam::caller(env).map(|pid| beam::pid_term(&pid)) else { return };
        *self.runner.lock().unwrap_or_else(|e| e.into_inner()) = Some(pid);
        let mut runners = RUNNERS.write().unwrap_or_else(|e| e.into_inner());
        runners.insert(pid, self.root);
        RUNNING.store(runners.len(), Ordering::Relaxed);
    }

    fn forget_runner(&self) {
        if let Some(pid) = self.runner.lock().unwrap_or_else(|e| e.into_inner()).take() {
            let mut runners = RUNNERS.write().unwrap_or_else(|e| e.into_inner());
            runners.remove(&pid);
            RUNNING.store(runners.len(), Ordering::Relaxed);
        }
    }

    /// Answers with a value (`Ok`) or the text of an error. `ok`, `large` (to be repeated on a dirty scheduler) or
    /// `{error, Reason}` if there is no Python object for the value; then the thread still waits.
    pub fn reply(&self, env: EnvPtr, result: Result<Raw, &[u8]>, dirty: bool) -> Raw {
        if self.answered.load(Ordering::Acquire) || self.incarnation.state() == DOWN {
            return self.done(env);
        }
        let value = match result {
            Ok(value) => value,
            Err(text) => {
                self.resume();
                fail(&self.incarnation, self.slot, self.ticket, text);
                return self.done(env);
            }
        };
        term::with_value(env, value, VALUE, dirty, |encoded| {
            let encoded = match encoded {
                Ok(encoded) => encoded,
                Err(term::EncodeError::TooLarge) if !dirty => return atoms().large,
                Err(problem) => return beam::error(env, problem.reason(env)),
            };
            if let Some((home, handle)) = encoded.home
                && !Arc::ptr_eq(home, self.incarnation.handles())
            {
                return beam::error(env, term::EncodeError::other_worker(env, *handle).reason(env));
            }
            let answers = &self.incarnation.link().answers;
            if encoded.blobs.is_empty() && encoded.terms.len() <= CALLBACK_PAYLOAD {
                self.resume();
                // A thread that was interrupted does not wait any more.
                let _ = answers.reply(self.slot as usize, self.ticket, Place::Inline, encoded.terms);
                return self.done(env);
            }
            let payload = match Payload::place(&self.incarnation, encoded, dirty) {
                Ok(payload) => payload,
                Err(PlaceError::NeedsDirty) => return atoms().large,
                Err(PlaceError::Exhausted(detail)) => {
                    return beam::error(
                        env,
                        beam::tuple(env, [atoms().exhausted, beam::binary(env, detail.as_bytes())]),
                    );
                }
            };
            self.resume();
            let extent = payload.extent().encode();
            let taken = answers.reply(self.slot as usize, self.ticket, payload.wire_place(), &extent).is_ok();
            payload.discard(&self.incarnation, !taken);
            self.done(env)
        })
    }

    fn done(&self, _env: EnvPtr) -> Raw {
        self.answered.store(true, Ordering::Release);
        self.forget_runner();
        atoms().ok
    }

    /// The request goes on and holds a permit again, even if that is one too many for a while.
    fn resume(&self) {
        let Some(id) = self.permit_of else { return };
        let (index, generation) = slab::split(id);
        let Some(entry) = slab::get(index) else { return };
        loop {
            match entry.word.transition(generation, State::Live, State::Moving) {
                Ok(()) => break,
                Err((now, State::Moving)) if now == generation => std::thread::yield_now(),
                Err(_) => return,
            }
        }
        // SAFETY: we own the MOVING state.
        let body = unsafe { entry.body() };
        if !std::mem::replace(&mut body.permit, true) {
            semaphore::take();
        }
        let _ = entry.word.transition(generation, State::Moving, State::Live);
    }
}

/// Answers a waiting thread with an error. Locks for one copy and wakes.
pub fn fail(incarnation: &Incarnation, slot: u32, ticket: u64, text: &[u8]) {
    if incarnation.state() == DOWN {
        return;
    }
    let mut payload = vec![FAILED];
    payload.extend_from_slice(&text[..text.len().min(CALLBACK_PAYLOAD - 1)]);
    // A thread that was interrupted does not wait any more.
    let _ = incarnation.link().answers.reply(slot as usize, ticket, Place::Inline, &payload);
}

/// The call's message or process was lost. Runs on the janitor.
pub fn lost(incarnation: &Incarnation, slot: u32, ticket: u64) {
    fail(incarnation, slot, ticket, b"exit: the process that ran the function is gone");
}

/// What a request is to those whom its callbacks reach.
#[derive(Default)]
struct Origin {
    caller: Option<ErlNifPid>,
    bound: bool,
    /// Number of the binding that the request belongs to; 0: none.
    binding: u64,
    permit_of: Option<u64>,
}

/// Looks at the request that calls back and, if it `waits`, frees its permit. A task or a thread of the program may outlive the request that
/// started it; what it calls then comes from nobody.
fn origin(incarnation: &Incarnation, id: u64, waits: bool) -> Origin {
    let (index, generation) = slab::split(id);
    let Some(entry) = slab::get(index) else { return Origin::default() };
    loop {
        let (now, state) = entry.word.load();
        if now != generation || entry.incarnation.load(Ordering::Relaxed) != incarnation.serial() {
            return Origin::default();
        }
        match state {
            State::Live => {
                if !entry.seize(generation, incarnation.serial()) {
                    continue;
                }
                // SAFETY: we own the MOVING state.
                let body = unsafe { entry.body() };
                let permit = waits && std::mem::take(&mut body.permit);
                // SAFETY: whoever made a request other than a cast pending stored its caller.
                let caller = (body.reply_to != ReplyTo::Cast).then(|| unsafe { body.caller.assume_init() });
                let binding = entry.binding.load(Ordering::Relaxed);
                let origin = Origin { caller, bound: body.bound, binding, permit_of: permit.then_some(id) };
                let _ = entry.word.transition(generation, State::Moving, State::Live);
                if permit {
                    semaphore::give_back(std::ptr::null_mut());
                }
                return origin;
            }
            // Its caller watches for a few microseconds more, or somebody holds it for a moment.
            State::Watched | State::Moving => std::thread::yield_now(),
            State::Free | State::Cancelled | State::Handed | State::Delivering | State::Failed => {
                return Origin::default();
            }
        }
    }
}

/// A process by its registered name. On threads of our own only.
pub fn whereis(name: Raw) -> Option<ErlNifPid> {
    let mut pid = MaybeUninit::uninit();
    // SAFETY: threads of our own pass no environment; initialised on success.
    unsafe { (sys::enif_whereis_pid(std::ptr::null_mut(), name, pid.as_mut_ptr()) != 0).then(|| pid.assume_init()) }
}

/// What Python published: `{Name, Args}` or `{To, Message}`. The inner error is a reason for a program, the outer one ends
/// the worker.
fn decode(
    env: EnvPtr,
    incarnation: &Incarnation,
    header: &Header,
    payload: &[u8],
) -> Result<Result<[Raw; 2], Raw>, Corrupt> {
    let decoded = if header.place == Place::Inline {
        term::decode_value(env, payload, Options(0), &Inline(incarnation.handles()))
    } else {
        let bad = Corrupt("extent of a callback");
        let extent = Extent::decode(payload).map_err(|_| bad)?;
        match ReplyExtent::open(incarnation, header.place, extent) {
            Some(extent) => term::decode_value(env, &extent.terms().ok_or(bad)?, Options(0), &extent),
            None => return Err(bad),
        }
    };
    match decoded.map_err(|problem| Corrupt(problem.0))? {
        Ok(pair) => match beam::get_tuple(env, pair) {
            Some(&[first, second]) => Ok(Ok([first, second])),
            _ => Err(Corrupt("callback is no pair")),
        },
        Err(reason) => Ok(Err(reason)),
    }
}

/// Python calls an Erlang function. Runs on the reader thread.
pub fn received(incarnation: &Arc<Incarnation>, header: &Header, payload: &[u8]) -> Result<(), Corrupt> {
    if incarnation.state() == DOWN {
        return Ok(());
    }
    let (call, payload) = response::Call::decode(payload).ok_or(Corrupt("callback record"))?;
    incarnation.link().answers.open(call.slot as usize, call.ticket)?;
    let origin = origin(incarnation, header.id, true);
    let a = atoms();
    let mut message = MessageEnv::new();
    let env = message.ptr();
    let pair = decode(env, incarnation, header, payload)?;
    let resource = CALL.alloc(Call {
        incarnation: incarnation.clone(),
        slot: call.slot,
        ticket: call.ticket,
        root: call.root,
        permit_of: origin.permit_of,
        answered: AtomicBool::new(false),
        runner: Mutex::default(),
    });
    let [name, args] = match pair {
        Ok(pair) => pair,
        Err(_) => {
            let text: &[u8] = b"error: an argument has no Erlang term";
            resource.reply(env, Err(text), true);
            return Ok(());
        }
    };
    let Some(server) = whereis(a.py_callback) else {
        resource.reply(env, Err(b"error: not_started"), true);
        return Ok(());
    };
    let kind = if header.flags & Header::INTERNAL != 0 { a.internal } else { a.registered };
    let caller = origin.caller.map_or(a.undefined, |pid| beam::pid_term(&pid));
    let worker = match incarnation.seat().term(env, origin.binding) {
        Some(lease) => beam::tuple(env, [a.bound, lease]),
        None if origin.bound => incarnation.term(env).unwrap_or(a.undefined),
        None => a.undefined,
    };
    let term = beam::tuple(env, [a.py_callback, resource.term(env), kind, caller, worker, name, args]);
    message.send(std::ptr::null_mut(), &server, term);
    Ok(())
}

/// Whether it is time for another log event about a message to nobody: a program can send them faster than they are written.
fn may_complain() -> bool {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(|e| e.into_inner());
    let due = last.is_none_or(|last| last.elapsed() >= COMPLAINTS);
    if due {
        *last = Some(Instant::now());
    }
    due
}

/// Whether the request comes from this process. Who looks after the worker runs its preparation, but acts on messages.
fn is_caller(incarnation: &Incarnation, id: u64, pid: &ErlNifPid) -> bool {
    !incarnation.is_owner(pid)
        && origin(incarnation, id, false).caller.is_some_and(|caller| beam::pid_term(&caller) == beam::pid_term(pid))
}

/// Python sends a message. Runs on the reader thread. If it may reach callers only, the rest is dropped: some processes do
/// what a message says, so to reach them is to run code in the node. What cannot be delivered from here (to another node) is sent by
/// `py_callback`, which also logs some of what is for nobody.
pub fn send(incarnation: &Arc<Incarnation>, header: &Header, payload: &[u8]) -> Result<(), Corrupt> {
    let mut message = MessageEnv::new();
    let env = message.ptr();
    let Ok([to, term]) = decode(env, incarnation, header, payload)? else { return Ok(()) };
    let name = beam::get_binary(env, to).and_then(|name| std::str::from_utf8(name).ok());
    let to_local = match name {
        Some(name) => term::existing_atom(env, name).and_then(whereis),
        // SAFETY: a term of this environment.
        None if unsafe { sys::enif_is_atom(env, to) } != 0 => whereis(to),
        None => beam::get_pid(env, to),
    };
    if incarnation.callers_only {
        if let Some(pid) = to_local.filter(|pid| is_caller(incarnation, header.id, pid)) {
            message.send(std::ptr::null_mut(), &pid, term);
        }
        return Ok(());
    }
    match to_local {
        Some(pid) => {
            message.send(std::ptr::null_mut(), &pid, term);
        }
        None => {
            // SAFETY: a term of this environment.
            let elsewhere = unsafe { sys::enif_is_pid(env, to) } != 0;
            let server = if elsewhere || may_complain() { whereis(atoms().py_callback) } else { None };
            if let Some(server) = server {
                let term = beam::tuple(env, [atoms().py_send, to, if elsewhere { term } else { atoms().undefined }]);
                message.send(std::ptr::null_mut(), &server, term);
            }
        }
    }
    Ok(())
}
