//! Response records of a worker, of every kind and for requests in every state, through the ring and the reader's own code:
//! replies, callbacks, messages, chunks of streams, log events and spans.
#![no_main]

use std::cell::RefCell;

use beam::{CALLER, counts, sent_to};
use erlang_python_fuzz::{Input, node_env, pointer};
use libfuzzer_sys::fuzz_target;
use py_nif::fuzzing::Rig;
use shm_proto::response::Header;

/// Number of the request whose caller watches its reply cell.
const WATCHED: u64 = 5;

thread_local! {
    static RIG: RefCell<Option<Rig>> = const { RefCell::new(None) };
}

fuzz_target!(|data: &[u8]| {
    let mut env = node_env();
    RIG.with_borrow_mut(|slot| {
        let mut rig = slot.take().unwrap_or_else(|| Rig::new(pointer(&mut env)));
        let before = counts();
        let answers = sent_to(CALLER);
        rig.submit(pointer(&mut env));
        let mut input = Input(data);
        let ends = input.u8();
        let (mut problem, mut chunks) = (None, 0);
        while !input.is_empty() && problem.is_none() {
            let len = usize::from(input.u8()) | usize::from(input.u8() & 7) << 8;
            let mut record = input.take(len.min(rig.worker.responses.max_record())).to_vec();
            // Nothing of what an earlier record left in the slots.
            record.resize(record.len().max(Header::SIZE), 0);
            if let Some(id) = record.first_chunk_mut::<8>() {
                let number = u64::from_le_bytes(*id);
                *id = rig.id(number).to_le_bytes();
                // A caller that watches is waited for, and this is one thread: nothing but a short reply for that one.
                if number == WATCHED {
                    record[8..10].copy_from_slice(&[1, 0]);
                }
            }
            chunks += u64::from(record.get(8) == Some(&4));
            if len % 5 == 4 {
                fill_arena(&rig, &record);
            }
            match rig.worker.responses.publish(&[&record]) {
                Ok(_) => problem = rig.handle(),
                Err(_) => break,
            }
        }
        // Exactly one answer of each request at most; only streams have more, one for each chunk.
        assert!(sent_to(CALLER) - answers <= 8 + chunks + u64::from(u8::from(problem.is_some())));
        if ends == 1 || problem == Some("reader panicked") {
            rig.end(problem);
        } else {
            rig.settle();
            let after = counts();
            assert_eq!((after.binaries, after.resources), (before.binaries, before.resources), "{problem:?}");
            assert!(after.environments <= before.environments + 16);
            *slot = Some(rig);
        }
    });
});

/// Payloads of records that name an extent in the arena.
fn fill_arena(rig: &Rig, record: &[u8]) {
    let bytes = record.get(Header::SIZE..).unwrap_or_default();
    if let Some(lease) = rig.worker.result_arena.lease(bytes.len()) {
        rig.worker.result_arena.write(&lease, 0, bytes);
        rig.worker.result_arena.take_back(lease);
    }
}
