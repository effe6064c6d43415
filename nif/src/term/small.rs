//! Small integers, whose value lies in the word of the term itself.
//!
//! To ask the emulator for it costs more than everything else about an integer in a list. Where the value lies is no promise of the
//! emulator, so [`are_in_word`] tries it out once, and where it is elsewhere the functions are asked.

use rustler::sys;

use super::atoms::Words;
use crate::beam::{EnvPtr, Raw};

const TAG: i64 = 0xF;
const TAG_BITS: u32 = 4;
const LARGEST: i64 = i64::MAX >> TAG_BITS;
const SMALLEST: i64 = i64::MIN >> TAG_BITS;

#[inline(always)]
fn from_word(word: i64) -> Raw {
    // SAFETY: a term is a transparent newtype over a machine word.
    unsafe { std::mem::transmute::<i64, Raw>(word) }
}

#[inline(always)]
fn word(term: Raw) -> i64 {
    // SAFETY: as above.
    unsafe { std::mem::transmute::<Raw, i64>(term) }
}

/// Whether integers of 60 bits are words with the value in the upper bits and the tag below, and no others are.
pub(super) fn are_in_word(env: EnvPtr) -> bool {
    // SAFETY: plain constructor.
    let made = |value| word(unsafe { sys::enif_make_int64(env, value) });
    let inside = [0, 1, -1, 255, 256, -256, i64::from(i32::MAX), i64::from(i32::MIN), LARGEST, SMALLEST];
    inside.iter().all(|value| made(*value) == value << TAG_BITS | TAG)
        && [LARGEST + 1, SMALLEST - 1].iter().all(|value| made(*value) & TAG != TAG)
}

/// The value of a small integer; `None` for every other term, and where nothing is known of them.
#[inline(always)]
pub(super) fn value(words: &Words, term: Raw) -> Option<i64> {
    (words.small_in_word && word(term) & TAG == TAG).then(|| word(term) >> TAG_BITS)
}

/// The term of an integer.
#[inline(always)]
pub(super) fn term(env: EnvPtr, words: &Words, value: i64) -> Raw {
    if words.small_in_word && (SMALLEST..=LARGEST).contains(&value) {
        return from_word(value << TAG_BITS | TAG);
    }
    // SAFETY: plain constructor.
    unsafe { sys::enif_make_int64(env, value) }
}
