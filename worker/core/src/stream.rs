//! Streams: iterators that run only as far as their consumer has granted credit.
//!
//! A turn of a stream is a request like any other: it sends items until the credit is used up or its time is over, and parks the
//! iterator in a table. The last item of a turn bears the mark that it is the last, so the node knows that nothing of the
//! stream runs until it sends the next credit record. No executor is held in between, and the order of the request ring makes
//! streams and other requests take turns. What has to be awaited runs on the event loop instead ([`crate::async_stream`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::ffi;
use shm_proto::request::{Header, Options};
use shm_proto::response;
use shm_proto::telemetry::Telemetry;

use crate::answer::{Answer, Failure};
use crate::async_stream::Pump;
use crate::fork;
use crate::gil;
use crate::interrupt::Current;
use crate::invoke::call;
use crate::module;
use crate::object::Object;
use crate::serve::Shared;
use crate::turn::aside;

/// Longest turn, but for an item that takes longer.
const TURN: Duration = Duration::from_millis(2);

/// The streams that have not ended, by id. The lock is never held while Python code could run.
static TABLE: Mutex<Option<Table>> = Mutex::new(None);

#[derive(Default)]
struct Table {
    streams: HashMap<u64, Entry>,
    telemetry: Option<Telemetry>,
}

struct Entry {
    marked: Arc<AtomicBool>,
    /// `None` while it runs.
    parked: Option<Stream>,
    /// It is one of the event loop's, which is never parked here.
    pump: Option<Pump>,
}

// SAFETY: the objects in it are only touched with the GIL held.
unsafe impl Send for Table {}

/// Where items come from.
enum Source {
    Iterator(Object),
    /// Anything else is the only item of its stream.
    Value(Option<Object>),
}

struct Stream {
    source: Source,
    options: Options,
    /// Items that may be sent in all.
    credit: u64,
    /// Items that were sent.
    sent: u64,
    /// An interrupt was meant for it. What reaches the running thread may come between two items.
    marked: Arc<AtomicBool>,
}

fn table() -> MutexGuard<'static, Option<Table>> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_table<R>(body: impl FnOnce(&mut Table) -> R) -> R {
    let mut table = table();
    let table = table.get_or_insert_default();
    let result = body(table);
    if let Some(telemetry) = &table.telemetry {
        telemetry.set_streams(table.streams.len());
    }
    result
}

/// From here on the worker's counters show how many streams there are.
pub fn show_in(telemetry: &Telemetry) {
    with_table(|table| table.telemetry = Some(telemetry.clone()));
}

/// An interrupt is meant for the request `id`; if that is a stream, it is noticed between two items as well.
pub fn mark(id: u64) {
    if let Some(entry) = table().as_ref().and_then(|table| table.streams.get(&id)) {
        entry.marked.store(true, Ordering::Relaxed);
        // SYNC POINT: pairs with the fence in `Stream::next`: either the stream sees the mark before its next item, or we see
        // that it runs.
        fence(Ordering::SeqCst);
    }
}

/// Whether the request `id` is a stream that runs in an executor.
pub fn runs(id: u64) -> bool {
    table()
        .as_ref()
        .and_then(|table| table.streams.get(&id))
        .is_some_and(|entry| entry.parked.is_none() && entry.pump.is_none())
}

/// Whether an interrupt was meant for this stream.
pub fn is_marked(id: u64) -> bool {
    let table = table();
    table.as_ref().and_then(|table| table.streams.get(&id)).is_some_and(|entry| entry.marked.load(Ordering::Relaxed))
}

/// Whether the stream runs on the event loop.
pub fn is_pumped(id: u64) -> bool {
    with_pump(id, |_| ()).is_some()
}

/// Looks at a stream that runs on the event loop. `body` lets go of no object.
pub fn with_pump<R>(id: u64, body: impl FnOnce(&mut Pump) -> R) -> Option<R> {
    table().as_mut()?.streams.get_mut(&id)?.pump.as_mut().map(body)
}

/// The stream runs on the event loop.
pub fn add_pump(id: u64, pump: Pump) {
    let entry = Entry { marked: Arc::default(), parked: None, pump: Some(pump) };
    with_table(|table| table.streams.insert(id, entry));
}

/// A stream that ran on the event loop has ended. Returns the reason if an item was refused, and whether it was marked.
pub fn end(id: u64) -> Option<(Option<Vec<u8>>, bool)> {
    let entry = with_table(|table| table.streams.remove(&id))?;
    let marked = entry.marked.load(Ordering::Relaxed);
    entry.pump.map(|mut pump| (pump.refused.take(), marked))
}

/// The value of a request for a stream is there: its first turn.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn begin(shared: &Shared, current: &Current, answer: &mut Answer, header: &Header, value: Object) {
    // SAFETY: the GIL is held.
    unsafe {
        let source =
            if ffi::PyIter_Check(value.as_ptr()) != 0 { Source::Iterator(value) } else { Source::Value(Some(value)) };
        let marked = Arc::new(AtomicBool::new(false));
        let entry = Entry { marked: marked.clone(), parked: None, pump: None };
        with_table(|table| table.streams.insert(header.id, entry));
        let stream = Stream { source, options: header.options, credit: header.cell, sent: 0, marked };
        run(shared, current, answer, header, stream);
    }
}

/// A credit record: the next turn of a stream, or its end. A stream that has ended by itself is passed over.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn go_on(shared: &Shared, current: &Current, answer: &mut Answer, header: &Header) {
    let Some(mut stream) = take(header.id) else { return };
    // SAFETY: the GIL is held and no exception is set.
    unsafe {
        if header.cell != 0 {
            stream.credit = header.cell;
            run(shared, current, answer, header, stream);
        } else {
            // An interrupt from before it was parked may still be under way.
            current.spare(header.id);
            let outcome = stream.source.close().ok_or(Failure::Raised).map(|()| false);
            finish(shared, current, answer, header, stream, outcome);
        }
    }
}

fn take(id: u64) -> Option<Stream> {
    table().as_mut()?.streams.get_mut(&id)?.parked.take()
}

/// # Safety
/// The GIL is held and no exception is set.
unsafe fn run(shared: &Shared, current: &Current, answer: &mut Answer, header: &Header, mut stream: Stream) {
    let (link, id) = (&shared.link, header.id);
    let began = Instant::now();
    // SAFETY: the GIL is held.
    unsafe {
        loop {
            current.set(id);
            match stream.next(current, id, answer) {
                Ok(true) => {}
                outcome => return finish(shared, current, answer, header, stream, outcome),
            }
            // Nothing interrupts a thread that publishes.
            current.clear();
            fork::end_child();
            stream.sent += 1;
            let parks = stream.sent >= stream.credit || began.elapsed() >= TURN;
            if !parks {
                if let Err(reason) = answer.publish_item(link, id, 0) {
                    return fail(shared, current, answer, header, stream, reason);
                }
                continue;
            }
            // Parked before anybody can learn of it.
            if let Some(entry) = table().as_mut().and_then(|table| table.streams.get_mut(&id)) {
                entry.parked = Some(stream);
            }
            if let Err(reason) = answer.publish_item(link, id, response::Header::PARKED)
                && let Some(stream) = take(id)
            {
                fail(shared, current, answer, header, stream, reason);
            }
            return;
        }
    }
}

/// An item could not be sent for want of memory.
///
/// # Safety
/// The GIL is held and no exception is set.
#[cold]
unsafe fn fail(
    shared: &Shared,
    current: &Current,
    answer: &mut Answer,
    header: &Header,
    stream: Stream,
    reason: Vec<u8>,
) {
    // SAFETY: the GIL is held.
    unsafe {
        current.set(header.id);
        if stream.source.close().is_none() {
            gil::report_stray();
        }
        finish(shared, current, answer, header, stream, Err(Failure::Refused(reason)));
    }
}

/// The stream has ended: what is left is its reply.
///
/// # Safety
/// The GIL is held; an exception is set exactly if the outcome says so.
unsafe fn finish(
    shared: &Shared,
    current: &Current,
    answer: &mut Answer,
    header: &Header,
    stream: Stream,
    outcome: Result<bool, Failure>,
) {
    let interrupted = current.interrupted() || stream.marked.load(Ordering::Relaxed);
    // SAFETY: the GIL is held.
    unsafe {
        answer.clear();
        let ended = match outcome {
            Ok(_) => answer.value(None, stream.options).map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = ended {
            answer.failure(failure, stream.options, interrupted);
        }
        drop(stream);
        current.clear();
        fork::end_child();
        with_table(|table| table.streams.remove(&header.id));
        answer.publish(&shared.link, header, 0, false);
    }
}

impl Stream {
    /// Encodes the next item; `false` if there is none.
    ///
    /// # Errors
    /// The iterator has failed, or the item has no term; the iterator is closed then.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    unsafe fn next(&mut self, current: &Current, id: u64, answer: &mut Answer) -> Result<bool, Failure> {
        // SYNC POINT: pairs with the fence in `mark`.
        fence(Ordering::SeqCst);
        // SAFETY: the GIL is held.
        unsafe {
            if self.marked.load(Ordering::Relaxed) {
                // The interrupt that the mark announces would end the iterator's `finally` where it begins.
                current.spare(id);
                if self.source.close().is_some() {
                    module::raise(module::interrupted(), "interrupted");
                }
                return Err(Failure::Raised);
            }
            answer.clear();
            let Some(item) = self.source.next() else {
                return if ffi::PyErr_Occurred().is_null() { Ok(false) } else { Err(Failure::Raised) };
            };
            let encoded = answer.item(&item, self.options);
            drop(item);
            match encoded {
                Ok(()) => Ok(true),
                Err(error) => {
                    let failure = Failure::from(error);
                    self.source.close_after_failure();
                    Err(failure)
                }
            }
        }
    }
}

impl Source {
    /// `None` at the end and, with an exception set, after a failure.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    unsafe fn next(&mut self) -> Option<Object> {
        match self {
            // SAFETY: the GIL is held and this is an iterator.
            Source::Iterator(iterator) => unsafe { Object::owned(aside(|| ffi::PyIter_Next(iterator.as_ptr()))) },
            Source::Value(value) => value.take(),
        }
    }

    /// Runs what a generator does at its end. `None` with an exception set.
    ///
    /// # Safety
    /// The GIL is held and no exception is set.
    unsafe fn close(&self) -> Option<()> {
        let Source::Iterator(iterator) = self else { return Some(()) };
        // SAFETY: the GIL is held.
        unsafe {
            let Some(close) = iterator.attribute(c"close") else {
                // Not every iterator has something to close.
                let missing = ffi::PyErr_ExceptionMatches(ffi::PyExc_AttributeError) != 0;
                if missing {
                    ffi::PyErr_Clear();
                }
                return missing.then_some(());
            };
            call(&close, &[]).map(drop)
        }
    }

    /// As [`Source::close`], while an exception may be set, which stays. What closing raises is reported.
    ///
    /// # Safety
    /// The GIL is held.
    unsafe fn close_after_failure(&self) {
        let (mut kind, mut value, mut traceback) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the GIL is held; the three references go back to where they came from.
        unsafe {
            ffi::PyErr_Fetch(&mut kind, &mut value, &mut traceback);
            if self.close().is_none() {
                gil::report_stray();
            }
            ffi::PyErr_Restore(kind, value, traceback);
        }
    }
}
