//! How long the workers of a pool take for their requests, over all that have served it.
//!
//! Each worker counts for itself, in its own segment. They are summed up when somebody asks, so that a call costs the same whether
//! anybody ever does; what a worker counted is kept when it ends, so that the sums never shrink.

use crate::beam::{self, EnvPtr, Raw};
use crate::incarnation::Incarnation;
use shm_proto::telemetry::Times;
use std::sync::{Arc, Mutex, Weak};

/// The times of one pool.
#[derive(Default)]
pub struct History(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    ended: Times,
    present: Vec<(u64, Weak<Incarnation>)>,
}

impl History {
    /// A worker begins to serve the pool.
    pub fn join(&self, incarnation: &Arc<Incarnation>) {
        let mut inner = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if !inner.present.iter().any(|(serial, _)| *serial == incarnation.serial()) {
            inner.present.push((incarnation.serial(), Arc::downgrade(incarnation)));
        }
    }

    /// A worker has ended: it counts no more.
    pub fn leave(&self, incarnation: &Incarnation) {
        let mut inner = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let before = inner.present.len();
        inner.present.retain(|(serial, _)| *serial != incarnation.serial());
        if inner.present.len() < before {
            inner.ended.add(&incarnation.link().telemetry.times());
        }
    }

    /// The sums.
    pub fn times(&self) -> Times {
        let inner = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let mut sum = inner.ended.clone();
        for worker in inner.present.iter().filter_map(|(_, worker)| worker.upgrade()) {
            sum.add(&worker.link().telemetry.times());
        }
        sum
    }
}

/// Times as a term: `count`, `max_ns`, and `buckets` as a list of `{UpperBound, Count}`.
pub fn term(env: EnvPtr, times: &Times) -> Raw {
    let pair = |(bound, count)| beam::tuple(env, [beam::uint(env, bound), beam::uint(env, count)]);
    let buckets: Vec<Raw> = times.buckets().map(pair).collect();
    beam::map(
        env,
        [
            ("count", beam::uint(env, times.count())),
            ("max_ns", beam::uint(env, times.longest())),
            ("buckets", beam::list(env, &buckets)),
        ],
    )
}
