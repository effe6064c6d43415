//! The way of an answer back to the node: reply cell, response ring, or memory of its own.

use shm_proto::blob::AllocateError;
use shm_proto::cell::CELL_PAYLOAD;
use shm_proto::link::WorkerLink;
use shm_proto::request::{self, Extent, Place};
use shm_proto::response::{Header, Kind};
use shm_proto::ring::PublishError;

use crate::control::kill_group;
use crate::gil;
use crate::value::BlobSink;

/// Completes the call through its reply cell; `false` if the answer must go through the ring.
#[inline]
pub fn complete(link: &WorkerLink, request: &request::Header, payload: &[u8]) -> bool {
    request.has_cell()
        && payload.len() <= CELL_PAYLOAD
        && link.cells.complete(request.cell_index(), request.cell_ticket(), payload).is_ok()
}

/// Publishes an answer in the response ring, waiting while it is full; `flags` are those of the header. Needs the GIL and
/// releases it while it waits.
///
/// # Errors
/// There is no memory for an answer of this size; nothing was published then.
pub fn publish(
    link: &WorkerLink,
    id: u64,
    flags: u16,
    service_ns: u64,
    payload: &[u8],
    blobs: &BlobSink,
) -> Result<(), AllocateError> {
    let header = Header { id, kind: Kind::Reply, place: Place::Inline, flags, len: 0, service_ns };
    publish_record(link, header, &[], payload, blobs)
}

/// Publishes a record of any kind: `header`, whose place and length are filled in, `prefix`, and the payload or its extent.
/// Waits as [`publish`] does.
///
/// # Errors
/// As [`publish`].
pub fn publish_record(
    link: &WorkerLink,
    mut header: Header,
    prefix: &[u8],
    payload: &[u8],
    blobs: &BlobSink,
) -> Result<(), AllocateError> {
    if blobs.is_empty() && Header::SIZE + prefix.len() + payload.len() <= link.responses.max_record() {
        header.len = (prefix.len() + payload.len()) as u32;
        send(link, &[&header.encode(), prefix, payload]);
        return Ok(());
    }
    let terms_len = payload.len();
    let total = match blobs.total() {
        0 => terms_len,
        more => terms_len.next_multiple_of(64) + more as usize,
    };
    header.len = (prefix.len() + Extent::SIZE) as u32;
    let extent = if let Some(lease) = link.result_arena.lease(total) {
        fill(payload, blobs, |at, data| link.result_arena.write(&lease, at, data));
        header.place = Place::Arena;
        Extent {
            offset: lease.offset as u64,
            total: lease.len as u64,
            terms_len: terms_len as u64,
            ticket: lease.ticket,
            fd: -1,
        }
    } else {
        let blob = link.result_blobs.allocate(total)?;
        fill(payload, blobs, |at, data| blob.write(at, data));
        header.place = Place::Segment;
        blob.extent(terms_len)
    };
    send(link, &[&header.encode(), prefix, &extent.encode()]);
    Ok(())
}

/// Writes terms, and blobs behind them, through `write`.
fn fill(terms: &[u8], blobs: &BlobSink, write: impl Fn(usize, &[u8])) {
    write(0, terms);
    let blobs_at = terms.len().next_multiple_of(64);
    for (offset, data) in blobs.iter() {
        write(blobs_at + offset as usize, data);
    }
}

/// Publishes a record and wakes the reader if it sleeps.
fn send(link: &WorkerLink, parts: &[&[u8]]) {
    while !try_send(link, parts) {
        // It stays raised when this thread goes on: others may sleep on it.
        link.response_waiting().raise();
        if try_send(link, parts) {
            break;
        }
        wait_for_room(link);
    }
    if link.response_sleeping().take() && link.response_bell.ring().is_err() {
        kill_group();
    }
}

fn try_send(link: &WorkerLink, parts: &[&[u8]]) -> bool {
    match link.responses.publish(parts) {
        Ok(_) => true,
        Err(PublishError::Full) => false,
        // The node would never write such a head, and a record over the maximum is never built.
        Err(PublishError::TooLarge | PublishError::Corrupt) => kill_group(),
    }
}

/// Sleeps until the reader has made room or a signal arrives.
fn wait_for_room(link: &WorkerLink) {
    // SAFETY: answers are sent with the GIL held and no exception set.
    unsafe {
        gil::released(|| link.response_waiting().sleep());
        if !gil::run_signal_handlers() {
            gil::report_stray();
        }
    }
}
