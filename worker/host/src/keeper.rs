//! The keeper of a worker in a sandbox: a process outside of it that opens large requests for the worker, and that cleans up
//! behind it, however it ends.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, setpgid};
use shm_proto::control::Handshake;
use shm_proto::keeper::Desk;

use crate::sandbox::Gate;

/// Looks, 10 ms apart, for what is left of the worker's group before its directory is given up.
const PATIENCE: u32 = 500;

/// Starts the keeper of this process. Must be called while the process has one thread.
///
/// # Errors
/// Processes are exhausted.
pub fn start(desk: Desk, gate: Option<Gate>, handshake: Handshake, directory: PathBuf) -> io::Result<()> {
    let worker = nix::unistd::getpid();
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // A sibling, not a child: programs that wait for all their children must not wait for this one.
    // SAFETY: as fork: no memory is shared, the process has one thread, and no pointer is passed.
    let forked = unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0, 0, 0, 0) };
    if Errno::result(forked)? != 0 {
        return Ok(());
    }
    // The child never returns from here.
    let keeper = Keeper { worker, desk, gate, handshake, directory };
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| keeper.run()));
    std::process::exit(i32::from(done.is_err()))
}

struct Keeper {
    worker: Pid,
    desk: Desk,
    gate: Option<Gate>,
    handshake: Handshake,
    directory: PathBuf,
}

impl Keeper {
    fn run(self) {
        // Out of reach of what ends the worker's group.
        let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
        let _ = nix::sys::prctl::set_name(c"py_keeper");
        let _ = std::env::set_current_dir("/");
        let keeper = self.alone();
        keeper.serve();
        keeper.clean_up();
    }

    /// Closes what this process has inherited but its own ends: an open end of the control channel or of a log would keep
    /// the node waiting for the worker's end.
    fn alone(self) -> Self {
        let own = [Some(self.desk.as_fd().as_raw_fd()), self.gate.as_ref().map(|gate| gate.as_fd().as_raw_fd())];
        for fd in open_descriptors() {
            if !own.contains(&Some(fd)) {
                // SAFETY: owned by nothing in this process that will be used again.
                unsafe { libc::close(fd) };
            }
        }
        self
    }

    /// Until the worker has ended or closed its socket.
    fn serve(&self) {
        let process = pidfd(self.worker);
        loop {
            let ends =
                [Some(self.desk.as_fd()), process.as_ref().map(AsFd::as_fd), self.gate.as_ref().map(AsFd::as_fd)];
            let mut sources: Vec<_> = ends.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
            match poll(&mut sources, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
            let mut answers = sources.iter().map(|source| source.any().unwrap_or(false));
            let [desk, ended, gate] = ends.map(|end| end.is_some() && answers.next().unwrap_or(false));
            if ended || (desk && !self.desk.answer(&self.handshake).unwrap_or(false)) {
                return;
            }
            match &self.gate {
                Some(asked) if gate => asked.answer(self.worker),
                _ => {}
            }
        }
    }

    /// Ends what the worker has started and removes its directory.
    fn clean_up(&self) {
        for _ in 0..PATIENCE {
            let left = killpg(self.worker, Signal::SIGKILL).is_ok();
            let removed = remove(&self.directory);
            if !left && removed {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn remove(directory: &Path) -> bool {
    match std::fs::remove_dir_all(directory) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn open_descriptors() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Readable when the process has ended; `None` on kernels before 5.3, where the socket has to do.
fn pidfd(process: Pid) -> Option<OwnedFd> {
    // SAFETY: takes two numbers and makes a descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process.as_raw(), 0) };
    // SAFETY: fresh, and nobody else's.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
