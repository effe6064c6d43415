//! Arenas and segments of their own: extents and release words of a peer that lies.
#![no_main]

use std::ffi::CString;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

use erlang_python_fuzz::Input;
use libfuzzer_sys::fuzz_target;
use shm_proto::arena::{Borrower, Owner};
use shm_proto::blob::{Fork, Inbox, Outbox};
use shm_proto::layout::{BIG_SLOTS, BLOCK};
use shm_proto::memory::{Bytes, Words};
use shm_proto::request::Extent;
use shm_proto::segment::{Memfd, Seals};

const BLOCKS: usize = 8;

/// Descriptors that a peer could name: whole, without seals, and none of these.
fn descriptors() -> &'static [i32] {
    static MADE: OnceLock<Vec<i32>> = OnceLock::new();
    MADE.get_or_init(|| {
        let memfd = |seals: Option<Seals>| {
            let memfd = Memfd::create(&CString::new("fuzz").expect("no NUL"), 8192).expect("a test machine has memory");
            seals.map(|seals| memfd.seal(seals).expect("fresh"));
            let number = memfd.number();
            std::mem::forget(memfd);
            number
        };
        vec![memfd(Some(Seals::Size)), memfd(Some(Seals::SizeAndWrites)), memfd(None), 0, -1, i32::MAX]
    })
}

/// Shared memory, used again by every run: mappings cost more than all else.
struct Memory {
    bytes: Bytes,
    releases: Words,
    returned: Words,
    big_releases: Words,
    big_returned: Words,
}

thread_local! {
    static MEMORY: Memory = Memory {
        bytes: Bytes::heap(BLOCKS * BLOCK),
        releases: Words::heap(BLOCKS),
        returned: Words::heap(BLOCKS),
        big_releases: Words::heap(BIG_SLOTS),
        big_returned: Words::heap(BIG_SLOTS),
    };
}

struct Side {
    owner: Owner,
    releases: Words,
    borrower: Borrower,
    outbox: Outbox,
    big_releases: Words,
    inbox: Inbox,
}

impl Side {
    fn new() -> Side {
        MEMORY.with(|memory| {
            for words in [&memory.releases, &memory.returned, &memory.big_releases, &memory.big_returned] {
                (0..words.len()).for_each(|index| words.at(index).store(0, Relaxed));
            }
            Side {
                owner: Owner::new(memory.bytes.clone(), memory.releases.clone()),
                borrower: Borrower::new(memory.bytes.clone(), memory.returned.clone()),
                outbox: Outbox::new(c"fuzz", Seals::Size, Fork::Inherit, memory.big_releases.clone()),
                inbox: Inbox::new(Seals::Size, Fork::Inherit, memory.big_returned.clone()),
                releases: memory.releases.clone(),
                big_releases: memory.big_releases.clone(),
            }
        })
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let side = Side::new();
    side.inbox.set_cache_limit(input.near(3) as usize % 8 * 8192);
    let (mut leases, mut out, mut opened) = (Vec::new(), Vec::new(), 0);
    while !input.is_empty() {
        match input.u8() % 8 {
            0 => {
                let len = input.near(64) as usize % 64 * 1024;
                if let Some(lease) = side.owner.lease(len) {
                    assert!(lease.offset + lease.len <= side.owner.capacity());
                    side.owner.write(&lease, 0, &[1; 100][..lease.len.min(100)]);
                    leases.push(lease);
                }
            }
            1 => {
                let word = if input.u8() < 16 { input.u64() } else { input.near(leases.len() as u64 + 1) };
                side.releases.at(input.near(BLOCKS as u64) as usize % BLOCKS).store(word, Relaxed);
            }
            2 => {
                if !leases.is_empty() {
                    let lease = leases.swap_remove(input.near(leases.len() as u64) as usize % leases.len());
                    out.clear();
                    side.owner.read_back(&lease, &mut out);
                    side.owner.take_back(lease);
                }
            }
            3 => assert!(side.owner.in_use() <= BLOCKS),
            4 | 5 => {
                let mut extent = extent(&mut input);
                extent.offset = if input.u8() < 16 { extent.offset } else { input.near(10) % 1024 * BLOCK as u64 };
                let (at, len) = (input.near(1 << 16) as usize, input.near(200) as usize % (1 << 20));
                let fits = side.borrower.check(&extent).is_ok();
                let inside = fits && at.checked_add(len).is_some_and(|end| end as u64 <= extent.total);
                assert_eq!(side.borrower.address(&extent, at, len).is_ok(), inside);
                out.clear();
                assert_eq!(side.borrower.append_to(&extent, at, len, &mut out).is_ok(), inside);
                side.borrower.release(&extent);
            }
            6 if opened < 1 => {
                opened += 1;
                let mut extent = extent(&mut input);
                let fds = descriptors();
                extent.fd = fds[usize::from(input.u8()) % fds.len()];
                extent.offset %= 4;
                if let Ok(view) = side.inbox.open(std::process::id(), &extent) {
                    assert_eq!(view.len() as u64, extent.total);
                    let (at, len) = (input.near(1 << 14) as usize, input.near(200) as usize % 8192);
                    out.clear();
                    let inside = at.checked_add(len).is_some_and(|end| end <= view.len());
                    assert_eq!(view.append_to(at, len, &mut out).is_ok(), inside);
                    assert!(view.len() <= 8192);
                }
            }
            _ => {
                let word = if input.u8() < 16 { input.u64() } else { input.near(BIG_SLOTS as u64 * 3) };
                side.big_releases.at(input.near(BIG_SLOTS as u64) as usize % BIG_SLOTS).store(word, Relaxed);
                assert_eq!(side.outbox.in_use(), 0);
            }
        }
    }
});

fn extent(input: &mut Input<'_>) -> Extent {
    let total = if input.u8() < 16 { input.u64() } else { input.near(256) % 4096 * 64 };
    let decoded = Extent {
        offset: input.u64(),
        total,
        terms_len: input.near(total.max(1)),
        ticket: input.u64(),
        fd: input.u32() as i32,
    };
    Extent::decode(&decoded.encode()).unwrap_or_default()
}
