//! Model-checked interleavings of arbiter, reply cell and sleep/wake flag.
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release --test 'loom_*'`.
#![cfg(loom)]

use loom::{
    sync::{Arc, Condvar, Mutex, atomic::AtomicU64},
    thread,
};
use shm_proto::{
    arbiter::{Arbiter, Side},
    bell::Flag,
    cell::{CELL_PAYLOAD, CellMemory, CellWriter, Cells},
    sync::Ordering,
};

#[test]
fn one_side_wins_each_ticket() {
    loom::model(|| {
        let word = Arc::new(Arbiter::new());
        let other = Arc::clone(&word);
        let worker = thread::spawn(move || [1, 2].map(|ticket| other.decide(ticket, Side::Worker).is_ok()));
        let node = word.decide(1, Side::Node).is_ok();
        let [first, second] = worker.join().unwrap();
        assert!(node != first, "ticket 1 has one winner");
        assert!(second);
        assert!(word.decide(1, Side::Node).is_err());
    });
}

/// The worker completes two calls in a row through one cell; the caller gives up or takes. The second use starts only after
/// the response record of an abandoned first one was consumed.
#[test]
fn a_cell_never_shows_another_calls_result() {
    loom::model(|| {
        let memory = CellMemory::heap(1);
        let (writer, cells) = (CellWriter::new(memory.clone()), Cells::new(memory));
        // The request of generation `n` was published, and (low half) its record consumed.
        let published = Arc::new(AtomicU64::new(1));
        let recorded = Arc::new(AtomicU64::new(0));
        let worker = thread::spawn({
            let (published, recorded) = (Arc::clone(&published), Arc::clone(&recorded));
            move || {
                for ticket in 1..=2u64 {
                    while published.load(Ordering::Acquire) < ticket {
                        thread::yield_now();
                    }
                    if writer.complete(0, ticket, &[ticket as u8]).is_err() {
                        recorded.store(ticket, Ordering::Release);
                    }
                }
            }
        });
        for ticket in 1..=2u64 {
            if cells.poll(0, ticket) || cells.abandon(0, ticket).is_err() {
                let mut payload = [0; CELL_PAYLOAD];
                assert_eq!(cells.read(0, &mut payload), Ok(1));
                assert_eq!(payload[0], ticket as u8);
            } else {
                while recorded.load(Ordering::Acquire) < ticket {
                    thread::yield_now();
                }
            }
            published.store(ticket + 1, Ordering::Release);
        }
        worker.join().unwrap();
    });
}

/// A bell with the semantics of a pipe: rings are remembered until they are taken. Waits block, so that a lost wake-up is a
/// deadlock, which the model checker reports.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn new() -> Arc<Bell> {
        Arc::new(Bell { rung: Mutex::new(false), changed: Condvar::new() })
    }
    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }
    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let flag = Arc::new(Flag::new());
        let bell = Bell::new();
        let ring = Arc::new(AtomicU64::new(0));
        let producer = thread::spawn({
            let (flag, bell, ring) = (Arc::clone(&flag), Arc::clone(&bell), Arc::clone(&ring));
            move || {
                ring.store(1, Ordering::Release);
                if flag.take() {
                    bell.ring();
                }
            }
        });
        // The consumer sleeps once if it finds nothing, and then must find the record.
        if ring.load(Ordering::Acquire) == 0 {
            flag.raise();
            if ring.load(Ordering::Relaxed) == 0 {
                bell.wait();
            }
            flag.lower();
        }
        assert_eq!(ring.load(Ordering::Acquire), 1);
        producer.join().unwrap();
    });
}

/// Both flags at once: a producer that waits for room and a consumer that waits for records.
#[test]
fn a_full_ring_and_an_empty_one_wake_each_other() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let (sleeping, waiting) = (Arc::new(Flag::new()), Arc::new(Flag::new()));
        let (request, response) = (Bell::new(), Bell::new());
        // A ring of one record: 0 empty, 1 full.
        let slot = Arc::new(AtomicU64::new(0));
        let producer = thread::spawn({
            let (sleeping, waiting, request, response, slot) = (
                Arc::clone(&sleeping),
                Arc::clone(&waiting),
                Arc::clone(&request),
                Arc::clone(&response),
                Arc::clone(&slot),
            );
            move || {
                for _ in 0..2 {
                    let publish = || slot.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok();
                    while !publish() {
                        waiting.raise();
                        if publish() {
                            waiting.lower();
                            break;
                        }
                        response.wait();
                        waiting.lower();
                    }
                    if sleeping.take() {
                        request.ring();
                    }
                }
            }
        });
        for _ in 0..2 {
            let consume = || slot.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            while !consume() {
                sleeping.raise();
                if consume() {
                    sleeping.lower();
                    break;
                }
                request.wait();
                sleeping.lower();
            }
            if waiting.take() {
                response.ring();
            }
        }
        producer.join().unwrap();
    });
}
