//! The last words of a worker that dies of a fault: the stacks of its Python threads, as frames to the node.
//!
//! Handlers of fatal signals, below those that a program installs later: `faulthandler.enable()` writes its own report and then
//! raises the signal again, which comes here. After the report the signal has its effect.

use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use shm_proto::control::{CRASH, PART};

use crate::dump::{self, Descriptor};
use crate::fork;

/// Signals of a process that has lost its way.
const FATAL: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];
/// Bytes of a report.
const LIMIT: usize = 8 << 10;
/// Bytes of a stack for handlers, for signals of deep recursions.
const STACK: usize = 64 << 10;
/// What stands before the stack of the thread that crashed.
const CRASHED: &[u8] = b"Current thread";

struct Installed {
    control: Descriptor,
    before: [libc::sigaction; FATAL.len()],
}

static INSTALLED: OnceLock<Installed> = OnceLock::new();
/// Thread that reports, 0 for none.
static REPORTS: AtomicI32 = AtomicI32::new(0);
static SENT: AtomicBool = AtomicBool::new(false);

/// Installs the handlers. To be called once, in the main thread. `control` is where frames to the node go.
pub fn install(control: RawFd) {
    let Some(control) = Descriptor::of(control) else { return };
    prepare_thread();
    // SAFETY: the kernel fills what is zeroed, and the handler has the signature that SA_SIGINFO asks for.
    unsafe {
        let mut installed = Installed { control, before: std::mem::zeroed() };
        for (signal, before) in FATAL.iter().zip(&mut installed.before) {
            libc::sigaction(*signal, std::ptr::null(), before);
        }
        // The handler needs it.
        if INSTALLED.set(installed).is_ok() {
            let mut action = std::mem::zeroed::<libc::sigaction>();
            action.sa_sigaction = on_fatal as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            for signal in FATAL {
                libc::sigaction(signal, &action, std::ptr::null_mut());
            }
        }
    }
}

/// Gives the calling thread a stack for handlers, if it has none: a recursion that was too deep leaves no room on the other one.
pub fn prepare_thread() {
    use libc::{MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE};
    // SAFETY: fresh memory, which lasts as long as the thread.
    unsafe {
        let mut known = std::mem::zeroed::<libc::stack_t>();
        if libc::sigaltstack(std::ptr::null(), &mut known) != 0 || known.ss_flags & libc::SS_DISABLE == 0 {
            return;
        }
        let memory =
            libc::mmap(std::ptr::null_mut(), STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if memory != libc::MAP_FAILED {
            let stack = libc::stack_t { ss_sp: memory, ss_flags: 0, ss_size: STACK };
            libc::sigaltstack(&stack, std::ptr::null_mut());
        }
    }
}

unsafe extern "C" fn on_fatal(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: async-signal-safe calls; the kernel passes a valid structure.
    unsafe {
        let errno = *libc::__errno_location();
        if let Some(installed) = INSTALLED.get() {
            // In a child of the worker's, descriptors of the worker are closed.
            if !fork::is_child() {
                report(installed);
            }
            if let Some(at) = FATAL.iter().position(|fatal| *fatal == signal) {
                libc::sigaction(signal, &installed.before[at], std::ptr::null_mut());
            }
        }
        // What the processor has met comes again by itself, and a core dump then shows where.
        if (*info).si_code <= 0 {
            libc::raise(signal);
        }
        *libc::__errno_location() = errno;
    }
}

/// Async-signal-safe.
fn report(installed: &Installed) {
    let Some(dump) = dump::get() else { return };
    // SAFETY: has no requirement.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
    let written = match REPORTS.compare_exchange(0, thread, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => dump.write(),
        // The dump itself has failed: what it wrote until then.
        Err(reports) if reports == thread => dump::descriptor(),
        Err(_) => loop {
            // SAFETY: waits for the end of the process, to which the other thread sees.
            unsafe { libc::pause() };
        },
    };
    if let (Some(file), Some(control)) = (written, installed.control.still_ours())
        && !SENT.swap(true, Ordering::AcqRel)
    {
        send(file, control);
    }
}

/// Sends the stack of the thread that crashed and what follows it, then what is before it. Async-signal-safe.
fn send(file: RawFd, control: RawFd) {
    // SAFETY: a file of our own, of which as much is mapped as it has.
    let text = unsafe {
        let size = libc::lseek(file, 0, libc::SEEK_END);
        if size <= 0 {
            return;
        }
        let memory = libc::mmap(std::ptr::null_mut(), size as usize, libc::PROT_READ, libc::MAP_SHARED, file, 0);
        if memory == libc::MAP_FAILED {
            return;
        }
        std::slice::from_raw_parts(memory.cast::<u8>(), size as usize)
    };
    let at = text.windows(CRASHED.len()).position(|bytes| bytes == CRASHED).unwrap_or(0);
    let (before, from) = text.split_at(at);
    let mut left = LIMIT;
    for part in [from, before].into_iter().flat_map(|text| text.chunks(PART)) {
        let part = &part[..part.len().min(left)];
        left -= part.len();
        if !part.is_empty() {
            let [high, low] = (part.len() as u16 + 1).to_be_bytes();
            let head = [high, low, CRASH];
            let of = |bytes: &[u8]| libc::iovec { iov_base: bytes.as_ptr() as *mut c_void, iov_len: bytes.len() };
            let frame = [of(&head), of(part)];
            // SAFETY: both are only read. A write of that size to a pipe is whole or not at all.
            unsafe { libc::writev(control, frame.as_ptr(), frame.len() as c_int) };
        }
    }
}
