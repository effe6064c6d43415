//! Round trip of small calls between a node thread and a real worker, watched through the reply cell.
//!
//! `cargo bench -p py_host` builds the core, prints machine facts, and per call percentiles and throughput.
//! `PY_TEST_PYTHONS` chooses the interpreters.

#[path = "../tests/node/mod.rs"]
mod node;

use std::time::{Duration, Instant};

use node::{Arg, Worker, write_call};
use shm_proto::cell::CELL_PAYLOAD;
use shm_proto::etf::Writer;
use shm_proto::request::{Header, Kind, Options, Place};

const WARM_UP: usize = 200_000;
const CALLS: usize = 500_000;

fn main() {
    let processors = std::thread::available_parallelism().unwrap();
    println!("{processors} processors, {WARM_UP} calls to warm up, {CALLS} measured");
    for python in node::pythons() {
        let mut worker = Worker::start(&python);
        println!("{} {}", python.display(), worker.version.split(' ').next().unwrap());
        let twenty = [b'x'; 20];
        let three = [Arg::Int(1), Arg::Int(2), Arg::Int(3)];
        for (name, module, function, args) in [
            ("math.sqrt(16.0)", "math", "sqrt", &[Arg::Float(16.0)][..]),
            ("operator.index(1)", "operator", "index", &[Arg::Int(1)]),
            ("builtins.bytes(20 bytes)", "builtins", "bytes", &[Arg::Bytes(&twenty)]),
            ("builtins.max(1, 2, 3)", "builtins", "max", &three),
            ("builtins.id of nothing: exception", "builtins", "id", &[]),
        ] {
            measure(&mut worker, name, module, function, args);
        }
        sleepy(&mut worker);
    }
}

fn measure(worker: &mut Worker, name: &str, module: &str, function: &str, args: &[Arg<'_>]) {
    let mut terms = Vec::new();
    write_call(&mut Writer::new(&mut terms), module, function, args, &[]);
    let mut times = Vec::with_capacity(CALLS);
    let mut payload = [0; CELL_PAYLOAD];
    let began = Instant::now();
    let mut measured = began;
    for round in 0..WARM_UP + CALLS {
        if round == WARM_UP {
            measured = Instant::now();
        }
        let ticket = worker.ticket();
        let header = Header {
            id: ticket,
            cell: Header::cell(ticket, 1),
            kind: Kind::Call,
            place: Place::Inline,
            options: Options(0),
            len: terms.len() as u32,
        };
        let start = Instant::now();
        worker.link.requests.publish(&[&header.encode(), &terms]).unwrap();
        if worker.link.request_sleeping().take() {
            worker.link.request_bell.ring().unwrap();
        }
        while !worker.link.cells.poll(1, ticket) {
            std::hint::spin_loop();
        }
        worker.link.cells.read(1, &mut payload).unwrap();
        if round >= WARM_UP {
            times.push(start.elapsed());
        }
    }
    let rate = CALLS as f64 / measured.elapsed().as_secs_f64() / 1e6;
    report(name, &mut times);
    println!("    {rate:.2} M calls/s");
}

/// The first call after a pause long enough for the worker to sleep.
fn sleepy(worker: &mut Worker) {
    let mut times = Vec::new();
    for _ in 0..2000 {
        while !worker.link.request_sleeping().is_raised() {
            std::hint::spin_loop();
        }
        std::thread::sleep(Duration::from_micros(100));
        let start = Instant::now();
        worker.call_by_cell("math", "sqrt", &[Arg::Float(16.0)]);
        times.push(start.elapsed());
    }
    report("math.sqrt(16.0), worker asleep", &mut times);
}

fn report(name: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |fraction: f64| times[((times.len() - 1) as f64 * fraction) as usize].as_nanos();
    println!(
        "  {name}: p50 {} ns, p90 {} ns, p99 {} ns, p99.9 {} ns, max {} ns",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
