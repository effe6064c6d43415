//! Atomics, fences and cells, from `std` or, under `--cfg loom`, from the model checker.
//!
//! Every module whose ordering is model-checked takes its primitives from here and from nowhere else.

#[cfg(loom)]
pub use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
    },
};

#[cfg(not(loom))]
pub use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence},
};
