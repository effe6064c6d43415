//! The functions by their names in the emulator.
//!
//! Terms are machine words here, as they are in the emulator's own header.
#![allow(clippy::missing_safety_doc, reason = "the contracts are those of erl_nif(3)")]

use std::collections::HashSet;
use std::ffi::{c_char, c_double, c_int, c_long, c_uint, c_ulong, c_void};
use std::sync::Mutex;

use crate::external;
use crate::term::{self, Env, NIL, Term, Type, Word};
use crate::{CALLER, SERVER};

type EnvPtr = *mut Env;

#[repr(C)]
pub struct Binary {
    size: usize,
    data: *mut u8,
    owned: *mut c_void,
    spare: [*mut c_void; 2],
}

#[repr(C)]
pub struct Iterator {
    map: Word,
    limit: usize,
    index: usize,
    spare: [*mut c_void; 4],
}

#[repr(C)]
pub struct TypeInit {
    destructor: *const c_void,
    stop: *const c_void,
    down: *const c_void,
}

/// Stores a result.
fn put<T>(place: *mut T, value: T) {
    // SAFETY: callers pass places for their results.
    unsafe { place.write(value) }
}

/// What a caller lends for the call.
fn at<'a, T>(lent: *mut T) -> &'a mut T {
    assert!(!lent.is_null());
    // SAFETY: callers pass what is theirs.
    unsafe { &mut *lent }
}

/// The bytes of a binary that is the caller's; it is so no more.
fn taken(binary: &mut Binary) -> Vec<u8> {
    assert!(!binary.owned.is_null(), "this binary is not the caller's");
    // SAFETY: made by `enif_alloc_binary` and taken once.
    let bytes = unsafe { Box::from_raw(binary.owned.cast::<Vec<u8>>()) };
    binary.owned = std::ptr::null_mut();
    term::count_binary(-1);
    *bytes
}

fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    // SAFETY: the caller's promise; the address sanitizer checks it.
    if len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, len) } }
}

fn words<'a>(first: *const Word, count: usize) -> &'a [Word] {
    // SAFETY: as above.
    if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(first, count) } }
}

fn env<'a>(env: EnvPtr) -> &'a mut Env {
    at(env)
}

macro_rules! functions {
    ($(fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $result:ty)? $body:block)*) => {
        $(#[unsafe(no_mangle)] pub unsafe extern "C" fn $name($($arg: $kind),*) $(-> $result)? $body)*
    };
}

functions! {
    fn enif_alloc_env() -> EnvPtr { Box::into_raw(Env::new()) }
    fn enif_free_env(which: EnvPtr) {
        // SAFETY: made by `enif_alloc_env`, freed once.
        drop(unsafe { Box::from_raw(which) });
    }
    fn enif_clear_env(which: EnvPtr) { env(which).clear() }
    fn enif_self(which: EnvPtr, pid: *mut Word) -> *mut Word {
        if which.is_null() { return std::ptr::null_mut() }
        put(pid, term::make_pid(CALLER));
        pid
    }
    fn enif_send(_scheduler: EnvPtr, to: *const Word, message_env: EnvPtr, message: Word) -> c_int {
        term::check(message);
        term::count_message(term::process_of(*at(to.cast_mut())));
        env(message_env).clear();
        1
    }
    fn enif_whereis_pid(_env: EnvPtr, name: Word, pid: *mut Word) -> c_int {
        assert!(term::is_atom(name));
        let known = matches!(term::atom_text(name).as_str(), "py_callback" | "py_logger" | "py_tracer");
        if known { put(pid, term::make_pid(SERVER)) }
        known.into()
    }
    fn enif_get_local_pid(_env: EnvPtr, word: Word, pid: *mut Word) -> c_int {
        term::get(word);
        if term::is_pid(word) { put(pid, word) }
        term::is_pid(word).into()
    }
    fn enif_monitor_process(_env: EnvPtr, _object: *const c_void, _pid: *const Word, _monitor: *mut [usize; 4]) -> c_int { 0 }
    fn enif_is_current_process_alive(_env: EnvPtr) -> c_int { 1 }
    fn enif_thread_type() -> c_int { 0 }
    fn enif_consume_timeslice(_env: EnvPtr, _percent: c_int) -> c_int { 0 }
    fn enif_system_info(info: *mut u8, size: usize) {
        // SAFETY: as large as the caller says.
        unsafe { std::ptr::write_bytes(info, 0, size) }
    }
    fn enif_schedule_nif(_env: EnvPtr, _name: *const c_char, _flags: c_int, _function: *const c_void, _argc: c_int, _argv: *const Word) -> Word {
        term::make_atom("scheduled")
    }
    fn enif_raise_exception(_env: EnvPtr, _reason: Word) -> Word { panic!("a NIF panicked") }
    fn enif_make_badarg(_env: EnvPtr) -> Word { term::make_atom("badarg") }

    fn enif_make_atom_len(_env: EnvPtr, name: *const u8, len: usize) -> Word {
        let text: String = bytes(name, len).iter().map(|byte| char::from(*byte)).collect();
        term::make_atom(&text)
    }
    fn enif_make_existing_atom_len(_env: EnvPtr, name: *const u8, len: usize, atom: *mut Word, _encoding: c_int) -> c_int {
        let text: String = bytes(name, len).iter().map(|byte| char::from(*byte)).collect();
        match term::existing_atom(&text) {
            Some(word) => { put(atom, word); 1 }
            None => 0,
        }
    }
    fn enif_get_atom(_env: EnvPtr, atom: Word, out: *mut u8, size: c_uint, _encoding: c_int) -> c_int {
        if !term::is_atom(atom) { return 0 }
        let text: Option<Vec<u8>> = term::atom_text(atom).chars().map(|c| u8::try_from(c).ok()).collect();
        let Some(text) = text.filter(|text| text.len() < size as usize) else { return 0 };
        // SAFETY: shorter than the caller's buffer.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), out, text.len());
            *out.add(text.len()) = 0;
        }
        text.len() as c_int + 1
    }
    fn enif_is_atom(_env: EnvPtr, word: Word) -> c_int { term::get(word); term::is_atom(word).into() }
    fn enif_is_pid(_env: EnvPtr, word: Word) -> c_int {
        (term::is_pid(word) || matches!(term::get(word), Some(Term::External(bytes)) if bytes[0] == 88)).into()
    }
    fn enif_is_list(_env: EnvPtr, word: Word) -> c_int { (word == NIL || matches!(term::get(word), Some(Term::Cons(..)))).into() }
    fn enif_is_ref(_env: EnvPtr, word: Word) -> c_int {
        match term::get(word) {
            Some(Term::Resource(_)) => 1,
            Some(Term::External(bytes)) => (bytes[0] == 90).into(),
            _ => 0,
        }
    }
    fn enif_term_type(_env: EnvPtr, word: Word) -> c_int {
        match term::get(word) {
            None if term::is_atom(word) => 1,
            None if term::is_pid(word) => 8,
            None if term::small(word).is_some() => 5,
            None => 6,
            Some(Term::Binary(_)) => 2,
            Some(Term::Float(_)) => 3,
            Some(Term::Int(_) | Term::UInt(_)) => 5,
            Some(Term::Cons(..)) => 6,
            Some(Term::Map(_)) => 7,
            Some(Term::Resource(_)) => 10,
            Some(Term::Tuple(_)) => 11,
            Some(Term::External(bytes)) => match bytes[0] { 88 => 8, 89 | 120 => 9, 90 => 10, 112 | 113 => 4, _ => 5 },
        }
    }

    fn enif_make_long(which: EnvPtr, value: c_long) -> Word { env(which).integer(value) }
    fn enif_make_uint(which: EnvPtr, value: c_uint) -> Word { env(which).integer(value.into()) }
    fn enif_make_ulong(which: EnvPtr, value: c_ulong) -> Word {
        match i64::try_from(value) {
            Ok(value) => env(which).integer(value),
            Err(_) => env(which).keep(Term::UInt(value)),
        }
    }
    fn enif_make_double(which: EnvPtr, value: c_double) -> Word {
        assert!(value.is_finite());
        env(which).keep(Term::Float(value))
    }
    fn enif_get_long(_env: EnvPtr, word: Word, out: *mut c_long) -> c_int {
        let value = match term::get(word) {
            Some(Term::Int(value)) => Some(*value),
            _ => term::small(word),
        };
        let Some(value) = value else { return 0 };
        put(out, value);
        1
    }
    fn enif_get_ulong(_env: EnvPtr, word: Word, out: *mut c_ulong) -> c_int {
        let value = match term::get(word) {
            Some(Term::Int(value)) => u64::try_from(*value).ok(),
            Some(Term::UInt(value)) => Some(*value),
            _ => term::small(word).and_then(|value| u64::try_from(value).ok()),
        };
        let Some(value) = value else { return 0 };
        put(out, value);
        1
    }
    fn enif_get_double(_env: EnvPtr, word: Word, out: *mut c_double) -> c_int {
        let Some(Term::Float(value)) = term::get(word) else { return 0 };
        put(out, *value);
        1
    }

    fn enif_make_tuple_from_array(which: EnvPtr, first: *const Word, count: c_uint) -> Word {
        assert!(count < 1 << 24, "no tuple has {count} elements");
        let elements = words(first, count as usize).to_vec();
        elements.iter().for_each(|word| _ = term::get(*word));
        env(which).keep(Term::Tuple(elements))
    }
    fn enif_get_tuple(_env: EnvPtr, word: Word, arity: *mut c_int, elements: *mut *const Word) -> c_int {
        let Some(Term::Tuple(found)) = term::get(word) else { return 0 };
        put(arity, found.len() as c_int);
        put(elements, found.as_ptr());
        1
    }
    fn enif_make_list_cell(which: EnvPtr, head: Word, tail: Word) -> Word {
        term::get(head);
        term::get(tail);
        env(which).keep(Term::Cons(head, tail))
    }
    fn enif_make_list_from_array(which: EnvPtr, first: *const Word, count: c_uint) -> Word {
        words(first, count as usize).iter().rev().fold(NIL, |tail, head| {
            term::get(*head);
            env(which).keep(Term::Cons(*head, tail))
        })
    }
    fn enif_get_list_cell(_env: EnvPtr, word: Word, head: *mut Word, tail: *mut Word) -> c_int {
        let Some(Term::Cons(first, rest)) = term::get(word) else { return 0 };
        put(head, *first);
        put(tail, *rest);
        1
    }

    fn enif_make_map_from_arrays(which: EnvPtr, keys: *const Word, values: *const Word, count: usize, map: *mut Word) -> c_int {
        let (keys, values) = (words(keys, count), words(values, count));
        let distinct: HashSet<Vec<u8>> = keys.iter().map(|key| term::image(*key)).collect();
        values.iter().for_each(|value| _ = term::get(*value));
        // As OTP 25 does it: a large map is made with one of the values.
        if distinct.len() != count && count <= 32 { return 0 }
        let mut pairs: Vec<(Word, Word)> = Vec::new();
        let mut seen = HashSet::new();
        for (key, value) in keys.iter().zip(values) {
            if seen.insert(term::image(*key)) { pairs.push((*key, *value)) }
        }
        put(map, env(which).keep(Term::Map(pairs)));
        1
    }
    fn enif_make_map_put(which: EnvPtr, map: Word, key: Word, value: Word, out: *mut Word) -> c_int {
        let Some(Term::Map(pairs)) = term::get(map) else { return 0 };
        let image = term::image(key);
        let mut pairs: Vec<_> = pairs.iter().copied().filter(|(other, _)| term::image(*other) != image).collect();
        pairs.push((key, value));
        put(out, env(which).keep(Term::Map(pairs)));
        1
    }
    fn enif_get_map_size(_env: EnvPtr, map: Word, size: *mut usize) -> c_int {
        let Some(Term::Map(pairs)) = term::get(map) else { return 0 };
        put(size, pairs.len());
        1
    }
    fn enif_get_map_value(_env: EnvPtr, map: Word, key: Word, value: *mut Word) -> c_int {
        let Some(Term::Map(pairs)) = term::get(map) else { return 0 };
        let image = term::image(key);
        match pairs.iter().find(|(other, _)| term::image(*other) == image) {
            Some((_, found)) => { put(value, *found); 1 }
            None => 0,
        }
    }
    fn enif_map_iterator_create(_env: EnvPtr, map: Word, out: *mut Iterator, _entry: c_int) -> c_int {
        let Some(Term::Map(pairs)) = term::get(map) else { return 0 };
        put(out, Iterator { map, limit: pairs.len(), index: 0, spare: [std::ptr::null_mut(); 4] });
        1
    }
    fn enif_map_iterator_get_pair(_env: EnvPtr, iterator: *mut Iterator, key: *mut Word, value: *mut Word) -> c_int {
        let Iterator { map, index, .. } = at(iterator);
        let Some(Term::Map(pairs)) = term::get(*map) else { return 0 };
        let Some((found, of)) = pairs.get(*index) else { return 0 };
        put(key, *found);
        put(value, *of);
        1
    }
    fn enif_map_iterator_next(_env: EnvPtr, iterator: *mut Iterator) -> c_int {
        let iterator = at(iterator);
        iterator.index += 1;
        (iterator.index < iterator.limit).into()
    }
    fn enif_map_iterator_destroy(_env: EnvPtr, _iterator: *mut Iterator) {}

    fn enif_make_new_binary(which: EnvPtr, size: usize, word: *mut Word) -> *mut u8 {
        let made = env(which).keep(Term::Binary(vec![0; size]));
        put(word, made);
        let Some(Term::Binary(bytes)) = term::get(made) else { unreachable!() };
        bytes.as_ptr().cast_mut()
    }
    fn enif_alloc_binary(size: usize, out: *mut Binary) -> c_int {
        // As on a machine with this much memory.
        if size > 1 << 30 { return 0 }
        let owned = Box::new(vec![0u8; size]);
        let data = owned.as_ptr().cast_mut();
        put(out, Binary { size, data, owned: Box::into_raw(owned).cast(), spare: [std::ptr::null_mut(); 2] });
        term::count_binary(1);
        1
    }
    fn enif_release_binary(binary: *mut Binary) {
        let binary = at(binary);
        drop(taken(binary));
    }
    fn enif_make_binary(which: EnvPtr, binary: *mut Binary) -> Word {
        let binary = at(binary);
        let bytes = taken(binary);
        env(which).keep(Term::Binary(bytes))
    }
    fn enif_inspect_binary(_env: EnvPtr, word: Word, out: *mut Binary) -> c_int {
        let Some(Term::Binary(bytes)) = term::get(word) else { return 0 };
        let (size, data) = (bytes.len(), bytes.as_ptr().cast_mut());
        put(out, Binary { size, data, owned: std::ptr::null_mut(), spare: [std::ptr::null_mut(); 2] });
        1
    }
    fn enif_term_to_binary(_env: EnvPtr, word: Word, out: *mut Binary) -> c_int {
        let Some(encoded) = external::encode(word) else { return 0 };
        // SAFETY: the caller's place for the result; as many bytes were allocated.
        unsafe {
            if enif_alloc_binary(encoded.len(), out) == 0 { return 0 }
            std::ptr::copy_nonoverlapping(encoded.as_ptr(), (*out).data, encoded.len());
        }
        1
    }
    fn enif_binary_to_term(which: EnvPtr, data: *const u8, size: usize, word: *mut Word, options: c_uint) -> usize {
        match external::decode(env(which), bytes(data, size), options != 0) {
            Some((made, taken)) => { put(word, made); taken }
            None => 0,
        }
    }
    fn enif_make_copy(which: EnvPtr, word: Word) -> Word { copy(env(which), word) }
    fn enif_make_ref(which: EnvPtr) -> Word { env(which).keep(external::reference()) }

    fn enif_open_resource_type_x(_env: EnvPtr, _name: *const c_char, init: *const TypeInit, _flags: c_int, _tried: *mut c_int) -> *const Type {
        static TYPES: Mutex<Vec<usize>> = Mutex::new(Vec::new());
        let destructor = at(init.cast_mut()).destructor;
        // SAFETY: that is what the field holds.
        let destructor = (!destructor.is_null()).then(|| unsafe { std::mem::transmute::<*const c_void, term::Destructor>(destructor) });
        let made = Box::into_raw(Box::new(Type { destructor }));
        TYPES.lock().expect("nobody panics here").push(made as usize);
        made
    }
    fn enif_alloc_resource(kind: *const Type, size: usize) -> *mut c_void { term::allocate(kind, size) }
    fn enif_keep_resource(data: *const c_void) -> c_int {
        // SAFETY: the caller holds a reference.
        unsafe { term::keep(term::object_of(data)) };
        1
    }
    fn enif_release_resource(data: *const c_void) {
        // SAFETY: the caller gives its reference up.
        unsafe { term::release(term::object_of(data)) }
    }
    fn enif_make_resource(which: EnvPtr, data: *const c_void) -> Word {
        // SAFETY: the caller holds a reference; the term gets its own.
        let object = unsafe { term::object_of(data) };
        // SAFETY: as above.
        unsafe { term::keep(object) };
        env(which).keep(Term::Resource(object))
    }
    fn enif_get_resource(_env: EnvPtr, word: Word, kind: *const Type, out: *mut *const c_void) -> c_int {
        let Some(Term::Resource(object)) = term::get(word) else { return 0 };
        // SAFETY: the term holds a reference.
        let (same, data) = unsafe { (term::is_of(*object, kind), term::data_of(*object)) };
        if !same { return 0 }
        put(out, data.cast_const());
        1
    }
}

/// Terms that are copied are small: references and reasons.
fn copy(into: &mut Env, word: Word) -> Word {
    let made = match term::get(word) {
        None => return word,
        Some(Term::Int(value)) => Term::Int(*value),
        Some(Term::UInt(value)) => Term::UInt(*value),
        Some(Term::Float(value)) => Term::Float(*value),
        Some(Term::Binary(bytes)) => Term::Binary(bytes.clone()),
        Some(Term::External(bytes)) => Term::External(bytes.clone()),
        Some(Term::Tuple(elements)) => Term::Tuple(elements.iter().map(|element| copy(into, *element)).collect()),
        Some(Term::Cons(head, tail)) => Term::Cons(copy(into, *head), copy(into, *tail)),
        Some(Term::Map(pairs)) => {
            Term::Map(pairs.iter().map(|(key, value)| (copy(into, *key), copy(into, *value))).collect())
        }
        Some(Term::Resource(object)) => {
            // SAFETY: the term that is copied holds a reference.
            unsafe { term::keep(*object) };
            Term::Resource(*object)
        }
    };
    into.keep(made)
}
