//! One suite over both backends of an incarnation (sealed memfds, named objects), and one over every event (doorbell over a
//! pipe, doorbell over a FIFO, `raw_sync`'s `BusyEvent`).
#![cfg(not(loom))]

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use raw_sync::{
    Timeout,
    events::{BusyEvent, EventImpl, EventInit, EventState},
};
use shm_proto::{
    arbiter::Side,
    bell::{Doorbell, Listener, Ringer, pipe_pair},
    cell::CELL_PAYLOAD,
    control::Handshake,
    layout::Geometry,
    link::{NodeLink, OpenError, WorkerLink},
    named::Namespace,
    request::{Extent, Header, Kind, Options, Place},
    response,
};

type Open = fn(Geometry) -> (NodeLink, Handshake, Option<Namespace>);

fn sealed(geometry: Geometry) -> (NodeLink, Handshake, Option<Namespace>) {
    let (node, handshake) = NodeLink::create(geometry).unwrap();
    (node, handshake, None)
}

fn named(geometry: Geometry) -> (NodeLink, Handshake, Option<Namespace>) {
    let namespace = Namespace::create().unwrap();
    let (node, handshake) = NodeLink::create_named(geometry, &namespace).unwrap();
    (node, handshake, Some(namespace))
}

macro_rules! conformance {
    ($($test:ident),* $(,)?) => {
        mod sealed_memfds {
            $(#[test] fn $test() { super::$test(super::sealed); })*
        }
        mod named_objects {
            $(#[test] fn $test() { super::$test(super::named); })*
        }
    };
}

conformance!(
    a_call_goes_round,
    payloads_travel_in_the_arenas,
    a_foreign_handshake_is_refused,
    bells_hang_up_with_either_side,
    sleepers_are_woken_in_both_directions,
);

fn geometry() -> Geometry {
    Geometry { ring_bytes: 4096, arena_bytes: 64 << 10, cells: 4, callback_slots: 2 }
}

fn a_call_goes_round(open: Open) {
    let (node, handshake, _names) = open(geometry());
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
    worker.starts(record.position()).decide(record.position(), Side::Worker).unwrap();
    assert!(node.starts(position).decide(position, Side::Node).is_err());
    requests.release(record);
    let seen = Header::decode(&bytes).unwrap();
    assert_eq!(seen, header);
    assert_eq!(&bytes[Header::SIZE..][..3], b"1+1");

    assert!(!node.cells.poll(2, 1));
    worker.cells.complete(seen.cell_index(), seen.cell_ticket(), b"two").unwrap();
    assert!(node.cells.poll(2, 1));
    let mut payload = [0; CELL_PAYLOAD];
    let len = node.cells.read(2, &mut payload).unwrap();
    assert_eq!(&payload[..len], b"two");
    assert!(node.cells.abandon(2, 1).is_err());

    let header =
        response::Header { id: 77, kind: response::Kind::Reply, place: Place::Inline, flags: 0, len: 3, service_ns: 5 };
    worker.responses.publish(&[&header.encode(), b"two"]).unwrap();
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

fn payloads_travel_in_the_arenas(open: Open) {
    let (node, handshake, _names) = open(geometry());
    let worker = WorkerLink::open(&handshake).unwrap();
    let text = vec![7; 10_000];
    for (owner, borrower) in [(&node.request_arena, &worker.request_arena), (&worker.result_arena, &node.result_arena)]
    {
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
            borrower.append_to(&extent, 0, text.len(), &mut out).unwrap();
            assert_eq!(out, text);
            assert!(borrower.append_to(&extent, 1, text.len(), &mut out).is_err());
            borrower.release(&extent);
            tickets.push(lease.ticket);
        }
        assert!(tickets.is_sorted());
        assert_eq!(owner.in_use(), 0);
    }
}

fn a_foreign_handshake_is_refused(open: Open) {
    let (_a, first, _names) = open(geometry());
    let (_b, second, _names) = open(geometry());
    let mixed = shm_proto::control::Handshake { nonce: first.nonce, ..second };
    assert!(matches!(WorkerLink::open(&mixed), Err(OpenError::Mismatch("down segment"))));
}

fn bells_hang_up_with_either_side(open: Open) {
    let (node, handshake, _names) = open(geometry());
    let worker = WorkerLink::open(&handshake).unwrap();
    node.close_far_ends();
    drop(worker);
    assert!(node.request_bell.ring().is_err());
    assert!(node.response_bell.drain().is_err());

    let (node, handshake, _names) = open(geometry());
    let worker = WorkerLink::open(&handshake).unwrap();
    drop(node);
    assert!(worker.response_bell.ring().is_err());
    assert!(worker.request_bell.drain().is_err());
}

/// Small rings, so that both sides sleep and wait for room again and again.
fn sleepers_are_woken_in_both_directions(open: Open) {
    const COUNT: u64 = 20_000;
    let (node, handshake, _names) = open(geometry());
    let worker = WorkerLink::open(&handshake).unwrap();
    node.close_far_ends();
    let mut requests = worker.take_requests().unwrap();
    let mut responses = node.take_responses().unwrap();
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..COUNT {
                let publish = || node.requests.publish(&[&n.to_le_bytes()]).is_ok();
                while !publish() {
                    node.request_waiting().raise();
                    if publish() {
                        node.request_waiting().lower();
                        break;
                    }
                    // The reader thread owns the bell and tells the waiters; here a yield stands for that.
                    while node.request_waiting().is_raised() {
                        thread::yield_now();
                    }
                }
                if node.request_sleeping().take() {
                    node.request_bell.ring().unwrap();
                }
            }
        });
        scope.spawn(|| {
            let mut served = 0;
            while served < COUNT {
                let Some(record) = requests.next().unwrap() else {
                    worker.request_sleeping().raise();
                    if requests.is_empty() {
                        worker.request_bell.wait(None).unwrap();
                        worker.request_bell.drain().unwrap();
                    }
                    worker.request_sleeping().lower();
                    continue;
                };
                let mut number = [0; 8];
                requests.copy_to(&record, &mut number);
                requests.release(record);
                if worker.request_waiting().take() {
                    worker.response_bell.ring().unwrap();
                }
                assert_eq!(u64::from_le_bytes(number), served);
                served += 1;
                let publish = || worker.responses.publish(&[&number]).is_ok();
                while !publish() {
                    worker.response_waiting().raise();
                    if publish() {
                        break;
                    }
                    worker.response_waiting().sleep();
                }
                if worker.response_sleeping().take() {
                    worker.response_bell.ring().unwrap();
                }
            }
        });
        while answered.load(Ordering::Relaxed) < COUNT {
            let Some(record) = responses.next().unwrap() else {
                node.response_sleeping().raise();
                if responses.is_empty() {
                    node.response_bell.wait(None).unwrap();
                    node.response_bell.drain().unwrap();
                }
                node.response_sleeping().lower();
                continue;
            };
            let mut number = [0; 8];
            responses.copy_to(&record, &mut number);
            responses.release(record);
            node.response_waiting().take_and_wake();
            assert_eq!(u64::from_le_bytes(number), answered.fetch_add(1, Ordering::Relaxed));
        }
    });
}

#[test]
fn names_are_gone_once_both_sides_are_open() {
    let namespace = Namespace::create().unwrap();
    let (node, handshake) = NodeLink::create_named(geometry(), &namespace).unwrap();
    let shm_proto::control::Endpoints::Named(prefix) = &handshake.endpoints else {
        panic!("the named backend was asked for");
    };
    let (stem, _) = prefix.split_once('/').unwrap();
    let left = || {
        let entries = std::fs::read_dir("/dev/shm").unwrap().flatten();
        entries.filter(|e| e.file_name().to_string_lossy().starts_with(stem)).count()
    };
    assert_eq!(left(), 3, "the directory and two segments");
    let worker = WorkerLink::open(&handshake).unwrap();
    assert_eq!(left(), 1);
    assert!(std::fs::read_dir(format!("/dev/shm/{stem}")).unwrap().next().is_none());
    drop(namespace);
    assert_eq!(left(), 0);
    drop((node, worker));
}

#[test]
fn what_a_dead_node_left_is_swept() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    let stem = format!("/dev/shm/erlang_python-{}-{pid}-0123456789abcdef", nix::unistd::getuid());
    std::fs::create_dir(&stem).unwrap();
    std::fs::write(format!("{stem}/0.up"), b"").unwrap();
    std::fs::write(format!("{stem}.0.down"), b"").unwrap();
    let _namespace = Namespace::create().unwrap();
    assert!(!std::path::Path::new(&stem).exists());
    assert!(!std::path::Path::new(&format!("{stem}.0.down")).exists());
}

fn fifo_pair() -> (Ringer, Listener) {
    let path = std::env::temp_dir().join(format!("doorbell-{}", std::process::id()));
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    use std::os::{fd::OwnedFd, unix::fs::OpenOptionsExt};
    let mut options = std::fs::OpenOptions::new();
    let listener = options.read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    let ringer = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    (Ringer::from(OwnedFd::from(ringer)), Listener::from(OwnedFd::from(listener)))
}

fn event_conforms(event: &(dyn EventImpl + Sync)) {
    let short = || Timeout::Val(Duration::from_millis(1));
    let long = || Timeout::Val(Duration::from_secs(60));
    assert!(event.wait(short()).is_err(), "not set yet");
    event.set(EventState::Signaled).unwrap();
    event.set(EventState::Signaled).unwrap();
    event.wait(long()).unwrap();
    assert!(event.wait(short()).is_err(), "a wait takes every set");
    event.set(EventState::Signaled).unwrap();
    event.set(EventState::Clear).unwrap();
    assert!(event.wait(short()).is_err(), "cleared");
    for _ in 0..100_000 {
        event.set(EventState::Signaled).unwrap();
    }
    event.wait(long()).unwrap();
    assert!(event.wait(short()).is_err());
    thread::scope(|scope| {
        scope.spawn(|| event.set(EventState::Signaled).unwrap());
        event.wait(Timeout::Infinite).unwrap();
    });
}

#[test]
fn a_pipe_doorbell_is_an_event() {
    let (ringer, listener) = pipe_pair().unwrap();
    event_conforms(&Doorbell::new(ringer, listener));
}

#[test]
fn a_fifo_doorbell_is_an_event() {
    let (ringer, listener) = fifo_pair();
    event_conforms(&Doorbell::new(ringer, listener));
}

struct Busy(Box<dyn EventImpl>);

// SAFETY: a `BusyEvent` is a pointer to an atomic that outlives the test.
unsafe impl Sync for Busy {}

impl EventImpl for Busy {
    fn wait(&self, timeout: Timeout) -> Result<(), Box<dyn std::error::Error>> {
        self.0.wait(timeout)
    }
    fn set(&self, state: EventState) -> Result<(), Box<dyn std::error::Error>> {
        self.0.set(state)
    }
}

#[test]
fn a_busy_event_is_an_event() {
    let mut memory = [0u64; 8];
    assert!(BusyEvent::size_of(None) <= std::mem::size_of_val(&memory));
    // SAFETY: the memory is large enough, aligned, and outlives the event.
    let (event, _) = unsafe { BusyEvent::new(memory.as_mut_ptr().cast(), true).unwrap() };
    event_conforms(&Busy(event));
}
