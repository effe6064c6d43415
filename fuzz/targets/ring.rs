//! Both ends of a ring whose peer writes whatever it likes into the shared parts.
#![no_main]

use erlang_python_fuzz::Input;
use libfuzzer_sys::fuzz_target;
use shm_proto::layout::SLOT;
use shm_proto::memory::Words;
use shm_proto::ring::{Consumer, Producer, PublishError, ROOM, RingMemory};
use shm_proto::segment::Mapping;
use std::sync::Arc;

const CAPACITY: u64 = 16;

struct Ring {
    commits: Words,
    head: Words,
    memory: RingMemory,
}

thread_local! {
    static RING: Ring = {
        let mapping = Arc::new(Mapping::anonymous(CAPACITY as usize * SLOT).expect("a kilobyte"));
        let (commits, head) = (Words::new(&mapping, 0, CAPACITY as usize, SLOT), Words::heap(1));
        Ring { memory: RingMemory::mapped(&mapping, 0, CAPACITY as usize, head.clone()), commits, head }
    };
}

fuzz_target!(|data: &[u8]| RING.with(|ring| run(ring, Input(data))));

fn run(ring: &Ring, mut input: Input<'_>) {
    use std::sync::atomic::Ordering::Relaxed;
    (0..CAPACITY as usize).for_each(|i| ring.commits.at(i).store(0, Relaxed));
    ring.head.at(0).store(0, Relaxed);
    let (producer, mut consumer) = (Producer::new(ring.memory.clone()), Consumer::new(ring.memory.clone()));
    let (mut out, mut claimed, mut steps) = (Vec::new(), producer.claimed(), 0);
    while !input.is_empty() && steps < 256 {
        steps += 1;
        match input.u8() % 8 {
            // The peer writes a commit word: near what would be right, or anything.
            0 => {
                let index = input.near(CAPACITY) as usize % CAPACITY as usize;
                let position = consumer.head().wrapping_add(input.near(CAPACITY * 2)).wrapping_sub(CAPACITY);
                let slots = input.near(4) & 0xffff;
                let word = if input.u8() < 16 { input.u64() } else { position << 16 | slots };
                ring.commits.at(index).store(word, Relaxed);
            }
            // The peer moves its head.
            1 => {
                let head =
                    if input.u8() < 16 { input.u64() } else { producer.claimed().wrapping_sub(input.near(CAPACITY)) };
                ring.head.at(0).store(head, Relaxed);
            }
            2 => {
                let head = consumer.head();
                match consumer.next() {
                    Ok(Some(record)) => {
                        assert!(record.position() >= head && record.len() <= CAPACITY as usize / 8 * ROOM);
                        out.clear();
                        consumer.copy(&record, &mut out);
                        assert_eq!(out.len(), record.len());
                        assert_eq!(consumer.copy_to(&record, &mut [0; SLOT]), record.len().min(SLOT));
                        let end = record.end();
                        consumer.release(record);
                        assert_eq!(consumer.head(), end);
                    }
                    Ok(None) | Err(_) => assert!(consumer.head() - head <= CAPACITY),
                }
            }
            3 => {
                let mut from = consumer.head() + input.near(CAPACITY) % (2 * CAPACITY);
                while let Ok(Some(record)) = consumer.look_ahead(from) {
                    assert!(record.position() - consumer.head() < CAPACITY);
                    out.clear();
                    consumer.copy(&record, &mut out);
                    from = record.end();
                }
            }
            4 | 5 => {
                let len = usize::from(input.u8()) * 2;
                match producer.publish(&[&[7; 512][..len]]) {
                    Ok(position) => assert!(position >= claimed && producer.is_committed(position)),
                    Err(PublishError::TooLarge) => assert!(len > producer.max_record()),
                    Err(PublishError::Full | PublishError::Corrupt) => {}
                }
                assert!(producer.claimed() >= claimed && producer.consumed() <= producer.claimed());
                claimed = producer.claimed();
            }
            6 => {
                let position = producer.claimed().wrapping_sub(input.near(CAPACITY * 2)) & (1 << 40) - 1;
                if producer.read_back(position, &mut out) {
                    assert!(!out.is_empty() && out.len() <= producer.max_record());
                }
            }
            _ => {
                let _ = consumer.is_empty();
            }
        }
    }
}
