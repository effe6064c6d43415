//! Callback slots between two threads, the waiting one with the read-only mapping of a worker.
#![cfg(not(loom))]

use std::{thread, time::Duration};

use shm_proto::{
    callback::{CALLBACK_PAYLOAD, ReplyError, Wait},
    layout::Geometry,
    link::{NodeLink, WorkerLink},
    request::Place,
};

fn links() -> (NodeLink, WorkerLink) {
    let (node, handshake) = NodeLink::create(Geometry { callback_slots: 3, ..Geometry::default() }).unwrap();
    let worker = WorkerLink::open(&handshake).unwrap();
    (node, worker)
}

#[test]
fn a_sleeping_thread_is_woken_by_its_answer() {
    let (node, worker) = links();
    thread::scope(|scope| {
        let (tickets, arrived) = std::sync::mpsc::channel();
        let callbacks = &worker.callbacks;
        scope.spawn(move || {
            for n in 0..2000u32 {
                let ticket = callbacks.begin(2);
                tickets.send(ticket).unwrap();
                while callbacks.wait(2, ticket, None).unwrap() != Wait::Ready {}
                let mut out = Vec::new();
                assert_eq!(callbacks.read(2, &mut out), Ok(Place::Inline));
                assert_eq!(out, n.to_le_bytes());
            }
        });
        for (n, ticket) in arrived.iter().enumerate() {
            node.answers.open(2, ticket).unwrap();
            node.answers.reply(2, ticket, Place::Inline, &(n as u32).to_le_bytes()).unwrap();
        }
    });
}

#[test]
fn a_slot_takes_no_second_call_before_the_answer_of_the_first() {
    let (node, worker) = links();
    let first = worker.callbacks.begin(0);
    node.answers.open(0, first).unwrap();
    assert_eq!(worker.callbacks.wait(0, first, Some(Duration::from_millis(1))).unwrap(), Wait::TimedOut);
    let second = worker.callbacks.begin(0);
    assert!(node.answers.open(0, second).is_err());
    assert_eq!(node.answers.reply(0, second, Place::Inline, b"never opened"), Err(ReplyError::Stale));
    node.answers.reply(0, first, Place::Inline, b"late").unwrap();
    node.answers.open(0, second).unwrap();
    assert_eq!(node.answers.reply(0, first, Place::Inline, b"twice"), Err(ReplyError::Stale));
    assert!(!worker.callbacks.is_ready(0, second));
    node.answers.reply(0, second, Place::Arena, b"extent").unwrap();
    assert_eq!(worker.callbacks.wait(0, second, None).unwrap(), Wait::Ready);
    let mut out = Vec::new();
    assert_eq!(worker.callbacks.read(0, &mut out), Ok(Place::Arena));
    assert_eq!(out, b"extent");
}

#[test]
fn bad_slots_and_long_payloads_are_refused() {
    let (node, _worker) = links();
    assert!(node.answers.open(3, 1).is_err());
    assert!(node.answers.open(0, 0).is_err());
    let long = vec![0; CALLBACK_PAYLOAD + 1];
    assert_eq!(node.answers.reply(0, 1, Place::Inline, &long), Err(ReplyError::TooLarge));
    assert_eq!(node.answers.reply(3, 1, Place::Inline, b""), Err(ReplyError::Stale));
    assert_eq!(node.answers.reply(0, 0, Place::Inline, b""), Err(ReplyError::Stale));
}

#[test]
fn a_waiting_thread_can_be_woken_without_an_answer() {
    let (_node, worker) = links();
    let ticket = worker.callbacks.begin(1);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| worker.callbacks.wait(1, ticket, None).unwrap());
        while !waiting.is_finished() {
            worker.callbacks.wake(1);
            thread::yield_now();
        }
        assert_eq!(waiting.join().unwrap(), Wait::Woken);
    });
}

#[test]
fn one_thread_waits_for_many_answers() {
    let (node, worker) = links();
    let callbacks = &worker.callbacks;
    thread::scope(|scope| {
        let (tickets, arrived) = std::sync::mpsc::channel();
        scope.spawn(move || {
            for _ in 0..2000 {
                let mut open: Vec<_> = (0..3).map(|slot| (slot, callbacks.begin(slot))).collect();
                tickets.send(open.clone()).unwrap();
                while !open.is_empty() {
                    callbacks.wait_any(|| open.iter().any(|&(slot, ticket)| callbacks.is_ready(slot, ticket)));
                    open.retain(|&(slot, ticket)| !callbacks.is_ready(slot, ticket));
                }
            }
        });
        for open in arrived {
            for (slot, ticket) in open.into_iter().rev() {
                node.answers.open(slot, ticket).unwrap();
                node.answers.reply(slot, ticket, Place::Inline, b"x").unwrap();
            }
        }
    });
}
