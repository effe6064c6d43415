//! Letting other threads and signal handlers have their turn.

use pyo3::ffi;

use crate::turn::{Turn, aside};

/// Runs `body` without the GIL.
///
/// # Safety
/// The GIL is held, and `body` touches no Python object.
#[inline]
pub unsafe fn released<R>(body: impl FnOnce() -> R) -> R {
    struct Restore(*mut ffi::PyThreadState);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the state that SaveThread returned in this thread.
            unsafe { ffi::PyEval_RestoreThread(self.0) };
        }
    }
    // SAFETY: the GIL is held, and again when the state is restored.
    unsafe {
        aside(|| {
            let _restore = Restore(ffi::PyEval_SaveThread());
            body()
        })
    }
}

/// Runs `body` with the GIL in a thread that need not be known to Python.
///
/// # Safety
/// The GIL is not held.
pub unsafe fn attached<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: Ensure and Release pair up.
    unsafe {
        let gil = ffi::PyGILState_Ensure();
        let result = {
            let _turn = Turn::take();
            body()
        };
        ffi::PyGILState_Release(gil);
        result
    }
}

/// Runs the handlers of signals that have arrived. An exception that one of them raises belongs to no request:
/// it is reported as Python reports those of finalisers. `false` if it is SystemExit, which stays set and ends the worker.
///
/// # Safety
/// The GIL is held and no exception is set.
pub unsafe fn run_signal_handlers() -> bool {
    // SAFETY: the GIL is held.
    unsafe {
        if aside(|| ffi::Py_MakePendingCalls() == 0 && ffi::PyErr_CheckSignals() == 0) {
            return true;
        }
        if ffi::PyErr_ExceptionMatches(ffi::PyExc_SystemExit) != 0 {
            return false;
        }
        report_stray();
        true
    }
}

/// Reports the exception that is set as one that nobody can catch, and clears it.
///
/// # Safety
/// The GIL is held.
pub unsafe fn report_stray() {
    // SAFETY: the GIL is held.
    unsafe { ffi::PyErr_WriteUnraisable(std::ptr::null_mut()) };
}
