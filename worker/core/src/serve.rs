//! The loop of the main thread: take a request, run it, answer, and sleep when there is none.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use pyo3::ffi;
use shm_proto::arbiter::Side;
use shm_proto::control::FromWorker;
use shm_proto::link::WorkerLink;
use shm_proto::request::Header;
use shm_proto::ring::Consumer;

use crate::clock::{Clock, ticks};
use crate::control::{Control, Opened, kill_group};
use crate::exception;
use crate::executor::Executor;
use crate::fork;
use crate::gil;
use crate::idle::Idle;
use crate::interrupt::{self, Current, Interrupter};
use crate::module::{self, Arguments};
use crate::object::Object;

/// Released requests after which the worker looks whether the node waits for room in the ring.
const ROOM_EVERY: u32 = 16;

/// Serves until the node says stop. `None` with a Python exception set, which ends the interpreter.
///
/// # Safety
/// Called once, in Python's main thread with the GIL held.
pub unsafe fn serve(arguments: &Arguments) -> Option<()> {
    // SAFETY: the GIL is held.
    unsafe {
        let control = match start_threads(arguments) {
            Ok(control) => control,
            Err(error) => {
                module::raise(ffi::PyExc_OSError, &format!("could not start threads: {error}"));
                return None;
            }
        };
        let opened = gil::released(|| control.wait_for_link());
        let mut worker = match prepare(arguments, opened, control.clone()) {
            Some(worker) => worker,
            None => {
                let reason = exception::take().map(|error| {
                    let mut text = Object::owned(ffi::PyObject_Repr(error.as_ptr()));
                    text.take().map(|text| exception::lossy(&text)).unwrap_or_default()
                });
                control.fail(&format!("could not prepare Python: {}", reason.unwrap_or_default()));
            }
        };
        control.send(&FromWorker::Ready(version()));
        worker.serve()
    }
}

/// Our threads receive no signals, so that Python's main thread gets them all.
fn start_threads(arguments: &Arguments) -> std::io::Result<Arc<Control>> {
    let mut mask = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut mask))?;
    // SAFETY: has no requirement.
    let main = unsafe { libc::pthread_self() };
    let control = Interrupter::start(main)
        .and_then(|interrupter| Control::start(arguments.control_in, arguments.control_out, interrupter));
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?;
    control
}

/// # Safety
/// The GIL is held. `None` with a Python exception set.
unsafe fn prepare(arguments: &Arguments, opened: Opened, control: Arc<Control>) -> Option<Worker> {
    // SAFETY: the GIL is held; the module and its dict are borrowed from the interpreter and live as long as it.
    unsafe {
        let main = ffi::PyImport_AddModule(c"__main__".as_ptr());
        if main.is_null() {
            return None;
        }
        let namespace = Object::borrowed(ffi::PyModule_GetDict(main))?;
        module::create(arguments, opened.executors, &namespace)?;
        interrupt::install()?;
        line_buffer_stdout();
        let link = opened.link;
        let bells = [link.request_bell.number(), std::os::fd::AsFd::as_fd(&link.response_bell).as_raw_fd()];
        fork::guard(control.descriptors().into_iter().chain(bells));
        let requests = link.take_requests().expect("a fresh link still has its consumer");
        let executor = Executor::new(Current::main(), namespace, opened.node_pid)?;
        Some(Worker {
            link,
            requests,
            control,
            executor,
            clock: Clock::new(),
            idle: Idle::new(),
            record: Vec::with_capacity(4096),
            unlooked: 0,
        })
    }
}

/// What a program prints is not lost with the process, even if nobody reads it on a terminal.
///
/// # Safety
/// The GIL is held. Leaves no exception set.
unsafe fn line_buffer_stdout() {
    // SAFETY: the GIL is held; the stream is borrowed from module sys and kept alive by our own reference.
    unsafe {
        let stdout = Object::borrowed(ffi::PySys_GetObject(c"stdout".as_ptr()));
        let reconfigure = stdout.and_then(|stdout| stdout.attribute(c"reconfigure"));
        let options = Object::owned(ffi::PyDict_New());
        let nothing = Object::owned(ffi::PyTuple_New(0));
        if let (Some(reconfigure), Some(options), Some(nothing)) = (reconfigure, options, nothing)
            && ffi::PyDict_SetItemString(options.as_ptr(), c"line_buffering".as_ptr(), ffi::Py_True()) == 0
        {
            drop(Object::owned(ffi::PyObject_Call(reconfigure.as_ptr(), nothing.as_ptr(), options.as_ptr())));
        }
        // A program may start without standard output.
        ffi::PyErr_Clear();
    }
}

/// # Safety
/// The GIL is held.
unsafe fn version() -> String {
    // SAFETY: the object is borrowed from module sys and kept alive by our own reference.
    unsafe {
        let version = Object::borrowed(ffi::PySys_GetObject(c"version".as_ptr()));
        version.map(|version| exception::lossy(&version)).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Worker {
    link: WorkerLink,
    requests: Consumer,
    control: Arc<Control>,
    executor: Executor,
    clock: Clock,
    idle: Idle,
    record: Vec<u8>,
    /// Requests released since the last look at `request_waiting`.
    unlooked: u32,
}

impl Worker {
    /// # Safety
    /// In Python's main thread with the GIL held and no exception set.
    unsafe fn serve(&mut self) -> Option<()> {
        let mut yielded = ticks();
        // SAFETY: the GIL is held whenever Python is touched.
        unsafe {
            while !self.control.stopping() {
                let Some(header) = self.take() else {
                    if !self.idle.wait(&self.link, &self.requests, &self.control, &mut self.clock) {
                        return None;
                    }
                    yielded = ticks();
                    continue;
                };
                let started = ticks();
                if let Err(error) = self.executor.run(&self.link, &header, &self.record) {
                    self.control.fail(&error.to_string());
                }
                let done = self.executor.complete(&self.link, &header);
                let now = ticks();
                let service_ns = self.clock.nanos(now.saturating_sub(started));
                self.link.telemetry.record(service_ns);
                if !done {
                    self.executor.publish(&self.link, &header, service_ns);
                }
                if now.saturating_sub(yielded) > self.clock.ticks_per_milli() {
                    // A loop over C functions runs no bytecode, where other threads and signals get their turn.
                    gil::released(|| ());
                    if !gil::run_signal_handlers() {
                        return None;
                    }
                    self.clock.calibrate();
                    yielded = ticks();
                }
            }
        }
        Some(())
    }

    /// The next request that is ours to run, copied to private memory.
    #[inline]
    fn take(&mut self) -> Option<Header> {
        loop {
            let record = match self.requests.next() {
                Ok(record) => record?,
                Err(error) => self.control.fail(&error.to_string()),
            };
            self.record.clear();
            self.requests.copy(&record, &mut self.record);
            let header = match Header::decode(&self.record) {
                Ok(header) => header,
                Err(error) => self.control.fail(&error.to_string()),
            };
            // Before the start is decided: whoever learns of the start may interrupt at once.
            self.executor.current.set(header.id);
            let position = record.position();
            let ours = self.link.starts(position).decide(position, Side::Worker).is_ok();
            self.requests.release(record);
            self.unlooked += 1;
            if self.unlooked >= ROOM_EVERY {
                self.unlooked = 0;
                ring_if_waiting(&self.link);
            }
            if ours {
                return Some(header);
            }
            // SAFETY: the loop holds the GIL.
            unsafe { self.executor.current.clear() };
        }
    }
}

/// Wakes a submitter that met a full request ring.
pub fn ring_if_waiting(link: &WorkerLink) {
    if link.request_waiting().take() && link.response_bell.ring().is_err() {
        kill_group();
    }
}
