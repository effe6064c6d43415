//! What a request publishes of its own: callbacks, messages, chunks of streams, log events and spans. And the control channel.

use std::sync::Arc;

use shm_proto::etf::Writer;
use shm_proto::request::Place;
use shm_proto::response::{Header, Kind};

use super::payload;
use super::{answered, callback};
use crate::serve::{NONE, Worker, header};

pub fn run(worker: &Arc<Worker>, name: &str) -> bool {
    callbacks(worker, name)
        || messages(worker, name)
        || chunks(worker, name)
        || events(worker, name)
        || frames(worker, name)
}

/// A term without a status byte.
fn encoded(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out));
    out
}

fn pair(first: &[u8], second: &[u8]) -> Vec<u8> {
    [&[104, 2], first, second].concat()
}

/// Terms of all kinds.
fn junk() -> Vec<Vec<u8>> {
    vec![
        encoded(|w| w.int(-1)),
        encoded(|w| w.big(true, &[255; 1000]).expect("short")),
        encoded(|w| w.binary(&[255; 100]).expect("short")),
        encoded(|w| w.binary(b"").expect("short")),
        encoded(|w| w.nil()),
        encoded(|w| w.float(1e300)),
        encoded(|w| w.map_header(0)),
        encoded(|w| w.none()),
        [&[108, 0, 0, 0, 1][..]; 500].concat().into_iter().chain([106; 501]).collect(),
    ]
}

fn callbacks(worker: &Worker, name: &str) -> bool {
    let good = pair(&encoded(|w| w.binary(b"no such function").expect("short")), &[106]);
    match name {
        "callback_slot" => callback(worker, 60_000, 1, &good),
        "callback_ticket" => callback(worker, 0, 0, &good),
        "callback_flood" => (1..=1000).for_each(|ticket| callback(worker, 0, ticket, &good)),
        "callback_pair" => callback(worker, 0, 1, &[106]),
        "callback_term" => callback(worker, 0, 1, &[104, 2, 200]),
        "callback_short" => worker.publish(Kind::Callback, Place::Inline, 0, &[1; 5]),
        "callback_extent" => {
            let call = shm_proto::response::Call { ticket: 1, root: u64::MAX, slot: 0 };
            worker.publish(Kind::Callback, Place::Arena, 0, &[&call.encode()[..], &[255; 40]].concat());
        }
        // Names and arguments that no program sends: each gets an answer.
        "callback_junk" => {
            for (slot, first) in junk().iter().enumerate() {
                for second in junk() {
                    for flags in [0, Header::INTERNAL] {
                        let ticket = worker.link.callbacks.begin(slot);
                        let call = shm_proto::response::Call { ticket, root: u64::MAX, slot: slot as u32 };
                        let payload = [&call.encode()[..], &pair(first, &second)].concat();
                        worker.publish(Kind::Callback, Place::Inline, flags, &payload);
                        while !worker.link.callbacks.is_ready(slot, ticket) {
                            std::thread::yield_now();
                        }
                    }
                }
            }
            return answered(worker);
        }
        _ => return false,
    }
    true
}

fn messages(worker: &Worker, name: &str) -> bool {
    match name {
        "send_term" => worker.publish(Kind::Send, Place::Inline, 0, &[104, 2, 97]),
        "send_pair" => worker.publish(Kind::Send, Place::Inline, 0, &[104, 1, 97, 1]),
        "send_extent" => worker.publish(Kind::Send, Place::Segment, 0, &[255; 40]),
        "send_junk" => {
            for _ in 0..500 {
                for to in junk() {
                    worker.publish(Kind::Send, Place::Inline, 0, &pair(&to, &[106]));
                }
            }
            return answered(worker);
        }
        _ => return false,
    }
    true
}

fn chunks(worker: &Worker, name: &str) -> bool {
    let chunk = |flags: u16, payload: &[u8]| worker.publish(Kind::Chunk, Place::Inline, flags, payload);
    let stray = |id: u64| worker.record(&[&header(id, Kind::Chunk, Place::Inline, 0, 2), &NONE]);
    match name {
        "chunk_of_call" => chunk(0, &NONE),
        "chunk_of_nobody" => stray(u64::MAX),
        "chunk_of_another" => stray(worker.request().header.id + (1 << 32)),
        // The test grants two items.
        "chunk_beyond" => (0..3).for_each(|_| chunk(0, &NONE)),
        // The mark says that nothing more comes before there is credit.
        "chunk_parked" => {
            chunk(0, &NONE);
            chunk(Header::PARKED, &NONE);
            chunk(Header::PARKED, &NONE);
        }
        "chunk_empty" => chunk(0, &[]),
        "chunk_status" => chunk(0, &[77]),
        "chunk_term" => chunk(0, &payload::term("term_truncated").expect("there is one")),
        "chunk_extent" => worker.publish(Kind::Chunk, Place::Arena, 0, &[255; 40]),
        "chunk_refused" => {
            chunk(0, &payload::term("term_atom").expect("there is one"));
            worker.reply(&NONE);
        }
        "chunk_exception" => {
            chunk(0, &payload::exception(-1));
            worker.reply(&NONE);
        }
        "chunk_after_end" => {
            worker.reply(&NONE);
            chunk(0, &NONE);
        }
        _ => return false,
    }
    true
}

fn events(worker: &Worker, name: &str) -> bool {
    let event = |kind, payload: &[u8]| worker.publish(kind, Place::Inline, 0, payload);
    let log = |payload: &[u8]| event(Kind::Log, payload);
    let span = |payload: &[u8]| event(Kind::Span, payload);
    let huge = || encoded(|w| w.big(false, &[255; 2000]).expect("short"));
    match name {
        "log_term" => log(&[105, 0, 0]),
        "log_extent" => worker.publish(Kind::Log, Place::Arena, 0, &[255; 40]),
        "span_term" => span(&[200]),
        "span_extent" => worker.publish(Kind::Span, Place::Segment, 0, &[255; 40]),
        "log_junk" => {
            for kind in [Kind::Log, Kind::Span] {
                junk().iter().for_each(|term| event(kind, term));
                // Tuples of the right size, with each kind of field everywhere.
                for count in [9, 11] {
                    for field in junk().iter().filter(|field| field.len() < 1000) {
                        event(kind, &[&[104, count][..], &field.repeat(count.into())].concat());
                    }
                }
            }
            return answered(worker);
        }
        // Fields of the right types, and out of all bounds.
        "log_bounds" => {
            let (binary, int) = (encoded(|w| w.binary(&[255; 20]).expect("short")), huge());
            let fields = [&int, &int, &binary, &binary, &binary, &binary, &binary, &int, &binary, &binary, &binary];
            log(&[&[104, 11][..], &fields.map(Vec::as_slice).concat()].concat());
            let (map, list, none) = (encoded(|w| w.map_header(0)), vec![106], vec![1]);
            let fields = [&int, &none, &binary, &int, &int, &int, &none, &map, &list];
            span(&[&[104, 9][..], &fields.map(Vec::as_slice).concat()].concat());
            return answered(worker);
        }
        "log_flood" => {
            let line = encoded(|w| w.binary(&[b'x'; 4000]).expect("short"));
            (0..10_000).for_each(|_| log(&line));
            return answered(worker);
        }
        _ => return false,
    }
    true
}

fn frames(worker: &Worker, name: &str) -> bool {
    match name {
        "frame_garbage" => worker.control.send(&[255; 60_000]),
        "frame_empty" => worker.control.send(&[]),
        "frame_hello" => worker.control.send(&[b'h'; 21]),
        "frame_pongs" => (0..10_000).for_each(|_| worker.control.send(&[b'p', 0, 0, 0, 0, 0, 0, 0, 0])),
        "frame_keeps" => (0..10_000).for_each(|_| worker.control.send(&[b'k', 0, 0, 0, 0, 0, 0, 0, 0])),
        "frame_stacks" => worker.control.send(&[b't', 0, b'x']),
        "frame_crashes" => (0..10_000).for_each(|_| worker.control.send(&[b'c'; 4001])),
        "exceptions" => {
            // One answer for each of the calls of the test.
            worker.answer(&payload::exception(worker.request().numbers()[0]));
        }
        _ => return false,
    }
    true
}
