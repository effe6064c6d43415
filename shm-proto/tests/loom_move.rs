//! Model-checked moves: a request whose worker goes runs once, in another worker or where its submitter takes it, while the
//! submitter still looks whether the first one was closed.
#![cfg(loom)]

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, fence},
    },
    thread,
};
use shm_proto::{
    arbiter::{Arbiter, Side},
    entry::{EntryWord, State},
    sync::Ordering::{Acquire, Relaxed, Release, SeqCst},
};

const G: u32 = 1;
/// Serials of the workers, and where the request is in the ring of each.
const FIRST: u64 = 1;
const SECOND: u64 = 2;

#[derive(Default)]
struct World {
    entry: EntryWord,
    worker: AtomicU64,
    /// Of the body: whoever owns the entry touches it.
    position: AtomicU64,
    starts: [Arbiter; 2],
    /// The first worker takes nothing any more.
    closed: AtomicBool,
    /// The request is in the ring of the second worker.
    moved: AtomicBool,
    runs: AtomicU64,
    answers: AtomicU64,
}

impl World {
    /// What the node decides with the start word of the first worker, by the position that the entry has.
    fn take_back(&self) -> bool {
        self.starts[0].decide(self.position.load(Relaxed), Side::Node).is_ok()
    }

    /// Returns whether the caller takes the request elsewhere.
    fn submit(&self) -> bool {
        self.position.store(FIRST, Relaxed);
        self.worker.store(FIRST, Relaxed);
        self.entry.transition(G, State::Free, State::Live).unwrap();
        fence(SeqCst);
        if self.closed.load(Relaxed) && self.entry.seize(G, &self.worker, FIRST) {
            if self.take_back() {
                return true;
            }
            self.entry.transition(G, State::Moving, State::Live).unwrap();
        }
        false
    }

    fn tear_down(&self) {
        self.closed.store(true, Relaxed);
        fence(SeqCst);
        if !self.entry.seize(G, &self.worker, FIRST) {
            return;
        }
        if self.take_back() {
            self.position.store(SECOND, Relaxed);
            self.worker.store(SECOND, Relaxed);
            self.entry.transition(G, State::Moving, State::Live).unwrap();
            self.moved.store(true, Release);
        } else {
            self.entry.transition(G, State::Moving, State::Failed).unwrap();
            self.answers.fetch_add(1, Relaxed);
        }
    }

    fn work(&self, worker: u64) {
        if self.starts[worker as usize - 1].decide(worker, Side::Worker).is_ok() {
            self.runs.fetch_add(1, Relaxed);
        }
    }

    /// The second worker runs what was moved to it, and its reader answers.
    fn second(&self) {
        if !self.moved.load(Acquire) {
            return;
        }
        self.work(SECOND);
        while let Err((G, now)) = self.entry.transition(G, State::Live, State::Delivering) {
            assert_eq!(now, State::Moving, "answered by somebody else while it runs");
            thread::yield_now();
        }
        self.answers.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_request_that_moves_runs_once() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let (tearing, second) = (world.clone(), world.clone());
        let threads = [thread::spawn(move || tearing.tear_down()), thread::spawn(move || second.second())];
        let elsewhere = world.submit();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        if elsewhere {
            assert!(!world.moved.load(Acquire), "it was moved, and the caller takes it elsewhere as well");
        }
        assert!(world.runs.load(Relaxed) + u64::from(elsewhere) <= 1);
        assert!(world.answers.load(Relaxed) + u64::from(elsewhere) <= 1);
    });
}

#[test]
fn a_request_that_has_started_stays() {
    loom::model(|| {
        let world = Arc::new(World::default());
        let (tearing, first) = (world.clone(), world.clone());
        let threads = [thread::spawn(move || tearing.tear_down()), thread::spawn(move || first.work(FIRST))];
        let elsewhere = world.submit();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        world.second();
        assert!(world.runs.load(Relaxed) + u64::from(elsewhere) <= 1);
    });
}
