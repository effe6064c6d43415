//! What only the memfd backend promises: seals, and payloads in segments of their own.
#![cfg(not(loom))]

use shm_proto::{
    blob::AllocateError,
    layout::Geometry,
    link::{NodeLink, WorkerLink},
    request::Extent,
};

fn geometry() -> Geometry {
    Geometry { ring_bytes: 4096, arena_bytes: 64 << 10, cells: 4, callback_slots: 2 }
}

#[test]
fn large_payloads_travel_in_memfds_that_are_used_again() {
    let (node, handshake) = NodeLink::create(geometry()).unwrap();
    let worker = WorkerLink::open(&handshake).unwrap();
    let text: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
    let me = std::process::id();
    for (outbox, inbox) in [(&node.request_blobs, &worker.request_blobs), (&worker.result_blobs, &node.result_blobs)] {
        let mut serials = Vec::new();
        for _ in 0..200 {
            let blob = outbox.allocate(text.len()).expect("released payloads make room");
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
    for fd in [file.as_raw_fd(), listener.number(), unsealed.number(), -1, 1 << 20] {
        let extent = Extent { offset: 9, total: 100, terms_len: 0, ticket: 64, fd };
        assert!(node.result_blobs.open(me, &extent).is_err(), "{fd}");
    }
    let blob = worker.result_blobs.allocate(100).unwrap();
    let extent = Extent { total: 1 << 40, ..blob.extent(0) };
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
