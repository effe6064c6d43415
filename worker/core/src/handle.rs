//! Objects that the worker keeps for handles of the node.
//!
//! A handle is a slot of the table and the slot's generation, which grows with every use, so that a handle that was let go
//! never means another object. Everything here needs the GIL, which also guards the table.

use std::cell::UnsafeCell;

use shm_proto::etf::{EtfError, Limits, Reader, Token};
use shm_proto::response::Status;
use shm_proto::telemetry::Telemetry;

use crate::object::Object;

#[derive(Debug)]
struct Slot {
    generation: u32,
    object: Option<Object>,
}

#[derive(Debug)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    kept: usize,
    telemetry: Option<Telemetry>,
}

struct Guarded(UnsafeCell<Table>);

// SAFETY: only touched with the GIL held, and never while Python code runs.
unsafe impl Sync for Guarded {}

static TABLE: Guarded =
    Guarded(UnsafeCell::new(Table { slots: Vec::new(), free: Vec::new(), kept: 0, telemetry: None }));

/// # Safety
/// The GIL is held, and the reference is not kept while Python code could run.
unsafe fn table() -> &'static mut Table {
    // SAFETY: the caller's promise makes the access exclusive.
    unsafe { &mut *TABLE.0.get() }
}

impl Table {
    fn insert(&mut self, object: Object) -> Option<u64> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot { generation: 0, object: None });
                index
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.generation += 1;
        slot.object = Some(object);
        let id = u64::from(slot.generation) << 32 | u64::from(index);
        self.kept += 1;
        self.show();
        Some(id)
    }

    fn slot(&mut self, id: u64) -> Option<&mut Slot> {
        self.slots.get_mut(id as u32 as usize).filter(|slot| u64::from(slot.generation) == id >> 32)
    }

    fn remove(&mut self, id: u64) -> Option<Object> {
        let slot = self.slot(id)?;
        let object = slot.object.take()?;
        // A slot whose generations are used up stays empty for ever.
        if slot.generation < u32::MAX {
            self.free.push(id as u32);
        }
        self.kept -= 1;
        self.show();
        Some(object)
    }

    fn show(&self) {
        if let Some(telemetry) = &self.telemetry {
            telemetry.set_objects(self.kept, self.slots.len());
        }
    }
}

/// Keeps an object; its handle's id, or `None` if 2^32 objects are kept.
///
/// # Safety
/// The GIL is held.
pub unsafe fn keep(object: Object) -> Option<u64> {
    // SAFETY: the GIL is held; no Python code runs.
    unsafe { table().insert(object) }
}

/// The object of a handle; `None` if it was let go.
///
/// # Safety
/// The GIL is held.
pub unsafe fn get(id: u64) -> Option<Object> {
    // SAFETY: the GIL is held; no Python code runs.
    unsafe { table().slot(id).and_then(|slot| slot.object.clone()) }
}

/// Lets go of objects; ids without an object are passed over. Finalisers may run Python code.
///
/// # Safety
/// The GIL is held.
pub unsafe fn release(ids: impl IntoIterator<Item = u64>) {
    for id in ids {
        // SAFETY: the GIL is held; the table is not borrowed any more when the object is dropped.
        let object = unsafe { table().remove(id) };
        drop(object);
    }
}

/// Lets go of all objects. Finalisers may run Python code.
///
/// # Safety
/// As for [`release`].
pub unsafe fn release_all() {
    // SAFETY: the GIL is held; no Python code runs.
    let slots = unsafe { table() }.slots.len();
    for index in 0..slots {
        // SAFETY: as above; the table is not borrowed any more when the object is dropped.
        let object = unsafe {
            let table = table();
            let id = u64::from(table.slots[index].generation) << 32 | index as u64;
            table.remove(id)
        };
        drop(object);
    }
}

/// Lets go of the objects whose handles are in the payload of an answer that will not be sent.
///
/// # Safety
/// As for [`release`].
#[cold]
pub unsafe fn release_unsent(payload: &[u8]) {
    let Some((status, terms)) = payload.split_first() else { return };
    if !matches!(Status::from_byte(*status), Some(Status::Value | Status::Refused)) {
        return;
    }
    let mut reader = Reader::new(terms, Limits::default());
    let ids = std::iter::from_fn(|| next_handle(&mut reader).ok()).collect::<Vec<_>>();
    // SAFETY: the caller's promise.
    unsafe { release(ids) };
}

fn next_handle(reader: &mut Reader<'_>) -> Result<u64, EtfError> {
    loop {
        if let Token::Object { id, .. } = reader.next()? {
            return Ok(id);
        }
    }
}

/// How many objects are kept.
///
/// # Safety
/// The GIL is held.
#[cfg(feature = "selftest")]
pub unsafe fn kept() -> usize {
    // SAFETY: the GIL is held; no Python code runs.
    unsafe { table().kept }
}

/// From here on the worker's counters show how many objects are kept.
///
/// # Safety
/// The GIL is held.
pub unsafe fn show_in(telemetry: &Telemetry) {
    // SAFETY: the GIL is held; no Python code runs.
    let table = unsafe { table() };
    table.telemetry = Some(telemetry.clone());
    table.show();
}
