//! What this program can tell about the machine better than the node, for `py_doctor`: lines of a key and a value.

use std::fmt::Write;

use nix::libc;
use shm_proto::{available, link};

use crate::sandbox;

/// The lines. A fact that the system does not tell is left out.
pub fn lines() -> String {
    let mut text = String::new();
    let mut fact = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            _ = writeln!(text, "{key} {value}");
        }
    };
    fact("version", Some(env!("CARGO_PKG_VERSION").to_owned()));
    fact("sealed_memfds", Some(link::sealed_serves().to_string()));
    fact("landlock", Some(sandbox::landlock().to_string()));
    fact("seccomp", Some(has_seccomp().to_string()));
    fact("memory_left", available::left().map(|bytes| bytes.to_string()));
    fact("memory_limit", available::limit().map(|bytes| bytes.to_string()));
    fact("dev_shm", dev_shm().map(|bytes| bytes.to_string()));
    text
}

/// Bytes of the file system that `shm_open` uses.
fn dev_shm() -> Option<u64> {
    let system = nix::sys::statvfs::statvfs("/dev/shm").ok()?;
    Some(system.blocks() * system.fragment_size())
}

/// Whether the kernel filters system calls with an errno for the refused ones, as the sandbox does.
fn has_seccomp() -> bool {
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the call reads the action, which lives through it, and changes nothing.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_every_linux_has() {
        let text = lines();
        for key in ["version ", "sealed_memfds ", "landlock ", "seccomp ", "memory_left "] {
            assert!(text.lines().any(|line| line.starts_with(key) && line.len() > key.len()), "{key}: {text}");
        }
    }
}
