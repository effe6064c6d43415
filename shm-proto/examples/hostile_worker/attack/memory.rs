//! Words of the up segment, cells, bells, and processes that outlive the worker.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shm_proto::layout::{BIG_SLOTS, CELL, TELEMETRY};
use shm_proto::request::Place;
use shm_proto::response::{Header, Kind};

use super::answered;
use crate::raw::Random;
use crate::serve::{NONE, Worker, header};

const PADDING: u64 = 1 << 15;

pub fn run(worker: &Arc<Worker>, name: &str) -> bool {
    let (raw, at) = (&worker.raw, &worker.raw.at);
    let tail = worker.link.responses.claimed();
    let slots = raw.geometry.slots();
    let commit = |value: u64| {
        raw.commit(tail, value);
        worker.ring();
    };
    match name {
        "commit_ahead" => commit((tail + slots as u64) << 16 | 1),
        "commit_empty" => commit(tail << 16),
        "commit_long" => commit(tail << 16 | 0x7fff),
        // Padding up to wherever the reader is.
        "commit_padding" => {
            let end = Instant::now() + Duration::from_secs(1);
            let mut position = tail;
            while Instant::now() < end {
                for _ in 0..slots {
                    raw.commit(position, position << 16 | PADDING | 1);
                    position += 1;
                }
                worker.ring();
            }
            std::process::exit(1);
        }
        "head_back" | "head_beyond" => {
            raw.store(at.request_head, if name == "head_back" { 1 } else { u64::MAX >> 20 });
            worker.answer(&NONE);
            // Nothing is consumed from here on, so that the node looks at the head again.
            loop {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        "starts" => {
            raw.fill(at.starts, slots, u64::MAX);
            return answered(worker);
        }
        "words" => {
            raw.fill(at.request_sleeping, 1, u64::MAX);
            raw.fill(at.request_waiting, 1, u64::MAX);
            raw.fill(at.response_waiting, 1, u64::MAX);
            raw.fill(at.telemetry, TELEMETRY, u64::MAX);
            raw.fill(at.request_releases, raw.geometry.blocks(), 1);
            raw.fill(at.request_big_releases, BIG_SLOTS, u64::MAX);
            (0..64).for_each(|slot| raw.store(at.callback_waiting + slot * 128, u64::MAX));
            return answered(worker);
        }
        "cell_length" => return cell(worker, &241u64.to_le_bytes(), &[]),
        "cell_huge" => return cell(worker, &[255; 8], &[]),
        "cell_empty" => return cell(worker, &[0; 8], &[]),
        "cell_status" => return cell(worker, &10u64.to_le_bytes(), &[255; 10]),
        "cell_term" => return cell(worker, &6u64.to_le_bytes(), &[0, 109, 0, 0, 1, 0]),
        "cell_and_reply" => {
            worker.answer(&NONE);
            worker.reply(&NONE);
        }
        // The bytes change while the caller copies and decodes them.
        "cell_flips" => {
            let (header, other) = (worker.request().header, worker.clone());
            if header.has_cell() {
                let offset = at.cells + header.cell_index() * CELL + 8;
                std::thread::spawn(move || {
                    let mut random = Random(header.id | 1);
                    for _ in 0..50_000 {
                        let word = offset + 8 * random.below(4);
                        other.raw.store(word, random.next() & 0xff);
                    }
                });
            }
            worker.answer(&[0, 109, 0, 0, 0, 4, 1, 2, 3, 4]);
        }
        "bell_closed" => {
            // SAFETY: the process ends with the node's answer to this; nothing is written to the number afterwards.
            unsafe { libc::close(worker.link.response_bell.as_fd().as_raw_fd()) };
        }
        "bell_flood" => {
            let other = worker.clone();
            std::thread::spawn(move || {
                let end = Instant::now() + Duration::from_secs(2);
                while Instant::now() < end {
                    let _ = nix::unistd::write(&other.link.response_bell, &[1; 4096]);
                }
            });
            return answered(worker);
        }
        "orphan" => {
            let child = orphan(worker);
            let mut payload = vec![0];
            shm_proto::etf::Writer::new(&mut payload).int(child.into());
            worker.answer(&payload);
        }
        "random" => {
            let [seed, count, ..] = worker.request().numbers()[..] else { panic!("seed and count") };
            let other = worker.clone();
            std::thread::spawn(move || random(&other, seed, count));
            return answered(worker);
        }
        "exit" => std::process::exit(3),
        _ => return false,
    }
    true
}

/// Fills the cell of the call and says that it is done. Without a cell the call is answered, and the test tries again.
fn cell(worker: &Worker, len: &[u8; 8], payload: &[u8]) -> bool {
    let header = worker.request().header;
    if !header.has_cell() {
        return answered(worker);
    }
    let offset = worker.raw.at.cells + header.cell_index() * CELL;
    for (index, part) in payload.chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        worker.raw.store(offset + 16 + index * 8, u64::from_le_bytes(word));
    }
    worker.raw.store(offset + 8, u64::from_le_bytes(*len));
    let word = worker.raw.word(offset);
    let seen = word.load(std::sync::atomic::Ordering::Acquire);
    let done = header.cell_ticket() << 1;
    // If the caller has given up it waits for a record.
    if seen >> 1 >= header.cell_ticket()
        || word
            .compare_exchange(seen, done, std::sync::atomic::Ordering::AcqRel, std::sync::atomic::Ordering::Acquire)
            .is_err()
    {
        worker.reply(&NONE);
    }
    true
}

/// A process in a session of its own that publishes and rings when the worker has ended, within ten seconds; its number.
fn orphan(worker: &Worker) -> i32 {
    let (mut ended, end) = std::io::pipe().expect("descriptors are left");
    // SAFETY: the child calls nothing that needs a lock which another thread may have held.
    let child = unsafe { libc::fork() };
    if child != 0 {
        // Until then it would die with the worker's group.
        // SAFETY: has no requirement.
        while unsafe { libc::getsid(child) } != child {
            std::thread::yield_now();
        }
        // Closed with the process.
        std::mem::forget(end);
        return child;
    }
    drop(end);
    // SAFETY: plain system calls.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_PDEATHSIG, 0);
        for fd in [0, 1, 2] {
            libc::close(fd);
        }
        libc::alarm(10);
    }
    // Before the end of its parent it would write over the answers of that.
    let _ = std::io::Read::read(&mut ended, &mut [0]);
    let record = header(Header::NO_REQUEST, Kind::Log, Place::Inline, 0, 1);
    loop {
        let _ = worker.link.responses.publish(&[&record, &[106]]);
        let _ = worker.link.response_bell.ring();
    }
}

/// Writes words of all sorts to everywhere, half of them to where the words of the protocol are.
fn random(worker: &Worker, seed: i64, count: i64) {
    let mut random = Random((seed as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let at = &worker.raw.at;
    for round in 0..count {
        let end = if random.below(2) == 0 { at.response_slots } else { at.total };
        let offset = random.below(end / 8) * 8;
        let seen = worker.raw.word(offset).load(std::sync::atomic::Ordering::Relaxed);
        let value = match random.below(6) {
            0 => random.next(),
            1 => 0,
            2 => u64::MAX,
            3 => seen ^ 1 << random.below(64),
            4 => seen.wrapping_add(random.next() % 64),
            _ => seen.wrapping_sub(random.next() % 64),
        };
        worker.raw.store(offset, value);
        if round % 16 == 0 {
            worker.ring();
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}
