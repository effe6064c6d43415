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

        let mut held: Vec<_> = (0..64).map(|_| outbox.allocate(1).unwrap()).collect();
        assert!(matches!(outbox.allocate(1), Err(AllocateError::Full)));
        assert!(outbox.take_back(held.remove(5)).is_none(), "it is kept");
        assert!(outbox.allocate(1).is_ok());
    }
}

#[test]
fn what_is_not_kept_is_unmapped_by_who_was_told_so() {
    const MIB: usize = 1 << 20;
    let mapped = |mib: usize| {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let sizes = maps.lines().filter(|line| line.contains("erlang_python-request")).map(|line| {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            usize::from_str_radix(to, 16).unwrap() - usize::from_str_radix(from, 16).unwrap()
        });
        sizes.filter(|size| *size == mib * MIB).count()
    };
    let (node, _handshake) = NodeLink::create(geometry()).unwrap();
    let outbox = &node.request_blobs;
    outbox.set_cache_limit(20 * MIB);
    let first = outbox.allocate(14 * MIB).unwrap();
    let second = outbox.allocate(16 * MIB).unwrap();
    assert_eq!((mapped(14), mapped(16)), (1, 1));
    assert!(outbox.take_back(first).is_none());
    let remains = outbox.take_back(second).expect("both are more than is kept");
    assert_eq!((mapped(14), mapped(16)), (1, 1), "nothing was unmapped on the way");
    drop(remains);
    assert_eq!((mapped(14), mapped(16)), (0, 1), "the older one went");
    assert!(outbox.allocate(14 * MIB).unwrap().leave().is_none(), "its slot has it");
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

/// A sealed memfd that is all hole: it costs its maker nothing, and its reader all of its memory.
fn hole(name: &std::ffi::CStr, len: i64) -> std::os::fd::OwnedFd {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::os::fd::AsRawFd;
    let fd = memfd_create(name, MFdFlags::MFD_ALLOW_SEALING).unwrap();
    nix::unistd::ftruncate(&fd, len).unwrap();
    // SAFETY: fcntl on an open descriptor, no memory involved.
    let sealed = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW) };
    assert_eq!(sealed, 0);
    fd
}

#[test]
fn a_result_without_memory_is_refused() {
    use std::os::fd::AsRawFd;
    let (node, _handshake) = NodeLink::create(geometry()).unwrap();
    let fd = hole(c"hole", 1 << 40);
    let extent = Extent { offset: 9, total: 1 << 39, terms_len: 1 << 39, ticket: 64, fd: fd.as_raw_fd() };
    assert!(node.result_blobs.open(std::process::id(), &extent).is_err());
    let whole = Extent { total: 4096, terms_len: 0, ..extent };
    nix::unistd::write(&fd, &[1; 4096]).unwrap();
    assert!(node.result_blobs.open(std::process::id(), &whole).is_ok());
}

#[test]
fn what_is_no_memory_is_not_even_opened() {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    use std::os::fd::AsRawFd;
    let (node, _handshake) = NodeLink::create(geometry()).unwrap();
    let path = std::env::temp_dir().join(format!("no-memory-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    watch.add_watch(&path, AddWatchFlags::IN_OPEN).unwrap();
    let extent = Extent { offset: 9, total: 100, terms_len: 0, ticket: 64, fd: file.as_raw_fd() };
    assert!(node.result_blobs.open(std::process::id(), &extent).is_err());
    assert_eq!(watch.read_events().map(|events| events.len()), Err(nix::errno::Errno::EAGAIN));
    // The watch does see who opens the file.
    drop(std::fs::File::open(&path).unwrap());
    assert_eq!(watch.read_events().map(|events| events.len()), Ok(1));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn many_small_results_leave_few_mappings() {
    use std::os::fd::AsRawFd;
    let (node, _handshake) = NodeLink::create(geometry()).unwrap();
    for serial in 0..1000 {
        let fd = hole(c"many-small", 4096);
        nix::unistd::write(&fd, &[1; 4096]).unwrap();
        let extent = Extent { offset: serial, total: 100, terms_len: 0, ticket: 64, fd: fd.as_raw_fd() };
        node.result_blobs.open(std::process::id(), &extent).unwrap();
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!((1..=128).contains(&maps.lines().filter(|line| line.contains("many-small")).count()));
}

#[test]
fn a_peer_that_rings_without_pause_does_not_hold_the_listener() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (ringer, listener) = shm_proto::bell::pipe_pair().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = nix::unistd::write(&ringer, &[1; 4096]);
                }
            });
        }
        for _ in 0..200 {
            listener.drain().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
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
