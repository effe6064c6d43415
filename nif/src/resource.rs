//! Typed NIF resources.
//!
//! rustler's `ResourceArc` finds its type by a hash of the Rust type and counts a reference on every decode: a line
//! that all schedulers would write on every call. Here decoding borrows.

use crate::beam::{EnvPtr, Raw};
use rustler::sys::{
    self, ErlNifEnv, ErlNifPid, ErlNifResourceDown, ErlNifResourceDtor, ErlNifResourceFlags, ErlNifResourceType,
    ErlNifResourceTypeInit,
};
use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};

/// What a resource may react to.
pub trait Resource: Send + Sync + Sized + 'static {
    /// A process monitored through this resource ended. Runs on a scheduler: must only enqueue.
    fn process_down(&self) {}
}

/// One registered resource type.
pub struct Kind<T> {
    raw: AtomicPtr<ErlNifResourceType>,
    marker: PhantomData<fn() -> T>,
}

unsafe extern "C" fn drop_resource<T: Resource>(_env: *mut ErlNifEnv, object: *mut c_void) {
    // SAFETY: the emulator calls this once, for an object that `Kind::alloc` initialised.
    let _ = std::panic::catch_unwind(|| unsafe { std::ptr::drop_in_place(object.cast::<T>()) });
}

unsafe extern "C" fn process_down<T: Resource>(
    _env: *mut ErlNifEnv,
    object: *mut c_void,
    _pid: *const ErlNifPid,
    _monitor: *const sys::ErlNifMonitor,
) {
    // SAFETY: the object is alive during the callback and only shared access is taken.
    let object = unsafe { &*object.cast::<T>() };
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| object.process_down()));
}

impl<T: Resource> Kind<T> {
    /// A type that is not registered yet.
    pub const fn new() -> Self {
        assert!(align_of::<T>() <= 8, "the emulator aligns resources to 8 bytes");
        Kind { raw: AtomicPtr::new(std::ptr::null_mut()), marker: PhantomData }
    }

    /// Registers the type; from the load callback only.
    pub fn open(&self, env: EnvPtr, name: &CStr) -> bool {
        let init = ErlNifResourceTypeInit {
            dtor: drop_resource::<T> as *const ErlNifResourceDtor,
            stop: std::ptr::null(),
            down: process_down::<T> as *const ErlNifResourceDown,
        };
        let mut tried = ErlNifResourceFlags::ERL_NIF_RT_CREATE;
        // SAFETY: called while the library loads; the emulator copies name and callbacks.
        let raw = unsafe {
            sys::enif_open_resource_type_x(
                env,
                name.as_ptr(),
                &init,
                ErlNifResourceFlags::ERL_NIF_RT_CREATE,
                &mut tried,
            )
        };
        self.raw.store(raw.cast_mut(), Ordering::Release);
        !raw.is_null()
    }

    /// Moves `value` into a new resource object.
    pub fn alloc(&self, value: T) -> Owned<T> {
        // SAFETY: the type is registered (load fails otherwise); the object is initialised before anyone sees it.
        unsafe {
            let object = sys::enif_alloc_resource(self.raw.load(Ordering::Relaxed), size_of::<T>());
            object.cast::<T>().write(value);
            Owned(NonNull::new_unchecked(object.cast()))
        }
    }

    /// Borrows the object behind a term of the running NIF call.
    #[inline]
    pub fn get<'a>(&self, env: EnvPtr, term: Raw) -> Option<&'a T> {
        let mut object = std::ptr::null();
        // SAFETY: the emulator checks the type. The argument keeps the object alive until the NIF call returns, and
        // callers do not keep the borrow longer.
        unsafe {
            (sys::enif_get_resource(env, term, self.raw.load(Ordering::Relaxed), &mut object) != 0)
                .then(|| &*object.cast::<T>())
        }
    }
}

/// A counted reference to a resource object.
pub struct Owned<T: Resource>(NonNull<T>);

// SAFETY: T is Send + Sync and the count is atomic in the emulator.
unsafe impl<T: Resource> Send for Owned<T> {}
// SAFETY: as above.
unsafe impl<T: Resource> Sync for Owned<T> {}

impl<T: Resource> Owned<T> {
    /// Makes a term for the object in `env`.
    #[inline]
    pub fn term(&self, env: EnvPtr) -> Raw {
        // SAFETY: the object is alive, the term takes a reference of its own.
        unsafe { sys::enif_make_resource(env, self.0.as_ptr().cast()) }
    }

    /// Takes another reference to the object that `Kind::get` borrowed.
    pub fn from_ref(object: &T) -> Owned<T> {
        // SAFETY: `object` lives inside a resource allocated by `Kind::alloc`: `T` values are never moved out of one,
        // and only `Kind::get` hands out such references.
        unsafe {
            sys::enif_keep_resource(std::ptr::from_ref(object).cast());
            Owned(NonNull::from(object))
        }
    }

    /// Lets the object hear of the end of `pid`. `env` is the running NIF call's environment. Returns false if the
    /// process is gone already.
    pub fn monitor(&self, env: EnvPtr, pid: &ErlNifPid) -> bool {
        let mut monitor = std::mem::MaybeUninit::uninit();
        // SAFETY: the object is alive and its type has a down callback; the monitor is removed with the object.
        unsafe { sys::enif_monitor_process(env, self.0.as_ptr().cast(), pid, monitor.as_mut_ptr()) == 0 }
    }
}

impl<T: Resource> Deref for Owned<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the reference we hold keeps the object alive.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Resource> Clone for Owned<T> {
    fn clone(&self) -> Self {
        Owned::from_ref(self)
    }
}

impl<T: Resource> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: releases the reference that this value holds.
        unsafe { sys::enif_release_resource(self.0.as_ptr().cast()) }
    }
}
