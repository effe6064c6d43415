//! Running one request.

use std::rc::Rc;
use std::sync::Arc;

use pyo3::ffi;
use shm_proto::etf::{EtfError, Limits, Reader};
use shm_proto::request::{Header, Kind, Malformed, Options, Place};

use crate::answer::{Answer, Failure};
use crate::async_stream::{self, Pump};
use crate::asyncio;
use crate::callable::{Callables, Names, is_async_function};
use crate::callback::{self, Running};
use crate::coroutine;
use crate::fork;
use crate::handle;
use crate::interrupt::Current;
use crate::module;
use crate::object::Object;
use crate::payload::{Payload, PayloadError};
use crate::reset::{self, Change};
use crate::script::{Compiled, Scripts};
use crate::serve::Shared;
use crate::stream;
use crate::symbols::{ARGUMENTS_OFFSET, symbols};
use crate::turn::aside;
use crate::value::{CallArgs, DecodeError, ExtentRef, decode_terms};

/// What one thread needs to run requests, reused from request to request. Needs the GIL for everything.
#[derive(Debug)]
pub struct Executor {
    /// The request that runs here.
    pub current: Current,
    callables: Callables,
    scripts: Scripts,
    args: CallArgs,
    /// What the last request left.
    pub answer: Answer,
    running: Rc<Running>,
    /// First request of the chain of calls that the last one belongs to.
    root: u64,
    /// What programs had published when the last request began.
    pub published: u64,
}

impl From<EtfError> for Failure {
    fn from(error: EtfError) -> Self {
        DecodeError::from(error).into()
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its answer is ready to be sent.
    Answered,
    /// The event loop will answer it.
    Awaited,
    /// A stream has sent what there was to send.
    Streamed,
}

impl Executor {
    /// For the calling thread. `namespace` is the dict of `__main__`. `None` with a Python exception set.
    ///
    /// # Safety
    /// The GIL is held.
    pub unsafe fn new(current: Current, namespace: Object) -> Option<Self> {
        Some(Self {
            running: Running::here(current.armed()),
            root: 0,
            published: 0,
            current,
            callables: Callables::default(),
            // SAFETY: the GIL is held.
            scripts: unsafe { Scripts::new(namespace)? },
            args: CallArgs::new(),
            answer: Answer::new(),
        })
    }

    /// Runs the request in `record` (header and what follows it) and leaves its answer in this executor, or hands
    /// its result to the event loop. No interrupt reaches the thread afterwards.
    ///
    /// # Errors
    /// [`Malformed`]: the record is not what the node writes.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    #[inline]
    pub unsafe fn run(&mut self, shared: &Arc<Shared>, header: &Header, record: &[u8]) -> Result<Outcome, Malformed> {
        let body = header.body(record).ok_or(Malformed("request length"))?;
        if header.kind == Kind::Credit && stream::is_pumped(header.id) {
            // SAFETY: the GIL is held and no exception is set.
            unsafe {
                // Interrupts are the task's.
                self.current.clear();
                async_stream::go_on(header);
            }
            return Ok(Outcome::Streamed);
        }
        self.root = header.root(record);
        self.published = callback::published();
        self.answer.clear();
        let on_loop = asyncio::on_loop();
        if on_loop {
            // SAFETY: the GIL is held and no exception is set.
            unsafe { coroutine::begin(shared, header, self.root, self.published) };
        } else {
            self.running.set(header.id, self.root);
        }
        // SAFETY: the GIL is held and no exception is set.
        unsafe {
            let outcome = if header.place == Place::Inline {
                self.dispatch(shared, header, body, None)
            } else {
                self.with_extent(shared, header, body)?
            };
            let outcome = outcome.unwrap_or_else(|failure| {
                self.answer.failure(failure, header.options, self.current.interrupted());
                Outcome::Answered
            });
            fork::end_child();
            if on_loop && outcome == Outcome::Answered {
                coroutine::forget(header.id);
            }
            self.running.clear();
            self.current.clear();
            Ok(outcome)
        }
    }

    /// Whether a request belongs on the event loop: coroutine functions, functions of asyncio, the end of objects, credit of
    /// streams there. What needs an import or has large arguments does not: it would hold up the others.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    #[inline]
    pub unsafe fn is_for_loop(&mut self, header: &Header, record: &[u8]) -> bool {
        if header.kind == Kind::Release || (header.kind == Kind::Credit && stream::is_pumped(header.id)) {
            return true;
        }
        if header.kind != Kind::Call || header.place != Place::Inline {
            return false;
        }
        let Some((names, _)) = header.body(record).and_then(Names::split) else { return false };
        // SAFETY: the caller's promise.
        unsafe {
            let callable = self.callables.find_loaded(names);
            callable.is_some_and(|callable| names.is_asyncio() || is_async_function(&callable))
        }
    }

    /// # Safety
    /// The GIL is held and no exception is set.
    #[cold]
    unsafe fn with_extent(
        &mut self,
        shared: &Arc<Shared>,
        header: &Header,
        body: &[u8],
    ) -> Result<Result<Outcome, Failure>, Malformed> {
        let payload = match Payload::open(&shared.link, shared.node_pid, header.place, body) {
            Ok(payload) => payload,
            Err(PayloadError::Malformed(malformed)) => return Err(malformed),
            Err(error) => {
                // SAFETY: the GIL is held.
                unsafe { module::raise(ffi::PyExc_OSError, &error.to_string()) };
                return Ok(Err(Failure::Raised));
            }
        };
        // SAFETY: the GIL is held and no exception is set.
        Ok(unsafe { self.dispatch(shared, header, payload.terms(), Some(&payload.blobs())) })
    }

    /// # Safety
    /// The GIL is held and no exception is set.
    #[inline]
    unsafe fn dispatch(
        &mut self,
        shared: &Arc<Shared>,
        header: &Header,
        terms: &[u8],
        extent: Option<&ExtentRef<'_>>,
    ) -> Result<Outcome, Failure> {
        // SAFETY: the GIL is held; the value lives until it is encoded.
        unsafe {
            let change = if header.options.has(Options::NODE) { Change::begin() } else { None };
            let value = match header.kind {
                Kind::Call => self.call(terms, header.options, extent),
                Kind::Eval => self.eval(terms, header.options, extent),
                Kind::Exec => self.exec(terms, change.as_ref()),
                Kind::Method => self.method(terms, header.options, extent),
                Kind::Release => release(terms),
                Kind::Reset => self.reset(),
                Kind::Stream => self.call(terms, header.options, extent),
                Kind::StreamEval => self.eval(terms, header.options, extent),
                Kind::Credit => {
                    stream::go_on(shared, &self.current, &mut self.answer, header);
                    return Ok(Outcome::Streamed);
                }
            };
            if let Some(change) = change {
                change.end();
            }
            // Arguments are let go only now: finalisers of theirs may run Python code, which must not see a
            // half-made call.
            let value = match value {
                Ok(value) => value,
                Err(failure) => {
                    aside(|| self.args.clear());
                    return Err(failure);
                }
            };
            aside(|| self.args.clear());
            if header.kind.is_stream() {
                let value = value.ok_or(Failure::Raised)?;
                if async_stream::is_asynchronous(&value) {
                    self.pump(shared, header, &value).ok_or(Failure::Raised)?;
                } else {
                    stream::begin(shared, &self.current, &mut self.answer, header, value);
                }
                return Ok(Outcome::Streamed);
            }
            if let Some(value) = &value
                && coroutine::is_awaitable(value)
            {
                let on_loop = asyncio::on_loop();
                if !on_loop {
                    coroutine::begin(shared, header, self.root, self.published);
                }
                if !on_loop || !asyncio::starts_eagerly() {
                    // From here on interrupts reach the task: one that was raised in this thread, after the loop had been
                    // told, would answer for a task that goes on.
                    self.current.clear();
                }
                if coroutine::hand_over(header.id, value).is_none() {
                    coroutine::forget(header.id);
                    return Err(Failure::Raised);
                }
                return Ok(Outcome::Awaited);
            }
            let encoded = self.answer.value(value.as_ref(), header.options);
            aside(|| drop(value));
            encoded?;
            Ok(Outcome::Answered)
        }
    }

    /// Hands a stream to the event loop. `None` with a Python exception set.
    ///
    /// # Safety
    /// Off the loop's thread, with the GIL held and no exception set.
    unsafe fn pump(&mut self, shared: &Arc<Shared>, header: &Header, value: &Object) -> Option<()> {
        let id = header.id;
        // SAFETY: the GIL is held.
        unsafe {
            coroutine::begin(shared, header, self.root, self.published);
            // From here on interrupts reach the task.
            self.current.clear();
            stream::add_pump(id, Pump::new(shared, header));
            let handed = async_stream::pump(id, value).and_then(|pump| coroutine::hand_over(id, &pump));
            if handed.is_none() {
                coroutine::forget(id);
                stream::end(id);
            }
            handed
        }
    }

    /// # Safety
    /// The GIL is held and no exception is set.
    #[inline]
    unsafe fn call(
        &mut self,
        terms: &[u8],
        options: Options,
        extent: Option<&ExtentRef<'_>>,
    ) -> Result<Option<Object>, Failure> {
        let (names, rest) = Names::split(terms).ok_or(EtfError::Truncated)?;
        let mut reader = Reader::new(rest, Limits::default());
        // SAFETY: the GIL is held.
        unsafe {
            self.args.decode(&mut reader, options, extent)?;
            let callable = self.callables.find(names).ok_or(Failure::Raised)?;
            if options.has(Options::ASYNC) && names.is_asyncio() && !asyncio::on_loop() && !is_async_function(&callable)
            {
                let (positional, kwargs) = (self.args.positional(), self.args.kwargs());
                return coroutine::call_here(&callable, positional, kwargs).ok_or(Failure::Raised).map(Some);
            }
            self.apply(&callable).map(Some)
        }
    }

    /// # Safety
    /// The GIL is held and no exception is set.
    #[inline(never)]
    unsafe fn method(
        &mut self,
        terms: &[u8],
        options: Options,
        extent: Option<&ExtentRef<'_>>,
    ) -> Result<Option<Object>, Failure> {
        let mut reader = Reader::new(terms, Limits::default());
        let path = reader.name()?;
        // SAFETY: the GIL is held; the object is borrowed from the arguments, which are held to the end of the request.
        unsafe {
            self.args.decode(&mut reader, options, extent)?;
            let object = *self.args.positional().first().ok_or(EtfError::Truncated)?;
            let mut method = Object::borrowed(object).ok_or(Failure::Raised)?;
            for part in path.split('.') {
                let name = Object::text(part).ok_or(Failure::Raised)?;
                method = Object::owned(ffi::PyObject_GetAttr(method.as_ptr(), name.as_ptr())).ok_or(Failure::Raised)?;
            }
            self.apply_from(1, &method).map(Some)
        }
    }

    /// Calls with the decoded arguments.
    ///
    /// # Safety
    /// The GIL is held.
    #[inline]
    unsafe fn apply(&mut self, callable: &Object) -> Result<Object, Failure> {
        // SAFETY: the caller's promise; there are no arguments to leave out.
        unsafe { self.apply_from(0, callable) }
    }

    /// Calls with the decoded arguments, the first `skipped` left out.
    ///
    /// # Safety
    /// The GIL is held, and there are as many arguments.
    #[inline]
    unsafe fn apply_from(&mut self, skipped: usize, callable: &Object) -> Result<Object, Failure> {
        let offset = if skipped == 0 { ARGUMENTS_OFFSET } else { 0 };
        let count = (self.args.positional().len() - skipped) | offset;
        // SAFETY: there are at least `skipped` arguments.
        let arguments = unsafe { self.args.as_mut_ptr().add(skipped) };
        let kwargs = self.args.kwargs();
        // SAFETY: the arguments are live objects, and the slot in front may be written where the offset flag says so.
        unsafe {
            Object::owned(aside(|| (symbols().vectorcall_dict)(callable.as_ptr(), arguments, count, kwargs)))
                .ok_or(Failure::Raised)
        }
    }

    /// # Safety
    /// The GIL is held and no exception is set.
    unsafe fn eval(
        &mut self,
        terms: &[u8],
        options: Options,
        extent: Option<&ExtentRef<'_>>,
    ) -> Result<Option<Object>, Failure> {
        let mut reader = Reader::new(terms, Limits::default());
        let expression = reader.text()?;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        // SAFETY: the GIL is held.
        unsafe {
            for _ in 0..reader.u32()? {
                names.push(reader.name()?);
                decode_terms(&mut reader, 1, options, extent, &mut values)?;
                values.drain(..).for_each(|value| self.args.push(value));
            }
            let compiled = self.scripts.expression(expression, &names).ok_or(Failure::Raised)?;
            let value = match compiled {
                Compiled::Code(code) => self.scripts.evaluate(&code).ok_or(Failure::Raised)?,
                Compiled::Function(function) => self.apply(&function)?,
            };
            Ok(Some(value))
        }
    }

    /// # Safety
    /// The GIL is held and no exception is set.
    #[cold]
    unsafe fn reset(&mut self) -> Result<Option<Object>, Failure> {
        // What is remembered would keep functions of `__main__`, and what they refer to.
        self.callables = Callables::default();
        // SAFETY: the caller's promise.
        unsafe { reset::restore() }.map(|()| None).ok_or(Failure::Raised)
    }

    /// # Safety
    /// The GIL is held and no exception is set.
    unsafe fn exec(&mut self, terms: &[u8], change: Option<&Change>) -> Result<Option<Object>, Failure> {
        let program = Reader::new(terms, Limits::default()).text()?;
        // SAFETY: the GIL is held.
        unsafe { self.scripts.run(program, change.and_then(Change::names)) }.ok_or(Failure::Raised)?;
        Ok(None)
    }
}

/// Lets go of the objects that a request names.
///
/// # Safety
/// The GIL is held and no exception is set.
#[cold]
unsafe fn release(ids: &[u8]) -> Result<Option<Object>, Failure> {
    let (ids, rest) = ids.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(EtfError::Truncated.into());
    }
    // SAFETY: the caller's promise. What finalisers raise is reported by Python and goes no further.
    unsafe { handle::release(ids.iter().map(|id| u64::from_le_bytes(*id))) };
    Ok(None)
}
