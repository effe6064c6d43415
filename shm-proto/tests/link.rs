//! One incarnation end to end: both links in one process, every part of them used once.
#![cfg(not(loom))]

use shm_proto::{
    arbiter::Side,
    blob::AllocateError,
    cell::CELL_PAYLOAD,
    layout::Geometry,
    link::{NodeLink, OpenError, WorkerLink},
    request::{Extent, Header, Kind, Options, Place},
    response,
};

fn geometry() -> Geometry {
    Geometry {
        ring_bytes: 4096,
        arena_bytes: 64 << 10,
        cells: 4,
        callback_slots: 2,
    }
}

#[test]
fn a_call_goes_round() {
    let (node, handshake) = NodeLink::create(geometry()).unwrap();
    let worker = WorkerLink::open(&handshake).unwrap();
    node.close_far_ends();
    worker.dont_fork().unwrap();
    let mut requests = worker.take_requests().unwrap();
    let mut responses = node.take_responses().unwrap();
    assert!(worker.take_requests().is_none() && node.take_responses().is_none());

    let header = Header {
        id: 77,
        cell: Header::cell(1, 2),
        kind: Kind::Eval,
        place: Place::Inline,
        options: Options(0),
        len: 3,
    };
    worker.request_sleeping().raise();
    let position = node.requests.publish(&[&header.encode(), b"1+1"]).unwrap();
    assert!(node.request_sleeping().take());
    node.request_bell.ring().unwrap();
    assert!(worker.request_bell.drain().unwrap());

    let record = requests.next().unwrap().unwrap();
    let mut bytes = Vec::new();
    requests.copy(&record, &mut bytes);
    worker
        .starts(record.position())
        .decide(record.position(), Side::Worker)
        .unwrap();
    assert!(node.starts(position).decide(position, Side::Node).is_err());
    requests.release(record);
    let seen = Header::decode(&bytes).unwrap();
    assert_eq!(seen, header);
    assert_eq!(&bytes[Header::SIZE..][..3], b"1+1");

    assert!(!node.cells.poll(2, 1));
    worker
        .cells
        .complete(seen.cell_index(), seen.cell_ticket(), b"two")
        .unwrap();
    assert!(node.cells.poll(2, 1));
    let mut payload = [0; CELL_PAYLOAD];
    let len = node.cells.read(2, &mut payload).unwrap();
    assert_eq!(&payload[..len], b"two");
    assert!(node.cells.abandon(2, 1).is_err());

    let header = response::Header {
        id: 77,
        kind: response::Kind::Reply,
        place: Place::Inline,
        flags: 0,
        len: 3,
        service_ns: 5,
    };
    worker
        .responses
        .publish(&[&header.encode(), b"two"])
        .unwrap();
    worker.response_bell.ring().unwrap();
    assert!(node.response_bell.drain().unwrap());
    let record = responses.next().unwrap().unwrap();
    bytes.clear();
    responses.copy(&record, &mut bytes);
    responses.release(record);
    assert_eq!(response::Header::decode(&bytes), Ok(header));
    worker.telemetry.record(1_000);
    assert_eq!(node.telemetry.served(), 1);
}

#[test]
fn payloads_travel_in_the_arenas() {
    let (node, handshake) = NodeLink::create(geometry()).unwrap();
    let worker = WorkerLink::open(&handshake).unwrap();
    let text = vec![7; 10_000];
    for (owner, borrower) in [
        (&node.request_arena, &worker.request_arena),
        (&worker.result_arena, &node.result_arena),
    ] {
        let mut tickets = Vec::new();
        for _ in 0..100 {
            let lease = owner.lease(text.len()).expect("returned leases make room");
            owner.write(&lease, 0, &text);
            let extent = Extent {
                offset: lease.offset as u64,
                total: lease.len as u64,
                terms_len: 0,
                ticket: lease.ticket,
                fd: 0,
            };
            let mut out = Vec::new();
            borrower
                .append_to(&extent, 0, text.len(), &mut out)
                .unwrap();
            assert_eq!(out, text);
            assert!(
                borrower
                    .append_to(&extent, 1, text.len(), &mut out)
                    .is_err()
            );
            borrower.release(&extent);
            tickets.push(lease.ticket);
        }
        assert!(tickets.is_sorted());
        assert_eq!(owner.in_use(), 0);
    }
}

#[test]
fn large_payloads_travel_in_memfds_that_are_used_again() {
    let (node, handshake) = NodeLink::create(geometry()).unwrap();
    let worker = WorkerLink::open(&handshake).unwrap();
    let text: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
    let me = std::process::id();
    for (outbox, inbox) in [
        (&node.request_blobs, &worker.request_blobs),
        (&worker.result_blobs, &node.result_blobs),
    ] {
        let mut serials = Vec::new();
        for _ in 0..200 {
            let blob = outbox
                .allocate(text.len())
                .expect("released payloads make room");
            blob.write(0, &text);
            let extent = blob.extent(10);
            let view = inbox.open(me, &extent).unwrap();
            let mut out = Vec::new();
            view.append_to(0, text.len(), &mut out).unwrap();
            assert!(out == text);
            assert!(view.append_to(1, text.len(), &mut out).is_err());
            assert_eq!(outbox.in_use(), 1);
            serials.push(extent.offset);
        }
        assert_eq!(outbox.in_use(), 0);
        serials.dedup();
        assert_eq!(serials, [1], "one memfd served all");

        let held: Vec<_> = (0..64).map(|_| outbox.allocate(1).unwrap()).collect();
        assert!(matches!(outbox.allocate(1), Err(AllocateError::Full)));
        outbox.take_back(held[5].extent(0).ticket);
        assert!(outbox.allocate(1).is_ok());
    }
}

#[test]
fn a_result_that_is_no_sealed_memory_is_refused() {
    let (node, handshake) = NodeLink::create(geometry()).unwrap();
    let worker = WorkerLink::open(&handshake).unwrap();
    use std::os::fd::AsRawFd;
    let me = std::process::id();
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let (_ringer, listener) = shm_proto::bell::pipe_pair().unwrap();
    let unsealed = shm_proto::segment::Memfd::create(c"unsealed", 4096).unwrap();
    for fd in [
        file.as_raw_fd(),
        listener.number(),
        unsealed.number(),
        -1,
        1 << 20,
    ] {
        let extent = Extent {
            offset: 9,
            total: 100,
            terms_len: 0,
            ticket: 64,
            fd,
        };
        assert!(node.result_blobs.open(me, &extent).is_err(), "{fd}");
    }
    let blob = worker.result_blobs.allocate(100).unwrap();
    let extent = Extent {
        total: 1 << 40,
        ..blob.extent(0)
    };
    assert!(node.result_blobs.open(me, &extent).is_err());
}

#[test]
fn the_worker_can_neither_write_down_nor_truncate_up() {
    let (_node, handshake) = NodeLink::create(geometry()).unwrap();
    let shm_proto::control::Endpoints::Proc { down, up, .. } = handshake.endpoints else {
        panic!("memfds are in use");
    };
    use shm_proto::segment::{Access, Mapping, open_far_end};
    use std::os::fd::AsFd;
    let fd = open_far_end(handshake.node_pid, down, Access::ReadWrite).unwrap();
    assert!(Mapping::of(fd.as_fd(), 4096, true).is_err());
    assert!(nix::unistd::write(&fd, b"x").is_err());
    let fd = open_far_end(handshake.node_pid, up, Access::ReadWrite).unwrap();
    assert!(nix::unistd::ftruncate(fd, 0).is_err());
}

#[test]
fn a_foreign_handshake_is_refused() {
    let (_a, first) = NodeLink::create(geometry()).unwrap();
    let (_b, second) = NodeLink::create(geometry()).unwrap();
    let mixed = shm_proto::control::Handshake {
        nonce: first.nonce,
        ..second
    };
    assert!(matches!(
        WorkerLink::open(&mixed),
        Err(OpenError::Mismatch("down segment"))
    ));
}

#[test]
fn bells_hang_up_with_either_side() {
    let (node, handshake) = NodeLink::create(geometry()).unwrap();
    let worker = WorkerLink::open(&handshake).unwrap();
    node.close_far_ends();
    drop(worker);
    assert!(node.request_bell.ring().is_err());
    assert!(node.response_bell.drain().is_err());

    let (node, handshake) = NodeLink::create(geometry()).unwrap();
    let worker = WorkerLink::open(&handshake).unwrap();
    drop(node);
    assert!(worker.response_bell.ring().is_err());
    assert!(worker.request_bell.drain().is_err());
}
