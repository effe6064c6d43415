//! Replies of a worker to terms, by the node's own decoder, and the terms back to bytes.
#![no_main]

use std::sync::OnceLock;

use beam::{atom_count, atom_of, binary_of, counts, tuple_of};
use erlang_python_fuzz::{node_env, pointer};
use libfuzzer_sys::fuzz_target;
use py_nif::fuzzing::{nif_decode, nif_encode};

const WHOLE_MESSAGE: i64 = 1 << 15;

fuzz_target!(|data: &[u8]| {
    let Some((options, data)) = data.split_first_chunk::<2>() else { return };
    let options = i64::from(u16::from_le_bytes(*options));
    let mut env = node_env();
    let (before, atoms) = (counts(), atom_count());
    let arguments = [env.binary(data), env.int(options)];
    // SAFETY: two arguments of this environment.
    let decoded = unsafe { nif_decode(pointer(&mut env), 2, arguments.as_ptr().cast()) };
    let decoded = word(decoded);
    if let Some(&[ok, value]) = tuple_of(decoded)
        && options & WHOLE_MESSAGE == 0
        && atom_of(ok).as_deref() == Some("ok")
    {
        again(&mut env, value, options);
    }
    // Names of types of exceptions, 1000 in all.
    static FIRST: OnceLock<usize> = OnceLock::new();
    assert!(atom_count() <= FIRST.get_or_init(|| atoms) + 1000);
    drop(env);
    let after = counts();
    assert_eq!((after.binaries, after.resources), (before.binaries, before.resources));
});

/// A term that came from a worker goes to one, and back.
fn again(env: &mut beam::Env, value: usize, options: i64) {
    let arguments = [value, env.int(options)];
    // SAFETY: two arguments of this environment.
    let encoded = word(unsafe { nif_encode(pointer(env), 2, arguments.as_ptr().cast()) });
    if binary_of(encoded).is_none() {
        return;
    }
    let arguments = [encoded, env.int(options)];
    // SAFETY: as above.
    let decoded = word(unsafe { nif_decode(pointer(env), 2, arguments.as_ptr().cast()) });
    beam::check(decoded);
}

/// A term as the shim has it.
fn word<T: Copy>(term: T) -> usize {
    const { assert!(size_of::<T>() == size_of::<usize>()) };
    // SAFETY: rustler's term is a transparent newtype over a machine word.
    unsafe { std::mem::transmute_copy(&term) }
}
