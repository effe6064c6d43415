//! The choice of a worker.

#[path = "../src/choice.rs"]
mod choice;

use choice::choose;
use std::cell::Cell;
use std::collections::HashSet;

fn chosen(loads: &[u32]) -> Option<u32> {
    choose(loads, |load| *load).copied()
}

#[test]
fn an_idle_worker_before_the_shorter_queue() {
    assert_eq!(chosen(&[]), None);
    assert_eq!(chosen(&[u32::MAX]), None);
    assert_eq!(chosen(&[5, 3, u32::MAX, 4]), Some(3));
    assert_eq!(chosen(&[5, 1, u32::MAX, 0]), Some(0));
}

#[test]
fn the_only_one_that_takes_requests_is_found_among_many() {
    for at in 0..64 {
        let mut loads = [u32::MAX; 64];
        loads[at] = 7;
        assert_eq!(chosen(&loads), Some(7), "at {at}");
    }
}

#[test]
fn of_a_long_list_each_request_looks_at_a_few_and_all_get_their_turn() {
    let workers: Vec<u32> = (0..64).collect();
    let looked_at = Cell::new(0);
    let mut seen: HashSet<&u32> = HashSet::new();
    for _ in 0..8 {
        let all_alike = |_: &u32| {
            looked_at.set(looked_at.get() + 1);
            9
        };
        seen.extend(choose(&workers, all_alike));
    }
    assert_eq!(looked_at.get(), 8 * 8);
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn threads_that_choose_at_once_start_at_different_places() {
    let workers = [0, 1, 2, 3];
    let choose_one = || *choose(&workers, |_| 0).expect("all are idle");
    let chosen: HashSet<i32> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(choose_one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("chooses")).collect()
    });
    assert!(chosen.len() > 1, "{chosen:?}");
}
