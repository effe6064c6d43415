//! Which worker of a list gets the next request.
//!
//! The list is only read: nothing that threads share is written when one of them chooses, so that many can choose at once from a
//! list of many. `cargo bench -p py_nif` measures it.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Workers looked at for one request; beyond this many, two random ones are as good as all.
const LOOK_AT: usize = 8;

/// Chooses by load, 0 for an idle worker that is awake, `u32::MAX` for one that takes no requests: an idle worker that is awake,
/// else an idle one, else the shorter queue. Each scheduler starts its search at a place of its own, so that schedulers that
/// call at once tend to different workers.
#[inline]
pub fn choose<W>(workers: &[W], load: impl Fn(&W) -> u32) -> Option<&W> {
    let count = workers.len();
    if count == 0 {
        return None;
    }
    let start = place() % count;
    let mut best: Option<(u32, &W)> = None;
    for step in 0..count.min(LOOK_AT) {
        let worker = &workers[(start + step) % count];
        let load = load(worker);
        if load == 0 {
            return Some(worker);
        }
        if load != u32::MAX && best.is_none_or(|(least, _)| load < least) {
            best = Some((load, worker));
        }
    }
    if best.is_none() && count > LOOK_AT {
        best = workers.iter().map(|w| (load(w), w)).filter(|(load, _)| *load != u32::MAX).min_by_key(|(load, _)| *load);
    }
    if count > LOOK_AT {
        advance_place();
    }
    best.map(|(_, worker)| worker)
}

static NEXT_PLACE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Where this thread starts. The counter that all threads share is written once by each.
#[inline]
fn place() -> usize {
    PLACE.with(|place| {
        if place.get() == usize::MAX {
            place.set(NEXT_PLACE.fetch_add(1, Ordering::Relaxed));
        }
        place.get()
    })
}

fn advance_place() {
    PLACE.with(|place| place.set(place.get().wrapping_add(LOOK_AT) & (usize::MAX >> 1)));
}
