//! What the worker does instead of serving a call, by the name of its function.

use std::sync::Arc;

use shm_proto::request::Place;
use shm_proto::response::{Call, Kind};

use crate::serve::{NONE, Worker};

mod memory;
mod payload;
mod published;

/// Misbehaves. What has no effect of its own on the call is answered with None behind it.
pub fn run(worker: &Arc<Worker>, name: &str) {
    let known = payload::run(worker, name) || published::run(worker, name) || memory::run(worker, name);
    assert!(known, "no attack is called {name}");
}

/// Publishes a callback of the current request.
fn callback(worker: &Worker, slot: u32, ticket: u64, payload: &[u8]) {
    let call = Call { ticket, root: 0, slot };
    worker.publish(Kind::Callback, Place::Inline, 0, &[&call.encode()[..], payload].concat());
}

fn answered(worker: &Worker) -> bool {
    worker.answer(&NONE);
    true
}
