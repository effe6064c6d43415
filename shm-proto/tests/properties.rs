//! Properties: ring and arena against simple models, headers round-trip, hostile bytes never panic.
#![cfg(not(loom))]

use std::{collections::VecDeque, thread};

use proptest::prelude::*;
use shm_proto::{
    arena::{Borrower, Owner},
    cell::{CELL_PAYLOAD, CellMemory, Cells},
    control::{Endpoints, FromWorker, Handshake, ToWorker},
    layout::{BLOCK, CELL, Geometry, SLOT},
    memory::{Bytes, Words},
    request::{self, Extent, Options, Place},
    response,
    ring::{Consumer, Producer, PublishError, ROOM, RingMemory, pair},
    sync::Ordering,
};

#[derive(Clone, Debug)]
enum Step {
    Publish(usize),
    Drop(usize),
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..600).prop_map(Step::Publish),
        1 => (1usize..300).prop_map(Step::Drop),
        4 => Just(Step::Take),
    ]
}

fn body(number: u64, len: usize) -> Vec<u8> {
    (0..len).map(|i| (number as usize * 31 + i) as u8).collect()
}

/// A program may send what looks like the commit words of the next round.
#[test]
fn nothing_in_a_record_is_a_commit() {
    const CAPACITY: u64 = 64;
    let (producer, mut consumer) = pair(RingMemory::heap(CAPACITY as usize));
    let end = producer.claimed() + CAPACITY;
    while producer.claimed() < end {
        let first = producer.claimed() + CAPACITY;
        let words = (0..producer.max_record() / 8).map(|word| (first + (word * 8 / ROOM) as u64) << 16 | 1);
        producer.publish(&[&words.flat_map(u64::to_le_bytes).collect::<Vec<u8>>()]).unwrap();
        let record = consumer.next().unwrap().unwrap();
        consumer.release(record);
    }
    for position in end..end + CAPACITY {
        assert!(consumer.is_empty());
        assert_eq!(consumer.next(), Ok(None));
        assert_eq!(producer.publish(&[b"short"]), Ok(position));
        let record = consumer.next().unwrap().unwrap();
        consumer.release(record);
    }
}

proptest! {
    #[test]
    fn a_ring_is_a_bounded_queue(
        capacity in prop::sample::select(vec![8usize, 16, 64, 128]),
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let (producer, mut consumer) = pair(RingMemory::heap(capacity));
        let mut model: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        let mut number = 0;
        for step in steps {
            match step {
                Step::Publish(len) => {
                    number += 1;
                    let bytes = body(number, len);
                    match producer.publish(&[&bytes[..len / 2], &bytes[len / 2..]]) {
                        Ok(position) => {
                            prop_assert!(len <= producer.max_record());
                            let mut back = Vec::new();
                            prop_assert!(producer.read_back(position, &mut back));
                            prop_assert_eq!(&back[..len], &bytes[..]);
                            model.push_back((position, bytes));
                        }
                        Err(PublishError::TooLarge) => prop_assert!(len > producer.max_record()),
                        Err(PublishError::Full) => {
                            prop_assert!(producer.claimed() > producer.consumed());
                        }
                        Err(PublishError::Corrupt) => prop_assert!(false, "an honest ring"),
                    }
                }
                Step::Drop(len) => drop(producer.claim(len)),
                Step::Take => match (consumer.next().unwrap(), model.pop_front()) {
                    (None, None) => {}
                    (Some(record), Some((position, bytes))) => {
                        prop_assert_eq!(record.position(), position);
                        prop_assert!(record.len() >= bytes.len() && record.len() < bytes.len() + 2 * SLOT);
                        let mut out = Vec::new();
                        consumer.copy(&record, &mut out);
                        prop_assert_eq!(&out[..bytes.len()], &bytes[..]);
                        consumer.release(record);
                        let mut back = Vec::new();
                        producer.consumed();
                        prop_assert!(!producer.read_back(position, &mut back));
                    }
                    (got, expected) => prop_assert!(false, "{got:?} for {expected:?}"),
                },
            }
        }
        // An emptied ring takes a record of the largest size, wherever it stands.
        while let Some(record) = consumer.next().unwrap() {
            consumer.release(record);
        }
        prop_assert!(producer.publish(&[&vec![1; producer.max_record()]]).is_ok());
    }

    #[test]
    fn many_producers_keep_their_own_order(
        capacity in prop::sample::select(vec![8usize, 64, 256]),
        threads in 1usize..5,
        len in 9usize..400,
    ) {
        let (producer, mut consumer) = pair(RingMemory::heap(capacity));
        let len = len.min(producer.max_record());
        const EACH: u64 = 500;
        let producer = &producer;
        thread::scope(|scope| {
            for id in 0..threads {
                scope.spawn(move || {
                    for n in 0..EACH {
                        let mut bytes = vec![n as u8; len];
                        bytes[0] = id as u8;
                        bytes[1..9].copy_from_slice(&n.to_le_bytes());
                        while producer.publish(&[&bytes]).is_err() {
                            thread::yield_now();
                        }
                    }
                });
            }
            let mut next = vec![0u64; threads];
            let mut left = EACH * threads as u64;
            let mut bytes = Vec::new();
            while left > 0 {
                let Some(record) = consumer.next().unwrap() else {
                    thread::yield_now();
                    continue;
                };
                bytes.clear();
                consumer.copy(&record, &mut bytes);
                consumer.release(record);
                let id = usize::from(bytes[0]);
                let n = u64::from_le_bytes(bytes[1..9].try_into().unwrap());
                assert_eq!(n, next[id]);
                assert!(bytes[9..len].iter().all(|b| *b == n as u8));
                next[id] += 1;
                left -= 1;
            }
        });
        prop_assert!(consumer.is_empty());
    }

    #[test]
    fn an_arena_never_lends_a_byte_twice(
        blocks in 1usize..40,
        steps in prop::collection::vec((any::<bool>(), 0usize..60_000, any::<prop::sample::Index>()), 1..200),
    ) {
        let bytes = Bytes::heap(blocks * BLOCK);
        let releases = Words::heap(blocks);
        let owner = Owner::new(bytes.clone(), releases.clone());
        let borrower = Borrower::new(bytes, releases);
        let mut live: Vec<(Extent, u8)> = Vec::new();
        for (n, (lend, len, pick)) in steps.into_iter().enumerate() {
            if lend || live.is_empty() {
                let used: usize = live.iter().map(|(e, _)| (e.total as usize).div_ceil(BLOCK).max(1)).sum();
                match owner.lease(len) {
                    Some(lease) => {
                        owner.write(&lease, 0, &vec![n as u8; len]);
                        let extent = Extent {
                            offset: lease.offset as u64, total: len as u64, terms_len: 0, ticket: lease.ticket, fd: -1,
                        };
                        live.push((extent, n as u8));
                    }
                    None => prop_assert!(!live.is_empty() || len.div_ceil(BLOCK).max(1) > blocks),
                }
                prop_assert!(used <= blocks);
            } else {
                let (extent, fill) = live.swap_remove(pick.index(live.len()));
                let mut out = Vec::new();
                borrower.append_to(&extent, 0, extent.total as usize, &mut out).unwrap();
                prop_assert!(out.iter().all(|b| *b == fill));
                borrower.release(&extent);
            }
        }
        prop_assert_eq!(owner.in_use(), live.len());
        for (extent, _) in live.drain(..) {
            borrower.release(&extent);
        }
        prop_assert!(owner.lease(blocks * BLOCK).is_some());
    }

    #[test]
    fn hostile_extents_are_refused_or_inside(
        offset in any::<u64>(), total in any::<u64>(), terms_len in any::<u64>(), at in any::<usize>(), len in 0usize..100_000,
    ) {
        let borrower = Borrower::new(Bytes::heap(4 * BLOCK), Words::heap(4));
        for extent in [
            Extent { offset, total, terms_len, ticket: 1, fd: 0 },
            Extent { offset: offset % 20_000, total: total % 20_000, terms_len: terms_len % 20_000, ticket: 1, fd: 0 },
        ] {
            borrower.release(&extent);
            let mut out = Vec::new();
            if borrower.append_to(&extent, at % 20_000, len, &mut out).is_ok() {
                prop_assert!(extent.offset + (at % 20_000 + len) as u64 <= 4 * BLOCK as u64);
                prop_assert_eq!(out.len(), len);
            }
        }
    }

    /// Whatever the peer writes into commit words, slots and head: errors, never a panic or an endless loop.
    #[test]
    fn hostile_rings_are_corrupt_and_nothing_else(
        commits in prop::collection::vec((0usize..16, any::<u64>(), 0u64..40), 0..40),
        head in prop_oneof![any::<u64>(), 0u64..64],
    ) {
        let (slots, shared_head) = (Bytes::heap(16 * SLOT), Words::heap(1));
        let words = Words::new(slots.mapping(), 0, 16, SLOT);
        let memory = RingMemory::mapped(slots.mapping(), 0, 16, shared_head.clone());
        let mut consumer = Consumer::new(memory.clone());
        let producer = Producer::new(memory);
        for (index, noise, position) in commits {
            let plausible = position << 16 | (noise & 0x8003);
            words.at(index).store(if noise & 1 << 40 == 0 { plausible } else { noise }, Ordering::Relaxed);
            if let Ok(Some(record)) = consumer.next() {
                let mut out = Vec::new();
                consumer.copy(&record, &mut out);
                consumer.release(record);
            }
            producer.read_back(position, &mut Vec::new());
        }
        shared_head.at(0).store(head, Ordering::Relaxed);
        for _ in 0..40 {
            match producer.publish(&[b"x"]) {
                Ok(_) | Err(PublishError::Full | PublishError::Corrupt) => {}
                Err(PublishError::TooLarge) => prop_assert!(false),
            }
            prop_assert!(producer.consumed() <= producer.claimed());
        }
    }

    #[test]
    fn hostile_cells_are_corrupt_and_nothing_else(bytes in prop::collection::vec(any::<u8>(), CELL)) {
        let shared = Bytes::heap(CELL);
        let cells = Cells::new(CellMemory::new(Words::new(shared.mapping(), 0, 1, CELL), shared.clone()));
        shared.write(0, &bytes);
        cells.poll(0, 1);
        if let Ok(len) = cells.read(0, &mut [0; CELL_PAYLOAD]) {
            prop_assert!(len <= CELL_PAYLOAD);
        }
        let _ = cells.abandon(0, 1);
    }

    #[test]
    fn headers_round_trip(
        id in any::<u64>(), cell in any::<u64>(), kind in 0usize..8, place in 0u8..3, bits in any::<u16>(), len in any::<u32>(),
        extent in any::<(u64, u32, u32, u64, i32)>(),
    ) {
        let place = Place::from_byte(place).unwrap();
        use request::Kind;
        let kind = [Kind::Call, Kind::Eval, Kind::Exec, Kind::Method, Kind::Release, Kind::Stream, Kind::StreamEval, Kind::Credit][kind];
        let header = request::Header { id, cell, kind, place, options: Options(bits), len };
        prop_assert_eq!(request::Header::decode(&header.encode()), Ok(header));
        let header = response::Header { id, kind: response::Kind::Chunk, place, flags: bits, len, service_ns: cell };
        prop_assert_eq!(response::Header::decode(&header.encode()), Ok(header));
        let (offset, terms, more, ticket, fd) = extent;
        let extent = Extent {
            offset, terms_len: terms.into(), total: u64::from(terms) + u64::from(more), ticket, fd,
        };
        prop_assert_eq!(Extent::decode(&extent.encode()), Ok(extent));
    }

    #[test]
    fn frames_round_trip(
        nonce in any::<[u8; 16]>(), node_pid in any::<u32>(), fds in any::<[i32; 4]>(), name in "[a-z/]{1,100}",
        ring in 12u32..24, blocks in 1u32..1000, cells in 1u16..4096, callback_slots in 0u16..4096,
        executors in 1u16..100, named in any::<bool>(), text in ".{0,300}", n in any::<u64>(),
    ) {
        let [down, up, request_bell, response_bell] = fds;
        let endpoints = if named {
            Endpoints::Named(name)
        } else {
            Endpoints::Proc { down, up, request_bell, response_bell }
        };
        let geometry = Geometry { ring_bytes: 1 << ring, arena_bytes: blocks * 4096, cells, callback_slots };
        let handshake = Handshake { nonce, node_pid, endpoints, geometry, executors, max_threads: executors + 1, blob_cache: n };
        for frame in [
            ToWorker::Handshake(Box::new(handshake)), ToWorker::Ping(n), ToWorker::Interrupt(n), ToWorker::Raise(n), ToWorker::Gil(n), ToWorker::Abandon(n), ToWorker::Stacks, ToWorker::Stop,
        ] {
            let bytes = frame.encode().unwrap();
            prop_assert!(bytes.len() <= 200);
            prop_assert_eq!(ToWorker::decode(&bytes), Ok(frame));
        }
        for frame in [
            FromWorker::Asks, FromWorker::Hello { nonce, os_pid: node_pid }, FromWorker::Ready(text.clone()), FromWorker::Pong(n),
            FromWorker::Gil(n), FromWorker::Stacks { more: n % 2 == 1, text: text.clone().into() }, FromWorker::Crash(text.clone().into()),
            FromWorker::Failure(text),
        ] {
            prop_assert_eq!(FromWorker::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn hostile_bytes_are_malformed_and_nothing_else(bytes in prop::collection::vec(any::<u8>(), 0..250)) {
        let _ = request::Header::decode(&bytes);
        let _ = response::Header::decode(&bytes);
        let _ = Extent::decode(&bytes);
        let _ = ToWorker::decode(&bytes);
        let _ = FromWorker::decode(&bytes);
        let mut handshake = bytes;
        if handshake.len() > 4 {
            handshake[..5].copy_from_slice(&[b'H', 1, 0, 0, 0]);
        }
        let _ = Handshake::decode(&handshake);
    }
}
