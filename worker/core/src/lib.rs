//! Worker core.
