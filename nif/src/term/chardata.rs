//! Chardata: lists of code points, binaries and such lists, as `unicode:chardata/0` has them.

use std::ffi::c_long;

use rustler::sys;

use super::atoms::Words;
use super::encode::EncodeError;
use crate::beam::{self, EnvPtr, Raw};

/// Appends the UTF-8 of a list to `out`, which may not grow beyond `limit` bytes; nor may the list have more parts than that,
/// since empty ones take time too. `rest` is a stack to use.
///
/// Returns whether the list is chardata; if not, `out` holds a part of it.
pub(super) fn append(
    env: EnvPtr,
    words: &Words,
    list: Raw,
    out: &mut Vec<u8>,
    rest: &mut Vec<Raw>,
    limit: usize,
) -> Result<bool, EncodeError> {
    rest.clear();
    rest.push(list);
    let mut parts = 0usize;
    while let Some(tail) = rest.pop() {
        parts += 1;
        if out.len() > limit || parts > limit {
            return Err(EncodeError::TooLarge);
        }
        let (mut head, mut next) = (Raw::default(), Raw::default());
        // SAFETY: `tail` belongs to `env`; the parts go to locals.
        if unsafe { sys::enif_get_list_cell(env, tail, &mut head, &mut next) } != 0 {
            rest.push(next);
            let mut point: c_long = 0;
            // SAFETY: as above.
            if unsafe { sys::enif_get_long(env, head, &mut point) } != 0 {
                let Some(point) = u32::try_from(point).ok().and_then(char::from_u32) else {
                    return Ok(false);
                };
                out.extend_from_slice(point.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                rest.push(head);
            }
        } else if let Some(data) = beam::get_binary(env, tail) {
            if data.len() > limit.saturating_sub(out.len()) {
                return Err(EncodeError::TooLarge);
            }
            if std::str::from_utf8(data).is_err() {
                return Ok(false);
            }
            out.extend_from_slice(data);
        } else if tail != words.nil_list {
            return Ok(false);
        }
    }
    Ok(true)
}
