//! Shared-memory protocol between the BEAM and its Python workers.
