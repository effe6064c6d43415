//! Taking turns on Pythons without a GIL.
//!
//! What is ours in a worker (ring, board, tables, caches) is guarded by the GIL. On a free-threaded build (feature
//! `free-threaded`) a lock of ours takes its place: a thread has its turn from the moment when it comes into our code until it
//! waits or runs code of users, and that code runs in parallel. So everything that holds between two moments at which Python
//! may switch threads holds there as well. With a GIL there is nothing to do.
//!
//! Nobody waits for the turn while attached to the interpreter, so that those who want the world stopped need not wait for it.

pub use imp::{Turn, aside};

#[cfg(not(feature = "free-threaded"))]
mod imp {
    /// The calling thread has its turn as long as this lives.
    #[derive(Debug)]
    pub struct Turn(());

    impl Turn {
        /// Waits for the turn, or has it already. To be called wherever Python comes into our code.
        ///
        /// # Safety
        /// The GIL is held.
        #[inline]
        pub unsafe fn take() -> Self {
            Self(())
        }
    }

    /// Lets others have their turn while `body` runs.
    ///
    /// # Safety
    /// The GIL is held, before and after `body`.
    #[inline]
    pub unsafe fn aside<R>(body: impl FnOnce() -> R) -> R {
        body()
    }
}

#[cfg(feature = "free-threaded")]
mod imp {
    use std::cell::{Cell, RefCell};
    use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

    use pyo3::ffi;

    use crate::fork;

    static TURN: Mutex<()> = Mutex::new(());

    thread_local! {
        static HELD: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) };
        /// How often the thread has come into our code without leaving it or stepping aside.
        static DEPTH: Cell<usize> = const { Cell::new(0) };
    }

    /// The calling thread has its turn as long as this lives.
    #[derive(Debug)]
    pub struct Turn(());

    impl Turn {
        /// Waits for the turn, or has it already. To be called wherever Python comes into our code.
        ///
        /// # Safety
        /// The thread is attached to the interpreter, also when the turn is dropped.
        #[inline]
        pub unsafe fn take() -> Self {
            let depth = DEPTH.get();
            if depth == 0 {
                // SAFETY: the caller's promise.
                unsafe { acquire() };
            }
            DEPTH.set(depth + 1);
            Self(())
        }
    }

    impl Drop for Turn {
        #[inline]
        fn drop(&mut self) {
            let depth = DEPTH.get() - 1;
            DEPTH.set(depth);
            if depth == 0 {
                HELD.take();
            }
        }
    }

    /// Lets others have their turn while `body` runs.
    ///
    /// # Safety
    /// The thread is attached to the interpreter, before and after `body`.
    #[inline]
    pub unsafe fn aside<R>(body: impl FnOnce() -> R) -> R {
        struct Back(usize);
        impl Drop for Back {
            fn drop(&mut self) {
                if self.0 > 0 {
                    // SAFETY: the promise of the caller of `aside`.
                    unsafe { acquire() };
                }
                DEPTH.set(self.0);
            }
        }
        let _back = Back(DEPTH.replace(0));
        HELD.take();
        body()
    }

    /// # Safety
    /// The thread is attached to the interpreter.
    unsafe fn acquire() {
        // In a child process nobody else has a turn, though the lock may say so.
        while !fork::is_child() {
            match TURN.try_lock() {
                Ok(guard) => return HELD.set(Some(guard)),
                Err(TryLockError::Poisoned(poisoned)) => return HELD.set(Some(poisoned.into_inner())),
                // SAFETY: what SaveThread returns goes back to RestoreThread in the same thread. To attach may take as long as
                // the world is stopped, so the lock is not kept for that.
                Err(TryLockError::WouldBlock) => unsafe {
                    let state = ffi::PyEval_SaveThread();
                    drop(TURN.lock().unwrap_or_else(PoisonError::into_inner));
                    ffi::PyEval_RestoreThread(state);
                },
            }
        }
    }
}
