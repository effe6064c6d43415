//! Terms, environments, atoms, processes and resources.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::PROCESSES;

pub type Word = usize;

const ATOM: Word = 0x0B;
const PID: Word = 0x03;
const SMALL: Word = 0x0F;
/// The empty list.
pub const NIL: Word = 0x3B;

/// What a word that is no immediate points to.
#[derive(Debug)]
pub enum Term {
    Int(i64),
    UInt(u64),
    Float(f64),
    Binary(Vec<u8>),
    Tuple(Vec<Word>),
    Cons(Word, Word),
    Map(Vec<(Word, Word)>),
    Resource(*mut Object),
    /// A large integer, reference, port, fun or pid of another node: its external format without the version byte.
    External(Vec<u8>),
}

/// A term in memory of its own, with a mark that tells it from what is no term.
#[repr(C, align(16))]
struct Kept {
    mark: u64,
    term: Term,
}

const ALIVE: u64 = 0x5445_524d_5445_524d;
const DEAD: u64 = 0xdead_dead_dead_dead;

/// An environment: it owns its terms.
#[derive(Default)]
pub struct Env {
    terms: Vec<Box<Kept>>,
}

static ENVS: AtomicI64 = AtomicI64::new(0);
static RESOURCES: AtomicI64 = AtomicI64::new(0);
static BINARIES: AtomicI64 = AtomicI64::new(0);
static SENT: [AtomicU64; PROCESSES] = [const { AtomicU64::new(0) }; PROCESSES];

/// What exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub environments: i64,
    pub resources: i64,
    /// Binaries that are no terms yet.
    pub binaries: i64,
}

/// What exists now.
pub fn counts() -> Counts {
    let get = |count: &AtomicI64| count.load(Ordering::Relaxed);
    Counts { environments: get(&ENVS), resources: get(&RESOURCES), binaries: get(&BINARIES) }
}

pub fn count_binary(by: i64) {
    assert!(BINARIES.fetch_add(by, Ordering::Relaxed) + by >= 0, "a binary was released twice");
}

/// Messages that a process got.
pub fn sent_to(process: usize) -> u64 {
    SENT[process].load(Ordering::Relaxed)
}

pub fn count_message(process: usize) {
    SENT[process].fetch_add(1, Ordering::Relaxed);
}

impl Env {
    pub fn new() -> Box<Env> {
        ENVS.fetch_add(1, Ordering::Relaxed);
        Box::default()
    }

    pub fn keep(&mut self, term: Term) -> Word {
        let kept = Box::new(Kept { mark: ALIVE, term });
        let word = std::ptr::from_ref(&*kept) as Word;
        self.terms.push(kept);
        word
    }

    /// An integer: in the word itself if it is small, as the emulator has it.
    pub fn integer(&mut self, value: i64) -> Word {
        if (-(1 << 59)..1 << 59).contains(&value) { (value as Word) << 4 | SMALL } else { self.keep(Term::Int(value)) }
    }

    pub fn clear(&mut self) {
        for mut kept in self.terms.drain(..) {
            kept.mark = DEAD;
            if let Term::Resource(object) = kept.term {
                // SAFETY: the term holds a reference.
                unsafe { release(object) };
            }
        }
    }
}

impl Drop for Env {
    fn drop(&mut self) {
        self.clear();
        ENVS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the word points to; `None` if it is an immediate.
pub fn get(word: Word) -> Option<&'static Term> {
    if word & 0xF != 0 {
        assert!(is_atom(word) || is_pid(word) || small(word).is_some() || word == NIL, "{word:#x} is no term");
        return None;
    }
    assert!(word != 0, "no term at all");
    // SAFETY: words come from `Env::keep`; one that does not is what this is to find, with the mark or the address sanitizer.
    let kept = unsafe { &*(word as *const Kept) };
    assert!(kept.mark == ALIVE, "{word:#x} is a term of an environment that was cleared");
    Some(&kept.term)
}

/// Atoms of the node.
#[derive(Default)]
pub struct Atoms {
    texts: Vec<String>,
    words: HashMap<String, Word>,
}

static ATOMS: LazyLock<Mutex<Atoms>> = LazyLock::new(Default::default);

fn atoms() -> MutexGuard<'static, Atoms> {
    ATOMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many atoms there are.
pub fn atom_count() -> usize {
    atoms().texts.len()
}

pub fn make_atom(text: &str) -> Word {
    assert!(text.chars().count() <= 255, "no atom is that long");
    let mut atoms = atoms();
    if let Some(word) = atoms.words.get(text) {
        return *word;
    }
    let word = atoms.texts.len() << 6 | ATOM;
    atoms.texts.push(text.to_owned());
    atoms.words.insert(text.to_owned(), word);
    word
}

pub fn existing_atom(text: &str) -> Option<Word> {
    atoms().words.get(text).copied()
}

pub fn is_atom(word: Word) -> bool {
    word & 0x3F == ATOM
}

pub fn atom_text(word: Word) -> String {
    atoms().texts[word >> 6].clone()
}

/// The value of a small integer.
pub fn small(word: Word) -> Option<i64> {
    (word & 0xF == SMALL).then_some(word as i64 >> 4)
}

pub fn make_pid(process: usize) -> Word {
    assert!(process < PROCESSES);
    process << 4 | PID
}

pub fn is_pid(word: Word) -> bool {
    word & 0xF == PID
}

pub fn process_of(word: Word) -> usize {
    assert!(is_pid(word) && word >> 4 < PROCESSES, "{word:#x} is no local pid");
    word >> 4
}

/// Follows everything in a term.
pub fn check(word: Word) {
    let mut rest = vec![word];
    while let Some(word) = rest.pop() {
        match get(word) {
            Some(Term::Tuple(elements)) => rest.extend(elements),
            Some(Term::Cons(head, tail)) => rest.extend([*head, *tail]),
            Some(Term::Map(pairs)) => rest.extend(pairs.iter().flat_map(|(key, value)| [*key, *value])),
            _ => {}
        }
    }
}

/// Bytes that are equal for equal terms, without the recursion of a comparison.
pub fn image(word: Word) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), vec![word]);
    while let Some(word) = rest.pop() {
        let mut put = |tag: u8, bytes: &[u8]| {
            out.push(tag);
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(bytes);
        };
        match get(word) {
            None => put(0, &word.to_le_bytes()),
            Some(Term::Int(value)) => put(1, &value.to_le_bytes()),
            Some(Term::UInt(value)) => put(2, &value.to_le_bytes()),
            Some(Term::Float(value)) => put(3, &value.to_bits().to_le_bytes()),
            Some(Term::Binary(bytes)) => put(4, bytes),
            Some(Term::External(bytes)) => put(5, bytes),
            Some(Term::Resource(object)) => put(6, &(*object as usize).to_le_bytes()),
            Some(Term::Tuple(elements)) => {
                put(7, &elements.len().to_le_bytes());
                rest.extend(elements);
            }
            Some(Term::Cons(head, tail)) => {
                put(8, &[]);
                rest.extend([*head, *tail]);
            }
            Some(Term::Map(pairs)) => {
                let mut images: Vec<_> = pairs.iter().map(|(key, value)| (image(*key), image(*value))).collect();
                images.sort();
                for (key, value) in images {
                    put(9, &key);
                    put(10, &value);
                }
            }
        }
    }
    out
}

/// What a resource type has called at the end of an object: environment, object.
pub type Destructor = unsafe extern "C" fn(*mut c_void, *mut c_void);

/// A resource type.
pub struct Type {
    pub destructor: Option<Destructor>,
}

/// What lies before the bytes of a resource.
#[repr(C, align(16))]
pub struct Object {
    kind: *const Type,
    references: AtomicU64,
    layout: std::alloc::Layout,
}

pub fn allocate(kind: *const Type, size: usize) -> *mut c_void {
    let layout = std::alloc::Layout::from_size_align(size_of::<Object>() + size, 16).expect("a size");
    RESOURCES.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the layout is not empty, and the header fits its start.
    unsafe {
        let object = std::alloc::alloc(layout).cast::<Object>();
        object.write(Object { kind, references: AtomicU64::new(1), layout });
        object.add(1).cast()
    }
}

/// The header of a resource.
///
/// # Safety
/// `data` comes from `allocate`.
pub unsafe fn object_of(data: *const c_void) -> *mut Object {
    // SAFETY: the header lies before the data.
    unsafe { data.cast::<Object>().sub(1).cast_mut() }
}

/// # Safety
/// The object is alive.
pub unsafe fn data_of(object: *mut Object) -> *mut c_void {
    // SAFETY: the data follow the header.
    unsafe { object.add(1).cast() }
}

/// # Safety
/// The object is alive.
pub unsafe fn is_of(object: *mut Object, kind: *const Type) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (*object).kind == kind }
}

/// # Safety
/// The object is alive.
pub unsafe fn keep(object: *mut Object) {
    // SAFETY: the caller's promise.
    unsafe { (*object).references.fetch_add(1, Ordering::Relaxed) };
}

/// # Safety
/// The caller holds a reference.
pub unsafe fn release(object: *mut Object) {
    // SAFETY: the caller's promise; the last reference destroys the object.
    unsafe {
        if (*object).references.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        if let Some(destructor) = (*(*object).kind).destructor {
            destructor(std::ptr::null_mut(), data_of(object));
        }
        RESOURCES.fetch_sub(1, Ordering::Relaxed);
        let layout = (*object).layout;
        std::alloc::dealloc(object.cast(), layout);
    }
}
