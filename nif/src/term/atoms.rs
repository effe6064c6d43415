//! Atoms that have a meaning to the codec, and the texts of all others.

use std::ffi::c_char;
use std::sync::OnceLock;

use rustler::sys::{self, ErlNifBinary, ErlNifCharEncoding};
use shm_proto::etf::tags;

use super::small;
use crate::beam::{EnvPtr, Raw};

macro_rules! atoms {
    ($($(#[$meta:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// Words of atoms and of the empty list: immediates, the same in every environment for the life of the node.
        pub(super) struct Words {
            /// The empty list.
            pub nil_list: Raw,
            /// See [`small::are_in_word`].
            pub small_in_word: bool,
            $($(#[$meta])* pub $name: Raw,)*
        }

        impl Words {
            fn make(env: EnvPtr) -> Self {
                Self {
                    // SAFETY: no element is read for a count of 0.
                    nil_list: unsafe { sys::enif_make_list_from_array(env, std::ptr::null(), 0) },
                    small_in_word: small::are_in_word(env),
                    // SAFETY: pointer and length describe a literal of fewer than 256 characters.
                    $($name: unsafe { sys::enif_make_atom_len(env, $text.as_ptr().cast(), $text.len()) },)*
                }
            }
        }
    };
}

atoms! {
    ok = "ok",
    error = "error",
    none = "none",
    nil = "nil",
    undefined = "undefined",
    true_ = "true",
    false_ = "false",
    nan = "nan",
    infinity = "infinity",
    neg_infinity = "neg_infinity",
    bytes = "bytes",
    str = "str",
    buffer = "buffer",
    float = "float",
    tuple = "tuple",
    ndarray = "ndarray",
    py_object = "py_object",
    generator = "generator",
    released_handle = "released_handle",
    handle_of_other_worker = "handle_of_other_worker",
    call = "call",
    eval = "eval",
    exec = "exec",
    reset = "reset",
    method = "method",
    stream = "stream",
    stream_eval = "stream_eval",
    reference_ = "ref",
    badarg = "badarg",
    m = "m",
    f = "f",
    args = "args",
    kwargs = "kwargs",
    code = "code",
    locals = "locals",
    request = "request",
    unsupported_term = "unsupported_term",
    unsupported_object = "unsupported_object",
    #[expect(dead_code, reason = "has to exist, since reasons that a worker builds name it")]
    duplicate_key = "duplicate_key",
    system_limit = "system_limit",
    interrupted = "interrupted",
    corrupt = "corrupt",
    too_large = "too_large",
    python_error = "PythonError",
    type_ = "type",
    module = "module",
    message = "message",
    traceback = "traceback",
    cause = "cause",
    notes = "notes",
    int = "int",
    dict = "dict",
    atom = "Atom",
    pid = "Pid",
    reference = "Ref",
    port = "Port",
    fun = "Fun",
}

static WORDS: OnceLock<Words> = OnceLock::new();

/// The table, made at the first use.
#[inline]
pub(super) fn words(env: EnvPtr) -> &'static Words {
    WORDS.get_or_init(|| Words::make(env))
}

/// Whether an atom means "no value" in Python.
#[inline]
pub(super) fn is_none(words: &Words, term: Raw) -> bool {
    term == words.none || term == words.undefined || term == words.nil
}

const CACHED: usize = 512;
const CACHED_TEXT: usize = 31;

#[derive(Clone, Copy)]
struct Entry {
    atom: Option<Raw>,
    len: u8,
    text: [u8; CACHED_TEXT],
}

/// Texts of the atoms seen lately: `enif_get_atom` looks each one up in the atom table and knows no UTF-8 before OTP 26.
/// An atom's word is never used for another atom, so no entry goes stale.
pub(super) struct AtomTexts {
    entries: Box<[Entry]>,
    spare: Vec<u8>,
}

impl AtomTexts {
    pub(super) fn new() -> Self {
        let empty = Entry { atom: None, len: 0, text: [0; CACHED_TEXT] };
        Self { entries: vec![empty; CACHED].into_boxed_slice(), spare: Vec::new() }
    }

    /// The text of an atom; `None` if the term is none.
    #[inline]
    pub(super) fn text(&mut self, env: EnvPtr, atom: Raw) -> Option<&str> {
        let slot = slot(atom);
        if self.entries[slot].atom != Some(atom) {
            let (text, len) = read_atom(env, atom)?;
            let text = &text[..len];
            if len > CACHED_TEXT {
                self.spare.clear();
                self.spare.extend_from_slice(text);
                return std::str::from_utf8(&self.spare).ok();
            }
            let entry = &mut self.entries[slot];
            entry.text[..len].copy_from_slice(text);
            entry.len = len as u8;
            entry.atom = Some(atom);
        }
        let entry = &self.entries[slot];
        // SAFETY: `read_atom` returns UTF-8, and an entry is filled with nothing else.
        Some(unsafe { std::str::from_utf8_unchecked(&entry.text[..usize::from(entry.len)]) })
    }
}

#[inline]
fn slot(atom: Raw) -> usize {
    // SAFETY: a term is a transparent newtype over a machine word.
    let word = unsafe { std::mem::transmute::<Raw, usize>(atom) };
    // The low six bits say "atom", those above are the index into the atom table.
    (word >> 6) % CACHED
}

const ATOM_CHARS: usize = 255;

#[inline(never)]
fn read_atom(env: EnvPtr, atom: Raw) -> Option<([u8; ATOM_CHARS * 4], usize)> {
    // SAFETY: the term belongs to `env`.
    if unsafe { sys::enif_is_atom(env, atom) } == 0 {
        return None;
    }
    let mut text = [0; ATOM_CHARS * 4];
    let mut latin1 = [0u8; ATOM_CHARS + 1];
    // SAFETY: the emulator writes at most as many bytes as the buffer has and returns their count, the final zero included;
    // 0 if the term is no atom or has characters beyond Latin-1.
    let written = unsafe {
        sys::enif_get_atom(
            env,
            atom,
            latin1.as_mut_ptr().cast::<c_char>(),
            latin1.len() as u32,
            ErlNifCharEncoding::ERL_NIF_LATIN1,
        )
    };
    if written > 0 {
        let mut len = 0;
        for byte in &latin1[..written as usize - 1] {
            len += char::from(*byte).encode_utf8(&mut text[len..]).len();
        }
        return Some((text, len));
    }
    let encoded = external(env, atom)?;
    let data = match *encoded.bytes() {
        [tags::SMALL_ATOM_UTF8, len, ref data @ ..] if data.len() == usize::from(len) => data,
        [tags::ATOM_UTF8, a, b, ref data @ ..] if data.len() == usize::from(u16::from_be_bytes([a, b])) => data,
        _ => return None,
    };
    std::str::from_utf8(data).ok()?;
    text.get_mut(..data.len())?.copy_from_slice(data);
    Some((text, data.len()))
}

/// A term in the BEAM's own External Term Format.
pub(super) struct External(ErlNifBinary);

impl External {
    /// The bytes behind the version byte.
    pub(super) fn bytes(&self) -> &[u8] {
        if self.0.size == 0 {
            return &[];
        }
        // SAFETY: the emulator made `size` bytes at `data`, ours until released.
        let whole = unsafe { std::slice::from_raw_parts(self.0.data, self.0.size) };
        &whole[1..]
    }
}

impl Drop for External {
    fn drop(&mut self) {
        // SAFETY: made by enif_term_to_binary, released once.
        unsafe { sys::enif_release_binary(&mut self.0) };
    }
}

/// Encodes a term as `term_to_binary/1` does; `None` if memory is short.
pub(super) fn external(env: EnvPtr, term: Raw) -> Option<External> {
    let mut binary = std::mem::MaybeUninit::uninit();
    // SAFETY: `term` belongs to `env`; the binary is initialised on success.
    unsafe { (sys::enif_term_to_binary(env, term, binary.as_mut_ptr()) != 0).then(|| External(binary.assume_init())) }
}

/// Decodes External Term Format that starts with the version byte and has nothing behind the term.
///
/// `trusted` bytes are such as the node made itself: atoms and exports that they name are made if need be.
pub(super) fn internal(env: EnvPtr, bytes: &[u8], trusted: bool) -> Option<Raw> {
    let mut term = Raw::default();
    let options = if trusted { 0 } else { sys::ERL_NIF_BIN2TERM_SAFE };
    // SAFETY: pointer and length describe `bytes`; the emulator checks them.
    let read = unsafe { sys::enif_binary_to_term(env, bytes.as_ptr(), bytes.len(), &mut term, options) };
    (read == bytes.len()).then_some(term)
}

/// The atom of this text, if the node has it.
pub fn existing(env: EnvPtr, text: &str) -> Option<Raw> {
    if !text.is_ascii() {
        return internal(env, &utf8_atom(text)?, false);
    }
    let mut atom = Raw::default();
    // SAFETY: pointer and length describe `text`.
    let found = unsafe {
        sys::enif_make_existing_atom_len(
            env,
            text.as_ptr().cast(),
            text.len(),
            &mut atom,
            ErlNifCharEncoding::ERL_NIF_LATIN1,
        )
    };
    (found != 0).then_some(atom)
}

/// The atom of this text, made if need be; `None` if no atom can have it.
pub(super) fn make(env: EnvPtr, text: &str) -> Option<Raw> {
    internal(env, &utf8_atom(text)?, true)
}

fn utf8_atom(text: &str) -> Option<Vec<u8>> {
    if text.chars().count() > ATOM_CHARS {
        return None;
    }
    let mut bytes = vec![131, tags::ATOM_UTF8];
    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    Some(bytes)
}
