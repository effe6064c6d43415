//! State of the process before Python: group, signals, descriptors, limits, working directory.

use std::ffi::OsString;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{self, FcntlArg, OFlag};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use crate::args::Args;

/// Descriptors of the control channel after they were moved.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// Frames from the node.
    pub input: RawFd,
    /// Frames to the node.
    pub output: RawFd,
}

/// Why the process could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Started by hand, not by a port.
    #[error("could not use descriptor {0} as control channel: {1} (the host is started by the application)")]
    NoControl(RawFd, Errno),
    /// stdin could not be replaced.
    #[error("could not open /dev/null as standard input: {0}")]
    Stdin(Errno),
    /// `--output`.
    #[error("could not open {0:?} as standard output: {1}")]
    Output(OsString, Errno),
    /// `--rlimit-data`.
    #[error("could not limit data to {0} bytes: {1}")]
    Limit(u64, Errno),
    /// `--cd`.
    #[error("could not change to directory {0:?}: {1}")]
    Directory(OsString, io::Error),
}

/// Moves the control channel out of the way of user code.
///
/// # Errors
/// [`PrepareError::NoControl`] if there is none.
pub fn move_control() -> Result<Control, PrepareError> {
    Ok(Control { input: move_up(3)?, output: move_up(4)? })
}

/// Puts the process into the state that Python expects. Must be called while the process has one thread.
///
/// # Errors
/// [`PrepareError`] names the step that failed.
pub fn prepare(args: &Args) -> Result<(), PrepareError> {
    // The worker ends itself by killing its group, which therefore must be its own. EPERM: it leads a session.
    let _ = nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
    // A stopped process cannot see the end of its control channel; this reaches it. Kept across exec.
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    reset_signals();
    null_stdin()?;
    match &args.output {
        Some(path) => redirect_output(path).map_err(|errno| PrepareError::Output(path.clone().into(), errno))?,
        None => [1, 2].into_iter().for_each(make_blocking),
    }
    prefer_for_killer();
    if let Some(bytes) = args.rlimit_data {
        let hard = getrlimit(Resource::RLIMIT_DATA).map_or(bytes, |(_, hard)| hard.min(bytes));
        setrlimit(Resource::RLIMIT_DATA, hard, hard).map_err(|e| PrepareError::Limit(bytes, e))?;
    }
    if let Some(directory) = &args.cd {
        std::env::set_current_dir(directory)
            .map_err(|e| PrepareError::Directory(directory.clone().into_os_string(), e))?;
    }
    Ok(())
}

/// Where the machine or a container has no memory left, the kernel shall end a worker and not the node. A process may always raise
/// this; where `/proc` does not serve, nothing is lost but the preference.
fn prefer_for_killer() {
    const PATH: &str = "/proc/self/oom_score_adj";
    const MORE: i32 = 500;
    const MOST: i32 = 1000;
    let own = std::fs::read_to_string(PATH).ok().and_then(|text| text.trim().parse::<i32>().ok());
    if let Some(own) = own {
        let _ = std::fs::write(PATH, (own + MORE).min(MOST).to_string());
    }
}

/// OTP hands down ignored signals (SIGPIPE, SIGFPE, ...) and the Rust runtime adds SIGPIPE.
fn reset_signals() {
    for number in 1..=nix::libc::SIGRTMAX() {
        // SAFETY: SIG_DFL has no handler that could run; numbers that cannot be changed are refused.
        unsafe { nix::libc::signal(number, nix::libc::SIG_DFL) };
    }
    // Unblocking every signal cannot fail.
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// Moves a descriptor above those that programs close or redirect by number.
fn move_up(fd: RawFd) -> Result<RawFd, PrepareError> {
    let moved = duplicate_up(fd).map_err(|errno| PrepareError::NoControl(fd, errno))?;
    let _ = nix::unistd::close(fd);
    Ok(moved)
}

/// A duplicate with a high number, which the interpreter inherits.
pub fn duplicate_up(fd: RawFd) -> nix::Result<RawFd> {
    // SAFETY: borrowed for the duration of fcntl only, which answers EBADF if it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let mut refused = Errno::EBADF;
    for floor in [1000, 200, 60, 10] {
        match fcntl::fcntl(borrowed, FcntlArg::F_DUPFD(floor)) {
            Ok(moved) => return Ok(moved),
            Err(errno) => refused = errno,
        }
    }
    Err(refused)
}

/// The node's standard input is its own, and non-blocking under an interactive shell.
fn null_stdin() -> Result<(), PrepareError> {
    let null = fcntl::open("/dev/null", OFlag::O_RDONLY, Mode::empty()).map_err(PrepareError::Stdin)?;
    nix::unistd::dup2_stdin(&null).map_err(PrepareError::Stdin)
}

/// Makes a file or a pipe standard output and error.
fn redirect_output(path: &Path) -> nix::Result<()> {
    let output = fcntl::open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NOCTTY, Mode::empty())?;
    nix::unistd::dup2_stdout(&output)?;
    nix::unistd::dup2_stderr(&output)
}

/// Gives Python an open file description of its own if the inherited one is non-blocking: an interactive node
/// sets that flag on its terminal, and a Python that inherits it sees `BlockingIOError` and half-written lines.
/// Sockets cannot be reopened and stay as they are.
fn make_blocking(fd: RawFd) {
    // SAFETY: borrowed for the duration of fcntl only, which answers EBADF if it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let non_blocking = fcntl::fcntl(borrowed, FcntlArg::F_GETFL)
        .is_ok_and(|flags| OFlag::from_bits_truncate(flags).contains(OFlag::O_NONBLOCK));
    if !non_blocking {
        return;
    }
    let path = format!("/proc/self/fd/{fd}");
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_NOCTTY;
    if let Ok(own) = fcntl::open(path.as_str(), flags, Mode::empty()) {
        // A failure leaves the inherited descriptor in place, which still works most of the time.
        let _ = if fd == 1 { nix::unistd::dup2_stdout(&own) } else { nix::unistd::dup2_stderr(&own) };
    }
}
