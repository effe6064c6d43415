//! Bytes to terms.
//!
//! The bytes come from a worker and are never believed: every one of them may be anything, and none makes this panic, recurse,
//! or allocate beyond a fixed multiple of their number. They lie in memory that the worker cannot write.

use std::cell::RefCell;
use std::sync::Arc;

use rustler::sys::{self, ErlNifBinary};
use shm_proto::etf::{Limits, ObjectKind, Reader, ShapeIter, Token, tags};
use shm_proto::request::{NoneAs, Options};

use super::atoms::{self, Words, words};
use super::refusal::{Corrupt, DecodeError, Refusal, corrupt};
use super::{opaque, small};
use crate::beam::{self, EnvPtr, Raw};
use crate::handle::Home;

/// What the terms of a reply refer to: its blob area, and the objects that its worker keeps.
pub trait Blobs {
    /// Copies the bytes from `offset` on to `out` and fills it; `false` if they are not all inside the area.
    fn read(&self, offset: u64, out: &mut [u8]) -> bool;

    /// The term of an object; `None` if there is no worker that could have it.
    fn object(&self, _env: EnvPtr, _kind: ObjectKind, _id: u64) -> Option<Raw> {
        None
    }

    /// Gives up the objects of a payload that did not become a term.
    fn give_up(&self, _payload: &[u8]) {}
}

/// A reply without a blob area, of the worker with this home.
pub struct Inline<'a>(pub &'a Arc<Home>);

impl Blobs for Inline<'_> {
    fn read(&self, _offset: u64, _out: &mut [u8]) -> bool {
        false
    }

    fn object(&self, env: EnvPtr, kind: ObjectKind, id: u64) -> Option<Raw> {
        Some(self.0.make(env, kind, id))
    }

    fn give_up(&self, payload: &[u8]) {
        self.0.give_up_all(payload);
    }
}

/// Nothing to refer to.
#[derive(Clone, Copy, Debug)]
pub struct NoBlobs;

impl Blobs for NoBlobs {
    fn read(&self, _offset: u64, _out: &mut [u8]) -> bool {
        false
    }
}

/// Bounds of one reply: 2^27 values, and 2^28 words (2 GiB) of heap.
pub(super) const LIMITS: Limits = Limits { bytes: usize::MAX, elements: 1 << 27 };
const HEAP_WORDS: u64 = 1 << 28;

/// Binaries from this size on are allocated in a way that can fail instead of ending the node.
const LARGE_BINARY: usize = 1 << 20;

/// Pairs of which a thread of ours may make a map at once: `enif_make_map_from_arrays` sorts larger ones with a random
/// number from the scheduler's data, which is a null pointer outside schedulers (OTP 25).
const SORTED_PAIRS: usize = 128;

/// Decodes one term that fills `bytes`.
#[inline]
pub(super) fn whole(env: EnvPtr, bytes: &[u8], options: Options, blobs: &dyn Blobs) -> Result<Raw, DecodeError> {
    let mut decoder =
        Decoder { env, words: words(env), options, reader: Reader::new(bytes, LIMITS), blobs, heap: HEAP_WORDS };
    let term = match decoder.step()? {
        Step::Done(term) => term,
        Step::Open(frame) => decoder.nested(frame)?,
    };
    if decoder.reader.remaining() != 0 {
        return Err(corrupt("bytes behind the term"));
    }
    Ok(term)
}

/// Decodes a term that a program published: the term, or the reason why the BEAM has none.
///
/// # Errors
/// [`Corrupt`] if no correct worker sends such bytes.
pub fn decode_value(
    env: EnvPtr,
    bytes: &[u8],
    options: Options,
    blobs: &dyn Blobs,
) -> Result<Result<Raw, Raw>, Corrupt> {
    match whole(env, bytes, options, blobs) {
        Ok(term) => Ok(Ok(term)),
        Err(DecodeError::Refused(refusal)) => Ok(Err(refusal.reason(env))),
        Err(DecodeError::Corrupt(corrupt)) => Err(corrupt),
    }
}

#[derive(Clone, Copy)]
enum Container {
    List,
    Tuple,
    Map,
}

/// A container whose elements have not all come.
#[derive(Clone, Copy)]
struct Frame {
    container: Container,
    left: u64,
    first: usize,
}

enum Step {
    Done(Raw),
    Open(Frame),
}

#[derive(Default)]
struct Stacks {
    values: Vec<Raw>,
    frames: Vec<Frame>,
    keys: Vec<Raw>,
}

/// Stacks that grew beyond this many entries are given back.
const KEEP_ENTRIES: usize = 1 << 16;

thread_local! {
    static STACKS: RefCell<Stacks> = const { RefCell::new(Stacks { values: Vec::new(), frames: Vec::new(), keys: Vec::new() }) };
}

struct Decoder<'a> {
    env: EnvPtr,
    words: &'static Words,
    options: Options,
    reader: Reader<'a>,
    blobs: &'a dyn Blobs,
    heap: u64,
}

impl Decoder<'_> {
    fn nested(&mut self, frame: Frame) -> Result<Raw, DecodeError> {
        STACKS.with(|stacks| {
            let stacks = &mut *stacks.borrow_mut();
            stacks.values.clear();
            stacks.frames.clear();
            let result = self.fill(frame, stacks);
            if stacks.values.capacity() + stacks.frames.capacity() + stacks.keys.capacity() > KEEP_ENTRIES {
                *stacks = Stacks::default();
            }
            result
        })
    }

    fn fill(&mut self, frame: Frame, stacks: &mut Stacks) -> Result<Raw, DecodeError> {
        let mut top = frame;
        loop {
            while top.left > 0 {
                top.left -= 1;
                match self.step()? {
                    Step::Done(term) => stacks.values.push(term),
                    Step::Open(frame) => {
                        stacks.frames.push(top);
                        top = Frame { first: stacks.values.len(), ..frame };
                    }
                }
            }
            let term = self.close(top.container, &stacks.values[top.first..], &mut stacks.keys)?;
            stacks.values.truncate(top.first);
            match stacks.frames.pop() {
                Some(below) => top = below,
                None => return Ok(term),
            }
            stacks.values.push(term);
        }
    }

    fn close(&mut self, container: Container, elements: &[Raw], keys: &mut Vec<Raw>) -> Result<Raw, DecodeError> {
        // A container's count fits 32 bits, so its elements do.
        let count = elements.len() as u32;
        match container {
            Container::List => {
                if self.reader.next()? != Token::Nil {
                    return Err(corrupt("improper list"));
                }
                self.spend(2 * u64::from(count))?;
                // SAFETY: `count` terms of this environment.
                Ok(unsafe { sys::enif_make_list_from_array(self.env, elements.as_ptr(), count) })
            }
            Container::Tuple => {
                self.spend(u64::from(count) + 1)?;
                // SAFETY: as above.
                Ok(unsafe { sys::enif_make_tuple_from_array(self.env, elements.as_ptr(), count) })
            }
            Container::Map => {
                self.spend(2 * u64::from(count))?;
                let pairs = elements.len() / 2;
                keys.clear();
                keys.extend(elements.iter().step_by(2));
                keys.extend(elements.iter().skip(1).step_by(2));
                // SAFETY: asks about the calling thread only.
                let on_scheduler = unsafe { sys::enif_thread_type() } > 0;
                let sorted = if on_scheduler { pairs } else { pairs.min(SORTED_PAIRS) };
                let mut map = Raw::default();
                // SAFETY: at least `sorted` keys and as many values, all terms of this environment.
                let mut made = unsafe {
                    sys::enif_make_map_from_arrays(self.env, keys.as_ptr(), keys.as_ptr().add(pairs), sorted, &mut map)
                };
                for pair in sorted..pairs {
                    if made == 0 {
                        break;
                    }
                    // SAFETY: the map was made before; keys and values as above.
                    made = unsafe { sys::enif_make_map_put(self.env, map, keys[pair], keys[pairs + pair], &mut map) };
                }
                let mut size = 0;
                // Large maps are made even if keys are equal (OTP 25), with one of the values.
                // SAFETY: `map` was made above.
                if made == 0 || unsafe { sys::enif_get_map_size(self.env, map, &mut size) } == 0 || size != pairs {
                    return Err(DecodeError::Refused(Refusal::Keys));
                }
                Ok(map)
            }
        }
    }

    #[inline(always)]
    fn step(&mut self) -> Result<Step, DecodeError> {
        if let Some(value) = self.reader.short_int() {
            return Ok(Step::Done(small::term(self.env, self.words, value.into())));
        }
        // Matching the result as a whole, without `?`, spares moving the token through memory.
        let term = match self.reader.next() {
            Err(error) => return Err(error.into()),
            Ok(Token::Int(value)) => small::term(self.env, self.words, value),
            // SAFETY: plain constructor; the reader lets finite numbers pass only.
            Ok(Token::Float(value)) => unsafe { sys::enif_make_double(self.env, value) },
            Ok(Token::Binary(data) | Token::Bytes(data)) => self.binary(data)?,
            Ok(Token::Str(text)) => self.binary(text.as_bytes())?,
            Ok(Token::None) => match self.options.none() {
                NoneAs::None => self.words.none,
                NoneAs::Nil => self.words.nil,
                NoneAs::Undefined => self.words.undefined,
            },
            Ok(Token::True) => self.words.true_,
            Ok(Token::False) => self.words.false_,
            Ok(Token::Nil) => self.words.nil_list,
            Ok(Token::List(count)) => return Ok(open(Container::List, count.into())),
            Ok(Token::Tuple(count)) => return tuple(count),
            Ok(Token::Map(count)) => return Ok(open(Container::Map, 2 * u64::from(count))),
            Ok(token) => return self.rare(token),
        };
        Ok(Step::Done(term))
    }

    #[inline(never)]
    fn rare(&mut self, token: Token<'_>) -> Result<Step, DecodeError> {
        Ok(Step::Done(match token {
            Token::Nan => self.words.nan,
            Token::Inf => self.words.infinity,
            Token::NegInf => self.words.neg_infinity,
            Token::Big { negative, magnitude } => self.big(negative, magnitude)?,
            Token::Atom(text) => atoms::existing(self.env, text).ok_or(DecodeError::Refused(Refusal::Atom))?,
            Token::ByteList(bytes) => {
                self.spend(2 * bytes.len() as u64)?;
                // SAFETY: plain constructors.
                bytes.iter().rev().fold(self.words.nil_list, |tail, byte| unsafe {
                    sys::enif_make_list_cell(self.env, sys::enif_make_uint(self.env, u32::from(*byte)), tail)
                })
            }
            Token::Blob { offset, len, .. } => self.blob(offset, len)?,
            Token::Opaque { kind, data } => {
                opaque::read(self.env, kind, data).ok_or(DecodeError::Refused(Refusal::Opaque(kind)))?
            }
            Token::Object { kind, id } => {
                // Tuple, reference, and the resource behind it.
                self.spend(24)?;
                self.blobs.object(self.env, kind, id).ok_or(corrupt("handle without a worker"))?
            }
            Token::Ndarray { dtype, shape } => self.ndarray(dtype, shape)?,
            Token::AsTuple => match self.reader.next()? {
                Token::Tuple(count) => return tuple(count),
                _ => return Err(corrupt("tuple mark without a tuple")),
            },
            _ => return Err(corrupt("unexpected token")),
        }))
    }

    fn spend(&mut self, words: u64) -> Result<(), DecodeError> {
        self.heap = self.heap.checked_sub(words).ok_or(DecodeError::Refused(Refusal::Size))?;
        Ok(())
    }

    #[inline]
    fn binary(&mut self, data: &[u8]) -> Result<Raw, DecodeError> {
        self.spend(data.len() as u64 / 8 + 2)?;
        if data.len() < LARGE_BINARY {
            return Ok(beam::binary(self.env, data));
        }
        self.large_binary(data.len(), |out| {
            out.copy_from_slice(data);
            true
        })
    }

    fn blob(&mut self, offset: u64, len: u64) -> Result<Raw, DecodeError> {
        let len = usize::try_from(len).map_err(|_| corrupt("blob out of bounds"))?;
        self.spend(len as u64 / 8 + 2)?;
        let blobs = self.blobs;
        self.large_binary(len, |out| blobs.read(offset, out))
    }

    /// A binary of `len` bytes that `fill` writes; it returns `false` if there are none.
    fn large_binary(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> Result<Raw, DecodeError> {
        let mut binary = std::mem::MaybeUninit::<ErlNifBinary>::uninit();
        // SAFETY: initialised on success.
        let mut binary = unsafe {
            if sys::enif_alloc_binary(len, binary.as_mut_ptr()) == 0 {
                return Err(DecodeError::Refused(Refusal::Size));
            }
            binary.assume_init()
        };
        // SAFETY: the emulator gave `len` bytes at `data`, ours alone; nobody reads one before `fill` wrote all.
        let filled = fill(unsafe { std::slice::from_raw_parts_mut(binary.data, len) });
        if !filled {
            // SAFETY: allocated above, released once.
            unsafe { sys::enif_release_binary(&mut binary) };
            return Err(corrupt("blob out of bounds"));
        }
        // SAFETY: the term takes over the allocation.
        Ok(unsafe { sys::enif_make_binary(self.env, &mut binary) })
    }

    fn big(&mut self, negative: bool, magnitude: &[u8]) -> Result<Raw, DecodeError> {
        self.spend(magnitude.len() as u64 / 8 + 2)?;
        let mut bytes = Vec::with_capacity(magnitude.len() + 7);
        bytes.push(131);
        if let Ok(len) = u8::try_from(magnitude.len()) {
            bytes.extend_from_slice(&[tags::SMALL_BIG, len]);
        } else {
            bytes.push(tags::LARGE_BIG);
            let len = u32::try_from(magnitude.len()).map_err(|_| DecodeError::Refused(Refusal::Integer))?;
            bytes.extend_from_slice(&len.to_be_bytes());
        }
        bytes.push(u8::from(negative));
        bytes.extend_from_slice(magnitude);
        atoms::internal(self.env, &bytes, false).ok_or(DecodeError::Refused(Refusal::Integer))
    }

    /// `{ndarray, Dtype, Shape, Bin}` with the dtype as binary and the shape as tuple.
    fn ndarray(&mut self, dtype: &str, shape: ShapeIter<'_>) -> Result<Raw, DecodeError> {
        let dtype = self.binary(dtype.as_bytes())?;
        let mut extents = [Raw::default(); u8::MAX as usize];
        let mut dimensions = 0;
        for (slot, extent) in extents.iter_mut().zip(shape) {
            *slot = beam::uint(self.env, extent);
            dimensions += 1;
        }
        // SAFETY: the first `dimensions` entries are terms of this environment.
        let shape = unsafe { sys::enif_make_tuple_from_array(self.env, extents.as_ptr(), dimensions) };
        let data = match self.reader.next()? {
            Token::Bytes(data) | Token::Binary(data) => self.binary(data)?,
            Token::Blob { offset, len, .. } => self.blob(offset, len)?,
            _ => return Err(corrupt("array without data")),
        };
        Ok(beam::tuple(self.env, [self.words.ndarray, dtype, shape, data]))
    }
}

/// Elements of the BEAM's largest tuple.
const MAX_ARITY: u32 = (1 << 24) - 1;

#[inline]
fn tuple(count: u32) -> Result<Step, DecodeError> {
    if count > MAX_ARITY { Err(DecodeError::Refused(Refusal::Size)) } else { Ok(open(Container::Tuple, count.into())) }
}

#[inline]
fn open(container: Container, left: u64) -> Step {
    Step::Open(Frame { container, left, first: 0 })
}
