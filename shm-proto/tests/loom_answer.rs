//! Model-checked answers: submit, deliver, cancel, give-up and teardown leave exactly one answer per request.
//!
//! The model keeps the words of the real thing (entry word, `closed`, start word, reply cell) and reduces ring and process
//! to flags. It follows "The node's side" of `docs/architecture.md`.
#![cfg(loom)]

use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, fence},
    },
    thread,
};
use shm_proto::{
    arbiter::{Arbiter, Side},
    cell::{CellMemory, CellWriter, Cells},
    entry::{EntryWord, State},
    sync::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};

struct World {
    entry: EntryWord,
    start: Arbiter,
    writer: CellWriter,
    cells: Cells,
    closed: AtomicBool,
    /// The request is in the ring.
    request: AtomicBool,
    /// Its response is in the ring.
    response: AtomicBool,
    answers: AtomicU64,
    /// What reader or teardown leave with the entry.
    handed: UnsafeCell<u32>,
}

// SAFETY: the slot belongs to whoever holds the entry MOVING, HANDED or DELIVERING; the model checks that.
unsafe impl Sync for World {}

const G: u32 = 1;
const TICKET: u64 = 1;

impl World {
    fn new() -> Arc<World> {
        let memory = CellMemory::heap(1);
        Arc::new(World {
            entry: EntryWord::new(),
            start: Arbiter::new(),
            writer: CellWriter::new(memory.clone()),
            cells: Cells::new(memory),
            closed: AtomicBool::new(false),
            request: AtomicBool::new(false),
            response: AtomicBool::new(false),
            answers: AtomicU64::new(0),
            handed: UnsafeCell::new(0),
        })
    }

    fn answer(&self) {
        self.answers.fetch_add(1, Relaxed);
    }

    /// Submission up to the look at `closed`. Returns whether the caller must not wait: the incarnation is closed, and
    /// nobody else settles the request.
    fn submit(&self, state: State) {
        self.entry.transition(G, State::Free, state).unwrap();
        self.request.store(true, Release);
        fence(SeqCst);
        if self.closed.load(Relaxed) {
            // Teardown may have looked at the entries before ours was there.
            if self.entry.transition(G, state, State::Failed).is_ok() {
                self.answer();
            }
        }
    }

    /// The worker: starts the request, completes its cell or publishes a response.
    fn work(&self, with_cell: bool) {
        if !self.request.load(Acquire) || self.start.decide(TICKET, Side::Worker).is_err() {
            return;
        }
        if with_cell && self.writer.complete(0, TICKET, &[7]).is_ok() {
            return;
        }
        self.response.swap(true, AcqRel);
    }

    /// The reader meets the response record.
    fn deliver(&self) {
        if self.response.swap(false, Acquire) && self.meet(State::Delivering) {
            self.answer();
        }
    }

    /// The reader after the worker's death.
    fn tear_down(&self) {
        self.closed.store(true, Relaxed);
        fence(SeqCst);
        self.deliver();
        if self.meet(State::Failed) {
            self.answer();
        }
    }

    /// Reader and teardown take a live entry and leave a watched one to its caller. Whoever holds it for a moment is waited
    /// for, and the caller may go from WATCHED to LIVE between two looks.
    fn meet(&self, to: State) -> bool {
        loop {
            match self.entry.load() {
                (G, State::Live) if self.entry.transition(G, State::Live, to).is_ok() => return true,
                (G, State::Watched) if self.entry.transition(G, State::Watched, State::Moving).is_ok() => {
                    // What is left with the entry is written by nobody else meanwhile, and read in HANDED.
                    self.touch_handed();
                    self.entry.transition(G, State::Moving, State::Handed).unwrap();
                    return false;
                }
                (G, State::Live | State::Watched) => {}
                (G, State::Moving) => thread::yield_now(),
                _ => return false,
            }
        }
    }

    fn cancel(&self) {
        loop {
            match self.entry.transition(G, State::Live, State::Moving) {
                Ok(()) => break,
                Err((G, State::Moving)) => thread::yield_now(),
                Err(_) => return,
            }
        }
        self.answer();
        let _ = self.start.decide(TICKET, Side::Node);
        self.entry.transition(G, State::Moving, State::Cancelled).unwrap();
    }

    /// The worker takes no new requests: what it has not started is published again (here: answered), the rest stays.
    fn move_queued(&self) {
        if self.entry.transition(G, State::Live, State::Moving).is_err() {
            return;
        }
        if self.start.decide(TICKET, Side::Node).is_ok() {
            self.answer();
            self.entry.transition(G, State::Moving, State::Cancelled).unwrap();
        } else {
            self.entry.transition(G, State::Moving, State::Live).unwrap();
        }
    }

    /// The watching caller: takes the result from the cell, or gives up and waits for a message.
    fn watch(&self) {
        if self.cells.poll(0, TICKET) {
            return self.take();
        }
        match self.stop_watching(State::Live) {
            // Met by reader or teardown: the answer is with the entry.
            Err((G, State::Handed)) => self.take_handed(),
            Err(_) => {}
            Ok(()) if self.cells.abandon(0, TICKET).is_ok() => {}
            // The worker was first after all: the result is in the cell, and nothing comes through the ring.
            Ok(()) => loop {
                match self.entry.transition(G, State::Live, State::Moving) {
                    Ok(()) => {
                        self.entry.transition(G, State::Moving, State::Delivering).unwrap();
                        break self.answer();
                    }
                    Err((G, State::Moving)) => thread::yield_now(),
                    Err(_) => break,
                }
            },
        }
    }

    fn take(&self) {
        match self.stop_watching(State::Delivering) {
            // The slot is the caller's; it may be used for another request at once.
            Ok(()) => {
                self.touch_handed();
                self.answer();
            }
            Err((G, State::Handed)) => self.take_handed(),
            Err(_) => {}
        }
    }

    fn touch_handed(&self) {
        // SAFETY: see `Sync`.
        self.handed.with_mut(|slot| unsafe { *slot += 1 });
    }

    fn take_handed(&self) {
        self.touch_handed();
        self.answer();
    }

    /// Leaves WATCHED, waiting while an answer is being handed over.
    fn stop_watching(&self, to: State) -> Result<(), (u32, State)> {
        loop {
            match self.entry.transition(G, State::Watched, to) {
                Err((G, State::Moving)) => thread::yield_now(),
                other => return other,
            }
        }
    }
}

#[test]
fn deliver_and_cancel_and_teardown() {
    loom::model(|| {
        let world = World::new();
        world.submit(State::Live);
        world.work(false);
        let canceller = thread::spawn({
            let world = Arc::clone(&world);
            move || world.cancel()
        });
        world.deliver();
        world.tear_down();
        canceller.join().unwrap();
        assert_eq!(world.answers.load(Relaxed), 1);
    });
}

#[test]
fn submit_meets_teardown() {
    loom::model(|| {
        let world = World::new();
        let submitter = thread::spawn({
            let world = Arc::clone(&world);
            move || world.submit(State::Live)
        });
        world.tear_down();
        submitter.join().unwrap();
        assert_eq!(world.answers.load(Relaxed), 1);
    });
}

#[test]
fn submit_work_deliver_teardown() {
    loom::model(|| {
        let world = World::new();
        let submitter = thread::spawn({
            let world = Arc::clone(&world);
            move || world.submit(State::Live)
        });
        let worker = thread::spawn({
            let world = Arc::clone(&world);
            move || world.work(false)
        });
        // The kill: the worker does nothing after it.
        world.closed.store(true, Relaxed);
        fence(SeqCst);
        worker.join().unwrap();
        world.tear_down();
        submitter.join().unwrap();
        assert_eq!(world.answers.load(Relaxed), 1);
    });
}

/// The caller watches, the worker completes, the reader delivers what was too late for the cell.
#[test]
fn watch_meets_completion() {
    loom::model(|| {
        let world = World::new();
        world.submit(State::Watched);
        let worker = thread::spawn({
            let world = Arc::clone(&world);
            move || world.work(true)
        });
        let reader = thread::spawn({
            let world = Arc::clone(&world);
            move || world.deliver()
        });
        world.watch();
        worker.join().unwrap();
        reader.join().unwrap();
        world.deliver();
        assert_eq!(world.answers.load(Relaxed), 1);
    });
}

/// The worker dies at some point while the caller watches.
#[test]
fn watch_meets_teardown() {
    loom::model(|| {
        let world = World::new();
        let worker = thread::spawn({
            let world = Arc::clone(&world);
            move || world.work(true)
        });
        let reader = thread::spawn({
            let world = Arc::clone(&world);
            move || {
                worker.join().unwrap();
                world.tear_down();
            }
        });
        world.submit(State::Watched);
        world.watch();
        reader.join().unwrap();
        assert_eq!(world.answers.load(Relaxed), 1);
    });
}

/// The worker is closed while the caller watches: an entry held for a moment is not one that somebody else answers.
#[test]
fn watch_meets_completion_and_move() {
    loom::model(|| {
        let world = World::new();
        world.submit(State::Watched);
        let worker = thread::spawn({
            let world = Arc::clone(&world);
            move || world.work(true)
        });
        let closer = thread::spawn({
            let world = Arc::clone(&world);
            move || world.move_queued()
        });
        world.watch();
        worker.join().unwrap();
        closer.join().unwrap();
        world.deliver();
        assert_eq!(world.answers.load(Relaxed), 1);
    });
}

/// Close, cancel and response at once.
#[test]
fn move_meets_cancel_and_response() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let world = World::new();
        world.submit(State::Live);
        let closer = thread::spawn({
            let world = Arc::clone(&world);
            move || world.move_queued()
        });
        let canceller = thread::spawn({
            let world = Arc::clone(&world);
            move || world.cancel()
        });
        world.work(false);
        closer.join().unwrap();
        world.deliver();
        canceller.join().unwrap();
        assert_eq!(world.answers.load(Relaxed), 1);
    });
}

/// A request is started by the worker, or moved, or cancelled: once.
#[test]
fn start_meets_cancel_and_move() {
    loom::model(|| {
        let word = Arc::new(Arbiter::new());
        let sides = [Side::Worker, Side::Node, Side::Node].map(|side| {
            let word = Arc::clone(&word);
            thread::spawn(move || word.decide(TICKET, side).is_ok())
        });
        let wins = sides.map(|t| t.join().unwrap());
        assert_eq!(wins.iter().filter(|won| **won).count(), 1);
    });
}
