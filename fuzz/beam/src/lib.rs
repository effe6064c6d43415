//! The part of the BEAM's NIF interface that the node's side of the protocol needs, for processes without a BEAM.
//!
//! Terms are checked where they are used: a word that is no term, or one of another time, ends the process. Atoms, environments,
//! resources and binaries are counted, so that a target can see what was left. One thread at a time.

mod external;
mod functions;
mod term;

pub use term::{Counts, Env, atom_count, check, counts, sent_to};

use term::{Term, Word};

/// The process that is called `py_callback`, `py_logger` or `py_tracer`.
pub const SERVER: usize = 1;
/// The process whose NIF call runs, as `enif_self` says.
pub const CALLER: usize = 2;
/// Processes have numbers below this.
pub const PROCESSES: usize = 16;

impl Env {
    /// The word of a binary.
    pub fn binary(&mut self, bytes: &[u8]) -> Word {
        self.keep(Term::Binary(bytes.to_vec()))
    }

    /// The word of a small integer.
    pub fn int(&mut self, value: i64) -> Word {
        self.integer(value)
    }
}

/// Elements of a tuple.
pub fn tuple_of(word: Word) -> Option<&'static [Word]> {
    match term::get(word) {
        Some(Term::Tuple(elements)) => Some(elements),
        _ => None,
    }
}

/// Bytes of a binary.
pub fn binary_of(word: Word) -> Option<&'static [u8]> {
    match term::get(word) {
        Some(Term::Binary(bytes)) => Some(bytes),
        _ => None,
    }
}

/// Text of an atom.
pub fn atom_of(word: Word) -> Option<String> {
    term::is_atom(word).then(|| term::atom_text(word))
}
