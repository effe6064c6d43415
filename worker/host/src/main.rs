//! Worker host.
fn main() {}
