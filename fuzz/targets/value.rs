//! Terms to objects of an interpreter in this process and back, by the worker's own conversions.
#![no_main]

use erlang_python_fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let options = u16::from_le_bytes([input.u8(), input.u8()]);
    let area = usize::from(input.u8());
    let area = input.take(area);
    py_core::fuzzing::round_trip(options, input.0, area);
});
