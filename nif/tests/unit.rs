//! Unit tests of the modules that call nothing of the BEAM. A test binary of the whole library would not link: the
//! `enif_*` functions exist inside the BEAM only.

#[path = "../src/estimate.rs"]
mod estimate;

#[path = "../src/footprint.rs"]
mod footprint;

#[path = "../src/label.rs"]
mod label;
