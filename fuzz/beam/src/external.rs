//! As much of the external term format as the node's side hands to the BEAM.

use crate::term::{self, Env, NIL, Term, Word};

const NODE: &[u8] = b"nonode@nohost";
const CREATION: [u8; 4] = [0; 4];

/// `term_to_binary`; `None` for terms that the codec never asks about.
pub fn encode(word: Word) -> Option<Vec<u8>> {
    let mut out = vec![131];
    let node = |out: &mut Vec<u8>| {
        out.extend_from_slice(&[119, NODE.len() as u8]);
        out.extend_from_slice(NODE);
    };
    if term::is_pid(word) {
        out.push(88);
        node(&mut out);
        out.extend_from_slice(&(term::process_of(word) as u32).to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&CREATION);
    } else if term::is_atom(word) {
        let text = term::atom_text(word);
        out.push(118);
        out.extend_from_slice(&(text.len() as u16).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    } else {
        let Some(Term::External(bytes)) = term::get(word) else { return None };
        out.extend_from_slice(bytes);
    }
    Some(out)
}

/// A fresh reference.
pub fn reference() -> Term {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut bytes = vec![90, 0, 3, 119, NODE.len() as u8];
    bytes.extend_from_slice(NODE);
    bytes.extend_from_slice(&CREATION);
    for word in [NEXT.fetch_add(1, Ordering::Relaxed), 0, 0] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    Term::External(bytes)
}

/// `enif_binary_to_term`: the term and how many bytes it took.
pub fn decode(env: &mut Env, bytes: &[u8], safe: bool) -> Option<(Word, usize)> {
    let (131, &tag, rest) = (*bytes.first()?, bytes.get(1)?, bytes.get(2..)?) else { return None };
    let whole = |env: &mut Env, len: usize| {
        let taken = bytes.get(1..2 + len)?;
        Some((env.keep(Term::External(taken.to_vec())), 2 + len))
    };
    match tag {
        106 => Some((NIL, 2)),
        110 => whole(env, 2 + usize::from(*rest.first()?)),
        111 => {
            let len = u32::from_be_bytes(*rest.first_chunk()?) as usize;
            // What the BEAM computes with.
            if len > 4 << 20 { None } else { whole(env, 5 + len) }
        }
        118 | 119 => {
            let (text, taken) = atom(&bytes[1..])?;
            let word = if safe { term::existing_atom(text)? } else { term::make_atom(text) };
            Some((word, 1 + taken))
        }
        88 | 89 | 120 | 90 => {
            let head = if tag == 90 { 2 } else { 0 };
            let (node, taken) = atom(rest.get(head..)?)?;
            let fields = match tag {
                88 => 12,
                89 => 8,
                120 => 12,
                _ => 4 + 4 * usize::from(u16::from_be_bytes(*rest.first_chunk()?)),
            };
            if safe {
                term::existing_atom(node)?;
            }
            let number = u32::from_be_bytes(*rest.get(head + taken..)?.first_chunk()?) as usize;
            if tag == 88 && node.as_bytes() == NODE && number < crate::PROCESSES && rest.len() >= taken + fields {
                return Some((term::make_pid(number), 2 + taken + fields));
            }
            whole(env, head + taken + fields)
        }
        112 | 113 => whole(env, rest.len()),
        _ => None,
    }
}

fn atom(bytes: &[u8]) -> Option<(&str, usize)> {
    let (start, len) = match *bytes {
        [119, len, ..] => (2, usize::from(len)),
        [118, a, b, ..] => (3, usize::from(u16::from_be_bytes([a, b]))),
        _ => return None,
    };
    let text = std::str::from_utf8(bytes.get(start..start + len)?).ok()?;
    (text.chars().count() <= 255).then_some((text, start + len))
}
