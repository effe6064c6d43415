//! Model-checked interleavings of the ring: two producers, wrap, padding, drop guard, full, and read-back.
#![cfg(loom)]

use loom::thread;
use shm_proto::{
    ring::{Consumer, PublishError, RingMemory, pair},
    sync::Arc,
};

fn take(consumer: &mut Consumer) -> Option<u8> {
    let record = consumer.next().expect("an honest ring")?;
    let mut bytes = [0; 1];
    consumer.copy_to(&record, &mut bytes);
    consumer.release(record);
    Some(bytes[0])
}

fn take_blocking(consumer: &mut Consumer) -> u8 {
    loop {
        if let Some(byte) = take(consumer) {
            return byte;
        }
        thread::yield_now();
    }
}

/// All interleavings with at most three preemptions, which keeps the larger models within seconds.
fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn two_producers_lose_and_mix_nothing() {
    bounded(|| {
        let (producer, mut consumer) = pair(RingMemory::heap(8));
        let producer = Arc::new(producer);
        let threads = [1u8, 2].map(|byte| {
            let producer = Arc::clone(&producer);
            thread::spawn(move || producer.publish(&[&[byte]]).unwrap())
        });
        let mut seen = [take_blocking(&mut consumer), take_blocking(&mut consumer)];
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
        let positions = threads.map(|t| t.join().unwrap());
        assert_ne!(positions[0], positions[1]);
        assert!(consumer.is_empty());
    });
}

/// Seven records are in the ring; two producers compete for the last slot while the consumer frees the first.
#[test]
fn a_full_ring_is_reused_only_after_release() {
    bounded(|| {
        let (producer, mut consumer) = pair(RingMemory::heap(8));
        for _ in 0..7 {
            producer.publish(&[&[9]]).unwrap();
        }
        let producer = Arc::new(producer);
        let threads = [1u8, 2].map(|byte| {
            let producer = Arc::clone(&producer);
            thread::spawn(move || match producer.publish(&[&[byte]]) {
                Ok(_) => Some(byte),
                Err(error) => {
                    assert_eq!(error, PublishError::Full);
                    None
                }
            })
        });
        assert_eq!(take(&mut consumer), Some(9));
        let mut published: Vec<u8> = threads.into_iter().filter_map(|t| t.join().unwrap()).collect();
        assert!(!published.is_empty(), "one slot was free all the time");
        for _ in 0..6 {
            assert_eq!(take(&mut consumer), Some(9));
        }
        let mut seen: Vec<u8> = std::iter::from_fn(|| take(&mut consumer)).collect();
        seen.sort_unstable();
        published.sort_unstable();
        assert_eq!(seen, published);
    });
}

/// The ring is full; one producer may use the head that the other has validated.
#[test]
fn a_validated_head_orders_writes_of_every_producer() {
    bounded(|| {
        let (producer, mut consumer) = pair(RingMemory::heap(8));
        for _ in 0..8 {
            producer.publish(&[&[9]]).unwrap();
        }
        let producer = Arc::new(producer);
        let threads = [1u8, 2].map(|byte| {
            let producer = Arc::clone(&producer);
            thread::spawn(move || producer.publish(&[&[byte]]).is_ok())
        });
        assert_eq!(take(&mut consumer), Some(9));
        assert_eq!(take(&mut consumer), Some(9));
        let published = threads.map(|t| t.join().unwrap());
        let seen = std::iter::from_fn(|| take(&mut consumer)).filter(|byte| *byte != 9).count();
        assert_eq!(seen, published.iter().filter(|ok| **ok).count());
    });
}

/// Records of two slots in a ring of 16: the claim at slot 15 pads and wraps while the consumer follows.
#[test]
fn padding_at_the_wrap_is_skipped() {
    loom::model(|| {
        let (producer, mut consumer) = pair(RingMemory::heap(16));
        for _ in 0..15 {
            producer.publish(&[&[9]]).unwrap();
            assert_eq!(take(&mut consumer), Some(9));
        }
        let writer = thread::spawn(move || {
            producer.publish(&[&[1; 65]]).unwrap();
            producer.publish(&[&[2]]).unwrap();
        });
        assert_eq!(take_blocking(&mut consumer), 1);
        assert_eq!(take_blocking(&mut consumer), 2);
        writer.join().unwrap();
        assert!(consumer.is_empty());
    });
}

#[test]
fn a_dropped_claim_holds_nobody_up() {
    bounded(|| {
        let (producer, mut consumer) = pair(RingMemory::heap(8));
        let producer = Arc::new(producer);
        let dropper = thread::spawn({
            let producer = Arc::clone(&producer);
            move || drop(producer.claim(10).unwrap())
        });
        let writer = thread::spawn({
            let producer = Arc::clone(&producer);
            move || producer.publish(&[&[1]]).unwrap()
        });
        assert_eq!(take_blocking(&mut consumer), 1);
        dropper.join().unwrap();
        writer.join().unwrap();
        assert_eq!(take(&mut consumer), None);
    });
}

/// What is read back is either the record or refused, whatever the consumer and another producer do meanwhile.
#[test]
fn a_record_is_read_back_whole_or_not_at_all() {
    loom::model(|| {
        let (producer, mut consumer) = pair(RingMemory::heap(8));
        let position = producer.publish(&[&[1]]).unwrap();
        let reader = thread::spawn(move || {
            assert_eq!(take(&mut consumer), Some(1));
        });
        let mut out = Vec::new();
        if producer.read_back(position, &mut out) {
            assert_eq!(out[0], 1);
        }
        reader.join().unwrap();
    });
}
