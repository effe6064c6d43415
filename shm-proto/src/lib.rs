//! Shared-memory protocol between the BEAM and its Python workers.

pub mod etf;
