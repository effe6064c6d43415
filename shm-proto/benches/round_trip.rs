//! What the transport costs without BEAM and Python: the floor that every other figure is compared with.
//!
//! `cargo bench -p shm-proto`; the last lines print percentiles of the round trip through ring and cell between two threads
//! that stay awake. `cargo bench -p shm-proto -- --histogram RUNS` prints only the distribution of that many round trips, for
//! `py_bench_floor`.

use std::{
    collections::BTreeMap,
    env,
    hint::{black_box, spin_loop},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group};
use crossbeam_utils::CachePadded;
use shm_proto::{
    arbiter::Side,
    cell::CELL_PAYLOAD,
    layout::Geometry,
    link::{NodeLink, WorkerLink},
    request::{Header, Kind, Options, Place},
    ring::{RingMemory, pair},
};

fn publish_and_consume(c: &mut Criterion) {
    for len in [40usize, 200, 4096] {
        let (producer, mut consumer) = pair(RingMemory::heap(4096));
        let payload = vec![7; len];
        let mut out = Vec::with_capacity(8192);
        c.bench_function(&format!("ring, one thread, {len} bytes"), |b| {
            b.iter(|| {
                producer.publish(&[black_box(&payload)]).expect("the ring is empty");
                let record = consumer.next().expect("honest").expect("published");
                out.clear();
                consumer.copy(&record, &mut out);
                consumer.release(record);
                black_box(out.len())
            });
        });
    }
}

/// Serves requests until `stop`: start word, copy, release, cell.
fn serve(worker: &WorkerLink, stop: &AtomicBool) {
    let mut requests = worker.take_requests().expect("taken once");
    let mut bytes = Vec::with_capacity(4096);
    while !stop.load(Ordering::Relaxed) {
        let Some(record) = requests.next().expect("honest") else {
            spin_loop();
            continue;
        };
        bytes.clear();
        requests.copy(&record, &mut bytes);
        let started = worker.starts(record.position()).decide(record.position(), Side::Worker);
        requests.release(record);
        black_box(worker.request_waiting().take());
        let header = Header::decode(&bytes).expect("honest");
        if started.is_ok() {
            let result = &bytes[Header::SIZE..][..9];
            worker.cells.complete(header.cell_index(), header.cell_ticket(), result).expect("nobody gives up here");
        }
    }
}

struct Caller {
    node: NodeLink,
    ticket: u64,
}

impl Caller {
    fn call(&mut self) -> usize {
        self.ticket += 1;
        let index = (self.ticket % 64) as u16;
        let header = Header {
            id: self.ticket,
            cell: Header::cell(self.ticket, index),
            kind: Kind::Call,
            place: Place::Inline,
            options: Options(0),
            len: 32,
        };
        self.node.requests.publish(&[&header.encode(), &[5; 32]]).expect("the ring has room");
        black_box(self.node.request_sleeping().take());
        while !self.node.cells.poll(index.into(), self.ticket) {
            spin_loop();
        }
        let mut payload = [0; CELL_PAYLOAD];
        self.node.cells.read(index.into(), &mut payload).expect("honest")
    }
}

/// Two words that two threads answer each other with: what the machine takes for moving a cache line there and back.
fn cache_lines(c: &mut Criterion) {
    let words: Arc<[CachePadded<AtomicU64>; 2]> = Arc::default();
    let answering = Arc::clone(&words);
    let server = thread::spawn(move || {
        let mut seen = 0;
        while seen != u64::MAX {
            let word = answering[0].load(Ordering::Acquire);
            if word != seen {
                seen = word;
                answering[1].store(word, Ordering::Release);
            } else {
                spin_loop();
            }
        }
    });
    let mut n = 0;
    c.bench_function("one cache line each way, two threads", |b| {
        b.iter(|| {
            n += 1;
            words[0].store(n, Ordering::Release);
            while words[1].load(Ordering::Acquire) != n {
                spin_loop();
            }
        });
    });
    words[0].store(u64::MAX, Ordering::Release);
    server.join().expect("server ends");
}

fn cell_round_trip(c: &mut Criterion) {
    with_worker(|caller| {
        c.bench_function("ring and cell, two threads", |b| b.iter(|| caller.call()));
    });
}

fn with_worker(run: impl FnOnce(&mut Caller)) {
    let (node, handshake) = NodeLink::create(Geometry::default()).expect("segments");
    let worker = WorkerLink::open(&handshake).expect("same process");
    let stop = Arc::new(AtomicBool::new(false));
    let server = thread::spawn({
        let stop = Arc::clone(&stop);
        move || serve(&worker, &stop)
    });
    run(&mut Caller { node, ticket: 0 });
    stop.store(true, Ordering::Relaxed);
    server.join().expect("server ends");
}

const WARM_UP: usize = 100_000;

/// Times of round trips, clock included, after the warm-up.
fn round_trips(runs: usize) -> Vec<Duration> {
    let mut times = Vec::with_capacity(runs);
    with_worker(|caller| {
        for _ in 0..WARM_UP {
            caller.call();
        }
        times.extend((0..runs).map(|_| {
            let start = Instant::now();
            black_box(caller.call());
            start.elapsed()
        }));
    });
    times.sort_unstable();
    times
}

fn print_percentiles() {
    let runs = 1_000_000;
    let times = round_trips(runs);
    let at = |fraction: f64| times[((runs - 1) as f64 * fraction) as usize].as_nanos();
    println!(
        "ring and cell round trip, {} cores, warm-up {WARM_UP}, runs {runs}, clock included: \
         p50 {} ns, p90 {} ns, p99 {} ns, p99.9 {} ns, max {} ns",
        thread::available_parallelism().map_or(0, usize::from),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
    );
}

/// One line: nanoseconds in sum, the longest, and `bucket:count` pairs with the buckets of `py_bench_measure`.
fn print_histogram(runs: usize) {
    let times = round_trips(runs);
    let mut counts = BTreeMap::new();
    for time in &times {
        let bucket = ((time.as_nanos().max(1) as f64).log2() * 64.0) as u32 + 1;
        *counts.entry(bucket).or_insert(0u32) += 1;
    }
    let longest = times.last().map_or(0, Duration::as_nanos);
    print!("histogram {} {longest}", times.iter().sum::<Duration>().as_nanos());
    for (bucket, count) in counts {
        print!(" {bucket}:{count}");
    }
    println!();
}

criterion_group!(benches, publish_and_consume, cache_lines, cell_round_trip);

fn main() {
    let args: Vec<String> = env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--histogram") {
        let runs = args.get(at + 1).and_then(|runs| runs.parse().ok()).expect("a number of runs after --histogram");
        return print_histogram(runs);
    }
    benches();
    print_percentiles();
    Criterion::default().configure_from_args().final_summary();
}
