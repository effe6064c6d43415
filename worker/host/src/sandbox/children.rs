//! How many processes a worker may have: `RLIMIT_NPROC` counts those of the user and spares root, so the kernel asks the keeper
//! before each new process instead (seccomp's user notification), or refuses by itself if there shall be none.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;
use seccompiler::sock_filter;

use super::{SandboxError, Settings, step};

/// The keeper's end: each new process waits for its word. Dropping it refuses all.
#[derive(Debug)]
pub struct Gate {
    listener: OwnedFd,
    most: usize,
}

/// Installs the filter. Must be called before other filters, which would refuse this.
pub fn restrict(settings: &Settings) -> Result<Option<Gate>, SandboxError> {
    let Some(most) = settings.processes else { return Ok(None) };
    let (flags, action) = match most {
        0 => (0, libc::SECCOMP_RET_ERRNO | libc::EAGAIN as u32),
        _ => (libc::SECCOMP_FILTER_FLAG_NEW_LISTENER, libc::SECCOMP_RET_USER_NOTIF),
    };
    let mut program = filter(action);
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr().cast() };
    // SAFETY: the program outlives the call, which copies it.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match Errno::result(done) {
        Ok(_) if most == 0 => Ok(None),
        // SAFETY: a fresh descriptor that nobody else owns.
        Ok(fd) => Ok(Some(Gate { listener: unsafe { OwnedFd::from_raw_fd(fd as i32) }, most: most as usize })),
        Err(errno) => Err(step("could not limit processes (it needs Linux 5.5 or later)")(errno.into())),
    }
}

/// Takes `action` for calls that make a process, not a thread. The keeper itself is made with `CLONE_PARENT`, which another
/// filter refuses to everybody else.
fn filter(action: u32) -> Vec<sock_filter> {
    let op = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    let load = |offset| op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    let equal = |number: libc::c_long, jt, jf| op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jt, jf, number as u32);
    let answer = |action| op(libc::BPF_RET | libc::BPF_K, 0, 0, action);
    // The lower half of the first argument, on machines with the lesser half first.
    const FIRST_ARGUMENT: u32 = 16;
    let flags = (libc::CLONE_THREAD | libc::CLONE_PARENT) as u32;
    let mut program = vec![load(0)];
    #[cfg(target_arch = "x86_64")]
    program.extend([equal(libc::SYS_fork, 5, 0), equal(libc::SYS_vfork, 4, 0)]);
    program.extend([
        equal(libc::SYS_clone, 0, 2),
        load(FIRST_ARGUMENT),
        op(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, flags),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(action),
    ]);
    program
}

impl AsFd for Gate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Gate {
    /// Answers one process that waits: it goes on if the group of the worker has room. Several that ask at the same time
    /// may be let in together.
    pub fn answer(&self, worker: Pid) {
        // SAFETY: the kernel demands zeroes, which are valid for both structures.
        let (mut request, mut response) =
            unsafe { std::mem::zeroed::<(libc::seccomp_notif, libc::seccomp_notif_resp)>() };
        let fd = self.listener.as_raw_fd();
        // SAFETY: the kernel fills the structure, whose size is part of the request's number.
        if unsafe { libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut request) } < 0 {
            // Who asked was killed meanwhile.
            return;
        }
        response.id = request.id;
        if group_size(worker) <= self.most {
            response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        } else {
            response.error = -libc::EAGAIN;
        }
        // Fails if who asked was killed meanwhile.
        // SAFETY: the kernel reads the structure, whose size is part of the request's number.
        unsafe { libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response) };
    }
}

/// Processes in a group, those included that have ended and wait for their parents. Nobody can leave it: the calls are refused.
fn group_size(group: Pid) -> usize {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit());
    numbers.filter(|entry| group_of(&entry.path().join("stat")) == Some(group.as_raw())).count()
}

fn group_of(stat: &std::path::Path) -> Option<i32> {
    let text = std::fs::read(stat).ok()?;
    // The name before the last parenthesis may hold anything; state, parent and group follow.
    let end = text.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(&text[end + 1..]).ok()?.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_group() {
        let group = nix::unistd::getpgrp();
        assert_eq!(group_of(std::path::Path::new("/proc/self/stat")), Some(group.as_raw()));
        assert!(group_size(group) >= 1);
    }
}
