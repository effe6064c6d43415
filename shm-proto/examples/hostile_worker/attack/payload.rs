//! Replies: their headers, terms, extents and segments.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::sys::memfd::{MFdFlags, memfd_create};
use shm_proto::etf::{Limits, OpaqueKind, Writer, tags};
use shm_proto::layout::BLOCK;
use shm_proto::request::{Extent, Place};
use shm_proto::response::Kind;

use crate::raw::Random;
use crate::serve::{NONE, Worker, header};

pub fn run(worker: &Arc<Worker>, name: &str) -> bool {
    let id = worker.request().header.id;
    let with = |change: &dyn Fn(&mut [u8])| {
        let mut record = header(id, Kind::Reply, Place::Inline, 0, 2);
        change(&mut record);
        worker.record(&[&record, &NONE]);
    };
    match name {
        "header_kind" => with(&|record| record[8] = 99),
        "header_place" => with(&|record| record[9] = 7),
        "header_length" => with(&|record| record[12..16].copy_from_slice(&4000u32.to_le_bytes())),
        "header_huge" => with(&|record| record[12..16].fill(255)),
        "id_index" => with(&|record| record[..4].fill(255)),
        "id_generation" => with(&|record| record[4..8].copy_from_slice(&((id >> 32) as u32 + 1).to_le_bytes())),
        "id_none" => with(&|record| record[..8].fill(255)),
        "reply_twice" => {
            worker.reply(&NONE);
            worker.reply(&NONE);
        }
        "reply_empty" => worker.reply(&[]),
        "reply_status" => worker.reply(&[9]),
        "reply_interrupted" => worker.reply(&[3, 1]),
        "reply_by_extent" => worker.publish(Kind::Reply, Place::Arena, 0, &[1; 10]),
        _ => match term(name) {
            Some(payload) if payload.len() < 4000 => worker.reply(&payload),
            Some(payload) => large(worker, &payload),
            None => return extent(worker, name),
        },
    }
    true
}

/// A payload in a segment of its own.
fn large(worker: &Worker, payload: &[u8]) {
    let blob = worker.link.result_blobs.allocate(payload.len()).expect("memory for one payload");
    blob.write(0, payload);
    worker.publish(Kind::Reply, Place::Segment, 0, &blob.extent(payload.len()).encode());
}

/// Payloads that are no term, or none for the BEAM.
pub fn term(name: &str) -> Option<Vec<u8>> {
    let mut out = vec![0];
    let mut writer = Writer::new(&mut out);
    let fits = "short";
    match name {
        "term_truncated" => out.extend([tags::BINARY, 0, 0, 1, 0]),
        // zlib data, as the BEAM's own format may have it.
        "term_compressed" => out.extend([80, 0, 0, 0, 10, 120, 156]),
        "term_count" => out.extend([tags::LIST, 255, 255, 255, 255, 1]),
        "term_improper" => {
            writer.list_header(1);
            writer.int(1);
            writer.int(2);
        }
        "term_behind" => {
            writer.int(1);
            writer.int(2);
        }
        "term_text" => out.extend([tags::STR, 2, 0, 0, 0, 0xff, 0xfe]),
        "term_float" => out.extend([tags::NEW_FLOAT, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]),
        "term_blob" => out.extend([&[tags::BLOB, 3][..], &[0; 8], &100u64.to_le_bytes()].concat()),
        "term_mark" => out.extend([tags::AS_TUPLE, tags::NIL]),
        "term_array" => {
            writer.ndarray_header("float64", &[u64::MAX; 8]).expect(fits);
            writer.int(1);
        }
        "term_atom" => writer.atom("an atom that no node has ever had").expect(fits),
        "term_long_atom" => out.extend([&[tags::ATOM_UTF8, 8, 0][..], &[b'x'; 2048]].concat()),
        "term_fun" => writer
            .opaque(OpaqueKind::Fun, &[&[113, 119, 6][..], b"erlang", &[119, 4], b"halt", &[97, 0]].concat())
            .expect(fits),
        "term_pid" => {
            let pid = [&[88, 119, 13][..], b"never@met.com", &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]].concat();
            writer.opaque(OpaqueKind::Pid, &pid).expect(fits);
        }
        "term_keys" => {
            writer.map_header(2);
            (0..4).for_each(|_| writer.int(1));
        }
        "term_integer" => writer.big(true, &[255; 5 << 20]).expect("below 4 GiB"),
        "term_tuple" => {
            writer.tuple_header(1 << 24);
            out.resize(out.len() + (1 << 24), tags::NIL);
        }
        "term_deep" => {
            (0..1_000_000).for_each(|_| writer.list_header(1));
            out.resize(out.len() + 1_000_001, tags::NIL);
        }
        "exception_short" => out = vec![1, 5, 0, 0, 0, b'E'],
        "exception_causes" => {
            out = vec![1];
            out.resize(17 * 100_000, 0);
            (17..out.len()).step_by(17).for_each(|at| out[at] = 1);
        }
        "exception_notes" => out = [&[1][..], &[0; 17], &[255; 4]].concat(),
        "refused_garbage" => out = vec![2, 200],
        _ => return None,
    }
    debug_assert!(out.len() < Limits::default().bytes);
    Some(out)
}

/// A new type of exception, with a name that no node has as an atom.
pub fn exception(number: i64) -> Vec<u8> {
    let mut out = vec![1];
    let mut writer = Writer::new(&mut out);
    for text in [&format!("Error{number}OfNobody"), "nowhere", "message", ""] {
        writer.text(text).expect("short");
    }
    out.extend([0; 5]);
    out
}

fn extent(worker: &Arc<Worker>, name: &str) -> bool {
    let good = Extent { offset: 0, total: 2, terms_len: 2, ticket: 1, fd: 0 };
    let arena = |extent: Extent| worker.publish(Kind::Reply, Place::Arena, 0, &extent.encode());
    let segment = |fd: i32, total: u64| {
        let extent = Extent { offset: 1 << 40, total, terms_len: total, ticket: 64, fd };
        worker.publish(Kind::Reply, Place::Segment, 0, &extent.encode());
    };
    let size = u64::from(worker.raw.geometry.arena_bytes);
    worker.raw.arena(0, &NONE);
    match name {
        "extent_offset" => arena(Extent { offset: 1, ..good }),
        "extent_beyond" => arena(Extent { offset: size, ..good }),
        "extent_total" => arena(Extent { total: size + 1, ..good }),
        "extent_overflow" => arena(Extent { offset: u64::MAX - BLOCK as u64 + 1, total: BLOCK as u64, ..good }),
        "extent_terms" => arena(Extent { terms_len: 3, ..good }),
        "extent_ticket" => arena(Extent { ticket: u64::MAX, ..good }),
        "extent_blob" => {
            let terms = [&[0, tags::BLOB, 3][..], &(1u64 << 60).to_le_bytes(), &10u64.to_le_bytes()].concat();
            worker.raw.arena(0, &terms);
            arena(Extent { total: 4096, terms_len: terms.len() as u64, ..good });
        }
        "segment_none" => segment(-1, 2),
        "segment_device" => segment(0, 2),
        "segment_program" => segment(std::fs::File::open("/proc/self/exe").map_or(-1, leak), 2),
        "segment_directory" => segment(std::fs::File::open("/").map_or(-1, leak), 2),
        "segment_pipe" => segment(worker.link.response_bell.number(), 2),
        "segment_unsealed" => segment(leak(memfd(4096, 0)), 2),
        "segment_shrinks" => segment(leak(memfd(4096, libc::F_SEAL_GROW)), 2),
        "segment_short" => segment(leak(memfd(4096, SEALS)), 8192),
        "segment_hole" => segment(leak(memfd(1 << 40, SEALS)), 1 << 39),
        "segment_flips" => {
            flips(worker);
        }
        _ => return false,
    }
    true
}

const SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;

fn memfd(len: i64, seals: i32) -> OwnedFd {
    let fd = memfd_create(c"hostile", MFdFlags::MFD_ALLOW_SEALING).expect("a test machine has descriptors");
    nix::unistd::ftruncate(&fd, len).expect("it is fresh");
    let _ = nix::unistd::write(&fd, &[0, 1, 0, 0]);
    // SAFETY: fcntl on an open descriptor, no memory involved.
    let sealed = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) };
    assert_eq!(sealed, 0);
    fd
}

/// The number of a descriptor that stays open.
fn leak(fd: impl AsRawFd) -> i32 {
    let number = fd.as_raw_fd();
    std::mem::forget(fd);
    number
}

/// A good large reply whose bytes change while the node reads them.
fn flips(worker: &Arc<Worker>) {
    let mut terms = vec![0];
    let mut writer = Writer::new(&mut terms);
    writer.list_header(20_000);
    (0..20_000).for_each(|_| writer.binary(&[7; 40]).expect("short"));
    writer.nil();
    let blob = Arc::new(worker.link.result_blobs.allocate(terms.len() + (1 << 20)).expect("memory for one payload"));
    blob.write(0, &terms);
    let (writes, len, seed) = (blob.clone(), terms.len(), worker.request().header.id | 1);
    std::thread::spawn(move || {
        let mut random = Random(seed);
        for _ in 0..2_000_000 {
            writes.write(random.below(len - 8), &random.next().to_le_bytes()[..1]);
        }
    });
    worker.publish(Kind::Reply, Place::Segment, 0, &blob.extent(terms.len()).encode());
}
