//! Tables of what is alive: incarnations by serial, reader threads to join.

use crate::incarnation::Incarnation;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, RwLock};
use std::thread::JoinHandle;

static INCARNATIONS: LazyLock<RwLock<HashMap<u64, Arc<Incarnation>>>> = LazyLock::new(Default::default);
static READERS: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// Enters an incarnation.
pub fn add(incarnation: &Arc<Incarnation>) {
    INCARNATIONS.write().unwrap_or_else(|e| e.into_inner()).insert(incarnation.serial(), incarnation.clone());
}

/// Forgets an incarnation.
pub fn remove(serial: u64) {
    INCARNATIONS.write().unwrap_or_else(|e| e.into_inner()).remove(&serial);
}

/// Finds an incarnation.
pub fn incarnation(serial: u64) -> Option<Arc<Incarnation>> {
    INCARNATIONS.read().unwrap_or_else(|e| e.into_inner()).get(&serial).cloned()
}

/// All incarnations.
pub fn incarnations() -> Vec<Arc<Incarnation>> {
    INCARNATIONS.read().unwrap_or_else(|e| e.into_inner()).values().cloned().collect()
}

/// All incarnations, unless somebody holds the table.
pub fn try_incarnations() -> Option<Vec<Arc<Incarnation>>> {
    INCARNATIONS.try_read().ok().map(|table| table.values().cloned().collect())
}

/// Remembers a reader thread; joins those that have ended.
pub fn add_reader(handle: JoinHandle<()>) {
    let ended: Vec<_> = {
        let mut readers = READERS.lock().unwrap_or_else(|e| e.into_inner());
        readers.push(handle);
        readers.extract_if(.., |reader| reader.is_finished()).collect()
    };
    for reader in ended {
        let _ = reader.join();
    }
}

/// Waits for every reader thread. Not for normal schedulers; the incarnations must have been killed.
pub fn join_readers() {
    let readers = std::mem::take(&mut *READERS.lock().unwrap_or_else(|e| e.into_inner()));
    for reader in readers {
        let _ = reader.join();
    }
}
