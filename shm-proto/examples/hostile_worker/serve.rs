//! Requests one after the other, honestly unless their function is one of [`crate::attack`].

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use shm_proto::arbiter::Side;
use shm_proto::etf::{Limits, Reader, Token};
use shm_proto::link::WorkerLink;
use shm_proto::request::{Extent, Header, Kind, Place};
use shm_proto::response;

use crate::attack;
use crate::raw::Raw;
use crate::start::Control;

/// How long the worker looks before it sleeps: callers watch their cells only while it is awake.
const AWAKE: Duration = Duration::from_micros(200);

/// The worker's ends of everything.
pub struct Worker {
    pub link: WorkerLink,
    pub raw: Raw,
    pub control: Arc<Control>,
    /// The request that is served.
    current: Mutex<Option<Request>>,
}

/// A request as the node wrote it.
#[derive(Clone)]
pub struct Request {
    pub header: Header,
    pub module: String,
    pub function: String,
    /// The arguments, as terms one behind the other.
    pub args: Vec<u8>,
}

impl Request {
    fn read(link: &WorkerLink, record: &[u8]) -> Request {
        let header = Header::decode(record).expect("the node writes good headers");
        let body = header.body(record).expect("as long as the header says");
        let mut terms = body.to_vec();
        if header.place == Place::Arena {
            let extent = Extent::decode(body).expect("the node writes good extents");
            terms.clear();
            let read = link.request_arena.append_to(&extent, 0, extent.terms_len as usize, &mut terms);
            link.request_arena.release(&extent);
            read.expect("inside of the arena");
        }
        let mut request = Request { header, module: String::new(), function: String::new(), args: Vec::new() };
        if matches!(header.kind, Kind::Call | Kind::Stream) {
            let mut reader = Reader::new(&terms, Limits::default());
            let mut name = || reader.name().map(str::to_owned).expect("the node writes good names");
            (request.module, request.function) = (name(), name());
            let _count = reader.u32();
            let start = reader.position();
            // The count of keyword arguments, none, is behind them.
            request.args = terms[start..terms.len() - 4].to_vec();
        }
        request
    }

    /// The arguments, which are integers.
    pub fn numbers(&self) -> Vec<i64> {
        let (mut reader, mut numbers) = (Reader::new(&self.args, Limits::default()), Vec::new());
        while let Ok(Token::Int(number)) = reader.next() {
            numbers.push(number);
        }
        numbers
    }
}

impl Worker {
    pub fn new(link: WorkerLink, raw: Raw, control: Arc<Control>) -> Worker {
        Worker { link, raw, control, current: Mutex::new(None) }
    }

    /// The request that is served.
    pub fn request(&self) -> Request {
        self.current.lock().expect("nobody panics with it").clone().expect("one is served")
    }

    /// Wakes the reader thread.
    pub fn ring(&self) {
        if self.link.response_sleeping().take() {
            let _ = self.link.response_bell.ring();
        }
    }

    /// Publishes the parts as one record; waits for room.
    pub fn record(&self, parts: &[&[u8]]) {
        while self.link.responses.publish(parts).is_err() {
            self.ring();
            std::thread::yield_now();
        }
        self.ring();
    }

    /// Publishes a record with a good header for the current request.
    pub fn publish(&self, kind: response::Kind, place: Place, flags: u16, payload: &[u8]) {
        let header = header(self.request().header.id, kind, place, flags, payload.len());
        self.record(&[&header, payload]);
    }

    /// Replies in the ring: status byte and the rest.
    pub fn reply(&self, payload: &[u8]) {
        self.publish(response::Kind::Reply, Place::Inline, 0, payload);
    }

    /// Answers as an honest worker does.
    pub fn answer(&self, payload: &[u8]) {
        let Header { cell, .. } = self.request().header;
        let header = self.request().header;
        if cell == 0
            || !header.has_cell()
            || self.link.cells.complete(header.cell_index(), header.cell_ticket(), payload).is_err()
        {
            self.reply(payload);
        }
    }
}

/// A response header.
pub fn header(id: u64, kind: response::Kind, place: Place, flags: u16, len: usize) -> [u8; response::Header::SIZE] {
    response::Header { id, kind, place, flags, len: len as u32, service_ns: 1000 }.encode()
}

/// Status byte and None.
pub const NONE: [u8; 2] = [0, 1];

/// Serves for ever.
pub fn serve(worker: &Arc<Worker>) -> ! {
    let mut requests = worker.link.take_requests().expect("taken once");
    let (mut bytes, mut busy) = (Vec::new(), Instant::now());
    loop {
        match requests.next().expect("the node writes good records") {
            Some(record) => {
                bytes.clear();
                requests.copy(&record, &mut bytes);
                let position = record.position();
                let won = worker.link.starts(position).decide(position, Side::Worker).is_ok();
                requests.release(record);
                if worker.link.request_waiting().take() {
                    let _ = worker.link.response_bell.ring();
                }
                if won {
                    one(worker, Request::read(&worker.link, &bytes));
                }
                busy = Instant::now();
            }
            // To yield would be to lose the processor to whatever else the machine does, and every caller its patience.
            None if busy.elapsed() < AWAKE => std::hint::spin_loop(),
            None => {
                worker.link.request_sleeping().raise();
                if requests.is_empty() {
                    let _ = worker.link.request_bell.wait(Some(Duration::from_millis(100)));
                }
                worker.link.request_sleeping().lower();
                let _ = worker.link.request_bell.drain();
            }
        }
    }
}

fn one(worker: &Arc<Worker>, request: Request) {
    let (module, function, args) = (request.module.clone(), request.function.clone(), request.args.clone());
    *worker.current.lock().expect("nobody panics with it") = Some(request);
    match (module.as_str(), function.as_str()) {
        ("hostile", name) => attack::run(worker, name),
        ("honest", "echo") => worker.answer(&[&[0], &args[..]].concat()),
        ("honest", "hang") => {}
        _ => worker.answer(&NONE),
    }
}
