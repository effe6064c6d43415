//! What the targets share.

use std::sync::OnceLock;

use beam::Env;

/// Takes fields off the input; zeros when it is used up.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte.
    pub fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number below `bound`, or now and then any number.
    pub fn near(&mut self, bound: u64) -> u64 {
        match self.u8() {
            0..=7 => self.u64(),
            byte => u64::from(byte) % bound.max(1),
        }
    }

    /// At most `len` bytes.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let taken = self.take(N);
        out[..taken.len()].copy_from_slice(taken);
        out
    }
}

/// The environment of a NIF call for the node's side, which is loaded at the first use.
pub fn node_env() -> Box<Env> {
    static LOADED: OnceLock<()> = OnceLock::new();
    let mut env = Env::new();
    LOADED.get_or_init(|| {
        py_nif::fuzzing::load(pointer(&mut env));
        // The first use of the codec makes the atoms that it knows.
        let arguments = [env.binary(&[1]), env.int(0)];
        // SAFETY: two arguments of this environment.
        unsafe { py_nif::fuzzing::nif_decode(pointer(&mut env), 2, arguments.as_ptr().cast()) };
    });
    env
}

/// A pointer as the NIFs take it.
pub fn pointer<T>(env: &mut Env) -> *mut T {
    std::ptr::from_mut(env).cast()
}
