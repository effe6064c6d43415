//! What it takes to find the worker for a request, in lists of 1 to 64: the list as the pool keeps it, and workers whose load is
//! read from as many cache lines as that of a real one, all of them busy, so that none is found at once.
//!
//! `cargo bench -p py_nif`. Threads that only choose take as long as one alone, since nothing they share is written; with the
//! counting of requests, of the worker that was chosen alone. `cargo bench -p py_nif --bench choice -- --histogram TIMES WORKERS THREADS`
//! prints only the distribution of so many means, for `py_bench_floor`.

#[path = "../src/choice.rs"]
mod choice;

use std::{
    collections::BTreeMap,
    env,
    hint::black_box,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use criterion::{Criterion, criterion_group};
use crossbeam_utils::CachePadded;

/// What `Incarnation::load` reads.
struct Worker {
    state: CachePadded<AtomicU8>,
    taken: CachePadded<AtomicBool>,
    in_flight: CachePadded<AtomicU64>,
    parked: CachePadded<AtomicU32>,
    sleeping: CachePadded<AtomicU32>,
}

impl Worker {
    fn busy_with(requests: u64) -> Arc<Worker> {
        Arc::new(Worker {
            state: CachePadded::new(AtomicU8::new(1)),
            taken: CachePadded::default(),
            in_flight: CachePadded::new(AtomicU64::new(requests)),
            parked: CachePadded::default(),
            sleeping: CachePadded::default(),
        })
    }

    fn load(&self) -> u32 {
        if self.state.load(Ordering::Relaxed) != 1 || self.taken.load(Ordering::Relaxed) {
            return u32::MAX;
        }
        let busy = (self.in_flight.load(Ordering::SeqCst) as u32).saturating_sub(self.parked.load(Ordering::Relaxed));
        let asleep = self.sleeping.load(Ordering::Relaxed) != 0;
        busy.saturating_mul(2).saturating_add(u32::from(asleep)).min(u32::MAX - 1)
    }
}

type Pool = ArcSwap<Vec<Arc<Worker>>>;

fn pool(workers: usize) -> Pool {
    ArcSwap::from_pointee((0..workers).map(|n| Worker::busy_with(2 + n as u64 % 3)).collect())
}

#[inline]
fn choose(pool: &Pool) -> u32 {
    let workers = pool.load();
    choice::choose(&workers, |worker| worker.load()).map_or(0, |worker| worker.parked.load(Ordering::Relaxed))
}

/// A choice, and what a submission does to the worker that it chose.
#[inline]
fn choose_and_count(pool: &Pool) -> u32 {
    let workers = pool.load();
    let Some(worker) = choice::choose(&workers, |worker| worker.load()) else { return 0 };
    worker.in_flight.fetch_add(1, Ordering::SeqCst);
    worker.in_flight.fetch_sub(1, Ordering::SeqCst) as u32
}

/// Runs `work` on so many threads that begin together, and returns what each made of it.
fn on_threads<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(threads);
    let run = || {
        barrier.wait();
        work()
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().map(|thread| thread.join().expect("chooses")).collect()
    })
}

/// The longest that one of the threads took.
fn longest(threads: usize, times: u64, step: impl Fn() -> u32 + Sync) -> Duration {
    let work = || {
        let start = Instant::now();
        for _ in 0..times {
            black_box(step());
        }
        start.elapsed()
    };
    on_threads(threads, work).into_iter().max().unwrap_or_default()
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn lists(c: &mut Criterion) {
    for workers in [1, 2, 4, 8, 16, 32, 64] {
        let pool = pool(workers);
        c.bench_function(&format!("choice, {workers} workers, 1 thread"), |b| {
            b.iter_custom(|times| longest(1, times, || choose(black_box(&pool))));
        });
        let threads = processors();
        if threads > 1 {
            c.bench_function(&format!("choice, {workers} workers, {threads} threads"), |b| {
                b.iter_custom(|times| longest(threads, times, || choose(black_box(&pool))));
            });
        }
        c.bench_function(&format!("choice and count, {workers} workers, {threads} threads"), |b| {
            b.iter_custom(|times| longest(threads, times, || choose_and_count(black_box(&pool))));
        });
    }
}

/// Choices per mean: the clock takes as long as a few of them.
const BATCH: u32 = 1000;

/// One line: nanoseconds in sum, the longest, and `bucket:count` pairs with the buckets of `py_bench_measure`, for means of choices.
fn print_histogram(times: usize, workers: usize, threads: usize) {
    let pool = pool(workers);
    let means = || -> Vec<f64> { (0..times).map(|_| batch(&pool).as_nanos() as f64 / f64::from(BATCH)).collect() };
    let means: Vec<f64> = on_threads(threads, means).into_iter().flatten().collect();
    let mut counts = BTreeMap::new();
    for mean in &means {
        *counts.entry((mean.max(1.0).log2() * 64.0) as u32 + 1).or_insert(0u32) += 1;
    }
    let longest = means.iter().copied().fold(0.0, f64::max);
    print!("histogram {} {}", means.iter().sum::<f64>().ceil(), longest.ceil());
    for (bucket, count) in counts {
        print!(" {bucket}:{count}");
    }
    println!();
}

fn batch(pool: &Pool) -> Duration {
    let start = Instant::now();
    for _ in 0..BATCH {
        black_box(choose(black_box(pool)));
    }
    start.elapsed()
}

criterion_group!(benches, lists);

fn main() {
    let args: Vec<String> = env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--histogram") {
        let number = |n: usize| args.get(at + n).and_then(|arg| arg.parse().ok()).expect("TIMES WORKERS THREADS");
        return print_histogram(number(1), number(2), number(3));
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
